use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::cluster::Cluster;
use super::*;
use crate::call::record::{EndReason, EndSide};
use crate::store::carrier::{Carrier, CarrierOptions};
use crate::store::conformance::{at, call, conformance_run, id, number, tenant, with_every_check};
use crate::store::journal::{Journal, JournalOptions};
use crate::store::{Change, Changed};

fn database(cluster: &Cluster) -> PostgresUrl {
    PostgresUrl::new(&cluster.database()).unwrap()
}

async fn empty(cluster: &Cluster) -> PostgresStore {
    PostgresStore::open(&database(cluster), 5).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_that_any_store_must_do() {
    let cluster = Cluster::start();
    with_every_check!(conformance_run!(empty(&cluster)));
}

#[tokio::test]
async fn a_second_node_finds_what_the_first_did_and_hears_of_it_within_a_second() {
    let cluster = Cluster::start();
    let url = database(&cluster);
    let (one, other) = tokio::join!(PostgresStore::open(&url, 5), PostgresStore::open(&url, 5));
    let (one, other) = (one.unwrap(), other.unwrap());
    let mut heard = other.directory().watch();
    for _ in 0..20 {
        let before = other.directory().generation().await.unwrap();
        one.tenant(&id("one")).save(&tenant("one")).await.unwrap();
        let began = Instant::now();
        let told = loop {
            let told = other.directory().changes(before).await.unwrap();
            if told.generation > before && heard.has_changed().unwrap() {
                break told;
            }
            tokio::time::timeout(Duration::from_secs(5), heard.changed())
                .await
                .expect("not heard of")
                .unwrap();
            // Looked at again: it may have been the listener's own beginning.
            heard.mark_changed();
        };
        heard.mark_unchanged();
        assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
        assert_eq!(told.changed, Changed::These(vec![Change::Tenant(id("one"))]));
    }
    one.close().await;
    other.close().await;
}

#[tokio::test]
async fn a_reader_beside_the_service_cannot_write() {
    let cluster = Cluster::start();
    let url = database(&cluster);
    let unmade = PostgresStore::open_for_reading(&url).await;
    assert!(matches!(unmade, Err(StoreError::Unreachable { .. })), "{unmade:?}");
    let store = PostgresStore::open(&url, 5).await.unwrap();
    store.tenant(&id("one")).save(&tenant("one")).await.unwrap();
    let reader = PostgresStore::open_for_reading(&url).await.unwrap();
    assert!(reader.tenant(&id("one")).document().await.unwrap().is_some());
    let refused = reader.tenant(&id("one")).save(&tenant("one")).await;
    assert!(matches!(refused, Err(StoreError::ReadOnly)), "{refused:?}");
    let later = "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
                 VALUES (9999, 'from the future', true, ''::bytea, 0)";
    sqlx::query(later).execute(&store.pool).await.unwrap();
    let refused = PostgresStore::open_for_reading(&url).await;
    assert!(matches!(refused, Err(StoreError::NewerSchema { version: 9999 })));
    assert!(matches!(PostgresStore::open(&url, 5).await, Err(StoreError::NewerSchema { version: 9999 })));
}

#[tokio::test]
async fn a_server_that_is_not_there_is_named_without_its_password() {
    let url = PostgresUrl::new("postgres://u:secret@localhost/x?host=/nonexistent").unwrap();
    let said = PostgresStore::open(&url, 5).await.unwrap_err().to_string();
    assert!(said.contains("postgres://localhost/x") && !said.contains("secret"), "{said}");
}

/// Calls end and tenants change while the server is killed and started again, twice. Every record
/// comes in, once, and whoever asks gets answers again without anything of ours being restarted.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_record_is_lost_when_the_server_dies_under_writes() {
    let cluster = Cluster::start();
    let store = empty(&cluster).await;
    store.tenant(&id("one")).save(&tenant("one")).await.unwrap();
    store.tenant(&id("one")).save_number(&number("+33199000001")).await.unwrap();
    let house = TempDir::new().unwrap();
    let (journal, tail) = Journal::open(JournalOptions::new(house.path().join("journal"))).unwrap();
    let carrier = Carrier::spawn(Arc::new(store.clone()), tail, CarrierOptions::default());
    assert!(carrier.recovered().await);
    let (stop, ended) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU32::new(0)));
    let calls = {
        let (stop, ended, journal) = (Arc::clone(&stop), Arc::clone(&ended), journal.clone());
        tokio::spawn(async move {
            while !stop.load(Ordering::SeqCst) {
                let mut record = call("one", i64::from(ended.load(Ordering::SeqCst)));
                journal.append(&record.started(at(0))).unwrap().await.unwrap();
                record.end(EndSide::Caller, EndReason::CallerHangup, at(9));
                journal.append(&record.ended(at(9))).unwrap().await.unwrap();
                ended.fetch_add(1, Ordering::SeqCst);
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        })
    };
    let mut heard = store.directory().watch();
    for _ in 0..2 {
        grows(&ended, 100).await;
        cluster.crash();
        let lost = store.directory().generation().await;
        assert!(lost.as_ref().is_err_and(StoreError::is_transient), "{lost:?}");
        grows(&ended, 100).await;
        cluster.up();
        heard.mark_unchanged();
        let began = Instant::now();
        while store.tenant(&id("one")).save(&tenant("one")).await.is_err() {
            assert!(began.elapsed() < Duration::from_secs(10), "no answer after the restart");
        }
        // The listener is back too, and what it couldn't hear is made up for.
        tokio::time::timeout(Duration::from_secs(10), heard.changed()).await.expect("not heard of").unwrap();
    }
    stop.store(true, Ordering::SeqCst);
    calls.await.unwrap();
    journal.close().await;
    let health = carrier.stop(Duration::from_secs(60)).await;
    assert_eq!((health.failing, health.set_aside), (None, 0));
    let counts = store.operator().counts().await.unwrap();
    assert_eq!((counts.calls, counts.open_calls), (u64::from(ended.load(Ordering::SeqCst)), 0));
    store.close().await;
}

/// Waits until so many more calls have ended.
async fn grows(ended: &AtomicU32, by: u32) {
    let until = ended.load(Ordering::SeqCst) + by;
    while ended.load(Ordering::SeqCst) < until {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
