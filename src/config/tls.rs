//! What is set about TLS: our certificates, and those that others have to show.

use std::net::SocketAddr;
use std::path::PathBuf;

use super::address::{Host, HostPort};
use super::choice::choice;
use super::problem::{ProblemKind, Sink, WarningKind};
use super::reader::Table;
use super::secret::{Surroundings, others_can_read};
use super::trunk::{Mode, Transport};
use super::value::Located;

/// The port of SIP over TLS (RFC 3261 §19.1.2).
const SIPS_PORT: u16 = 5061;

/// TLS of the service: the keys `sips` and `tls_…` of `[service]`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ServiceTls {
    /// Where SIP over TLS is served; empty without a certificate.
    pub listen: Vec<SocketAddr>,
    /// Our certificates. The one that names the server that a client asks for is shown, the
    /// first to those who ask for none of them.
    pub certificates: Vec<CertificateFiles>,
    /// What is expected of clients' certificates. Default: nothing.
    pub clients: Option<Clients>,
}

/// A certificate with its key.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct CertificateFiles {
    /// The certificate and those between it and its authority, in PEM form.
    pub certificate: PathBuf,
    /// The private key, in PEM form.
    pub key: PathBuf,
}

/// What is expected of clients' certificates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Clients {
    /// The authorities that may have signed them, in PEM form.
    pub ca: PathBuf,
    /// Whether there has to be one.
    pub policy: ClientPolicy,
}

choice! {
    /// Whether a client has to show a certificate.
    ClientPolicy {
        /// It has to.
        Require = "require",
        /// One that it shows has to be good.
        Verify = "verify",
    }
}

/// TLS towards a trunk's server.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TrunkTls {
    /// The authorities that may have signed its certificate, in PEM form. Default: those that
    /// the system trusts.
    pub ca: Option<PathBuf>,
    /// The name that is asked for, and that the certificate has to bear. Default: the host
    /// that requests are sent to.
    pub server_name: Option<String>,
    /// The certificate that we show when asked for one.
    pub client: Option<CertificateFiles>,
    /// Whether `*.example.com` in a certificate stands for `sip.example.com`. Default: no, as
    /// RFC 5922 §7.2 has it.
    pub wildcards: bool,
}

/// Reads the keys of `[service]`. `sip` is where SIP is served without TLS.
pub(super) fn service(
    table: &mut Table<'_>,
    sip: &[SocketAddr],
    around: &Surroundings<'_>,
    sink: &mut Sink<'_>,
) -> ServiceTls {
    let listen = table.one_or_more::<SocketAddr>("sips", sink);
    if let Some(listen) = &listen {
        one_of_each_family(listen, table.subject("sips"), sink);
    }
    let certificates = table.one_or_more::<PathBuf>("tls_certificate", sink);
    let keys = table.one_or_more::<PathBuf>("tls_key", sink);
    let ca = table.take::<PathBuf>("tls_client_ca", sink);
    let policy = table.or("tls_clients", ClientPolicy::Require, sink);
    let certificates = pairs(certificates, keys, ["tls_certificate", "tls_key"], table, around, sink);
    if certificates.is_empty() {
        for key in ["sips", "tls_client_ca", "tls_clients"] {
            if let Some(span) = table.key_span(key).filter(|_| !table.has("tls_certificate")) {
                let reason = "it needs a certificate: set `tls_certificate` and `tls_key`";
                sink.problem(Some(span), table.subject(key), ProblemKind::NotHere(reason));
            }
        }
        return ServiceTls::default();
    }
    if let (Some(span), None) = (table.key_span("tls_clients"), &ca) {
        let reason = "it needs the clients' authorities: set `tls_client_ca`";
        sink.problem(Some(span), table.subject("tls_clients"), ProblemKind::NotHere(reason));
    }
    let standard = || sip.iter().map(|address| SocketAddr::new(address.ip(), SIPS_PORT)).collect();
    let place = listen.as_ref().map(|listen| listen.span.clone());
    let listen = listen.map_or_else(standard, |listen| listen.value);
    if listen.iter().any(|address| address.port() != 0 && sip.contains(address)) {
        sink.problem(place, table.subject("sips"), ProblemKind::SamePort);
    }
    let clients = ca.map(|ca| Clients { ca: around.base.join(ca.value), policy });
    ServiceTls { listen, certificates, clients }
}

/// Reads the keys of a trunk.
pub(super) fn trunk(
    table: &mut Table<'_>,
    mode: Option<&Mode>,
    transport: Transport,
    around: &Surroundings<'_>,
    sink: &mut Sink<'_>,
) -> TrunkTls {
    const KEYS: [&str; 5] =
        ["tls_ca", "tls_server_name", "tls_client_certificate", "tls_client_key", "tls_wildcards"];
    let ca = table.take::<PathBuf>("tls_ca", sink).map(|l| around.base.join(l.value));
    let name = table.take::<HostPort>("tls_server_name", sink);
    let certificate = table.one_or_more::<PathBuf>("tls_client_certificate", sink);
    let key = table.one_or_more::<PathBuf>("tls_client_key", sink);
    let wildcards = table.or("tls_wildcards", false, sink);
    let names = ["tls_client_certificate", "tls_client_key"];
    let client = pairs(certificate, key, names, table, around, sink).into_iter().next();
    let refused = match (mode, transport) {
        (Some(Mode::Open), _) => Some("an open trunk sends no requests; `tls_client_ca` is in [service]"),
        (_, Transport::Tls | Transport::Auto) => None,
        _ => Some("it belongs to transport = \"tls\" or \"auto\""),
    };
    for key in KEYS {
        if let (Some(reason), Some(span)) = (refused, table.key_span(key)) {
            sink.problem(Some(span), table.subject(key), ProblemKind::NotHere(reason));
        }
    }
    if let Some(located) = name.as_ref().filter(|l| l.value.port.is_some()) {
        let kind = ProblemKind::NotHere("a name has no port here: leave it out");
        sink.problem(Some(located.span.clone()), table.subject("tls_server_name"), kind);
    }
    let server_name = name.map(|l| match l.value.host {
        Host::Name(name) => name,
        Host::Address(address) => address.to_string(),
    });
    TrunkTls { ca, server_name, client, wildcards }
}

/// Reports a second address of one family: what goes out to a peer must leave from the address
/// that it knows, and only the family tells which that is.
pub(super) fn one_of_each_family(listen: &Located<Vec<SocketAddr>>, subject: String, sink: &mut Sink<'_>) {
    let v4 = listen.value.iter().filter(|address| address.is_ipv4()).count();
    if v4 > 1 || listen.value.len() - v4 > 1 {
        sink.problem(Some(listen.span.clone()), subject, ProblemKind::SameFamily);
    }
}

/// Puts certificates and keys together, in their order.
fn pairs(
    certificates: Option<Located<Vec<PathBuf>>>,
    keys: Option<Located<Vec<PathBuf>>>,
    names: [&'static str; 2],
    table: &Table<'_>,
    around: &Surroundings<'_>,
    sink: &mut Sink<'_>,
) -> Vec<CertificateFiles> {
    let [certificate_name, key_name] = names;
    let (certificates, keys) = match (certificates, keys) {
        (Some(certificates), Some(keys)) => (certificates, keys),
        (None, None) => return Vec::new(),
        (Some(certificates), None) => {
            if !table.has(key_name) {
                let kind = ProblemKind::Missing("a certificate goes with its private key");
                sink.problem(Some(certificates.span), table.subject(key_name), kind);
            }
            return Vec::new();
        }
        (None, Some(keys)) => {
            if !table.has(certificate_name) {
                let kind = ProblemKind::Missing("a private key goes with its certificate");
                sink.problem(Some(keys.span), table.subject(certificate_name), kind);
            }
            return Vec::new();
        }
    };
    if certificates.value.len() != keys.value.len() {
        let kind = ProblemKind::NotHere("there must be as many keys as certificates, in the same order");
        sink.problem(Some(keys.span), table.subject(key_name), kind);
        return Vec::new();
    }
    let files = certificates.value.into_iter().zip(keys.value);
    files
        .map(|(certificate, key)| {
            let key = around.base.join(key);
            if std::fs::File::open(&key).is_ok_and(|file| others_can_read(&file)) {
                sink.warn(Some(keys.span.clone()), table.subject(key_name), WarningKind::ReadableKey);
            }
            CertificateFiles { certificate: around.base.join(certificate), key }
        })
        .collect()
}
