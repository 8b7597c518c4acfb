//! The arithmetic of an answer: RFC 7616 §3.4.1 to §3.4.3, and RFC 2617 §3.2.2.1 without qop.

use bytes::Bytes;
use md5::{Digest, Md5};
use sha2::{Sha256, Sha512_256};

use super::challenge::{Challenge, Qop};
use super::params::escape;
use super::{Algorithm, Credentials, Hash};

/// What `qop=auth` adds to an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Protection<'a> {
    /// How many answers were made with this nonce, this one included.
    pub count: u32,
    /// Our random text.
    pub cnonce: &'a [u8],
}

/// Everything an answer is computed from.
#[derive(Debug, Clone, Copy)]
pub struct Signed<'a> {
    /// The algorithm.
    pub algorithm: Algorithm,
    /// The user name without escapes.
    pub username: &'a [u8],
    /// The realm, raw.
    pub realm: &'a [u8],
    /// The nonce, raw.
    pub nonce: &'a [u8],
    /// The request's method.
    pub method: &'a [u8],
    /// The digest-URI: the Request-URI as the client knew it.
    pub uri: &'a [u8],
    /// Count and cnonce; `None` for the form of RFC 2069.
    pub protection: Option<Protection<'a>>,
}

impl Signed<'_> {
    /// The `response` parameter in lower-case hexadecimal.
    #[must_use]
    pub fn response(&self, password: &super::Password) -> String {
        let hash = |parts: &[&[u8]]| self.algorithm.hash.hex(parts);
        let mut secret = hash(&[self.username, self.realm, password.reveal()]);
        let cnonce = self.protection.map_or(&b""[..], |p| p.cnonce);
        if self.algorithm.session {
            secret = hash(&[secret.as_bytes(), self.nonce, cnonce]);
        }
        let request = hash(&[self.method, self.uri]);
        match self.protection {
            Some(protection) => {
                let count = count_text(protection.count);
                hash(&[secret.as_bytes(), self.nonce, count.as_bytes(), cnonce, b"auth", request.as_bytes()])
            }
            None => hash(&[secret.as_bytes(), self.nonce, request.as_bytes()]),
        }
    }
}

/// The value of an `Authorization` or `Proxy-Authorization` header that answers `challenge`.
/// Count and cnonce go in when the challenge has a qop. `None` when its algorithm is unknown.
#[must_use]
pub fn authorization_value(
    challenge: &Challenge,
    credentials: &Credentials,
    method: &[u8],
    uri: &[u8],
    protection: Protection<'_>,
) -> Option<Bytes> {
    let algorithm = challenge.algorithm?;
    let protection = (challenge.qop != Qop::Legacy).then_some(protection);
    let signed = Signed {
        algorithm,
        username: credentials.username.as_bytes(),
        realm: &challenge.realm,
        nonce: &challenge.nonce,
        method,
        uri,
        protection,
    };
    let response = signed.response(&credentials.password);
    let mut value = Vec::with_capacity(400);
    value.extend_from_slice(b"Digest ");
    quoted(&mut value, "username", &escape(signed.username));
    quoted(&mut value, "realm", signed.realm);
    quoted(&mut value, "nonce", signed.nonce);
    quoted(&mut value, "uri", &escape(uri));
    quoted(&mut value, "response", response.as_bytes());
    if challenge.names_algorithm {
        bare(&mut value, "algorithm", algorithm.token());
    }
    if let Some(protection) = protection {
        quoted(&mut value, "cnonce", &escape(protection.cnonce));
        bare(&mut value, "qop", "auth");
        bare(&mut value, "nc", &count_text(protection.count));
    }
    if let Some(opaque) = &challenge.opaque {
        quoted(&mut value, "opaque", opaque);
    }
    Some(Bytes::from(value))
}

fn separator(value: &mut Vec<u8>) {
    if !value.ends_with(b" ") {
        value.extend_from_slice(b", ");
    }
}

fn quoted(value: &mut Vec<u8>, name: &str, raw: &[u8]) {
    separator(value);
    for part in [name.as_bytes(), b"=\"", raw, b"\""] {
        value.extend_from_slice(part);
    }
}

fn bare(value: &mut Vec<u8>, name: &str, token: &str) {
    separator(value);
    for part in [name, "=", token] {
        value.extend_from_slice(part.as_bytes());
    }
}

/// `nc` as eight hexadecimal digits.
fn count_text(count: u32) -> String {
    format!("{count:08x}")
}

impl Hash {
    /// The hash of the parts joined by colons, in lower-case hexadecimal.
    pub(super) fn hex(self, parts: &[&[u8]]) -> String {
        match self {
            Self::Md5 => joined::<Md5>(parts),
            Self::Sha256 => joined::<Sha256>(parts),
            Self::Sha512_256 => joined::<Sha512_256>(parts),
        }
    }
}

fn joined<D: Digest>(parts: &[&[u8]]) -> String {
    let mut hasher = D::new();
    for (at, part) in parts.iter().enumerate() {
        if at > 0 {
            hasher.update(b":");
        }
        hasher.update(part);
    }
    hex(&hasher.finalize())
}

/// Lower-case hexadecimal.
pub(super) fn hex(bytes: &[u8]) -> String {
    let digit = |nibble: u8| char::from_digit(u32::from(nibble), 16).unwrap_or('0');
    bytes.iter().flat_map(|b| [digit(b >> 4), digit(b & 0x0f)]).collect()
}

#[cfg(test)]
mod tests {
    use super::super::{Challenger, Password, parse_challenges};
    use super::*;

    fn signed<'a>(algorithm: Algorithm, protection: Option<Protection<'a>>) -> Signed<'a> {
        Signed {
            algorithm,
            username: b"Mufasa",
            realm: b"http-auth@example.org",
            nonce: b"7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v",
            method: b"GET",
            uri: b"/dir/index.html",
            protection,
        }
    }

    #[test]
    fn rfc_7616_section_3_9_1_md5_and_sha_256() {
        let cnonce = b"f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ";
        let protection = Some(Protection { count: 1, cnonce });
        let password = Password::new("Circle of Life");
        assert_eq!(
            signed(Algorithm::MD5, protection).response(&password),
            "8ca523f5e9506fed4657c9700eebdbec"
        );
        assert_eq!(
            signed(Algorithm::SHA256, protection).response(&password),
            "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"
        );
    }

    /// The RFC's own figure was computed with a wrong SHA-512/256; erratum 4897 has the right one.
    #[test]
    fn rfc_7616_section_3_9_2_sha_512_256_as_corrected_by_erratum_4897() {
        let signed = Signed {
            algorithm: Algorithm::SHA512_256,
            username: "J\u{e4}s\u{f8}n Doe".as_bytes(),
            realm: b"api@example.org",
            nonce: b"5TsQWLVdgBdmrQ0XsxbDODV+57QdFR34I9HAbC/RVvkK",
            method: b"GET",
            uri: b"/doe.json",
            protection: Some(Protection {
                count: 1,
                cnonce: b"NTg6RKcb9boFIAS3KrFK9BGeh+iDa/sm6jUMp2wds69v",
            }),
        };
        assert_eq!(
            signed.response(&Password::new("Secret, or not?")),
            "3798d4131c277846293534c3edc11bd8a5e4cdcbff78b05db9d95eeb1cec68a5"
        );
    }

    #[test]
    fn rfc_2617_section_3_5() {
        let signed = Signed {
            algorithm: Algorithm::MD5,
            username: b"Mufasa",
            realm: b"testrealm@host.com",
            nonce: b"dcd98b7102dd2f0e8b11d0f600bfb0c093",
            method: b"GET",
            uri: b"/dir/index.html",
            protection: Some(Protection { count: 1, cnonce: b"0a4f113b" }),
        };
        assert_eq!(signed.response(&Password::new("Circle Of Life")), "6629fae49393a05397450978507c4ef1");
    }

    /// draft-smith-sip-auth-examples: the INVITE of RFC 3665 with and without qop, and MD5-sess.
    #[test]
    fn sip_examples_with_and_without_qop_and_as_session() {
        let invite = |algorithm, protection| {
            Signed {
                algorithm,
                username: b"bob",
                realm: b"biloxi.com",
                nonce: b"dcd98b7102dd2f0e8b11d0f600bfb0c093",
                method: b"INVITE",
                uri: b"sip:bob@biloxi.com",
                protection,
            }
            .response(&Password::new("zanzibar"))
        };
        let protection = Some(Protection { count: 1, cnonce: b"0a4f113b" });
        assert_eq!(invite(Algorithm::MD5, None), "bf57e4e0d0bffc0fbaedce64d59add5e");
        assert_eq!(invite(Algorithm::MD5, protection), "89eb0059246c02b2f6ee02c7961d5ea3");
        let session = Algorithm { hash: Hash::Md5, session: true };
        assert_eq!(invite(session, protection), "e4e4ea61d186d07a92c9e1f6919902e9");
    }

    #[test]
    fn the_value_repeats_what_the_challenge_said_and_no_more() {
        let credentials =
            Credentials { username: "al\"ice".into(), password: Password::new("secret"), realm: None };
        let protection = Protection { count: 10, cnonce: b"c" };
        let value = |challenge: &str| {
            let challenge = parse_challenges([(Challenger::Server, challenge.as_bytes())]).unwrap();
            let value = authorization_value(&challenge[0], &credentials, b"REGISTER", b"sip:h", protection);
            String::from_utf8(value.unwrap().to_vec()).unwrap()
        };
        let full = value(r#"Digest realm="r\"q", nonce="n", opaque="", algorithm=sha-256, qop="auth""#);
        assert!(
            full.starts_with(
                r#"Digest username="al\"ice", realm="r\"q", nonce="n", uri="sip:h", response=""#
            ),
            "{full}"
        );
        assert!(
            full.ends_with(r#", algorithm=SHA-256, cnonce="c", qop=auth, nc=0000000a, opaque="""#),
            "{full}"
        );
        let legacy = value(r#"Digest realm="r", nonce="n""#);
        for absent in ["algorithm", "cnonce", "qop", "nc=", "opaque"] {
            assert!(!legacy.contains(absent), "{legacy}");
        }
    }
}
