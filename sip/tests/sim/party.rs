//! An endpoint with an owner that follows scripts.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use sip::dialog::DialogId;
use sip::endpoint::flow::{Flow, Hop, Target, Transport};
use sip::endpoint::policy::{PeerPolicy, PolicyId, Standing};
use sip::endpoint::{
    Config, Endpoint, Event, Expiry, Input, InviteId, OfferMethod, OutgoingCall, Output, ReferProgress,
};
use sip::message::{HeaderName, StatusCode, Uri};
use sip::ua::offer::OfferError;

use crate::script::{Ending, Script};
use crate::world::{Node, Outbox};

const LISTED: Standing = Standing::Listed(PolicyId(0));

/// What one side saw of a call: how often each thing happened.
#[derive(Debug, Default, Clone)]
pub struct Seen {
    pub invites: usize,
    pub accepted: usize,
    pub refused: usize,
    pub cancelled: usize,
    pub confirmed: usize,
    pub unconfirmed: usize,
    pub answered: usize,
    pub rejected: usize,
    /// The caller cancelled while it rang.
    pub gave_up: bool,
    pub ended: usize,
    pub refer_answered: usize,
    pub transferred: usize,
    pub transfer_failed: usize,
    /// Refreshes by re-INVITE that were answered.
    pub refreshed: usize,
    /// Ended because its session ran out.
    pub expired: usize,
    /// Offers of its own in the running call: made, answered, refused.
    pub offers: [usize; 3],
    /// The far end was lost.
    pub lost: usize,
    /// Under way when this side restarted.
    pub cut_short: bool,
    /// From INVITE to 200, without the callee's own delay.
    pub setup: Option<Duration>,
}

#[derive(Debug, Clone, Copy)]
enum Plan {
    Call(usize, SocketAddr),
    Cancel(usize),
    Ring(DialogId),
    Answer(DialogId),
    Refer(DialogId),
    Offer(DialogId, OfferMethod),
    HangUp(DialogId),
}

pub struct Party {
    pub endpoint: Endpoint,
    pub calls: Vec<Seen>,
    pub log: Vec<String>,
    address: SocketAddr,
    scripts: Vec<Script>,
    plans: BTreeMap<(Instant, usize), Plan>,
    planned: usize,
    outgoing: HashMap<InviteId, (usize, Instant)>,
    invites: HashMap<usize, InviteId>,
    dialogs: HashMap<DialogId, usize>,
    takes_update: bool,
    restarts: u8,
    /// No call is longer: what the service's watchdog does when no media comes any more.
    longest: Option<Duration>,
}

impl Party {
    pub fn new(address: &str, seed: [u8; 32], scripts: Vec<Script>) -> Self {
        Self {
            endpoint: Endpoint::new(Config::default(), seed),
            calls: vec![Seen::default(); scripts.len()],
            log: Vec::new(),
            address: address.parse().unwrap(),
            scripts,
            plans: BTreeMap::new(),
            planned: 0,
            outgoing: HashMap::new(),
            invites: HashMap::new(),
            dialogs: HashMap::new(),
            takes_update: true,
            restarts: 0,
            longest: None,
        }
    }

    /// With this agreed with the other side.
    pub fn agreed(mut self, policy: PeerPolicy) -> Self {
        self.endpoint.set_policy(PolicyId(0), policy);
        self
    }

    /// Nobody is told that it knows UPDATE.
    pub fn without_update(self) -> Self {
        Self { takes_update: false, ..self }
    }

    /// Hangs up whatever is still up after this long.
    pub fn with_longest(self, longest: Duration) -> Self {
        Self { longest: Some(longest), ..self }
    }

    pub fn plan_call(&mut self, number: usize, target: SocketAddr, at: Instant) {
        self.plan(at, Plan::Call(number, target));
    }

    pub fn script(&self, number: usize) -> &Script {
        &self.scripts[number]
    }

    fn plan(&mut self, at: Instant, plan: Plan) {
        self.planned += 1;
        self.plans.insert((at, self.planned), plan);
    }

    fn carry_out(&mut self, plan: Plan, now: Instant) {
        match plan {
            Plan::Call(number, target) => self.call(number, target, now),
            Plan::Cancel(number) => {
                if let Some(invite) = self.invites.get(&number) {
                    self.calls[number].gave_up = self.calls[number].answered == 0;
                    self.endpoint.cancel(*invite, now);
                }
            }
            // Too late is no fault: the caller may have given up.
            Plan::Ring(dialog) => {
                let _ = self.endpoint.ring(dialog, StatusCode::RINGING, None, now);
            }
            Plan::Answer(dialog) => self.answer(dialog, now),
            Plan::Refer(dialog) => {
                let _ = self.endpoint.refer(dialog, "tel:+33140000000", now);
            }
            Plan::Offer(dialog, method) => {
                let sdp = Some(Bytes::from_static(b"v=0\r\n"));
                match self.endpoint.send_offer(dialog, method, sdp, now) {
                    Ok(()) => self.seen(dialog).offers[0] += 1,
                    Err(OfferError::Pending) => {
                        self.plan(now + Duration::from_millis(170), Plan::Offer(dialog, method));
                    }
                    Err(OfferError::NotEstablished) => {}
                }
            }
            Plan::HangUp(dialog) => self.endpoint.bye(dialog, "", now),
        }
    }

    fn plan_offers(&mut self, dialog: DialogId, calling: bool, now: Instant) {
        let script = self.scripts[self.dialogs[&dialog]].clone();
        for (_, at, invite) in script.offers.into_iter().filter(|(caller, ..)| *caller == calling) {
            let method = if invite { OfferMethod::Invite } else { OfferMethod::Update };
            self.plan(now + at, Plan::Offer(dialog, method));
        }
    }

    fn call(&mut self, number: usize, target: SocketAddr, now: Instant) {
        let call = OutgoingCall {
            uri: Uri::parse(format!("sip:{number}@{target}").as_bytes()).unwrap(),
            from: format!("<sip:a@{}>", self.address),
            to: format!("<sip:{number}@{target}>"),
            headers: vec![(HeaderName::Subject, Bytes::from(number.to_string()))],
            routes: Vec::new(),
            hops: vec![Hop::new(Transport::Udp, target)],
            connection: None,
            local: self.address,
            sdp: Some(Bytes::from_static(b"v=0\r\n")),
            credentials: None,
            policy: PolicyId::default(),
            call_id: None,
        };
        let invite = self.endpoint.invite(call, now);
        self.outgoing.insert(invite, (number, now));
        self.invites.insert(number, invite);
        // Nobody waits for ever.
        let patience = self.scripts[number].cancel.unwrap_or(Duration::from_secs(60));
        self.plan(now + patience, Plan::Cancel(number));
    }

    fn answer(&mut self, dialog: DialogId, now: Instant) {
        let number = self.dialogs[&dialog];
        if self.scripts[number].ending == Ending::Refused {
            if self.endpoint.reject(dialog, StatusCode::BUSY_HERE, &[], now).is_ok() {
                self.calls[number].refused += 1;
                self.endpoint.forget(dialog);
            }
        } else if self.endpoint.accept(dialog, Bytes::from_static(b"v=0\r\n"), now).is_ok() {
            self.calls[number].accepted += 1;
            if self.scripts[number].ending == Ending::CalleeRegrets {
                self.endpoint.bye(dialog, "", now);
            }
        }
    }

    fn work_off(&mut self, now: Instant, out: &mut Outbox) {
        while let Some(output) = self.endpoint.poll_output() {
            match output {
                Output::Transmit(transmit) => match transmit.target {
                    Target::Address(address) | Target::Peer { address, .. } if self.takes_update => {
                        out.push((address, transmit.bytes));
                    }
                    Target::Address(address) | Target::Peer { address, .. } => {
                        let text = String::from_utf8(transmit.bytes.to_vec()).unwrap();
                        out.push((address, Bytes::from(text.replace(" UPDATE,", ""))));
                    }
                    Target::Name { host, .. } => panic!("a name: {host}"),
                },
                Output::Event(event) => {
                    let name = format!("{event:?}");
                    let name = name.split(' ').next().unwrap_or_default();
                    self.log.push(format!("{name} {:?}", self.number_of(&event)));
                    self.take(event, now);
                }
            }
        }
    }

    fn number_of(&self, event: &Event) -> Option<usize> {
        match event {
            Event::Cancelled { dialog } | Event::Bye { dialog, .. } | Event::Closed { dialog } => {
                self.dialogs.get(dialog).copied()
            }
            Event::Answered { invite, .. } | Event::Rejected { invite, .. } => {
                self.outgoing.get(invite).map(|(number, _)| *number)
            }
            _ => None,
        }
    }

    fn take(&mut self, event: Event, now: Instant) {
        match event {
            Event::Invite { dialog, request, .. } => self.take_invite(dialog, &request, now),
            Event::Cancelled { dialog } => {
                self.seen(dialog).cancelled += 1;
                self.endpoint.forget(dialog);
            }
            Event::Confirmed { dialog, .. } => self.take_confirmed(dialog, now),
            Event::Unconfirmed { dialog } => {
                self.seen(dialog).unconfirmed += 1;
                self.endpoint.bye(dialog, "", now);
            }
            Event::Offer { dialog, .. } => {
                let answer = Ok(Some(Bytes::from_static(b"v=0\r\n")));
                self.endpoint.answer_offer(dialog, answer, now).unwrap();
            }
            Event::Bye { dialog, .. } | Event::Closed { dialog } => {
                self.seen(dialog).ended += 1;
                self.endpoint.forget(dialog);
            }
            Event::OfferAnswered { dialog, answer } => {
                let seen = self.seen(dialog);
                if seen.offers[0] > 0 {
                    seen.offers[if answer.is_ok() { 1 } else { 2 }] += 1;
                } else {
                    // A refresh.
                    assert_eq!(answer.unwrap().as_deref(), Some(&b"v=0\r\n"[..]));
                    seen.refreshed += 1;
                }
            }
            Event::Ended { dialog, .. } => {
                self.seen(dialog).ended += 1;
                self.seen(dialog).lost += 1;
                self.endpoint.forget(dialog);
            }
            Event::Refer { dialog, progress } => self.take_refer(dialog, progress),
            Event::Answered { invite, dialog, .. } => self.take_answered(invite, dialog, now),
            Event::Rejected { invite, .. } => {
                let (number, _) = self.outgoing[&invite];
                self.calls[number].rejected += 1;
            }
            // A late copy finds its call over: on such a network no sign of a scanner.
            Event::Progress { .. } | Event::Info { .. } | Event::Suspicious { .. } => {}
            // The far end has hung up, and its BYE is still on its way.
            Event::SessionExpired {
                expiry: Expiry::RefreshFailed(StatusCode::CALL_DOES_NOT_EXIST), ..
            } => {}
            Event::SessionExpired { dialog, .. } => self.seen(dialog).expired += 1,
            other => panic!("{other:?}"),
        }
    }

    fn seen(&mut self, dialog: DialogId) -> &mut Seen {
        &mut self.calls[self.dialogs[&dialog]]
    }

    fn take_invite(&mut self, dialog: DialogId, request: &sip::message::Request, now: Instant) {
        let subject = request.headers().get(HeaderName::Subject).unwrap();
        let number: usize = std::str::from_utf8(subject).unwrap().parse().unwrap();
        self.dialogs.insert(dialog, number);
        self.calls[number].invites += 1;
        let script = self.scripts[number].clone();
        if let Some(ring) = script.ring {
            self.plan(now + ring, Plan::Ring(dialog));
        }
        self.plan(now + script.answer, Plan::Answer(dialog));
    }

    fn take_confirmed(&mut self, dialog: DialogId, now: Instant) {
        self.seen(dialog).confirmed += 1;
        let script = self.scripts[self.dialogs[&dialog]].clone();
        if self.seen(dialog).confirmed > 1 {
            return;
        }
        self.plan_offers(dialog, false, now);
        self.watch(dialog, now);
        if script.callee_hangs_up() {
            self.plan(now + script.talk, Plan::HangUp(dialog));
        }
        if script.transfer {
            self.plan(now + Duration::from_secs(30), Plan::Refer(dialog));
        }
    }

    fn take_answered(&mut self, invite: InviteId, dialog: DialogId, now: Instant) {
        let (number, since) = self.outgoing[&invite];
        self.dialogs.insert(dialog, number);
        let script = self.scripts[number].clone();
        let seen = &mut self.calls[number];
        seen.answered += 1;
        seen.setup = Some((now - since).saturating_sub(script.answer));
        self.plan_offers(dialog, true, now);
        self.watch(dialog, now);
        if script.caller_hangs_up() {
            self.plan(now + script.talk, Plan::HangUp(dialog));
        }
    }

    fn watch(&mut self, dialog: DialogId, now: Instant) {
        if let Some(longest) = self.longest {
            self.plan(now + longest, Plan::HangUp(dialog));
        }
    }

    fn take_refer(&mut self, dialog: DialogId, progress: ReferProgress) {
        let seen = self.seen(dialog);
        match progress {
            ReferProgress::Answered(status) => {
                assert!(status.is_success());
                seen.refer_answered += 1;
            }
            ReferProgress::Unanswered => panic!("the far end answers"),
            ReferProgress::Notified { status: Some(status), terminated: true } if status.is_success() => {
                seen.transferred += 1;
            }
            ReferProgress::Notified { terminated: true, .. } => seen.transfer_failed += 1,
            ReferProgress::Notified { .. } => {}
        }
    }
}

impl Node for Party {
    fn address(&self) -> SocketAddr {
        self.address
    }

    fn receive(&mut self, from: SocketAddr, bytes: Bytes, now: Instant, out: &mut Outbox) {
        let flow = Flow { transport: Transport::Udp, peer: from, local: self.address, connection: None };
        self.endpoint.handle(Input::Received { flow, bytes, standing: LISTED }, now);
        self.work_off(now, out);
    }

    fn next_at(&self) -> Option<Instant> {
        let plan = self.plans.keys().next().map(|(at, _)| *at);
        [plan, self.endpoint.poll_timeout()].into_iter().flatten().min()
    }

    fn fire(&mut self, now: Instant, out: &mut Outbox) {
        if self.endpoint.poll_timeout().is_some_and(|at| at <= now) {
            self.endpoint.handle(Input::Timeout, now);
        }
        while let Some(entry) = self.plans.first_entry().filter(|entry| entry.key().0 <= now) {
            let plan = entry.remove();
            self.carry_out(plan, now);
        }
        self.work_off(now, out);
    }

    fn restart(&mut self, now: Instant) {
        self.restarts += 1;
        self.log.push(format!("restart {now:?}"));
        for number in self.dialogs.values().chain(self.outgoing.values().map(|(number, _)| number)) {
            let seen = &mut self.calls[*number];
            let up = seen.answered + seen.accepted > seen.ended;
            let undecided = seen.answered + seen.rejected + seen.accepted + seen.refused + seen.cancelled
                == 0
                || seen.invites > seen.accepted + seen.refused + seen.cancelled;
            seen.cut_short |= up || undecided;
        }
        self.endpoint = Endpoint::new(Config::default(), [100 + self.restarts; 32]);
        self.plans.retain(|_, plan| matches!(plan, Plan::Call(..)));
        self.outgoing.clear();
        self.invites.clear();
        self.dialogs.clear();
    }

    fn dialogs(&self) -> usize {
        self.endpoint.dialog_count()
    }
}
