//! Requests outside dialogs that must bear credentials (RFC 3261 §22, RFC 8760), and the brake on
//! those who guess.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use super::Endpoint;
use super::event::Suspicion;
use super::flow::Flow;
use super::policy::{Authentication, PeerPolicy};
use crate::message::{HeaderName, Request, ResponseBuilder, StatusCode};
use crate::ua::digest::{Authenticator, Authorization, Rejection, RequestLine, ServerKey};

/// Wrong credentials taken from one place in a minute.
const TRIES: u8 = 10;
const MINUTE: Duration = Duration::from_secs(60);
/// Places watched at a time. Beyond that the one watched longest is let go.
const MAX_PLACES: usize = 8_192;
/// Credentials of one request that are looked at.
const MAX_CREDENTIALS: usize = 4;

/// One authenticator for each realm, and who has failed lately.
#[derive(Debug, Default)]
pub(crate) struct Authenticators {
    realms: BTreeMap<String, Authenticator>,
    brake: Brake,
}

impl Endpoint {
    /// Whether a request may go on. If not it has been answered, the same whether its user exists
    /// or not.
    pub(crate) fn is_authenticated(
        &mut self,
        flow: Flow,
        request: &Request,
        policy: &PeerPolicy,
        now: Instant,
    ) -> bool {
        let Some(authentication) = &policy.authentication else { return true };
        match self.check_credentials(flow, request, authentication, now) {
            Ok(()) => true,
            Err(Denial::Challenge { stale }) => {
                self.challenge(flow, request, &authentication.realm, stale, now);
                false
            }
            Err(Denial::Final(status)) => {
                // No more than the RFC wants in it: it isn't to be worth asking for.
                let response = self.bare_response(request, status);
                self.count_refusal(status);
                self.send_statelessly(flow, request, response);
                false
            }
        }
    }

    fn check_credentials(
        &mut self,
        flow: Flow,
        request: &Request,
        authentication: &Authentication,
        now: Instant,
    ) -> Result<(), Denial> {
        let first = Denial::Challenge { stale: false };
        let source = flow.peer.ip();
        let authenticator = self.authenticator(&authentication.realm, now);
        let mut all = request.headers().get_all(HeaderName::Authorization).take(MAX_CREDENTIALS);
        // Of several each is for a realm of its own (RFC 7235 §4.2, RFC 3261 §22.3).
        let answer = all.find_map(|value| match Authorization::parse(value) {
            Ok(answer) => authenticator.is_addressed(&answer).then_some(Ok(answer)),
            Err(Rejection::NotOurs) => None,
            Err(rejection) => Some(Err(rejection)),
        });
        let Some(answer) = answer else { return Err(first) };
        if self.authenticators.brake.holds(source, now) {
            self.counters.braked += 1;
            self.suspect(flow, Suspicion::Guessing);
            return Err(Denial::Final(StatusCode::FORBIDDEN));
        }
        let verdict = answer.and_then(|answer| {
            let mut users = authentication.users.iter();
            let user = users.find(|user| user.username.as_bytes() == answer.username);
            let password = user.map(|user| &user.password);
            let method = request.method().as_str().as_bytes();
            let line = RequestLine { method, uri: request.uri().as_bytes(), source };
            let verified =
                self.authenticator(&authentication.realm, now).verify(&answer, line, password, now);
            verified.inspect_err(|rejection| {
                if *rejection == Rejection::Wrong {
                    self.counters.authentication_failed += 1;
                    self.authenticators.brake.count(source, now);
                    let user = masked(&answer.username);
                    self.suspect(flow, Suspicion::AuthenticationFailed { user });
                }
            })
        });
        verdict.map_err(|rejection| match rejection {
            // RFC 7616 §3.4.6, RFC 3261 §22.4.
            Rejection::Malformed(_) | Rejection::OtherUri => Denial::Final(StatusCode::BAD_REQUEST),
            other => Denial::Challenge { stale: other.is_stale() },
        })
    }

    /// The realm's authenticator. Its secret is this endpoint's own, new at each start.
    fn authenticator(&mut self, realm: &str, now: Instant) -> &mut Authenticator {
        let Self { authenticators, tokens, .. } = self;
        authenticators.realms.entry(realm.to_owned()).or_insert_with(|| {
            let mut key = [0; 32];
            for chunk in key.chunks_mut(8) {
                chunk.copy_from_slice(&tokens.next_u64().to_be_bytes());
            }
            Authenticator::new(realm, ServerKey::new(key), now)
        })
    }

    fn challenge(&mut self, flow: Flow, request: &Request, realm: &str, stale: bool, now: Instant) {
        self.counters.challenged += 1;
        let random = self.tokens.next_u64();
        let values = self.authenticator(realm, now).challenges(flow.peer.ip(), random, stale, now);
        let mut response = self.bare_response(request, StatusCode::UNAUTHORIZED);
        for value in values {
            response = response.header(HeaderName::WwwAuthenticate, value);
        }
        self.send_statelessly(flow, request, response);
    }

    fn bare_response(&self, request: &Request, status: StatusCode) -> ResponseBuilder {
        ResponseBuilder::reply_to(request, status).to_tag(self.stateless_tag(request).as_bytes())
    }

    /// Lets go of what no policy asks for any more.
    pub(crate) fn forget_unused_realms(&mut self) {
        let Self { authenticators, policies, .. } = self;
        authenticators.realms.retain(|realm, _| policies.know_realm(realm));
    }
}

/// What a request without good credentials gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Denial {
    Challenge { stale: bool },
    Final(StatusCode),
}

/// Enough of a user name to know which one it was, for who knows them.
fn masked(name: &[u8]) -> String {
    let name = String::from_utf8_lossy(name);
    let shown: String = if name.chars().count() > 4 { name.chars().take(2).collect() } else { String::new() };
    format!("{}…", shown.replace(char::is_control, "?"))
}

/// Who has sent wrong credentials in the last minute.
#[derive(Debug, Default)]
struct Brake {
    places: BTreeMap<IpAddr, Tries>,
}

#[derive(Debug)]
struct Tries {
    since: Instant,
    count: u8,
}

impl Tries {
    /// A minute of counting; when that made the brake hold, a minute from the last try.
    fn is_over(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.since) >= MINUTE
    }
}

impl Brake {
    fn holds(&self, source: IpAddr, now: Instant) -> bool {
        self.places.get(&place(source)).is_some_and(|tries| tries.count >= TRIES && !tries.is_over(now))
    }

    fn count(&mut self, source: IpAddr, now: Instant) {
        let place = place(source);
        if self.places.len() >= MAX_PLACES && !self.places.contains_key(&place) {
            self.make_room(now);
        }
        let tries = self.places.entry(place).or_insert(Tries { since: now, count: 0 });
        if tries.is_over(now) {
            *tries = Tries { since: now, count: 0 };
        }
        tries.count = tries.count.saturating_add(1);
        if tries.count == TRIES {
            tries.since = now;
        }
    }

    fn make_room(&mut self, now: Instant) {
        self.places.retain(|_, tries| !tries.is_over(now));
        let oldest = self.places.iter().min_by_key(|(_, tries)| tries.since).map(|(place, _)| *place);
        if self.places.len() >= MAX_PLACES
            && let Some(oldest) = oldest
        {
            self.places.remove(&oldest);
        }
    }
}

/// One address of the old kind, or the network that a host of the new kind has to itself.
fn place(source: IpAddr) -> IpAddr {
    match source.to_canonical() {
        IpAddr::V6(ip) => IpAddr::V6((u128::from(ip) >> 64 << 64).into()),
        v4 => v4,
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a virtual clock has to start somewhere")]
mod tests {
    use super::*;

    fn source(number: u32) -> IpAddr {
        IpAddr::V4(number.into())
    }

    #[test]
    fn ten_wrong_tries_in_a_minute_hold_the_brake_for_a_minute() {
        let (mut brake, start) = (Brake::default(), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        for second in 0..9 {
            brake.count(source(1), at(second * 2));
            assert!(!brake.holds(source(1), at(second * 2)));
        }
        brake.count(source(1), at(50));
        assert!(brake.holds(source(1), at(50)) && brake.holds(source(1), at(109)));
        assert!(!brake.holds(source(2), at(50)) && !brake.holds(source(1), at(110)));
        brake.count(source(1), at(111));
        assert!(!brake.holds(source(1), at(111)));
    }

    #[test]
    fn tries_far_apart_never_hold_it() {
        let (mut brake, start) = (Brake::default(), Instant::now());
        for try_ in 0..100 {
            brake.count(source(1), start + Duration::from_secs(try_ * 7));
            assert!(!brake.holds(source(1), start + Duration::from_secs(try_ * 7)), "{try_}");
        }
    }

    #[test]
    fn a_host_with_a_whole_network_is_one_place_and_memory_is_bounded() {
        let (mut brake, now) = (Brake::default(), Instant::now());
        for host in 0..10_u16 {
            brake.count(format!("2001:db8::{host:x}").parse().unwrap(), now);
        }
        assert!(brake.holds("2001:db8::ffff:1".parse().unwrap(), now));
        for number in 0..20_000 {
            brake.count(source(number), now);
        }
        assert_eq!(brake.places.len(), MAX_PLACES);
    }

    #[test]
    fn user_names_are_masked() {
        assert_eq!(masked(b"reception"), "re…");
        assert_eq!(masked(b"1001"), "…");
        assert_eq!(masked(b"a\nbcdef"), "a?…");
    }
}
