//! The calls' signalling: one task that owns the endpoint and its socket.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use media::sdp::offer;
use media::sdp::{Direction, LocalMedia, Negotiated};
use sip::dialog::DialogId;
use sip::endpoint::flow::{Flow, Hop, Transport};
use sip::endpoint::policy::{PolicyId, Standing};
use sip::endpoint::{Config, Endpoint, Event, Input, InviteId, OutgoingCall, Output, Ticket};
use sip::message::{NameAddr, Response, StatusCode, Uri};
use tokio::sync::watch;

use super::Progress;
use super::lane::Pair;
use super::law::Law;
use super::leg::Agreed;
use super::media::{Media, Way};
use super::plan::{Depth, PTIME_MS, Plan, Sockets};
use super::tally::{End, Tally};
use crate::net::udp::UdpTransport;

/// Calls placed in one turn, so that answers are read in between.
const PLACED_A_TURN: u32 = 64;
/// How often the socket is read in one turn, 64 datagrams each time at most.
const READS_A_TURN: usize = 16;
/// How long calls may take to end once the run is stopped.
const GRACE: Duration = Duration::from_secs(4);
/// A BYE that took so long had no answer but its time-out (Timer F: 64 × T1, 32 s).
const BYE_LIMIT: Duration = Duration::from_secs(31);
/// Calls whose talk spurts are looked for in what comes back.
const LISTENING: u32 = 100;
/// Turns without anything to do are this long at most.
const IDLE: Duration = Duration::from_millis(100);

/// Everything that a run has beside its calls.
pub(super) struct Setting<'a> {
    pub(super) plan: &'a Plan,
    /// The ways to each target, best first.
    pub(super) hops: Vec<Vec<Hop>>,
    /// None without media.
    pub(super) media: Option<&'a Media>,
    /// What the offers of calls without media name; nobody reads it.
    pub(super) idle: Option<Pair>,
    /// Frames of the tone.
    pub(super) frames: usize,
    pub(super) progress: &'a Progress,
}

/// What came of it.
pub(super) struct Called {
    pub(super) tally: Tally,
    pub(super) placing: Duration,
    pub(super) took: Duration,
    pub(super) stopped: bool,
}

pub(super) struct Caller<'a> {
    setting: Setting<'a>,
    endpoint: Endpoint,
    udp: UdpTransport<Ticket>,
    start: Instant,
    next: u32,
    calls: HashMap<u32, State>,
    invites: HashMap<InviteId, u32>,
    dialogs: HashMap<DialogId, u32>,
    /// When answered calls end, and when unanswered ones are given up: both in order.
    ends: VecDeque<(Instant, u32)>,
    patience: VecDeque<(Instant, u32)>,
    tally: Tally,
    placing: Duration,
    /// When the last call that doesn't end by itself is left to the far end.
    stopping: Option<Instant>,
}

/// A call of ours.
enum State {
    /// The INVITE is out.
    Calling { invite: InviteId, sent: Instant, offered: Box<LocalMedia>, way: Option<Way>, heard_of: bool },
    /// It is up.
    Up { dialog: DialogId, answered: Instant },
    /// The BYE is out.
    Closing { asked: Instant },
}

impl<'a> Caller<'a> {
    pub(super) fn new(setting: Setting<'a>, udp: UdpTransport<Ticket>) -> Self {
        // A large offer is to stay on the one transport that we have (RFC 3261 §18.1.1 would have
        // it over TCP).
        let config = Config {
            product: concat!("offhook-load/", env!("CARGO_PKG_VERSION")).to_owned(),
            max_udp_request: 65_507,
            max_dialogs: usize::MAX,
            ..Config::default()
        };
        Self {
            setting,
            endpoint: Endpoint::new(config, rand::random()),
            udp,
            start: Instant::now(),
            next: 0,
            calls: HashMap::new(),
            invites: HashMap::new(),
            dialogs: HashMap::new(),
            ends: VecDeque::new(),
            patience: VecDeque::new(),
            tally: Tally::default(),
            placing: Duration::ZERO,
            stopping: None,
        }
    }

    /// Places all calls and sees them to their end, or until `stop` turns true.
    pub(super) async fn run(mut self, mut stop: watch::Receiver<bool>) -> io::Result<Called> {
        self.start = Instant::now();
        loop {
            let now = Instant::now();
            if self.stopping.is_none() && *stop.borrow() {
                self.stop(now);
            }
            self.place(now);
            self.end_due(now);
            if self.endpoint.poll_timeout().is_some_and(|due| due <= now) {
                self.endpoint.handle(Input::Timeout, now);
            }
            self.work_off();
            self.publish();
            if self.is_done(Instant::now()) {
                break;
            }
            let wait = self.next_due(now);
            tokio::select! {
                biased;
                ready = self.udp.ready() => ready?,
                // Whoever could stop us may be gone.
                Ok(_) = stop.wait_for(|stop| *stop), if self.stopping.is_none() => {}
                () = tokio::time::sleep_until(wait.into()) => {}
            }
            self.receive();
        }
        Ok(self.finish())
    }

    fn finish(mut self) -> Called {
        for state in self.calls.values() {
            self.tally.end(match state {
                State::Calling { .. } | State::Up { .. } => End::Stopped,
                State::Closing { .. } => End::ByeUnanswered,
            });
        }
        self.publish();
        Called {
            tally: self.tally,
            placing: self.placing,
            took: self.start.elapsed(),
            stopped: self.stopping.is_some(),
        }
    }

    fn is_done(&self, now: Instant) -> bool {
        let all_placed = self.next >= self.setting.plan.calls || self.stopping.is_some();
        all_placed && (self.calls.is_empty() || self.stopping.is_some_and(|until| until <= now))
    }

    fn next_due(&self, now: Instant) -> Instant {
        let placing = (self.stopping.is_none() && self.next < self.setting.plan.calls)
            .then(|| self.start.checked_add(self.setting.plan.begins(self.next)))
            .flatten();
        let first = |queue: &VecDeque<(Instant, u32)>| queue.front().map(|(at, _)| *at);
        let due =
            [placing, first(&self.ends), first(&self.patience), self.endpoint.poll_timeout(), self.stopping];
        due.into_iter().flatten().fold(now + IDLE, Instant::min)
    }

    fn publish(&self) {
        let progress = self.setting.progress;
        for (value, now) in [
            (&progress.placed, self.tally.placed),
            (&progress.up, self.tally.up),
            (&progress.ended, self.tally.ended()),
            (&progress.failed, self.tally.failed()),
        ] {
            value.store(now, Ordering::Relaxed);
        }
    }

    /// Places the calls that are due.
    fn place(&mut self, now: Instant) {
        let plan = self.setting.plan;
        for _ in 0..PLACED_A_TURN {
            if self.next >= plan.calls || self.stopping.is_some() {
                return;
            }
            let planned = self.start + plan.begins(self.next);
            if planned > now {
                return;
            }
            let call = self.next;
            self.next += 1;
            self.tally.placed += 1;
            self.tally.behind.record(Instant::now().saturating_duration_since(planned));
            if let Err(error) = self.invite(call) {
                tracing::debug!(%error, "a call has no socket");
                self.tally.end(End::NoSocket);
            }
            self.placing = self.start.elapsed();
        }
    }

    fn invite(&mut self, call: u32) -> io::Result<()> {
        let plan = self.setting.plan;
        let (way, port) = match (self.setting.media, &self.setting.idle) {
            (Some(media), _) => {
                let own = plan.depth == Depth::Media(Sockets::PerCall);
                media.way(call, own).map(|(way, port)| (Some(way), port))?
            }
            (None, Some(pair)) => (None, pair.port()?),
            (None, None) => return Err(io::ErrorKind::NotFound.into()),
        };
        let local = self.udp.local_addr();
        let mut offered = LocalMedia::new(local.ip(), port, rand::random::<u64>() >> 1);
        offered.codecs = vec![plan.law.codec()];
        offered.ptime_ms = PTIME_MS;
        let Ok(offer) = offer::build(&offered) else { return Err(io::ErrorKind::InvalidData.into()) };
        offered.origin = offer.origin;
        let (Some(uri), Some(hops)) = (plan.target(call), self.hops(call)) else {
            return Err(io::ErrorKind::NotFound.into());
        };
        let outgoing = OutgoingCall {
            uri: uri.clone(),
            from: name_addr(&Uri::sip(Some("load"), &local.ip().to_string(), Some(local.port()))),
            to: name_addr(uri),
            headers: Vec::new(),
            routes: Vec::new(),
            hops,
            connection: None,
            local,
            sdp: Some(offer.sdp),
            credentials: None,
            policy: PolicyId::default(),
            call_id: None,
        };
        let sent = Instant::now();
        let invite = self.endpoint.invite(outgoing, sent);
        let state = State::Calling { invite, sent, offered: Box::new(offered), way, heard_of: false };
        self.calls.insert(call, state);
        self.invites.insert(invite, call);
        if let Some(until) = sent.checked_add(plan.patience) {
            self.patience.push_back((until, call));
        }
        // At once, so that its time isn't that of all the others of this turn.
        self.work_off();
        Ok(())
    }

    fn hops(&self, call: u32) -> Option<Vec<Hop>> {
        let hops = &self.setting.hops;
        hops.get(call as usize % hops.len().max(1)).cloned()
    }

    /// Ends the calls whose time has come, and gives up those that nobody answers.
    fn end_due(&mut self, now: Instant) {
        while let Some((_, call)) = self.ends.pop_front_if(|(at, _)| *at <= now) {
            self.hang_up(call, now);
        }
        while let Some((_, call)) = self.patience.pop_front_if(|(at, _)| *at <= now) {
            self.cancel(call, End::TimedOut, now);
        }
    }

    fn hang_up(&mut self, call: u32, now: Instant) {
        let Some(State::Up { dialog, answered }) = self.calls.get(&call) else { return };
        let (dialog, answered) = (*dialog, *answered);
        self.media_ends(call, answered, now);
        self.calls.insert(call, State::Closing { asked: now });
        self.endpoint.bye(dialog, "", now);
    }

    fn media_ends(&mut self, call: u32, answered: Instant, now: Instant) {
        self.tally.hang_up(now.saturating_duration_since(answered));
        if let Some(media) = self.setting.media {
            media.detach(call);
        }
    }

    /// Gives a call up that wasn't answered. What still comes of it is the endpoint's.
    fn cancel(&mut self, call: u32, end: End, now: Instant) {
        let Some(State::Calling { invite, .. }) = self.calls.get(&call) else { return };
        let invite = *invite;
        self.calls.remove(&call);
        self.invites.remove(&invite);
        self.tally.end(end);
        self.endpoint.cancel(invite, now);
    }

    /// Ends everything, in order.
    fn stop(&mut self, now: Instant) {
        self.stopping = Some(now + GRACE);
        let mut all: Vec<u32> = self.calls.keys().copied().collect();
        all.sort_unstable();
        for call in all {
            self.cancel(call, End::Stopped, now);
            self.hang_up(call, now);
        }
    }

    fn receive(&mut self) {
        let mut outputs = Vec::new();
        for _ in 0..READS_A_TURN {
            let Self { udp, endpoint, .. } = self;
            let received = udp.receive(|datagram| {
                let now = Instant::now();
                let arrived = now.checked_sub(datagram.queued_for).unwrap_or(now);
                let flow = Flow {
                    transport: Transport::Udp,
                    peer: datagram.source,
                    local: datagram.local,
                    connection: None,
                };
                // Whom we call is who answers; nobody calls us.
                let standing = Standing::Listed(PolicyId::default());
                endpoint.handle(Input::Received { flow, bytes: datagram.bytes, standing }, now);
                outputs.extend(std::iter::from_fn(|| endpoint.poll_output()).map(|output| (output, arrived)));
            });
            for (output, arrived) in outputs.drain(..) {
                self.output(output, arrived);
            }
            if !matches!(received, Ok(count) if count > 0) {
                break;
            }
        }
        self.work_off();
    }

    /// Sends and takes note of what the endpoint has to send and tell.
    fn work_off(&mut self) {
        loop {
            let now = Instant::now();
            while let Some(output) = self.endpoint.poll_output() {
                self.output(output, now);
            }
            let mut failed = Vec::new();
            self.udp.flush(|ticket, _| failed.push(ticket));
            if failed.is_empty() {
                return;
            }
            for ticket in failed {
                self.endpoint.handle(Input::Undeliverable(ticket), Instant::now());
            }
        }
    }

    fn output(&mut self, output: Output, at: Instant) {
        match output {
            Output::Transmit(transmit) => match transmit.target {
                sip::endpoint::flow::Target::Address(address) if transmit.transport == Transport::Udp => {
                    self.udp.send(address, transmit.bytes, transmit.ticket);
                }
                // A far end that wants to be reached by name or over TCP can't be played with here.
                _ => {
                    if let Some(ticket) = transmit.ticket {
                        self.endpoint.handle(Input::Undeliverable(ticket), at);
                    }
                }
            },
            Output::Event(event) => self.event(event, at),
        }
    }

    fn event(&mut self, event: Event, at: Instant) {
        match event {
            Event::Progress { invite, .. } => self.heard_of(invite, at),
            Event::Answered { invite, dialog, answer, .. } => self.answered(invite, dialog, &answer, at),
            Event::Rejected { invite, status, response } => {
                self.rejected(invite, status, response.as_ref(), at)
            }
            Event::Bye { dialog, .. }
            | Event::Ended { dialog, .. }
            | Event::SessionExpired { dialog, .. } => {
                self.cut_short(dialog, at);
            }
            Event::Closed { dialog } => self.closed(dialog, at),
            // The session stays as it is (RFC 3261 §14.2).
            Event::Offer { dialog, .. } => {
                let _ = self.endpoint.answer_offer(dialog, Err(StatusCode::NOT_ACCEPTABLE_HERE), at);
            }
            Event::Invite { dialog, .. } => {
                let _ = self.endpoint.reject(dialog, StatusCode::DECLINE, &[], at);
            }
            _ => {}
        }
    }

    fn heard_of(&mut self, invite: InviteId, at: Instant) {
        let Some(call) = self.invites.get(&invite) else { return };
        if let Some(State::Calling { sent, heard_of, .. }) = self.calls.get_mut(call)
            && !std::mem::replace(heard_of, true)
        {
            self.tally.first_response.record(at.saturating_duration_since(*sent));
        }
    }

    fn answered(&mut self, invite: InviteId, dialog: DialogId, answer: &[u8], at: Instant) {
        self.heard_of(invite, at);
        let Some(call) = self.invites.remove(&invite) else { return };
        let Some(State::Calling { sent, offered, way, .. }) = self.calls.remove(&call) else { return };
        self.tally.answer(at.saturating_duration_since(sent));
        self.dialogs.insert(dialog, call);
        let negotiated = offer::accept_answer(answer, &offered).ok();
        let law = negotiated.as_ref().and_then(|negotiated| Law::of(negotiated.codec));
        let (Some(negotiated), Some(law)) = (negotiated, law) else {
            self.tally.end(End::Unusable);
            self.tally.hang_up(Duration::ZERO);
            self.dialogs.remove(&dialog);
            self.endpoint.bye(dialog, "", at);
            self.endpoint.forget(dialog);
            return;
        };
        if let (Some(media), Some(way)) = (self.setting.media, way) {
            media.attach(call, way, negotiated.remote, self.agreed(call, law, &negotiated, at));
        }
        self.calls.insert(call, State::Up { dialog, answered: at });
        if self.stopping.is_some() || self.setting.plan.length.is_zero() {
            self.hang_up(call, at);
        } else if let Some(end) = at.checked_add(self.setting.plan.length) {
            self.ends.push_back((end, call));
        }
    }

    fn agreed(&self, call: u32, law: Law, negotiated: &Negotiated, answered: Instant) -> Agreed {
        let step = self.setting.plan.calls.div_ceil(LISTENING).max(1);
        Agreed {
            law,
            payload_type: negotiated.payload_type,
            numbers: (rand::random(), rand::random(), rand::random()),
            answered,
            // Not all telephones talk at the same moment.
            starts_at: (call as usize).wrapping_mul(37) % self.setting.frames.max(1),
            listens: call.is_multiple_of(step) && negotiated.direction == Direction::SendRecv,
        }
    }

    fn rejected(&mut self, invite: InviteId, status: StatusCode, response: Option<&Response>, at: Instant) {
        self.heard_of(invite, at);
        let Some(call) = self.invites.remove(&invite) else { return };
        if self.calls.remove(&call).is_none() {
            return;
        }
        self.tally.end(match (response, status) {
            (Some(_), status) => End::Refused(status.as_u16()),
            (None, StatusCode::SERVICE_UNAVAILABLE) => End::Unreachable,
            (None, _) => End::TimedOut,
        });
    }

    /// The far end hung up.
    fn cut_short(&mut self, dialog: DialogId, at: Instant) {
        self.endpoint.forget(dialog);
        let Some(call) = self.dialogs.remove(&dialog) else { return };
        match self.calls.remove(&call) {
            Some(State::Up { answered, .. }) => {
                self.media_ends(call, answered, at);
                self.tally.end(End::CutShort);
            }
            // Its BYE crossed ours.
            Some(State::Closing { .. }) => self.tally.end(End::Completed),
            Some(State::Calling { .. }) | None => {}
        }
    }

    fn closed(&mut self, dialog: DialogId, at: Instant) {
        self.endpoint.forget(dialog);
        let Some(call) = self.dialogs.remove(&dialog) else { return };
        let Some(State::Closing { asked }) = self.calls.remove(&call) else { return };
        let took = at.saturating_duration_since(asked);
        if took > BYE_LIMIT {
            self.tally.end(End::ByeUnanswered);
        } else {
            self.tally.bye.record(took);
            self.tally.end(if self.stopping.is_some() { End::Stopped } else { End::Completed });
        }
    }
}

fn name_addr(uri: &Uri) -> String {
    String::from_utf8_lossy(NameAddr::new(None, uri).raw()).into_owned()
}

/// The one address of ours that all targets are reached from.
pub(super) fn source(hops: &[Vec<Hop>]) -> io::Result<Option<std::net::IpAddr>> {
    let mut found = None;
    for hop in hops.iter().flatten() {
        let from = crate::net::source_address_toward(hop.address)?;
        if *found.get_or_insert(from) != from {
            return Ok(None);
        }
    }
    Ok(found)
}

/// Binds a socket for SIP.
pub(super) fn bind(address: std::net::IpAddr) -> io::Result<UdpTransport<Ticket>> {
    UdpTransport::bind(SocketAddr::new(address, 0))
}
