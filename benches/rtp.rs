//! RTP workers under load, on loopback: processor time per call, the rhythm of what leaves,
//! and what it costs to set media up and take it down.
//!
//! `cargo bench --bench rtp -- [calls] [seconds]` runs the given number of G.711 calls, both
//! ways, against a far end in a thread of its own that stamps what it hears by the kernel's
//! clock. The far end costs about as much as the worker and is counted apart. On two cores
//! the two run side by side; with anything else running the gaps are the machine's.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "a benchmark measures itself: nothing here comes from outside"
)]

use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use media::codec::Codec;
use media::playout::{Chunk, PlayoutCommand, UtteranceId};
use media::sdp::PayloadTypes;
use media::session::{Agreement, Session, SessionConfig};
use offhook::net::batch::{self, ReceiveArena};
use offhook::net::rtp::{Attachment, MediaHandle, RtpConfig, RtpEvent, RtpPool};
use tokio::sync::mpsc;

const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
/// Kernel clock ticks per second in /proc.
const TICKS: f64 = 100.0;

fn main() {
    let numbers: Vec<u64> = std::env::args().filter_map(|text| text.parse().ok()).collect();
    let calls = numbers.first().map_or(500, |calls| usize::try_from(*calls).unwrap());
    let length = Duration::from_secs(numbers.get(1).copied().unwrap_or(10));
    batch::raise_descriptor_limit().unwrap();
    set_up_and_take_down();
    steady(calls, length);
}

/// A call's media as its owner holds it.
struct Held {
    _handle: MediaHandle,
    playout: mpsc::Sender<PlayoutCommand>,
    _events: mpsc::Receiver<RtpEvent>,
}

fn attach(pool: &RtpPool, remote: SocketAddr) -> (Held, SocketAddr) {
    let now = Instant::now();
    let agreement =
        Agreement { telephone_event: Some(PayloadTypes::same(101)), ..Agreement::new(Codec::Pcmu, remote) };
    let port = pool.open(now).unwrap();
    let local = port.local();
    let (playout, commands) = mpsc::channel(8);
    let (events, inbox) = mpsc::channel(8);
    let session = Session::new(SessionConfig::new(agreement, 1, 1, 1), now);
    let handle = pool.attach(port, Attachment { session, playout: commands, events, audio: None }).unwrap();
    (Held { _handle: handle, playout, _events: inbox }, local)
}

/// Opens, attaches and closes as fast as it goes, without media and so with kept ports, then
/// with fresh sockets each time.
fn set_up_and_take_down() {
    const ROUNDS: u32 = 2_000;
    let nobody = UdpSocket::bind((LOOPBACK, 0)).unwrap().local_addr().unwrap();
    for (what, pause) in [("fresh sockets", Duration::ZERO), ("kept sockets", Duration::from_millis(600))] {
        let pool = RtpPool::start(&RtpConfig::default(), Instant::now()).unwrap();
        let mut held = Vec::new();
        if !pause.is_zero() {
            held.extend((0..1_000).map(|_| attach(&pool, nobody)));
            held.clear();
            std::thread::sleep(pause);
        }
        let rounds = if pause.is_zero() { ROUNDS } else { ROUNDS / 2 };
        let (cpu, started) = (process_cpu(), Instant::now());
        for _ in 0..rounds {
            drop(attach(&pool, nobody));
        }
        let caller = started.elapsed();
        while pool.counters().calls > 0 {
            std::thread::yield_now();
        }
        drop(pool);
        let total = process_cpu() - cpu;
        println!(
            "open + attach + close, {what}: {:.1} µs in the caller, {:.1} µs of processor in all",
            caller.as_secs_f64() * 1e6 / f64::from(rounds),
            total * 1e6 / f64::from(rounds),
        );
    }
}

fn steady(calls: usize, length: Duration) {
    let pool = RtpPool::start(&RtpConfig::default(), Instant::now()).unwrap();
    let sockets: Vec<UdpSocket> = (0..calls).map(|_| UdpSocket::bind((LOOPBACK, 0)).unwrap()).collect();
    let remotes: Vec<SocketAddr> = sockets.iter().map(|socket| socket.local_addr().unwrap()).collect();
    let mut held = Vec::new();
    let mut locals = Vec::new();
    let speech: Arc<[i16]> = vec![1000; 8 * 60_000].into();
    for (number, remote) in remotes.into_iter().enumerate() {
        let (call, local) = attach(&pool, remote);
        let chunk = Chunk::Pcm(speech.clone());
        let utterance = UtteranceId(number as u64);
        call.playout.try_send(PlayoutCommand::Audio { utterance, chunk }).unwrap();
        held.push(call);
        locals.push(local);
        // Calls come in over some seconds, not all at once.
        std::thread::sleep(Duration::from_micros(1_300));
    }
    let stop = Arc::new(AtomicBool::new(false));
    let far = far_end(sockets, locals, stop.clone());
    std::thread::sleep(Duration::from_secs(2));
    let before = (pool.counters(), threads_cpu("rtp-worker"), threads_cpu("far-end"));
    let started = Instant::now();
    std::thread::sleep(length);
    let took = started.elapsed().as_secs_f64();
    let after = (pool.counters(), threads_cpu("rtp-worker"), threads_cpu("far-end"));
    let rss = resident();
    stop.store(true, Ordering::Release);
    let mut gaps = far.join().unwrap();
    let worker = (after.1 - before.1) / took;
    println!(
        "{calls} calls for {took:.1} s: worker {:.1} % of a core, {:.3} % a call ({:.1} µs a frame); \
         far end {:.1} %; RSS {rss} MB",
        worker * 100.0,
        worker * 100.0 / calls as f64,
        worker * 1e6 / (calls as f64 * 50.0),
        (after.2 - before.2) / took * 100.0,
    );
    println!(
        "{:.1} packets sent and {:.1} received a second and call; {} late turns, latest {} µs since the start",
        (after.0.sent - before.0.sent) as f64 / took / calls as f64,
        (after.0.received - before.0.received) as f64 / took / calls as f64,
        after.0.late - before.0.late,
        after.0.latest_us,
    );
    gaps.sort_unstable();
    let at = |part: f64| gaps[((gaps.len() - 1) as f64 * part) as usize] as f64 / 1e6;
    println!(
        "output gap of {} packets: p1 {:.2} ms, p50 {:.2} ms, p99 {:.2} ms, p99.9 {:.2} ms, longest {:.2} ms",
        gaps.len(),
        at(0.01),
        at(0.5),
        at(0.99),
        at(0.999),
        at(1.0),
    );
}

/// Speaks on every socket each 20 ms and gives the gaps, in nanoseconds of the kernel's clock,
/// between the packets heard on each.
fn far_end(sockets: Vec<UdpSocket>, locals: Vec<SocketAddr>, stop: Arc<AtomicBool>) -> JoinHandle<Vec<u64>> {
    let body = move || {
        let mut arena = ReceiveArena::<8>::new(2048);
        let mut packet = [0x55; 172];
        let mut last: Vec<Option<Duration>> = vec![None; sockets.len()];
        let mut gaps = Vec::new();
        for socket in &sockets {
            socket.set_nonblocking(true).unwrap();
            while arena.receive(socket.as_fd()).is_ok() {}
            batch::enable_timestamps(socket.as_fd()).unwrap();
        }
        let started = Instant::now();
        for turn in 0_u32.. {
            if stop.load(Ordering::Acquire) {
                break;
            }
            // Twenty groups of calls, one each millisecond.
            let due = started + Duration::from_millis(u64::from(turn));
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            let number = turn / 20;
            packet[0] = 0x80;
            packet[1] = 0;
            packet[2..4].copy_from_slice(&number.to_be_bytes()[2..]);
            packet[4..8].copy_from_slice(&(number * 160).to_be_bytes());
            for at in (turn as usize % 20..sockets.len()).step_by(20) {
                let _ = sockets[at].send_to(&packet, locals[at]);
                if arena.receive(sockets[at].as_fd()).is_err() {
                    continue;
                }
                for heard in arena.received() {
                    let Some(arrived) = heard.arrived else { continue };
                    if let Some(before) = last[at].replace(arrived)
                        && turn > 2_000
                    {
                        gaps.push(arrived.saturating_sub(before).as_nanos() as u64);
                    }
                }
            }
        }
        gaps
    };
    std::thread::Builder::new().name("far-end".to_owned()).spawn(body).unwrap()
}

/// Processor time used so far, in seconds, by the threads whose name begins like this.
fn threads_cpu(name: &str) -> f64 {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap();
    tasks
        .filter_map(|task| {
            let path = task.ok()?.path();
            let own = std::fs::read_to_string(path.join("comm")).ok()?;
            if !own.starts_with(name) {
                return None;
            }
            // Nanoseconds on a processor, by the scheduler.
            let stat = std::fs::read_to_string(path.join("schedstat")).ok()?;
            stat.split_whitespace().next()?.parse::<f64>().ok()
        })
        .sum::<f64>()
        / 1e9
}

/// Processor time of the whole process so far, in seconds.
fn process_cpu() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    (fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap()) / TICKS
}

fn resident() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 4096 / 1_000_000
}
