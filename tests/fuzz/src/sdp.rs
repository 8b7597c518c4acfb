//! Session descriptions: offers, answers to ours, and a call that renegotiates.

use std::net::IpAddr;

use media::codec::Codec;
use media::sdp::{CodecOrder, Direction, LocalMedia, MAX_MEDIA, Negotiated, SrtpPolicy, answer, offer};
use media::srtp::Seed;

use crate::input::Choices;

/// Target `sdp`: choices, then descriptions with a byte 0xff between them.
pub fn sdp(data: &[u8]) {
    let mut choices = Choices::new(data);
    let mut local = side(&mut choices);
    let first_is_ours = choices.chance(64);
    // Whether an offer of ours is out.
    let mut outstanding = first_is_ours;
    if first_is_ours {
        make_offer(&mut local);
    }
    for text in choices.rest().split(|b| *b == 0xff).take(4) {
        let result = if std::mem::take(&mut outstanding) {
            offer::accept_answer(text, &local)
        } else {
            answer::negotiate(text, &local).inspect(|agreed| mirrors(text, agreed))
        };
        let Ok(agreed) = result else { continue };
        sound(&agreed, &local);
        local.origin = agreed.origin.clone();
        // Hold, resume, refresh: our own offer in between (RFC 3264 §8).
        make_offer(&mut local);
        outstanding = true;
    }
}

fn side(choices: &mut Choices<'_>) -> LocalMedia {
    let flags = choices.byte();
    let address: IpAddr =
        if flags & 1 == 0 { [192, 0, 2, 1].into() } else { [0x2001, 0xdb8, 0, 0, 0, 0, 0, 1].into() };
    let mut local = LocalMedia::new(address, 40_000, u64::from(choices.byte()));
    local.order = if flags & 2 == 0 { CodecOrder::Offer } else { CodecOrder::Local };
    local.direction = [Direction::SendRecv, Direction::SendOnly, Direction::RecvOnly, Direction::Inactive]
        [usize::from(flags >> 2 & 3)];
    local.srtp = match flags >> 4 & 3 {
        1 => SrtpPolicy::Offer(Seed::new([1; 32])),
        2 => SrtpPolicy::Require(Seed::new([1; 32])),
        _ => SrtpPolicy::Off,
    };
    if flags & 64 != 0 {
        local.codecs.push(Codec::G722);
    }
    local
}

fn make_offer(local: &mut LocalMedia) {
    let made = offer::build(local).expect("what was agreed can be offered again");
    assert!(made.sdp.starts_with(b"v=0\r\n"));
    assert!(made.origin.version >= local.origin.version, "the version never falls (RFC 3264 §8)");
    local.origin = made.origin;
}

fn sound(agreed: &Negotiated, local: &LocalMedia) {
    assert!((10..=60).contains(&agreed.ptime_ms) && agreed.ptime_ms.is_multiple_of(10));
    assert!(agreed.remote.port() != 0 && agreed.payload_type.send < 128);
    assert_eq!(agreed.remote.is_ipv4(), local.address.is_ipv4());
    let ip = agreed.remote.ip();
    assert!(!ip.is_multicast() && ip != IpAddr::from([255; 4]));
    assert!(local.direction.sends() || !agreed.direction.sends());
    assert!(local.direction.receives() || !agreed.direction.receives());
    assert!(!agreed.held || !agreed.direction.sends(), "nothing is sent to who holds");
    let required = matches!(local.srtp, SrtpPolicy::Require(_));
    assert!(agreed.keys.is_some() || !required, "what is required isn't left out");
    let text = std::str::from_utf8(&agreed.sdp).expect("ours is text");
    assert!(text.lines().count() < 200 && text.ends_with("\r\n") && !text.contains('\0'));
}

/// As many media lines as the offer has, in its order, one of them live (RFC 3264 §6).
fn mirrors(offer: &[u8], agreed: &Negotiated) {
    let lines = |text: &[u8]| -> Vec<Vec<u8>> {
        text.split(|b| matches!(b, b'\r' | b'\n' | 0))
            .map(|line| line.trim_ascii().to_vec())
            .filter(|line| line.starts_with(b"m="))
            .collect()
    };
    let (offered, answered) = (lines(offer), lines(&agreed.sdp));
    assert!(offered.len() <= MAX_MEDIA && answered.len() == offered.len());
    let live = answered.iter().filter(|line| line.split(|b| *b == b' ').nth(1) != Some(b"0")).count();
    assert_eq!(live, 1, "{}", agreed.sdp.escape_ascii());
}
