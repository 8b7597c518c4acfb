//! Every published class of flaw in SDP, RTP and RTCP, tried on this crate: what crashed, filled or fooled another stack
//! must here end in an error, a counter, or nothing. Each test names the flaw and says what went wrong there. Those of
//! SIP are in `sip/tests/cve`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // helpers of tests
#![allow(clippy::disallowed_methods, reason = "a virtual clock begins at some moment, once")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use media::rtp::packet::{HEADER_BYTES, Header, Packet};
use media::rtp::rtcp;
use media::sdp::{Keys, LocalMedia, MAX_BYTES, MAX_MEDIA, SdpError, answer, offer};
use media::session::{Agreement, MAX_PACKET_BYTES, MediaEvent, Session, SessionConfig, SourcePolicy};
use media::srtp::{Protector, Seed, Suite};

struct Counting;

thread_local! {
    static BYTES: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: every call is handed to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        BYTES.with(|bytes| bytes.set(bytes.get() + layout.size()));
        // SAFETY: as promised by our caller.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as promised by our caller.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// How many bytes this thread asked the allocator for while `work` was done.
fn taken<T>(work: impl FnOnce() -> T) -> (usize, T) {
    let before = BYTES.with(Cell::get);
    let result = work();
    (BYTES.with(Cell::get) - before, result)
}

const HEAD: &str = "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n";
const AUDIO: &str = "m=audio 4000 RTP/AVP 8 0 101\r\na=rtpmap:101 telephone-event/8000\r\n";

fn local() -> LocalMedia {
    LocalMedia::new("192.0.2.99".parse().unwrap(), 40_000, 1)
}

/// Negotiates within bounds: whatever is asked, some answer or error, and memory in proportion.
fn negotiate(offer: &str) -> Result<String, SdpError> {
    let local = local();
    let (bytes, result) = taken(|| answer::negotiate(offer.as_bytes(), &local));
    assert!(bytes <= 20 * offer.len() + 60_000, "{bytes} bytes for an offer of {}", offer.len());
    result.map(|agreed| {
        assert!((10..=60).contains(&agreed.ptime_ms));
        String::from_utf8(agreed.sdp.to_vec()).unwrap()
    })
}

mod sdp {
    use super::*;

    /// CVE-2018-1000099 (pjproject, AST-2018-003): an `fmtp` without a value. CVE-2018-1000098 (AST-2018-002): formats
    /// that are no numbers, or larger ones.
    #[test]
    fn cve_2018_1000099_attributes_without_values_and_formats_without_numbers() {
        for line in [
            "a=fmtp",
            "a=fmtp:",
            "a=fmtp: ",
            "a=fmtp:8",
            "a=fmtp:8 ",
            "a=fmtp:4294967296 x",
            "a=fmtp:-1 x",
            "a=fmtp:x",
            "a=rtpmap",
            "a=rtpmap:",
            "a=rtpmap:8",
            "a=rtpmap:8 ",
            "a=rtpmap:8 /",
            "a=rtpmap:8 PCMA/",
            "a=rtpmap:8 PCMA/x",
            "a=rtpmap:8 PCMA/4294967296",
            "a=rtpmap:99999999999 PCMA/8000",
            "a=rtpmap:8 PCMA/8000/99999999999",
            "a=ptime",
            "a=ptime:",
            "a=ptime:0",
            "a=ptime:-20",
            "a=ptime:99999999999999999999",
            "a=ptime:1e9",
            "a=maxptime:0",
            "a=maxptime:4294967295",
            "a=rtcp",
            "a=rtcp:",
            "a=rtcp:99999",
            "a=rtcp:0 IN IP4",
            "a=rtcp:1 IN IP4 x",
            "a",
            "a=",
            "a=:",
            "a= ",
            "=",
            "a=\u{1}",
        ] {
            let ours = negotiate(&format!("{HEAD}{AUDIO}{line}\r\n"));
            assert!(
                ours.is_ok() || matches!(ours, Err(SdpError::Malformed(_) | SdpError::NoCommonCodec)),
                "{line}: {ours:?}"
            );
        }
        for formats in [
            "",
            " ",
            "-1",
            "x",
            "256",
            "4294967304",
            "8 8 8 8",
            "99999999999999999999 8",
            "*",
            "8,0",
            "\u{0661}",
        ] {
            let _ = negotiate(&format!("{HEAD}m=audio 4000 RTP/AVP {formats}\r\n"));
        }
        for media in [
            "m",
            "m=",
            "m=audio",
            "m=audio 4000",
            "m=audio 4000 RTP/AVP",
            "m=audio x RTP/AVP 8",
            "m=audio 70000 RTP/AVP 8",
            "m=audio -1 RTP/AVP 8",
            "m=audio 4000/99999 RTP/AVP 8",
            "m=audio 4000/x RTP/AVP 8",
            "m=audio 4000 RTP/AVP 8 \u{2028}",
        ] {
            let _ = negotiate(&format!("{HEAD}{media}\r\n"));
        }
    }

    /// CVE-2023-40018 (FreeSWITCH): more ICE candidates with unknown components than an array had room for.
    #[test]
    fn cve_2023_40018_more_candidates_than_anybody_has() {
        for component in ["1", "2", "3", "99", "-1", "4294967295", "x"] {
            let candidate = format!("a=candidate:1 {component} udp 2130706431 192.0.2.1 4000 typ host\r\n");
            let few = format!("{HEAD}{AUDIO}{}", candidate.repeat(60));
            assert!(negotiate(&few).unwrap().contains("m=audio 40000 RTP/AVP 8"), "{component}");
            let many = format!("{HEAD}{AUDIO}{}", candidate.repeat(2_000));
            assert_eq!(negotiate(&many), Err(SdpError::TooLarge));
        }
    }

    /// CVE-2026-41416 (pjproject): the packet times of both sides multiplied into a buffer's size.
    #[test]
    fn cve_2026_41416_packet_times_of_any_size() {
        for ptime in
            ["0", "1", "5", "15", "60", "61", "200", "1000", "65535", "4294967295", "18446744073709551615"]
        {
            for most in ["0", "1", "9", "10", "60", "4294967295"] {
                negotiate(&format!("{HEAD}{AUDIO}a=ptime:{ptime}\r\na=maxptime:{most}\r\n")).unwrap();
            }
        }
    }

    /// Descriptions of every shape at the limit of every size (CVE-2022-24764, pjproject: a stack overflow).
    #[test]
    fn descriptions_at_the_limits() {
        let line = "m=video 1 RTP/AVP 99\r\n";
        assert!(negotiate(&format!("{HEAD}{AUDIO}{}", line.repeat(MAX_MEDIA - 1))).is_ok());
        assert_eq!(negotiate(&format!("{HEAD}{AUDIO}{}", line.repeat(MAX_MEDIA))), Err(SdpError::TooLarge));
        assert_eq!(negotiate(&"a=x\r\n".repeat(MAX_BYTES / 5)), Err(SdpError::TooLarge));
        assert_eq!(negotiate(&"v".repeat(MAX_BYTES + 1)), Err(SdpError::TooLarge));
        assert_eq!(negotiate(&format!("{HEAD}{AUDIO}a={}\r\n", "x".repeat(4_000))), Err(SdpError::TooLarge));
        for text in [
            "",
            "\r\n",
            "\0",
            "v=0",
            "v=1\r\n",
            HEAD,
            "m=audio 1 RTP/AVP 8\r\n",
            "\u{feff}v=0\r\n",
            "v=0\nm=\n",
        ] {
            assert!(negotiate(text).is_err(), "{text:?}");
        }
        let formats: String = (0..128).map(|n| format!(" {n}")).collect();
        assert!(negotiate(&format!("{HEAD}m=audio 4000 RTP/AVP{formats}\r\n")).is_ok());
    }

    /// CVE-2019-15297 (Asterisk, AST-2019-004): an answer that declines the stream. CVE-2021-21375 and CVE-2021-26906
    /// (pjproject): answers with other lines than the offer, or a second one after a first that failed.
    #[test]
    fn cve_2019_15297_answers_that_decline_or_do_not_fit() {
        let mut local = local();
        local.origin = offer::build(&local).unwrap().origin;
        let take = |text: String| offer::accept_answer(text.as_bytes(), &local);
        for answer in [
            HEAD.to_owned(),
            format!("{HEAD}m=audio 0 RTP/AVP 8\r\n"),
            format!("{HEAD}m=image 4000 udptl t38\r\n"),
            format!("{HEAD}m=video 4000 RTP/AVP 99\r\n{AUDIO}"),
            format!("{HEAD}m=audio 4000 RTP/SAVP 8\r\n"),
            format!("{HEAD}m=audio 4000 RTP/AVP 18\r\n"),
            format!("{}m=audio 4000 RTP/AVP 8\r\n", HEAD.replace("c=IN IP4 192.0.2.1\r\n", "")),
            String::new(),
        ] {
            assert!(take(answer.clone()).is_err(), "{answer}");
        }
        // The good one after all of them is taken, also with more lines than were offered.
        assert!(take(format!("{HEAD}{AUDIO}m=video 0 RTP/AVP 99\r\n")).is_ok());
        assert!(take(format!("{HEAD}{AUDIO}")).is_ok());
    }

    /// Where media goes is never a group, everybody, or a name: no reflected floods by SDP.
    #[test]
    fn media_is_not_sent_to_groups() {
        for address in [
            "224.0.0.1",
            "239.1.2.3/127",
            "255.255.255.255",
            "host.example.com",
            "",
            "1.2.3",
            "::1",
            "192.0.2.1.",
            "0x7f000001",
        ] {
            let offer =
                format!("{HEAD}{AUDIO}").replace("c=IN IP4 192.0.2.1", &format!("c=IN IP4 {address}"));
            assert!(negotiate(&offer).is_err(), "{address}");
        }
    }

    /// What comes in a description and is mirrored adds no line to ours.
    #[test]
    fn nothing_mirrored_adds_a_line() {
        let refused = "m=video 1 RTP/AVP 99\u{b}a=evil\r\nm=x\u{85}y 1 TCP/\u{2028}z 1 2 3\r\n";
        let ours = negotiate(&format!("{HEAD}{AUDIO}{refused}")).unwrap();
        assert!(!ours.split(['\r', '\n']).any(|line| line.starts_with("a=evil")), "{ours}");
        assert_eq!(ours.matches("m=").count(), 3, "{ours}");
    }
}

mod rtp {
    use super::*;

    const PEER: &str = "192.0.2.1:4000";

    fn address(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    struct Line {
        session: Session,
        now: Instant,
    }

    impl Line {
        fn new(source: SourcePolicy) -> Self {
            let now = Instant::now();
            let agreed = answer::negotiate(format!("{HEAD}{AUDIO}").as_bytes(), &local()).unwrap();
            let config = SessionConfig { source, ..SessionConfig::new(Agreement::from(&agreed), 7, 1, 1) };
            Self { session: Session::new(config, now), now }
        }

        fn give(&mut self, from: &str, sequence: u16, payload: &[u8]) {
            let mut datagram = vec![0; HEADER_BYTES + payload.len()];
            let timestamp = u32::from(sequence) * 160;
            let header = Header { marker: false, payload_type: 8, sequence, timestamp, ssrc: 99 };
            header.write(&mut datagram, payload.len()).unwrap().copy_from_slice(payload);
            self.session.handle_rtp(&datagram, address(from), self.now);
        }

        /// One packet time; whether anything but silence is heard.
        fn hears(&mut self) -> bool {
            let mut out = [0; MAX_PACKET_BYTES];
            self.now += Duration::from_millis(20);
            self.session.tick(self.now, &mut out);
            self.session.next_frame().unwrap().iter().any(|sample| sample.unsigned_abs() > 64)
        }
    }

    const LOUD: [u8; 160] = [0x2a; 160];

    /// CVE-2017-14099 (Asterisk, "RTPBleed"), CVE-2025-53399 (rtpengine): who sends to the port gets the call's audio,
    /// or is heard in it, before and after the first packet of the peer.
    #[test]
    fn cve_2017_14099_strangers_are_neither_heard_nor_sent_to() {
        for policy in [SourcePolicy::Exact, SourcePolicy::Address] {
            let mut line = Line::new(policy);
            for sequence in 0..200 {
                line.give("203.0.113.66:4000", sequence, &LOUD);
                assert!(!line.hears());
                assert_eq!(line.session.destination(), Some(address(PEER)));
            }
            line.give(PEER, 1, &LOUD);
            for sequence in 200..400 {
                line.give("203.0.113.66:4000", sequence, &LOUD);
                line.hears();
                assert_eq!(line.session.destination(), Some(address(PEER)));
            }
            // A re-INVITE that changes nothing opens nothing.
            let agreement = line.session.agreement().clone();
            line.session.update(agreement, line.now);
            for sequence in 400..450 {
                line.give("203.0.113.66:4000", sequence, &LOUD);
                assert!(!line.hears());
            }
            let stats = line.session.stats();
            assert_eq!((stats.injected, stats.received), (450, 1));
        }
    }

    /// CVE-2021-41105 (FreeSWITCH): packets that fail to authenticate ended the call. No number of bad packets does
    /// anything here but count.
    #[test]
    fn cve_2021_41105_no_number_of_bad_packets_ends_a_call() {
        let mut line = Line::new(SourcePolicy::Address);
        line.give(PEER, 0, &LOUD);
        let mut seed = 1_u64;
        for round in 0..20_000_u32 {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let junk: Vec<u8> = (0..seed % 64).map(|n| (seed >> (n % 57)) as u8).collect();
            line.session.handle_rtp(&junk, address(PEER), line.now);
            if round % 100 == 0 {
                line.hears();
            }
        }
        let mut heard = false;
        for sequence in 200..220 {
            line.give(PEER, sequence, &LOUD);
            heard |= line.hears();
        }
        assert!(heard, "the peer is heard after all of it");
        while let Some(event) = line.session.poll_event() {
            assert!(!matches!(event, MediaEvent::Timeout { .. }), "{event:?}");
        }
    }

    /// The same under SRTP, where it happened: packets that fail authentication, repeated ones, and (CVE-2021-26712,
    /// Asterisk) packets with sequence numbers from far away, which were taken for the stream and ended it.
    #[test]
    fn cve_2021_26712_no_number_of_bad_srtp_packets_ends_a_call_or_moves_its_stream() {
        for suite in Suite::ALL {
            let mut line = Line::new(SourcePolicy::Address);
            let key = |seed: u8| Seed::new([seed; 32]).master_key(suite, None);
            let mut agreement = line.session.agreement().clone();
            agreement.keys = Some(Keys { send: key(1), receive: key(2) });
            line.session.update(agreement, line.now);
            let mut peer = Protector::new(key(2)).unwrap();
            let mut stranger = Protector::new(key(3)).unwrap();
            let packet = |protector: &mut Protector, sequence: u16| {
                let mut datagram = vec![0; MAX_PACKET_BYTES];
                let timestamp = u32::from(sequence) * 160;
                let header = Header { marker: false, payload_type: 8, sequence, timestamp, ssrc: 99 };
                header.write(&mut datagram, LOUD.len()).unwrap().copy_from_slice(&LOUD);
                let length = protector.protect_rtp(&mut datagram, HEADER_BYTES + LOUD.len()).unwrap();
                datagram.truncate(length);
                datagram
            };
            let first = packet(&mut peer, 0);
            line.session.handle_rtp(&first, address(PEER), line.now);
            for round in 0..5_000_u16 {
                let forged = packet(&mut stranger, round.wrapping_mul(31_337));
                line.session.handle_rtp(&forged, address(PEER), line.now);
                line.session.handle_rtp(&first, address(PEER), line.now);
                if round % 100 == 0 {
                    line.hears();
                }
            }
            let mut heard = false;
            for sequence in 51..90 {
                let datagram = packet(&mut peer, sequence);
                line.session.handle_rtp(&datagram, address(PEER), line.now);
                heard |= line.hears();
            }
            let stats = line.session.stats();
            assert!(heard, "{suite:?}: the peer is heard after all of it: {stats:?}");
            // A forged number may look too old before anybody asks for its authenticity.
            assert_eq!((stats.received, stats.unauthenticated + stats.replayed), (40, 10_000), "{suite:?}");
        }
    }

    /// CSRC counts, extensions and paddings that reach beyond the packet, into it,
    /// and to its end.
    #[test]
    fn lengths_in_packets_that_lie() {
        for flags in 0..=255_u8 {
            for length in 0..60_usize {
                for filler in [0x00, 0x01, 0x0f, 0x7f, 0xff] {
                    let mut bytes = vec![filler; length];
                    if let Some(first) = bytes.first_mut() {
                        *first = flags;
                    }
                    if let Ok(packet) = Packet::parse(&bytes) {
                        assert!(packet.payload.len() + packet.csrc.len() + HEADER_BYTES <= length);
                    }
                }
            }
        }
    }

    /// CVE-2021-43804 and CVE-2021-43845 (pjproject, AST-2022-004…006): the reason of a BYE, and report blocks, beyond
    /// the end of an RTCP packet.
    #[test]
    fn cve_2021_43804_rtcp_that_ends_anywhere() {
        for kind in 192..=223_u8 {
            for count in 0..32_u8 {
                for words in [0_u16, 1, 6, 7, 12, 0x3fff, 0xffff] {
                    let [high, low] = words.to_be_bytes();
                    for length in [0, 3, 4, 5, 8, 12, 28, 32, 52, 56] {
                        let mut bytes = vec![0xff_u8; length];
                        for (to, from) in bytes.iter_mut().zip([0x80 | count, kind, high, low]) {
                            *to = from;
                        }
                        let (taken, packets) = taken(|| rtcp::packets(&bytes).count());
                        assert!(packets <= length / 4 && taken == 0);
                    }
                }
            }
        }
        let mut line = Line::new(SourcePolicy::Address);
        line.give(PEER, 0, &LOUD);
        // A BYE of anybody's on the RTP port ends nothing.
        for ssrc in [99_u32, 7, 0] {
            let mut bye = vec![0x81, 203, 0, 1];
            bye.extend(ssrc.to_be_bytes());
            line.session.handle_rtp(&bye, address(PEER), line.now);
        }
        line.give(PEER, 1, &LOUD);
        let stats = line.session.stats();
        assert_eq!((stats.rtcp.received + stats.rtcp.malformed, stats.received), (3, 2));
    }

    /// A sender that restarts with every packet, or sends thousands ahead, takes no memory and hides no audio of its own.
    #[test]
    fn numbers_that_jump_take_no_memory() {
        let mut line = Line::new(SourcePolicy::Address);
        let (bytes, ()) = taken(|| {
            for round in 0..5_000_u16 {
                line.give(PEER, round.wrapping_mul(31_337), &LOUD);
                if round % 50 == 0 {
                    line.hears();
                }
            }
        });
        // The datagrams of this test itself, and little else.
        assert!(bytes <= 5_000 * (HEADER_BYTES + LOUD.len()) + 64 * 1_024, "{bytes}");
        let mut heard = false;
        for sequence in 1_000..1_050 {
            line.give(PEER, sequence, &LOUD);
            heard |= line.hears();
        }
        assert!(heard);
    }
}
