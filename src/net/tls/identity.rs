//! Whether a certificate is a domain's (RFC 5922 §7).

use rustls::CertificateError;
use rustls::pki_types::{CertificateDer, ServerName};
use webpki::EndEntityCert;

/// Names of a certificate that a message about it shows.
const SHOWN: usize = 8;

/// Checks that the certificate was made out to this name.
///
/// URIs of the form `sip:domain` are its identities; only without any are its DNS names (§7.1).
/// They are compared as a whole (§7.2): a `*` stands for nothing, unless `wildcards` says that it
/// stands for one label. The subject's common name counts for nothing: no authority issues such
/// certificates any more.
pub(super) fn check(
    certificate: &CertificateDer<'_>,
    name: &ServerName<'_>,
    wildcards: bool,
) -> Result<(), rustls::Error> {
    let parsed = EndEntityCert::try_from(certificate).map_err(|_| CertificateError::BadEncoding)?;
    let identities: Vec<&str> = parsed.valid_uri_names().filter_map(domain_of).collect();
    let borne = match name {
        ServerName::DnsName(domain) if !identities.is_empty() => {
            identities.iter().any(|identity| identity.eq_ignore_ascii_case(domain.as_ref()))
        }
        ServerName::DnsName(domain) => {
            let exact = || parsed.valid_dns_names().any(|dns| same(dns, domain.as_ref()));
            parsed.verify_is_valid_for_subject_name(name).is_ok() && (wildcards || exact())
        }
        _ => parsed.verify_is_valid_for_subject_name(name).is_ok(),
    };
    if borne {
        return Ok(());
    }
    let presented = identities.into_iter().chain(parsed.valid_dns_names());
    Err(CertificateError::NotValidForNameContext {
        expected: name.to_owned(),
        presented: presented.take(SHOWN).map(str::to_owned).collect(),
    }
    .into())
}

fn same(one: &str, other: &str) -> bool {
    one.trim_end_matches('.').eq_ignore_ascii_case(other.trim_end_matches('.'))
}

/// The domain of a `sip:` URI without a user; others name no domain (§7.1).
fn domain_of(uri: &str) -> Option<&str> {
    let (scheme, rest) = uri.split_once(':')?;
    let host = rest.split([';', '?', ':']).next()?;
    (scheme.eq_ignore_ascii_case("sip") && !rest.contains('@') && !host.is_empty()).then_some(host)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertificateParams, KeyPair, SanType};

    fn certificate(dns: &[&str], uris: &[&str]) -> CertificateDer<'static> {
        let mut names: Vec<SanType> =
            dns.iter().map(|name| SanType::DnsName((*name).try_into().unwrap())).collect();
        names.extend(uris.iter().map(|uri| SanType::URI((*uri).try_into().unwrap())));
        names.push(SanType::IpAddress("192.0.2.1".parse().unwrap()));
        let mut params = CertificateParams::default();
        params.subject_alt_names = names;
        let key = KeyPair::generate().unwrap();
        params.self_signed(&key).unwrap().der().clone()
    }

    fn is_for(certificate: &CertificateDer<'_>, name: &str, wildcards: bool) -> bool {
        check(certificate, &ServerName::try_from(name.to_owned()).unwrap(), wildcards).is_ok()
    }

    #[test]
    fn a_dns_name_is_the_domain_s_when_it_is_the_same() {
        let plain = certificate(&["Sip.Example.com", "example.net"], &[]);
        for (name, borne) in [
            ("sip.example.com", true),
            ("example.net", true),
            ("example.com", false),
            ("a.example.net", false),
            ("192.0.2.1", true),
            ("192.0.2.2", false),
        ] {
            assert_eq!(is_for(&plain, name, false), borne, "{name}");
        }
    }

    #[test]
    fn a_wildcard_stands_for_nothing_unless_it_is_allowed_to() {
        let wild = certificate(&["*.example.com"], &[]);
        assert!(!is_for(&wild, "sip.example.com", false));
        assert!(is_for(&wild, "sip.example.com", true));
        assert!(!is_for(&wild, "a.b.example.com", true));
        assert!(!is_for(&wild, "example.com", true));
    }

    #[test]
    fn sip_uris_are_the_identities_where_there_are_any() {
        let both = certificate(&["sbc1.example.com"], &["sip:example.com", "sip:alice@example.org"]);
        assert!(is_for(&both, "example.com", false));
        assert!(is_for(&both, "EXAMPLE.com", false));
        assert!(!is_for(&both, "sbc1.example.com", true), "DNS names count only without URIs");
        assert!(!is_for(&both, "example.org", false), "a user's URI is no domain");
        let other = certificate(&["example.com"], &["https://example.net"]);
        assert!(is_for(&other, "example.com", false));
    }

    #[test]
    fn what_doesn_t_fit_is_told_with_what_was_there() {
        let plain = certificate(&["a.example"], &[]);
        let name = ServerName::try_from("b.example").unwrap();
        let told = check(&plain, &name, false).unwrap_err().to_string();
        assert!(told.contains("b.example") && told.contains("a.example"), "{told}");
    }
}
