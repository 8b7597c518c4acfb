//! RFC 5118, IPv6, message by message. Line ends are CRLF, as on a wire. The RFC's archive has LF, by which the
//! Content-Length of §4.6, §4.8 and §4.9 was counted (and miscounted: 268 and 181 for 242 and 180 octets); here it is
//! that of the body as it stands, and what becomes of the printed ones is a test of its own.

use bytes::Bytes;
use sip::message::{Framing, Headers, Message, Request, parse, validate};

use crate::disposition::{Fate, in_a_call, over_tcp, over_tls, over_udp};

use Fate::*;

/// Name, section, text, fate in a datagram, on a stream, in a call, and why.
const TABLE: &[(&str, &str, &str, [Fate; 3], &str)] = &[
    (
        "ipv6-good",
        "4.1",
        IPV6_GOOD,
        [Status(405); 3],
        "a reference in the Request-URI; registrations aren't taken",
    ),
    (
        "ipv6-bad",
        "4.2",
        IPV6_BAD,
        [Status(400); 3],
        "an address in the Request-URI without its brackets: 400",
    ),
    (
        "port-ambiguous",
        "4.3",
        PORT_AMBIGUOUS,
        [Status(405); 3],
        "well formed, though it doesn't mean what its author meant",
    ),
    ("port-unambiguous", "4.4", PORT_UNAMBIGUOUS, [Status(405); 3], "the port stands behind the bracket"),
    (
        "via-received-param-with-delim",
        "4.5",
        VIA_RECEIVED_WITH,
        [Status(481), Status(481), Status(200)],
        "brackets in `received` are wrong by the letter and to be accepted; a BYE of a call that isn't there",
    ),
    (
        "via-received-param-no-delim",
        "4.5",
        VIA_RECEIVED_NO,
        [Status(200); 3],
        "`received` as the grammar has it",
    ),
    ("ipv6-in-sdp", "4.6", IPV6_IN_SDP, [Call, Call, Offer], "addresses without brackets in the body"),
    (
        "mult-ip-in-header",
        "4.7",
        MULT_IP_IN_HEADER,
        [Status(481), Status(481), Status(200)],
        "Vias of both families; a BYE of a call that isn't there",
    ),
    ("mult-ip-in-sdp", "4.8", MULT_IP_IN_SDP, [Call, Call, Offer], "media of both families"),
    ("ipv4-mapped-ipv6", "4.9", IPV4_MAPPED, [Call, Call, Offer], "mapped addresses are read"),
    (
        "ipv6-bug-abnf-3-colons",
        "4.10",
        THREE_COLONS,
        [Status(200); 3],
        "what the grammar of RFC 3261 allows by mistake must be tolerated",
    ),
    ("ipv6-correct-abnf-2-colons", "4.10", TWO_COLONS, [Status(200); 3], "as it is right"),
];

const IPV6_GOOD: &str = "REGISTER sip:[2001:db8::10] SIP/2.0
To: sip:user@example.com
From: sip:user@example.com;tag=81x2
Via: SIP/2.0/UDP [2001:db8::9:1];branch=z9hG4bKas3-111
Call-ID: SSG9559905523997077@hlau_4100
Max-Forwards: 70
Contact: \"Caller\" <sip:caller@[2001:db8::1]>
CSeq: 98176 REGISTER
Content-Length: 0

";

const IPV6_BAD: &str = "REGISTER sip:2001:db8::10 SIP/2.0
To: sip:user@example.com
From: sip:user@example.com;tag=81x2
Via: SIP/2.0/UDP [2001:db8::9:1];branch=z9hG4bKas3-111
Call-ID: SSG9559905523997077@hlau_4100
Max-Forwards: 70
Contact: \"Caller\" <sip:caller@[2001:db8::1]>
CSeq: 98176 REGISTER
Content-Length: 0

";

const PORT_AMBIGUOUS: &str = "REGISTER sip:[2001:db8::10:5070] SIP/2.0
To: sip:user@example.com
From: sip:user@example.com;tag=81x2
Via: SIP/2.0/UDP [2001:db8::9:1];branch=z9hG4bKas3-111
Call-ID: SSG9559905523997077@hlau_4100
Contact: \"Caller\" <sip:caller@[2001:db8::1]>
Max-Forwards: 70
CSeq: 98176 REGISTER
Content-Length: 0

";

const PORT_UNAMBIGUOUS: &str = "REGISTER sip:[2001:db8::10]:5070 SIP/2.0
To: sip:user@example.com
From: sip:user@example.com;tag=81x2
Via: SIP/2.0/UDP [2001:db8::9:1];branch=z9hG4bKas3-111
Call-ID: SSG9559905523997077@hlau_4100
Contact: \"Caller\" <sip:caller@[2001:db8::1]>
Max-Forwards: 70
CSeq: 98176 REGISTER
Content-Length: 0

";

const VIA_RECEIVED_WITH: &str = "BYE sip:[2001:db8::10] SIP/2.0
To: sip:user@example.com;tag=bd76ya
From: sip:user@example.com;tag=81x2
Via: SIP/2.0/UDP [2001:db8::9:1];received=[2001:db8::9:255];branch=z9hG4bKas3-111
Call-ID: SSG9559905523997077@hlau_4100
Max-Forwards: 70
CSeq: 321 BYE
Content-Length: 0

";

const VIA_RECEIVED_NO: &str = "OPTIONS sip:[2001:db8::10] SIP/2.0
To: sip:user@example.com
From: sip:user@example.com;tag=81x2
Via: SIP/2.0/UDP [2001:db8::9:1];received=2001:db8::9:255;branch=z9hG4bKas3
Call-ID: SSG95523997077@hlau_4100
Max-Forwards: 70
Contact: \"Caller\" <sip:caller@[2001:db8::9:1]>
CSeq: 921 OPTIONS
Content-Length: 0

";

const IPV6_IN_SDP: &str = "INVITE sip:user@[2001:db8::10] SIP/2.0
To: sip:user@[2001:db8::10]
From: sip:user@example.com;tag=81x2
Via: SIP/2.0/UDP [2001:db8::20];branch=z9hG4bKas3-111
Call-ID: SSG9559905523997077@hlau_4100
Contact: \"Caller\" <sip:caller@[2001:db8::20]>
CSeq: 8612 INVITE
Max-Forwards: 70
Content-Type: application/sdp
Content-Length: 268

v=0
o=assistant 971731711378798081 0 IN IP6 2001:db8::20
s=Live video feed for today's meeting
c=IN IP6 2001:db8::20
t=3338481189 3370017201
m=audio 6000 RTP/AVP 2
a=rtpmap:2 G726-32/8000
m=video 6024 RTP/AVP 107
a=rtpmap:107 H263-1998/90000
";

const MULT_IP_IN_HEADER: &str = "BYE sip:user@host.example.net SIP/2.0
Via: SIP/2.0/UDP [2001:db8::9:1]:6050;branch=z9hG4bKas3-111
Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKjhja8781hjuaij65144
Via: SIP/2.0/TCP [2001:db8::9:255];branch=z9hG4bK451jj;received=192.0.2.200
Call-ID: 997077@lau_4100
Max-Forwards: 70
CSeq: 89187 BYE
To: sip:user@example.net;tag=9817--94
From: sip:user@example.com;tag=81x2
Content-Length: 0

";

const MULT_IP_IN_SDP: &str = "INVITE sip:user@[2001:db8::10] SIP/2.0
To: sip:user@[2001:db8::10]
From: sip:user@example.com;tag=81x2
Via: SIP/2.0/UDP [2001:db8::9:1];branch=z9hG4bKas3-111
Call-ID: SSG9559905523997077@hlau_4100
Contact: \"Caller\" <sip:caller@[2001:db8::9:1]>
Max-Forwards: 70
CSeq: 8912 INVITE
Content-Type: application/sdp
Content-Length: 181

v=0
o=bob 280744730 28977631 IN IP4 host.example.com
s=
t=0 0
m=audio 22334 RTP/AVP 0
c=IN IP4 192.0.2.1
m=video 6024 RTP/AVP 107
c=IN IP6 2001:db8::1
a=rtpmap:107 H263-1998/90000
";

const IPV4_MAPPED: &str = "INVITE sip:user@example.com SIP/2.0
To: sip:user@example.com
From: sip:user@east.example.com;tag=81x2
Via: SIP/2.0/UDP [::ffff:192.0.2.10]:19823;branch=z9hG4bKbh19
Via: SIP/2.0/UDP [::ffff:192.0.2.2];branch=z9hG4bKas3-111
Call-ID: SSG9559905523997077@hlau_4100
Contact: \"T. desk phone\" <sip:ted@[::ffff:192.0.2.2]>
CSeq: 612 INVITE
Max-Forwards: 70
Content-Type: application/sdp
Content-Length: 236

v=0
o=assistant 971731711378798081 0 IN IP6 ::ffff:192.0.2.2
s=Call me soon, please!
c=IN IP6 ::ffff:192.0.2.2
t=3338481189 3370017201
m=audio 6000 RTP/AVP 2
a=rtpmap:2 G726-32/8000
m=video 6024 RTP/AVP 107
a=rtpmap:107 H263-1998/90000
";

const THREE_COLONS: &str = "OPTIONS sip:user@[2001:db8:::192.0.2.1] SIP/2.0
To: sip:user@[2001:db8:::192.0.2.1]
From: sip:user@example.com;tag=810x2
Via: SIP/2.0/UDP lab1.east.example.com;branch=z9hG4bKas3-111
Call-ID: G9559905523997077@hlau_4100
CSeq: 689 OPTIONS
Max-Forwards: 70
Content-Length: 0

";

const TWO_COLONS: &str = "OPTIONS sip:user@[2001:db8::192.0.2.1] SIP/2.0
To: sip:user@[2001:db8::192.0.2.1]
From: sip:user@example.com;tag=810x2
Via: SIP/2.0/UDP lab1.east.example.com;branch=z9hG4bKas3-111
Call-ID: G9559905523997077@hlau_4100
CSeq: 689 OPTIONS
Max-Forwards: 70
Content-Length: 0

";

fn text(name: &str) -> &'static str {
    TABLE.iter().find(|(known, ..)| *known == name).expect("a message of the RFC").2
}

/// The text with the line ends of a wire, Content-Length as printed.
fn printed(text: &str) -> Bytes {
    Bytes::from(text.replace('\n', "\r\n"))
}

/// The same with the Content-Length that its body has.
fn wire(text: &str) -> Bytes {
    let message = text.replace('\n', "\r\n");
    let (head, body) = message.split_once("\r\n\r\n").unwrap();
    let (before, _) = head.split_once("Content-Length: ").expect("the last line of every head");
    Bytes::from(format!("{before}Content-Length: {}\r\n\r\n{body}", body.len()))
}

fn request(name: &str) -> Request {
    match parse(wire(text(name)), Framing::Datagram) {
        Ok(Message::Request(request)) => {
            assert_eq!(validate(&request), Ok(()), "{name}");
            request
        }
        other => panic!("{name}: {other:?}"),
    }
}

#[test]
fn every_message_meets_its_fate_raw_and_in_a_call() {
    let mut wrong = Vec::new();
    for (name, section, text, expected, why) in TABLE {
        let message = wire(text);
        let seen = [over_udp(&message), over_tcp(&message), in_a_call_or_bye(&message)];
        if seen != *expected {
            wrong.push(format!("{name} ({section}): {seen:?}, expected {expected:?}: {why}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn under_tls_their_fate_is_that_on_any_stream() {
    for (name, section, text, [_, tcp, _], _) in TABLE {
        assert_eq!(over_tls(&wire(text)), *tcp, "{name} ({section})");
    }
}

/// A good BYE ends the call that it is adapted to.
fn in_a_call_or_bye(message: &Bytes) -> Fate {
    if message.starts_with(b"BYE ") { crate::disposition::ends_a_call(message) } else { in_a_call(message) }
}

#[test]
fn content_lengths_as_printed_are_taken_at_their_word() {
    // 268 octets are promised and 251 come; the two others leave the end of the last line out.
    for (name, udp, tcp) in [
        ("ipv6-in-sdp", Status(400), Unfinished),
        ("mult-ip-in-sdp", Call, Call),
        ("ipv4-mapped-ipv6", Call, Call),
    ] {
        let message = printed(text(name));
        assert_eq!(over_udp(&message), udp, "{name}");
        let framed = message.slice(..message.len().min(framed_length(&message)));
        assert_eq!(over_tcp(&framed), tcp, "{name}");
    }
}

fn framed_length(message: &[u8]) -> usize {
    let text = std::str::from_utf8(message).unwrap();
    let (head, _) = text.split_once("\r\n\r\n").unwrap();
    head.len() + 4 + head.rsplit(' ').next().unwrap().parse::<usize>().unwrap()
}

#[test]
fn addresses_and_ports_are_told_apart() {
    let uri = |name: &str| {
        let uri = request(name).uri().clone();
        (uri.host().unwrap().to_string(), uri.port())
    };
    assert_eq!(uri("ipv6-good"), ("[2001:db8::10]".to_owned(), None));
    // 4.3: the whole of it is an address.
    assert_eq!(uri("port-ambiguous"), ("[2001:db8::10:5070]".to_owned(), None));
    assert_eq!(uri("port-unambiguous"), ("[2001:db8::10]".to_owned(), Some(5070)));
    assert_eq!(uri("ipv6-correct-abnf-2-colons").0, "[2001:db8::c000:201]");
    assert_eq!(uri("ipv6-bug-abnf-3-colons"), uri("ipv6-correct-abnf-2-colons"));
    // 4.10: it is answered as it was written.
    let to =
        String::from_utf8(request("ipv6-bug-abnf-3-colons").headers().to().unwrap().raw().to_vec()).unwrap();
    assert_eq!(to, "sip:user@[2001:db8:::192.0.2.1]");
}

#[test]
fn via_is_read_in_every_way_it_is_written() {
    let vias = |name: &str| -> Vec<_> {
        let all = |h: &Headers| h.vias().unwrap();
        let read = |via: &sip::message::Via| {
            (via.host.to_string(), via.port, via.received().map(|ip| ip.to_string()))
        };
        all(request(name).headers()).iter().map(read).collect()
    };
    let received = Some("2001:db8::9:255".to_owned());
    for name in ["via-received-param-with-delim", "via-received-param-no-delim"] {
        assert_eq!(vias(name), [("[2001:db8::9:1]".to_owned(), None, received.clone())], "{name}");
    }
    assert_eq!(
        vias("mult-ip-in-header"),
        [
            ("[2001:db8::9:1]".to_owned(), Some(6050), None),
            ("192.0.2.1".to_owned(), None, None),
            ("[2001:db8::9:255]".to_owned(), None, Some("192.0.2.200".to_owned())),
        ]
    );
    assert_eq!(vias("ipv4-mapped-ipv6")[0].1, Some(19823));
    let mapped: std::net::Ipv6Addr = "::ffff:192.0.2.2".parse().unwrap();
    let contact = request("ipv4-mapped-ipv6").headers().contacts().unwrap()[0].uri.clone();
    assert_eq!(contact.host().unwrap().ip(), Some(mapped.into()));
}
