//! Keeps the trunks in register mode registered: one task for each, around the pure machine.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, OptionFuture};
use sip::endpoint::OutsideRequest;
use sip::endpoint::flow::{Hop, PeerId, Transport};
use sip::message::{HeaderName, Method, NameAddr, Response, Uri};
use sip::ua::digest::Challenger;
use sip::ua::registration::{self, Output, RegisterRequest, RegisterResponse, Registration};
use tokio::sync::watch;

use super::stop::stopped;
use super::transports::towards;
use crate::config::{self, Mode, Registrar};
use crate::ids::TrunkName;
use crate::net::dns::Resolver;
use crate::net::signalling::{NoResponse, SignallingHandle};
use crate::trunk::{Status, Trunk};

/// How often the addresses of a trunk that doesn't register are looked up again.
const LOOK_UP: Duration = Duration::from_secs(60);
/// How long un-registering may hold up the end of the process.
pub(super) const GOODBYE: Duration = Duration::from_secs(4);

/// Where we are to be reached.
#[derive(Debug, Clone)]
pub(super) struct Reachable {
    /// The addresses that SIP listens on; may be wildcards.
    pub listen: Vec<SocketAddr>,
    /// Those for TLS.
    pub secure: Vec<SocketAddr>,
    /// The address that peers are told instead.
    pub advertised: Option<IpAddr>,
    /// Whom the servers of trunks have to prove to be, under TLS.
    pub peers: Arc<BTreeMap<TrunkName, PeerId>>,
}

/// Looks after one trunk until `stop` turns true, and un-registers then.
pub(super) async fn look_after(
    trunk: Arc<Trunk>,
    signalling: SignallingHandle,
    reachable: Reachable,
    resolver: Arc<Resolver>,
    stop: watch::Receiver<bool>,
) {
    match trunk.config.mode.clone() {
        Mode::Register(registrar) => {
            Task::new(trunk, registrar, signalling, reachable, resolver).run(stop).await;
        }
        Mode::Peer { .. } => look_up_again_and_again(&trunk, &resolver, stop).await,
        Mode::Open => {}
    }
}

async fn look_up_again_and_again(trunk: &Trunk, resolver: &Resolver, mut stop: watch::Receiver<bool>) {
    loop {
        match resolve(&trunk.config, resolver, rand::random()).await {
            Ok(hops) => {
                trunk.set_resolved(hops.iter().map(|hop| hop.address.ip()).collect());
                trunk.set_status(Status { state: "ready", detail: String::new() });
            }
            // The addresses of before are kept: a name server that is away closes no trunk.
            Err(detail) => trunk.set_status(Status { state: "unresolved", detail }),
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK_UP) => {}
            () = stopped(&mut stop) => return,
        }
    }
}

/// The ways to the trunk's server, best first; the seed decides among those of one priority.
pub(super) async fn resolve(
    trunk: &config::Trunk,
    resolver: &Resolver,
    seed: [u8; 32],
) -> Result<Vec<Hop>, String> {
    let Some(hop) = trunk.mode.next_hop() else { return Ok(Vec::new()) };
    let transport = match trunk.transport {
        config::Transport::Udp => Some(Transport::Udp),
        config::Transport::Tcp => Some(Transport::Tcp),
        config::Transport::Tls => Some(Transport::Tls),
        config::Transport::Auto => None,
    };
    let found = resolver.locate_seeded(&hop.host.to_string(), hop.port, transport, false, seed).await;
    found.map_err(|error| error.to_string())
}

/// One trunk's registration: the machine, and what it is told and asked for.
struct Task {
    line: Arc<Line>,
    machine: Registration,
    /// Where the registrar was last found to be.
    addresses: Vec<Hop>,
    /// Why the last attempt failed, until one succeeds.
    last_failure: Option<String>,
}

/// What a REGISTER is made of, and the way it goes.
struct Line {
    trunk: Arc<Trunk>,
    registrar: Registrar,
    signalling: SignallingHandle,
    reachable: Reachable,
    resolver: Arc<Resolver>,
    /// Keeps the order of servers of one priority, so that each gets its turn.
    seed: [u8; 32],
    /// The Request-URI.
    uri: Uri,
    /// What `From` and `To` name.
    address_of_record: String,
}

/// What came of one request.
struct Answered {
    cseq: u32,
    /// The `Contact` that it asked to be bound.
    contact: String,
    /// Where the registrar is.
    addresses: Vec<Hop>,
    response: Result<Response, NoResponse>,
}

impl Task {
    fn new(
        trunk: Arc<Trunk>,
        registrar: Registrar,
        signalling: SignallingHandle,
        reachable: Reachable,
        resolver: Arc<Resolver>,
    ) -> Self {
        let domain = trunk.config.identity.from_domain.clone();
        let domain = domain.unwrap_or_else(|| registrar.address.host.to_string());
        let registrar_uri = format!("sip:{}", registrar.address);
        let config = registration::Config {
            registrar: Bytes::from(registrar_uri.clone()),
            expires: registrar.expires,
            credentials: trunk.config.credentials.clone(),
        };
        let address_of_record = format!("sip:{}@{domain}", registrar.user);
        let uri = Uri::parse(registrar_uri.as_bytes())
            .unwrap_or_else(|_| Uri::sip(None, &registrar.address.host.to_string(), registrar.address.port));
        let seed = rand::random();
        let line = Line { trunk, registrar, signalling, reachable, resolver, seed, uri, address_of_record };
        Self {
            machine: Registration::new(config, rand::random()),
            line: Arc::new(line),
            addresses: Vec::new(),
            last_failure: None,
        }
    }

    /// While a request is out, which may be for 32 s (RFC 3261 §17.1.2.2), time goes on: a binding
    /// ends, and the process may be told to stop.
    async fn run(mut self, mut stop: watch::Receiver<bool>) {
        self.machine.start(Instant::now());
        let mut leave_by: Option<Instant> = None;
        let mut answer: OptionFuture<BoxFuture<'static, Answered>> = None.into();
        loop {
            // One request after the other (RFC 3261 §10.2): the machine asks for the next when it
            // has done with the one before.
            if let Some(request) = self.work_off() {
                answer =
                    Some(Arc::clone(&self.line).register(request, self.addresses.clone()).boxed()).into();
            }
            self.publish();
            let idle = matches!(self.machine.state(), registration::State::Idle);
            if leave_by.is_some_and(|by| idle || by <= Instant::now()) {
                return;
            }
            let due = self.machine.poll_timeout().into_iter().chain(leave_by).min();
            tokio::select! {
                () = at(due) => self.machine.on_timer(Instant::now()),
                Some(answered) = &mut answer => {
                    answer = None.into();
                    self.take(answered);
                }
                () = stopped(&mut stop), if leave_by.is_none() => {
                    let now = Instant::now();
                    leave_by = Some(now + GOODBYE);
                    self.machine.unregister(now);
                }
            }
        }
    }

    /// The request that the machine wants sent, if any.
    fn work_off(&mut self) -> Option<RegisterRequest> {
        let mut send = None;
        while let Some(output) = self.machine.poll_output() {
            match output {
                Output::Send(request) => send = Some(request),
                Output::PhaseChanged(phase) => {
                    tracing::info!(trunk = %self.line.trunk.config.name, phase = phase.as_str(), "registration");
                }
            }
        }
        send
    }

    fn take(&mut self, answered: Answered) {
        let now = Instant::now();
        self.addresses = answered.addresses;
        let reliable = self.addresses.iter().any(|hop| hop.transport.is_reliable());
        self.machine.located(self.addresses.len(), reliable);
        match &answered.response {
            Ok(response) => {
                self.machine.on_response(read(response, answered.cseq, &answered.contact), now);
            }
            Err(NoResponse { sent: true }) => self.machine.on_timeout_or_transport_failure(now),
            Err(NoResponse { sent: false }) => self.machine.on_unsent(now),
        }
    }

    fn publish(&mut self) {
        let state = self.machine.state();
        let phase = state.phase();
        match state.failure() {
            Some(failure) => self.last_failure = Some(failure.to_string()),
            None if phase == registration::Phase::Registered => self.last_failure = None,
            None => {}
        }
        // A moment rather than a span: this is read long after it is written.
        let until = state.binding().map(|binding| {
            let left = binding.expires_at.saturating_duration_since(Instant::now());
            (chrono::Utc::now() + left).format("until %H:%M:%S UTC").to_string()
        });
        // While another attempt is out, the reason is that of the one before.
        let detail = self.last_failure.iter().cloned().chain(until).collect::<Vec<_>>().join("; ");
        self.line.trunk.set_status(Status { state: phase.as_str(), detail });
    }
}

async fn at(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due.into()).await,
        None => std::future::pending().await,
    }
}

impl Line {
    /// Sends a REGISTER to the registrar's address whose turn it is.
    async fn register(self: Arc<Self>, request: RegisterRequest, known: Vec<Hop>) -> Answered {
        let (cseq, turn) = (request.cseq, request.turn);
        let addresses = if request.anew || known.is_empty() { self.locate().await } else { known };
        let unsent = Err(NoResponse { sent: false });
        let Some(target) = addresses.get(turn % addresses.len().max(1)).copied() else {
            return Answered { cseq, contact: String::new(), addresses, response: unsent };
        };
        let limit = registration::patience(addresses.len(), target.transport.is_reliable());
        let (request, contact) = self.build(request, target);
        let response = self.signalling.request_within(request, limit).await;
        Answered { cseq, contact, addresses, response }
    }

    async fn locate(&self) -> Vec<Hop> {
        match resolve(&self.trunk.config, &self.resolver, self.seed).await {
            Ok(hops) => {
                self.trunk.set_resolved(hops.iter().map(|hop| hop.address.ip()).collect());
                hops.into_iter()
                    .map(|hop| Hop {
                        peer: self.reachable.peers.get(&self.trunk.config.name).copied(),
                        ..hop
                    })
                    .collect()
            }
            Err(error) => {
                tracing::warn!(trunk = %self.trunk.config.name, %error, "the registrar's name can't be looked up");
                Vec::new()
            }
        }
    }

    fn build(&self, request: RegisterRequest, hop: Hop) -> (OutsideRequest, String) {
        let local = local_towards(&self.reachable, &hop).unwrap_or(hop.address);
        let host = SocketAddr::new(self.reachable.advertised.unwrap_or(local.ip()), local.port());
        let suffix = hop.transport.uri_param().map(|name| format!(";transport={name}")).unwrap_or_default();
        let contact = format!("sip:{}@{host}{suffix}", self.registrar.user);
        let mut headers = vec![
            (HeaderName::From, Bytes::from(format!("<{}>;tag={}", self.address_of_record, request.from_tag))),
            (HeaderName::To, Bytes::from(format!("<{}>", self.address_of_record))),
            (HeaderName::CallId, Bytes::from(request.call_id)),
            (HeaderName::CSeq, Bytes::from(format!("{} REGISTER", request.cseq))),
            (HeaderName::Contact, Bytes::from(format!("<{contact}>;expires={}", request.expires))),
            (HeaderName::Expires, Bytes::from(request.expires.to_string())),
            (HeaderName::Supported, Bytes::from_static(b"path")),
        ];
        for answer in request.authorization {
            let name = match answer.challenger {
                Challenger::Server => HeaderName::Authorization,
                Challenger::Proxy => HeaderName::ProxyAuthorization,
            };
            headers.push((name, answer.value));
        }
        let request = OutsideRequest {
            method: Method::Register,
            uri: self.uri.clone(),
            hops: vec![hop],
            connection: None,
            local,
            headers,
            // The registration answers challenges by itself.
            credentials: None,
        };
        (request, contact)
    }
}

/// What the machine looks at in a response.
fn read(response: &Response, cseq: u32, contact: &str) -> RegisterResponse {
    let headers = response.headers();
    let ours = headers.list(HeaderName::Contact).find_map(|value| {
        let bound = NameAddr::parse(value)?;
        let same = Uri::parse(contact.as_bytes()).is_ok_and(|ours| ours == bound.uri);
        let expires = bound.param("expires")??;
        same.then(|| std::str::from_utf8(expires).ok()?.parse().ok()).flatten()
    });
    let lines = |name| headers.get_all(name).map(Bytes::copy_from_slice).collect::<Vec<_>>();
    let mut challenges = Vec::new();
    for challenger in [Challenger::Server, Challenger::Proxy] {
        let name = match challenger {
            Challenger::Server => HeaderName::WwwAuthenticate,
            Challenger::Proxy => HeaderName::ProxyAuthenticate,
        };
        challenges.extend(lines(name).into_iter().map(|value| (challenger, value)));
    }
    RegisterResponse {
        cseq,
        status: response.status().as_u16(),
        granted: ours.or_else(|| headers.expires().ok().flatten()),
        min_expires: headers.min_expires().ok().flatten(),
        retry_after: headers.get(HeaderName::RetryAfter).and_then(leading_number),
        service_route: lines(HeaderName::ServiceRoute),
        path: lines(HeaderName::Path),
        challenges,
    }
}

fn leading_number(value: &[u8]) -> Option<u32> {
    let digits: Vec<u8> = value.iter().copied().take_while(u8::is_ascii_digit).collect();
    std::str::from_utf8(&digits).ok()?.parse().ok()
}

/// The port of SIP over TLS, for when we don't listen for it ourselves (RFC 3261 §19.1.2).
const SIPS_PORT: u16 = 5061;

/// The address that the peer sees us at: when the listener is a wildcard, the one that the route
/// to it leaves from.
pub(super) fn local_towards(reachable: &Reachable, hop: &Hop) -> Option<SocketAddr> {
    let mut listen = towards(&reachable.listen, hop.address)?;
    if hop.transport == Transport::Tls {
        let secure = towards(&reachable.secure, hop.address);
        listen = secure.unwrap_or(SocketAddr::new(listen.ip(), SIPS_PORT));
    }
    if !listen.ip().is_unspecified() {
        return Some(listen);
    }
    match crate::net::source_address_toward(hop.address) {
        Ok(ip) => Some(SocketAddr::new(ip, listen.port())),
        Err(_) => Some(listen),
    }
}
