//! What it costs to keep a call: the journal's answer, the store's writing, a number's lookup.
//!
//! `cargo bench --bench store` runs the benchmarks. `cargo bench --bench store -- sustained 2000 60`
//! records 2,000 calls a second for 60 seconds instead, journal and carrier together, and prints
//! the processor time per call, the answer's times and how far the store was behind.

#![allow(missing_docs, clippy::unwrap_used, clippy::indexing_slicing)]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::Utc;
use criterion::{BatchSize, Criterion, Throughput};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use offhook::call::record::{CallEvent, CallRecord, Direction, EndReason, EndSide, Keys, Party, RawText};
use offhook::ids::{CallId, E164, TenantId};
use offhook::store::carrier::{Carrier, CarrierOptions};
use offhook::store::journal::{Journal, JournalOptions, Position};
use offhook::store::sqlite::SqliteStore;
use offhook::store::{CallWrite, Checkpoint, DirectoryStore, NewNumber, NewTenant, NumberRow, Store};

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["sustained", rate, seconds] => sustained(rate.parse().unwrap(), seconds.parse().unwrap()),
        _ => {
            let mut criterion = Criterion::default().configure_from_args();
            journal(&mut criterion);
            carrying(&mut criterion);
            lookup(&mut criterion);
            criterion.final_summary();
        }
    }
}

fn journal(criterion: &mut Criterion) {
    let directory = TempDir::new().unwrap();
    let (journal, _tail) = Journal::open(JournalOptions::new(directory.path())).unwrap();
    let runtime = Runtime::new().unwrap();
    let event = record().started(Utc::now());
    let mut group = criterion.benchmark_group("journal");
    group.sample_size(20);
    group.bench_function("append to answer, idle", |bench| {
        bench.iter_custom(|times| {
            let mut total = Duration::ZERO;
            for _ in 0..times {
                // Idle is what it is to be: two events within a few milliseconds are a load.
                std::thread::sleep(Duration::from_millis(5));
                let asked = Instant::now();
                runtime.block_on(async { journal.append(&event).unwrap().await.unwrap() });
                total += asked.elapsed();
            }
            total
        });
    });
    group.throughput(Throughput::Elements(4000));
    group.bench_function("4,000 appends, all answered", |bench| {
        bench.iter(|| {
            let answers: Vec<_> = (0..4000).map(|_| journal.append(&event).unwrap()).collect();
            runtime.block_on(async {
                for answer in answers {
                    answer.await.unwrap();
                }
            });
        });
    });
    group.finish();
    runtime.block_on(journal.close());
}

fn carrying(criterion: &mut Criterion) {
    let directory = TempDir::new().unwrap();
    let runtime = Runtime::new().unwrap();
    let store = runtime.block_on(open(directory.path(), 1, 1));
    let checkpoint = Checkpoint {
        node: "main".to_owned(),
        journal: 1,
        position: Position { segment: 1, offset: 32 },
        last_event_at: Utc::now(),
    };
    let mut group = criterion.benchmark_group("carry");
    group.throughput(Throughput::Elements(500));
    group.sample_size(20);
    group.bench_function("500 new calls in one transaction", |bench| {
        let records = || -> Vec<CallWrite> {
            (0..500).map(|_| CallWrite::from_record(finished().record()).unwrap()).collect()
        };
        bench.iter_batched(
            records,
            |records| runtime.block_on(store.records().carry(&records, &checkpoint)).unwrap(),
            BatchSize::LargeInput,
        );
    });
    group.finish();
}

fn lookup(criterion: &mut Criterion) {
    let directory = TempDir::new().unwrap();
    let runtime = Runtime::new().unwrap();
    let store = runtime.block_on(open(directory.path(), 100_000, 10));
    let mut next = 0_u64;
    criterion.bench_function("number to document, 1,000,000 numbers", |bench| {
        bench.iter(|| {
            next = (next + 7_919_993) % 1_000_000;
            let number = E164::new(&format!("+33{:09}", 100_000_000 + next)).unwrap();
            runtime.block_on(async {
                let row = store.find_number(&number).await.unwrap().unwrap();
                store.load_tenant(&row.tenant_id).await.unwrap().unwrap()
            })
        });
    });
}

/// A store with that many tenants of that many numbers each.
async fn open(directory: &Path, tenants: u64, numbers_each: u64) -> SqliteStore {
    let store = SqliteStore::open(&directory.join("offhook.db")).await.unwrap();
    let id = |n: u64| TenantId::new(&format!("tenant-bench-{n}")).unwrap();
    let documents: Vec<NewTenant> = (0..tenants)
        .map(|n| NewTenant {
            tenant_id: id(n),
            client_id: n.to_string(),
            display_name: "A tenant".to_owned(),
            slug: None,
            active: true,
            json: format!(r#"{{"tenant_id":"tenant-bench-{n}","padding":"{}"}}"#, "x".repeat(2000)),
        })
        .collect();
    let numbers: Vec<NumberRow> = (0..tenants * numbers_each)
        .map(|n| NumberRow {
            tenant_id: id(n / numbers_each),
            number: NewNumber {
                phone_number: E164::new(&format!("+33{:09}", 100_000_000 + n)).unwrap(),
                active: true,
                json: r#"{"kind":"voice","language":"fr-FR"}"#.to_owned(),
            },
        })
        .collect();
    store.operator().import_into_empty(&documents, &numbers).await.unwrap();
    store
}

/// A record as the first stage of the service makes them.
fn record() -> CallRecord {
    let mut record = CallRecord::new(
        CallId::generate(),
        TenantId::new("tenant-bench-0").unwrap(),
        Direction::Inbound,
        RawText::from("1-24532@127.0.0.1"),
        Utc::now(),
    );
    record.from =
        Party { number: E164::new("+33612345678").ok(), ..Party::new(b"sip:+33612345678@127.0.0.1:5061") };
    record.to =
        Party { number: E164::new("+33100000000").ok(), ..Party::new(b"sip:+33100000000@127.0.0.1:5060") };
    record.provider = Some("builtin".to_owned());
    record.keep_header(b"X-Campaign", b"autumn");
    record
}

fn finished() -> CallEvent {
    let mut record = record();
    let now = Utc::now();
    record.answer(now);
    record.keys = Keys::default();
    record.keys.press('1', 1500);
    record.media = Some(offhook::call::record::MediaStats { packets_received: 500, ..Default::default() });
    record.end(EndSide::Caller, EndReason::CallerHangup, now);
    record.ended(now)
}

/// Records `rate` calls a second for some seconds, each a task with two events, and prints what
/// that took. The same tasks without a journal are run first: what they take is the harness's.
fn sustained(rate: u32, seconds: u32) {
    let directory = TempDir::new().unwrap();
    Runtime::new().unwrap().block_on(async {
        let before = processor_time();
        let calls = offer(rate, seconds.div_ceil(4), no_call).await.len();
        let harness = (processor_time() - before) / u32::try_from(calls).unwrap();
        println!("harness alone: {harness:.1?} a call");

        let store = open(directory.path(), 3, 1).await;
        let (journal, tail) = Journal::open(JournalOptions::new(directory.path().join("journal"))).unwrap();
        let carrier = Carrier::spawn(Arc::new(store.clone()), tail, CarrierOptions::default());
        let (before, began) = (processor_time(), Instant::now());
        let mut answers = offer(rate, seconds, || one_call(journal.clone())).await;
        let calls = u32::try_from(answers.len()).unwrap();
        println!("{calls} calls, {:.0} a second", f64::from(calls) / began.elapsed().as_secs_f64());
        print_threads(calls);
        let behind = carrier.health().behind_for;
        journal.close().await;
        let health = carrier.stop(Duration::from_secs(60)).await;
        let whole = (processor_time() - before) / calls;
        println!(
            "processor time a call: {whole:.1?}, less the harness {:.1?}",
            whole.saturating_sub(harness)
        );
        answers.sort_unstable();
        let quantile = |of: f64| answers[((answers.len() - 1) as f64 * of) as usize];
        println!(
            "answer p50 {:.1?}, p99 {:.1?}, longest {:.1?}",
            quantile(0.5),
            quantile(0.99),
            quantile(1.0)
        );
        println!("store behind at the end of the load: {behind:.1?}; after closing {health:?}");
        println!("{:?}", store.operator().counts().await.unwrap());
    });
}

/// Runs `rate` tasks a second for some seconds; gives what they gave.
async fn offer<F>(rate: u32, seconds: u32, task: impl Fn() -> F) -> Vec<Duration>
where
    F: Future<Output = Duration> + Send + 'static,
{
    let began = Instant::now();
    let mut running = tokio::task::JoinSet::new();
    let mut answers = Vec::new();
    let mut pace = tokio::time::interval(Duration::from_millis(1));
    let mut offered = 0;
    while offered < rate * seconds || !running.is_empty() {
        pace.tick().await;
        let due = (began.elapsed().as_secs_f64() * f64::from(rate)) as u32;
        while offered < due.min(rate * seconds) {
            running.spawn(task());
            offered += 1;
        }
        while let Some(answer) = running.try_join_next() {
            answers.push(answer.unwrap());
        }
    }
    answers
}

/// What [`one_call`] does without a journal.
async fn no_call() -> Duration {
    let mut record = record();
    let asked = Instant::now();
    drop(record.started(Utc::now()));
    tokio::task::yield_now().await;
    record.end(EndSide::Caller, EndReason::CallerHangup, Utc::now());
    drop(record.ended(Utc::now()));
    tokio::task::yield_now().await;
    asked.elapsed()
}

/// Records one call; gives how long the answer to its first event took.
async fn one_call(journal: Journal) -> Duration {
    let mut record = record();
    let asked = Instant::now();
    journal.append(&record.started(Utc::now())).unwrap().await.unwrap();
    let answered = asked.elapsed();
    record.end(EndSide::Caller, EndReason::CallerHangup, Utc::now());
    journal.append(&record.ended(Utc::now())).unwrap().await.unwrap();
    answered
}

/// Processor time of this process so far, in steps of 10 ms.
fn processor_time() -> Duration {
    ticks(Path::new("/proc/self/stat")).1
}

/// Prints where the time went, by the threads still running.
fn print_threads(calls: u32) {
    let mut times = BTreeMap::<String, Duration>::new();
    for thread in std::fs::read_dir("/proc/self/task").unwrap() {
        let (name, time) = ticks(&thread.unwrap().path().join("stat"));
        *times.entry(name).or_default() += time;
    }
    for (name, time) in times {
        println!("  {name}: {:.1?} a call", time / calls);
    }
}

/// Name and processor time in a `stat` of proc(5).
fn ticks(path: &Path) -> (String, Duration) {
    let stat = std::fs::read_to_string(path).unwrap();
    let (start, fields) = stat.rsplit_once(')').unwrap();
    let fields: Vec<&str> = fields.split_whitespace().collect();
    // User and system time are fields 14 and 15; the first after the name is field 3.
    let ticks: u64 = [11, 12].iter().map(|at| fields[*at].parse::<u64>().unwrap()).sum();
    (start.split_once('(').unwrap().1.to_owned(), Duration::from_millis(ticks * 10))
}
