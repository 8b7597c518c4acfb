//! Session keys from a master key (RFC 3711 §4.3). The key derivation rate is zero: they are derived once.

use aes::cipher::{BlockCipherEncrypt, KeyInit};
use aes::{Aes128Enc, Aes256Enc, Block};
use zeroize::{Zeroize, Zeroizing};

use super::{MasterKey, Suite};

/// What a derived key is for (RFC 3711 §4.3.1, §4.3.2).
#[derive(Debug, Clone, Copy)]
pub(super) enum Label {
    RtpCipher = 0,
    RtpAuthentication = 1,
    RtpSalt = 2,
    RtcpCipher = 3,
    RtcpAuthentication = 4,
    RtcpSalt = 5,
}

/// The session keys of RTP or RTCP.
pub(super) struct SessionKeys {
    pub suite: Suite,
    pub cipher: Zeroizing<[u8; 32]>,
    pub authentication: Zeroizing<[u8; 20]>,
    pub salt: [u8; 14],
}

impl SessionKeys {
    pub fn rtp(master: &MasterKey) -> Self {
        Self::derive(master, [Label::RtpCipher, Label::RtpAuthentication, Label::RtpSalt])
    }

    pub fn rtcp(master: &MasterKey) -> Self {
        Self::derive(master, [Label::RtcpCipher, Label::RtcpAuthentication, Label::RtcpSalt])
    }

    fn derive(master: &MasterKey, [cipher, authentication, salt]: [Label; 3]) -> Self {
        let suite = master.suite();
        let mut keys = Self {
            suite,
            cipher: Zeroizing::new([0; 32]),
            authentication: Zeroizing::new([0; 20]),
            salt: [0; 14],
        };
        derive(master, cipher, keys.cipher.get_mut(..suite.key_bytes()).unwrap_or_default());
        derive(master, authentication, keys.authentication.as_mut_slice());
        derive(master, salt, keys.salt.get_mut(..suite.salt_bytes()).unwrap_or_default());
        keys
    }
}

/// AES-CM as a pseudo-random function (RFC 3711 §4.3.3); with 256 bits for AES-GCM (RFC 7714 §11).
pub(super) fn derive(master: &MasterKey, label: Label, out: &mut [u8]) {
    // A 96-bit salt is padded on the right to 112 bits (RFC 7714 §11).
    let mut block = [0u8; 16];
    for (place, byte) in block.iter_mut().zip(master.salt()) {
        *place = *byte;
    }
    // The label is the highest byte of a 56-bit number at the right end of the 112 bits.
    block[7] ^= label as u8;
    match master.key().len() {
        16 => fill(Aes128Enc::new_from_slice(master.key()).ok(), block, out),
        _ => fill(Aes256Enc::new_from_slice(master.key()).ok(), block, out),
    }
}

fn fill<C: BlockCipherEncrypt<BlockSize = aes::cipher::consts::U16>>(
    cipher: Option<C>,
    mut block: [u8; 16],
    out: &mut [u8],
) {
    let Some(cipher) = cipher else { return };
    for (counter, chunk) in (0u16..).zip(out.chunks_mut(16)) {
        [block[14], block[15]] = counter.to_be_bytes();
        let mut stream = Block::from(block);
        cipher.encrypt_block(&mut stream);
        chunk.copy_from_slice(stream.get(..chunk.len()).unwrap_or_default());
        stream.as_mut_slice().zeroize();
    }
}
