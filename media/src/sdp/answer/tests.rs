use super::*;
use crate::sdp::{Direction, MAX_BYTES};
use proptest::prelude::*;

fn local() -> LocalMedia {
    LocalMedia::new("192.0.2.10".parse().unwrap(), 40_000, 7)
}

/// An offer of one audio line with further attribute lines.
fn offer(formats: &str, attributes: &[&str]) -> String {
    let mut text = format!(
        "v=0\r\no=- 1 1 IN IP4 198.51.100.1\r\ns=-\r\nc=IN IP4 198.51.100.1\r\nt=0 0\r\nm=audio 5004 RTP/AVP {formats}\r\n"
    );
    for line in attributes {
        text.push_str(line);
        text.push_str("\r\n");
    }
    text
}

fn answer(formats: &str, attributes: &[&str]) -> Result<Negotiated, SdpError> {
    negotiate(offer(formats, attributes).as_bytes(), &local())
}

fn text(negotiated: &Negotiated) -> &str {
    std::str::from_utf8(&negotiated.sdp).unwrap()
}

#[test]
fn static_payload_types_need_no_rtpmap() {
    let negotiated = answer("18 0 8", &[]).unwrap();
    assert_eq!((negotiated.codec, negotiated.payload_type), (Codec::Pcmu, PayloadTypes::same(0)));
    assert_eq!(negotiated.telephone_event, None);
    assert!(text(&negotiated).contains("m=audio 40000 RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\n"));
}

#[test]
fn our_order_decides_when_the_setting_says_so() {
    let local = LocalMedia { order: CodecOrder::Local, ..local() };
    let negotiated = negotiate(offer("0 8", &[]).as_bytes(), &local).unwrap();
    assert_eq!(negotiated.codec, Codec::Pcma);
}

#[test]
fn a_dynamic_number_and_its_name_in_any_case_are_taken() {
    let negotiated =
        answer("96 101", &["a=rtpmap:96 pcma/8000/1", "a=rtpmap:101 Telephone-Event/8000"]).unwrap();
    assert_eq!((negotiated.codec, negotiated.payload_type.send), (Codec::Pcma, 96));
    assert_eq!(negotiated.telephone_event, Some(PayloadTypes::same(101)));
}

#[test]
fn telephone_event_is_the_one_of_our_clock() {
    let lines = ["a=rtpmap:100 telephone-event/16000", "a=rtpmap:97 telephone-event/8000"];
    assert_eq!(answer("8 100 97", &lines).unwrap().telephone_event, Some(PayloadTypes::same(97)));
}

#[test]
fn packet_times_that_we_can_make_are_honoured() {
    let ptime = |lines: &[&str]| answer("8", lines).unwrap().ptime_ms;
    assert_eq!(ptime(&[]), 20);
    for ms in [10, 20, 30, 40, 50, 60] {
        assert_eq!(ptime(&[&format!("a=ptime:{ms}")]), ms);
    }
    assert_eq!(ptime(&["a=ptime:25"]), 20);
    assert_eq!(ptime(&["a=ptime:5"]), 20);
    assert_eq!(ptime(&["a=ptime:4294967296"]), 20);
    assert_eq!(ptime(&["a=ptime:60", "a=maxptime:40"]), 40);
    assert_eq!(ptime(&["a=maxptime:10"]), 10);
    assert_eq!(ptime(&["a=ptime:30.0"]), 30);
}

#[test]
fn directions_are_mirrored_and_hold_is_seen() {
    let case = |line: &str| {
        let negotiated = answer("8", &[line]).unwrap();
        (negotiated.direction, negotiated.held)
    };
    assert_eq!(case("a=sendrecv"), (Direction::SendRecv, false));
    assert_eq!(case("a=sendonly"), (Direction::RecvOnly, true));
    assert_eq!(case("a=recvonly"), (Direction::SendOnly, false));
    assert_eq!(case("a=inactive"), (Direction::Inactive, true));
}

#[test]
fn the_media_level_direction_overrides_the_session_level() {
    let base = offer("8", &[]).replace("t=0 0", "t=0 0\r\na=sendonly");
    let negotiated = negotiate(base.as_bytes(), &local()).unwrap();
    assert_eq!(negotiated.direction, Direction::RecvOnly);
    let negotiated = negotiate((base + "a=sendrecv\r\n").as_bytes(), &local()).unwrap();
    assert_eq!(negotiated.direction, Direction::SendRecv);
}

#[test]
fn an_unspecified_address_is_hold() {
    let negotiated =
        negotiate(offer("8", &[]).replace("c=IN IP4 198.51.100.1", "c=IN IP4 0.0.0.0").as_bytes(), &local());
    let negotiated = negotiated.unwrap();
    assert!(negotiated.held && negotiated.remote.ip().is_unspecified());
    assert_eq!(negotiated.direction, Direction::RecvOnly);
}

#[test]
fn the_version_rises_only_when_our_text_changes() {
    let mut local = local();
    let first = negotiate(offer("8 0", &[]).as_bytes(), &local).unwrap();
    local.origin = first.origin.clone();
    let same = negotiate(offer("8 0", &["a=foo:bar"]).as_bytes(), &local).unwrap();
    assert_eq!((&same.sdp, same.origin.version), (&first.sdp, 1));
    local.origin = same.origin;
    let held = negotiate(offer("8 0", &["a=sendonly"]).as_bytes(), &local).unwrap();
    assert_eq!(held.origin.version, 2);
    local.origin = held.origin;
    assert_eq!(negotiate(offer("8 0", &["a=sendonly"]).as_bytes(), &local).unwrap().origin.version, 2);
}

#[test]
fn other_lines_are_refused_in_their_place() {
    let text_of =
        offer("8", &["m=video 6000 RTP/AVP 99 34", "a=rtpmap:99 H264/90000", "m=audio 7000 RTP/AVP 0"])
            .replace("m=audio 5004", "m=image 5002 udptl t38\r\nm=audio 5004");
    let negotiated = negotiate(text_of.as_bytes(), &local()).unwrap();
    let lines: Vec<_> = text(&negotiated).lines().filter(|line| line.starts_with("m=")).collect();
    let expected =
        ["m=image 0 udptl t38", "m=audio 40000 RTP/AVP 8", "m=video 0 RTP/AVP 99 34", "m=audio 0 RTP/AVP 0"];
    assert_eq!(lines, expected);
}

#[test]
fn the_first_audio_line_that_works_is_taken() {
    let both = offer("8", &["m=audio 5006 RTP/AVPF 8"]).replace("5004 RTP/AVP 8", "5004 RTP/SAVP 8");
    let negotiated = negotiate(both.as_bytes(), &local()).unwrap();
    assert!(text(&negotiated).contains("m=audio 0 RTP/SAVP 8\r\nm=audio 40000 RTP/AVPF 8\r\n"));
    assert_eq!(negotiated.remote.port(), 5006);
}

#[test]
fn the_reason_for_a_refusal_is_told() {
    assert_eq!(answer("9 18", &[]), Err(SdpError::NoCommonCodec));
    assert_eq!(answer("0", &["a=rtpmap:0 PCMU/16000"]), Err(SdpError::NoCommonCodec));
    let change = |from: &str, to: &str| negotiate(offer("8", &[]).replace(from, to).as_bytes(), &local());
    assert_eq!(change("RTP/AVP", "RTP/SAVP"), Err(SdpError::UnsupportedTransport));
    assert_eq!(change("RTP/AVP", "UDP/TLS/RTP/SAVPF"), Err(SdpError::UnsupportedTransport));
    assert_eq!(change("audio 5004", "audio 0"), Err(SdpError::NoAudio));
    assert_eq!(change("m=audio", "m=video"), Err(SdpError::NoAudio));
    assert_eq!(change("c=IN IP4 198.51.100.1\r\n", ""), Err(SdpError::NoAudio));
    assert_eq!(change("c=IN IP4 198.51.100.1", "c=IN IP4 224.1.1.1/127"), Err(SdpError::NoAudio));
    assert_eq!(change("c=IN IP4 198.51.100.1", "c=IN IP4 pbx.example.net"), Err(SdpError::NoAudio));
    assert_eq!(change("c=IN IP4 198.51.100.1", "c=IN IP6 2001:db8::1"), Err(SdpError::NoAudio));
    assert!(matches!(change("audio 5004", "audio 70000"), Err(SdpError::Malformed(_))));
    assert!(matches!(negotiate(b"", &local()), Err(SdpError::Malformed(_))));
    assert!(matches!(negotiate(b"hello", &local()), Err(SdpError::Malformed(_))));
    assert_eq!(SdpError::NoCommonCodec.status(), 488);
}

#[test]
fn the_limits_hold() {
    let long_line = format!("a=x:{}", "y".repeat(3_000));
    assert_eq!(answer("8", &[&long_line]), Err(SdpError::TooLarge));
    assert_eq!(answer("8", &["a=x"; 600]), Err(SdpError::TooLarge));
    assert_eq!(answer("8", &["m=video 1 RTP/AVP 1"; 20]), Err(SdpError::TooLarge));
    assert_eq!(negotiate(&[b'a'; MAX_BYTES + 1], &local()), Err(SdpError::TooLarge));
}

#[test]
fn sloppy_text_is_understood() {
    let sloppy = "v=0\no=Cisco Systems UA 1 1 IN IP4 198.51.100.1\ns=Caf\u{e9}\nb=AS:odd\nc=IN IP4 198.51.100.1 \nt=now\n\
                  m=audio  5004 RTP/AVP 8  101 \na=rtpmap:101 telephone-event/8000 \na=fmtp:101 0-16\na=sendrecv \0";
    let latin1: Vec<u8> = sloppy.chars().map(|c| u8::try_from(u32::from(c)).unwrap()).collect();
    let negotiated = negotiate(&latin1, &local()).unwrap();
    assert_eq!(negotiated.telephone_event, Some(PayloadTypes::same(101)));
    assert_eq!(negotiated.remote, "198.51.100.1:5004".parse().unwrap());
}

#[test]
fn rtcp_goes_to_the_next_port_or_where_the_attribute_says() {
    let rtcp = |lines: &[&str]| answer("8", lines).unwrap().remote_rtcp.map(|address| address.to_string());
    assert_eq!(rtcp(&[]).as_deref(), Some("198.51.100.1:5005"));
    assert_eq!(rtcp(&["a=rtcp:53020"]).as_deref(), Some("198.51.100.1:53020"));
    assert_eq!(rtcp(&["a=rtcp:53020 IN IP4 203.0.113.3"]).as_deref(), Some("203.0.113.3:53020"));
    assert_eq!(rtcp(&["a=rtcp:x"]), None);
}

proptest! {
    #[test]
    fn any_bytes_are_answered_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        let _ = negotiate(&bytes, &local());
    }

    /// A valid offer with one stretch overwritten: parsers fail near the valid, not in noise.
    #[test]
    fn damaged_offers_are_answered_or_refused(at in 0usize..400, junk in proptest::collection::vec(any::<u8>(), 0..20)) {
        let mut bytes = offer("0 8 101", &["a=rtpmap:101 telephone-event/8000", "a=fmtp:101 0-16", "a=ptime:20", "a=rtcp:5005"]).into_bytes();
        let at = at % bytes.len();
        let end = (at + junk.len()).min(bytes.len());
        bytes.splice(at..end, junk);
        if let Ok(negotiated) = negotiate(&bytes, &local()) {
            prop_assert!(negotiated.ptime_ms % 10 == 0 && (10..=60).contains(&negotiated.ptime_ms));
            let again = crate::sdp::offer::accept_answer(&bytes, &LocalMedia { origin: negotiated.origin, ..local() });
            prop_assert!(again.is_ok() || again.is_err());
        }
    }
}
