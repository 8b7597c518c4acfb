//! A bad network for one stream of datagrams: it loses, delays and puts out of order what goes in
//! one direction, by a seed, and lets the other direction through as it is.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// What it does to a datagram.
#[derive(Debug, Clone, Copy)]
pub struct Impairments {
    /// Where its choices come from; the same seed makes the same choices.
    pub seed: u64,
    /// How many of a thousand are lost, each by itself.
    pub lost_permille: u64,
    /// The most that one is delayed; every delay up to it is as likely.
    pub jitter: Duration,
}

/// A relay in front of somebody's port.
pub struct Relay {
    /// The port that stands for theirs.
    pub port: u16,
    counts: Arc<Counts>,
}

#[derive(Default)]
struct Counts {
    passed: AtomicU64,
    lost: AtomicU64,
    ended: AtomicBool,
}

impl Relay {
    /// Stands for a port of this machine. What is sent to [`Relay::port`] goes there at once; what
    /// comes back from there is impaired.
    pub fn before(port: u16, impairments: Impairments) -> Self {
        let bind = || UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let (outer, inner) = (Arc::new(bind()), Arc::new(bind()));
        let counts = Arc::new(Counts::default());
        let relay = Self { port: outer.local_addr().unwrap().port(), counts: Arc::clone(&counts) };
        let far = Arc::new(Mutex::new(None));
        let threads = [outer.clone(), inner.clone()];
        for socket in &threads {
            socket.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
        }
        let (to_them, known, ending) = (inner.clone(), Arc::clone(&far), Arc::clone(&counts));
        let forward = outer.clone();
        std::thread::spawn(move || {
            let mut datagram = [0; 2_048];
            while !ending.ended.load(Ordering::Relaxed) {
                let Ok((length, from)) = forward.recv_from(&mut datagram) else { continue };
                *known.lock().unwrap() = Some(from);
                let _ = to_them.send_to(&datagram[..length], (Ipv4Addr::LOCALHOST, port));
            }
        });
        std::thread::spawn(move || impair(&inner, &outer, &far, impairments, &counts));
        relay
    }

    /// Datagrams passed on and lost.
    pub fn counts(&self) -> (u64, u64) {
        (self.counts.passed.load(Ordering::Relaxed), self.counts.lost.load(Ordering::Relaxed))
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.counts.ended.store(true, Ordering::Relaxed);
    }
}

fn impair(
    from: &UdpSocket,
    to: &UdpSocket,
    far: &Mutex<Option<SocketAddr>>,
    impairments: Impairments,
    counts: &Counts,
) {
    let mut random = impairments.seed;
    let mut draw = |below: u64| {
        // splitmix64.
        random = random.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (random ^ (random >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % below.max(1)
    };
    let mut waiting: BinaryHeap<Reverse<(Instant, u64, Vec<u8>)>> = BinaryHeap::new();
    let (mut datagram, mut number) = ([0; 2_048], 0);
    while !counts.ended.load(Ordering::Relaxed) {
        while let Some(Reverse((due, _, _))) = waiting.peek()
            && *due <= Instant::now()
        {
            let Some(Reverse((_, _, bytes))) = waiting.pop() else { break };
            if let Some(far) = *far.lock().unwrap() {
                let _ = to.send_to(&bytes, far);
            }
        }
        let now = Instant::now();
        let next = waiting.peek().map_or(now + Duration::from_millis(50), |Reverse((due, _, _))| *due);
        let wait = next.saturating_duration_since(now).max(Duration::from_micros(200));
        from.set_read_timeout(Some(wait)).unwrap();
        let Ok(length) = from.recv(&mut datagram) else { continue };
        number += 1;
        if draw(1_000) < impairments.lost_permille {
            counts.lost.fetch_add(1, Ordering::Relaxed);
            continue;
        }
        counts.passed.fetch_add(1, Ordering::Relaxed);
        let micros = u64::try_from(impairments.jitter.as_micros()).unwrap();
        let delay = Duration::from_micros(draw(micros + 1));
        waiting.push(Reverse((Instant::now() + delay, number, datagram[..length].to_vec())));
    }
}
