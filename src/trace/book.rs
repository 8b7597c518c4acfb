//! The messages of each call, for a while: bounded in bytes, for each call and in all.
//!
//! What is given up first when room is short: exchanges that nothing of ours was part of (a
//! scanner's), then calls that are over, then running ones; of each the oldest. Of a call with too
//! many messages the first and the last stay.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::Duration;

use super::message::{Message, Way};
use super::scan::{self, Summary};
use crate::ids::CallId;

/// What a message or call costs beside its bytes, near enough.
const OVERHEAD: usize = 160;
/// Names of calls that are remembered beyond what is held; each is 40 bytes and a Call-ID.
const MAX_NAMES: usize = 100_000;

/// The bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes in all.
    pub total: usize,
    /// Bytes of one call.
    pub per_call: usize,
    /// How long after its end a call is kept.
    pub keep: Duration,
}

/// Whose turn it is to be given up: the order of the variants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Standing {
    /// Nothing was sent by us.
    Stray,
    /// Over: a call that ended, or an exchange that isn't a call.
    Over,
    /// A call that runs.
    Running,
}

/// The call's place in the order: its standing, since when, and a number that makes it unique.
type Place = (Standing, u64, u64);

/// A call as it is held.
#[derive(Debug)]
struct Held {
    place: Place,
    /// The first messages, which stay.
    head: Vec<Message>,
    /// The latest ones.
    tail: VecDeque<Message>,
    head_bytes: usize,
    bytes: usize,
    omitted: u64,
    name: Option<CallId>,
    invited: bool,
    established: bool,
}

/// A call with its messages, oldest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trace {
    /// The Call-ID.
    pub sip_call_id: Vec<u8>,
    /// The call, where it became one.
    pub call: Option<CallId>,
    /// The messages.
    pub messages: Vec<Message>,
    /// How many were left out, after the first of them.
    pub omitted: u64,
    /// How many of the messages come before the gap.
    pub before_gap: usize,
}

/// A call in the list of those held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// The Call-ID.
    pub sip_call_id: Vec<u8>,
    /// The call, where it became one.
    pub call: Option<CallId>,
    /// When the first message was seen, in microseconds since 1970.
    pub began: u64,
    /// The first message in a line.
    pub first: String,
    /// The latest message in a line.
    pub last: String,
    /// The other side's address in the first message.
    pub peer: std::net::SocketAddr,
    /// How many messages there were.
    pub messages: u64,
    /// Whether the call runs.
    pub running: bool,
}

/// All calls held.
#[derive(Debug)]
pub(super) struct Book {
    limits: Limits,
    calls: HashMap<Box<[u8]>, Held>,
    order: BTreeMap<Place, Box<[u8]>>,
    names: HashMap<CallId, Box<[u8]>>,
    bytes: usize,
    next: u64,
}

impl Book {
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            calls: HashMap::new(),
            order: BTreeMap::new(),
            names: HashMap::new(),
            bytes: 0,
            next: 0,
        }
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Calls held.
    pub fn calls(&self) -> usize {
        self.calls.len()
    }

    /// Takes a message of the call with this Call-ID.
    pub fn take(&mut self, call_id: &[u8], summary: &Summary, message: Message) {
        if self.limits.total == 0 || call_id.is_empty() {
            return;
        }
        let now = message.at;
        self.open(call_id, now);
        let Some(held) = self.calls.get_mut(call_id) else { return };
        let standing = held.standing_after(summary, message.way);
        let before = held.bytes;
        held.push(message, self.limits.per_call);
        self.bytes = self.bytes + held.bytes - before;
        if standing != held.place.0 || standing == Standing::Over {
            self.order.remove(&held.place);
            held.place = (standing, now, held.place.2);
            self.order.insert(held.place, call_id.into());
        }
        self.make_room(now);
    }

    fn open(&mut self, call_id: &[u8], now: u64) {
        if self.calls.contains_key(call_id) {
            return;
        }
        self.next += 1;
        let place = (Standing::Stray, now, self.next);
        self.calls.insert(call_id.into(), Held::new(place));
        self.order.insert(place, call_id.into());
        self.bytes += OVERHEAD + call_id.len();
    }

    /// Tells which call this Call-ID belongs to; it may be known before its first message.
    pub fn name(&mut self, call: CallId, call_id: &[u8], now: u64) {
        if self.limits.total == 0 || call_id.is_empty() {
            return;
        }
        let call_id = scan::bounded(call_id);
        self.open(call_id, now);
        if let Some(held) = self.calls.get_mut(call_id) {
            held.name = Some(call);
            if self.names.len() < MAX_NAMES {
                self.names.insert(call, call_id.into());
            }
        }
    }

    /// The call's messages, by its own name or its Call-ID.
    pub fn find(&self, wanted: &str) -> Option<Trace> {
        let named = wanted.parse::<CallId>().ok().and_then(|call| self.names.get(&call));
        let call_id = named.map_or(scan::bounded(wanted.as_bytes()), |call_id| call_id);
        let held = self.calls.get(call_id)?;
        Some(Trace {
            sip_call_id: call_id.to_vec(),
            call: held.name,
            messages: held.head.iter().chain(&held.tail).cloned().collect(),
            omitted: held.omitted,
            before_gap: held.head.len(),
        })
    }

    /// The calls held, those that began last first.
    pub fn list(&self, limit: usize) -> Vec<Listed> {
        let began = |held: &Held| held.head.first().or(held.tail.front()).map(|first| first.at);
        let mut calls: Vec<(u64, &[u8], &Held)> =
            self.calls.iter().filter_map(|(id, held)| Some((began(held)?, &**id, held))).collect();
        calls.sort_unstable_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.cmp(b.1)));
        calls.into_iter().take(limit).filter_map(|(_, id, held)| held.listed(id)).collect()
    }

    /// Gives up what is too old, and what there is no room for.
    pub fn make_room(&mut self, now: u64) {
        let keep = u64::try_from(self.limits.keep.as_micros()).unwrap_or(u64::MAX);
        while let Some((place, call_id)) = self.order.first_key_value() {
            // Of a standing the oldest comes first; a running call is never too old.
            let old = place.0 != Standing::Running && place.1.saturating_add(keep) < now;
            let full = self.bytes > self.limits.total;
            if !old && !full {
                break;
            }
            let call_id = call_id.clone();
            self.give_up(&call_id);
        }
        // What is over may be too old while a stray exchange before it isn't.
        let over = (Standing::Over, 0, 0)..(Standing::Over, now.saturating_sub(keep), 0);
        let old: Vec<Box<[u8]>> = self.order.range(over).map(|(_, id)| id.clone()).collect();
        for call_id in old {
            self.give_up(&call_id);
        }
    }

    fn give_up(&mut self, call_id: &[u8]) {
        let Some(held) = self.calls.remove(call_id) else { return };
        self.order.remove(&held.place);
        if let Some(call) = held.name {
            self.names.remove(&call);
        }
        self.bytes = self.bytes.saturating_sub(held.bytes + OVERHEAD + call_id.len());
        if self.calls.len() * 8 < self.calls.capacity() && self.calls.capacity() > 1_024 {
            let room = self.calls.len() * 2;
            self.calls.shrink_to(room);
        }
    }
}

impl Held {
    fn new(place: Place) -> Self {
        Self {
            place,
            head: Vec::new(),
            tail: VecDeque::new(),
            head_bytes: 0,
            bytes: 0,
            omitted: 0,
            name: None,
            invited: false,
            established: false,
        }
    }

    fn standing_after(&mut self, summary: &Summary, way: Way) -> Standing {
        let was = self.place.0;
        if summary.is_request() {
            return match (summary.method.as_deref(), way) {
                (Some("INVITE"), way) => {
                    self.invited = true;
                    let ours = way == Way::Out || was != Standing::Stray;
                    if ours { Standing::Running } else { Standing::Stray }
                }
                (Some("BYE"), _) if self.invited && was != Standing::Stray => Standing::Over,
                (_, Way::Out) if !self.invited => Standing::Over,
                _ => was,
            };
        }
        let status = summary.status.unwrap_or_default();
        match (summary.is_about("INVITE"), status, way) {
            (true, 200..300, _) if was != Standing::Over => {
                self.established = true;
                Standing::Running
            }
            // A refused re-INVITE ends nothing.
            (true, 300.., _) if !self.established => Standing::Over,
            (true, 100..200, Way::Out) if was == Standing::Stray => Standing::Running,
            (false, _, Way::Out) if !self.invited => Standing::Over,
            _ => was,
        }
    }

    fn push(&mut self, message: Message, limit: usize) {
        let size = OVERHEAD + message.bytes.len();
        self.bytes += size;
        if self.tail.is_empty() && self.omitted == 0 && self.head_bytes + size <= limit / 2 {
            self.head_bytes += size;
            self.head.push(message);
            return;
        }
        self.tail.push_back(message);
        while self.bytes > limit {
            let Some(dropped) = self.tail.pop_front() else { break };
            self.bytes = self.bytes.saturating_sub(OVERHEAD + dropped.bytes.len());
            self.omitted += 1;
        }
    }

    fn listed(&self, call_id: &[u8]) -> Option<Listed> {
        let first = self.head.first().or(self.tail.front())?;
        let last = self.tail.back().or(self.head.last())?;
        let count = self.head.len() + self.tail.len();
        Some(Listed {
            sip_call_id: call_id.to_vec(),
            call: self.name,
            began: first.at,
            first: Summary::of(&first.bytes).to_string(),
            last: Summary::of(&last.bytes).to_string(),
            peer: first.peer(),
            messages: self.omitted.saturating_add(u64::try_from(count).unwrap_or(u64::MAX)),
            running: self.place.0 == Standing::Running,
        })
    }
}

#[cfg(test)]
mod tests;
