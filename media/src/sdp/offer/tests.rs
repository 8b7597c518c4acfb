use super::*;
use crate::sdp::{Direction, answer};

fn local() -> LocalMedia {
    LocalMedia::new("192.0.2.10".parse().unwrap(), 40_000, 7)
}

fn offered() -> LocalMedia {
    let offer = build(&local()).unwrap();
    LocalMedia { origin: offer.origin, ..local() }
}

fn answer(media: &str) -> Result<Negotiated, SdpError> {
    let text =
        format!("v=0\r\no=- 1 1 IN IP4 198.51.100.1\r\ns=-\r\nc=IN IP4 198.51.100.1\r\nt=0 0\r\n{media}");
    accept_answer(text.as_bytes(), &offered())
}

#[test]
fn an_offer_lists_our_codecs_and_telephone_event() {
    let offer = build(&local()).unwrap();
    let expected = "v=0\r\no=- 7 1 IN IP4 192.0.2.10\r\ns=-\r\nc=IN IP4 192.0.2.10\r\nt=0 0\r\n\
                    m=audio 40000 RTP/AVP 8 0 101\r\na=rtpmap:8 PCMA/8000\r\na=rtpmap:0 PCMU/8000\r\n\
                    a=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\na=ptime:20\r\na=maxptime:60\r\na=sendrecv\r\n";
    assert_eq!(offer.sdp, expected.as_bytes());
}

#[test]
fn the_first_codec_of_the_answer_is_sent() {
    let negotiated =
        answer("m=audio 5004 RTP/AVP 0 8 101\r\na=rtpmap:101 telephone-event/8000\r\na=ptime:30\r\n")
            .unwrap();
    assert_eq!((negotiated.codec, negotiated.ptime_ms), (Codec::Pcmu, 30));
    assert_eq!(negotiated.telephone_event, Some(PayloadTypes::same(101)));
    assert_eq!((negotiated.direction, negotiated.held), (Direction::SendRecv, false));
}

#[test]
fn an_answer_with_other_numbers_is_sent_what_it_asked_for() {
    let lines = "m=audio 5004 RTP/AVP 8 96\r\na=rtpmap:96 telephone-event/8000\r\n";
    let negotiated = answer(lines).unwrap();
    assert_eq!(negotiated.telephone_event, Some(PayloadTypes { send: 96, receive: 101 }));
}

#[test]
fn answers_that_refuse_or_do_not_fit_are_errors() {
    assert_eq!(answer("m=audio 0 RTP/AVP 8\r\n"), Err(SdpError::NoAudio));
    assert_eq!(answer("m=video 5004 RTP/AVP 8\r\n"), Err(SdpError::AnswerMismatch));
    assert_eq!(answer(""), Err(SdpError::AnswerMismatch));
    assert_eq!(answer("m=audio 5004 RTP/AVP 18\r\n"), Err(SdpError::NoCommonCodec));
    assert_eq!(accept_answer(b"v=0\r\n", &local()), Err(SdpError::AnswerMismatch), "nothing was offered");
}

#[test]
fn our_own_offer_answered_by_ourselves_agrees() {
    let offer = build(&local()).unwrap();
    let peer = LocalMedia::new("198.51.100.1".parse().unwrap(), 5_004, 9);
    let theirs = answer::negotiate(&offer.sdp, &peer).unwrap();
    let ours = accept_answer(&theirs.sdp, &LocalMedia { origin: offer.origin, ..local() }).unwrap();
    assert_eq!(
        (ours.codec, ours.payload_type, ours.telephone_event),
        (theirs.codec, theirs.payload_type, theirs.telephone_event)
    );
}

#[test]
fn a_later_offer_keeps_the_lines_and_numbers_that_were_agreed() {
    let text = "v=0\r\no=- 1 1 IN IP4 198.51.100.1\r\ns=-\r\nc=IN IP4 198.51.100.1\r\nt=0 0\r\n\
                m=video 6000 RTP/AVP 99\r\nm=audio 5004 RTP/AVP 8 97\r\na=rtpmap:97 telephone-event/8000\r\n";
    let agreed = answer::negotiate(text.as_bytes(), &local()).unwrap();
    let again = build(&LocalMedia { origin: agreed.origin, ..local() }).unwrap();
    let lines = String::from_utf8(again.sdp.to_vec()).unwrap();
    assert!(lines.contains("m=video 0 RTP/AVP 99\r\nm=audio 40000 RTP/AVP 8 0 97\r\n"), "{lines}");
    assert_eq!(again.origin.version, 2);
}
