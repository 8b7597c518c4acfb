//! The vault: keys of providers and other systems, sealed in the store, for each tenant with the
//! operator's to fall back on. Written through the API and on the command line, and never shown.

mod keys;

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use arc_swap::ArcSwap;

use crate::ids::TenantId;
use crate::store::{Sealed, Store, StoreError};

pub use self::keys::VaultKeys;

/// The longest name.
pub const LONGEST_NAME: usize = 64;
/// The longest secret, in bytes: a private key fits.
pub const LONGEST_SECRET: usize = 16 << 10;
/// The most secrets rotated at a time.
const PAGE: u32 = 200;

/// The vault.
pub struct Vault {
    store: Arc<dyn Store>,
    file: PathBuf,
    keys: ArcSwap<VaultKeys>,
}

/// A secret. Printed masked.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// The secret itself.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

impl fmt::Debug for Vault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Vault({})", self.file.display())
    }
}

/// What can go wrong with a secret.
#[derive(Debug, thiserror::Error)]
pub enum VaultError {
    /// Its key isn't in the file.
    #[error("the vault's key that seals it is missing: put the line back into the key file")]
    NoKey,
    /// It was changed, or belongs elsewhere.
    #[error("it is damaged or was moved: write it again")]
    Damaged,
    /// It can't be sealed.
    #[error("it can't be sealed")]
    Sealing,
    /// A name of another form.
    #[error("a secret's name is 1 to 64 of a-z, 0-9, '_' and '-'")]
    Name,
    /// Too long or empty.
    #[error("a secret has 1 to 16384 bytes")]
    Length,
    /// The key file.
    #[error("the vault's key file {path} can't be used ({error})")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Vault {
    /// The vault of a store, with the keys of this file, which is made where it is missing.
    ///
    /// # Errors
    /// [`VaultError::File`].
    pub fn open(store: Arc<dyn Store>, file: PathBuf) -> Result<Self, VaultError> {
        let keys =
            VaultKeys::from_file(&file).map_err(|error| VaultError::File { path: file.clone(), error })?;
        Ok(Self { store, file, keys: ArcSwap::from_pointee(keys) })
    }

    /// A tenant's secret, else the operator's of the same name. Read anew for each call.
    ///
    /// # Errors
    /// When it is there and can't be opened, or the store can't be asked.
    pub async fn find(&self, tenant: &TenantId, name: &str) -> Result<Option<Secret>, VaultError> {
        if let Some(sealed) = self.store.tenant(tenant).secret(name).await? {
            return self.unseal(Some(tenant), name, &sealed).map(Some);
        }
        match self.store.operator().secret(name).await? {
            Some(sealed) => self.unseal(None, name, &sealed).map(Some),
            None => Ok(None),
        }
    }

    /// Keeps a secret, a tenant's or the operator's.
    ///
    /// # Errors
    /// When name or secret have another form, or the store can't take it.
    pub async fn keep(&self, owner: Option<&TenantId>, name: &str, secret: &str) -> Result<(), VaultError> {
        check(name, secret)?;
        let sealed = self.current()?.seal(owner, name, secret)?;
        match owner {
            Some(tenant) => self.store.tenant(tenant).keep_secret(name, &sealed).await?,
            None => self.store.operator().keep_secret(name, &sealed).await?,
        }
        Ok(())
    }

    /// Makes a new key, seals everything with it, and forgets the others. Other processes read the
    /// key file again when they meet a key that they don't know.
    ///
    /// # Errors
    /// When the key file can't be written, a secret can't be opened, or the store can't be asked;
    /// then old and new keys are both in the file, and it can be tried again.
    pub async fn rotate(&self) -> Result<u64, VaultError> {
        let both = VaultKeys::clone(&*self.current()?).rotated();
        let written = |error| VaultError::File { path: self.file.clone(), error };
        both.replace_file(&self.file).map_err(written)?;
        self.keys.store(Arc::new(both.clone()));
        let mut count = 0;
        let mut after = None;
        loop {
            let page = self.store.operator().secrets_after(after.as_ref(), PAGE).await?;
            let Some(last) = page.last() else { break };
            after = Some((last.owner.clone(), last.name.clone()));
            for found in &page {
                if both.is_current(&found.sealed.key_id) {
                    continue;
                }
                let owner = found.owner.as_ref();
                let sealed = both.seal(owner, &found.name, &both.open(owner, &found.name, &found.sealed)?)?;
                // Unless it was written meanwhile, with either key.
                self.store.operator().reseal(owner, &found.name, &found.sealed, &sealed).await?;
                count += 1;
            }
        }
        let newest = both.newest_only();
        newest.replace_file(&self.file).map_err(written)?;
        self.keys.store(Arc::new(newest));
        Ok(count)
    }

    fn unseal(&self, owner: Option<&TenantId>, name: &str, sealed: &Sealed) -> Result<Secret, VaultError> {
        let keys = self.keys.load_full();
        let keys = if keys.has(&sealed.key_id) { keys } else { self.current()? };
        keys.open(owner, name, sealed).map(Secret)
    }

    /// The keys as they are in the file now: another process may have rotated them.
    fn current(&self) -> Result<Arc<VaultKeys>, VaultError> {
        let keys = VaultKeys::from_file(&self.file);
        let keys = Arc::new(keys.map_err(|error| VaultError::File { path: self.file.clone(), error })?);
        self.keys.store(Arc::clone(&keys));
        Ok(keys)
    }
}

fn check(name: &str, secret: &str) -> Result<(), VaultError> {
    let letters =
        name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || b == b'-');
    if !letters || !(1..=LONGEST_NAME).contains(&name.len()) {
        return Err(VaultError::Name);
    }
    if !(1..=LONGEST_SECRET).contains(&secret.len()) {
        return Err(VaultError::Length);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;
    use crate::store::conformance::{id, tenant};
    use crate::store::sqlite::SqliteStore;

    #[tokio::test]
    async fn a_tenants_secret_comes_before_the_operators_and_rotation_changes_neither() {
        let directory = TempDir::new().unwrap();
        let store: Arc<dyn Store> =
            Arc::new(SqliteStore::open(&directory.path().join("offhook.db")).await.unwrap());
        for name in ["one", "two"] {
            store.tenant(&id(name)).save(&tenant(name)).await.unwrap();
        }
        let open = || Vault::open(Arc::clone(&store), directory.path().join("vault.key")).unwrap();
        let (vault, beside) = (open(), open());
        let find = async |vault: &Vault, name: &str| {
            vault.find(&id(name), "openai").await.unwrap().map(|secret| secret.reveal().to_owned())
        };
        assert_eq!(find(&vault, "one").await, None);
        vault.keep(None, "openai", "sk-operator").await.unwrap();
        vault.keep(Some(&id("one")), "openai", "sk-one").await.unwrap();
        let before = store.tenant(&id("one")).secret("openai").await.unwrap().unwrap();
        assert_eq!(vault.rotate().await.unwrap(), 2);
        let after = store.tenant(&id("one")).secret("openai").await.unwrap().unwrap();
        assert_ne!(before.key_id, after.key_id);
        // A process that was there before the rotation finds the new key by itself.
        for vault in [&vault, &beside, &open()] {
            assert_eq!(find(vault, "one").await.as_deref(), Some("sk-one"));
            assert_eq!(find(vault, "two").await.as_deref(), Some("sk-operator"));
        }
        beside.keep(Some(&id("two")), "openai", "sk-two").await.unwrap();
        assert_eq!(find(&vault, "two").await.as_deref(), Some("sk-two"));
        let file = std::fs::read_to_string(directory.path().join("vault.key")).unwrap();
        assert_eq!(file.lines().count(), 1);
        for (name, secret) in [("", "x"), ("A", "x"), ("a/b", "x"), ("a", "")] {
            assert!(vault.keep(None, name, secret).await.is_err(), "{name}");
        }
    }
}
