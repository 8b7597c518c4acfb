//! One whole call through the endpoint: INVITE, 100, 180, 200, ACK, BYE, 200, in a process that
//! has had a thousand calls a second for the last half minute.

#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]
#![allow(clippy::disallowed_methods, reason = "a benchmark reads the clock")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use sip::endpoint::flow::{Flow, Transport};
use sip::endpoint::policy::{PolicyId, Standing};
use sip::endpoint::{Config, Endpoint, Event, Input, Output};

use sip::message::StatusCode;

/// Counts what is allocated.
struct Counting;

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);
static ALLOCATED: AtomicU64 = AtomicU64::new(0);

#[allow(unsafe_code, reason = "an allocator can't be written otherwise; it only counts")]
// SAFETY: everything is passed on to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        ALLOCATED.fetch_add(layout.size() as u64, Ordering::Relaxed);
        // SAFETY: as the caller promised.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as the caller promised.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

const LISTED: Standing = Standing::Listed(PolicyId(0));
const OFFER: &str = "v=0\r\no=- 1 1 IN IP4 192.0.2.10\r\ns=-\r\nc=IN IP4 192.0.2.10\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0 8 101\r\na=rtpmap:101 telephone-event/8000\r\na=ptime:20\r\na=sendrecv\r\n";

struct Line {
    endpoint: Endpoint,
    flow: Flow,
    now: Instant,
    calls: u64,
}

impl Line {
    fn new() -> Self {
        Self {
            endpoint: Endpoint::new(Config::default(), [3; 32]),
            flow: Flow {
                transport: Transport::Udp,
                peer: "192.0.2.10:5060".parse().unwrap(),
                local: "192.0.2.1:5060".parse().unwrap(),
                connection: None,
            },
            now: Instant::now(),
            calls: 0,
        }
    }

    fn request(&self, method: &str, to_tag: &str, cseq: u32, body: &str) -> Bytes {
        let number = self.calls;
        let content = if body.is_empty() { "" } else { "Content-Type: application/sdp\r\n" };
        // The ACK of a 2xx is a transaction of its own.
        Bytes::from(format!(
            "{method} sip:+33199000001@192.0.2.1:5060 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bK-{method}-{number}\r\n\
             From: \"Caller\" <sip:+33612345678@192.0.2.10>;tag=f{number}\r\nTo: <sip:+33199000001@192.0.2.1>{to_tag}\r\n\
             Call-ID: {number}@192.0.2.10\r\nCSeq: {cseq} {method}\r\nContact: <sip:caller@192.0.2.10:5060>\r\n\
             Max-Forwards: 70\r\nUser-Agent: bench\r\nAllow: INVITE, ACK, BYE, CANCEL, OPTIONS\r\n{content}Content-Length: {}\r\n\r\n{body}",
            body.len()
        ))
    }

    fn give(&mut self, bytes: Bytes) -> (Option<Event>, Option<Bytes>) {
        self.endpoint.handle(Input::Received { flow: self.flow, bytes, standing: LISTED }, self.now);
        self.drain()
    }

    fn drain(&mut self) -> (Option<Event>, Option<Bytes>) {
        let (mut event, mut sent) = (None, None);
        while let Some(output) = self.endpoint.poll_output() {
            match output {
                Output::Event(one) => event = Some(one),
                Output::Transmit(one) => sent = Some(black_box(one.bytes)),
            }
        }
        (event, sent)
    }

    /// One call; gives the time that the endpoint took for it.
    fn call(&mut self) -> Duration {
        self.calls += 1;
        self.now += Duration::from_millis(1);
        let invite = self.request("INVITE", "", 1, OFFER);
        let start = Instant::now();
        if self.endpoint.poll_timeout().is_some_and(|at| at <= self.now) {
            self.endpoint.handle(Input::Timeout, self.now);
        }
        let (Some(Event::Invite { dialog, .. }), _) = self.give(invite) else { panic!("no call") };
        self.endpoint.ring(dialog, StatusCode::RINGING, None, self.now).unwrap();
        self.endpoint.accept(dialog, Bytes::from_static(OFFER.as_bytes()), self.now).unwrap();
        let (_, ok) = self.drain();
        let mut spent = start.elapsed();

        let ok = String::from_utf8(ok.unwrap().to_vec()).unwrap();
        let to = ok.lines().find(|line| line.starts_with("To: ")).unwrap();
        let tag = format!(";tag={}", to.split_once(";tag=").unwrap().1);
        let (ack, bye) = (self.request("ACK", &tag, 1, ""), self.request("BYE", &tag, 2, ""));
        let start = Instant::now();
        self.give(ack);
        self.give(bye);
        self.endpoint.forget(dialog);
        spent += start.elapsed();
        spent
    }
}

fn whole_call(c: &mut Criterion) {
    let mut line = Line::new();
    for _ in 0..40_000 {
        line.call();
    }
    let (count, bytes) = (ALLOCATIONS.load(Ordering::Relaxed), ALLOCATED.load(Ordering::Relaxed));
    let requests = {
        // What writing the requests of a call takes is not the endpoint's.
        let tag = ";tag=0123456789abcdef";
        black_box((
            line.request("INVITE", "", 1, OFFER),
            line.request("ACK", tag, 1, ""),
            line.request("BYE", tag, 2, ""),
        ));
        (ALLOCATIONS.load(Ordering::Relaxed) - count, ALLOCATED.load(Ordering::Relaxed) - bytes)
    };
    let (count, bytes) = (ALLOCATIONS.load(Ordering::Relaxed), ALLOCATED.load(Ordering::Relaxed));
    const MEASURED: u64 = 10_000;
    for _ in 0..MEASURED {
        line.call();
    }
    println!(
        "allocations per call: {} of {} bytes; {} transactions known",
        (ALLOCATIONS.load(Ordering::Relaxed) - count) / MEASURED - requests.0,
        (ALLOCATED.load(Ordering::Relaxed) - bytes) / MEASURED - requests.1,
        line.endpoint.transaction_count(),
    );
    let mut group = c.benchmark_group("endpoint");
    group.throughput(Throughput::Elements(1));
    group.bench_function("whole call", |b| b.iter_custom(|times| (0..times).map(|_| line.call()).sum()));
    group.finish();
}

criterion_group!(benches, whole_call);
criterion_main!(benches);
