//! The client's side over time: which nonces are held, how often each was used, and when a
//! refusal is a refusal.

use bytes::Bytes;

use super::challenge::{Challenge, Challenger, parse_challenges, select_where};
use super::params::unescape;
use super::response::{Protection, authorization_value};
use super::{Credentials, DigestError};

/// Proxies and server that may ask on one path, realms taken together.
const MAX_REALMS: usize = 4;
/// Nonces called stale in a row before we stop: a challenger that never accepts one would have
/// us answer for ever.
const MAX_STALE: u8 = 3;

/// A header to put into the next request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Whom it answers; [`Challenger::answer_header`] is the header's name.
    pub challenger: Challenger,
    /// The header's value.
    pub value: Bytes,
}

/// Answers challenges with one set of credentials and keeps the nonces for further requests, so
/// that these are accepted at once.
///
/// One client serves one sequence of requests: a registration, or a call. Two requests in flight
/// with the same client would take each other's challenge for a refusal.
#[derive(Debug, Clone)]
pub struct Client {
    credentials: Credentials,
    /// The only realms to answer, instead of the one that the credentials name.
    only: Option<Vec<Vec<u8>>>,
    held: Vec<Held>,
}

/// A realm that asked, with the nonce in use.
#[derive(Debug, Clone)]
struct Held {
    challenge: Challenge,
    /// Answers made with this nonce.
    count: u32,
    /// Challenges since the last success that were not for staleness. The second one means that
    /// the answer to the first was wrong.
    challenged: u8,
    /// Stale nonces since the last success.
    stale: u8,
}

impl Client {
    /// A client that was challenged by nobody yet.
    #[must_use]
    pub fn new(credentials: Credentials) -> Self {
        Self { credentials, only: None, held: Vec::new() }
    }

    /// A client that answers these realms and no other, whatever the credentials say.
    #[must_use]
    pub fn for_realms(credentials: Credentials, realms: Vec<Vec<u8>>) -> Self {
        Self { credentials, only: Some(realms), held: Vec::new() }
    }

    /// The realms that asked so far, without escapes.
    #[must_use]
    pub fn realms(&self) -> Vec<Vec<u8>> {
        self.held.iter().map(|held| unescape(&held.challenge.realm)).collect()
    }

    fn allows(&self, challenge: &Challenge) -> bool {
        match (&self.only, &self.credentials.realm) {
            (Some(only), _) => only.contains(&unescape(&challenge.realm)),
            (None, Some(realm)) => challenge.is_for(realm),
            (None, None) => true,
        }
    }

    /// Takes the challenges of a 401 or 407: pairs of who asked and the header value. On `Ok` the
    /// request is to be sent again with what [`Client::authorize`] gives.
    ///
    /// # Errors
    /// [`DigestError::Refused`] when credentials that were sent are refused (a second challenge
    /// that doesn't say stale), or why the challenge can't be answered.
    pub fn on_challenges<'a>(
        &mut self,
        values: impl IntoIterator<Item = (Challenger, &'a [u8])>,
    ) -> Result<(), DigestError> {
        let challenges = parse_challenges(values)?;
        let chosen = select_where(&challenges, |challenge| self.allows(challenge))?;
        let chosen: Vec<Challenge> = chosen.into_iter().cloned().collect();
        chosen.into_iter().try_for_each(|challenge| self.take(challenge))
    }

    fn take(&mut self, challenge: Challenge) -> Result<(), DigestError> {
        let same = |h: &&mut Held| {
            h.challenge.challenger == challenge.challenger && h.challenge.realm == challenge.realm
        };
        let Some(held) = self.held.iter_mut().find(same) else {
            if self.held.len() == MAX_REALMS {
                return Err(DigestError::TooManyRealms(MAX_REALMS));
            }
            self.held.push(Held { challenge, count: 0, challenged: 1, stale: 0 });
            return Ok(());
        };
        // A nonce that was answered and is called stale without another one to use instead.
        let again = held.challenge.nonce == challenge.nonce;
        if challenge.stale && again {
            return Err(DigestError::StaleLoop(held.stale));
        }
        if challenge.stale {
            held.stale = held.stale.saturating_add(1);
            if held.stale > MAX_STALE {
                return Err(DigestError::StaleLoop(MAX_STALE));
            }
        } else {
            held.challenged = held.challenged.saturating_add(1);
            if held.challenged > 1 {
                return Err(DigestError::Refused);
            }
        }
        held.challenge = challenge;
        if !again {
            held.count = 0;
        }
        Ok(())
    }

    /// Headers for the next request: one per realm that asked, counting the nonce's use. Empty
    /// before the first challenge. `uri` is the Request-URI as it will be sent; `cnonce` is
    /// random, and new for each request.
    #[must_use]
    pub fn authorize(&mut self, method: &[u8], uri: &[u8], cnonce: u128) -> Vec<Answer> {
        let cnonce = format!("{cnonce:032x}");
        let credentials = &self.credentials;
        self.held
            .iter_mut()
            .filter_map(|held| {
                held.count = held.count.saturating_add(1);
                let protection = Protection { count: held.count, cnonce: cnonce.as_bytes() };
                let value = authorization_value(&held.challenge, credentials, method, uri, protection)?;
                Some(Answer { challenger: held.challenge.challenger, value })
            })
            .collect()
    }

    /// The last request was accepted: the next challenge starts anew.
    pub fn accepted(&mut self) {
        for held in &mut self.held {
            held.challenged = 0;
            held.stale = 0;
        }
    }

    /// Whether the next request will carry credentials.
    #[must_use]
    pub fn is_armed(&self) -> bool {
        !self.held.is_empty()
    }

    /// Drops every nonce, as after a refusal when it is time to try again.
    pub fn forget(&mut self) {
        self.held.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::super::Password;
    use super::*;

    fn client(realm: Option<&str>) -> Client {
        Client::new(Credentials {
            username: "bob".into(),
            password: Password::new("zanzibar"),
            realm: realm.map(Into::into),
        })
    }

    fn challenge(client: &mut Client, value: &str) -> Result<(), DigestError> {
        client.on_challenges([(Challenger::Server, value.as_bytes())])
    }

    fn only_value(client: &mut Client) -> String {
        let answers = client.authorize(b"REGISTER", b"sip:h", 7);
        assert_eq!(answers.len(), 1);
        String::from_utf8(answers[0].value.to_vec()).unwrap()
    }

    const FRESH: &str = r#"Digest realm="r", nonce="n1", qop="auth""#;
    const NEWER: &str = r#"Digest realm="r", nonce="n2", qop="auth""#;
    const STALE: &str = r#"Digest realm="r", nonce="n3", qop="auth", stale=true"#;

    #[test]
    fn a_nonce_is_reused_with_a_rising_count_and_a_new_one_starts_at_one() {
        let mut client = client(None);
        assert!(client.authorize(b"REGISTER", b"sip:h", 7).is_empty());
        challenge(&mut client, FRESH).unwrap();
        assert!(only_value(&mut client).contains("nc=00000001"));
        client.accepted();
        assert!(only_value(&mut client).contains("nc=00000002"));
        challenge(&mut client, STALE).unwrap();
        let value = only_value(&mut client);
        assert!(value.contains("nc=00000001") && value.contains(r#"nonce="n3""#), "{value}");
    }

    #[test]
    fn a_second_challenge_that_is_not_stale_is_a_refusal() {
        let mut client = client(None);
        challenge(&mut client, FRESH).unwrap();
        assert_eq!(challenge(&mut client, NEWER), Err(DigestError::Refused));
        client.forget();
        assert_eq!(challenge(&mut client, FRESH), Ok(()));
    }

    #[test]
    fn after_a_success_an_expired_nonce_without_the_word_stale_gets_one_answer() {
        let mut client = client(None);
        challenge(&mut client, FRESH).unwrap();
        client.accepted();
        assert_eq!(challenge(&mut client, NEWER), Ok(()));
        assert_eq!(challenge(&mut client, FRESH), Err(DigestError::Refused));
    }

    #[test]
    fn a_challenger_that_calls_everything_stale_is_given_up() {
        let mut client = client(None);
        challenge(&mut client, FRESH).unwrap();
        let stale = |n| format!(r#"Digest realm="r", nonce="s{n}", qop="auth", stale=true"#);
        for n in 0..MAX_STALE {
            assert_eq!(challenge(&mut client, &stale(n)), Ok(()));
        }
        assert_eq!(challenge(&mut client, &stale(MAX_STALE)), Err(DigestError::StaleLoop(MAX_STALE)));
    }

    #[test]
    fn a_nonce_is_answered_once_whatever_is_said_of_it() {
        let mut client = client(None);
        challenge(&mut client, STALE).unwrap();
        assert_eq!(challenge(&mut client, STALE), Err(DigestError::StaleLoop(0)));
        // Used with success, and asked for again: its count goes on.
        let mut client = super::tests::client(None);
        challenge(&mut client, FRESH).unwrap();
        assert!(only_value(&mut client).contains("nc=00000001"));
        client.accepted();
        challenge(&mut client, FRESH).unwrap();
        assert!(only_value(&mut client).contains("nc=00000002"));
    }

    #[test]
    fn only_the_realms_named_are_answered() {
        let credentials =
            Credentials { username: "bob".into(), password: Password::new("zanzibar"), realm: None };
        let mut client = Client::for_realms(credentials, vec![b"r".to_vec()]);
        let other = r#"Digest realm="other", nonce="n1", qop="auth""#;
        assert_eq!(challenge(&mut client, other), Err(DigestError::OtherRealm));
        challenge(&mut client, FRESH).unwrap();
        assert_eq!(client.realms(), [b"r"]);
    }

    #[test]
    fn proxy_and_server_are_answered_together() {
        let mut client = client(None);
        client.on_challenges([(Challenger::Proxy, FRESH.as_bytes())]).unwrap();
        challenge(&mut client, FRESH).unwrap();
        let answers = client.authorize(b"INVITE", b"sip:h", 1);
        let headers: Vec<_> = answers.iter().map(|a| a.challenger.answer_header()).collect();
        assert_eq!(headers, ["Proxy-Authorization", "Authorization"]);
    }

    #[test]
    fn a_foreign_realm_gets_nothing() {
        let mut client = client(Some("mine"));
        assert_eq!(challenge(&mut client, FRESH), Err(DigestError::OtherRealm));
        assert!(!client.is_armed());
    }

    #[test]
    fn endless_realms_are_refused() {
        let mut client = client(None);
        let result =
            (0..10).try_for_each(|n| challenge(&mut client, &format!(r#"Digest realm="{n}", nonce="n""#)));
        assert_eq!(result, Err(DigestError::TooManyRealms(MAX_REALMS)));
    }
}
