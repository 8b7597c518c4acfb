//! Keeps the trunks in register mode registered: one task for each, around the pure machine.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, OptionFuture};
use sip::endpoint::OutsideRequest;
use sip::endpoint::flow::Hop;
use sip::message::{HeaderName, Method, NameAddr, Response, Uri};
use sip::ua::digest::Challenger;
use sip::ua::registration::{self, Output, RegisterRequest, RegisterResponse, Registration};
use tokio::sync::watch;

use super::outward::{Outward, outside};
use super::stop::stopped;
use crate::config::Registrar;
use crate::net::signalling::NoResponse;
use crate::trunk::{Registered, Status};

/// How long un-registering may hold up the end of the process.
pub(super) const GOODBYE: Duration = Duration::from_secs(4);

/// Keeps the trunk registered until `stop` turns true, and un-registers then.
pub(super) async fn run(line: Outward, registrar: Registrar, stop: watch::Receiver<bool>) {
    Task::new(line, registrar).run(stop).await;
}

/// One trunk's registration: the machine, and what it is told and asked for.
struct Task {
    line: Arc<Line>,
    machine: Registration,
    /// Where the registrar was last found to be.
    addresses: Vec<Hop>,
    /// Why the last attempt failed, until one succeeds.
    last_failure: Option<String>,
    /// What the last request that was answered asked for.
    asked: Option<Asked>,
}

/// What a REGISTER is made of, and the way it goes.
struct Line {
    out: Outward,
    registrar: Registrar,
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
    /// What it asked to be bound, and our address towards the registrar.
    asked: Option<Asked>,
    /// Where the registrar is.
    addresses: Vec<Hop>,
    response: Result<Response, NoResponse>,
}

struct Asked {
    contact: String,
    local: SocketAddr,
    /// The registrar's address that was tried.
    tried: SocketAddr,
}

impl Task {
    fn new(out: Outward, registrar: Registrar) -> Self {
        let trunk = &out.trunk;
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
        let line = Line { out, registrar, seed: rand::random(), uri, address_of_record };
        Self {
            machine: Registration::new(config, rand::random()),
            line: Arc::new(line),
            addresses: Vec::new(),
            last_failure: None,
            asked: None,
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
                    tracing::info!(trunk = %self.line.out.trunk.config.name, phase = phase.as_str(), "registration");
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
        // Calls go where the registrar answers.
        if let Some(Asked { tried, .. }) = &answered.asked {
            let answers = answered.response.is_ok();
            let trunk = &self.line.out.trunk;
            trunk.health(|health| if answers { health.answered(*tried) } else { health.failed(*tried) });
        }
        match &answered.response {
            Ok(response) => {
                let contact = answered.asked.as_ref().map_or("", |asked| asked.contact.as_str());
                self.machine.on_response(read(response, answered.cseq, contact), now);
                self.asked = answered.asked;
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
        let trunk = &self.line.out.trunk;
        trunk.set_status(Status { state: phase.as_str(), detail, up: phase.is_bound() });
        let registered = state.binding().zip(self.asked.as_ref()).map(|(binding, asked)| Registered {
            service_route: binding.service_route.clone(),
            path: binding.path.clone(),
            contact: asked.contact.clone(),
            local: asked.local,
        });
        if trunk.registered().as_deref() != registered.as_ref() {
            trunk.set_registered(registered);
        }
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
            return Answered { cseq, asked: None, addresses, response: unsent };
        };
        let limit = registration::patience(addresses.len(), target.transport.is_reliable());
        let (request, asked) = self.build(request, target);
        let response = self.out.signalling.request_within(request, limit).await;
        Answered { cseq, asked: Some(asked), addresses, response }
    }

    async fn locate(&self) -> Vec<Hop> {
        match self.out.look_up(self.seed).await {
            Ok(hops) => hops,
            Err(error) => {
                let trunk = &self.out.trunk.config.name;
                tracing::warn!(%trunk, %error, "the registrar's name can't be looked up");
                Vec::new()
            }
        }
    }

    fn build(&self, request: RegisterRequest, hop: Hop) -> (OutsideRequest, Asked) {
        let reachable = &self.out.reachable;
        let local = reachable.local_towards(&hop).unwrap_or(hop.address);
        let host = reachable.advertised(local);
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
        // The registration answers challenges by itself.
        let request = outside(Method::Register, self.uri.clone(), vec![hop], local, headers);
        (request, Asked { contact, local, tried: hop.address })
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
