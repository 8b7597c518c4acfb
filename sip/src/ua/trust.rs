//! Whom credentials may be shown to.
//!
//! A challenge is answered only when it comes from one of the addresses that the request was meant
//! for, and for a realm that is configured, or, inside a dialog, one that the call itself was let
//! through by. Otherwise anybody who gets us into a dialog could challenge our BYE in the name of
//! the carrier and take away a hash to guess the password from (CVE-2021-41158).

use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use smallvec::SmallVec;

use super::digest::{Answer, Challenger, Client, Credentials};
use crate::message::{HeaderName, Method, Response, Uri};

/// Answers given for one request before it is let be, whatever each challenge says.
const MAX_ROUNDS: u8 = 6;

/// The addresses that a peer has.
pub(crate) type Peers = SmallVec<[IpAddr; 4]>;

/// What a dialog knows of the peer that may ask for credentials in it.
#[derive(Debug, Clone)]
pub(crate) struct Trust {
    credentials: Arc<Credentials>,
    peers: Peers,
    realms: Vec<Vec<u8>>,
}

impl Trust {
    /// For a dialog that the far end began: its credentials must name their realm.
    pub fn inbound(credentials: Arc<Credentials>, peer: IpAddr) -> Option<Self> {
        let realms = vec![credentials.realm.as_ref()?.as_bytes().to_vec()];
        Some(Self { credentials, peers: Peers::from_slice(&[peer]), realms })
    }
}

/// The answering of one request's challenges. A request never shares it with another, which would
/// take each other's challenge for a refusal.
#[derive(Debug, Clone)]
pub(crate) struct Auth {
    credentials: Arc<Credentials>,
    peers: Peers,
    client: Client,
    rounds: u8,
}

impl Auth {
    /// For a request outside any dialog, to these addresses.
    pub fn new(credentials: Arc<Credentials>, peers: Peers) -> Self {
        let client = Client::new(credentials.as_ref().clone());
        Self { credentials, peers, client, rounds: 0 }
    }

    /// For a request inside a dialog.
    pub fn within(trust: &Trust) -> Self {
        let client = Client::for_realms(trust.credentials.as_ref().clone(), trust.realms.clone());
        Self { credentials: Arc::clone(&trust.credentials), peers: trust.peers.clone(), client, rounds: 0 }
    }

    /// What the dialog that this request made may answer: the configured realm, else those that
    /// asked before they let the call through.
    pub fn trust(&self) -> Trust {
        let realms = match &self.credentials.realm {
            Some(realm) => vec![realm.as_bytes().to_vec()],
            None => self.client.realms(),
        };
        Trust { credentials: Arc::clone(&self.credentials), peers: self.peers.clone(), realms }
    }

    /// Whether this address may ask.
    pub fn knows(&self, peer: IpAddr) -> bool {
        self.peers.contains(&peer)
    }

    /// The headers that answer this 401 or 407; `None` when it isn't to be answered, or the answer
    /// before was refused.
    pub fn answer(
        &mut self,
        response: &Response,
        method: &Method,
        uri: &Uri,
        cnonce: u128,
    ) -> Option<Vec<Answer>> {
        self.rounds = self.rounds.saturating_add(1);
        if self.rounds > MAX_ROUNDS {
            return None;
        }
        let challenges = challenges(response);
        let values = challenges.iter().map(|(challenger, value)| (*challenger, value.as_ref()));
        self.client.on_challenges(values).ok()?;
        Some(self.client.authorize(method.as_str().as_bytes(), uri.as_bytes(), cnonce))
    }
}

/// Who asks for credentials in a response, and with what.
fn challenges(response: &Response) -> Vec<(Challenger, Bytes)> {
    let of = |challenger, name| {
        response.headers().get_all(name).map(move |value| (challenger, Bytes::copy_from_slice(value)))
    };
    of(Challenger::Server, HeaderName::WwwAuthenticate)
        .chain(of(Challenger::Proxy, HeaderName::ProxyAuthenticate))
        .collect()
}

/// The name of the header that an answer goes into.
pub(crate) fn answer_header(challenger: Challenger) -> HeaderName {
    match challenger {
        Challenger::Server => HeaderName::Authorization,
        Challenger::Proxy => HeaderName::ProxyAuthorization,
    }
}
