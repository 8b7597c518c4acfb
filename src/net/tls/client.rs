//! TLS as a client: what a server has to prove.

use std::path::Path;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::crypto::{
    CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature,
};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::sign::SingleCertAndKey;
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};

use super::material::{self, TlsError};
use super::{VERSIONS, identity};
use crate::config::tls::CertificateFiles;

/// Whose word is taken.
pub(super) enum Trust {
    /// That of the authorities which the system trusts.
    System(Arc<RootCertStore>),
    /// That of the authorities in a file. A server may also show a certificate that is itself in
    /// the file: that of a PBX which signed its own.
    File(Arc<RootCertStore>, Vec<CertificateDer<'static>>),
}

impl Trust {
    pub(super) fn read(file: &Path) -> Result<Self, TlsError> {
        let (roots, certificates) = material::authorities(file)?;
        Ok(Self::File(Arc::new(roots), certificates))
    }
}

/// Each has its own memory of sessions, so that none is resumed under another's terms.
pub(super) fn config(
    trust: &Trust,
    ours: Option<&CertificateFiles>,
    wildcards: bool,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<ClientConfig>, TlsError> {
    let (roots, pinned) = match trust {
        Trust::System(roots) => (Arc::clone(roots), Vec::new()),
        Trust::File(roots, pinned) => (Arc::clone(roots), pinned.clone()),
    };
    let algorithms = provider.signature_verification_algorithms;
    let verifier = Verifier { roots, pinned, wildcards, algorithms };
    let builder = ClientConfig::builder_with_provider(Arc::clone(provider))
        .with_protocol_versions(VERSIONS)?
        // rustls' own verifier knows the names of the web: it takes wildcards, and no sip: URIs.
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier));
    Ok(Arc::new(match ours {
        None => builder.with_no_client_auth(),
        Some(files) => {
            let certified = material::certified(files, provider)?;
            builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(certified)))
        }
    }))
}

/// The chain of RFC 5280 as rustls checks it, with the names of RFC 5922.
#[derive(Debug)]
struct Verifier {
    roots: Arc<RootCertStore>,
    pinned: Vec<CertificateDer<'static>>,
    wildcards: bool,
    algorithms: WebPkiSupportedAlgorithms,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if !self.pinned.contains(certificate) {
            let parsed = ParsedCertificate::try_from(certificate)?;
            let algorithms = self.algorithms.all;
            verify_server_cert_signed_by_trust_anchor(&parsed, &self.roots, intermediates, now, algorithms)?;
        }
        identity::check(certificate, name, self.wildcards)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
