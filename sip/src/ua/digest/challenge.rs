//! Reading challenges, and choosing which to answer.

use bytes::Bytes;

use super::params::{Scheme, schemes, unescape};
use super::{Algorithm, DigestError, Malformation};

/// Who asks for credentials; it decides which header the answer goes into (RFC 3261 §22.2, §22.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Challenger {
    /// A registrar or user agent: `401` with `WWW-Authenticate`.
    Server,
    /// A proxy: `407` with `Proxy-Authenticate`.
    Proxy,
}

impl Challenger {
    /// The header a challenge comes in.
    #[must_use]
    pub fn challenge_header(self) -> &'static str {
        match self {
            Self::Server => "WWW-Authenticate",
            Self::Proxy => "Proxy-Authenticate",
        }
    }

    /// The header the answer goes into.
    #[must_use]
    pub fn answer_header(self) -> &'static str {
        match self {
            Self::Server => "Authorization",
            Self::Proxy => "Proxy-Authorization",
        }
    }
}

/// What quality of protection a challenge offers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Qop {
    /// None named: the answer of RFC 2069, without count and cnonce.
    Legacy,
    /// `auth`, alone or among others.
    Auth,
    /// `auth-int` without `auth`.
    AuthIntOnly,
    /// Something else only.
    Unknown,
}

/// One Digest challenge. Texts are raw: as they stood between their quotes, since they are
/// hashed and given back exactly so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Challenge {
    /// Who asks.
    pub challenger: Challenger,
    /// The realm, raw.
    pub realm: Bytes,
    /// The nonce, raw.
    pub nonce: Bytes,
    /// A text to give back, raw.
    pub opaque: Option<Bytes>,
    /// The algorithm; `None` when it isn't one we know.
    pub algorithm: Option<Algorithm>,
    /// Whether `algorithm` was written down; the answer repeats it only then.
    pub names_algorithm: bool,
    /// The quality of protection.
    pub qop: Qop,
    /// The last answer was right but its nonce had run out (RFC 7616 §3.3).
    pub stale: bool,
}

impl Challenge {
    fn from_scheme(challenger: Challenger, scheme: &Scheme<'_>) -> Result<Self, Malformation> {
        let own = Bytes::copy_from_slice;
        let algorithm = scheme.get("algorithm")?;
        Ok(Self {
            challenger,
            realm: own(scheme.require("realm")?),
            nonce: own(scheme.require("nonce")?),
            opaque: scheme.get("opaque")?.map(own),
            algorithm: algorithm.map_or(Some(Algorithm::MD5), Algorithm::from_token),
            names_algorithm: algorithm.is_some(),
            qop: scheme.get("qop")?.map_or(Qop::Legacy, qop),
            stale: scheme.get("stale")?.is_some_and(|v| v.eq_ignore_ascii_case(b"true")),
        })
    }

    /// Whether this is the challenge's realm.
    pub(super) fn is_for(&self, realm: &str) -> bool {
        unescape(&self.realm) == realm.as_bytes()
    }

    /// What keeps it from being answered, if anything.
    fn obstacle(&self) -> Option<DigestError> {
        match (self.algorithm, self.qop) {
            (None, _) => Some(DigestError::UnknownAlgorithm),
            (_, Qop::AuthIntOnly) => Some(DigestError::AuthIntOnly),
            (_, Qop::Unknown) => Some(DigestError::UnknownQop),
            // The session form needs a cnonce, which must not be sent without a qop (RFC 2617 §3.2.2).
            (Some(algorithm), Qop::Legacy) if algorithm.session => Some(DigestError::UnknownQop),
            _ => None,
        }
    }
}

fn qop(list: &[u8]) -> Qop {
    let mut offers = Qop::Legacy;
    for token in list.split(|b| *b == b',').map(<[u8]>::trim_ascii).filter(|t| !t.is_empty()) {
        if token.eq_ignore_ascii_case(b"auth") {
            return Qop::Auth;
        }
        match offers {
            Qop::AuthIntOnly => {}
            _ if token.eq_ignore_ascii_case(b"auth-int") => offers = Qop::AuthIntOnly,
            _ => offers = Qop::Unknown,
        }
    }
    offers
}

/// Reads every Digest challenge of a response's `WWW-Authenticate` and `Proxy-Authenticate`
/// header values. Other schemes, and values that are malformed beside sound ones, are passed over.
///
/// # Errors
/// [`DigestError::Malformed`] when nothing sound remains and something was malformed,
/// [`DigestError::NoDigest`] when there was nothing for us at all.
pub fn parse_challenges<'a>(
    values: impl IntoIterator<Item = (Challenger, &'a [u8])>,
) -> Result<Vec<Challenge>, DigestError> {
    let mut challenges = Vec::new();
    let mut error = DigestError::NoDigest;
    for (challenger, value) in values {
        let found = match schemes(value) {
            Ok(found) => found,
            Err(malformation) => {
                error = DigestError::Malformed(malformation);
                continue;
            }
        };
        for scheme in found.iter().filter(|s| s.is_digest()) {
            match Challenge::from_scheme(challenger, scheme) {
                Ok(challenge) => challenges.push(challenge),
                Err(malformation) => error = DigestError::Malformed(malformation),
            }
        }
    }
    if challenges.is_empty() { Err(error) } else { Ok(challenges) }
}

/// Chooses one challenge per challenger and realm: SHA-256 before SHA-512-256 before MD5, the
/// topmost of equals.
///
/// RFC 8760 §2.4 takes the topmost known one unless local policy differs; the policy here is
/// strength, so that a reordered list can't talk us down.
///
/// # Errors
/// Why nothing can be answered: another realm, or only unknown algorithms or qop.
pub fn select<'a>(
    challenges: &'a [Challenge],
    realm: Option<&str>,
) -> Result<Vec<&'a Challenge>, DigestError> {
    select_where(challenges, |challenge| realm.is_none_or(|realm| challenge.is_for(realm)))
}

/// As [`select`], among the challenges that `allowed` lets through.
pub(super) fn select_where(
    challenges: &[Challenge],
    allowed: impl Fn(&Challenge) -> bool,
) -> Result<Vec<&Challenge>, DigestError> {
    let mut chosen: Vec<&Challenge> = Vec::new();
    let mut error = DigestError::OtherRealm;
    for challenge in challenges.iter().filter(|challenge| allowed(challenge)) {
        if let Some(obstacle) = challenge.obstacle() {
            error = obstacle;
            continue;
        }
        match chosen.iter_mut().find(|c| c.challenger == challenge.challenger && c.realm == challenge.realm) {
            Some(held) if rank(challenge) > rank(held) => *held = challenge,
            Some(_) => {}
            None => chosen.push(challenge),
        }
    }
    if chosen.is_empty() { Err(error) } else { Ok(chosen) }
}

fn rank(challenge: &Challenge) -> impl Ord {
    // With a qop an answer can't be replayed: that decides between equal hashes.
    (challenge.algorithm.map(|a| a.hash), challenge.qop == Qop::Auth)
}

#[cfg(test)]
mod tests {
    use super::super::Hash;
    use super::*;

    fn read(values: &[&str]) -> Result<Vec<Challenge>, DigestError> {
        parse_challenges(values.iter().map(|v| (Challenger::Server, v.as_bytes())))
    }

    fn chosen_hash(values: &[&str]) -> Result<Hash, DigestError> {
        let challenges = read(values)?;
        let chosen = select(&challenges, None)?;
        Ok(chosen[0].algorithm.unwrap().hash)
    }

    #[test]
    fn the_strongest_known_algorithm_is_chosen_in_any_order() {
        let md5 = r#"Digest realm="r", nonce="1", qop="auth", algorithm=MD5"#;
        let sha256 = r#"Digest realm="r", nonce="2", qop="auth", algorithm=SHA-256"#;
        let sha512 = r#"Digest realm="r", nonce="3", qop="auth", algorithm=sha-512-256"#;
        let other = r#"Digest realm="r", nonce="4", qop="auth", algorithm=SHA3-256"#;
        assert_eq!(chosen_hash(&[md5, sha256, sha512, other]), Ok(Hash::Sha256));
        assert_eq!(chosen_hash(&[other, sha512, sha256, md5]), Ok(Hash::Sha256));
        assert_eq!(chosen_hash(&[md5, sha512]), Ok(Hash::Sha512_256));
        assert_eq!(chosen_hash(&[md5, other]), Ok(Hash::Md5));
        assert_eq!(chosen_hash(&[&format!("{md5}, {sha256}")]), Ok(Hash::Sha256));
        assert_eq!(chosen_hash(&[other]), Err(DigestError::UnknownAlgorithm));
    }

    #[test]
    fn each_proxy_and_the_server_get_an_answer() {
        let challenges = parse_challenges([
            (Challenger::Proxy, &br#"Digest realm="p1", nonce="1""#[..]),
            (Challenger::Proxy, br#"Digest realm="p2", nonce="2""#),
            (Challenger::Server, br#"Digest realm="p1", nonce="3""#),
        ])
        .unwrap();
        assert_eq!(select(&challenges, None).unwrap().len(), 3);
    }

    #[test]
    fn auth_int_alone_is_refused_and_beside_auth_is_not() {
        let only = r#"Digest realm="r", nonce="n", qop="auth-int""#;
        let both = r#"Digest realm="r", nonce="n", qop="auth-int, auth""#;
        let odd = r#"Digest realm="r", nonce="n", qop="token""#;
        assert_eq!(chosen_hash(&[only]), Err(DigestError::AuthIntOnly));
        assert_eq!(chosen_hash(&[odd]), Err(DigestError::UnknownQop));
        assert_eq!(chosen_hash(&[both]), Ok(Hash::Md5));
        assert_eq!(chosen_hash(&[only, both]), Ok(Hash::Md5));
    }

    #[test]
    fn a_challenge_without_qop_is_the_older_form() {
        let challenges = read(&[r#"Digest realm="r", nonce="n""#]).unwrap();
        assert_eq!(challenges[0].qop, Qop::Legacy);
        let sess = r#"Digest realm="r", nonce="n", algorithm=MD5-sess"#;
        assert_eq!(chosen_hash(&[sess]), Err(DigestError::UnknownQop));
    }

    #[test]
    fn only_the_configured_realm_is_answered() {
        let challenges =
            read(&[r#"Digest realm="evil", nonce="n""#, r#"Digest realm="good \"one\"", nonce="n""#])
                .unwrap();
        assert_eq!(select(&challenges, Some("other")), Err(DigestError::OtherRealm));
        let chosen = select(&challenges, Some("good \"one\"")).unwrap();
        assert_eq!(chosen, [&challenges[1]]);
    }

    #[test]
    fn unknown_parameters_and_broken_neighbours_are_tolerated() {
        let challenges = read(&[
            "Digest realm=\"unclosed",
            r#"Basic realm="x""#,
            r#"Digest realm="r", domain="sip:a sip:b", nonce="n", stale=TRUE, userhash=true, charset=UTF-8, x-new=1"#,
        ])
        .unwrap();
        assert_eq!(challenges.len(), 1);
        assert!(challenges[0].stale);
        assert_eq!(read(&[r#"Basic realm="x""#]), Err(DigestError::NoDigest));
        assert_eq!(
            read(&[r#"Digest realm="x""#]),
            Err(DigestError::Malformed(Malformation::Missing("nonce")))
        );
    }
}
