//! What any store must do. `conformance_suite!` makes a test of each function here for one
//! implementation, given an expression that opens an empty store.

use chrono::{DateTime, TimeDelta, Utc};

use super::journal::Position;
use super::*;

mod access;
pub(crate) use access::*;

use crate::call::record::{CallStatus, Direction, EndReason, EndSide, Party, RawText};

/// Hands the names of all checks to another macro.
macro_rules! with_every_check {
    ($then:ident!($($given:tt)*)) => {
        $then!($($given)* =>
            a_new_store_is_empty_and_takes_the_demo_data_once,
            an_import_is_all_or_nothing,
            a_tenants_document_comes_back_and_its_version_counts_up,
            a_document_is_replaced_only_as_it_was_expected,
            a_slug_belongs_to_one_tenant,
            a_number_belongs_to_one_tenant,
            a_mapping_is_replaced_only_as_it_was_expected,
            every_change_of_the_directory_counts_its_generation_up,
            changes_are_told_by_name,
            a_change_is_heard_of_without_asking,
            the_directory_is_read_in_pages,
            a_deleted_tenant_takes_its_numbers_and_calls_along,
            the_later_state_of_a_call_stays_whatever_the_order,
            carrying_the_same_twice_changes_nothing,
            an_ended_call_is_not_reopened,
            a_call_stays_with_its_tenant,
            records_of_a_tenant_that_is_gone_are_left_out,
            calls_come_newest_first_in_pages_without_gap_or_repetition,
            calls_are_filtered,
            a_tenant_sees_its_own_calls_only,
            a_checkpoint_comes_back_by_node,
            open_calls_are_found_by_node,
            texts_from_outside_come_back_exactly,
            facts_are_kept_by_name,
            a_large_batch_goes_in_whole,
            a_key_is_found_by_its_hash_and_belongs_to_one_tenant,
            a_key_is_replaced_in_one_step,
            the_audit_log_is_read_newest_first_and_outlives_the_tenant,
            prompts_keep_their_versions_and_a_pointer_says_which_is_used,
            an_import_replaces_what_is_there_and_fails_as_a_whole,
            secrets_are_kept_sealed_by_owner_and_name,
        );
    };
}
pub(crate) use with_every_check;

/// A test of each check.
macro_rules! conformance_suite {
    ($open:expr) => {
        $crate::store::conformance::with_every_check!(conformance_tests!($open));
    };
}
pub(crate) use conformance_suite;

macro_rules! conformance_tests {
    ($open:expr => $($name:ident,)*) => {
        $(
            #[tokio::test]
            async fn $name() {
                let (store, _guard) = $open.await;
                $crate::store::conformance::$name(&store).await;
            }
        )*
    };
}
pub(crate) use conformance_tests;

/// All checks, one after the other, for a store that is costly to start.
macro_rules! conformance_run {
    ($open:expr => $($name:ident,)*) => {
        $(
            {
                println!("{}", stringify!($name));
                let store = $open.await;
                $crate::store::conformance::$name(&store).await;
                store.close().await;
            }
        )*
    };
}
pub(crate) use conformance_run;

pub(crate) fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_760_000_000 + seconds, 123_456_000).unwrap()
}

pub(crate) fn id(name: &str) -> TenantId {
    TenantId::new(name).unwrap()
}

pub(crate) fn tenant(name: &str) -> NewTenant {
    NewTenant {
        tenant_id: id(name),
        client_id: format!("client-{name}"),
        display_name: format!("The {name}"),
        slug: None,
        active: true,
        json: format!(r#"{{"tenant_id":"{name}","metadata":{{"é":"\u0000"}}}}"#),
    }
}

pub(crate) fn number(digits: &str) -> NewNumber {
    NewNumber { phone_number: E164::new(digits).unwrap(), active: true, json: "{}".to_owned() }
}

pub(crate) fn call(tenant: &str, seconds: i64) -> CallRecord {
    let mut record = CallRecord::new(
        CallId::generate(),
        id(tenant),
        Direction::Inbound,
        RawText::from("a@b"),
        at(seconds),
    );
    record.to = Party { number: E164::new("+33199000001").ok(), ..Party::new(b"+33199000001") };
    record
}

fn checkpoint(offset: u64) -> Checkpoint {
    Checkpoint {
        node: "main".to_owned(),
        journal: 7,
        position: Position { segment: 1, offset },
        last_event_at: at(0),
    }
}

async fn with_tenants(store: &dyn Store, names: &[&str]) {
    for name in names {
        store.tenant(&id(name)).save(&tenant(name)).await.unwrap();
    }
}

async fn carry(store: &dyn Store, records: &[&CallRecord]) -> Carried {
    let writes: Vec<CallWrite> =
        records.iter().map(|record| CallWrite::from_record(record).unwrap()).collect();
    store.records().carry(&writes, &checkpoint(0)).await.unwrap()
}

async fn stored(store: &dyn Store, call: &CallRecord) -> CallRecord {
    store.operator().call(call.call_id).await.unwrap().unwrap()
}

pub(crate) async fn a_new_store_is_empty_and_takes_the_demo_data_once(store: &dyn Store) {
    assert!(store.operator().is_empty().await.unwrap());
    let tenants = [tenant("one"), tenant("two")];
    let row = |tenant, digits| NumberRow { tenant_id: id(tenant), number: number(digits) };
    let numbers = [row("one", "+33199000001"), row("two", "+12025550101"), row("one", "+33199000002")];
    store.operator().import_into_empty(&tenants, &numbers).await.unwrap();
    assert!(!store.operator().is_empty().await.unwrap());
    let counts = store.operator().counts().await.unwrap();
    assert_eq!(counts, Counts { tenants: 2, numbers: 3, calls: 0, open_calls: 0 });
    assert_eq!(
        store.directory().find_number(&numbers[1].number.phone_number).await.unwrap(),
        Some(numbers[1].clone())
    );
    let again = store.operator().import_into_empty(&tenants, &numbers).await;
    assert!(matches!(again, Err(StoreError::NotEmpty)));
}

pub(crate) async fn an_import_is_all_or_nothing(store: &dyn Store) {
    let numbers = [NumberRow { tenant_id: id("nobody"), number: number("+33199000001") }];
    let refused = store.operator().import_into_empty(&[tenant("one")], &numbers).await;
    assert!(matches!(refused, Err(StoreError::Refused { .. })), "{refused:?}");
    assert!(store.operator().is_empty().await.unwrap());
}

pub(crate) async fn a_tenants_document_comes_back_and_its_version_counts_up(store: &dyn Store) {
    let (one, mut document) = (id("one"), tenant("one"));
    assert_eq!(store.tenant(&one).document().await.unwrap(), None);
    assert_eq!(store.tenant(&one).save(&document).await.unwrap(), 1);
    document.json = r#"{"tenant_id":"one","unknown":[1,2.50]}"#.to_owned();
    assert_eq!(store.tenant(&one).save(&document).await.unwrap(), 2);
    let found = store.directory().load_tenant(&one).await.unwrap().unwrap();
    assert_eq!((found.version, found.json), (2, document.json.clone()));
    let other = store.tenant(&id("two")).save(&document).await;
    assert!(matches!(other, Err(StoreError::Refused { .. })));
}

pub(crate) async fn a_document_is_replaced_only_as_it_was_expected(store: &dyn Store) {
    let (one, document) = (id("one"), tenant("one"));
    let save = async |expected| store.tenant(&one).save_if(&document, expected).await;
    assert!(matches!(save(Expected::Version(1)).await, Err(StoreError::Stale { current: None })));
    assert_eq!(save(Expected::New).await.unwrap(), 1);
    assert!(matches!(save(Expected::New).await, Err(StoreError::Stale { current: Some(1) })));
    assert_eq!(save(Expected::Version(1)).await.unwrap(), 2);
    assert!(matches!(save(Expected::Version(1)).await, Err(StoreError::Stale { current: Some(2) })));
    assert_eq!(store.tenant(&one).document().await.unwrap().unwrap().version, 2);
}

pub(crate) async fn a_mapping_is_replaced_only_as_it_was_expected(store: &dyn Store) {
    with_tenants(store, &["one", "two"]).await;
    let (one, two, line) = (id("one"), id("two"), number("+33199000001"));
    let save = async |expected| store.tenant(&one).save_number_if(&line, expected).await;
    assert_eq!(save(Expected::New).await.unwrap(), 1);
    assert!(matches!(save(Expected::New).await, Err(StoreError::Stale { current: Some(1) })));
    assert_eq!(save(Expected::Version(1)).await.unwrap(), 2);
    let found = store.tenant(&one).number(&line.phone_number).await.unwrap();
    assert_eq!(found, Some((NumberRow { tenant_id: one.clone(), number: line.clone() }, 2)));
    assert_eq!(store.tenant(&two).number(&line.phone_number).await.unwrap(), None);
    let stolen = store.tenant(&two).save_number_if(&line, Expected::Anything).await;
    assert!(matches!(stolen, Err(StoreError::Conflict { .. })));
}

pub(crate) async fn changes_are_told_by_name(store: &dyn Store) {
    let (one, line) = (id("one"), number("+33199000001"));
    let before = store.directory().generation().await.unwrap();
    let nothing = store.directory().changes(before).await.unwrap();
    assert_eq!(nothing, Changes { generation: before, changed: Changed::These(Vec::new()) });
    store.tenant(&one).save(&tenant("one")).await.unwrap();
    store.tenant(&one).save_number(&line).await.unwrap();
    let told = store.directory().changes(before).await.unwrap();
    assert_eq!(told.generation, before + 2);
    let these = vec![Change::Tenant(one.clone()), Change::Number(line.phone_number.clone())];
    assert_eq!(told.changed, Changed::These(these));
    // A generation of another database, or from before the oldest change that is kept.
    for elsewhere in [before + 500, 0] {
        let told = store.directory().changes(elsewhere).await.unwrap();
        assert_eq!(told, Changes { generation: before + 2, changed: Changed::Anything });
    }
}

pub(crate) async fn a_change_is_heard_of_without_asking(store: &dyn Store) {
    let mut heard = store.directory().watch();
    let hears = async {
        // The first may be the listener's beginning.
        let before = store.directory().generation().await.unwrap();
        store.tenant(&id("one")).save(&tenant("one")).await.unwrap();
        loop {
            heard.changed().await.unwrap();
            if store.directory().generation().await.unwrap() > before {
                break;
            }
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(10), hears).await.expect("not heard of");
}

pub(crate) async fn a_slug_belongs_to_one_tenant(store: &dyn Store) {
    for (name, taken) in [("one", false), ("two", true)] {
        let document = NewTenant { slug: Some("shop".to_owned()), ..tenant(name) };
        let saved = store.tenant(&id(name)).save(&document).await;
        assert_eq!(matches!(saved, Err(StoreError::Conflict { .. })), taken, "{saved:?}");
    }
}

pub(crate) async fn a_number_belongs_to_one_tenant(store: &dyn Store) {
    with_tenants(store, &["one", "two"]).await;
    let (one, two) = (id("one"), id("two"));
    let mut line = number("+33199000001");
    store.tenant(&one).save_number(&line).await.unwrap();
    let stolen = store.tenant(&two).save_number(&line).await;
    assert!(matches!(stolen, Err(StoreError::Conflict { .. })), "{stolen:?}");
    line.active = false;
    store.tenant(&one).save_number(&line).await.unwrap();
    let found = store.tenant(&one).numbers().await.unwrap();
    assert_eq!(found, [NumberRow { tenant_id: one.clone(), number: line.clone() }]);
    assert!(!store.tenant(&two).remove_number(&line.phone_number).await.unwrap());
    assert!(store.tenant(&one).remove_number(&line.phone_number).await.unwrap());
    assert_eq!(store.directory().find_number(&line.phone_number).await.unwrap(), None);
    let nobody = store.tenant(&id("nobody")).save_number(&line).await;
    assert!(matches!(nobody, Err(StoreError::Refused { .. })), "{nobody:?}");
}

pub(crate) async fn every_change_of_the_directory_counts_its_generation_up(store: &dyn Store) {
    let one = id("one");
    let mut last = store.directory().generation().await.unwrap();
    let line = number("+33199000001");
    for step in 0..4 {
        match step {
            0 => drop(store.tenant(&one).save(&tenant("one")).await.unwrap()),
            1 => store.tenant(&one).save_number(&line).await.unwrap(),
            2 => drop(store.tenant(&one).remove_number(&line.phone_number).await.unwrap()),
            _ => drop(store.tenant(&one).delete().await.unwrap()),
        }
        let now = store.directory().generation().await.unwrap();
        assert!(now > last, "step {step}");
        last = now;
    }
}

pub(crate) async fn the_directory_is_read_in_pages(store: &dyn Store) {
    with_tenants(store, &["one", "two", "three"]).await;
    for digits in ["+33199000003", "+12025550101", "+33199000001"] {
        store.tenant(&id("two")).save_number(&number(digits)).await.unwrap();
    }
    let (mut numbers, mut tenants) = (Vec::<NumberRow>::new(), Vec::<TenantDocument>::new());
    loop {
        let after = numbers.last().map(|row| row.number.phone_number.clone());
        let page = store.directory().numbers(after.as_ref(), 2).await.unwrap();
        if page.is_empty() {
            break;
        }
        numbers.extend(page);
    }
    loop {
        let after = tenants.last().map(|tenant| tenant.tenant_id.clone());
        let page = store.directory().tenants(after.as_ref(), 2).await.unwrap();
        if page.is_empty() {
            break;
        }
        tenants.extend(page);
    }
    let numbers: Vec<&str> = numbers.iter().map(|row| row.number.phone_number.as_str()).collect();
    assert_eq!(numbers, ["+12025550101", "+33199000001", "+33199000003"]);
    let tenants: Vec<&str> = tenants.iter().map(|tenant| tenant.tenant_id.as_str()).collect();
    assert_eq!(tenants, ["one", "three", "two"]);
}

pub(crate) async fn a_deleted_tenant_takes_its_numbers_and_calls_along(store: &dyn Store) {
    with_tenants(store, &["one", "two"]).await;
    store.tenant(&id("one")).save_number(&number("+33199000001")).await.unwrap();
    let (mine, other) = (call("one", 0), call("two", 0));
    carry(store, &[&mine, &other]).await;
    assert!(store.tenant(&id("one")).delete().await.unwrap());
    assert!(!store.tenant(&id("one")).delete().await.unwrap());
    let counts = store.operator().counts().await.unwrap();
    assert_eq!(counts, Counts { tenants: 1, numbers: 0, calls: 1, open_calls: 1 });
}

pub(crate) async fn the_later_state_of_a_call_stays_whatever_the_order(store: &dyn Store) {
    with_tenants(store, &["one"]).await;
    let mut record = call("one", 0);
    let first = record.started(at(0));
    record.answer(at(1));
    let second = record.updated(at(1));
    carry(store, &[second.record()]).await;
    carry(store, &[first.record()]).await;
    assert_eq!(stored(store, &record).await, *second.record());
}

pub(crate) async fn carrying_the_same_twice_changes_nothing(store: &dyn Store) {
    with_tenants(store, &["one"]).await;
    let mut record = call("one", 0);
    let started = record.started(at(0));
    record.end(EndSide::Caller, EndReason::CallerHangup, at(9));
    let ended = record.ended(at(9));
    for _ in 0..2 {
        carry(store, &[started.record()]).await;
        carry(store, &[ended.record()]).await;
    }
    assert_eq!(stored(store, &record).await, *ended.record());
    assert_eq!(store.operator().counts().await.unwrap().calls, 1);
}

pub(crate) async fn an_ended_call_is_not_reopened(store: &dyn Store) {
    with_tenants(store, &["one"]).await;
    let mut record = call("one", 0);
    let open = record.clone();
    record.end(EndSide::Us, EndReason::Interrupted, at(5));
    carry(store, &[&record]).await;
    carry(store, &[&CallRecord { revision: 99, ..open }]).await;
    assert_eq!(stored(store, &record).await.status, CallStatus::Interrupted);
}

pub(crate) async fn a_call_stays_with_its_tenant(store: &dyn Store) {
    with_tenants(store, &["one", "two"]).await;
    let record = call("one", 0);
    carry(store, &[&record]).await;
    carry(store, &[&CallRecord { tenant_id: id("two"), revision: 5, ..record.clone() }]).await;
    assert_eq!(stored(store, &record).await, record);
}

pub(crate) async fn records_of_a_tenant_that_is_gone_are_left_out(store: &dyn Store) {
    with_tenants(store, &["one"]).await;
    let carried = carry(store, &[&call("gone", 0), &call("one", 0), &call("gone", 1)]).await;
    assert_eq!(carried, Carried { records: 1, orphans: 2 });
}

pub(crate) async fn calls_come_newest_first_in_pages_without_gap_or_repetition(store: &dyn Store) {
    with_tenants(store, &["one"]).await;
    // Several start in the same microsecond, so that the order needs more than the time.
    let calls: Vec<CallRecord> = (0..25).map(|n| call("one", n / 4)).collect();
    carry(store, &calls.iter().collect::<Vec<_>>()).await;
    let (mut seen, mut page) = (Vec::new(), PageRequest::first(4));
    loop {
        let found = store.tenant(&id("one")).calls(&CallFilter::default(), &page).await.unwrap();
        assert!(found.records.len() <= 4);
        seen.extend(found.records);
        match found.next {
            Some(next) => page.after = Some(next.to_string().parse().unwrap()),
            None => break,
        }
    }
    let mut expected = calls;
    expected.sort_by_key(|call| std::cmp::Reverse((call.started_at, call.call_id)));
    assert_eq!(seen, expected);
}

pub(crate) async fn calls_are_filtered(store: &dyn Store) {
    with_tenants(store, &["one"]).await;
    let (early, mut middle, mut late) = (call("one", 0), call("one", 10), call("one", 20));
    middle.end(EndSide::Caller, EndReason::CallerHangup, at(12));
    late.to.number = E164::new("+12025550101").ok();
    carry(store, &[&early, &middle, &late]).await;
    let all = CallFilter::default();
    let cases = [
        (CallFilter { since: Some(at(10)), ..all.clone() }, vec![&late, &middle]),
        (CallFilter { until: Some(at(10)), ..all.clone() }, vec![&early]),
        (CallFilter { status: Some(CallStatus::InProgress), ..all.clone() }, vec![&late, &early]),
        (CallFilter { dialed: E164::new("+12025550101").ok(), ..all.clone() }, vec![&late]),
        (all, vec![&late, &middle, &early]),
    ];
    for (filter, expected) in cases {
        let found = store.operator().calls(&filter, &PageRequest::first(10)).await.unwrap();
        assert_eq!(found.records.iter().collect::<Vec<_>>(), expected, "{filter:?}");
        assert_eq!(found.next, None);
    }
}

pub(crate) async fn a_tenant_sees_its_own_calls_only(store: &dyn Store) {
    with_tenants(store, &["one", "two"]).await;
    let (mine, other) = (call("one", 0), call("two", 0));
    carry(store, &[&mine, &other]).await;
    let one = id("one");
    let scope = store.tenant(&one);
    let found = scope.calls(&CallFilter::default(), &PageRequest::first(10)).await.unwrap();
    assert_eq!(found.records, std::slice::from_ref(&mine));
    assert_eq!(scope.call(mine.call_id).await.unwrap(), Some(mine));
    assert_eq!(scope.call(other.call_id).await.unwrap(), None);
}

pub(crate) async fn a_checkpoint_comes_back_by_node(store: &dyn Store) {
    assert_eq!(store.records().checkpoint("main").await.unwrap(), None);
    for offset in [32, 64] {
        store.records().carry(&[], &checkpoint(offset)).await.unwrap();
        assert_eq!(store.records().checkpoint("main").await.unwrap(), Some(checkpoint(offset)));
    }
    assert_eq!(store.records().checkpoint("other").await.unwrap(), None);
}

pub(crate) async fn open_calls_are_found_by_node(store: &dyn Store) {
    with_tenants(store, &["one"]).await;
    let (open, mut over) = (call("one", 0), call("one", 1));
    over.end(EndSide::Caller, EndReason::CallerHangup, at(3));
    carry(store, &[&open, &over]).await;
    assert_eq!(store.records().open_calls("main", 10).await.unwrap(), [open]);
    assert_eq!(store.records().open_calls("other", 10).await.unwrap(), []);
}

pub(crate) async fn texts_from_outside_come_back_exactly(store: &dyn Store) {
    with_tenants(store, &["one"]).await;
    let mut record = call("one", 0);
    record.from = Party::new(b"'; DROP TABLE calls; --\0\xff\xe9");
    record.from.display_name = Some(RawText::new(b"<script>\"Andr\xe9\"\0</script>"));
    record.keep_header(b"X-\xc3\xa9", "🎉\u{0}\r\n".as_bytes());
    record.summary = Some("nul \u{0} and quote ' and \u{10ffff}".to_owned());
    carry(store, &[&record]).await;
    assert_eq!(stored(store, &record).await, record);
}

pub(crate) async fn facts_are_kept_by_name(store: &dyn Store) {
    assert_eq!(store.meta().get("a").await.unwrap(), None);
    store.meta().put("a", "1").await.unwrap();
    store.meta().put("a", "2").await.unwrap();
    assert_eq!(store.meta().get("a").await.unwrap().as_deref(), Some("2"));
}

pub(crate) async fn a_large_batch_goes_in_whole(store: &dyn Store) {
    with_tenants(store, &["one"]).await;
    let calls: Vec<CallRecord> =
        (0..733).map(|n| call("one", n + TimeDelta::days(1).num_seconds())).collect();
    assert_eq!(carry(store, &calls.iter().collect::<Vec<_>>()).await, Carried { records: 733, orphans: 0 });
    assert_eq!(store.operator().counts().await.unwrap().calls, 733);
}
