//! The transforms, on one packet whose index is known.

use aes::cipher::{BlockCipherEncrypt, KeyInit};
use aes::{Aes128Enc, Block};
use hmac::{Hmac, Mac};
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, Tag, UnboundKey};
use sha1::Sha1;

use super::kdf::SessionKeys;
use super::{SrtpError, Suite};

/// Blocks of key stream made at a time: as many as AES instructions work on side by side.
const BLOCKS: usize = 8;

/// A session key in the form that its suite works with.
#[allow(clippy::large_enum_variant, reason = "few to a call, boxed with it")]
pub(super) enum Cipher {
    CounterMode { aes: Aes128Enc, salt: [u8; 14], mac: Hmac<Sha1> },
    Gcm { key: LessSafeKey, salt: [u8; 12] },
}

/// What makes a packet's initialisation vector.
#[derive(Debug, Clone, Copy)]
pub(super) struct Index {
    pub ssrc: u32,
    /// 48 bits for RTP, 31 for RTCP.
    pub packet: u64,
}

impl Cipher {
    pub fn new(keys: &SessionKeys) -> Result<Self, SrtpError> {
        match keys.suite {
            Suite::AesCm128HmacSha1_80 | Suite::AesCm128HmacSha1_32 => {
                let key = keys.cipher.get(..16).unwrap_or_default();
                Ok(Self::CounterMode {
                    aes: Aes128Enc::new_from_slice(key).map_err(|_| SrtpError::Length)?,
                    salt: keys.salt,
                    mac: Hmac::new_from_slice(keys.authentication.as_slice())
                        .map_err(|_| SrtpError::Length)?,
                })
            }
            Suite::AeadAes256Gcm => {
                let key = UnboundKey::new(&AES_256_GCM, keys.cipher.as_slice());
                let [s0, s1, s2, s3, s4, s5, s6, s7, s8, s9, s10, s11, ..] = keys.salt;
                Ok(Self::Gcm {
                    key: LessSafeKey::new(key.map_err(|_| SrtpError::Length)?),
                    salt: [s0, s1, s2, s3, s4, s5, s6, s7, s8, s9, s10, s11],
                })
            }
        }
    }

    /// Counter mode: en- or decrypts in place (RFC 3711 §4.1.1).
    pub fn counter_mode(aes: &Aes128Enc, salt: &[u8; 14], index: Index, text: &mut [u8]) {
        let mut vector = [0u8; 16];
        for (place, byte) in vector.iter_mut().zip(salt) {
            *place = *byte;
        }
        for (place, byte) in vector.iter_mut().skip(4).zip(index.ssrc.to_be_bytes()) {
            *place ^= byte;
        }
        let [_, _, number @ ..] = index.packet.to_be_bytes();
        for (place, byte) in vector.iter_mut().skip(8).zip(number) {
            *place ^= byte;
        }
        let mut counter = 0u16;
        for stretch in text.chunks_mut(16 * BLOCKS) {
            let mut stream = [Block::default(); BLOCKS];
            let used = stream.get_mut(..stretch.len().div_ceil(16)).unwrap_or_default();
            for block in used.iter_mut() {
                [vector[14], vector[15]] = counter.to_be_bytes();
                *block = Block::from(vector);
                counter = counter.wrapping_add(1);
            }
            aes.encrypt_blocks(used);
            for (piece, block) in stretch.chunks_mut(16).zip(used.iter()) {
                for (byte, key) in piece.iter_mut().zip(block.iter()) {
                    *byte ^= key;
                }
            }
        }
    }

    /// The tag over a packet and what is authenticated with it (RFC 3711 §4.2).
    pub fn mac(mac: &Hmac<Sha1>, packet: &[u8], more: &[u8]) -> Hmac<Sha1> {
        let mut mac = mac.clone();
        mac.update(packet);
        mac.update(more);
        mac
    }
}

/// RFC 7714 §8.1 and §9.1: two zero bytes, SSRC, 48-bit number, all combined with the salt.
fn nonce(salt: &[u8; 12], index: Index) -> Nonce {
    let mut vector = *salt;
    for (place, byte) in vector.iter_mut().skip(2).zip(index.ssrc.to_be_bytes()) {
        *place ^= byte;
    }
    let [_, _, number @ ..] = index.packet.to_be_bytes();
    for (place, byte) in vector.iter_mut().skip(6).zip(number) {
        *place ^= byte;
    }
    Nonce::assume_unique_for_key(vector)
}

/// Encrypts in place and gives the tag.
pub(super) fn seal(
    key: &LessSafeKey,
    salt: &[u8; 12],
    index: Index,
    aad: &[u8],
    text: &mut [u8],
) -> Result<Tag, SrtpError> {
    key.seal_in_place_separate_tag(nonce(salt, index), Aad::from(aad), text).map_err(|_| SrtpError::Length)
}

/// Checks and decrypts in place: `text` is the cipher text with its tag. Its content is undefined after a failure.
pub(super) fn open(
    key: &LessSafeKey,
    salt: &[u8; 12],
    index: Index,
    aad: &[u8],
    text: &mut [u8],
) -> Result<(), SrtpError> {
    key.open_in_place(nonce(salt, index), Aad::from(aad), text).map_err(|_| SrtpError::Authentication)?;
    Ok(())
}
