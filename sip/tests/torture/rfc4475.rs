//! RFC 4475, message by message.

use bytes::Bytes;

use crate::disposition::{Fate, answer_to, in_a_call, in_a_call_over_tcp, over_tcp, over_tls, over_udp};

use Fate::*;

macro_rules! dispositions {
    ($($name:ident $section:literal: $udp:expr, $tcp:expr, $call:expr; $why:literal)*) => {
        /// Name, section, fate in a datagram, on a stream, in a call, and why.
        const TABLE: &[(&str, &str, [Fate; 3], &str)] =
            &[$((stringify!($name), $section, [$udp, $tcp, $call], $why)),*];

        fn bytes_of(name: &str) -> Bytes {
            match name {
                $(stringify!($name) => Bytes::from_static(include_bytes!(
                    concat!("../../../tests/golden/rfc4475/", stringify!($name), ".dat")
                )),)*
                other => panic!("no message {other}"),
            }
        }
    };
}

dispositions! {
    wsinv "3.1.1.1": Status(481), Status(481), Offer; "well formed through all its folds; its To has a tag, and of that call nothing is known (RFC 3261 §12.2.2)"
    intmeth "3.1.1.2": Status(501), Status(501), Status(501); "an unknown method is no error of form: 501 with what is understood in Allow"
    esc01 "3.1.1.3": Call, Call, Offer; "escapes are undone where they count and nowhere else"
    escnull "3.1.1.4": Status(405), Status(405), Status(405); "read to the end through its %00; registrations aren't taken here"
    esc02 "3.1.1.5": Status(501), Status(501), Status(501); "RE%47IST%45R is not REGISTER: escapes mean nothing in a method"
    lwsdisp "3.1.1.6": Status(200), Status(200), Status(200); "invalid by the letter for want of a space, to be accepted by the RFC"
    longreq "3.1.1.7": Call, Call, Offer; "long is not too long"
    dblreq "3.1.1.8": Status(405), ThenCall(405), Status(405); "what follows the end of a datagram's message is noise; on a stream it is the next message"
    semiuri "3.1.1.9": Status(200), Status(200), Status(200); "the semicolon belongs to the user"
    transports "3.1.1.10": Status(200), Status(200), Status(200); "transports below the first Via may be any"
    mpart01 "3.1.1.11": Status(405), Status(405), Status(405); "framed whole, NULs and all; MESSAGE isn't served"
    unreason "3.1.1.12": Silence, Silence, Taken; "nobody asked; in a call the phrase is any text"
    noreason "3.1.1.13": Silence, Silence, Silence; "nobody asked; a 100 in a call tells its owner nothing"
    badinv01 "3.1.2.1": Status(400), Status(400), Status(400); "syntactically invalid: 400"
    clerr "3.1.2.2": Status(400), Unfinished, Status(400); "Content-Length beyond the datagram: 400; on a stream the rest may still come"
    ncl "3.1.2.3": Status(400), ThenClosed(400), Status(400); "a negative Content-Length: 400; a stream can't be framed any further"
    scalar02 "3.1.2.4": Status(400), Status(400), Status(400); "the CSeq is beyond 32 bits: 400; the expiries alone would count as 3600"
    scalarlg "3.1.2.5": Silence, Silence, Silence; "a response with such a CSeq is discarded"
    quotbal "3.1.2.6": Status(400), Status(400), Status(400); "an unterminated quote: 400 rather than a guess"
    ltgtruri "3.1.2.7": Status(400), Status(400), Status(400); "angle brackets around the Request-URI: always right to refuse"
    lwsruri "3.1.2.8": Status(400), Status(400), Status(400); "white space in the Request-URI: 400"
    lwsstart "3.1.2.9": Status(400), Status(400), Status(400); "two spaces in the request line: acceptable to refuse"
    trws "3.1.2.10": Status(400), Status(400), Status(400); "a space at the end of the request line: acceptable to refuse"
    escruri "3.1.2.11": Status(400), Status(400), Status(400); "headers in the Request-URI: acceptable to refuse, never to be obeyed"
    baddate "3.1.2.12": Call, Call, Offer; "nothing here depends on Date, so that a wrong one is ignored"
    regbadct "3.1.2.13": Status(400), Status(400), Status(400); "a `?` without angle brackets: reasonable to refuse"
    badaspec "3.1.2.14": Status(400), Status(400), Status(400); "spaces within an addr-spec: reasonable to refuse"
    baddn "3.1.2.15": Status(400), Unfinished, Status(400); "non-token characters in a display name: reasonable to refuse; the file has no empty line, which a stream waits for"
    badvers "3.1.2.16": Status(505), Status(505), Status(505); "another version: 505"
    mismatch01 "3.1.2.17": Status(400), Status(400), Status(400); "CSeq names another method: 400"
    mismatch02 "3.1.2.18": Status(501), Status(501), Status(501); "the same with an unknown method: 501 lasts longer than 400"
    bigcode "3.1.2.19": Silence, Silence, Silence; "a status code beyond three digits: dropped"
    badbranch "3.2.1": Status(200), Status(200), Status(200); "a branch that is only the cookie: the rules of RFC 2543 find the transaction"
    insuf "3.3.1": Status(400), Status(400), Status(400); "no Call-ID, From, To: ideally 400"
    unkscm "3.3.2": Status(416), Status(416), Status(416); "a scheme nobody knows: 416"
    novelsc "3.3.3": Status(416), Status(416), Status(416); "a known scheme that is not SIP's: 416"
    unksm2 "3.3.4": Status(405), Status(405), Status(405); "schemes of To, From and Contact are any; registrations aren't taken here"
    bext01 "3.3.5": Status(420), Status(420), Status(420); "420 with what Require names; Proxy-Require is for proxies"
    invut "3.3.6": Status(415), Status(415), Status(415); "a body of unknown type: 415 with Accept"
    regaut01 "3.3.7": Status(405), Status(405), Status(405); "an unknown authorization scheme breaks nothing; registrations aren't taken here"
    multi01 "3.3.8": Status(400), Status(400), Status(400); "header fields that stand once, twice: 400"
    mcl01 "3.3.9": Status(400), ThenClosed(400), Status(400); "two Content-Lengths: as bad as none"
    bcast "3.3.10": Silence, Silence, Silence; "a second Via: not for us, and surely not forwarded to 255.255.255.255"
    zeromf "3.3.11": Status(200), Status(200), Status(200); "an endpoint takes it as if it were positive"
    cparam01 "3.3.12": Status(405), Status(405), Status(405); "registrations aren't taken here; the parameter is the Contact's"
    cparam02 "3.3.13": Status(405), Status(405), Status(405); "registrations aren't taken here; the parameter is the URI's"
    regescrt "3.3.14": Status(405), Status(405), Status(405); "registrations aren't taken here; the escaped Route obliges nobody"
    sdp01 "3.3.15": Status(406), Status(406), Status(406); "no session description is accepted in answer, so that there can be none"
    inv2543 "3.4.1": Call, ThenClosed(400), Offer; "legal in RFC 2543 and to be accepted; without Content-Length not on a stream (RFC 3261 §18.3)"
}

#[test]
fn every_message_meets_its_fate_raw_and_in_a_call() {
    assert_eq!(TABLE.len(), 49);
    let mut wrong = Vec::new();
    for (name, section, expected, why) in TABLE {
        let message = bytes_of(name);
        let seen = [over_udp(&message), over_tcp(&message), in_a_call(&message)];
        if seen != *expected {
            wrong.push(format!("{name} ({section}): {seen:?}, expected {expected:?}: {why}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn in_a_call_on_a_stream_only_framing_makes_a_difference() {
    for (name, section, [udp, tcp, call], _) in TABLE {
        let expected = if udp == tcp { call } else { tcp };
        assert_eq!(in_a_call_over_tcp(&bytes_of(name)), *expected, "{name} ({section})");
    }
}

#[test]
fn under_tls_their_fate_is_that_on_any_stream() {
    for (name, section, [_, tcp, _], _) in TABLE {
        assert_eq!(over_tls(&bytes_of(name)), *tcp, "{name} ({section})");
    }
}

#[test]
fn refusals_say_what_the_rfc_wants_them_to_say() {
    for (name, header, value) in [
        // 3.3.5: those of Require, not those of Proxy-Require.
        ("bext01", "Unsupported", "nothingSupportsThis, nothingSupportsThisEither"),
        ("invut", "Accept", "application/sdp"),
    ] {
        assert_eq!(answer_to(&bytes_of(name)).header(header), value, "{name}");
    }
    for name in ["intmeth", "esc02", "escnull", "mpart01", "regaut01"] {
        assert!(answer_to(&bytes_of(name)).header("Allow").contains("INVITE"), "{name}");
    }
}
