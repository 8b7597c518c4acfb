//! The endpoint: every transaction and dialog of one process as a single machine.
//!
//! [`Endpoint::handle`] takes what came from the network; [`Endpoint::poll_output`] then gives
//! what to send and what to know, and [`Endpoint::poll_timeout`] when to call again. Nothing in
//! here waits, reads a clock or touches a socket.

mod access;
mod attempts;
mod authenticate;
pub(crate) mod client;
mod config;
mod counters;
mod event;
pub mod flow;
mod in_dialog;
mod offers;
mod outside;
mod path;
pub mod policy;
mod receive;
mod reply;
mod server;
pub(crate) mod timers;

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher, Hash};
use std::time::{Duration, Instant};

pub(crate) use self::attempts::Course;
use self::authenticate::Authenticators;
use self::client::ClientTransaction;
pub(crate) use self::client::{Acknowledgement, User};
pub use self::config::Config;
pub use self::counters::{CLASSES, Counters, METHODS, Traffic};
pub use self::event::{
    ClientId, Event, Expiry, Input, InviteId, OfferMethod, OutgoingCall, Output, OutsideRequest,
    ReferProgress, Suspicion, Ticket, Transmit,
};
pub(crate) use self::path::{RequestPath, Size, contact_scheme};
use self::policy::{PeerPolicy, Policies};
pub(crate) use self::receive::{ACCEPT, ALLOW};
pub(crate) use self::reply::ReplyPath;
use self::server::ServerTransaction;
use self::timers::{Owner, TimerQueue};
use crate::dialog::{Dialog, DialogId};
use crate::message::{Method, Request};
use crate::random::{Key, KeyMap, Keyer, Tokens};
use crate::transaction::key;
use crate::transaction::timer::{Settings, Timer};
use crate::ua::invite::Outgoing;

/// Whether new calls are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Admission {
    /// Yes.
    Open,
    /// OPTIONS is answered with `503`, so that peers look for somebody else; a call that comes all
    /// the same is the owner's to refuse.
    Draining,
    /// No: they get `503` with `Retry-After` (RFC 3261 §21.5.4).
    Closed,
}

/// The machine.
#[derive(Debug)]
pub struct Endpoint {
    config: Config,
    admission: Admission,
    tokens: Tokens,
    keyer: Keyer,
    servers: KeyMap<Key, ServerTransaction>,
    merged: KeyMap<Key, Key>,
    clients: KeyMap<Key, ClientTransaction>,
    dialogs: KeyMap<DialogId, Dialog>,
    timers: TimerQueue,
    outputs: VecDeque<Output>,
    next_client: u64,
    outgoing: HashMap<InviteId, Outgoing>,
    policies: Policies,
    authenticators: Authenticators,
    counters: Counters,
}

impl Endpoint {
    /// An endpoint without transactions. All its tags, branches and table keys come from `seed`.
    #[must_use]
    pub fn new(config: Config, seed: [u8; 32]) -> Self {
        let mut tokens = Tokens::new(seed);
        let keyer = Keyer::new(&mut tokens);
        Self {
            config,
            admission: Admission::Open,
            tokens,
            keyer,
            servers: KeyMap::default(),
            merged: KeyMap::default(),
            clients: KeyMap::default(),
            dialogs: KeyMap::default(),
            timers: TimerQueue::default(),
            outputs: VecDeque::new(),
            next_client: 0,
            outgoing: HashMap::new(),
            policies: Policies::default(),
            authenticators: Authenticators::default(),
            counters: Counters::default(),
        }
    }

    /// Takes one input. Drain [`Endpoint::poll_output`] afterwards.
    pub fn handle(&mut self, input: Input, now: Instant) {
        match input {
            Input::Received { flow, bytes, standing } => self.receive(flow, bytes, standing, now),
            Input::Undeliverable(Ticket(key)) => self.client_undeliverable(key, now),
            Input::Timeout => self.fire_timers(now),
        }
    }

    /// The next thing to do, in order.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When to call [`Endpoint::handle`] with [`Input::Timeout`] at the latest.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.timers.next_at()
    }

    /// Opens or closes the door for new calls; running ones are not touched.
    pub fn set_admission(&mut self, admission: Admission) {
        self.admission = admission;
    }

    /// What has been counted.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// How many dialogs are known, those that have ended and aren't forgotten included.
    #[must_use]
    pub fn dialog_count(&self) -> usize {
        self.dialogs.len()
    }

    /// How many transactions are known.
    #[must_use]
    pub fn transaction_count(&self) -> usize {
        self.servers.len() + self.clients.len()
    }

    fn fire_timers(&mut self, now: Instant) {
        while let Some((owner, timer, serial)) = self.timers.pop(now) {
            match owner {
                Owner::Server(key) => self.server_timer(key, timer, serial, now),
                Owner::Client(key) => self.client_timer(key, timer, serial, now),
                Owner::Dialog(id) => self.dialog_timer(id, timer, serial, now),
            }
        }
    }

    pub(crate) fn emit(&mut self, event: Event) {
        self.outputs.push_back(Output::Event(event));
    }

    pub(crate) fn transmit(&mut self, transmit: Transmit) {
        self.counters.sent += 1;
        self.outputs.push_back(Output::Transmit(transmit));
    }

    pub(crate) fn count_sent_ack(&mut self) {
        self.counters.traffic_out.count_request(&Method::Ack);
    }

    pub(crate) fn count_expired_session(&mut self) {
        self.counters.sessions_expired += 1;
    }

    pub(crate) fn policy_of(&self, dialog: &Dialog) -> &PeerPolicy {
        self.policies.get(dialog.policy)
    }

    pub(crate) fn dialog(&self, id: DialogId) -> Option<&Dialog> {
        self.dialogs.get(&id)
    }

    pub(crate) fn dialog_mut(&mut self, id: DialogId) -> Option<&mut Dialog> {
        self.dialogs.get_mut(&id)
    }

    pub(crate) fn server_path(&self, key: Key) -> Option<ReplyPath> {
        self.servers.get(&key).map(|server| server.path)
    }

    pub(crate) fn server_request(&self, key: Key) -> Option<Request> {
        self.servers.get(&key).and_then(|server| server.request.clone())
    }

    pub(crate) fn set_dialog_timer(&mut self, id: DialogId, timer: Timer, at: Instant) {
        if let Some(dialog) = self.dialogs.get_mut(&id) {
            self.timers.start(&mut dialog.timers, Owner::Dialog(id), timer, at);
        }
    }

    pub(crate) fn random(&mut self) -> u64 {
        self.tokens.next_u64()
    }

    pub(crate) fn timer_settings(&self) -> Settings {
        self.config.timers
    }

    pub(crate) fn product(&self) -> &str {
        &self.config.product
    }

    pub(crate) fn take_client_id(&mut self) -> ClientId {
        self.next_client += 1;
        ClientId(self.next_client)
    }

    pub(crate) fn take_invite_id(&mut self) -> InviteId {
        self.next_client += 1;
        InviteId(self.next_client)
    }

    pub(crate) fn outgoing(&self, id: InviteId) -> Option<&Outgoing> {
        self.outgoing.get(&id)
    }

    pub(crate) fn outgoing_mut(&mut self, id: InviteId) -> Option<&mut Outgoing> {
        self.outgoing.get_mut(&id)
    }

    pub(crate) fn insert_outgoing(&mut self, id: InviteId, outgoing: Outgoing) {
        self.outgoing.insert(id, outgoing);
    }

    pub(crate) fn remove_outgoing(&mut self, id: InviteId) {
        self.outgoing.remove(&id);
        shrink(&mut self.outgoing);
    }

    pub(crate) fn insert_dialog(&mut self, id: DialogId, dialog: Dialog) {
        self.dialogs.insert(id, dialog);
    }

    pub(crate) fn remove_dialog(&mut self, id: DialogId) {
        self.dialogs.remove(&id);
        shrink(&mut self.dialogs);
    }

    pub(crate) fn keyer(&self) -> &Keyer {
        &self.keyer
    }

    pub(crate) fn new_token(&mut self) -> String {
        self.tokens.next_token()
    }

    /// A number from 0 up to, and not including, `end`.
    pub(crate) fn random_below(&mut self, end: u64) -> u64 {
        self.tokens.next_u64() % end.max(1)
    }

    /// Whether a request of ours that is under way has this branch.
    pub(crate) fn made_branch(&self, branch: &[u8], method: &Method) -> bool {
        self.clients.contains_key(&key::client(&self.keyer, branch, method))
    }

    pub(crate) fn max_udp_request(&self) -> usize {
        self.config.max_udp_request
    }

    fn retry_after(&self) -> Duration {
        self.config.retry_after
    }
}

/// Gives back what a burst of calls made a table grow to.
fn shrink<K: Hash + Eq, V, S: BuildHasher>(table: &mut HashMap<K, V, S>) {
    if table.len() * 8 < table.capacity() && table.capacity() > 1_024 {
        table.shrink_to(table.len() * 2);
    }
}
