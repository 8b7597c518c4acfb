//! The threads that send and receive the calls' RTP.
//!
//! Each thread keeps a clock of one-millisecond turns, counted from an epoch, so that a late turn
//! makes no later one late. A socket belongs to one of the twenty phases of a packet time: at its
//! turn everything that has come to it is taken and a packet of each of its calls is sent, many
//! with one system call. Arrival is what the kernel's stamp says, so that it doesn't matter when
//! we look.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::lane::{Desk, Lane, Pair, Playing};
use super::leg::{Agreed, Leg, Measured};
use super::machine::ThreadClock;
use super::plan::PHASES;
use super::tone::Tone;
use crate::net::batch::{self, Precedence};

/// Orders that wait for a thread.
const COMMANDS: usize = 4_096;
/// Orders taken before the clock is looked at again.
const COMMANDS_IN_A_ROW: usize = 64;
/// A turn later than this is counted as late.
const LATE: Duration = Duration::from_millis(5);
/// Turns that are made up for; what is missed beyond them isn't sent any more.
const MADE_UP: u64 = 60;

/// Where a call's RTP goes in and out.
#[derive(Debug)]
pub enum Way {
    /// A shared socket, by thread and number.
    Shared(usize, usize),
    /// A pair of its own.
    Own(Box<Pair>),
}

/// An order for a thread.
enum Command {
    Attach(Box<Attach>),
    Detach(u32),
    Finish,
}

struct Attach {
    call: u32,
    lane: LaneOf,
    remote: SocketAddr,
    agreed: Agreed,
}

enum LaneOf {
    Shared(usize),
    Own(Box<Pair>),
}

/// What a thread did, beside what it measured of the calls.
#[derive(Debug, Clone, Default)]
pub struct Work {
    /// Of the calls.
    pub measured: Measured,
    /// Datagrams that came, whatever they were.
    pub datagrams: u64,
    /// Packets that came from addresses that no answer named.
    pub unknown: u64,
    /// Packets lost because we didn't read in time.
    pub overflowed: u64,
    /// Packets that the kernel didn't take.
    pub unsent: u64,
    /// Turns later than 5 ms.
    pub late: u64,
    /// All turns.
    pub turns: u64,
    /// The latest of them.
    pub latest: Duration,
    /// The largest part of a core that one thread had.
    pub busiest: f64,
    /// Whether the threads run with real-time priority.
    pub real_time: bool,
}

/// What all threads did so far, for whoever watches.
#[derive(Debug, Default)]
pub struct Live {
    /// Packets sent.
    pub sent: AtomicU64,
    /// Packets received.
    pub received: AtomicU64,
    /// Late turns.
    pub late: AtomicU64,
}

/// The threads.
pub struct Media {
    threads: Vec<(SyncSender<Command>, JoinHandle<Work>)>,
    /// The ports of the shared sockets, thread by thread.
    ports: Vec<Vec<u16>>,
    address: IpAddr,
}

impl Media {
    /// Opens the shared sockets, so many for each thread, and starts the threads.
    ///
    /// # Errors
    /// When the system gives no sockets or threads.
    pub fn start(
        address: IpAddr,
        threads: usize,
        sockets: usize,
        tone: &Arc<Tone>,
        live: &Arc<Live>,
    ) -> io::Result<Self> {
        let mut media = Self { threads: Vec::new(), ports: Vec::new(), address };
        let epoch = Instant::now();
        for number in 0..threads {
            let mut worker = Worker::new(epoch, tone.clone(), live.clone());
            let mut ports = Vec::new();
            for at in 0..sockets {
                let pair = Pair::open(address)?;
                ports.push(pair.port()?);
                // Evenly over the packet time, however few there are.
                worker.add_lane(pair, (at as u64 * PHASES / sockets as u64) % PHASES, false);
            }
            let (commands, inbox) = sync_channel(COMMANDS);
            let body = move || worker.run(&inbox);
            let thread = std::thread::Builder::new().name(format!("load-media-{number}")).spawn(body)?;
            media.threads.push((commands, thread));
            media.ports.push(ports);
        }
        Ok(media)
    }

    /// The way of a call's RTP and the port that its offer names.
    ///
    /// # Errors
    /// When the system gives no more sockets.
    pub fn way(&self, call: u32, own: bool) -> io::Result<(Way, u16)> {
        if own {
            let pair = Pair::open(self.address)?;
            let port = pair.port()?;
            return Ok((Way::Own(Box::new(pair)), port));
        }
        let thread = call as usize % self.ports.len().max(1);
        let ports = self.ports.get(thread).ok_or(io::ErrorKind::NotFound)?;
        let lane = call as usize / self.ports.len().max(1) % ports.len().max(1);
        Ok((Way::Shared(thread, lane), *ports.get(lane).ok_or(io::ErrorKind::NotFound)?))
    }

    /// Begins a call's media.
    pub fn attach(&self, call: u32, way: Way, remote: SocketAddr, agreed: Agreed) {
        let (thread, lane) = match way {
            Way::Shared(thread, lane) => (thread, LaneOf::Shared(lane)),
            Way::Own(pair) => (self.thread_of(call), LaneOf::Own(pair)),
        };
        self.order(thread, Command::Attach(Box::new(Attach { call, lane, remote, agreed })));
    }

    /// Ends a call's media, with what has come until now.
    pub fn detach(&self, call: u32) {
        self.order(self.thread_of(call), Command::Detach(call));
    }

    /// Ends everything and gives what was done.
    #[must_use]
    pub fn finish(self) -> Work {
        let mut sum = Work { real_time: true, ..Work::default() };
        for (commands, thread) in self.threads {
            // A thread without an inbox has ended by a panic, which `join` then tells.
            let _ = commands.send(Command::Finish);
            match thread.join() {
                Ok(work) => sum.add(&work),
                Err(_) => tracing::error!("a media thread of the load run has ended by a panic"),
            }
        }
        sum
    }

    fn thread_of(&self, call: u32) -> usize {
        call as usize % self.threads.len().max(1)
    }

    /// Waits for room: a thread takes its orders every millisecond.
    fn order(&self, thread: usize, command: Command) {
        if let Some((commands, _)) = self.threads.get(thread) {
            let _ = commands.send(command);
        }
    }
}

impl Work {
    fn add(&mut self, other: &Self) {
        self.measured.merge(&other.measured);
        self.datagrams += other.datagrams;
        self.unknown += other.unknown;
        self.overflowed += other.overflowed;
        self.unsent += other.unsent;
        self.late += other.late;
        self.turns += other.turns;
        self.latest = self.latest.max(other.latest);
        self.busiest = self.busiest.max(other.busiest);
        self.real_time &= other.real_time;
    }
}

/// One thread.
struct Worker {
    epoch: Instant,
    /// All turns before this one have been made or left out.
    made: u64,
    /// The next one in which there is anything to do.
    next: u64,
    lanes: Vec<Option<Lane>>,
    free: Vec<usize>,
    phases: [Vec<usize>; PHASES as usize],
    /// The lane of each call.
    places: HashMap<u32, usize>,
    desk: Desk,
    live: Arc<Live>,
    /// What of it `live` has already.
    published: (u64, u64, u64),
}

impl Worker {
    fn new(epoch: Instant, tone: Arc<Tone>, live: Arc<Live>) -> Self {
        Self {
            epoch,
            made: 0,
            next: 0,
            lanes: Vec::new(),
            free: Vec::new(),
            phases: std::array::from_fn(|_| Vec::new()),
            places: HashMap::new(),
            desk: Desk::new(tone),
            live,
            published: (0, 0, 0),
        }
    }

    fn add_lane(&mut self, pair: Pair, phase: u64, own: bool) -> usize {
        let at = self.free.pop().unwrap_or_else(|| {
            self.lanes.push(None);
            self.lanes.len() - 1
        });
        if let Some(place) = self.lanes.get_mut(at) {
            *place = Some(Lane::new(pair, own));
        }
        let phase = usize::try_from(phase % PHASES).unwrap_or_default();
        if let Some(lanes) = self.phases.get_mut(phase) {
            lanes.push(at);
        }
        at
    }

    fn run(mut self, inbox: &Receiver<Command>) -> Work {
        self.desk.work.real_time = batch::prefer_this_thread() == Precedence::RealTime;
        let clock = ThreadClock::start();
        self.made = self.present();
        self.next = self.following(self.made);
        while self.take_commands(inbox) {
            let present = self.present();
            if present > self.next + MADE_UP {
                self.next = self.following(present - MADE_UP);
            }
            while self.next <= present {
                self.turn(self.next);
                self.made = self.next + 1;
                self.next = self.following(self.made);
            }
            self.publish();
        }
        for lane in self.lanes.iter_mut().flatten() {
            lane.let_end(|_| true);
            lane.receive(&mut self.desk);
            lane.drop_ended(&mut self.desk.work);
        }
        self.desk.work.busiest = clock.share();
        self.desk.work
    }

    /// The turn that the clock stands at.
    fn present(&self) -> u64 {
        u64::try_from(self.epoch.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// The first turn from this one on in which there is anything to do.
    fn following(&self, turn: u64) -> u64 {
        let busy = |turn: &u64| {
            let phase = usize::try_from(turn % PHASES).unwrap_or_default();
            self.phases.get(phase).is_some_and(|lanes| !lanes.is_empty())
        };
        (turn..turn + PHASES).find(busy).unwrap_or(turn + PHASES)
    }

    fn due(&self, turn: u64) -> Instant {
        self.epoch + Duration::from_millis(turn)
    }

    /// Waits for orders until the next turn. `false` when there is nothing more to do.
    fn take_commands(&mut self, inbox: &Receiver<Command>) -> bool {
        for _ in 0..COMMANDS_IN_A_ROW {
            let wait = self.due(self.next).saturating_duration_since(Instant::now());
            match inbox.recv_timeout(wait) {
                Ok(Command::Attach(attach)) => self.attach(*attach),
                Ok(Command::Detach(call)) => self.detach(call),
                Ok(Command::Finish) | Err(RecvTimeoutError::Disconnected) => return false,
                Err(RecvTimeoutError::Timeout) => break,
            }
        }
        true
    }

    fn attach(&mut self, attach: Attach) {
        let Attach { call, lane, remote, agreed } = attach;
        let at = match lane {
            LaneOf::Shared(at) => at,
            LaneOf::Own(pair) => self.add_lane(*pair, u64::from(call), true),
        };
        let Some(Some(lane)) = self.lanes.get_mut(at) else { return };
        lane.begin(Playing::new(call, remote, Leg::new(agreed)), &mut self.desk.work);
        self.places.insert(call, at);
        // Its socket may be due before those that there were.
        self.next = self.following(self.made);
    }

    fn detach(&mut self, call: u32) {
        let Some(at) = self.places.remove(&call) else { return };
        if let Some(Some(lane)) = self.lanes.get_mut(at) {
            lane.let_end(|playing| playing.call == call);
        }
    }

    /// One turn of the clock: the sockets of its phase.
    fn turn(&mut self, turn: u64) {
        let delay = Instant::now().saturating_duration_since(self.due(turn));
        let work = &mut self.desk.work;
        work.turns += 1;
        work.late += u64::from(delay > LATE);
        work.latest = work.latest.max(delay);
        let phase = usize::try_from(turn % PHASES).unwrap_or_default();
        let Some(lanes) = self.phases.get_mut(phase) else { return };
        lanes.retain(|at| {
            let Some(place) = self.lanes.get_mut(*at) else { return false };
            let Some(lane) = place else { return false };
            lane.receive(&mut self.desk);
            lane.drop_ended(&mut self.desk.work);
            lane.send(&mut self.desk);
            let over = lane.is_over();
            if over {
                *place = None;
                self.free.push(*at);
            }
            !over
        });
    }

    /// Adds what is new to what all threads did.
    fn publish(&mut self) {
        let work = &self.desk.work;
        let now = (work.measured.sent, work.datagrams, work.late);
        let add = |total: &AtomicU64, now: u64, before: u64| total.fetch_add(now - before, Ordering::Relaxed);
        add(&self.live.sent, now.0, self.published.0);
        add(&self.live.received, now.1, self.published.1);
        add(&self.live.late, now.2, self.published.2);
        self.published = now;
    }
}
