//! SRTP and SRTCP with keys from SDP (RFC 3711, RFC 4568, RFC 7714).
//!
//! Packets are protected in the buffer that they were written into, and unprotected in a copy of the datagram; neither
//! allocates. A packet that fails its check is counted by the caller and has no other effect: not on the replay
//! window, not on the roll-over counter, not on the call.

mod cipher;
mod inbound;
mod kdf;
mod key;
mod outbound;

pub use inbound::Unprotector;
pub use key::{MasterKey, Mki, Seed};
pub use outbound::Protector;

/// Longest MKI handled, in bytes.
pub const MAX_MKI_BYTES: usize = 4;
/// What protection adds to an RTP packet at most: the tag of AES-GCM and an MKI.
pub const MAX_RTP_OVERHEAD: usize = 16 + MAX_MKI_BYTES;
/// What protection adds to an RTCP packet at most.
pub const MAX_RTCP_OVERHEAD: usize = MAX_RTP_OVERHEAD + INDEX_BYTES;
/// Longest packet that can be unprotected.
pub const MAX_DATAGRAM: usize = 2048;

/// The E flag and the index of SRTCP (RFC 3711 §3.4).
const INDEX_BYTES: usize = 4;

/// Half the range of a sequence number.
const HALF: u64 = 1 << 15;

/// A crypto suite of SDP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Suite {
    /// AES in counter mode, 128 bits, with an 80-bit tag (RFC 4568 §6.2.1).
    AesCm128HmacSha1_80,
    /// The same with a 32-bit tag on RTP; RTCP keeps 80 bits (RFC 4568 §6.2.2).
    AesCm128HmacSha1_32,
    /// AES-GCM with 256 bits (RFC 7714 §14.2).
    AeadAes256Gcm,
}

impl Suite {
    /// All suites, the one that we prefer first.
    pub const ALL: [Self; 3] = [Self::AeadAes256Gcm, Self::AesCm128HmacSha1_80, Self::AesCm128HmacSha1_32];

    /// The name in `a=crypto`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::AesCm128HmacSha1_80 => "AES_CM_128_HMAC_SHA1_80",
            Self::AesCm128HmacSha1_32 => "AES_CM_128_HMAC_SHA1_32",
            Self::AeadAes256Gcm => "AEAD_AES_256_GCM",
        }
    }

    /// The suite of a name; RFC 4568 §9.2 compares them exactly.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|suite| suite.name() == name)
    }

    /// Bytes of the master key.
    #[must_use]
    pub const fn key_bytes(self) -> usize {
        match self {
            Self::AesCm128HmacSha1_80 | Self::AesCm128HmacSha1_32 => 16,
            Self::AeadAes256Gcm => 32,
        }
    }

    /// Bytes of the master salt.
    #[must_use]
    pub const fn salt_bytes(self) -> usize {
        match self {
            Self::AesCm128HmacSha1_80 | Self::AesCm128HmacSha1_32 => 14,
            Self::AeadAes256Gcm => 12,
        }
    }

    /// Bytes of what stands behind `inline:`: key and salt.
    #[must_use]
    pub const fn material_bytes(self) -> usize {
        self.key_bytes() + self.salt_bytes()
    }

    const fn rtp_tag_bytes(self) -> usize {
        match self {
            Self::AesCm128HmacSha1_80 => 10,
            Self::AesCm128HmacSha1_32 => 4,
            Self::AeadAes256Gcm => 16,
        }
    }

    const fn rtcp_tag_bytes(self) -> usize {
        match self {
            Self::AesCm128HmacSha1_80 | Self::AesCm128HmacSha1_32 => 10,
            Self::AeadAes256Gcm => 16,
        }
    }
}

/// Why a packet can't be protected or unprotected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SrtpError {
    /// Too short for its header, its tag, or longer than [`MAX_DATAGRAM`].
    #[error("packet of an impossible length")]
    Length,
    /// The tag doesn't fit: tampered with, another key, or no SRTP at all.
    #[error("packet fails its authentication")]
    Authentication,
    /// Seen before, or too old to tell.
    #[error("packet was seen before or is too old")]
    Replayed,
    /// All indices of the key are used up (RFC 3711 §9.2).
    #[error("the key is used up")]
    Exhausted,
}

/// Length of an RTP header with its CSRC list and extension (RFC 3550 §5.1), which stays readable.
fn rtp_header_bytes(packet: &[u8]) -> Option<usize> {
    let flags = *packet.first()?;
    let fixed = 12 + usize::from(flags & 0x0F) * 4;
    if flags >> 6 != 2 || packet.len() < fixed {
        return None;
    }
    if flags & 0x10 == 0 {
        return Some(fixed);
    }
    let [_, _, l0, l1] = *packet.get(fixed..)?.first_chunk::<4>()?;
    let length = fixed + 4 + usize::from(u16::from_be_bytes([l0, l1])) * 4;
    (packet.len() >= length).then_some(length)
}

/// Sequence number and SSRC of an RTP packet.
fn rtp_identity(packet: &[u8]) -> Option<(u16, u32)> {
    let [_, _, s0, s1, _, _, _, _, c0, c1, c2, c3] = *packet.first_chunk::<12>()?;
    Some((u16::from_be_bytes([s0, s1]), u32::from_be_bytes([c0, c1, c2, c3])))
}

/// SSRC of the sender of an RTCP compound.
fn rtcp_ssrc(packet: &[u8]) -> Option<u32> {
    let [_, _, _, _, c0, c1, c2, c3] = *packet.first_chunk::<8>()?;
    Some(u32::from_be_bytes([c0, c1, c2, c3]))
}

/// The index with these lower 16 bits that is nearest to the newest one (RFC 3711 §3.3.1, Appendix A).
fn nearest(newest: u64, sequence: u16) -> Option<u64> {
    let same = newest & !0xFFFF | u64::from(sequence);
    if same > newest + HALF {
        // Below zero: from before the stream began.
        same.checked_sub(1 << 16)
    } else if same + HALF < newest {
        Some(same + (1 << 16)).filter(|index| index >> 48 == 0)
    } else {
        Some(same)
    }
}

#[cfg(test)]
mod tests;
