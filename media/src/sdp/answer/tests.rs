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
    assert!(matches!(change("audio 5004", "audio 70000"), Err(SdpError::Malformed(_))));
    assert!(matches!(negotiate(b"", &local()), Err(SdpError::Malformed(_))));
    assert!(matches!(negotiate(b"hello", &local()), Err(SdpError::Malformed(_))));
    assert_eq!(SdpError::NoCommonCodec.status(), 488);
}

#[test]
fn an_address_of_the_other_family_is_left_to_where_the_signalling_comes_from() {
    let six = offer("8", &[]).replace("c=IN IP4 198.51.100.1", "c=IN IP6 2001:db8::1");
    let negotiated = negotiate(six.as_bytes(), &local()).unwrap();
    assert_eq!(negotiated.remote, "0.0.0.0:5004".parse().unwrap());
    assert_eq!(
        (negotiated.direction, negotiated.held),
        (Direction::SendRecv, false),
        "nobody asked for hold"
    );
    let mut local = local();
    local.address = "2001:db8::9".parse().unwrap();
    let negotiated = negotiate(offer("8", &[]).as_bytes(), &local).unwrap();
    assert_eq!(negotiated.remote, "[::]:5004".parse().unwrap());
    assert!(text(&negotiated).contains("c=IN IP6 2001:db8::9\r\n"));
    let held = offer("8", &[]).replace("c=IN IP4 198.51.100.1", "c=IN IP6 ::");
    assert!(negotiate(held.as_bytes(), &self::local()).unwrap().held);
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

mod srtp {
    use super::*;
    use crate::sdp::{SrtpPolicy, offer};
    use crate::srtp::{Seed, Suite};

    const KEY: &str = "a=crypto:4 AES_CM_128_HMAC_SHA1_80 inline:d0RmdmcmVCspeEc3QGZiNWpVLFJhQX1cfHAwJSoj";
    const OTHER_KEY: &str =
        "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz";

    fn optional() -> LocalMedia {
        LocalMedia { srtp: SrtpPolicy::Offer(Seed::new([5; 32])), ..local() }
    }

    fn required() -> LocalMedia {
        LocalMedia { srtp: SrtpPolicy::Require(Seed::new([5; 32])), ..local() }
    }

    fn secure(lines: &[&str]) -> String {
        offer("8", lines).replace("RTP/AVP", "RTP/SAVP")
    }

    fn ask(offer: &str, local: &LocalMedia) -> Result<Negotiated, SdpError> {
        negotiate(offer.as_bytes(), local)
    }

    #[test]
    fn the_answer_has_the_offers_profile_tag_and_suite_and_a_key_of_ours() {
        for local in [optional(), required()] {
            let agreed =
                ask(&secure(&["a=crypto:1 F8_128_HMAC_SHA1_80 inline:x", KEY, OTHER_KEY]), &local).unwrap();
            assert!(text(&agreed).contains("m=audio 40000 RTP/SAVP 8\r\n"));
            assert_eq!(text(&agreed).matches("a=crypto:4 AES_CM_128_HMAC_SHA1_80 inline:").count(), 1);
            assert_eq!(text(&agreed).matches("a=crypto").count(), 1);
            let keys = agreed.keys.unwrap();
            assert_eq!(keys.receive.material(), b"wDfvg&T+)xG7@fb5jU,RaA}\\|p0%*#");
            assert_ne!(keys.send.material(), keys.receive.material());
        }
    }

    #[test]
    fn keys_on_a_plain_profile_are_taken_and_the_profile_stays() {
        let agreed = ask(&offer("8", &[KEY]), &optional()).unwrap();
        assert!(
            agreed.keys.is_some()
                && text(&agreed).contains("RTP/AVP 8\r\n")
                && text(&agreed).contains("a=crypto:4")
        );
        let plain = ask(&offer("8", &[KEY]), &local()).unwrap();
        assert!(plain.keys.is_none() && !text(&plain).contains("crypto"));
        assert!(ask(&offer("8", &[]), &optional()).unwrap().keys.is_none());
    }

    #[test]
    fn what_the_policy_rules_out_gets_488() {
        for (offer, local, error) in [
            (secure(&[KEY]), local(), SdpError::UnsupportedTransport),
            (secure(&[]), optional(), SdpError::NoCommonCrypto),
            (secure(&["a=crypto:1 F8_128_HMAC_SHA1_80 inline:x"]), required(), SdpError::NoCommonCrypto),
            (offer("8", &[]), required(), SdpError::SrtpRequired),
            (
                secure(&[KEY]).replace("RTP/SAVP", "UDP/TLS/RTP/SAVP"),
                required(),
                SdpError::UnsupportedTransport,
            ),
        ] {
            assert_eq!(ask(&offer, &local), Err(error.clone()));
            assert_eq!(error.status(), 488);
        }
    }

    #[test]
    fn a_line_with_keys_goes_before_one_without() {
        let both = format!("{}m=audio 6000 RTP/SAVP 8\r\n{KEY}\r\n", offer("8", &[]));
        assert_eq!(ask(&both, &optional()).unwrap().remote.port(), 6_000);
        assert_eq!(ask(&both, &required()).unwrap().remote.port(), 6_000);
        assert_eq!(ask(&both, &local()).unwrap().remote.port(), 5_004);
    }

    #[test]
    fn a_reinvite_that_downgrades_is_refused_and_a_new_key_is_taken() {
        for first in [secure(&[KEY]), offer("8", &[KEY])] {
            let agreed = ask(&first, &optional()).unwrap();
            let then = LocalMedia { origin: agreed.origin.clone(), ..optional() };
            assert_eq!(ask(&offer("8", &[]), &then), Err(SdpError::SrtpDowngrade));
            assert_eq!(ask(&secure(&[]), &then), Err(SdpError::SrtpDowngrade));
            let again = ask(&first, &then).unwrap();
            assert_eq!((&again.sdp, &again.keys), (&agreed.sdp, &agreed.keys), "a refresh changes nothing");
            let renewed = ask(&first.replace(KEY, OTHER_KEY), &then).unwrap();
            let (before, after) = (agreed.keys.unwrap(), renewed.keys.unwrap());
            assert_eq!(before.send, after.send);
            assert_ne!(before.receive, after.receive);
        }
    }

    #[test]
    fn an_identifier_of_keys_is_mirrored_with_our_key() {
        let agreed = ask(&secure(&[&format!("{KEY}|2^31|1:1")]), &optional()).unwrap();
        let line = text(&agreed).lines().find(|line| line.starts_with("a=crypto")).unwrap();
        assert!(line.ends_with("|1:1"), "{line}");
        assert_eq!(agreed.keys.unwrap().send.mki().map(|mki| mki.length()), Some(1));
    }

    #[test]
    fn our_offers_are_plain_with_keys_or_secure_and_their_answers_are_checked() {
        for (local, profile) in [(optional(), "RTP/AVP"), (required(), "RTP/SAVP")] {
            let built = offer::build(&local).unwrap();
            let offered = String::from_utf8(built.sdp.to_vec()).unwrap();
            assert!(offered.contains(&format!("m=audio 40000 {profile} 8 0 101\r\n")), "{offered}");
            assert_eq!(offered.matches("a=crypto:").count(), 3);
            let ours = LocalMedia { origin: built.origin, ..local.clone() };
            let peer = LocalMedia { srtp: SrtpPolicy::Offer(Seed::new([6; 32])), ..super::local() };
            let theirs = negotiate(&built.sdp, &peer).unwrap();
            let agreed = offer::accept_answer(&theirs.sdp, &ours).unwrap();
            let (our_keys, their_keys) = (agreed.keys.unwrap(), theirs.keys.unwrap());
            assert_eq!((&our_keys.send, &our_keys.receive), (&their_keys.receive, &their_keys.send));
            assert_eq!(our_keys.send.suite(), Suite::AeadAes256Gcm);
            // In the call, the agreed suite is offered again, with the same key.
            let then = LocalMedia { origin: agreed.origin, ..local.clone() };
            let again = String::from_utf8(offer::build(&then).unwrap().sdp.to_vec()).unwrap();
            assert_eq!(again.matches("a=crypto:1 AEAD_AES_256_GCM").count(), 1);
            assert_eq!(again.matches("a=crypto").count(), 1);
            // Answers that lack the key, choose what wasn't offered, or choose twice.
            let accept = |from: &str, to: &str, local: &LocalMedia| {
                let sdp = String::from_utf8(theirs.sdp.to_vec()).unwrap().replace(from, to);
                offer::accept_answer(sdp.as_bytes(), local)
            };
            let without = accept("a=crypto", "a=x", &ours);
            assert_eq!(
                without.is_ok(),
                profile == "RTP/AVP",
                "a peer without SRTP is accepted where it may be"
            );
            assert_eq!(accept("a=crypto", "a=x", &then), Err(SdpError::SrtpDowngrade));
            assert_eq!(accept("a=crypto:1", "a=crypto:2", &ours), Err(SdpError::NoCommonCrypto));
            assert_eq!(
                accept("a=crypto:1", "a=crypto:1 x\r\na=crypto:1", &ours),
                Err(SdpError::NoCommonCrypto)
            );
            let other = if profile == "RTP/AVP" { "RTP/SAVP" } else { "RTP/AVP" };
            assert_eq!(accept(profile, other, &ours), Err(SdpError::AnswerMismatch));
        }
    }

    #[test]
    fn an_offer_in_a_call_without_srtp_does_not_bring_it_up() {
        let agreed = ask(&offer("8", &[]), &optional()).unwrap();
        let then = LocalMedia { origin: agreed.origin, ..optional() };
        assert!(!String::from_utf8_lossy(&offer::build(&then).unwrap().sdp).contains("crypto"));
    }

    #[test]
    fn what_is_logged_of_an_agreement_holds_no_key() {
        let agreed = ask(&secure(&[KEY]), &optional()).unwrap();
        let logged = format!("{:?} {:?}", agreed.keys, optional().srtp);
        assert!(
            !logged.contains("wDfvg") && logged.contains("MasterKey(AES_CM_128_HMAC_SHA1_80)"),
            "{logged}"
        );
    }
}

mod wide_band {
    use super::*;

    fn wide() -> LocalMedia {
        LocalMedia { codecs: vec![Codec::G722, Codec::Pcma], ..local() }
    }

    #[test]
    fn g722_keeps_its_odd_clock() {
        for (formats, lines) in [("9 8", &[][..]), ("96 8", &["a=rtpmap:96 G722/8000"][..])] {
            let agreed = negotiate(offer(formats, lines).as_bytes(), &wide()).unwrap();
            assert_eq!(
                (agreed.codec, agreed.codec.clock_hz(), agreed.codec.rate_hz()),
                (Codec::G722, 8_000, 16_000)
            );
            assert!(text(&agreed).contains(&format!("a=rtpmap:{} G722/8000\r\n", agreed.payload_type.send)));
        }
        let wrong = negotiate(offer("96", &["a=rtpmap:96 G722/16000"]).as_bytes(), &wide());
        assert_eq!(wrong, Err(SdpError::NoCommonCodec));
        assert_eq!(answer("9", &[]), Err(SdpError::NoCommonCodec), "only if it is among ours");
    }

    #[test]
    fn a_codec_of_two_channels_is_another_codec() {
        assert_eq!(answer("96", &["a=rtpmap:96 PCMA/8000/2"]), Err(SdpError::NoCommonCodec));
        assert_eq!(answer("96", &["a=rtpmap:96 PCMA/8000/x"]), Err(SdpError::NoCommonCodec));
    }

    #[cfg(feature = "opus")]
    #[test]
    fn opus_comes_with_the_telephone_event_of_its_clock() {
        let opus = LocalMedia { codecs: vec![Codec::Opus, Codec::Pcma], ..local() };
        let lines = [
            "a=rtpmap:111 opus/48000/2",
            "a=fmtp:111 useinbandfec=1",
            "a=rtpmap:101 telephone-event/8000",
            "a=rtpmap:110 telephone-event/48000",
            "a=ptime:30",
        ];
        let agreed = negotiate(offer("111 8 101 110", &lines).as_bytes(), &opus).unwrap();
        assert_eq!((agreed.codec, agreed.event_clock_hz, agreed.ptime_ms), (Codec::Opus, 48_000, 20));
        assert_eq!(agreed.telephone_event, Some(PayloadTypes::same(110)));
        assert!(
            text(&agreed)
                .contains("RTP/AVP 111 110\r\na=rtpmap:111 opus/48000/2\r\na=fmtp:111 useinbandfec=1;")
        );
        let one = negotiate(offer("111 101", &lines[..3]).as_bytes(), &opus).unwrap();
        assert_eq!((one.telephone_event, one.event_clock_hz), (Some(PayloadTypes::same(101)), 8_000));
        let built = crate::sdp::offer::build(&opus).unwrap();
        let offered = String::from_utf8(built.sdp.to_vec()).unwrap();
        assert!(offered.contains("RTP/AVP 111 8 101 102\r\n"), "{offered}");
        assert!(offered.contains("a=rtpmap:101 telephone-event/48000\r\n"), "{offered}");
        assert!(offered.contains("a=rtpmap:102 telephone-event/8000\r\n"), "{offered}");
    }
}
