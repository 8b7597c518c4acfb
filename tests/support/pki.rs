//! Authorities and certificates for a test, as files.

#![allow(dead_code, reason = "each test program uses another part of it")]

use std::path::{Path, PathBuf};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, SanType};

/// An authority that exists for one test.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    directory: PathBuf,
    /// Its certificate.
    pub file: PathBuf,
}

/// A certificate and its key.
#[derive(Clone, Debug)]
pub struct Issued {
    pub certificate: PathBuf,
    pub key: PathBuf,
}

impl Authority {
    /// Files are written into the directory, under names that begin with `name`.
    pub fn new(directory: &Path, name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        let file = directory.join(format!("{name}.pem"));
        std::fs::write(&file, certificate.pem()).unwrap();
        Self { issuer: Issuer::new(params, key), directory: directory.to_owned(), file }
    }

    /// A certificate for names, addresses and, with a colon in them, URIs. Its files are named
    /// after `file`; one of before is overwritten.
    pub fn issue(&self, file: &str, names: &[&str]) -> Issued {
        let key = KeyPair::generate().unwrap();
        let certificate = params(names).signed_by(&key, &self.issuer).unwrap();
        write(&self.directory, file, &certificate.pem(), &key)
    }
}

/// A certificate that nobody else has signed, and that calls itself an authority, as `openssl req
/// -x509` makes them.
pub fn self_signed(directory: &Path, file: &str, names: &[&str]) -> Issued {
    let mut params = params(names);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let certificate = params.self_signed(&key).unwrap();
    write(directory, file, &certificate.pem(), &key)
}

fn params(names: &[&str]) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "offhook test");
    params.subject_alt_names = names
        .iter()
        .map(|name| match name.parse() {
            Ok(address) => SanType::IpAddress(address),
            Err(_) if name.contains(':') => SanType::URI((*name).try_into().unwrap()),
            Err(_) => SanType::DnsName((*name).try_into().unwrap()),
        })
        .collect();
    params
}

fn write(directory: &Path, file: &str, certificate: &str, key: &KeyPair) -> Issued {
    let issued = Issued {
        certificate: directory.join(format!("{file}.crt")),
        key: directory.join(format!("{file}.key")),
    };
    std::fs::write(&issued.certificate, certificate).unwrap();
    std::fs::write(&issued.key, key.serialize_pem()).unwrap();
    issued
}
