//! RTP: ports, and the workers that exchange media on them.
//!
//! A worker is one thread with a pacing wheel on an absolute clock. Each call has a phase of
//! its own within the packet time; when its turn comes, the worker takes everything that has
//! arrived on the call's port, lets the session make the next packet, and sends it. A port is
//! read at its turns only: what arrives waits in the socket's buffer, stamped by the kernel,
//! until the moment at which the jitter buffer needs it. So a flood costs a bounded part of
//! each turn and wakes nobody, and there is no task, lock or allocation per packet.
//!
//! Around the workers: the porter, a thread that closes and files the ports of ended calls,
//! and the recorder, a thread that writes audio files.

mod block;
mod call;
mod handle;
mod orders;
mod ports;
mod quality;
mod recorder;
mod tape;
mod wheel;
mod worker;

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use media::playout::PlayoutCommand;
use media::session::{MediaEvent, Session, SessionStats};
use tokio::sync::mpsc;

use self::call::Call;
use self::handle::{Command, event_sink};
pub use self::handle::{ControlError, MediaHandle};
use self::orders::Orders;
pub use self::ports::NoPort;
use self::ports::{PortPair, Ports};
pub use self::quality::{GRADES, Quality};
pub use self::recorder::{RecordingEnd, RecordingError, RecordingSpec, RecordingStopped, TapeSpec};
use self::worker::{Totals, Worker};

/// Caller audio as it is handed on: 20 ms, 8 kHz, mono.
pub type CallerFrame = [i16; CALLER_FRAME];
/// Samples in a [`CallerFrame`].
pub const CALLER_FRAME: usize = 160;

/// Orders that may wait for one worker, which takes them every millisecond.
const COMMANDS: usize = 4096;
/// Ended calls that may wait for the porter.
const RETURNS: usize = 4096;
/// Ended calls may wait so long for the porter, to be taken together.
const PORTER_RESTS: Duration = Duration::from_millis(5);

/// Settings of a pool.
#[derive(Debug, Clone)]
pub struct RtpConfig {
    /// The address to bind; unspecified addresses are allowed.
    pub address: IpAddr,
    /// The ports to use. Stay outside `net.ipv4.ip_local_port_range`, from which the kernel
    /// serves others.
    pub ports: RangeInclusive<u16>,
    /// How long a port on which anything arrived rests after its call.
    pub rest: Duration,
    /// Worker threads; one carries over a thousand calls.
    pub workers: usize,
}

impl Default for RtpConfig {
    fn default() -> Self {
        Self {
            address: IpAddr::V4(Ipv4Addr::LOCALHOST),
            ports: 10_000..=32_767,
            rest: Duration::from_secs(30),
            workers: 1,
        }
    }
}

/// What the media side tells a call: edges only.
#[derive(Debug)]
pub enum RtpEvent {
    /// The session reports something.
    Media(MediaEvent),
    /// A recording is complete, or has failed.
    RecordingStopped(RecordingStopped),
    /// The media was closed: the last event but that of a running recording. Lost if there is
    /// no room for it at that moment.
    Ended(Box<SessionStats>),
}

/// What the workers did since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RtpCounters {
    /// Calls attached now.
    pub calls: u64,
    /// Datagrams received, good or bad.
    pub received: u64,
    /// Packets sent.
    pub sent: u64,
    /// Packets the kernel refused.
    pub send_failed: u64,
    /// Turns that came more than 5 ms after their time.
    pub late: u64,
    /// The longest delay of a turn, in microseconds.
    pub latest_us: u64,
    /// How the calls sound.
    pub quality: Quality,
}

/// The ports and the workers. Cloning gives another handle to the same pool; when the last
/// one goes, calls are closed, recordings completed and the threads ended.
#[derive(Clone)]
pub struct RtpPool {
    inner: Arc<Inner>,
}

struct Inner {
    address: IpAddr,
    ports: Arc<Mutex<Ports>>,
    returns: SyncSender<Returned>,
    workers: Vec<WorkerEnd>,
    next: AtomicU64,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

struct WorkerEnd {
    orders: Orders,
    totals: Arc<Totals>,
}

/// What the porter files.
enum Returned {
    /// A port that no call was attached to.
    Port(PortPair),
    /// An ended call.
    Call(Box<Call>),
}

/// A bound port that waits for its call. Dropping it gives it back.
pub struct RtpPort {
    pair: Option<PortPair>,
    local: SocketAddr,
    returns: SyncSender<Returned>,
}

/// What a call's media is connected to.
pub struct Attachment<T> {
    /// The session; its first packet leaves at once.
    pub session: Session,
    /// What to play. Taken as far as the session has room; then the sender has to wait.
    pub playout: mpsc::Receiver<PlayoutCommand>,
    /// Where edges are reported; while it is full they wait, in order.
    pub events: mpsc::Sender<T>,
    /// Where the caller's audio goes, if somebody listens; frames that don't fit are dropped.
    pub audio: Option<mpsc::Sender<CallerFrame>>,
}

/// Why a call could not be attached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AttachError {
    /// The worker has too many orders waiting: it is overloaded.
    #[error("the media worker is overloaded")]
    Overloaded,
    /// The pool is shutting down.
    #[error("the media worker has ended")]
    Ended,
}

impl RtpPool {
    /// Starts the threads. No port is bound yet.
    ///
    /// # Errors
    /// When the system gives no threads.
    pub fn start(config: &RtpConfig, now: Instant) -> io::Result<Self> {
        let ports = Arc::new(Mutex::new(Ports::new(config.address, &config.ports, config.rest)));
        let (returns, returned) = sync_channel(RETURNS);
        let mut threads = vec![spawn("rtp-porter", {
            let ports = ports.clone();
            move || porter(&ports, &returned)
        })?];
        let (jobs, recorder) = recorder::recorder();
        threads.push(spawn("rtp-recorder", recorder)?);
        let mut workers = Vec::new();
        for number in 0..config.workers.max(1) {
            let (orders, inbox) = orders::orders(COMMANDS);
            let totals = Arc::new(Totals::default());
            let worker = Worker::new(now, inbox, returns.clone(), jobs.clone(), totals.clone());
            threads.push(spawn(&format!("rtp-worker-{number}"), move || worker.run())?);
            workers.push(WorkerEnd { orders, totals });
        }
        let threads = Mutex::new(threads);
        let next = AtomicU64::new(0);
        Ok(Self {
            inner: Arc::new(Inner { address: config.address, ports, returns, workers, next, threads }),
        })
    }

    /// A port for a new call, bound and ready to be put into a session description.
    ///
    /// # Errors
    /// When there is none: answer `503`.
    pub fn open(&self, now: Instant) -> Result<RtpPort, NoPort> {
        let pair = lock(&self.inner.ports).take(now)?;
        let local = SocketAddr::new(self.inner.address, pair.port);
        Ok(RtpPort { pair: Some(pair), local, returns: self.inner.returns.clone() })
    }

    /// Hands a call's media to a worker. It runs until the handle is closed or dropped.
    ///
    /// # Errors
    /// When no worker takes it; the port is given back.
    pub fn attach<T>(&self, mut port: RtpPort, attachment: Attachment<T>) -> Result<MediaHandle, AttachError>
    where
        T: From<RtpEvent> + Send + 'static,
    {
        let Some(pair) = port.pair.take() else { return Err(AttachError::Ended) };
        let id = self.inner.next.fetch_add(1, Ordering::Relaxed);
        let turn = usize::try_from(id).unwrap_or(0) % self.inner.workers.len().max(1);
        let Some(worker) = self.inner.workers.get(turn) else { return Err(AttachError::Ended) };
        let handle = MediaHandle::new(id, worker.orders.clone(), &attachment.events);
        let call = Call::new(
            id,
            attachment.session,
            pair,
            handle.closed(),
            attachment.playout,
            event_sink(attachment.events),
            attachment.audio,
        );
        match worker.orders.try_send(Command::Attach(Box::new(call))) {
            Ok(()) => Ok(handle),
            Err(TrySendError::Full(command)) => {
                self.give_back(command);
                Err(AttachError::Overloaded)
            }
            Err(TrySendError::Disconnected(command)) => {
                self.give_back(command);
                Err(AttachError::Ended)
            }
        }
    }

    fn give_back(&self, command: Command) {
        if let Command::Attach(call) = command {
            // A porter that can't keep up only means that the port is closed instead of kept.
            let _ = self.inner.returns.try_send(Returned::Call(call));
        }
    }

    /// What the workers did so far, together.
    #[must_use]
    pub fn counters(&self) -> RtpCounters {
        self.inner.workers.iter().fold(RtpCounters::default(), |sum, worker| {
            let one = worker.totals.read();
            RtpCounters {
                calls: sum.calls + one.calls,
                received: sum.received + one.received,
                sent: sum.sent + one.sent,
                send_failed: sum.send_failed + one.send_failed,
                late: sum.late + one.late,
                latest_us: sum.latest_us.max(one.latest_us),
                quality: sum.quality.and(one.quality),
            }
        })
    }
}

impl Drop for Inner {
    /// Waits for the threads, so that recordings are complete when the process ends.
    fn drop(&mut self) {
        for worker in self.workers.drain(..) {
            worker.orders.shut_down();
        }
        // The porter ends when the last sender of its channel is gone.
        self.returns = sync_channel(1).0;
        let threads = std::mem::take(&mut *lock(&self.threads));
        for thread in threads {
            if thread.join().is_err() {
                tracing::error!("an RTP thread had ended by a panic");
            }
        }
    }
}

impl RtpPort {
    /// The address and even port of RTP.
    #[must_use]
    pub fn local(&self) -> SocketAddr {
        self.local
    }
}

impl Drop for RtpPort {
    fn drop(&mut self) {
        if let Some(pair) = self.pair.take() {
            let _ = self.returns.try_send(Returned::Port(pair));
        }
    }
}

/// Files ended calls' ports; the memory and sockets of the calls are freed here, not in the
/// workers.
fn porter(ports: &Mutex<Ports>, returned: &Receiver<Returned>) {
    while let Ok(first) = returned.recv() {
        file(ports, first);
        // Nobody is woken for what ends meanwhile.
        std::thread::sleep(PORTER_RESTS);
        returned.try_iter().for_each(|next| file(ports, next));
    }
}

fn file(ports: &Mutex<Ports>, returned: Returned) {
    let (pair, carried) = match returned {
        Returned::Port(pair) => (pair, false),
        Returned::Call(call) => call.into_port(),
    };
    let to_close = lock(ports).give_back(pair, carried, Instant::now());
    drop(to_close);
}

fn lock<V>(mutex: &Mutex<V>) -> std::sync::MutexGuard<'_, V> {
    // Whoever panicked with the lock left whole values behind: each step is one push or pop.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn spawn(name: &str, body: impl FnOnce() + Send + 'static) -> io::Result<JoinHandle<()>> {
    std::thread::Builder::new().name(name.to_owned()).spawn(body)
}

#[cfg(test)]
mod tests;
