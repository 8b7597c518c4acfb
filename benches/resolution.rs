//! Resolution of dialed numbers with 100,000 tenants and 1,000,000 numbers, and what happens
//! before and after it: normalisation of the number, opening hours of a destination.

// A benchmark that can't set itself up has nothing else to do than stop.
#![allow(clippy::expect_used, clippy::indexing_slicing)]

use std::collections::HashMap;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use chrono::{DateTime, Utc};
use criterion::{Criterion, criterion_group, criterion_main};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use offhook::ids::{E164, TenantId};
use offhook::routing::number::normalise;
use offhook::routing::{Directory, DirectoryOptions, DirectorySource, Resolution, SourceError};
use offhook::tenant::hours::BusinessHours;
use offhook::tenant::{NumberMapping, Tenant};
use serde_json::json;

/// How many tenants are stored.
const TENANTS: usize = 100_000;
/// How many numbers are stored.
const NUMBERS: usize = 1_000_000;

/// The store's place, in memory.
struct Memory {
    numbers: HashMap<E164, NumberMapping>,
    tenants: HashMap<TenantId, Arc<Tenant>>,
}

impl DirectorySource for Memory {
    fn find_number<'a>(
        &'a self,
        number: &'a E164,
    ) -> BoxFuture<'a, Result<Option<NumberMapping>, SourceError>> {
        std::future::ready(Ok(self.numbers.get(number).cloned())).boxed()
    }

    fn load_tenant<'a>(
        &'a self,
        id: &'a TenantId,
    ) -> BoxFuture<'a, Result<Option<Arc<Tenant>>, SourceError>> {
        std::future::ready(Ok(self.tenants.get(id).cloned())).boxed()
    }
}

/// The nth tenant's document.
fn tenant(n: usize) -> Tenant {
    let id = format!("tenant-bench-{n:06}");
    let document = json!({
        "tenant_id": id, "client_id": id, "display_name": id, "summary_to": [], "timezone": "Europe/Paris",
    });
    Tenant::from_value(document).expect("a valid document")
}

/// The nth number.
fn number(n: usize) -> E164 {
    E164::new(&format!("+331{n:08}")).expect("a valid number")
}

fn memory() -> Memory {
    let tenants: HashMap<_, _> =
        (0..TENANTS).map(tenant).map(|tenant| (tenant.tenant_id.clone(), Arc::new(tenant))).collect();
    let owners: Vec<_> =
        (0..TENANTS).map(|n| TenantId::new(&format!("tenant-bench-{n:06}")).expect("valid")).collect();
    let mapping =
        |n: usize| NumberMapping::new(number(n), owners[n % TENANTS].clone(), owners[n % TENANTS].as_str());
    Memory { numbers: (0..NUMBERS).map(|n| (number(n), mapping(n))).collect(), tenants }
}

/// Resolves random numbers of a source that holds [`NUMBERS`] of [`TENANTS`], cold and warm, and
/// prints the percentiles of both. Any store can be measured with it.
pub fn bench_directory(criterion: &mut Criterion, name: &str, source: Arc<dyn DirectorySource>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let options =
        DirectoryOptions { max_numbers: NUMBERS, max_tenants: TENANTS, ..DirectoryOptions::default() };
    let directory = Directory::new(source, options);
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = move || {
        // xorshift64: the same numbers in every run.
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        number(usize::try_from(state).expect("64 bits") % NUMBERS)
    };
    let percentiles = |what: &str, dialed: &[E164]| {
        let mut times: Vec<_> = dialed
            .iter()
            .map(|dialed| {
                let start = Instant::now();
                let resolution = runtime.block_on(directory.resolve(dialed));
                let took = start.elapsed();
                assert!(matches!(resolution, Resolution::Found(_)));
                took
            })
            .collect();
        times.sort_unstable();
        let at = |part: usize| times[(times.len() - 1) * part / 1000];
        println!(
            "{name}, {what}: p50 {:?}, p99 {:?}, p99.9 {:?}, max {:?}",
            at(500),
            at(990),
            at(999),
            at(1000)
        );
    };
    let dialed: Vec<_> = (0..100_000).map(|_| random()).collect();
    percentiles("cold", &dialed);
    percentiles("warm", &dialed);
    let mut at = 0;
    criterion.bench_function(&format!("resolve {name}, warm"), |bencher| {
        bencher.iter(|| {
            at = (at + 1) % dialed.len();
            black_box(directory.resolve(&dialed[at]).now_or_never())
        });
    });
}

fn resolution(criterion: &mut Criterion) {
    bench_directory(criterion, "from memory", Arc::new(memory()));
}

fn normalisation(criterion: &mut Criterion) {
    let france = "FR".parse().expect("a country");
    for raw in ["+33199000001", "0199000001", "sip:0033199000001;npdi@192.0.2.1", "12025550101", "anonymous"]
    {
        criterion.bench_function(&format!("normalise {raw}"), |bencher| {
            bencher.iter(|| normalise(black_box(raw), france));
        });
    }
}

fn hours(criterion: &mut Criterion) {
    let at: DateTime<Utc> = "2026-06-07T10:00:00Z".parse().expect("a time");
    for (name, rule) in [
        ("office hours", "FREQ=WEEKLY;BYDAY=MO,TU,WE,TH,FR;BYHOUR=9"),
        ("around the clock", "FREQ=DAILY"),
        ("last working day", "FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-1"),
        ("29 February on a Monday", "FREQ=MONTHLY;BYMONTH=2;BYMONTHDAY=29;BYDAY=MO"),
        ("the same by years", "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=29;BYDAY=MO,5MO"),
        ("a Sunday that ends week 53", "FREQ=YEARLY;BYWEEKNO=53;BYDAY=SU;INTERVAL=999"),
        ("never on the grid", "FREQ=DAILY;INTERVAL=7;BYDAY=TU"),
        ("far grid", "FREQ=DAILY;INTERVAL=63;BYMONTH=2;BYMONTHDAY=29"),
        (
            "48 a day, ended long ago",
            "FREQ=DAILY;BYHOUR=0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23;BYMINUTE=0,30;UNTIL=20200101",
        ),
        ("position 366 of a year", "FREQ=YEARLY;BYDAY=MO,TU,WE,TH,FR,SA,SU;BYSETPOS=366"),
    ] {
        let hours = BusinessHours::new(chrono_tz::Tz::Europe__Paris, rule, 540, None).expect("a valid rule");
        criterion.bench_function(&format!("hours: {name}"), |bencher| {
            bencher.iter(|| hours.is_open(black_box(at)))
        });
    }
    let read = |rule: &str| BusinessHours::new(chrono_tz::Tz::Europe__Paris, black_box(rule), 540, None);
    criterion.bench_function("hours: read office hours", |bencher| {
        bencher.iter(|| read("FREQ=WEEKLY;BYDAY=MO,TU,WE,TH,FR;BYHOUR=9"));
    });
    criterion.bench_function("hours: read a date that never exists", |bencher| {
        bencher.iter(|| read("FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30"));
    });
}

criterion_group!(benches, hours, normalisation, resolution);
criterion_main!(benches);
