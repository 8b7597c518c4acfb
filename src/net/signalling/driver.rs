//! The task itself.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use sip::dialog::DialogId;
use sip::endpoint::flow::{Flow, Target, Transport};
use sip::endpoint::policy::{PolicyId, Standing};
use sip::endpoint::{Admission, ClientId, Config, Endpoint, Event, Input, Output, Transmit};
use sip::message::{HeaderName, Response};
use tokio::sync::{mpsc, oneshot, watch};

use super::delivery::{self, Next, Sending, Way};
use super::handle::COMMANDS;
use super::intake::{Arrival, AudioGauge, Defences, Intake, Sorted};
use super::outgoing::Outgoing;
use super::{Command, NoResponse, SignallingHandle, Snapshot, listen};
use crate::call::actor::Signal;
use crate::call::ports::{CallSink, IncomingInvite};
use crate::net::defence::Dropped;
use crate::net::dns::Resolver;
use crate::net::stream::{NetEvent, StreamCounters, StreamLimits};
use crate::net::tcp::{Plain, TcpTransport};
use crate::net::tls::{Tls, TlsTransport};
use crate::net::udp::UdpSockets;
use crate::trace::Tap;
use crate::trunk::{Origin, peer_policy};

/// Commands taken in one turn: answers to calls that were let in go before new calls.
const COMMANDS_PER_TURN: usize = 1_024;
/// Messages from streams taken in one turn.
const STREAM_EVENTS_PER_TURN: usize = 256;
/// How often the UDP socket is read in one turn, 64 datagrams each time at most.
const READS_PER_TURN: usize = 8;
/// Messages that begin something and are let in, in one turn. Those that are turned away cost
/// little and don't count.
const NEW_PER_TURN: usize = 16;
/// How many of them are let in although there is a queue, and how long a turn may take for all:
/// whatever comes meanwhile waits in the socket's buffer.
const FAVOURED: (usize, Duration) = (8, Duration::from_millis(3));
/// The same when refusals are about to come too late to spare us repeated INVITEs.
const FAVOURED_LATE: (usize, Duration) = (2, Duration::from_millis(12));
/// The wait from which on they are.
const LATE: Duration = Duration::from_millis(200);
/// Messages from streams that wait for the task.
const STREAM_EVENTS: usize = 1_024;

/// Where to listen and how to behave.
#[derive(Clone)]
pub struct SignallingConfig {
    /// Address and port for UDP and TCP.
    pub listen: SocketAddr,
    /// The same in the other family of addresses.
    pub listen_also: Option<SocketAddr>,
    /// TLS, when there is any.
    pub tls: Option<TlsListening>,
    /// The endpoint's settings.
    pub endpoint: Config,
    /// Bounds of the connections, for TCP and for TLS each.
    pub streams: StreamLimits,
    /// Who is listened to and how much.
    pub defences: Defences,
}

/// Where to listen for TLS, and what it is done with.
#[derive(Clone)]
pub struct TlsListening {
    /// The addresses; none when connections are opened only.
    pub listen: Vec<SocketAddr>,
    /// The carrier; whoever holds it too may reload it.
    pub carrier: Arc<Tls>,
}

/// An address that can't be listened on.
#[derive(Debug, thiserror::Error)]
#[error("can't listen on {address}: {error}")]
pub struct BindError {
    /// The address.
    pub address: SocketAddr,
    /// What the kernel says.
    pub error: io::Error,
}

/// The endpoint with its sockets, bound but not yet running.
pub struct Signalling {
    endpoint: Endpoint,
    intake: Intake,
    /// Whether the service takes calls at all.
    door: Admission,
    udp: UdpSockets<Sending>,
    tcp: TcpTransport<Sending>,
    tls: Option<TlsTransport<Sending>>,
    stream_events: mpsc::Receiver<NetEvent<Sending>>,
    commands: mpsc::Receiver<Command>,
    handle: SignallingHandle,
    waiting: HashMap<ClientId, oneshot::Sender<Result<Response, NoResponse>>>,
    resolver: Arc<Resolver>,
    tap: Tap,
    outgoing: Outgoing,
}

/// Gives a message to the endpoint, which turns away a call that is to be shed as it turns away
/// all of them while the door is closed.
fn feed(endpoint: &mut Endpoint, door: Admission, arrival: Arrival, now: Instant) {
    let Arrival { flow, bytes, origin, shed } = arrival;
    let standing = match origin {
        Origin::Unlisted => Standing::Unlisted,
        Origin::Peer(trunk) | Origin::Guest(trunk) => Standing::Listed(PolicyId(trunk.0)),
    };
    if shed {
        endpoint.set_admission(Admission::Closed);
    }
    endpoint.handle(Input::Received { flow, bytes, standing }, now);
    if shed {
        endpoint.set_admission(door);
    }
}

/// Shows a message to whoever traces, unless nobody listens to its source: strangers would fill
/// the memory that traces have.
fn tap_in(tap: &mut Tap, sorted: &Sorted, flow: &Flow, bytes: &Bytes) {
    if !matches!(sorted, Sorted::Dropped(_)) {
        tap.received(flow, bytes);
    }
}

/// Resolves once the flag is up, or whoever could raise it is gone.
async fn stopped(stop: &mut watch::Receiver<bool>) {
    let _ = stop.wait_for(|stop| *stop).await;
}

impl Signalling {
    /// Binds the transports. With port 0 the kernel chooses one for UDP and TCP takes the same.
    /// Datagrams are waited for on `calls`, the runtime that [`Signalling::run`] runs on;
    /// connections are looked after by the runtime that this is called within.
    ///
    /// # Errors
    /// What the kernel says, `AddrInUse` above all.
    pub fn bind(
        config: SignallingConfig,
        resolver: Arc<Resolver>,
        seed: [u8; 32],
        calls: &tokio::runtime::Handle,
    ) -> Result<Self, BindError> {
        let (events, stream_events) = mpsc::channel(STREAM_EVENTS);
        let (sender, commands) = mpsc::channel(COMMANDS);
        let limits = config.streams;
        let bound = |(address, error)| BindError { address, error };
        let (udp, tcp) = listen::together(config.listen, config.listen_also, calls, |addresses| {
            TcpTransport::bind(addresses, Arc::new(Plain), limits.clone(), events.clone())
        })
        .map_err(bound)?;
        let tls = config.tls.map(|tls| TlsTransport::bind(&tls.listen, tls.carrier, limits, events));
        let mut endpoint = Endpoint::new(config.endpoint, seed);
        for trunk in config.defences.trunks.list().iter() {
            endpoint.set_policy(PolicyId(trunk.id.0), peer_policy(&trunk.config));
        }
        Ok(Self {
            endpoint,
            intake: Intake::new(config.defences, Instant::now()),
            door: Admission::Open,
            udp,
            tcp,
            tls: tls.transpose().map_err(bound)?,
            stream_events,
            commands,
            handle: SignallingHandle::new(sender),
            waiting: HashMap::new(),
            resolver,
            tap: Tap::closed(),
            outgoing: Outgoing::default(),
        })
    }

    /// Lets every message be seen through this tap.
    #[must_use]
    pub fn with_tap(mut self, tap: Tap) -> Self {
        self.tap = tap;
        self
    }

    /// The addresses that UDP and TCP listen on: one, and perhaps another of the other family.
    #[must_use]
    pub fn local_addresses(&self) -> Vec<SocketAddr> {
        self.udp.local_addresses()
    }

    /// The addresses that TLS listens on.
    #[must_use]
    pub fn tls_addresses(&self) -> Vec<SocketAddr> {
        self.tls.as_ref().map(|tls| tls.local_addresses().to_vec()).unwrap_or_default()
    }

    /// For everybody who has something to ask.
    #[must_use]
    pub fn handle(&self) -> SignallingHandle {
        self.handle.clone()
    }

    /// Takes this into account when it decides whether the machine has room for new calls.
    pub fn watch_audio(&mut self, gauge: AudioGauge) {
        self.intake.watch_audio(gauge);
    }

    /// Runs until `stop` turns true.
    pub async fn run(mut self, mut sink: impl CallSink, mut stop: watch::Receiver<bool>) {
        let sleep = tokio::time::sleep(Duration::ZERO);
        tokio::pin!(sleep);
        let mut busy = false;
        loop {
            if busy {
                // The calls that were let in get their turn before more are: they are tasks of
                // this thread too.
                tokio::task::yield_now().await;
            }
            let due = self.endpoint.poll_timeout();
            if let Some(due) = due
                && sleep.deadline() != due.into()
            {
                sleep.as_mut().reset(due.into());
            }
            tokio::select! {
                biased;
                () = stopped(&mut stop) => break,
                ready = self.udp.ready() => if let Err(error) = ready {
                    tracing::error!(%error, "the UDP socket is gone");
                    break;
                },
                Some(command) = self.commands.recv() => self.take_command(command, Instant::now(), &mut sink),
                Some(event) = self.stream_events.recv() => self.take_stream_event(event),
                () = &mut sleep, if due.is_some() => {}
                () = std::future::ready(()), if busy => {}
            }
            // Whichever woke us, each has its turn: what belongs to calls that are up, answers to
            // those that were let in, and then new ones.
            let now = Instant::now();
            let more = self.receive(now);
            self.take_stream_events();
            self.take_commands(&mut sink);
            self.let_in(now);
            busy = more || !self.intake.is_empty();
            if self.endpoint.poll_timeout().is_some_and(|due| due <= now) {
                self.endpoint.handle(Input::Timeout, now);
            }
            self.work_off(&mut sink);
            self.tap.flush();
        }
        let grace = Duration::from_millis(500);
        let tls = async {
            if let Some(tls) = self.tls {
                tls.shutdown(grace).await;
            }
        };
        tokio::join!(self.tcp.shutdown(grace), tls);
    }

    /// Empties the socket as far as a turn allows: what belongs to a call is handled at once,
    /// what begins one waits. Whether there may be more.
    fn receive(&mut self, now: Instant) -> bool {
        let Self { udp, endpoint, intake, door, tap, .. } = self;
        for _ in 0..READS_PER_TURN {
            let received = udp.receive(|datagram| {
                let flow = Flow {
                    transport: Transport::Udp,
                    peer: datagram.source,
                    local: datagram.local,
                    connection: None,
                };
                let bytes = datagram.bytes;
                let sorted = intake.sort(flow, bytes.clone(), datagram.queued_for, now);
                tap_in(tap, &sorted, &flow, &bytes);
                if let Sorted::Now(arrival) = sorted {
                    feed(endpoint, *door, arrival, now);
                }
            });
            match received {
                Ok(0) => return false,
                Ok(_) => {}
                Err(error) => {
                    tracing::debug!(%error, "a datagram could not be received");
                    return false;
                }
            }
        }
        true
    }

    /// Handles what has waited, as much as a turn allows.
    fn let_in(&mut self, now: Instant) {
        let Self { endpoint, intake, door, .. } = self;
        let (favoured, time) = if intake.longest_wait(now) > LATE { FAVOURED_LATE } else { FAVOURED };
        let mut let_in = 0;
        while let_in < NEW_PER_TURN {
            let at = Instant::now();
            let Some(arrival) = intake.next(let_in < favoured, at) else { break };
            let_in += usize::from(!arrival.shed);
            feed(endpoint, *door, arrival, at);
            if at.saturating_duration_since(now) > time {
                break;
            }
        }
    }

    fn take_stream_events(&mut self) {
        for _ in 0..STREAM_EVENTS_PER_TURN {
            let Ok(event) = self.stream_events.try_recv() else { return };
            self.take_stream_event(event);
        }
    }

    /// Who isn't listened to needs no connection.
    fn hang_up_on(&self, flow: &Flow) {
        let Some(connection) = flow.connection else { return };
        match (flow.transport, &self.tls) {
            (Transport::Tls, Some(tls)) => tls.close(connection),
            (Transport::Tls, None) | (Transport::Udp, _) => {}
            (Transport::Tcp, _) => self.tcp.close(connection),
        }
    }

    fn take_stream_event(&mut self, event: NetEvent<Sending>) {
        let now = Instant::now();
        match event {
            NetEvent::Message { mut flow, bytes } => {
                // Where we can be reached is the port that we listen on, not the one that a
                // connection of ours happens to leave from.
                if let Some(listening) = self.listening(flow.transport, flow.local) {
                    flow.local.set_port(listening.port());
                }
                let sorted = self.intake.sort(flow, bytes.clone(), Duration::ZERO, now);
                tap_in(&mut self.tap, &sorted, &flow, &bytes);
                match sorted {
                    Sorted::Now(arrival) => feed(&mut self.endpoint, self.door, arrival, now),
                    Sorted::Later => {}
                    Sorted::Dropped(Dropped::Banned) => self.hang_up_on(&flow),
                    Sorted::Dropped(_) => {}
                }
            }
            closed @ NetEvent::Closed { .. } => {
                for sending in delivery::undelivered(closed) {
                    self.deliver(sending.failed());
                }
            }
        }
    }

    fn take_commands(&mut self, sink: &mut impl CallSink) {
        let now = Instant::now();
        for _ in 0..COMMANDS_PER_TURN {
            let Ok(command) = self.commands.try_recv() else { return };
            self.take_command(command, now, sink);
        }
    }

    /// Tells the overload control how calls come along.
    fn observe(&mut self, command: &Command, now: Instant) {
        match command {
            Command::Ring(dialog) => self.intake.begun(*dialog, now),
            Command::Accept(dialog, _) | Command::Reject(dialog, ..) | Command::Forget(dialog) => {
                self.intake.settled(*dialog, now);
            }
            _ => {}
        }
    }

    fn take_command(&mut self, command: Command, now: Instant, sink: &mut impl CallSink) {
        self.observe(&command, now);
        let endpoint = &mut self.endpoint;
        match command {
            Command::Invite(invite, handle) => self.outgoing.invite(*invite, handle, endpoint, now),
            Command::GiveUp(call) => self.outgoing.give_up(call, endpoint, now),
            // Too late for each of these means that the INVITE was cancelled meanwhile, which
            // the call has been told.
            Command::Ring(dialog) => {
                let _ = endpoint.ring(dialog, sip::message::StatusCode::RINGING, None, now);
            }
            Command::Accept(dialog, sdp) => {
                let signal = match endpoint.accept(dialog, sdp, now) {
                    Ok(()) => Signal::Answered,
                    Err(_) => Signal::AnswerFailed,
                };
                // What was sent goes out first: the answer, then the audio.
                self.work_off(sink);
                sink.signal(dialog, signal);
            }
            Command::Reject(dialog, status, retry_after) => {
                let headers: Vec<(HeaderName, String)> = retry_after
                    .map(|after| (HeaderName::RetryAfter, after.as_secs().max(1).to_string()))
                    .into_iter()
                    .collect();
                let _ = endpoint.reject(dialog, status, &headers, now);
            }
            Command::AnswerOffer(dialog, answer) => {
                let _ = endpoint.answer_offer(dialog, answer, now);
            }
            Command::Refer(dialog, target) => {
                if let Err(error) = endpoint.refer(dialog, &target, now) {
                    tracing::warn!(%error, "a REFER can't be sent");
                    sink.signal(dialog, Signal::ReferUnsent);
                }
            }
            Command::Bye(dialog, reason) => endpoint.bye(dialog, reason, now),
            Command::Forget(dialog) => {
                endpoint.forget(dialog);
                sink.forgotten(dialog);
            }
            Command::Request(request, limit, answer) => {
                let client = match limit {
                    Some(limit) => endpoint.request_within(*request, limit, now),
                    None => endpoint.request(*request, now),
                };
                self.waiting.insert(client, answer);
            }
            Command::Resolved(transmit, hops) => {
                let way = match &transmit.target {
                    Target::Name { host, .. } => Way::to_domain(host, hops),
                    _ => return,
                };
                self.deliver(way.next(transmit));
            }
            Command::Admit(admission) => {
                self.door = admission;
                endpoint.set_admission(admission);
            }
            Command::Agree(policies, done) => {
                for (id, policy) in policies {
                    endpoint.set_policy(id, policy);
                }
                // The asker may have gone.
                let _ = done.send(());
            }
            Command::Defend(defence, overload) => self.intake.set(defence, overload),
            // The askers may have gone.
            Command::Bans(answer) => drop(answer.send(self.intake.bans(now))),
            Command::Unban(address, answer) => drop(answer.send(self.intake.unban(address, now))),
            Command::Unresolved(ticket) => {
                if let Some(ticket) = ticket {
                    endpoint.handle(Input::Undeliverable(ticket), now);
                }
            }
            // The asker may have gone.
            Command::Count(answer) => drop(answer.send(self.snapshot())),
        }
    }

    fn snapshot(&self) -> Snapshot {
        Snapshot {
            endpoint: self.endpoint.counters(),
            intake: self.intake.counters(Instant::now()),
            udp: self.udp.counters(),
            tcp: self.tcp.counters(),
            tls: self.tls.as_ref().map_or(StreamCounters::default(), TlsTransport::counters),
            dialogs: self.endpoint.dialog_count(),
            transactions: self.endpoint.transaction_count(),
        }
    }

    /// Sends and tells what the endpoint has to send and tell.
    fn work_off(&mut self, sink: &mut impl CallSink) {
        loop {
            while let Some(output) = self.endpoint.poll_output() {
                match output {
                    Output::Transmit(transmit) => self.transmit(transmit),
                    Output::Event(event) => self.tell(event, sink),
                }
            }
            let mut failed = Vec::new();
            self.udp.flush(|sending, error| {
                tracing::debug!(%error, "a datagram could not be sent");
                failed.push(sending);
            });
            if failed.is_empty() {
                return;
            }
            for sending in failed {
                self.deliver(sending.failed());
            }
        }
    }

    fn transmit(&mut self, transmit: Transmit) {
        let way = match &transmit.target {
            Target::Address(address) => Way::direct(&transmit, *address, None),
            Target::Peer { address, peer } => Way::direct(&transmit, *address, Some(*peer)),
            Target::Name { host, port } => {
                let (handle, resolver) = (self.handle.clone(), Arc::clone(&self.resolver));
                let (host, port) = (host.clone(), *port);
                tokio::spawn(async move {
                    let (transport, sips) = (Some(transmit.transport), delivery::is_secure(&transmit));
                    let seed = delivery::seed(&transmit);
                    let found = resolver.locate_seeded(&host, port, transport, sips, seed).await;
                    handle.send(match found {
                        Ok(hops) => Command::Resolved(transmit, hops),
                        Err(error) => {
                            tracing::info!(%error, "a name can't be looked up");
                            Command::Unresolved(transmit.ticket)
                        }
                    });
                });
                return;
            }
        };
        self.deliver(way.next(transmit));
    }

    /// Where this transport is listened for, in the family of `address`.
    fn listening(&self, transport: Transport, address: SocketAddr) -> Option<SocketAddr> {
        let listening = match transport {
            Transport::Tls => self.tls.as_ref().map_or(&[][..], TlsTransport::local_addresses),
            Transport::Tcp | Transport::Udp => self.tcp.local_addresses(),
        };
        listening.iter().find(|listening| listening.is_ipv4() == address.is_ipv4()).copied()
    }

    /// Hands a message to its transport, or to the next one when that doesn't take it.
    fn deliver(&mut self, mut next: Next) {
        loop {
            let (hop, transmit, whom, sending) = match next {
                Next::Try(hop, transmit, whom, sending) => (hop, transmit, whom, sending),
                Next::GiveUp(ticket) => {
                    if let Some(ticket) = ticket {
                        self.endpoint.handle(Input::Undeliverable(ticket), Instant::now());
                    }
                    return;
                }
            };
            let Transmit { connection, bytes, .. } = transmit;
            if let Some(from) = self.listening(hop.transport, hop.address) {
                self.tap.sent(hop.transport, from, hop.address, &bytes);
            }
            let refused = match (hop.transport, &self.tls) {
                (Transport::Udp, _) => {
                    let sending = sending.worth_telling();
                    self.udp.send(hop.address, bytes, sending).err().flatten()
                }
                (Transport::Tcp, _) => {
                    let sent = self.tcp.send(connection, hop.address, &(), bytes, sending);
                    sent.err().map(delivery::given_back)
                }
                (Transport::Tls, Some(tls)) => {
                    let sent = tls.send(connection, hop.address, &whom, bytes, sending);
                    sent.err().map(delivery::given_back)
                }
                // No certificate of ours and no trunk under TLS: there is nothing to do it with.
                (Transport::Tls, None) => Some(sending),
            };
            match refused {
                Some(sending) => next = sending.failed(),
                None => return,
            }
        }
    }

    fn tell(&mut self, event: Event, sink: &mut impl CallSink) {
        let (dialog, signal): (DialogId, Signal) = match event {
            Event::Invite { dialog, request, offer, replaces: _, flow } => {
                self.intake.handed_over(dialog, Instant::now());
                sink.invite(IncomingInvite { dialog, request, offer, flow });
                return;
            }
            Event::Cancelled { dialog } => (dialog, Signal::Cancelled),
            Event::Confirmed { dialog, answer } => (dialog, Signal::Confirmed(answer)),
            Event::Unconfirmed { dialog } => (dialog, Signal::Unconfirmed),
            Event::Offer { dialog, method, offer } => (dialog, Signal::Offer(method, offer)),
            // The endpoint has sent its BYE; to the call it is as if the far end had hung up.
            Event::Bye { dialog, .. } | Event::SessionExpired { dialog, .. } => (dialog, Signal::Bye),
            Event::Closed { dialog } => (dialog, Signal::Closed),
            Event::Refer { dialog, progress } => (dialog, Signal::Refer(progress)),
            Event::Info { dialog, content_type, body } => (dialog, Signal::Info { content_type, body }),
            Event::Response { client, response } => {
                if !response.status().is_provisional()
                    && let Some(answer) = self.waiting.remove(&client)
                {
                    // The asker may have gone.
                    drop(answer.send(Ok(response)));
                }
                return;
            }
            Event::NoResponse { client, sent } => {
                if let Some(answer) = self.waiting.remove(&client) {
                    drop(answer.send(Err(NoResponse { sent })));
                }
                return;
            }
            event @ (Event::Progress { .. } | Event::Answered { .. } | Event::Rejected { .. }) => {
                self.outgoing.tell(event, sink);
                return;
            }
            // The BYE that was due has been sent.
            Event::Ended { dialog, .. } => (dialog, Signal::Bye),
            Event::Suspicious { source, kind } => {
                let local = self.listening(Transport::Udp, source).unwrap_or(source);
                self.intake.suspect(source, local, &kind, Instant::now());
                return;
            }
            // Offers and requests of ours in a dialog come with a later version; none is made yet.
            Event::OfferAnswered { .. } | Event::EarlyAnswer { .. } | Event::Replied { .. } => return,
        };
        sink.signal(dialog, signal);
    }
}

#[cfg(test)]
mod tests;
