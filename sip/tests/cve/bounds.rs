//! Lengths and bounds: buffers that were too small, numbers that wrapped, pointers into nothing.

use bytes::Bytes;
use sip::message::{Framing, limits, parse, validate};

use crate::memory::taken;
use crate::rig::{Caller, PEER, Rig, udp_from};

/// Gives the endpoint a message and says what came of it: the one status, or nothing.
fn status_of(message: &str) -> Option<u16> {
    let mut rig = Rig::new();
    rig.give(message);
    let sent = rig.sent_in_short();
    assert!(sent.len() <= 1, "{sent:?}");
    sent.first().map(|status| status.parse().unwrap())
}

fn options() -> String {
    Caller::new(1).next("OPTIONS", "", "")
}

fn with(line: &str, instead: &str) -> String {
    let message = options();
    let old = message.lines().find(|l| l.starts_with(line)).expect("a line of it").to_owned();
    message.replacen(&old, instead, 1)
}

/// CVE-2017-9372 (pjproject, AST-2017-002): a CSeq method longer than the buffer for the key that RFC 2543 makes of a
/// request whose Via has no branch.
#[test]
fn cve_2017_9372_a_long_method_and_no_branch() {
    let method = "M".repeat(4_000);
    let mut message = options().replace(";branch=", ";x=").replace("OPTIONS", &method);
    assert_eq!(status_of(&message), Some(501));
    // An INVITE of that kind gets a transaction by the rules of RFC 2543, and its retransmission finds it.
    let mut caller = Caller::new(1);
    caller.call_id = "c".repeat(8_000);
    message = caller.invite("").replace(";branch=", ";x=");
    let mut rig = Rig::new();
    rig.give(&message);
    rig.give(&message);
    assert_eq!(rig.sent_in_short(), ["100", "100"]);
    assert_eq!((rig.events().len(), rig.endpoint.transaction_count()), (1, 1));
}

/// CVE-2018-16657 (Kamailio): an invalid Via led to a checksum over a string that wasn't there.
#[test]
fn cve_2018_16657_a_via_that_is_none() {
    for via in [
        "",
        " ",
        ";",
        "SIP/2.0/UDP",
        "SIP/2.0/UDP ;branch=z9hG4bK1",
        "SIP/2.0/UDP :5060",
        "\u{1}",
        ",",
        "SIP/2.0/UDP h,",
    ] {
        assert_eq!(
            status_of(&with("Via:", &format!("Via: {via}"))),
            if via.trim().is_empty() { None } else { Some(400) },
            "{via:?}"
        );
    }
}

/// CVE-2018-14767 (Kamailio): two To header fields, one of them with an empty tag.
#[test]
fn cve_2018_14767_two_tos_and_an_empty_tag() {
    let doubled = with("To:", "To: <sip:a@b>;tag=\r\nTo: <sip:a@b>");
    assert_eq!(status_of(&doubled), Some(400));
    for tag in [";tag=", ";tag", ";tag=\"\"", ";tag= ;tag=x"] {
        let status = status_of(&with("To:", &format!("To: <sip:a@b>{tag}")));
        assert!(matches!(status, Some(200 | 400 | 481)), "{tag}: {status:?}");
    }
}

/// CVE-2022-21723 (pjproject, AST-2022-006): a multipart body whose last boundary is cut off was read beyond its end.
#[test]
fn cve_2022_21723_multipart_bodies_that_end_anywhere() {
    const WHOLE: &str = "--b\r\nContent-Type: application/sdp\r\n\r\nv=0\r\ns=-\r\n\r\n--b--\r\n";
    for boundary in ["b", "\"b\"", "\"b", "", "b;x=y", &"b".repeat(200)] {
        for length in 0..=WHOLE.len() {
            let mut caller = Caller::new(1);
            let kind = format!("Content-Type: multipart/mixed;boundary={boundary}\r\n");
            let message = caller.next("INVITE", &kind, &WHOLE[..length]);
            let status = status_of(&message);
            assert!(matches!(status, Some(100 | 400 | 415)), "{boundary:?}, {length}: {status:?}");
        }
    }
}

/// Content-Lengths that wrapped, went negative, or were believed before the body was there: 2^64−1 made a parser in
/// Rust go deaf, too.
#[test]
fn content_lengths_of_every_size() {
    for length in [
        "-1",
        "+0",
        "0x10",
        "4294967295",
        "4294967296",
        "9223372036854775807",
        "18446744073709551615",
        "18446744073709551616",
        "99999999999999999999999999999999999999",
        "1 1",
        "",
    ] {
        let message = with("Content-Length:", &format!("Content-Length: {length}"));
        let (_, bytes, status) = taken(|| status_of(&message));
        assert!(matches!(status, Some(400 | 513)), "{length:?}: {status:?}");
        assert!(bytes < 100_000, "{bytes} bytes for a promise of {length:?}");
    }
    // The one after it is served all the same.
    assert_eq!(status_of(&options()), Some(200));
}

/// Numbers beyond their type, in every header field that has one.
#[test]
fn numbers_beyond_their_type() {
    for (line, name, statuses) in [
        ("CSeq:", "CSeq: 4294967296 OPTIONS", &[400][..]),
        ("CSeq:", "CSeq: 4294967295 OPTIONS", &[200]),
        ("Max-Forwards:", "Max-Forwards: 256", &[400]),
        ("Max-Forwards:", "Max-Forwards: 99999999999999999999", &[400]),
        ("Max-Forwards:", "Max-Forwards: 70\r\nExpires: 99999999999999999999", &[200]),
        ("Max-Forwards:", "Max-Forwards: 70\r\nSession-Expires: 99999999999", &[200, 400]),
        ("Max-Forwards:", "Max-Forwards: 70\r\nMin-SE: 99999999999", &[200, 400]),
        ("Max-Forwards:", "Max-Forwards: 70\r\nTimestamp: 1e999999999", &[200]),
        ("Via:", "Via: SIP/2.0/UDP h:65536;branch=z9hG4bK1", &[400]),
        ("Via:", "Via: SIP/2.0/UDP h:99999999999999999999;branch=z9hG4bK1", &[400]),
        ("Via:", "Via: SIP/2.0/UDP h;ttl=999;rport=99999;received=1.2.3.4.5;branch=z9hG4bK1", &[200, 400]),
        ("From:", "From: <sip:a@b:99999>;tag=1", &[400]),
    ] {
        let status = status_of(&with(line, name)).unwrap_or(0);
        assert!(statuses.contains(&status), "{name}: {status}");
    }
}

/// Unbounded work and memory: CVE-2018-7284 (Asterisk, AST-2018-004: more Accept header fields than there was room
/// for). The largest messages take memory in proportion to their size.
#[test]
fn the_largest_messages_take_memory_in_proportion() {
    let fill = |line: &str| {
        let message = options();
        let lines = (limits::DATAGRAM - message.len()) / line.len();
        let most = lines.min(limits::HEADER_FIELDS + 10);
        message.replacen("Max-Forwards", &format!("{}Max-Forwards", line.repeat(most)), 1)
    };
    let list = |name: &str, piece: &str| {
        fill(&format!("{name}: {}{piece}\r\n", format!("{piece},").repeat(60_000 / (piece.len() + 1))))
    };
    for message in [
        fill("Accept: application/sdp\r\n"),
        fill("Via: SIP/2.0/UDP h\r\n"),
        fill("Record-Route: <sip:p;lr>\r\n"),
        list("Contact", "<sip:a@b>"),
        list("Via", "SIP/2.0/UDP h"),
        list("Record-Route", "<sip:p;lr>"),
        list("Accept", "a/b"),
        list("Supported", "a"),
        list("Require", "a"),
        list("Allow", "A"),
        fill(&format!("From: {}\r\n", "\"\\".repeat(30_000))),
        fill(&format!("Contact: <sip:a@b{}>\r\n", ";a=b".repeat(15_000))),
        fill(&format!("Contact: <sip:a@b?{}>\r\n", "a=b&".repeat(15_000))),
        fill(&format!("X:{}\r\n", "\r\n ".repeat(20_000))),
    ] {
        let message = Bytes::from(message);
        assert!(message.len() <= limits::DATAGRAM + 200, "{}", message.len());
        let mut rig = Rig::new();
        let (calls, bytes, ()) = taken(|| rig.give_bytes(udp_from(PEER), message.clone()));
        let sent = rig.sent();
        assert!(sent.len() <= 1);
        // A few copies of the message, and for each element of a list no more than a fixed few words.
        assert!(bytes <= 64 * limits::DATAGRAM, "{bytes} bytes in {calls} pieces for {:?}", &message[..200]);
        let answered: usize = sent.iter().map(|sent| sent.transmit.bytes.len()).sum();
        assert!(answered <= message.len() + 1_000, "{answered} bytes in answer to {}", message.len());
    }
}

/// CVE-2016-9938 (Asterisk, AST-2016-009): any control character counted as white space before the colon, so that a
/// proxy and the server behind it saw different To header fields. CVE-2020-28361 (Kamailio): a space there made a
/// header field survive its removal.
#[test]
fn names_end_where_the_grammar_says() {
    // SP and HTAB may stand there, and it is the same header field then (RFC 3261 §25.1 HCOLON).
    for space in [" ", "\t", " \t "] {
        let message = with("To:", &format!("To{space}: <sip:a@b>\r\nTo: <sip:c@d>"));
        assert_eq!(status_of(&message), Some(400), "two of them, however they are written: {space:?}");
        let Ok(sip::message::Message::Request(request)) =
            parse(Bytes::from(with("To:", &format!("To{space}: <sip:a@b>"))), Framing::Datagram)
        else {
            panic!("a request")
        };
        assert_eq!(validate(&request), Ok(()));
        assert_eq!(request.headers().to().unwrap().uri.to_string(), "sip:a@b");
    }
    for space in ["\u{1}", "\u{b}", "\u{c}", "\u{7f}", "\u{a0}", "\u{85}", "\u{200b}"] {
        let message = with("To:", &format!("To{space}: <sip:a@b>\r\nTo: <sip:c@d>"));
        assert_eq!(status_of(&message), Some(400), "{space:?}");
    }
}

/// Line ends and NULs of every kind (CVE-2011-2529, Asterisk, AST-2011-008: a NUL in a datagram): what one element takes
/// for the end of a header field another must not take for part of it.
#[test]
fn lone_line_ends_smuggle_nothing() {
    for end in ["\r", "\n", "\r\r\n", "\n\r", "\0\r\n"] {
        let message = with("Max-Forwards:", &format!("Max-Forwards: 70{end}Require: nothing"));
        let status = status_of(&message);
        assert_eq!(status, Some(400), "{end:?}");
    }
}
