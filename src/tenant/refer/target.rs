//! Where a transfer goes.

use std::fmt;
use std::str::FromStr;

use crate::ids::{E164, masked};

/// The longest user part of a SIP target, in bytes.
const MAX_USER: usize = 64;
/// The longest host, in bytes (RFC 1035 §2.3.4).
const MAX_HOST: usize = 253;

/// Numbers that reach emergency services somewhere, in the forms in which a PBX takes them.
/// They are never called unless the operator configures it.
const EMERGENCY: [&str; 22] = [
    "000", "08", "100", "101", "102", "103", "108", "110", "111", "112", "113", "115", "117", "118", "119",
    "15", "17", "18", "911", "988", "995", "999",
];

/// The target of a transfer: `tel:+E164` or `sip:user@host[:port]`, and nothing else. It has no
/// parameters, no headers, no escapes, and only characters that stand for themselves in a
/// header, so that it can be put into `Refer-To` as it is. Printed masked;
/// [`TargetUri::as_str`] gives it.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct TargetUri {
    text: String,
    kind: Kind,
}

#[derive(Clone, PartialEq, Eq, Hash)]
enum Kind {
    Tel(E164),
    /// Where the host starts in the text.
    Sip {
        host_at: usize,
    },
}

/// Why a text is no transfer target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TargetUriError {
    /// Neither `tel:` nor `sip:`.
    #[error("is neither a tel: nor a sip: address")]
    Scheme,
    /// `tel:` without a number in E.164 form.
    #[error("has no number in international form after tel:")]
    Number,
    /// `sip:` without a user, or with one that has characters to escape.
    #[error("has no plain user (letters, digits and - _ . ! ~ * +, up to 64) between sip: and @")]
    User,
    /// `sip:` with something else than a host and a port after the `@`.
    #[error("has something else than a host name or address and a port after @")]
    Host,
}

/// Whether the digits are, as dialed, an emergency number of some country.
#[must_use]
pub fn is_emergency_number(dialed: &str) -> bool {
    EMERGENCY.contains(&dialed)
}

impl TargetUri {
    /// What to write, for error messages.
    pub const EXAMPLE: &'static str = "\"tel:+33199000010\" or \"sip:user@host\"";

    /// The URI, unmasked, with the scheme in lower case.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The number of a `tel:` target.
    #[must_use]
    pub fn number(&self) -> Option<&E164> {
        match &self.kind {
            Kind::Tel(number) => Some(number),
            Kind::Sip { .. } => None,
        }
    }

    /// User and `host[:port]` of a `sip:` target.
    #[must_use]
    pub fn sip_parts(&self) -> Option<(&str, &str)> {
        match self.kind {
            Kind::Tel(_) => None,
            Kind::Sip { host_at } => {
                let (user, host) = self.text.split_at_checked(host_at)?;
                Some((user.strip_prefix("sip:")?.strip_suffix('@')?, host))
            }
        }
    }

    /// Whether the target is, as dialed, an emergency number of some country.
    #[must_use]
    pub fn is_emergency(&self) -> bool {
        let dialed = match self.sip_parts() {
            Some((user, _)) => user.trim_start_matches('+'),
            None => self.text.trim_start_matches("tel:+"),
        };
        is_emergency_number(dialed)
    }
}

impl FromStr for TargetUri {
    type Err = TargetUriError;

    fn from_str(text: &str) -> Result<Self, TargetUriError> {
        let (scheme, rest) = text.split_once(':').ok_or(TargetUriError::Scheme)?;
        if scheme.eq_ignore_ascii_case("tel") {
            let number = E164::new(rest).map_err(|_| TargetUriError::Number)?;
            return Ok(Self { text: format!("tel:{rest}"), kind: Kind::Tel(number) });
        }
        if !scheme.eq_ignore_ascii_case("sip") {
            return Err(TargetUriError::Scheme);
        }
        let (user, host) = rest.split_once('@').ok_or(TargetUriError::User)?;
        if !is_user(user) {
            return Err(TargetUriError::User);
        }
        if !is_host_port(host) {
            return Err(TargetUriError::Host);
        }
        let host_at = "sip:@".len() + user.len();
        Ok(Self { text: format!("sip:{user}@{host}"), kind: Kind::Sip { host_at } })
    }
}

/// RFC 3261 §25.1 `user` without escapes, and of its marks only those with which no URI parser
/// disagrees.
fn is_user(user: &str) -> bool {
    (1..=MAX_USER).contains(&user.len())
        && user.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.!~*+".contains(&b))
}

/// RFC 3261 §25.1 `hostport`.
fn is_host_port(text: &str) -> bool {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let Some((address, after)) = rest.split_once(']') else {
                return false;
            };
            if address.parse::<std::net::Ipv6Addr>().is_err() {
                return false;
            }
            match after.strip_prefix(':') {
                Some(port) => ("v6", Some(port)),
                None if after.is_empty() => ("v6", None),
                None => return false,
            }
        }
        None => match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        },
    };
    is_host(host) && port.is_none_or(is_port)
}

fn is_port(port: &str) -> bool {
    port.bytes().all(|b| b.is_ascii_digit()) && port.parse::<u16>().is_ok_and(|port| port > 0)
}

fn is_host(host: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    // What looks like an IPv4 address has to be one.
    let numeric = host.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    (1..=MAX_HOST).contains(&host.len())
        && host.split('.').all(label)
        && (!numeric || host.parse::<std::net::Ipv4Addr>().is_ok())
}

impl fmt::Display for TargetUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.kind, self.sip_parts()) {
            (Kind::Tel(number), _) => write!(f, "tel:{number}"),
            (_, Some((user, host))) => write!(f, "sip:{}@{host}", masked(user)),
            (_, None) => f.write_str("sip:"),
        }
    }
}

impl fmt::Debug for TargetUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TargetUri({self})")
    }
}

impl serde::Serialize for TargetUri {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_two_forms_are_taken() {
        let tel: TargetUri = "TEL:+33199000010".parse().unwrap();
        assert_eq!(tel.as_str(), "tel:+33199000010");
        assert_eq!(tel.number().unwrap().as_str(), "+33199000010");
        for (text, user, host) in [
            ("sip:planning@pbx.example.com", "planning", "pbx.example.com"),
            ("sip:+33199000010@192.0.2.7:5070", "+33199000010", "192.0.2.7:5070"),
            ("sip:a.b-c_d@[2001:db8::1]:5060", "a.b-c_d", "[2001:db8::1]:5060"),
            ("SIP:1001@localhost", "1001", "localhost"),
        ] {
            let target: TargetUri = text.parse().unwrap();
            assert_eq!(target.sip_parts(), Some((user, host)));
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for bad in [
            "",
            "tel:",
            "tel:0199000010",
            "tel:+33 1 99",
            "tel:+33199000010;phone-context=x",
            "tel:+33199000010\r\nA: b",
            "sips:a@b",
            "http://a@b",
            "mailto:a@b",
            "a@b",
            "sip:host",
            "sip:@host",
            "sip:a@",
            "sip:a@b@c",
            "sip:a:pw@b",
            "sip:a@b;transport=tcp",
            "sip:a@b?Replaces=x",
            "sip:a%0d@b",
            "sip:a@b>",
            "sip:a b@c",
            "sip:a@b c",
            "sip:a@b\r\nVia: x",
            "sip:a@b,sip:c@d",
            "sip:a\"@b",
            "sip:é@b",
            "sip:a@é",
            "sip:a@b:",
            "sip:a@b:0",
            "sip:a@b:65536",
            "sip:a@b:+5",
            "sip:a@-b",
            "sip:a@b..c",
            "sip:a@[::1",
            "sip:a@[::g]",
            "sip:a@[::1]x",
            "sip:a@999.1.1.1",
            "sip:a@1.2.3",
            " sip:a@b",
            "sip:a@b ",
            "<sip:a@b>",
        ] {
            assert!(bad.parse::<TargetUri>().is_err(), "{bad:?}");
        }
        assert!(format!("sip:{}@b", "a".repeat(65)).parse::<TargetUri>().is_err());
    }

    #[test]
    fn targets_print_masked() {
        let tel: TargetUri = "tel:+33199000010".parse().unwrap();
        assert_eq!(format!("{tel} {tel:?}"), "tel:+33*******10 TargetUri(tel:+33*******10)");
        let sip: TargetUri = "sip:+33199000010@pbx.example.com".parse().unwrap();
        assert_eq!(sip.to_string(), "sip:+33*******10@pbx.example.com");
    }

    #[test]
    fn emergency_numbers_are_recognised() {
        for emergency in ["sip:112@pbx", "sip:911@pbx", "sip:15@pbx", "tel:+112"] {
            assert!(emergency.parse::<TargetUri>().unwrap().is_emergency(), "{emergency}");
        }
        assert!(!"tel:+33199000010".parse::<TargetUri>().unwrap().is_emergency());
    }
}
