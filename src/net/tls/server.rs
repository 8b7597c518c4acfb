//! TLS as a server: which certificate is shown, and what is expected of clients.

use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::ServerName;
use rustls::server::{ClientHello, ResolvesServerCert, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;

use super::material::{self, TlsError};
use super::{VERSIONS, identity};
use crate::config::tls::{CertificateFiles, ClientPolicy, Clients};

pub(super) fn config(
    certificates: &[CertificateFiles],
    clients: Option<&Clients>,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<ServerConfig>, TlsError> {
    let shown = certificates
        .iter()
        .map(|files| material::certified(files, provider).map(Arc::new))
        .collect::<Result<Vec<_>, _>>()?;
    let builder =
        ServerConfig::builder_with_provider(Arc::clone(provider)).with_protocol_versions(VERSIONS)?;
    let builder = match clients {
        None => builder.with_no_client_auth(),
        Some(clients) => {
            let (roots, _) = material::authorities(&clients.ca)?;
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider));
            let verifier = match clients.policy {
                ClientPolicy::Require => verifier,
                ClientPolicy::Verify => verifier.allow_unauthenticated(),
            };
            let verifier = verifier.build().map_err(|error| TlsError::Authorities {
                file: clients.ca.clone(),
                problem: error.to_string(),
            })?;
            builder.with_client_cert_verifier(verifier)
        }
    };
    let mut config = builder.with_cert_resolver(Arc::new(ByName { shown }));
    // Clients resume their sessions without us remembering them. New keys with each reload: who
    // was let in by an authority that is gone from the file has to prove itself again.
    config.ticketer = ring::Ticketer::new()?;
    Ok(Arc::new(config))
}

/// Shows the certificate that names the server which the client asks for (RFC 6066 §3), else the
/// first.
#[derive(Debug)]
struct ByName {
    shown: Vec<Arc<CertifiedKey>>,
}

impl ResolvesServerCert for ByName {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let asked = hello.server_name().and_then(|name| ServerName::try_from(name).ok());
        let named = asked.and_then(|name| {
            let bears = |shown: &&Arc<CertifiedKey>| {
                let own = shown.end_entity_cert();
                own.is_ok_and(|certificate| identity::check(certificate, &name, true).is_ok())
            };
            self.shown.iter().find(bears)
        });
        named.or(self.shown.first()).cloned()
    }
}
