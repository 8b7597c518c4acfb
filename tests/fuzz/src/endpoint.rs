//! The whole endpoint: an owner and a far end that do anything in any order, while time passes.
//!
//! Nothing panics; what goes out is sound and goes to nobody who didn't ask; an input has few
//! outputs; and when both have hung up and the longest timer has run, nothing is left.

use std::time::{Duration, Instant};

use bytes::Bytes;
use sip::dialog::DialogId;
use sip::endpoint::flow::{Hop, Target, Transport};
use sip::endpoint::policy::{PolicyId, Standing};
use sip::endpoint::{
    Config, Endpoint, Event, Input, InviteId, OutgoingCall, Output, OutsideRequest, Ticket, Transmit,
};
use sip::message::{Framing, HeaderName, Message, Method, StatusCode, Uri, limits, parse, validate};

use crate::digest::epoch;
use crate::input::Choices;
use crate::sip_party::{SipParty, flow, is_peer};

const SDP: Bytes = Bytes::from_static(b"v=0\r\n");
/// Milliseconds: around every timer there is.
const STEPS: [u64; 14] =
    [1, 20, 499, 500, 501, 1_000, 4_000, 5_000, 10_000, 31_999, 32_000, 64_000, 180_000, 600_000];
/// Outputs that one input may have.
const MOST_OUTPUTS: usize = 8;

/// Target `endpoint`.
pub fn endpoint(data: &[u8]) {
    let mut choices = Choices::new(data);
    let mut world = World::new(&mut choices);
    while !choices.is_empty() && world.inputs < 80 {
        world.step(&mut choices);
    }
    world.wind_up();
}

struct World {
    endpoint: Endpoint,
    far: SipParty,
    now: Instant,
    /// What the owner does without being told to.
    manners: u8,
    dialogs: Vec<DialogId>,
    invites: Vec<InviteId>,
    tickets: Vec<Ticket>,
    /// Things that happened to the endpoint.
    inputs: usize,
}

impl World {
    fn new(choices: &mut Choices<'_>) -> Self {
        let manners = choices.byte();
        let config = Config {
            advertised: (manners & 0x40 != 0).then(|| ("sip.example.com".to_owned(), Some(5070))),
            max_dialogs: if manners & 0x80 == 0 { 100 } else { 2 },
            ..Config::default()
        };
        Self {
            endpoint: Endpoint::new(config, [7; 32]),
            far: SipParty::default(),
            now: epoch(),
            manners,
            dialogs: Vec::new(),
            invites: Vec::new(),
            tickets: Vec::new(),
            inputs: 0,
        }
    }

    fn step(&mut self, choices: &mut Choices<'_>) {
        self.inputs += 1;
        match choices.below(16) {
            0..=8 => {
                let (flow, bytes) = self.far.speak(choices);
                let standing = if choices.chance(20) {
                    Standing::Unlisted
                } else {
                    Standing::Listed(PolicyId::default())
                };
                self.endpoint.handle(Input::Received { flow, bytes: bytes.into(), standing }, self.now);
            }
            9 | 10 => return self.pass(Duration::from_millis(choices.one_of(&STEPS))),
            11..=13 => self.act(choices),
            14 => self.call(choices),
            _ => {
                let at = choices.below(self.tickets.len());
                if let Some(ticket) = self.tickets.get(at) {
                    self.endpoint.handle(Input::Undeliverable(*ticket), self.now);
                }
            }
        }
        self.drain();
        assert!(self.endpoint.transaction_count() <= self.inputs * 2, "bounded by what happened");
        assert!(self.endpoint.dialog_count() <= self.inputs);
    }

    /// The owner does something with one of its calls.
    fn act(&mut self, choices: &mut Choices<'_>) {
        let (action, at) = (choices.below(12), choices.below(4));
        let (endpoint, now) = (&mut self.endpoint, self.now);
        if action == 11 {
            let Some(invite) = self.invites.iter().rev().nth(at) else { return };
            return endpoint.cancel(*invite, now);
        }
        let Some(id) = self.dialogs.iter().rev().nth(at).copied() else { return };
        match action {
            0 => _ = endpoint.ring(id, StatusCode::RINGING, None, now),
            1..=3 => _ = endpoint.accept(id, SDP, now),
            4 => _ = endpoint.reject(id, StatusCode::BUSY_HERE, &[], now),
            5 => _ = endpoint.answer_offer(id, Ok(Some(SDP)), now),
            6 => _ = endpoint.answer_offer(id, Ok(None), now),
            7 => _ = endpoint.answer_offer(id, Err(StatusCode::NOT_ACCEPTABLE_HERE), now),
            8 => _ = endpoint.refer(id, "sip:other@192.0.2.77", now),
            9 => endpoint.forget(id),
            _ => endpoint.bye(id, "Q.850;cause=16", now),
        }
    }

    /// The owner calls somebody, or asks something outside a call.
    fn call(&mut self, choices: &mut Choices<'_>) {
        let flow = flow(choices);
        let method = if choices.chance(80) { Method::Options } else { Method::Invite };
        let hop = Hop::new(flow.transport, flow.peer);
        let hops = if choices.chance(40) { vec![hop, hop] } else { vec![hop] };
        let uri = Uri::sip(Some("far"), "192.0.2.10", None);
        if method == Method::Invite {
            let call = OutgoingCall {
                uri,
                from: "<sip:near@192.0.2.1>".to_owned(),
                to: "<sip:far@192.0.2.10>".to_owned(),
                headers: Vec::new(),
                routes: Vec::new(),
                hops,
                connection: flow.connection,
                local: flow.local,
                sdp: Some(SDP),
                credentials: None,
                policy: PolicyId::default(),
                call_id: None,
            };
            self.invites.push(self.endpoint.invite(call, self.now));
        } else {
            let header = |name, value: &'static str| (name, Bytes::from_static(value.as_bytes()));
            let headers = vec![
                header(HeaderName::From, "<sip:near@192.0.2.1>;tag=o"),
                header(HeaderName::To, "<sip:far@192.0.2.10>"),
                header(HeaderName::CallId, "outside"),
                header(HeaderName::CSeq, "1 OPTIONS"),
            ];
            let request = OutsideRequest {
                method,
                uri,
                hops,
                connection: flow.connection,
                local: flow.local,
                headers,
                credentials: None,
            };
            self.endpoint.request(request, self.now);
        }
    }

    /// Lets time pass, each timer at its moment.
    fn pass(&mut self, time: Duration) {
        let until = self.now + time;
        let mut fired = 0;
        while let Some(at) = self.endpoint.poll_timeout().filter(|at| *at <= until) {
            fired += 1;
            assert!(fired < 20_000, "timers come to rest");
            self.now = self.now.max(at);
            self.endpoint.handle(Input::Timeout, self.now);
            self.drain();
        }
        self.now = until;
    }

    fn drain(&mut self) {
        // Timers that are due at one moment each have theirs.
        let most = MOST_OUTPUTS + 4 * self.inputs;
        let mut outputs = 0;
        while let Some(output) = self.endpoint.poll_output() {
            outputs += 1;
            assert!(outputs <= most, "few outputs for one input");
            match output {
                Output::Transmit(transmit) => self.check(&transmit),
                Output::Event(event) => self.know(event),
            }
        }
    }

    /// What goes out is one sound message, and an answer goes to who asked.
    fn check(&mut self, transmit: &Transmit) {
        let bytes = &transmit.bytes;
        self.tickets.extend(transmit.ticket);
        if bytes.len() > limits::DATAGRAM {
            return;
        }
        match parse(bytes.clone(), Framing::Stream) {
            Ok(Message::Request(request)) => {
                // What a response says of its To and Contact is taken over as it is.
                let valid = validate(&request);
                assert!(valid.is_ok() || self.far.answered_wrongly, "{valid:?}: {}", bytes.escape_ascii());
                let single = request.headers().get_all(HeaderName::Via).count() == 1;
                assert!(single, "{}", bytes.escape_ascii());
                self.far.hear_request(bytes);
            }
            Ok(Message::Response(_)) => {
                assert_eq!(transmit.ticket, None);
                let Target::Address(target) = transmit.target else { panic!("{transmit:?}") };
                assert!(is_peer(target), "an answer to who didn't ask: {transmit:?}");
                assert_eq!(transmit.connection.is_some(), transmit.transport == Transport::Tcp);
                self.far.hear_response(bytes);
            }
            Err(error) => panic!("{error:?}: {}", bytes.escape_ascii()),
        }
    }

    fn know(&mut self, event: Event) {
        let now = self.now;
        match event {
            Event::Invite { dialog, .. } => {
                self.dialogs.push(dialog);
                if self.manners & 1 != 0 {
                    _ = self.endpoint.accept(dialog, SDP, now);
                }
            }
            Event::Answered { dialog, .. } => self.dialogs.push(dialog),
            Event::Offer { dialog, .. } if self.manners & 2 != 0 => {
                _ = self.endpoint.answer_offer(dialog, Ok(Some(SDP)), now);
            }
            Event::Unconfirmed { dialog } if self.manners & 4 != 0 => self.endpoint.bye(dialog, "", now),
            Event::Cancelled { dialog } | Event::Bye { dialog, .. } | Event::Closed { dialog }
                if self.manners & 8 != 0 =>
            {
                self.endpoint.forget(dialog);
            }
            _ => {}
        }
    }

    /// Everybody hangs up; nothing is left in the end.
    fn wind_up(mut self) {
        // An owner that does all it is meant to.
        self.manners = 4 | 8;
        for invite in self.invites.clone() {
            self.endpoint.cancel(invite, self.now);
        }
        for id in self.dialogs.clone() {
            _ = self.endpoint.reject(id, StatusCode::BUSY_HERE, &[], self.now);
            _ = self.endpoint.answer_offer(id, Err(StatusCode::NOT_ACCEPTABLE_HERE), self.now);
            self.endpoint.bye(id, "", self.now);
            self.endpoint.forget(id);
        }
        self.inputs += self.dialogs.len() + self.invites.len();
        self.drain();
        self.pass(Duration::from_secs(1_000));
        let left = (self.endpoint.dialog_count(), self.endpoint.transaction_count());
        assert_eq!(left, (0, 0), "dialogs and transactions left");
        assert_eq!(self.endpoint.poll_timeout(), None);
    }
}
