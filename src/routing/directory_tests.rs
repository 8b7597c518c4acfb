use std::sync::atomic::AtomicUsize;

use serde_json::json;
use tokio::sync::Semaphore;

use super::*;

/// A store in memory that counts what it is asked and can be made to hang or fail.
struct Store {
    numbers: Mutex<HashMap<E164, NumberMapping>>,
    tenants: Mutex<HashMap<TenantId, Arc<Tenant>>>,
    asked: AtomicUsize,
    gate: Semaphore,
    fails: std::sync::atomic::AtomicBool,
}

impl Store {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            numbers: Mutex::default(),
            tenants: Mutex::default(),
            asked: AtomicUsize::new(0),
            gate: Semaphore::new(1_000),
            fails: false.into(),
        })
    }

    fn put_tenant(&self, id: &str, extra: serde_json::Value) {
        let mut document = json!({"tenant_id": id, "client_id": "c", "display_name": id, "summary_to": []});
        for (key, value) in extra.as_object().unwrap() {
            document[key] = value.clone();
        }
        let tenant = Tenant::from_value(document).unwrap();
        self.tenants.lock().unwrap().insert(tenant.tenant_id.clone(), Arc::new(tenant));
    }

    fn put_number(&self, number: &str, tenant: &str, extra: serde_json::Value) {
        let mut document = json!({"phone_number": number, "tenant_id": tenant, "client_id": "c"});
        for (key, value) in extra.as_object().unwrap() {
            document[key] = value.clone();
        }
        let mapping = NumberMapping::from_value(&document).unwrap();
        self.numbers.lock().unwrap().insert(mapping.phone_number.clone(), mapping);
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    async fn answer<T>(&self, value: impl FnOnce() -> T) -> Result<T, SourceError> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        // Read before the wait, as a slow query does.
        let value = value();
        let _pass = self.gate.acquire().await.unwrap();
        if self.fails.load(Ordering::SeqCst) {
            return Err(SourceError::Unavailable("away".into()));
        }
        Ok(value)
    }
}

impl DirectorySource for Store {
    fn find_number<'a>(
        &'a self,
        number: &'a E164,
    ) -> BoxFuture<'a, Result<Option<NumberMapping>, SourceError>> {
        self.answer(|| self.numbers.lock().unwrap().get(number).cloned()).boxed()
    }

    fn load_tenant<'a>(
        &'a self,
        id: &'a TenantId,
    ) -> BoxFuture<'a, Result<Option<Arc<Tenant>>, SourceError>> {
        self.answer(|| self.tenants.lock().unwrap().get(id).cloned()).boxed()
    }
}

fn number(text: &str) -> E164 {
    E164::new(text).unwrap()
}

fn directory(store: &Arc<Store>) -> Arc<Directory> {
    Arc::new(Directory::new(store.clone(), DirectoryOptions::default()))
}

fn found(resolution: Resolution) -> Arc<TenantSnapshot> {
    match resolution {
        Resolution::Found(snapshot) => snapshot,
        other => panic!("{other:?}"),
    }
}

const ONE: &str = "+33199000001";
const TWO: &str = "+33199000002";

#[tokio::test]
async fn each_outcome_has_its_status() {
    let store = Store::new();
    store.put_tenant("tenant-a", json!({}));
    store.put_tenant("tenant-off", json!({"status": "disabled"}));
    store.put_tenant("tenant-mute", json!({"voice": {"enabled": false}}));
    store.put_number(ONE, "tenant-a", json!({}));
    store.put_number(TWO, "tenant-off", json!({}));
    store.put_number("+33199000003", "tenant-mute", json!({}));
    store.put_number("+33199000004", "tenant-a", json!({"is_active": false}));
    store.put_number("+33199000005", "tenant-a", json!({"kind": "sms"}));
    store.put_number("+33199000006", "tenant-gone", json!({}));
    let directory = directory(&store);
    for (dialed, status) in [
        (ONE, None),
        (TWO, Some(480)),
        ("+33199000003", Some(480)),
        ("+33199000004", Some(404)),
        ("+33199000005", Some(404)),
        ("+33199000006", Some(404)),
        ("+33199000007", Some(404)),
    ] {
        assert_eq!(directory.resolve(&number(dialed)).await.status(), status, "{dialed}");
    }
}

#[tokio::test]
async fn the_second_call_does_not_ask_the_store() {
    let store = Store::new();
    store.put_tenant("tenant-a", json!({}));
    store.put_number(ONE, "tenant-a", json!({}));
    let directory = directory(&store);
    for _ in 0..10 {
        found(directory.resolve(&number(ONE)).await);
        directory.resolve(&number(TWO)).await;
    }
    assert_eq!(store.asked(), 3);
    assert_eq!(directory.size(), DirectorySize { numbers: 1, tenants: 1, unknown: 1 });
}

#[tokio::test]
async fn new_calls_see_a_change_and_running_ones_keep_what_they_had() {
    let store = Store::new();
    store.put_tenant("tenant-a", json!({"display_name": "before"}));
    store.put_number(ONE, "tenant-a", json!({}));
    let directory = directory(&store);
    let running = found(directory.resolve(&number(ONE)).await);
    store.put_tenant("tenant-a", json!({"display_name": "after"}));
    directory.invalidate_tenant(&running.tenant.tenant_id);
    assert_eq!(found(directory.resolve(&number(ONE)).await).tenant.display_name, "after");
    assert_eq!(running.tenant.display_name, "before");

    assert_eq!(directory.resolve(&number(TWO)).await.status(), Some(404));
    store.put_number(TWO, "tenant-a", json!({}));
    directory.invalidate_number(&number(TWO));
    found(directory.resolve(&number(TWO)).await);
    store.numbers.lock().unwrap().clear();
    directory.invalidate_all();
    assert_eq!(directory.resolve(&number(TWO)).await.status(), Some(404));
}

#[tokio::test]
async fn many_calls_to_one_unloaded_number_ask_once() {
    let store = Store::new();
    store.put_tenant("tenant-a", json!({}));
    store.put_number(ONE, "tenant-a", json!({}));
    let directory = directory(&store);
    let closed = store.gate.acquire_many(1_000).await.unwrap();
    let calls: Vec<_> = (0..100)
        .map(|_| {
            let directory = directory.clone();
            tokio::spawn(async move { directory.resolve(&number(ONE)).await })
        })
        .collect();
    tokio::task::yield_now().await;
    drop(closed);
    for call in calls {
        found(call.await.unwrap());
    }
    assert_eq!(store.asked(), 2);
    assert!(directory.number_flights.0.lock().unwrap().is_empty());
}

#[tokio::test]
async fn an_answer_from_before_a_change_is_neither_kept_nor_joined() {
    let store = Store::new();
    store.put_tenant("tenant-a", json!({"display_name": "before"}));
    store.put_number(ONE, "tenant-a", json!({}));
    let directory = directory(&store);
    found(directory.resolve(&number(ONE)).await);
    directory.invalidate_tenant(&TenantId::new("tenant-a").unwrap());

    let closed = store.gate.acquire_many(1_000).await.unwrap();
    let slow = tokio::spawn({
        let directory = directory.clone();
        async move { directory.resolve(&number(ONE)).await }
    });
    tokio::task::yield_now().await;
    store.put_tenant("tenant-a", json!({"display_name": "after"}));
    directory.invalidate_tenant(&TenantId::new("tenant-a").unwrap());
    let later = tokio::spawn({
        let directory = directory.clone();
        async move { directory.resolve(&number(ONE)).await }
    });
    tokio::task::yield_now().await;
    drop(closed);
    assert_eq!(found(slow.await.unwrap()).tenant.display_name, "before");
    assert_eq!(found(later.await.unwrap()).tenant.display_name, "after");
    assert_eq!(found(directory.resolve(&number(ONE)).await).tenant.display_name, "after");
}

#[tokio::test]
async fn a_question_whose_caller_hangs_up_is_asked_again() {
    let store = Store::new();
    store.put_tenant("tenant-a", json!({}));
    store.put_number(ONE, "tenant-a", json!({}));
    let directory = directory(&store);
    let closed = store.gate.acquire_many(1_000).await.unwrap();
    {
        let dialed = number(ONE);
        let mut call = directory.resolve(&dialed).boxed();
        assert!((&mut call).now_or_never().is_none());
    }
    assert!(directory.number_flights.0.lock().unwrap().is_empty());
    drop(closed);
    found(directory.resolve(&number(ONE)).await);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_fails_or_hangs_is_503_and_not_remembered() {
    let store = Store::new();
    store.put_tenant("tenant-a", json!({}));
    store.put_number(ONE, "tenant-a", json!({}));
    let directory = directory(&store);
    store.fails.store(true, Ordering::SeqCst);
    assert_eq!(directory.resolve(&number(ONE)).await.status(), Some(503));
    store.fails.store(false, Ordering::SeqCst);
    let closed = store.gate.acquire_many(1_000).await.unwrap();
    let hung = directory.resolve(&number(ONE)).await;
    assert!(matches!(hung, Resolution::StoreUnavailable(SourceError::Timeout(_))));
    drop(closed);
    found(directory.resolve(&number(ONE)).await);
}

#[tokio::test]
async fn the_fallback_tenant_takes_unknown_numbers_only() {
    let store = Store::new();
    store.put_tenant("tenant-a", json!({}));
    store.put_tenant("tenant-fallback", json!({"locale": "fr-FR"}));
    store.put_number(ONE, "tenant-a", json!({}));
    store.put_number(TWO, "tenant-a", json!({"is_active": false}));
    let options = DirectoryOptions {
        fallback_tenant_id: Some(TenantId::new("tenant-fallback").unwrap()),
        ..DirectoryOptions::default()
    };
    let directory = Directory::new(store.clone(), options);
    let snapshot = found(directory.resolve(&number("+33199000009")).await);
    assert!(snapshot.is_fallback);
    assert_eq!(
        (snapshot.tenant.tenant_id.as_str(), snapshot.mapping.phone_number.as_str()),
        ("tenant-fallback", "+33199000009")
    );
    assert_eq!(snapshot.locale(), "fr-FR");
    assert!(!found(directory.resolve(&number(ONE)).await).is_fallback);
    assert_eq!(directory.resolve(&number(TWO)).await.status(), Some(404));
    // The first candidate that is anybody's wins over the fallback.
    let first = found(directory.resolve_first([number("+33199000009"), number(ONE)]).await);
    assert_eq!(first.tenant.tenant_id.as_str(), "tenant-a");
    assert_eq!(directory.resolve_first([]).await.status(), Some(404));
}

#[tokio::test]
async fn a_number_may_speak_another_language_than_its_tenant() {
    let store = Store::new();
    store.put_tenant("tenant-a", json!({"locale": "fr-FR", "voice": {"agent_name": "Léa"}}));
    store.put_number(ONE, "tenant-a", json!({}));
    store.put_number(TWO, "tenant-a", json!({"voice": {"language": "en-GB", "greeting": "Good morning."}}));
    let directory = directory(&store);
    assert_eq!(found(directory.resolve(&number(ONE)).await).locale(), "fr-FR");
    let british = found(directory.resolve(&number(TWO)).await);
    assert_eq!(british.locale(), "en-GB");
    assert_eq!(british.tenant.voice.greeting.text.as_deref(), Some("Good morning."));
    assert_eq!(british.tenant.voice.agent_name.as_deref(), Some("Léa"));
}
