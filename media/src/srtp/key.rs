//! Master keys as SDP carries them, and the seed that ours are made from.

use std::fmt;

use ring::hmac;
use zeroize::Zeroize;

use super::{MAX_MKI_BYTES, Suite};

/// Key and salt of the longest suite.
const MAX_MATERIAL_BYTES: usize = 44;

/// Names the key within packets (RFC 3711 §3.1, RFC 4568 §6.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mki {
    value: u32,
    length: u8,
}

impl Mki {
    /// An identifier of `length` bytes; `None` if it is longer than we handle, or the value doesn't fit.
    #[must_use]
    pub fn new(value: u32, length: usize) -> Option<Self> {
        let bits = 8 * u32::try_from(length).ok()?;
        let fits = (1..=MAX_MKI_BYTES).contains(&length) && value.checked_shr(bits).unwrap_or(0) == 0;
        fits.then_some(Self { value, length: u8::try_from(length).ok()? })
    }

    /// The number in SDP.
    #[must_use]
    pub const fn value(self) -> u32 {
        self.value
    }

    /// Bytes in a packet.
    #[must_use]
    pub const fn length(self) -> usize {
        self.length as usize
    }

    /// Writes it as it stands in a packet; `None` without room.
    pub(super) fn write(self, out: &mut [u8]) -> Option<()> {
        let bytes = self.value.to_be_bytes();
        let place = out.get_mut(..self.length())?;
        place.copy_from_slice(bytes.get(bytes.len() - self.length()..)?);
        Some(())
    }

    pub(super) fn matches(self, bytes: &[u8]) -> bool {
        bytes.len() == self.length()
            && bytes.iter().fold(0u32, |value, byte| value << 8 | u32::from(*byte)) == self.value
    }
}

/// A suite with its master key and salt. Prints masked, and is wiped when dropped.
#[derive(Clone)]
pub struct MasterKey {
    suite: Suite,
    material: [u8; MAX_MATERIAL_BYTES],
    mki: Option<Mki>,
}

impl MasterKey {
    /// A key from the bytes behind `inline:`; `None` if they aren't as many as the suite needs.
    #[must_use]
    pub fn new(suite: Suite, material: &[u8], mki: Option<Mki>) -> Option<Self> {
        if material.len() != suite.material_bytes() {
            return None;
        }
        let mut own = [0; MAX_MATERIAL_BYTES];
        own.get_mut(..material.len())?.copy_from_slice(material);
        Some(Self { suite, material: own, mki })
    }

    /// The suite.
    #[must_use]
    pub const fn suite(&self) -> Suite {
        self.suite
    }

    /// The identifier that packets carry, if they do.
    #[must_use]
    pub const fn mki(&self) -> Option<Mki> {
        self.mki
    }

    /// Key and salt, for SDP.
    #[must_use]
    pub fn material(&self) -> &[u8] {
        self.material.get(..self.suite.material_bytes()).unwrap_or_default()
    }

    pub(super) fn key(&self) -> &[u8] {
        self.material.get(..self.suite.key_bytes()).unwrap_or_default()
    }

    pub(super) fn salt(&self) -> &[u8] {
        self.material().get(self.suite.key_bytes()..).unwrap_or_default()
    }
}

impl PartialEq for MasterKey {
    fn eq(&self, other: &Self) -> bool {
        self.suite == other.suite && self.mki == other.mki && self.material == other.material
    }
}

impl Eq for MasterKey {}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MasterKey({})", self.suite.name())
    }
}

impl Drop for MasterKey {
    fn drop(&mut self) {
        self.material.zeroize();
    }
}

/// 32 bytes from a secure random source, drawn anew for each call leg: all its keys are made from them. Prints masked.
#[derive(Clone, PartialEq, Eq)]
pub struct Seed([u8; 32]);

impl Seed {
    /// Takes random bytes.
    #[must_use]
    pub const fn new(random: [u8; 32]) -> Self {
        Self(random)
    }

    /// Our key for a suite. The same at each call, so that a refreshed description keeps it (RFC 4568 §7.1.4); every
    /// suite has its own, so that none is used with two of them (RFC 4568 §6.1).
    #[must_use]
    pub fn master_key(&self, suite: Suite, mki: Option<Mki>) -> MasterKey {
        let key = hmac::Key::new(hmac::HMAC_SHA512, &self.0);
        let tag = hmac::sign(&key, suite.name().as_bytes());
        let mut material = [0; MAX_MATERIAL_BYTES];
        for (place, byte) in material.iter_mut().zip(tag.as_ref()).take(suite.material_bytes()) {
            *place = *byte;
        }
        MasterKey { suite, material, mki }
    }
}

impl fmt::Debug for Seed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Seed(*)")
    }
}

impl Drop for Seed {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}
