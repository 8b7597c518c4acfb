//! The side that asks: challenges that nobody else could have issued, and the check of answers.
//!
//! A nonce is its time of issue, a random part, and a keyed hash over both, the realm and the
//! address that it was given to, so that nothing is stored for a challenge that is never answered.
//! Memory is taken only by nonces that were answered rightly.
//!
//! The nonce is looked at first and the answer only if it is good. So whoever has the password
//! wrong is known to hear what we send to the address that he writes from, which makes it fair to
//! count him; and guesses with a bad nonce learn nothing.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use sha2::{Digest, Sha256};

use super::params::{Scheme, escape, schemes, unescape};
use super::response::{Protection, Signed, hex};
use super::{Algorithm, Malformation, Password};

/// How long a nonce may be used.
const NONCE_LIFE: Duration = Duration::from_secs(60);
/// Nonces in use at once. Beyond that the oldest is given up and counts as stale.
const MAX_NONCES: usize = 65_536;
/// How far below the highest count a late request may lie.
const WINDOW: u32 = 64;
const NONCE_TEXT: usize = 64;

/// The secret that nonces are made with: 32 random bytes, new at each start or shared by the
/// nodes of a cluster. It never prints.
#[derive(Clone)]
pub struct ServerKey([u8; 32]);

impl ServerKey {
    /// Takes the random bytes.
    #[must_use]
    pub fn new(random: [u8; 32]) -> Self {
        Self(random)
    }
}

impl fmt::Debug for ServerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ServerKey(hidden)")
    }
}

/// The part of a request that an answer is bound to, and where it came from.
#[derive(Debug, Clone, Copy)]
pub struct RequestLine<'a> {
    /// The method.
    pub method: &'a [u8],
    /// The Request-URI as received.
    pub uri: &'a [u8],
    /// The address that the request came from. The port may change between challenge and answer.
    pub source: IpAddr,
}

/// Why an answer isn't accepted, with the status to send.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// Not readable as digest credentials: `400`.
    #[error("the credentials are malformed: {0}")]
    Malformed(Malformation),
    /// Credentials for another realm, algorithm or form than was asked for: challenge anew.
    #[error("the credentials don't answer our challenge")]
    NotOurs,
    /// The digest-URI is not the Request-URI: `400` (RFC 7616 §3.4.6).
    #[error("the digest-URI differs from the Request-URI")]
    OtherUri,
    /// User name or password is wrong, or the user unknown: challenge anew, and count the try.
    #[error("user name or password is wrong")]
    Wrong,
    /// The nonce is too old, or not one that this address was given; the answer hasn't been looked
    /// at. Challenge with `stale=true` (RFC 7616 §3.3).
    #[error("the nonce has run out")]
    Stale,
    /// The password is right, the count was used before: challenge with `stale=true`.
    #[error("the nonce count was used before")]
    Replayed,
}

impl Rejection {
    /// Whether the new challenge says `stale=true`: the password need not be asked for again.
    #[must_use]
    pub fn is_stale(self) -> bool {
        matches!(self, Self::Stale | Self::Replayed)
    }
}

/// Digest credentials as they came, before any check. Texts are raw unless said otherwise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authorization {
    /// The user name without escapes: what the password is looked up by.
    pub username: Vec<u8>,
    realm: Vec<u8>,
    nonce: Vec<u8>,
    uri: Vec<u8>,
    response: Vec<u8>,
    algorithm: Option<Algorithm>,
    protection: Option<(u32, Vec<u8>)>,
}

impl Authorization {
    /// Reads a header value.
    ///
    /// # Errors
    /// [`Rejection::Malformed`], or [`Rejection::NotOurs`] when it holds no Digest scheme.
    pub fn parse(value: &[u8]) -> Result<Self, Rejection> {
        let schemes = schemes(value).map_err(Rejection::Malformed)?;
        let digest = schemes.iter().find(|s| s.is_digest()).ok_or(Rejection::NotOurs)?;
        Self::from_scheme(digest).map_err(Rejection::Malformed)
    }

    fn from_scheme(scheme: &Scheme<'_>) -> Result<Self, Malformation> {
        let protection = match scheme.get("qop")? {
            Some(qop) if qop.eq_ignore_ascii_case(b"auth") => {
                let cnonce = scheme.require("cnonce")?.to_vec();
                Some((count(scheme.require("nc")?)?, cnonce))
            }
            Some(_) => return Err(Malformation::Value("qop")),
            None => None,
        };
        Ok(Self {
            username: unescape(scheme.require("username")?),
            realm: scheme.require("realm")?.to_vec(),
            nonce: scheme.require("nonce")?.to_vec(),
            uri: unescape(scheme.require("uri")?),
            response: scheme.require("response")?.to_ascii_lowercase(),
            algorithm: scheme.get("algorithm")?.map_or(Some(Algorithm::MD5), Algorithm::from_token),
            protection,
        })
    }
}

fn count(text: &[u8]) -> Result<u32, Malformation> {
    let wrong = Malformation::Value("nc");
    // `from_str_radix` takes a sign, RFC 7616 §3.4 doesn't.
    if text.len() != 8 || !text.iter().all(u8::is_ascii_hexdigit) {
        return Err(wrong);
    }
    let text = std::str::from_utf8(text).map_err(|_| wrong)?;
    match u32::from_str_radix(text, 16) {
        Ok(count) if count > 0 => Ok(count),
        _ => Err(wrong),
    }
}

/// Issues challenges for one realm and checks the answers.
#[derive(Debug)]
pub struct Authenticator {
    realm: Vec<u8>,
    algorithms: Vec<Algorithm>,
    key: ServerKey,
    epoch: Instant,
    used: BTreeMap<NonceId, CountWindow>,
    /// Nonces up to this one were given up for want of room.
    floor: Option<NonceId>,
}

/// Time of issue in milliseconds since the epoch, then the random part: ordered by age.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct NonceId {
    issued_ms: u64,
    random: u64,
}

impl Authenticator {
    /// An authenticator that offers SHA-256 first and MD5 after it. `epoch` is any moment not
    /// after the first challenge, the same for all that share the key.
    #[must_use]
    pub fn new(realm: &str, key: ServerKey, epoch: Instant) -> Self {
        Self {
            realm: escape(realm.as_bytes()),
            algorithms: vec![Algorithm::SHA256, Algorithm::MD5],
            key,
            epoch,
            used: BTreeMap::new(),
            floor: None,
        }
    }

    /// The values of the `WWW-Authenticate` (or `Proxy-Authenticate`) headers to send, one per
    /// algorithm in the order to send them (RFC 8760 §2.3), for whoever is at `source`. `random`
    /// must not repeat within a nonce's life.
    #[must_use]
    pub fn challenges(&self, source: IpAddr, random: u64, stale: bool, now: Instant) -> Vec<Bytes> {
        let nonce = self.nonce(NonceId { issued_ms: self.millis(now), random }, source);
        let realm = String::from_utf8_lossy(&self.realm);
        let stale = if stale { ", stale=true" } else { "" };
        self.algorithms
            .iter()
            .map(|algorithm| {
                let algorithm = algorithm.token();
                let value = format!(
                    "Digest realm=\"{realm}\", nonce=\"{nonce}\", algorithm={algorithm}, qop=\"auth\"{stale}"
                );
                Bytes::from(value)
            })
            .collect()
    }

    /// Checks an answer. `password` is that of [`Authorization::username`]; `None` for an unknown
    /// user, who gets the same [`Rejection::Wrong`] after the same work.
    ///
    /// # Errors
    /// Why it isn't accepted.
    pub fn verify(
        &mut self,
        answer: &Authorization,
        request: RequestLine<'_>,
        password: Option<&Password>,
        now: Instant,
    ) -> Result<(), Rejection> {
        let algorithm = answer.algorithm.filter(|a| self.algorithms.contains(a)).ok_or(Rejection::NotOurs)?;
        let (count, cnonce) = answer.protection.as_ref().ok_or(Rejection::NotOurs)?;
        if answer.realm != self.realm {
            return Err(Rejection::NotOurs);
        }
        if !same_uri(&answer.uri, request.uri) {
            return Err(Rejection::OtherUri);
        }
        let id = self.live_nonce(&answer.nonce, request.source, now).ok_or(Rejection::Stale)?;
        let expected = Signed {
            algorithm,
            username: &answer.username,
            realm: &answer.realm,
            nonce: &answer.nonce,
            method: request.method,
            uri: &answer.uri,
            protection: Some(Protection { count: *count, cnonce }),
        };
        let nobody = Password::new("");
        let response = expected.response(password.unwrap_or(&nobody));
        if !equal_in_constant_time(response.as_bytes(), &answer.response) || password.is_none() {
            return Err(Rejection::Wrong);
        }
        self.use_count(id, *count)
    }

    /// The nonce if this address was given it, and it is neither too old nor given up.
    fn live_nonce(&mut self, text: &[u8], source: IpAddr, now: Instant) -> Option<NonceId> {
        let now_ms = self.millis(now);
        let life = millis(NONCE_LIFE);
        self.forget_before(now_ms.saturating_sub(life));
        let id = NonceId::read(text)?;
        let ours = equal_in_constant_time(self.nonce(id, source).as_bytes(), text);
        let age = now_ms.checked_sub(id.issued_ms)?;
        (ours && age < life && self.floor.is_none_or(|floor| id > floor)).then_some(id)
    }

    /// Whether an answer is for the realm that is asked for here.
    #[must_use]
    pub fn is_addressed(&self, answer: &Authorization) -> bool {
        answer.realm == self.realm
    }

    fn use_count(&mut self, id: NonceId, count: u32) -> Result<(), Rejection> {
        if self.used.len() >= MAX_NONCES && !self.used.contains_key(&id) {
            let oldest = self.used.pop_first().map(|(oldest, _)| oldest);
            self.floor = self.floor.max(oldest);
            if self.floor.is_some_and(|floor| id <= floor) {
                return Err(Rejection::Stale);
            }
        }
        let window = self.used.entry(id).or_default();
        if window.take(count) { Ok(()) } else { Err(Rejection::Replayed) }
    }

    fn forget_before(&mut self, issued_ms: u64) {
        while self.used.first_key_value().is_some_and(|(id, _)| id.issued_ms < issued_ms) {
            self.used.pop_first();
        }
    }

    fn millis(&self, now: Instant) -> u64 {
        millis(now.saturating_duration_since(self.epoch))
    }

    fn nonce(&self, id: NonceId, source: IpAddr) -> String {
        let mut nonce = format!("{:016x}{:016x}", id.issued_ms, id.random);
        let source = match source.to_canonical() {
            IpAddr::V4(ip) => ip.to_ipv6_mapped().octets(),
            IpAddr::V6(ip) => ip.octets(),
        };
        let seal = hmac_sha256(&self.key.0, &[nonce.as_bytes(), &source, &self.realm]);
        let half = seal.split_at(16).0;
        nonce.push_str(&hex(half));
        nonce
    }
}

impl NonceId {
    fn read(text: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(text)
            .ok()
            .filter(|t| t.len() == NONCE_TEXT && t.bytes().all(|b| b.is_ascii_hexdigit()))?;
        let number = |from: usize, to: usize| u64::from_str_radix(text.get(from..to)?, 16).ok();
        Some(Self { issued_ms: number(0, 16)?, random: number(16, 32)? })
    }
}

/// Which counts of a nonce were used: the highest, and a bit for each of those just below it.
#[derive(Debug, Default)]
struct CountWindow {
    highest: u32,
    below: u64,
}

impl CountWindow {
    /// Marks a count as used; `false` when it was, or is too old to know.
    fn take(&mut self, count: u32) -> bool {
        if let Some(ahead) = count.checked_sub(self.highest).filter(|ahead| *ahead > 0) {
            self.below = self.below.checked_shl(ahead).unwrap_or(0) | 1;
            self.highest = count;
            return true;
        }
        let behind = self.highest.saturating_sub(count);
        let bit = 1_u64.checked_shl(behind).filter(|_| behind < WINDOW).unwrap_or(0);
        let fresh = bit != 0 && self.below & bit == 0;
        self.below |= bit;
        fresh
    }
}

/// Equal but for the case of scheme and host, which is how clients differ without harm
/// (RFC 3261 §19.1.4). The user part compares exactly.
fn same_uri(digest: &[u8], request: &[u8]) -> bool {
    fn halves(uri: &[u8]) -> (&[u8], &[u8]) {
        match uri.iter().position(|b| *b == b'@') {
            Some(at) => uri.split_at(at),
            None => (&[], uri),
        }
    }
    let scheme_end = |uri: &[u8]| uri.iter().position(|b| *b == b':').unwrap_or(0);
    let ((user_a, rest_a), (user_b, rest_b)) = (halves(digest), halves(request));
    let (scheme_a, name_a) = user_a.split_at(scheme_end(user_a));
    let (scheme_b, name_b) = user_b.split_at(scheme_end(user_b));
    name_a == name_b && scheme_a.eq_ignore_ascii_case(scheme_b) && rest_a.eq_ignore_ascii_case(rest_b)
}

fn equal_in_constant_time(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |differ, (x, y)| differ | (x ^ y)) == 0
}

/// RFC 2104 with SHA-256; the key is shorter than a block.
fn hmac_sha256(key: &[u8; 32], parts: &[&[u8]]) -> [u8; 32] {
    let block = |pad: u8| {
        let mut block = [pad; 64];
        for (byte, key) in block.iter_mut().zip(key) {
            *byte ^= key;
        }
        block
    };
    let mut inner = Sha256::new().chain_update(block(0x36));
    for part in parts {
        inner.update(part);
    }
    Sha256::new().chain_update(block(0x5c)).chain_update(inner.finalize()).finalize().into()
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
#[path = "server_tests.rs"]
mod tests;
