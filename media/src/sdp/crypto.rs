//! `a=crypto` (RFC 4568): SRTP keys in descriptions.

use std::fmt::Write as _;

use sdp_types::Media;
use smallvec::SmallVec;

use super::SdpError;
use crate::srtp::{MasterKey, Mki, Seed, Suite};

/// Lines looked at in one description; more are ignored.
const MAX_LINES: usize = 16;
/// RFC 4568 §9.1: up to nine digits.
const MAX_TAG: u32 = 999_999_999;

/// Whether SRTP is used: a setting of the trunk.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum SrtpPolicy {
    /// Never. Secure profiles are refused.
    #[default]
    Off,
    /// With peers that can. Our offers are `RTP/AVP` with keys, so that a peer that can't ignores them.
    Offer(Seed),
    /// Always. Our offers are `RTP/SAVP`; a description without a usable key is refused.
    Require(Seed),
}

impl SrtpPolicy {
    /// What our keys are made of, if SRTP is allowed.
    pub(super) fn seed(&self) -> Option<&Seed> {
        match self {
            Self::Off => None,
            Self::Offer(seed) | Self::Require(seed) => Some(seed),
        }
    }

    pub(super) fn is_required(&self) -> bool {
        matches!(self, Self::Require(_))
    }
}

/// The keys that were agreed, one for each direction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keys {
    /// The one that we protect with.
    pub send: MasterKey,
    /// The one that the peer protects with.
    pub receive: MasterKey,
}

/// One usable `a=crypto` line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Crypto {
    pub tag: u32,
    pub key: MasterKey,
}

/// The lines that we can work with, in their order. One with an unknown suite, several keys, or parameters that would
/// change the protection isn't one of them (RFC 4568 §6.3, §7.1.2).
pub(super) fn lines(media: &Media) -> SmallVec<[Crypto; 4]> {
    media.get_attribute_values("crypto").flatten().take(MAX_LINES).filter_map(parse).collect()
}

/// Whether a profile is one of SRTP with keys from elsewhere than DTLS.
pub(super) fn is_secure_profile(proto: &str) -> bool {
    ["RTP/SAVP", "RTP/SAVPF"].iter().any(|known| proto.eq_ignore_ascii_case(known))
}

/// The line of an answer: the tag and suite of the offer's, our key, its MKI's form mirrored.
pub(super) fn answer(offered: &Crypto, seed: &Seed) -> (Crypto, Keys) {
    let send = seed.master_key(offered.key.suite(), offered.key.mki());
    let keys = Keys { send: send.clone(), receive: offered.key.clone() };
    (Crypto { tag: offered.tag, key: send }, keys)
}

/// The lines of an offer: each suite with a key of its own, or the one agreed before alone.
pub(super) fn offer(seed: &Seed, agreed: Option<&Crypto>) -> SmallVec<[Crypto; 4]> {
    match agreed {
        Some(agreed) => SmallVec::from_iter([agreed.clone()]),
        None => (1u32..)
            .zip(Suite::ALL)
            .map(|(tag, suite)| Crypto { tag, key: seed.master_key(suite, None) })
            .collect(),
    }
}

/// The keys that an answer chose: exactly one line, with a tag of ours and its suite (RFC 4568 §7.1.3).
pub(super) fn accept(offered: &[Crypto], answered: &Media) -> Result<Option<(Crypto, Keys)>, SdpError> {
    let mut said = answered.get_attribute_values("crypto").flatten();
    let Some(line) = said.next() else { return Ok(None) };
    if said.next().is_some() {
        return Err(SdpError::NoCommonCrypto);
    }
    let theirs = parse(line).ok_or(SdpError::NoCommonCrypto)?;
    let ours = offered.iter().find(|ours| ours.tag == theirs.tag && ours.key.suite() == theirs.key.suite());
    let ours = ours.ok_or(SdpError::NoCommonCrypto)?;
    let keys = Keys { send: ours.key.clone(), receive: theirs.key };
    Ok(Some((ours.clone(), keys)))
}

/// `<tag> <suite> inline:<key and salt>[|lifetime][|MKI:length]`
pub(super) fn write(crypto: &Crypto) -> String {
    let mut text =
        format!("{} {} inline:{}", crypto.tag, crypto.key.suite().name(), encode(crypto.key.material()));
    if let Some(mki) = crypto.key.mki() {
        // Writing to a String can't fail.
        let _ = write!(text, "|{}:{}", mki.value(), mki.length());
    }
    text
}

fn parse(value: &str) -> Option<Crypto> {
    let mut words = value.split_ascii_whitespace();
    let tag = words.next()?.parse().ok().filter(|tag| *tag <= MAX_TAG)?;
    let suite = Suite::from_name(words.next()?)?;
    let parameters = words.next()?;
    let key = parameters.get(..7).filter(|method| method.eq_ignore_ascii_case("inline:"));
    let key = key.and_then(|_| parameters.get(7..)).filter(|key| !key.contains(';'))?;
    let mut parts = key.split('|');
    let material = decode(parts.next()?)?;
    let mut mki = None;
    let mut lifetime = false;
    for part in parts {
        match part.split_once(':') {
            Some((value, length)) if mki.is_none() => {
                mki = Some(Mki::new(value.parse().ok()?, length.parse().ok()?)?);
            }
            // A lifetime binds its sender, who changes the key in time (RFC 4568 §6.1).
            None if !lifetime && mki.is_none() && is_lifetime(part) => lifetime = true,
            _ => return None,
        }
    }
    if !words.all(is_harmless) {
        return None;
    }
    Some(Crypto { tag, key: MasterKey::new(suite, &material, mki)? })
}

/// `2^n` or a number (RFC 4568 §9.2).
fn is_lifetime(text: &str) -> bool {
    match text.strip_prefix("2^") {
        Some(power) => power.parse::<u8>().is_ok_and(|power| power <= 48),
        None => text.parse::<u64>().is_ok_and(|count| count > 0),
    }
}

/// Session parameters that change nothing for us: a hint on the replay window, a derivation rate of zero, and those
/// that may be ignored by their sender's own word (RFC 4568 §6.3).
fn is_harmless(parameter: &str) -> bool {
    let name = parameter.split('=').next().unwrap_or_default();
    name == "WSH" || parameter == "KDR=0" || parameter.starts_with('-')
}

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Base64 with padding (RFC 4648 §4).
fn encode(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let byte = |place: usize| u32::from(chunk.get(place).copied().unwrap_or(0));
        let word = byte(0) << 16 | byte(1) << 8 | byte(2);
        for place in 0..4usize {
            let digit = (word >> (18 - 6 * place)) & 0x3F;
            let letter = ALPHABET.get(digit as usize).copied().unwrap_or(b'A');
            text.push(if place > chunk.len() { '=' } else { char::from(letter) });
        }
    }
    text
}

/// Base64; padding may be missing, as some phones leave it out.
fn decode(text: &str) -> Option<SmallVec<[u8; 64]>> {
    let digits = text.trim_end_matches('=');
    // One digit too many holds no whole byte.
    if digits.len() % 4 == 1 || text.len() - digits.len() > 2 || digits.len() > 64 {
        return None;
    }
    let (mut bytes, mut word, mut bits) = (SmallVec::new(), 0u32, 0u32);
    for letter in digits.bytes() {
        let digit = ALPHABET.iter().position(|known| *known == letter)?;
        word = word << 6 | u32::try_from(digit).ok()?;
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            bytes.push(u8::try_from(word >> bits & 0xFF).ok()?);
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const KEY: &str = "inline:d0RmdmcmVCspeEc3QGZiNWpVLFJhQX1cfHAwJSoj";

    #[test]
    fn a_line_of_the_rfc_is_read() {
        let crypto = parse(&format!("1 AES_CM_128_HMAC_SHA1_80 {KEY}|2^20|1:4")).unwrap();
        assert_eq!((crypto.tag, crypto.key.suite()), (1, Suite::AesCm128HmacSha1_80));
        assert_eq!(crypto.key.material(), b"wDfvg&T+)xG7@fb5jU,RaA}\\|p0%*#");
        assert_eq!(crypto.key.mki(), Mki::new(1, 4));
    }

    #[test]
    fn what_phones_write_is_understood() {
        for text in [
            format!("1 AES_CM_128_HMAC_SHA1_80 {KEY}"),
            format!("1 AES_CM_128_HMAC_SHA1_80 {KEY}|2^31"),
            format!("1 AES_CM_128_HMAC_SHA1_80 {KEY}|2^31|1:1"),
            format!("1 AES_CM_128_HMAC_SHA1_80 {KEY}|1048576"),
            format!("1 AES_CM_128_HMAC_SHA1_80 {KEY}|1:1"),
            format!("123456789  AES_CM_128_HMAC_SHA1_32  {KEY} WSH=64 KDR=0 -FUTURE=1"),
            "2 AEAD_AES_256_GCM inline:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8gISIjJCUmJygpKis="
                .to_owned(),
            "2 AEAD_AES_256_GCM inline:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8gISIjJCUmJygpKis"
                .to_owned(),
        ] {
            assert!(parse(&text).is_some(), "{text}");
        }
    }

    #[test]
    fn what_we_cannot_do_is_left_alone() {
        for text in [
            format!("1 AES_CM_128_HMAC_SHA1_80 {KEY}|2^20|1:4;{KEY}|2^20|2:4"),
            format!("1 AES_CM_128_HMAC_SHA1_80 {KEY} KDR=1"),
            format!("1 AES_CM_128_HMAC_SHA1_80 {KEY} UNENCRYPTED_SRTP"),
            format!("1 AES_CM_128_HMAC_SHA1_80 {KEY} UNAUTHENTICATED_SRTP"),
            format!("1 AES_CM_128_HMAC_SHA1_80 {KEY} FEC_ORDER=FEC_SRTP"),
            format!("1 AES_CM_128_HMAC_SHA1_80 {KEY}|2^49"),
            format!("1 AES_CM_128_HMAC_SHA1_80 {KEY}|1:5"),
            format!("1 AES_CM_128_HMAC_SHA1_80 {KEY}|1:1|2^20"),
            format!("1 AES_CM_128_HMAC_SHA1_80 {KEY}A"),
            format!("1 F8_128_HMAC_SHA1_80 {KEY}"),
            format!("1000000000 AES_CM_128_HMAC_SHA1_80 {KEY}"),
            format!("-1 AES_CM_128_HMAC_SHA1_80 {KEY}"),
            "1 AES_CM_128_HMAC_SHA1_80".to_owned(),
            "1 AES_CM_128_HMAC_SHA1_80 inline:".to_owned(),
            "1 AES_CM_128_HMAC_SHA1_80 uri:https://example.net".to_owned(),
            String::new(),
        ] {
            assert_eq!(parse(&text), None, "{text}");
        }
    }

    #[test]
    fn lines_of_our_own_are_read_back() {
        for (suite, mki) in Suite::ALL.into_iter().zip([None, Mki::new(3, 1), Mki::new(1 << 20, 4)]) {
            let crypto = Crypto { tag: 9, key: Seed::new([3; 32]).master_key(suite, mki) };
            assert_eq!(parse(&write(&crypto)), Some(crypto));
        }
    }

    proptest! {
        #[test]
        fn base64_is_its_own_inverse(bytes in proptest::collection::vec(any::<u8>(), 0..45)) {
            prop_assert_eq!(&decode(&encode(&bytes)).unwrap()[..], &bytes[..]);
        }

        #[test]
        fn any_line_is_read_or_left(text in "[ -~]{0,80}") {
            let _ = parse(&text);
            let _ = parse(&format!("1 AES_CM_128_HMAC_SHA1_80 inline:{text}"));
        }
    }
}
