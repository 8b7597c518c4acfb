//! The task that takes what the tap has seen: masks it, holds it, reports it, stores it.

use std::borrow::Cow;
use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, MissedTickBehavior};

use self::report::Reporter;
use super::book::Book;
use super::follow::{self, Followed, MAX_FOLLOWERS};
use super::tap::{Basket, Seen};
use super::{Follower, Limits, Listed, Message, Summary, Tap, Trace, Way, files, mask, scan};
use crate::call::ports::CallTrace;
use crate::config::{StoreTraces, Trace as Settings};
use crate::ids::CallId;

mod report;

/// Questions that wait; beyond, the name of a call is dropped and counted.
const ASKS: usize = 4_096;
/// The pause between two looks at what came: the work of many calls is done in one go.
const REST: Duration = Duration::from_millis(10);
/// A call's last messages cross with the end of its record: its trace is stored this long after.
const SETTLE: Duration = Duration::from_secs(3);
/// Calls that wait to be stored.
const MAX_STORING: usize = 10_000;
/// Peers whose way to us is remembered.
const MAX_LOCALS: usize = 4_096;
/// How often old files are looked for.
const CLEARING: Duration = Duration::from_secs(3_600);

/// What was counted.
#[derive(Debug, Default)]
pub struct Counters {
    /// Messages and names dropped because the collector was behind.
    pub dropped: Arc<AtomicU64>,
    /// Bytes held.
    pub bytes: AtomicUsize,
    /// Calls held.
    pub calls: AtomicUsize,
    /// Packets sent to the HEP collector.
    pub hep_sent: AtomicU64,
    /// Packets that couldn't be sent to it.
    pub hep_failed: AtomicU64,
    /// Traces stored.
    pub stored: AtomicU64,
    /// Traces that couldn't be stored.
    pub store_failed: AtomicU64,
}

/// What others ask of the collector.
#[derive(Debug)]
enum Ask {
    Name(CallId, Box<[u8]>),
    Ended(CallId),
    Find(String, oneshot::Sender<Option<Trace>>),
    List(usize, oneshot::Sender<Vec<Listed>>),
    Follow(oneshot::Sender<Option<Follower>>),
    Store(CallId, oneshot::Sender<Option<PathBuf>>),
}

/// Reaches the collector. Clones reach the same.
#[derive(Debug, Clone)]
pub struct TraceHandle {
    asks: mpsc::Sender<Ask>,
    store: StoreTraces,
    counters: Arc<Counters>,
}

/// The collector, ready to run.
pub struct Collector {
    settings: Settings,
    data: PathBuf,
    book: Book,
    asks: mpsc::Receiver<Ask>,
    basket: Arc<Basket>,
    listening: Arc<AtomicBool>,
    followers: Vec<Followed>,
    reporter: Option<Reporter>,
    storing: VecDeque<(Instant, CallId)>,
    /// Whether the socket listens on every address, and then: where each peer last sent to.
    wildcard: bool,
    locals: HashMap<IpAddr, SocketAddr>,
    counters: Arc<Counters>,
}

/// Makes the tap, the collector, and the way to reach it.
#[must_use]
pub fn start(settings: Settings, data: PathBuf) -> (Tap, Collector, TraceHandle) {
    let counters = Arc::new(Counters::default());
    let basket = Arc::new(Basket::default());
    let (ask, asks) = mpsc::channel(ASKS);
    let listening = Arc::new(AtomicBool::new(false));
    let tap = Tap::new(Arc::clone(&listening), Arc::clone(&basket), Arc::clone(&counters.dropped));
    let limits = Limits { total: settings.memory, per_call: settings.per_call, keep: settings.keep };
    let handle = TraceHandle { asks: ask, store: settings.store, counters: Arc::clone(&counters) };
    let collector = Collector {
        reporter: settings.hep.clone().map(|hep| Reporter::new(hep, Arc::clone(&counters))),
        book: Book::new(limits),
        settings,
        data,
        asks,
        basket,
        listening,
        followers: Vec::new(),
        storing: VecDeque::new(),
        wildcard: false,
        locals: HashMap::new(),
        counters,
    };
    collector.listen();
    (tap, collector, handle)
}

impl TraceHandle {
    fn tell(&self, ask: Ask) {
        if self.asks.try_send(ask).is_err() {
            self.counters.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// The messages of a call, by its own name or its Call-ID.
    pub async fn find(&self, call: String) -> Option<Trace> {
        let (answer, answered) = oneshot::channel();
        self.asks.send(Ask::Find(call, answer)).await.ok()?;
        answered.await.ok().flatten()
    }

    /// The calls held, those that began last first.
    pub async fn list(&self, limit: usize) -> Vec<Listed> {
        let (answer, answered) = oneshot::channel();
        if self.asks.send(Ask::List(limit, answer)).await.is_err() {
            return Vec::new();
        }
        answered.await.unwrap_or_default()
    }

    /// Follows every message from now on; `None` when as many do as may.
    pub async fn follow(&self) -> Option<Follower> {
        let (answer, answered) = oneshot::channel();
        self.asks.send(Ask::Follow(answer)).await.ok()?;
        answered.await.ok().flatten()
    }

    /// Stores the messages of a call now; gives the capture's path, or `None` when there is
    /// nothing to store or no way to.
    pub async fn store(&self, call: CallId) -> Option<PathBuf> {
        let (answer, answered) = oneshot::channel();
        self.asks.send(Ask::Store(call, answer)).await.ok()?;
        answered.await.ok().flatten()
    }

    /// What was counted.
    #[must_use]
    pub fn counters(&self) -> &Counters {
        &self.counters
    }
}

impl CallTrace for TraceHandle {
    fn name(&self, call: CallId, sip_call_id: &[u8]) {
        self.tell(Ask::Name(call, sip_call_id.into()));
    }

    fn ended(&self, call: CallId, failed: bool) -> Option<String> {
        let store = match self.store {
            StoreTraces::None => false,
            StoreTraces::Failed => failed,
            StoreTraces::All => true,
        };
        if store {
            self.tell(Ask::Ended(call));
        }
        store.then(|| files::pcap_file(call))
    }
}

impl Collector {
    /// Runs until `stop` turns true, then stores what waits to be.
    pub async fn run(mut self, mut stop: watch::Receiver<bool>) {
        let mut second = tokio::time::interval(Duration::from_secs(1));
        second.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut clearing = tokio::time::interval(CLEARING);
        let mut rested = Instant::now();
        loop {
            let resting = Instant::now() < rested;
            tokio::select! {
                seen = self.basket.next(), if !resting => {
                    self.take(seen);
                    rested = Instant::now() + REST;
                }
                Some(ask) = self.asks.recv(), if !resting => {
                    // Whoever asks has seen what is still in the basket happen.
                    self.take(self.basket.take());
                    self.answer(ask);
                    while let Ok(ask) = self.asks.try_recv() {
                        self.answer(ask);
                    }
                    rested = Instant::now() + REST;
                }
                () = tokio::time::sleep_until(rested), if resting => {}
                _ = second.tick() => self.every_second(),
                _ = clearing.tick() => self.clear_old(),
                _ = stop.wait_for(|stop| *stop) => break,
            }
        }
        self.take(self.basket.take());
        while let Ok(ask) = self.asks.try_recv() {
            self.answer(ask);
        }
        for (_, call) in std::mem::take(&mut self.storing) {
            self.store(call, None);
        }
    }

    /// Opens the tap when somebody wants what comes out of it.
    fn listen(&self) {
        let wanted = self.settings.memory > 0 || self.reporter.is_some() || !self.followers.is_empty();
        self.listening.store(wanted, Ordering::Relaxed);
    }

    fn take(&mut self, batch: Vec<Seen>) {
        for seen in batch {
            self.take_one(seen);
        }
        self.counters.bytes.store(self.book.bytes(), Ordering::Relaxed);
        self.counters.calls.store(self.book.calls(), Ordering::Relaxed);
    }

    fn take_one(&mut self, seen: Seen) {
        let mut bytes = seen.bytes.to_vec().into_boxed_slice();
        let parts = scan::parts(&bytes);
        mask::apply(&mut bytes, &parts, self.settings.mask_digits);
        let local = self.local_address(&seen, &bytes, &parts);
        let (source, destination) = match seen.way {
            Way::In => (seen.peer, local),
            Way::Out => (local, seen.peer),
        };
        let transport = Cow::Borrowed(seen.transport.via_name());
        let message = Message { at: seen.at, way: seen.way, transport, source, destination, bytes };
        let call_id = parts.call_id(&message.bytes);
        if let Some(reporter) = &mut self.reporter {
            reporter.report(&message, call_id);
        }
        if !self.followers.is_empty() {
            let shared = Arc::new(message.clone());
            self.followers.iter().for_each(|follower| follower.tell(&shared));
        }
        let call_id = call_id.to_vec();
        let summary = Summary::read(&message.bytes, &parts);
        self.book.take(&call_id, &summary, message);
    }

    /// Our address. A socket that listens on every address doesn't know which one a message leaves
    /// from: the one that the peer last sent to, or what our own `Via` says.
    fn local_address(&mut self, seen: &Seen, bytes: &[u8], parts: &scan::Parts) -> SocketAddr {
        match (seen.way, seen.local.ip().is_unspecified()) {
            (Way::In, false) if self.wildcard => {
                if self.locals.len() >= MAX_LOCALS {
                    self.locals.clear();
                }
                self.locals.insert(seen.peer.ip(), seen.local);
                seen.local
            }
            (Way::Out, true) => {
                self.wildcard = true;
                let known = self.locals.get(&seen.peer.ip()).copied();
                known.or_else(|| sent_by(seen, bytes, parts)).unwrap_or(seen.local)
            }
            _ => seen.local,
        }
    }

    fn answer(&mut self, ask: Ask) {
        // Each asker may have gone.
        match ask {
            Ask::Name(call, sip_call_id) => self.book.name(call, &sip_call_id, now()),
            Ask::Ended(call) if self.storing.len() < MAX_STORING => {
                self.storing.push_back((Instant::now() + SETTLE, call));
            }
            Ask::Ended(_) => drop(self.counters.store_failed.fetch_add(1, Ordering::Relaxed)),
            Ask::Find(call, answer) => drop(answer.send(self.book.find(&call))),
            Ask::List(limit, answer) => drop(answer.send(self.book.list(limit))),
            Ask::Follow(answer) => drop(answer.send(self.follow())),
            Ask::Store(call, answer) => self.store(call, Some(answer)),
        }
    }

    fn follow(&mut self) -> Option<Follower> {
        self.followers.retain(Followed::is_there);
        if self.followers.len() >= MAX_FOLLOWERS {
            return None;
        }
        let (followed, follower) = follow::pair();
        self.followers.push(followed);
        self.listen();
        Some(follower)
    }

    fn every_second(&mut self) {
        self.book.make_room(now());
        self.followers.retain(Followed::is_there);
        self.listen();
        if let Some(reporter) = &mut self.reporter {
            reporter.look_after();
        }
        let now = Instant::now();
        while let Some((_, call)) = self.storing.pop_front_if(|(due, _)| *due <= now) {
            self.store(call, None);
        }
    }

    /// Files are written by a thread that may wait.
    fn store(&self, call: CallId, answer: Option<oneshot::Sender<Option<PathBuf>>>) {
        let Some(trace) = self.book.find(&call.to_string()) else {
            self.counters.store_failed.fetch_add(1, Ordering::Relaxed);
            return;
        };
        let (data, counters) = (self.data.clone(), Arc::clone(&self.counters));
        tokio::task::spawn_blocking(move || {
            let stored = files::store(&data, call, &trace);
            let count = if stored.is_ok() { &counters.stored } else { &counters.store_failed };
            count.fetch_add(1, Ordering::Relaxed);
            if let Err(error) = &stored {
                tracing::warn!(%call, %error, "a trace can't be stored");
            }
            if let Some(answer) = answer {
                drop(answer.send(stored.ok()));
            }
        });
    }

    fn clear_old(&self) {
        let (data, keep) = (self.data.clone(), self.settings.store_for);
        tokio::task::spawn_blocking(move || match files::clear_old(&data, keep, SystemTime::now()) {
            Ok(0) => {}
            Ok(files) => tracing::info!(files, "old traces are deleted"),
            Err(error) => tracing::warn!(%error, "old traces can't be looked through"),
        });
    }
}

/// Microseconds since 1970.
fn now() -> u64 {
    let since = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}

/// What the `Via` of a request of ours says; its port is the one that we listen on.
fn sent_by(seen: &Seen, bytes: &[u8], parts: &scan::Parts) -> Option<SocketAddr> {
    if bytes.starts_with(b"SIP/2.0 ") {
        return None;
    }
    let via = std::str::from_utf8(parts.value(bytes, "Via", "v")?).ok()?;
    let host = via.split(' ').nth(1)?.split([';', ',']).next()?.trim();
    host.parse().ok().or_else(|| Some(SocketAddr::new(host.parse().ok()?, seen.local.port())))
}

#[cfg(test)]
mod tests;
