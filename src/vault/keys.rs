//! The vault's keys, and sealing with them (XChaCha20-Poly1305).

use std::fmt;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{Key, XChaCha20Poly1305, XNonce};
use rand::Rng;
use sha2::{Digest, Sha256};

use super::VaultError;
use crate::ids::TenantId;
use crate::store::Sealed;
use crate::tenant::access::hex;

/// Bytes of a key (RFC 8439).
const KEY_BYTES: usize = 32;
/// Bytes of a nonce: long enough to be drawn at random for as many secrets as there may be.
const NONCE_BYTES: usize = 24;
/// More keys than this no rotation leaves.
const MOST_KEYS: usize = 16;

/// The keys there are: the first seals, all of them open. Never printed.
#[derive(Clone)]
pub struct VaultKeys(Vec<VaultKey>);

#[derive(Clone)]
struct VaultKey {
    id: String,
    bytes: [u8; KEY_BYTES],
}

impl fmt::Debug for VaultKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VaultKeys({})", self.0.len())
    }
}

impl VaultKey {
    fn new(bytes: [u8; KEY_BYTES]) -> Self {
        // Tells which key it is and nothing of it.
        let digest = Sha256::digest(bytes);
        Self { id: hex(digest.get(..8).unwrap_or_default()), bytes }
    }

    fn generate() -> Self {
        let mut bytes = [0_u8; KEY_BYTES];
        rand::rng().fill(&mut bytes);
        Self::new(bytes)
    }

    fn cipher(&self) -> XChaCha20Poly1305 {
        XChaCha20Poly1305::new(&Key::from(self.bytes))
    }
}

impl VaultKeys {
    /// Reads the keys from their file, one a line, 64 hexadecimal digits each, the one that seals
    /// first; makes file and key where there is none.
    ///
    /// # Errors
    /// When the file can't be read or written, or holds something else.
    pub fn from_file(path: &Path) -> io::Result<Self> {
        match std::fs::read_to_string(path) {
            Ok(text) => Self::parse(&text),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let keys = Self(vec![VaultKey::generate()]);
                keys.write(path, OpenOptions::new().write(true).create_new(true))?;
                Ok(keys)
            }
            Err(error) => Err(error),
        }
    }

    /// Reads keys as they stand in the file.
    ///
    /// # Errors
    /// When there is none, or something else.
    pub fn parse(text: &str) -> io::Result<Self> {
        let wrong = || io::Error::new(io::ErrorKind::InvalidData, "a line must hold 64 hexadecimal digits");
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        let keys = lines.map(|line| from_hex(line).map(VaultKey::new)).collect::<Option<Vec<_>>>();
        keys.filter(|keys| (1..=MOST_KEYS).contains(&keys.len())).map(Self).ok_or_else(wrong)
    }

    /// With a new key that seals from now on; the others still open.
    #[must_use]
    pub fn rotated(mut self) -> Self {
        self.0.insert(0, VaultKey::generate());
        self.0.truncate(MOST_KEYS);
        self
    }

    /// With the key that seals alone.
    #[must_use]
    pub fn newest_only(mut self) -> Self {
        self.0.truncate(1);
        self
    }

    /// Writes them to their file, which is either the old one or the new one whatever happens.
    ///
    /// # Errors
    /// What the system says.
    pub fn replace_file(&self, path: &Path) -> io::Result<()> {
        let beside = path.with_extension("new");
        self.write(&beside, OpenOptions::new().write(true).create(true).truncate(true))?;
        std::fs::rename(&beside, path)
    }

    fn write(&self, path: &Path, how: &mut OpenOptions) -> io::Result<()> {
        let mut file = how.mode(0o600).open(path)?;
        for key in &self.0 {
            writeln!(file, "{}", hex(&key.bytes))?;
        }
        file.sync_all()
    }

    /// Whether the key that seals has this name.
    pub(super) fn is_current(&self, id: &str) -> bool {
        self.0.first().is_some_and(|key| key.id == id)
    }

    /// Whether one of them has this name.
    pub(super) fn has(&self, id: &str) -> bool {
        self.0.iter().any(|key| key.id == id)
    }

    /// Seals a secret for its owner and its name: elsewhere it doesn't open.
    pub(super) fn seal(
        &self,
        owner: Option<&TenantId>,
        name: &str,
        secret: &str,
    ) -> Result<Sealed, VaultError> {
        let key = self.0.first().ok_or(VaultError::NoKey)?;
        let mut nonce = [0_u8; NONCE_BYTES];
        rand::rng().fill(&mut nonce);
        let place = place(owner, name);
        let payload = Payload { msg: secret.as_bytes(), aad: place.as_bytes() };
        let sealed = key.cipher().encrypt(&XNonce::from(nonce), payload).map_err(|_| VaultError::Sealing)?;
        Ok(Sealed { key_id: key.id.clone(), bytes: [nonce.as_slice(), &sealed].concat() })
    }

    /// Opens a secret.
    pub(super) fn open(
        &self,
        owner: Option<&TenantId>,
        name: &str,
        sealed: &Sealed,
    ) -> Result<String, VaultError> {
        let key = self.0.iter().find(|key| key.id == sealed.key_id).ok_or(VaultError::NoKey)?;
        let (nonce, bytes) = sealed.bytes.split_first_chunk::<NONCE_BYTES>().ok_or(VaultError::Damaged)?;
        let place = place(owner, name);
        let payload = Payload { msg: bytes, aad: place.as_bytes() };
        let opened = key.cipher().decrypt(&XNonce::from(*nonce), payload).map_err(|_| VaultError::Damaged)?;
        String::from_utf8(opened).map_err(|_| VaultError::Damaged)
    }
}

/// What a sealed secret is bound to. Neither ids nor names hold a slash.
fn place(owner: Option<&TenantId>, name: &str) -> String {
    match owner {
        Some(tenant) => format!("tenant/{tenant}/{name}"),
        None => format!("operator/{name}"),
    }
}

fn from_hex(text: &str) -> Option<[u8; KEY_BYTES]> {
    if text.len() != KEY_BYTES * 2 || !text.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return None;
    }
    let mut bytes = [0_u8; KEY_BYTES];
    for (at, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(at * 2..at * 2 + 2)?, 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_secret_opens_in_its_own_place_only_and_unchanged_only() {
        let keys = VaultKeys(vec![VaultKey::generate()]);
        let (one, two) = (TenantId::new("tenant-one").unwrap(), TenantId::new("tenant-two").unwrap());
        let sealed = keys.seal(Some(&one), "openai", "sk-1").unwrap();
        assert_eq!(keys.open(Some(&one), "openai", &sealed).unwrap(), "sk-1");
        for (owner, name) in [(Some(&two), "openai"), (Some(&one), "azure"), (None, "openai")] {
            assert!(matches!(keys.open(owner, name, &sealed), Err(VaultError::Damaged)));
        }
        for place in 0..sealed.bytes.len() {
            let mut bytes = sealed.bytes.clone();
            bytes[place] ^= 1;
            let changed = Sealed { bytes, ..sealed.clone() };
            assert!(matches!(keys.open(Some(&one), "openai", &changed), Err(VaultError::Damaged)));
        }
        let short = Sealed { bytes: vec![0; 3], ..sealed.clone() };
        assert!(matches!(keys.open(Some(&one), "openai", &short), Err(VaultError::Damaged)));
        assert_ne!(keys.seal(Some(&one), "openai", "sk-1").unwrap(), sealed, "a nonce is used once");
    }

    #[test]
    fn a_rotated_vault_opens_what_was_sealed_before_until_the_old_key_goes() {
        let old = VaultKeys(vec![VaultKey::generate()]);
        let sealed = old.seal(None, "openai", "sk-1").unwrap();
        let both = old.rotated();
        assert!(!both.is_current(&sealed.key_id) && both.has(&sealed.key_id));
        assert_eq!(both.open(None, "openai", &sealed).unwrap(), "sk-1");
        let again = both.seal(None, "openai", "sk-1").unwrap();
        let new = both.newest_only();
        assert!(matches!(new.open(None, "openai", &sealed), Err(VaultError::NoKey)));
        assert_eq!(new.open(None, "openai", &again).unwrap(), "sk-1");
    }

    #[test]
    fn the_file_is_made_once_and_is_its_owners() {
        let directory = tempfile::TempDir::new().unwrap();
        let path = directory.path().join("vault.key");
        let sealed = VaultKeys::from_file(&path).unwrap().seal(None, "x", "secret").unwrap();
        let again = VaultKeys::from_file(&path).unwrap();
        assert_eq!(again.open(None, "x", &sealed).unwrap(), "secret");
        again.rotated().replace_file(&path).unwrap();
        assert_eq!(VaultKeys::from_file(&path).unwrap().open(None, "x", &sealed).unwrap(), "secret");
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        for wrong in ["", "00", &"zz".repeat(32), &"é".repeat(32)] {
            assert!(VaultKeys::parse(wrong).is_err(), "{wrong}");
        }
    }
}
