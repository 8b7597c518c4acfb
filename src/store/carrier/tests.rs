use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::FutureExt;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection};
use tempfile::TempDir;

use super::*;
use crate::call::record::{CallEvent, CallRecord, CallStatus, EndReason, EndSide};
use crate::ids::{CallId, TenantId};
use crate::store::conformance::{at, call, id, tenant};
use crate::store::journal::{Journal, JournalOptions};
use crate::store::sqlite::SqliteStore;
use crate::store::{
    AccessStore, Answer, CallFilter, CallWrite, Checkpoint, Counts, DirectoryStore, MetaStore, OperatorStore,
    PageRequest, RecordStore, StoreError, TenantStore,
};

/// A data directory that outlives the processes using it.
struct House {
    directory: TempDir,
}

/// One process: a journal, a store and a carrier between them.
struct Process {
    journal: Journal,
    store: SqliteStore,
    carrier: Carrier,
}

impl House {
    async fn new() -> Self {
        let house = Self { directory: TempDir::new().unwrap() };
        let store = house.store().await;
        store.tenant(&id("one")).save(&tenant("one")).await.unwrap();
        store.close().await;
        house
    }

    async fn store(&self) -> SqliteStore {
        SqliteStore::open(&self.directory.path().join("offhook.db")).await.unwrap()
    }

    fn journal(&self) -> (Journal, JournalTail) {
        let mut options = JournalOptions::new(self.directory.path().join("journal"));
        options.segment_bytes = 8192;
        Journal::open(options).unwrap()
    }

    async fn start(&self) -> Process {
        let store = self.store().await;
        let (journal, tail) = self.journal();
        let carrier = Carrier::spawn(Arc::new(store.clone()), tail, CarrierOptions::default());
        Process { journal, store, carrier }
    }

    /// What a process leaves that writes these events and dies before any is carried.
    async fn left_by_the_dead(&self, events: &[CallEvent]) {
        let (journal, _tail) = self.journal();
        for event in events {
            journal.append(event).unwrap().await.unwrap();
        }
        journal.close().await;
    }
}

impl Process {
    async fn append(&self, event: CallEvent) {
        self.journal.append(&event).unwrap().await.unwrap();
    }

    async fn stop(self) -> (SqliteStore, CarrierHealth) {
        self.journal.close().await;
        let health = self.carrier.stop(Duration::from_secs(60)).await;
        (self.store, health)
    }
}

fn ended(record: &mut CallRecord, seconds: i64) -> CallEvent {
    record.end(EndSide::Caller, EndReason::CallerHangup, at(seconds));
    record.ended(at(seconds))
}

async fn all(store: &SqliteStore) -> Vec<CallRecord> {
    store.operator().calls(&CallFilter::default(), &PageRequest::first(1000)).await.unwrap().records
}

#[tokio::test]
async fn a_call_reaches_the_store_and_its_end_too() {
    let house = House::new().await;
    let process = house.start().await;
    let mut record = call("one", 0);
    process.append(record.started(at(0))).await;
    process.append(ended(&mut record, 5)).await;
    let (store, health) = process.stop().await;
    assert_eq!(all(&store).await, [record]);
    assert_eq!((health.behind_for, health.failing), (None, None));
    // One write for both events, or two if the carrier was there in between.
    assert!((1..=2).contains(&health.carried), "{}", health.carried);
}

#[tokio::test]
async fn a_carrier_with_nothing_to_carry_is_not_behind() {
    let house = House::new().await;
    let process = house.start().await;
    assert!(process.carrier.recovered().await);
    let idle = async {
        while process.carrier.health().behind_for.is_some() {
            tokio::task::yield_now().await;
        }
    };
    timeout(Duration::from_secs(10), idle).await.expect("behind, with an empty journal");
}

#[tokio::test]
async fn many_calls_go_through_many_segments_and_carried_ones_are_removed() {
    let house = House::new().await;
    let process = house.start().await;
    for n in 0..700 {
        let mut record = call("one", n);
        process.append(record.started(at(n))).await;
        process.append(ended(&mut record, n + 1)).await;
    }
    let (store, _) = process.stop().await;
    let counts = store.operator().counts().await.unwrap();
    assert_eq!((counts.calls, counts.open_calls), (700, 0));
    let segments = std::fs::read_dir(house.directory.path().join("journal")).unwrap();
    let left = segments.filter(|entry| entry.as_ref().unwrap().path().extension().is_some()).count();
    assert_eq!(left, 1);
}

#[tokio::test]
async fn after_a_death_every_call_has_one_record_and_the_open_ones_are_interrupted() {
    let house = House::new().await;
    let (mut over, mut open, mut last) = (call("one", 0), call("one", 1), call("one", 2));
    let events = [over.started(at(0)), open.started(at(1)), ended(&mut over, 3), last.started(at(7))];
    house.left_by_the_dead(&events).await;
    for _ in 0..3 {
        let process = house.start().await;
        assert!(process.carrier.recovered().await);
        let (store, health) = process.stop().await;
        assert!(health.recovered);
        let found = all(&store).await;
        assert_eq!(found.len(), 3);
        for record in &found {
            let interrupted = record.call_id != over.call_id;
            assert_eq!(record.status == CallStatus::Interrupted, interrupted);
            assert_eq!(
                record.ended_at,
                Some(if interrupted { at(7) } else { at(3) }),
                "the last sign of life"
            );
        }
    }
}

#[tokio::test]
async fn calls_of_the_living_are_not_closed_with_those_of_the_dead() {
    let house = House::new().await;
    let mut dead = call("one", 0);
    house.left_by_the_dead(&[dead.started(at(0))]).await;
    let store = house.store().await;
    let (journal, tail) = house.journal();
    // Taken before the carrier has even begun.
    let mut alive = call("one", 9);
    journal.append(&alive.started(at(9))).unwrap().await.unwrap();
    let carrier = Carrier::spawn(Arc::new(store.clone()), tail, CarrierOptions::default());
    let (store, health) = Process { journal, store, carrier }.stop().await;
    assert_eq!(health.interrupted, 1);
    let open = store.records().open_calls("main", 10).await.unwrap();
    assert_eq!(open.iter().map(|call| call.call_id).collect::<Vec<_>>(), [alive.call_id]);
}

#[tokio::test]
async fn a_lost_checkpoint_makes_no_record_twice() {
    let house = House::new().await;
    let process = house.start().await;
    let mut records: Vec<CallRecord> = (0..50).map(|n| call("one", n)).collect();
    for record in &mut records {
        process.append(record.started(at(0))).await;
        process.append(ended(record, 60)).await;
    }
    let (store, _) = process.stop().await;
    let before = all(&store).await;
    let mut checkpoint = store.records().checkpoint("main").await.unwrap().unwrap();
    checkpoint.journal ^= 1;
    store.records().carry(&[], &checkpoint).await.unwrap();
    store.close().await;
    let (store, health) = house.start().await.stop().await;
    assert_eq!(all(&store).await, before);
    assert!(health.carried > 0, "some of it was still there to be carried again");
}

#[tokio::test]
async fn a_locked_database_delays_records_and_loses_none() {
    let house = House::new().await;
    let process = house.start().await;
    assert!(process.carrier.recovered().await);
    let path = house.directory.path().join("offhook.db");
    let mut other = SqliteConnectOptions::new().filename(path).connect().await.unwrap();
    let lock = other.begin_with("BEGIN IMMEDIATE").await.unwrap();
    let mut record = call("one", 0);
    process.append(record.started(at(0))).await;
    while process.carrier.health().failing.is_none() {
        process.append(record.updated(at(1))).await;
    }
    process.append(ended(&mut record, 2)).await;
    assert!(process.carrier.health().behind_for.is_some());
    assert_eq!(all(&process.store).await, []);
    lock.rollback().await.unwrap();
    let (store, health) = process.stop().await;
    assert_eq!(all(&store).await, [record]);
    assert_eq!((health.failing, health.behind_for), (None, None));
}

/// A store that refuses as it is told, in front of one that doesn't.
struct Moody {
    inner: SqliteStore,
    away: AtomicBool,
    refused: Option<CallId>,
}

impl Store for Moody {
    fn tenant<'a>(&'a self, id: &'a TenantId) -> Box<dyn TenantStore + 'a> {
        self.inner.tenant(id)
    }
    fn directory(&self) -> &dyn DirectoryStore {
        self.inner.directory()
    }
    fn operator(&self) -> &dyn OperatorStore {
        self.inner.operator()
    }
    fn records(&self) -> &dyn RecordStore {
        self
    }
    fn meta(&self) -> &dyn MetaStore {
        self.inner.meta()
    }
    fn access(&self) -> &dyn AccessStore {
        self.inner.access()
    }
    fn close(&self) -> futures_util::future::BoxFuture<'_, ()> {
        self.inner.close()
    }
}

impl RecordStore for Moody {
    fn carry<'a>(&'a self, records: &'a [CallWrite], checkpoint: &'a Checkpoint) -> Answer<'a, Carried> {
        if self.away.load(Ordering::SeqCst) {
            return async { Err(StoreError::DiskFull) }.boxed();
        }
        if records.iter().any(|record| Some(record.call_id()) == self.refused) {
            return async { Err(StoreError::Refused { reason: "not this one".to_owned() }) }.boxed();
        }
        self.inner.records().carry(records, checkpoint)
    }
    fn checkpoint<'a>(&'a self, node: &'a str) -> Answer<'a, Option<Checkpoint>> {
        self.inner.records().checkpoint(node)
    }
    fn open_calls<'a>(&'a self, node: &'a str, limit: u32) -> Answer<'a, Vec<CallRecord>> {
        self.inner.records().open_calls(node, limit)
    }
}

#[tokio::test]
async fn a_store_that_is_away_shows_in_the_health_and_gets_all_when_it_is_back() {
    let house = House::new().await;
    let inner = house.store().await;
    let moody = Arc::new(Moody { inner: inner.clone(), away: AtomicBool::new(true), refused: None });
    let (journal, tail) = house.journal();
    let carrier = Carrier::spawn(moody.clone(), tail, CarrierOptions::default());
    let mut record = call("one", 0);
    journal.append(&record.started(at(0))).unwrap().await.unwrap();
    while carrier.health().failing.is_none() {
        tokio::task::yield_now().await;
    }
    moody.away.store(false, Ordering::SeqCst);
    let (store, health) = Process { journal, store: inner, carrier }.stop().await;
    assert_eq!(
        store.operator().counts().await.unwrap(),
        Counts { tenants: 1, numbers: 0, calls: 1, open_calls: 1 }
    );
    assert_eq!(health.failing, None);
}

#[tokio::test]
async fn a_record_that_the_store_refuses_is_set_aside_and_the_others_go_in() {
    let house = House::new().await;
    let inner = house.store().await;
    let mut records: Vec<CallRecord> = (0..5).map(|n| call("one", n)).collect();
    let refused = Some(records[2].call_id);
    let moody = Arc::new(Moody { inner: inner.clone(), away: AtomicBool::new(false), refused });
    let (journal, tail) = house.journal();
    for record in &mut records {
        journal.append(&record.started(at(0))).unwrap().await.unwrap();
    }
    let carrier = Carrier::spawn(moody, tail, CarrierOptions::default());
    let (store, health) = Process { journal, store: inner, carrier }.stop().await;
    assert_eq!((all(&store).await.len(), health.set_aside), (4, 1));
    let aside = std::fs::read_to_string(house.directory.path().join("journal/set-aside.jsonl")).unwrap();
    assert!(aside.contains(&records[2].call_id.to_string()));
}

#[test]
fn the_state_of_the_store_is_degraded_when_records_are_late() {
    let late = |seconds| CarrierHealth {
        behind_for: Some(Duration::from_secs(seconds)),
        ..CarrierHealth::default()
    };
    assert!(!CarrierHealth::default().is_degraded() && !late(1).is_degraded());
    assert!(late(3).is_degraded());
}
