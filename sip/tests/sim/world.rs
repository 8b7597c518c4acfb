//! The network between two nodes, and time.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashSet};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;

/// Chance, repeatable: `SplitMix64`.
#[derive(Debug, Clone)]
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound.max(1)
    }

    pub fn chance(&mut self, per_mille: u64) -> bool {
        self.below(1_000) < per_mille
    }

    pub fn between(&mut self, least: u64, most: u64) -> Duration {
        Duration::from_millis(least + self.below(most - least + 1))
    }
}

/// What the network does to a datagram. Jitter beyond the distance of two datagrams reorders.
#[derive(Debug, Clone, Copy)]
pub struct Conditions {
    /// Per mille.
    pub loss: u64,
    /// Per mille.
    pub doubled: u64,
    /// Milliseconds.
    pub delay: u64,
    /// Milliseconds on top, evenly spread.
    pub jitter: u64,
}

impl Conditions {
    /// 5 % loss and 40 ms of jitter each way.
    pub fn figure_19() -> Self {
        Self { loss: 50, doubled: 10, delay: 20, jitter: 40 }
    }

    /// Anything up to this loss.
    pub fn rolled(seed: u64, most_loss: u64) -> Self {
        let mut dice = Dice::new(seed ^ 0xc0de);
        Self {
            loss: dice.below(most_loss + 1),
            doubled: dice.below(200),
            delay: dice.below(150),
            jitter: dice.below(400),
        }
    }
}

pub type Outbox = Vec<(SocketAddr, Bytes)>;

/// One side.
pub trait Node {
    fn address(&self) -> SocketAddr;
    fn receive(&mut self, from: SocketAddr, bytes: Bytes, now: Instant, out: &mut Outbox);
    fn next_at(&self) -> Option<Instant>;
    fn fire(&mut self, now: Instant, out: &mut Outbox);
    /// The process ends and begins anew, without a word and knowing nothing.
    fn restart(&mut self, _now: Instant) {
        panic!("this one doesn't restart");
    }
    /// Calls that aren't over.
    fn dialogs(&self) -> usize;
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Datagram {
    at: Instant,
    serial: u64,
    from: SocketAddr,
    to: SocketAddr,
    bytes: Bytes,
}

pub struct World<A, B> {
    pub a: A,
    pub b: B,
    pub now: Instant,
    pub delivered: u64,
    conditions: Conditions,
    dice: Dice,
    under_way: BinaryHeap<Reverse<Datagram>>,
    serial: u64,
    goodbyes: HashSet<Bytes>,
    last_goodbye: Option<Instant>,
    last_dialog: Option<Instant>,
    /// When, and whether it is `a`; last first.
    restarts: Vec<(Instant, bool)>,
}

impl<A: Node, B: Node> World<A, B> {
    pub fn new(a: A, b: B, conditions: Conditions, dice: Dice) -> Self {
        Self {
            a,
            b,
            now: Instant::now(),
            delivered: 0,
            conditions,
            dice,
            under_way: BinaryHeap::new(),
            serial: 0,
            goodbyes: HashSet::new(),
            last_goodbye: None,
            last_dialog: None,
            restarts: Vec::new(),
        }
    }

    /// Has one side restart so much later.
    pub fn restart_after(&mut self, time: Duration, is_a: bool) {
        self.restarts.push((self.now + time, is_a));
        self.restarts.sort_unstable_by_key(|(at, _)| std::cmp::Reverse(*at));
    }

    /// Goes from moment to moment until nobody waits for anything.
    pub fn run(&mut self, most: Duration) {
        let until = self.now + most;
        loop {
            let arrival = self.under_way.peek().map(|Reverse(datagram)| datagram.at);
            let next = [arrival, self.a.next_at(), self.b.next_at()].into_iter().flatten().min();
            let Some(at) = next else { return };
            assert!(at <= until, "still busy after {most:?}");
            self.now = self.now.max(at);
            if let Some((_, is_a)) = self.restarts.pop_if(|(due, _)| *due <= at) {
                if is_a {
                    self.a.restart(self.now)
                } else {
                    self.b.restart(self.now)
                }
                continue;
            }
            let (mut from_a, mut from_b) = (Outbox::new(), Outbox::new());
            if arrival == Some(at) {
                self.deliver(&mut from_a, &mut from_b);
            } else if self.a.next_at() == Some(at) {
                self.a.fire(self.now, &mut from_a);
            } else {
                self.b.fire(self.now, &mut from_b);
            }
            let (a, b) = (self.a.address(), self.b.address());
            self.send(a, from_a);
            self.send(b, from_b);
            if self.a.dialogs() + self.b.dialogs() > 0 {
                self.last_dialog = Some(self.now);
            }
        }
    }

    /// How long dialogs were known after the first BYE of the last call had gone out.
    pub fn last_dialog_after_goodbye(&self) -> Duration {
        match (self.last_goodbye, self.last_dialog) {
            (Some(goodbye), Some(dialog)) => dialog.saturating_duration_since(goodbye),
            _ => Duration::ZERO,
        }
    }

    fn deliver(&mut self, from_a: &mut Outbox, from_b: &mut Outbox) {
        let Some(Reverse(datagram)) = self.under_way.pop() else { return };
        self.delivered += 1;
        if datagram.to == self.a.address() {
            self.a.receive(datagram.from, datagram.bytes, self.now, from_a);
        } else if datagram.to == self.b.address() {
            self.b.receive(datagram.from, datagram.bytes, self.now, from_b);
        } else {
            panic!("nobody lives at {}", datagram.to);
        }
    }

    fn send(&mut self, from: SocketAddr, out: Outbox) {
        for (to, bytes) in out {
            // A repetition is the same to the byte.
            if bytes.starts_with(b"BYE ") && self.goodbyes.insert(bytes.clone()) {
                self.last_goodbye = Some(self.now);
            }
            let copies = if self.dice.chance(self.conditions.doubled) { 2 } else { 1 };
            for _ in 0..copies {
                if self.dice.chance(self.conditions.loss) {
                    continue;
                }
                let delay = self.conditions.delay + self.dice.below(self.conditions.jitter + 1);
                self.serial += 1;
                self.under_way.push(Reverse(Datagram {
                    at: self.now + Duration::from_millis(delay),
                    serial: self.serial,
                    from,
                    to,
                    bytes: bytes.clone(),
                }));
            }
        }
    }
}
