//! The 49 torture messages of RFC 4475, each with what becomes of it: over datagrams, over a stream, and for those that
//! are accepted what the RFC says must be read from them.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // helpers of tests

use bytes::Bytes;
use sip::framing::{Framed, StreamFramer};
use sip::message::{
    Framing, HeaderName, Message, Method, ParseError, Request, Response, ResponseBuilder, Scheme, SilentKind,
    StatusCode, SubscriptionStatus, Transport, parse, validate,
};

/// What becomes of a message before anything but the message itself is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// Goes on to transactions, dialogs and user agents.
    Accepted,
    /// Answered with this status.
    Rejected(u16),
    /// Dropped without a word.
    Dropped(SilentKind),
}

use Fate::{Accepted, Dropped, Rejected};

macro_rules! messages {
    ($($name:ident $section:literal $hash:literal $fate:expr;)*) => {
        /// Name, section of RFC 4475, FNV-1a of the file, fate of the file as a datagram.
        const TABLE: &[(&str, &str, u64, Fate)] = &[$((stringify!($name), $section, $hash, $fate)),*];

        fn bytes_of(name: &str) -> Bytes {
            match name {
                $(stringify!($name) => Bytes::from_static(include_bytes!(
                    concat!("../../tests/golden/rfc4475/", stringify!($name), ".dat")
                )),)*
                other => panic!("no message {other}"),
            }
        }
    };
}

messages! {
    wsinv "3.1.1.1" 0xc7051bc60630dd66 Accepted;
    intmeth "3.1.1.2" 0xefc5a6639689c901 Accepted;
    esc01 "3.1.1.3" 0xec3a89e6cfc7f7d3 Accepted;
    escnull "3.1.1.4" 0xb56d30c764dfda07 Accepted;
    esc02 "3.1.1.5" 0x62cb87491c374bac Accepted;
    lwsdisp "3.1.1.6" 0xfddf345468a3c69e Accepted;
    longreq "3.1.1.7" 0x826a0e847279a9cf Accepted;
    dblreq "3.1.1.8" 0x08d59c7b17b51898 Accepted;
    semiuri "3.1.1.9" 0xa56af3bfc9984ba8 Accepted;
    transports "3.1.1.10" 0xb5ee333f37864986 Accepted;
    mpart01 "3.1.1.11" 0x79c7ba2da508b7cc Accepted;
    unreason "3.1.1.12" 0xc247cf6222f366e8 Accepted;
    noreason "3.1.1.13" 0xc7dd437a2330c017 Accepted;
    badinv01 "3.1.2.1" 0xabaf1cddce2ea338 Rejected(400);
    clerr "3.1.2.2" 0x048fd6b0ed5a1a75 Rejected(400);
    ncl "3.1.2.3" 0x1f9bbbde223cb2c6 Rejected(400);
    scalar02 "3.1.2.4" 0xc23f618a952b0e96 Rejected(400);
    scalarlg "3.1.2.5" 0x5e9dbcfa9e8e388a Dropped(SilentKind::BadResponse);
    quotbal "3.1.2.6" 0x62a5577280c50f2f Rejected(400);
    ltgtruri "3.1.2.7" 0x2ceeb62f11694e71 Rejected(400);
    lwsruri "3.1.2.8" 0xc1c1ec17518ccf31 Rejected(400);
    lwsstart "3.1.2.9" 0xdf4b31726f402355 Rejected(400);
    trws "3.1.2.10" 0x5a81eef6f34f1cb2 Rejected(400);
    escruri "3.1.2.11" 0x070537f84f57dd85 Rejected(400);
    baddate "3.1.2.12" 0x265f9e6d86b5ba08 Accepted;
    regbadct "3.1.2.13" 0xa0dab8bfdaebd906 Rejected(400);
    badaspec "3.1.2.14" 0x7e1cfaecb78547af Rejected(400);
    baddn "3.1.2.15" 0xf268e8fe9ff92bc4 Rejected(400);
    badvers "3.1.2.16" 0x283ed8cfdeccee32 Rejected(505);
    mismatch01 "3.1.2.17" 0x124ddd18f0b9a13f Rejected(400);
    mismatch02 "3.1.2.18" 0x641642bf6e8fb847 Rejected(501);
    bigcode "3.1.2.19" 0x0fe11f07c50aa700 Dropped(SilentKind::BadResponse);
    badbranch "3.2.1" 0x6c8e3cc392912213 Accepted;
    insuf "3.3.1" 0xaa9a527d3841118a Rejected(400);
    unkscm "3.3.2" 0x1d6f622055559894 Rejected(416);
    novelsc "3.3.3" 0x8606552427ad773c Rejected(416);
    unksm2 "3.3.4" 0xbc48aaa6ed289a4e Accepted;
    bext01 "3.3.5" 0xcf32cb299e3b2855 Accepted;
    invut "3.3.6" 0x3a270866ea0c1a10 Accepted;
    regaut01 "3.3.7" 0x917fc9d7d8cbb377 Accepted;
    multi01 "3.3.8" 0xcace3d3fc5ebec32 Rejected(400);
    mcl01 "3.3.9" 0x1b8671ee4a6565dc Rejected(400);
    bcast "3.3.10" 0x686484117d5dd3b5 Accepted;
    zeromf "3.3.11" 0x68b5a926f0d5a7ce Accepted;
    cparam01 "3.3.12" 0x9bd8d4c02b2b48c5 Accepted;
    cparam02 "3.3.13" 0x90bfd4f71bb46b30 Accepted;
    regescrt "3.3.14" 0x4c9af98d7f224310 Accepted;
    sdp01 "3.3.15" 0xe25f6ed406510a4a Accepted;
    inv2543 "3.4.1" 0xa64bd28b9502694a Accepted;
}

fn fate(message: Result<Message, ParseError>) -> Fate {
    match message {
        Ok(Message::Request(request)) => match validate(&request) {
            Ok(()) => Accepted,
            Err(reject) => Rejected(reject.status.as_u16()),
        },
        // What a response must hold is its transaction's business; one without a readable CSeq belongs to none.
        Ok(Message::Response(response)) if response.headers().cseq().is_err() => {
            Dropped(SilentKind::BadResponse)
        }
        Ok(Message::Response(_)) => Accepted,
        Err(ParseError::Reply(bad)) => {
            answerable(&bad.request, bad.status, bad.reason);
            Rejected(bad.status.as_u16())
        }
        Err(ParseError::Silent(kind)) => Dropped(kind),
    }
}

/// A refusal can be built, is a readable response and goes the way the request came.
fn answerable(request: &Request, status: StatusCode, reason: &str) {
    let response = ResponseBuilder::reply_to(request, status).reason(reason).to_tag(b"x").build();
    let Ok(Message::Response(read)) = parse(response.as_bytes().clone(), Framing::Stream) else {
        panic!("{:?} is no response", response.as_bytes())
    };
    assert_eq!(read.headers().get(HeaderName::Via), request.headers().get(HeaderName::Via));
    assert_eq!((read.status(), read.reason()), (status, reason.as_bytes()));
}

fn request(name: &str) -> Request {
    match parse(bytes_of(name), Framing::Datagram) {
        Ok(Message::Request(request)) => {
            assert_eq!(validate(&request), Ok(()), "{name}");
            request
        }
        other => panic!("{name}: {other:?}"),
    }
}

fn response(name: &str) -> Response {
    match parse(bytes_of(name), Framing::Datagram) {
        Ok(Message::Response(response)) => response,
        other => panic!("{name}: {other:?}"),
    }
}

fn other(name: &str) -> HeaderName {
    HeaderName::from_bytes(name.as_bytes()).unwrap()
}

fn fnv(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash, &b| (hash ^ u64::from(b)).wrapping_mul(0x0000_0100_0000_01b3))
}

#[test]
fn the_golden_files_are_the_49_of_the_rfc_byte_for_byte() {
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/golden/rfc4475");
    let mut files: Vec<_> = std::fs::read_dir(directory)
        .unwrap()
        .filter_map(|entry| Some(entry.unwrap().file_name().to_str()?.strip_suffix(".dat")?.to_owned()))
        .collect();
    files.sort();
    let mut names: Vec<_> = TABLE.iter().map(|(name, ..)| (*name).to_owned()).collect();
    names.sort();
    assert_eq!((files, TABLE.len()), (names, 49));
    for (name, _, hash, _) in TABLE {
        assert_eq!(fnv(&bytes_of(name)), *hash, "{name} (0x{:016x})", fnv(&bytes_of(name)));
    }
}

#[test]
fn every_datagram_meets_its_fate() {
    for (name, section, _, expected) in TABLE {
        assert_eq!(fate(parse(bytes_of(name), Framing::Datagram)), *expected, "{name}, section {section}");
    }
}

#[test]
fn every_message_meets_the_same_fate_in_a_stream() {
    for (name, section, _, datagram) in TABLE {
        let mut framer = StreamFramer::new();
        framer.push(&bytes_of(name));
        let first = framer.by_ref().find_map(|framed| match framed {
            Ok(Framed::Message(message)) => Some(fate(parse(message, Framing::Stream))),
            Ok(_) => None,
            Err(error) => panic!("{name}: {error}"),
        });
        let expected = match *name {
            // The rest of the body, or the empty line, never comes: the connection waits for it, and is closed as a slow
            // one.
            "clerr" | "baddn" => None,
            // Content-Length may be left out of datagrams only (RFC 3261 §18.3).
            "inv2543" => Some(Rejected(400)),
            _ => Some(*datagram),
        };
        assert_eq!(first, expected, "{name}, section {section}");
    }
}

#[test]
fn a_refusal_is_built_from_every_request_that_has_a_via() {
    for (name, ..) in TABLE {
        if let Ok(Message::Request(request)) = parse(bytes_of(name), Framing::Datagram) {
            answerable(&request, StatusCode::BAD_REQUEST, "Bad Request");
        }
    }
}

#[test]
fn wsinv_3_1_1_1_is_read_through_its_white_space_and_folds() {
    let r = request("wsinv");
    let h = r.headers();
    assert_eq!((r.method(), r.uri().param("unknownparam")), (&Method::Invite, Some(None)));
    assert_eq!(h.to().unwrap().tag(), Some(&b"1918181833n"[..]));
    let from = h.from().unwrap();
    assert_eq!(from.display.as_deref(), Some(&br#"J Rosenberg \""#[..]));
    assert_eq!(from.tag(), Some(&b"98asjd8"[..]));
    assert_eq!(h.max_forwards(), Ok(Some(68)));
    assert_eq!(h.cseq().unwrap().to_string(), "9 INVITE");
    let vias = h.vias().unwrap();
    let seen: Vec<_> = vias.iter().map(|v| (v.transport().clone(), v.host.to_string(), v.branch())).collect();
    assert_eq!(
        seen,
        [
            (Transport::Udp, "192.0.2.2".to_owned(), Some(&b"390skdjuw"[..])),
            (Transport::Tcp, "spindle.example.com".to_owned(), Some(&b"z9hG4bK9ikj8"[..])),
            (Transport::Udp, "192.168.255.111".to_owned(), Some(&b"z9hG4bK30239"[..])),
        ]
    );
    assert_eq!(h.get(HeaderName::Subject), Some(&b""[..]));
    assert_eq!(h.get(other("NewFangledHeader")), Some(&b"newfangled value continued newfangled value"[..]));
    assert_eq!(h.get(other("unknownheaderwithunusualvalue")), Some(&b";;,,;;,;"[..]));
    let route = &h.routes().unwrap()[0];
    assert_eq!((route.uri.param("lr"), route.uri.param("unknown-no-value")), (Some(None), Some(None)));
    assert_eq!(route.uri.param("unknownwith"), Some(Some(&b"value"[..])));
    let contact = &h.contacts().unwrap()[0];
    assert_eq!(contact.display.as_deref(), Some(&br#"Quoted string """#[..]));
    assert_eq!(contact.param("newparam"), Some(Some(&b"newvalue"[..])));
    assert_eq!((contact.param("secondparam"), contact.param("q")), (Some(None), Some(Some(&b"0.33"[..]))));
    assert!(h.content_type().unwrap().unwrap().is("application", "sdp"));
    assert_eq!(r.body().len(), 150);
}

#[test]
fn intmeth_3_1_1_2_keeps_every_unusual_character() {
    let r = request("intmeth");
    let h = r.headers();
    assert_eq!(r.method().as_str(), "!interesting-Method0123456789_*+`.%indeed'~");
    assert_eq!(r.uri().user(), Some(&b"1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*"[..]));
    assert_eq!(r.uri().password(), Some(&b"&it+has=1,weird!*pas$wo~d_too.(doesn't-it)"[..]));
    assert_eq!(r.uri().host().unwrap().to_string(), "example.com");
    assert_eq!(h.to().unwrap().display.as_deref(), Some(&b"BEL:\x07 NUL:\0 DEL:\x7f"[..]));
    let from = h.from().unwrap();
    assert_eq!(from.display.as_deref(), Some(&b"token1~` token2'+_ token3*%!.-"[..]));
    assert_eq!(
        from.params.get_unquoted("fromParam''~+*_!.-%").as_deref(),
        Some("\u{440}\u{430}\u{431}\u{43e}\u{442}\u{430}\u{44e}\u{449}\u{438}\u{439}".as_bytes())
    );
    assert_eq!(from.tag(), Some(&b"_token~1'+`*%!-."[..]));
    assert_eq!(h.call_id(), Ok(&br#"intmeth.word%ZK-!.*_+'@word`~)(><:\/"][?}{"#[..]));
    assert_eq!(h.top_via().unwrap().branch(), Some(&b"z9hG4bK-.!%66*_+`'~"[..]));
    assert_eq!((h.max_forwards(), h.cseq().unwrap().number), (Ok(Some(255)), 139_122_385));
    assert_eq!(
        h.get(other("extensionHeader-!.%*+_`'~")),
        Some("\u{feff}\u{5927}\u{505c}\u{96fb}".as_bytes())
    );
}

#[test]
fn esc01_3_1_1_3_escapes_are_kept_and_can_be_undone() {
    let r = request("esc01");
    let h = r.headers();
    assert_eq!(r.uri().scheme(), Scheme::Sip);
    assert_eq!(r.uri().user(), Some(&b"sips%3Auser%40example.com"[..]));
    assert_eq!(r.uri().user_decoded().as_deref(), Some(&b"sips:user@example.com"[..]));
    assert_eq!(r.uri().host().unwrap().to_string(), "example.net");
    assert_eq!(h.to().unwrap().uri.user_decoded().as_deref(), Some(&b"user"[..]));
    assert_eq!(h.from().unwrap().uri.user_decoded().as_deref(), Some(&b"I have spaces"[..]));
    let contact = &h.contacts().unwrap()[0];
    assert_eq!(contact.uri.user_decoded().as_deref(), Some(&b"caller"[..]));
    // Compared, not decoded twice: `%6C%72` is `lr`, `v%61lue%25%34%31` is `value%41`.
    let same = sip::message::Uri::parse(b"sip:caller@host5.example.net;lr;name=value%2541").unwrap();
    assert!(contact.uri.host() == same.host() && contact.uri.param("%6C%72") == Some(None));
    assert_eq!(contact.uri.param("n%61me"), Some(Some(&b"v%61lue%25%34%31"[..])));
}

#[test]
fn escnull_3_1_1_4_distinguishes_one_nul_from_two() {
    let r = request("escnull");
    let h = r.headers();
    assert_eq!(h.to().unwrap().uri.user_decoded().as_deref(), Some(&b"null-\0-null"[..]));
    assert_eq!(h.from().unwrap().uri, h.to().unwrap().uri);
    let contacts = h.contacts().unwrap();
    assert_eq!(contacts.len(), 2);
    assert_ne!(contacts[0].uri, contacts[1].uri);
    assert_eq!(h.content_length(), Ok(Some(0)));
}

#[test]
fn esc02_3_1_1_5_percent_means_nothing_in_methods_and_names() {
    let r = request("esc02");
    assert!(matches!(r.method(), Method::Other(_)));
    assert_eq!(r.method().as_str(), "RE%47IST%45R");
    let contacts: Vec<_> = r.headers().contacts().unwrap().iter().map(|c| c.uri.to_string()).collect();
    assert_eq!(contacts, ["sip:alias1@host1.example.com", "sip:alias3@host3.example.com"]);
    assert_eq!(r.headers().get(other("C%6Fntact")), Some(&b"<sip:alias2@host2.example.com>"[..]));
    assert_eq!(r.headers().to().unwrap().display.as_deref(), Some(&b"%Z%45"[..]));
}

#[test]
fn lwsdisp_3_1_1_6_needs_no_space_before_the_bracket() {
    let from = request("lwsdisp").headers().from().unwrap();
    assert_eq!(from.display.as_deref(), Some(&b"caller"[..]));
    assert_eq!((from.uri.to_string().as_str(), from.tag()), ("sip:caller@example.com", Some(&b"323"[..])));
}

#[test]
fn longreq_3_1_1_7_is_not_too_long() {
    let r = request("longreq");
    let h = r.headers();
    let to = h.to().unwrap();
    assert!(to.display.as_ref().unwrap().starts_with(b"I have a user name of extreme"));
    assert_eq!(to.uri.port(), Some(6000));
    assert!(h.from().unwrap().tag().unwrap().starts_with(b"129829829"));
    assert_eq!(h.vias().unwrap().len(), 34);
    assert!(
        h.top_via().unwrap().transport() == &Transport::Tcp && h.call_id().unwrap().ends_with(b"longcallid")
    );
    assert_eq!(h.contacts().unwrap().len(), 1);
    assert_eq!(r.body().len(), h.content_length().unwrap().unwrap());
}

#[test]
fn dblreq_3_1_1_8_is_one_request_in_a_datagram_and_two_in_a_stream() {
    let r = request("dblreq");
    assert_eq!((r.method(), r.body().len()), (&Method::Register, 0));
    assert!(r.as_bytes().ends_with(b"\r\n\r\n") && !r.as_bytes().windows(6).any(|w| w == b"INVITE"));
    let mut framer = StreamFramer::new();
    framer.push(&bytes_of("dblreq"));
    let methods: Vec<_> = framer
        .filter_map(|framed| match framed {
            Ok(Framed::Message(bytes)) => match parse(bytes, Framing::Stream).unwrap() {
                Message::Request(request) => Some(request.method().clone()),
                Message::Response(_) => None,
            },
            // What follows is the part of the second body that its Content-Length leaves out.
            _ => None,
        })
        .collect();
    assert_eq!(methods, [Method::Register, Method::Invite]);
}

#[test]
fn semiuri_3_1_1_9_semicolon_is_part_of_the_user() {
    let r = request("semiuri");
    assert_eq!(r.uri().user(), Some(&b"user;par=u%40example.net"[..]));
    assert!(r.uri().params().is_empty());
    let accept = r.headers().accept().unwrap().unwrap();
    assert_eq!(accept.len(), 6);
    assert!(accept[5].media_type.is("message", "sipfrag"));
}

#[test]
fn transports_3_1_1_10_are_all_known_or_kept() {
    let transports: Vec<_> =
        request("transports").headers().vias().unwrap().iter().map(|v| v.transport().to_string()).collect();
    assert_eq!(transports, ["UDP", "SCTP", "TLS", "UNKNOWN", "TCP"]);
}

#[test]
fn mpart01_3_1_1_11_body_is_opaque_and_whole() {
    let r = request("mpart01");
    let content_type = r.headers().content_type().unwrap().unwrap();
    assert!(content_type.is("multipart", "mixed"));
    assert_eq!(content_type.params.value("boundary"), Some(&b"7a9cbec02ceef655"[..]));
    assert_eq!(r.body().len(), 553);
    assert!(r.body().contains(&0));
    assert_eq!(r.headers().top_via().unwrap().rport(), Some(None));
    assert_eq!(r.headers().date().unwrap(), Some(&b"Sat, 15 Oct 2005 04:44:56 GMT"[..]));
}

#[test]
fn unreason_3_1_1_12_and_noreason_3_1_1_13_phrases_are_any_text() {
    let r = response("unreason");
    assert_eq!(r.status(), StatusCode::OK);
    assert!(r.reason().starts_with(b"= 2**3 * 5**2 \xd0\xbd\xd0\xbe"));
    let r = response("noreason");
    assert_eq!((r.status(), r.reason()), (StatusCode::TRYING, &b""[..]));
}

#[test]
fn baddate_3_1_2_12_the_date_is_seen_to_be_wrong_and_ignored() {
    let r = request("baddate");
    assert!(r.headers().date().is_err());
    assert_eq!(r.headers().get(HeaderName::Date), Some(&b"Fri, 01 Jan 2010 16:00:00 EST"[..]));
}

#[test]
fn badbranch_3_2_1_the_cookie_alone_is_not_a_branch() {
    let via = request("badbranch").headers().top_via().unwrap();
    assert_eq!(via.branch(), Some(&b"z9hG4bK"[..]));
    assert!(!via.has_magic_cookie());
}

#[test]
fn unksm2_3_3_4_unknown_schemes_in_header_fields_can_be_read() {
    let r = request("unksm2");
    let schemes = [
        r.headers().to().unwrap().uri.scheme_str().to_owned(),
        r.headers().from().unwrap().uri.scheme_str().to_owned(),
        r.headers().contacts().unwrap()[0].uri.scheme_str().to_owned(),
    ];
    assert_eq!(schemes, ["isbn", "http", "name"]);
}

#[test]
fn what_the_receiver_decides_by_can_be_read() {
    // 420: bext01, section 3.3.5
    let require = request("bext01").headers().require().unwrap();
    assert_eq!(
        require.iter().collect::<Vec<_>>(),
        [&b"nothingSupportsThis"[..], b"nothingSupportsThisEither"]
    );
    // 415: invut, section 3.3.6
    assert!(request("invut").headers().content_type().unwrap().unwrap().is("application", "unknownformat"));
    // The authorization is of a scheme nobody knows: regaut01, section 3.3.7
    let authorization = HeaderName::Authorization;
    assert_eq!(
        request("regaut01").headers().get(authorization),
        Some(&b"NoOneKnowsThisScheme opaque-data=here"[..])
    );
    // 483 or an answer: zeromf, section 3.3.11
    assert_eq!(request("zeromf").headers().max_forwards(), Ok(Some(0)));
    // 406: sdp01, section 3.3.15
    let accept = request("sdp01").headers().accept().unwrap().unwrap();
    assert!(!accept.iter().any(|range| range.matches("application", "sdp")));
}

#[test]
fn bcast_3_3_10_has_a_via_below_its_own() {
    let r = response("bcast");
    let hosts: Vec<_> = r.headers().vias().unwrap().iter().map(|v| v.host.to_string()).collect();
    assert_eq!(hosts, ["192.0.2.198", "255.255.255.255"]);
}

#[test]
fn contact_parameters_belong_where_they_stand() {
    // cparam01 and cparam02, sections 3.3.12 and 3.3.13: outside and inside the brackets
    let outside = &request("cparam01").headers().contacts().unwrap()[0];
    assert_eq!((outside.param("unknownparam"), outside.uri.param("unknownparam")), (Some(None), None));
    let inside = &request("cparam02").headers().contacts().unwrap()[0];
    assert_eq!((inside.param("unknownparam"), inside.uri.param("unknownparam")), (None, Some(None)));
    // regescrt, section 3.3.14: the header is part of what is registered
    let escaped = &request("regescrt").headers().contacts().unwrap()[0];
    assert_eq!(escaped.uri.header("route").as_deref(), Some(&b"<sip:sip.example.com>"[..]));
}

#[test]
fn inv2543_3_4_1_is_a_request_of_an_older_time() {
    let r = request("inv2543");
    let h = r.headers();
    assert!(!h.top_via().unwrap().has_magic_cookie() && h.from().unwrap().tag().is_none());
    assert_eq!(h.record_routes().unwrap()[0].uri.param("maddr"), Some(Some(&b"ss1.example.com"[..])));
    // Without brackets `user=phone` belongs to the header field.
    assert_eq!(h.to().unwrap().param("user"), Some(Some(&b"phone"[..])));
    assert_eq!(
        (h.max_forwards(), h.subscription_state().unwrap().map(|s| s.status)),
        (Ok(None), None::<SubscriptionStatus>)
    );
}

#[test]
fn refusals_name_what_is_wrong() {
    for (name, reason) in [
        ("badinv01", "Malformed Via Header Field"),
        ("clerr", "Body Shorter Than Content-Length"),
        ("ncl", "Malformed Content-Length Header Field"),
        ("scalar02", "Malformed CSeq Header Field"),
        ("quotbal", "Malformed To Header Field"),
        ("ltgtruri", "Malformed Request-URI"),
        ("lwsruri", "Malformed Request-URI"),
        ("lwsstart", "Malformed Request-Line"),
        ("trws", "Malformed Request-Line"),
        ("escruri", "Headers in Request-URI"),
        ("regbadct", "Malformed Contact Header Field"),
        ("badaspec", "Malformed To Header Field"),
        // The file has no empty line; the display name is looked at below.
        ("baddn", "Unfinished Header Section"),
        ("mismatch01", "CSeq Method Does Not Match Request Method"),
        ("insuf", "Missing From Header Field"),
        ("multi01", "Repeated From Header Field"),
        ("mcl01", "Repeated Content-Length Header Field"),
    ] {
        let seen = match parse(bytes_of(name), Framing::Datagram) {
            Ok(Message::Request(request)) => validate(&request).unwrap_err().reason,
            Err(ParseError::Reply(bad)) => bad.reason,
            other => panic!("{name}: {other:?}"),
        };
        assert_eq!(seen, reason, "{name}");
    }
    let finished = [&bytes_of("baddn")[..], b"\r\n"].concat();
    let Ok(Message::Request(baddn)) = parse(finished.into(), Framing::Datagram) else { panic!() };
    assert_eq!(validate(&baddn).unwrap_err().reason, "Malformed From Header Field");
}
