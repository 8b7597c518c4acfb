//! The operator's master key, and the short-lived tokens that it is exchanged for.
//!
//! A token says until when it holds and is signed with the master key, so that nothing has to be
//! stored: it holds on every node that has the key, over restarts, and until the key is changed.

use std::fmt;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

use chrono::{DateTime, Utc};
use hmac::{Hmac, Mac};
use rand::Rng;
use sha2::Sha256;

use crate::tenant::access::hex;

/// How tokens begin.
pub(super) const TOKEN_PREFIX: &str = "adm.";
/// Random bytes of a master key that we make.
const KEY_BYTES: usize = 32;
/// The shortest master key taken from a file: what a person makes up is no key.
const SHORTEST_KEY: usize = 24;
/// More than any key file holds.
const LONGEST_KEY: usize = 4_096;

/// The operator's master key. Never printed.
#[derive(Clone)]
pub struct MasterKey(Vec<u8>);

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MasterKey(…)")
    }
}

impl MasterKey {
    /// Reads the key from its file; makes both where there is no file and `make` is set.
    ///
    /// # Errors
    /// When the file can't be read or written, or holds less than 24 characters.
    pub fn from_file(path: &Path, make: bool) -> io::Result<Self> {
        match std::fs::read_to_string(path) {
            Ok(text) => Self::checked(text.trim()),
            Err(error) if error.kind() == io::ErrorKind::NotFound && make => Self::made(path),
            Err(error) => Err(error),
        }
    }

    fn checked(text: &str) -> io::Result<Self> {
        if (SHORTEST_KEY..=LONGEST_KEY).contains(&text.len()) {
            Ok(Self(text.as_bytes().to_vec()))
        } else {
            let wanted = "it must hold 24 characters at least: delete it, and one is made at the next start";
            Err(io::Error::new(io::ErrorKind::InvalidData, wanted))
        }
    }

    fn made(path: &Path) -> io::Result<Self> {
        let mut bytes = [0_u8; KEY_BYTES];
        rand::rng().fill(&mut bytes);
        let key = hex(&bytes);
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
        writeln!(file, "{key}")?;
        file.sync_all()?;
        Ok(Self(key.into_bytes()))
    }

    /// Whether this is the key. Takes as long for a wrong one.
    pub(super) fn is(&self, given: &str) -> bool {
        let own = self.sign(&self.0).finalize().into_bytes();
        self.sign(given.as_bytes()).verify_slice(&own).is_ok()
    }

    /// A token that holds until then.
    pub(super) fn token(&self, until: DateTime<Utc>) -> String {
        let mut nonce = [0_u8; 8];
        rand::rng().fill(&mut nonce);
        let said = format!("{:x}.{}", until.timestamp().max(0), hex(&nonce));
        let signature = self.sign(format!("{TOKEN_PREFIX}{said}").as_bytes()).finalize().into_bytes();
        format!("{TOKEN_PREFIX}{said}.{}", hex(&signature))
    }

    /// Until when a token holds; `None` when it isn't ours or has run out.
    pub(super) fn check(&self, token: &str, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let (said, signature) = token.rsplit_once('.')?;
        self.sign(said.as_bytes()).verify_slice(&from_hex(signature)?).ok()?;
        let until = said.strip_prefix(TOKEN_PREFIX)?.split('.').next()?;
        let until = DateTime::from_timestamp(i64::from_str_radix(until, 16).ok()?, 0)?;
        (now < until).then_some(until)
    }

    fn sign(&self, text: &[u8]) -> Hmac<Sha256> {
        // A key of any length is taken (RFC 2104 §2).
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0)
            .unwrap_or_else(|_| Hmac::<Sha256>::new(&hmac::digest::Key::<Hmac<Sha256>>::default()));
        mac.update(text);
        mac
    }
}

/// The end of a token made now.
pub(super) fn end(now: DateTime<Utc>, lasting: Duration) -> DateTime<Utc> {
    chrono::TimeDelta::from_std(lasting)
        .ok()
        .and_then(|lasting| now.checked_add_signed(lasting))
        .unwrap_or(now)
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digits = text.as_bytes();
    if digits.len() != 64 {
        return None;
    }
    digits.chunks_exact(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn key() -> MasterKey {
        MasterKey::checked("a key of a test, long enough").unwrap()
    }

    #[test]
    fn a_token_holds_until_its_end_and_with_its_key_only() {
        let now = Utc::now();
        let token = key().token(end(now, Duration::from_secs(60)));
        assert!(key().check(&token, now).is_some());
        assert_eq!(key().check(&token, now + chrono::TimeDelta::seconds(61)), None);
        assert_eq!(MasterKey::checked("another key, as long as it is").unwrap().check(&token, now), None);
        for place in 0..token.len() {
            let mut bytes = token.clone().into_bytes();
            bytes[place] = if bytes[place] == b'1' { b'2' } else { b'1' };
            let forged = String::from_utf8(bytes).unwrap();
            assert_eq!(key().check(&forged, now), None, "{forged}");
        }
        for text in ["", "adm.", "adm..", "adm.ffffffffffffffffff.00.00", "…"] {
            assert_eq!(key().check(text, now), None);
        }
    }

    #[test]
    fn a_key_is_made_once_for_its_owner_alone() {
        let directory = tempfile::TempDir::new().unwrap();
        let path = directory.path().join("master.key");
        assert!(MasterKey::from_file(&path, false).is_err());
        let made = MasterKey::from_file(&path, true).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(made.is(text.trim()) && !made.is(text.trim_end_matches('\n').get(1..).unwrap()));
        assert!(MasterKey::from_file(&path, true).unwrap().is(text.trim()));
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        std::fs::write(&path, "short\n").unwrap();
        assert!(MasterKey::from_file(&path, true).unwrap_err().to_string().contains("24 characters"));
    }
}
