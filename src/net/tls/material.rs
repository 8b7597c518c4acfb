//! From files to certificates, keys and authorities.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::RootCertStore;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;

use crate::config::tls::CertificateFiles;

/// More than any certificate, key or bundle of authorities (the system's is about 220 KB).
const MAX_FILE: u64 = 4 << 20;

/// What is wrong with the files of TLS.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// It can't be read.
    #[error("can't read {}: {error}; check the path, and that offhook's user may read it", file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// What the system says.
        error: std::io::Error,
    },
    /// There is no certificate in it.
    #[error(
        "{} holds no certificate in PEM form; it begins with -----BEGIN CERTIFICATE----- (from DER: `openssl x509 -inform der -in … -out …`)",
        .0.display()
    )]
    NoCertificate(PathBuf),
    /// There is no key in it.
    #[error("{} holds no private key in PEM form; it begins with -----BEGIN PRIVATE KEY-----", .0.display())]
    NoKey(PathBuf),
    /// The key has a passphrase.
    #[error(
        "the private key in {} is encrypted, and nobody is there to type the passphrase; decrypt it with `openssl pkey -in … -out …` and `chmod 600` it",
        .0.display()
    )]
    EncryptedKey(PathBuf),
    /// The PEM is damaged.
    #[error("{} is damaged: {error}; copy it again", file.display())]
    Damaged {
        /// The file.
        file: PathBuf,
        /// What was found.
        error: pem::Error,
    },
    /// The certificate or key is of no use.
    #[error("{} can't be used: {error}; RSA from 2048 bits, ECDSA on P-256 and P-384 and Ed25519 can", file.display())]
    Unusable {
        /// The file.
        file: PathBuf,
        /// What was found.
        error: rustls::Error,
    },
    /// The key is another one's.
    #[error("the key in {} doesn't belong to the first certificate in {}; the server's own certificate comes first", key.display(), certificate.display())]
    Mismatch {
        /// The certificate.
        certificate: PathBuf,
        /// The key.
        key: PathBuf,
    },
    /// The authorities in it are of no use.
    #[error("the authorities in {} can't be used: {problem}", file.display())]
    Authorities {
        /// The file.
        file: PathBuf,
        /// What was found.
        problem: String,
    },
    /// It is neither a domain nor an address.
    #[error("\"{0}\" is no name that a certificate can bear; set `tls_server_name`")]
    Name(String),
    /// rustls doesn't take the settings.
    #[error("TLS can't be set up: {0}")]
    Library(#[from] rustls::Error),
}

fn read(file: &Path) -> Result<Vec<u8>, TlsError> {
    let unreadable = |error| TlsError::Unreadable { file: file.to_owned(), error };
    let mut bytes = Vec::new();
    let opened = std::fs::File::open(file).map_err(unreadable)?;
    opened.take(MAX_FILE).read_to_end(&mut bytes).map_err(unreadable)?;
    Ok(bytes)
}

/// The certificates of a file, in its order; at least one.
pub(super) fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let bytes = read(file)?;
    let found = CertificateDer::pem_slice_iter(&bytes).collect::<Result<Vec<_>, _>>();
    match found {
        Ok(found) if found.is_empty() => Err(TlsError::NoCertificate(file.to_owned())),
        Ok(found) => Ok(found),
        Err(error) => Err(TlsError::Damaged { file: file.to_owned(), error }),
    }
}

fn key(file: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    let bytes = read(file)?;
    match PrivateKeyDer::from_pem_slice(&bytes) {
        Ok(key) => Ok(key),
        Err(_) if memchr_text(&bytes, b"ENCRYPTED") => Err(TlsError::EncryptedKey(file.to_owned())),
        Err(pem::Error::NoItemsFound) => Err(TlsError::NoKey(file.to_owned())),
        Err(error) => Err(TlsError::Damaged { file: file.to_owned(), error }),
    }
}

fn memchr_text(bytes: &[u8], text: &[u8]) -> bool {
    bytes.windows(text.len()).any(|window| window == text)
}

/// A certificate with its chain, and the key that belongs to it.
pub(super) fn certified(
    files: &CertificateFiles,
    provider: &CryptoProvider,
) -> Result<CertifiedKey, TlsError> {
    let chain = certificates(&files.certificate)?;
    let unusable = |file: &Path, error| TlsError::Unusable { file: file.to_owned(), error };
    let key = provider
        .key_provider
        .load_private_key(key(&files.key)?)
        .map_err(|error| unusable(&files.key, error))?;
    let certified = CertifiedKey::new(chain, key);
    match certified.keys_match() {
        Ok(()) => Ok(certified),
        Err(rustls::Error::InconsistentKeys(rustls::InconsistentKeys::KeyMismatch)) => {
            Err(TlsError::Mismatch { certificate: files.certificate.clone(), key: files.key.clone() })
        }
        // What can't be compared may still fit: the handshakes will tell.
        Err(rustls::Error::InconsistentKeys(_)) => Ok(certified),
        Err(error) => Err(unusable(&files.certificate, error)),
    }
}

/// The authorities of a file.
pub(super) fn authorities(file: &Path) -> Result<(RootCertStore, Vec<CertificateDer<'static>>), TlsError> {
    let certificates = certificates(file)?;
    let mut roots = RootCertStore::empty();
    for certificate in &certificates {
        roots
            .add(certificate.clone())
            .map_err(|error| TlsError::Authorities { file: file.to_owned(), problem: error.to_string() })?;
    }
    Ok((roots, certificates))
}

/// The authorities that the system trusts, `SSL_CERT_FILE` and `SSL_CERT_DIR` minded.
pub(super) fn system_roots() -> Arc<RootCertStore> {
    let found = rustls_native_certs::load_native_certs();
    for error in &found.errors {
        tracing::debug!(%error, "a certificate of the system can't be read");
    }
    let mut roots = RootCertStore::empty();
    // The bundles of some systems hold certificates that nobody could use; the others count.
    let (taken, _) = roots.add_parsable_certificates(found.certs);
    if taken == 0 {
        tracing::warn!(
            "the system trusts no authority: install ca-certificates, or give each TLS trunk a tls_ca"
        );
    }
    Arc::new(roots)
}
