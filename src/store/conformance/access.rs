//! Keys, the audit log, prompts, imports, secrets.

use uuid::Uuid;

use super::{at, id, number, tenant, with_tenants};
use crate::ids::TenantId;
use crate::store::*;
use crate::tenant::access::{KeyHash, Role};
use crate::tenant::prompt::{Candidate, NewPrompt, Pointer, Purpose, Template};

fn key(tenant: &str, name: &str, secret: &str) -> NewAccessKey {
    let shown = AccessKey {
        key_id: name.to_owned(),
        tenant_id: id(tenant),
        role: Role::Admin,
        label: "the office".to_owned(),
        created_at: at(0),
    };
    NewAccessKey { shown, hash: KeyHash::of(secret) }
}

pub(crate) async fn a_key_is_found_by_its_hash_and_belongs_to_one_tenant(store: &dyn Store) {
    with_tenants(store, &["one", "two"]).await;
    let mine = key("one", "key_1", "secret");
    let (one, two) = (id("one"), id("two"));
    assert!(matches!(store.tenant(&two).add_access_key(&mine, None).await, Err(StoreError::Refused { .. })));
    assert!(store.tenant(&one).add_access_key(&mine, None).await.unwrap());
    let found = store.access().find_key(&KeyHash::of("secret")).await.unwrap();
    assert_eq!(found.as_ref(), Some(&mine.shown));
    assert_eq!(store.access().find_key(&KeyHash::of("Secret")).await.unwrap(), None);
    assert_eq!(store.tenant(&one).access_keys().await.unwrap(), std::slice::from_ref(&mine.shown));
    assert_eq!(store.tenant(&two).access_keys().await.unwrap(), []);
    assert!(!store.tenant(&two).remove_access_key("key_1").await.unwrap());
    assert!(store.tenant(&one).remove_access_key("key_1").await.unwrap());
    assert_eq!(store.access().find_key(&mine.hash).await.unwrap(), None);
    store.tenant(&one).add_access_key(&mine, None).await.unwrap();
    store.tenant(&one).delete().await.unwrap();
    assert_eq!(store.access().find_key(&mine.hash).await.unwrap(), None);
}

pub(crate) async fn a_key_is_replaced_in_one_step(store: &dyn Store) {
    with_tenants(store, &["one"]).await;
    let one = id("one");
    let (old, new) = (key("one", "key_1", "old"), key("one", "key_2", "new"));
    assert!(!store.tenant(&one).add_access_key(&new, Some("key_1")).await.unwrap());
    assert_eq!(store.tenant(&one).access_keys().await.unwrap(), []);
    store.tenant(&one).add_access_key(&old, None).await.unwrap();
    assert!(store.tenant(&one).add_access_key(&new, Some("key_1")).await.unwrap());
    assert_eq!(store.tenant(&one).access_keys().await.unwrap(), [new.shown]);
}

pub(crate) async fn the_audit_log_is_read_newest_first_and_outlives_the_tenant(store: &dyn Store) {
    with_tenants(store, &["one"]).await;
    let entries: Vec<AuditEntry> = (0..5_u8)
        .map(|n| AuditEntry {
            entry_id: Uuid::from_u128(u128::from(n) + 1),
            at: at(i64::from(n)),
            actor: "operator".to_owned(),
            tenant_id: (n != 2).then(|| id("one")),
            action: "tenant.save".to_owned(),
            target: format!("entry {n}"),
            source: "127.0.0.1".to_owned(),
        })
        .collect();
    for entry in &entries {
        store.access().note(entry).await.unwrap();
    }
    store.tenant(&id("one")).delete().await.unwrap();
    let newest = store.access().audit(None, None, 2).await.unwrap();
    assert_eq!(newest, [entries[4].clone(), entries[3].clone()]);
    let rest = store.access().audit(None, Some(newest[1].entry_id), 10).await.unwrap();
    assert_eq!(rest, [entries[2].clone(), entries[1].clone(), entries[0].clone()]);
    assert_eq!(store.access().audit(Some(&id("one")), None, 10).await.unwrap().len(), 4);
}

fn prompt(template: &str) -> NewPrompt {
    NewPrompt {
        purpose: Purpose::Conversation,
        template: Template::new(template).unwrap(),
        note: "a note".to_owned(),
        author: "operator".to_owned(),
        created_at: at(0),
    }
}

pub(crate) async fn prompts_keep_their_versions_and_a_pointer_says_which_is_used(store: &dyn Store) {
    with_tenants(store, &["one", "two"]).await;
    let (one, two, purpose) = (id("one"), id("two"), Purpose::Conversation);
    let scope = store.tenant(&one);
    assert_eq!(scope.prompt_pointer(purpose).await.unwrap(), None);
    let before = store.directory().generation().await.unwrap();
    for (text, version) in [("first", 1), ("second", 2), ("third", 3)] {
        assert_eq!(scope.add_prompt(&prompt(text)).await.unwrap(), version);
    }
    assert!(store.directory().generation().await.unwrap() > before, "calls hear of it");
    let versions = scope.prompt_versions(purpose, None, 2).await.unwrap();
    assert_eq!(versions.iter().map(|found| found.version).collect::<Vec<_>>(), [3, 2]);
    assert_eq!(scope.prompt_versions(purpose, Some(2), 9).await.unwrap()[0].template, "first");
    assert_eq!(scope.prompt(purpose, 2).await.unwrap().unwrap().note, "a note");
    let (pointer, revision) = scope.prompt_pointer(purpose).await.unwrap().unwrap();
    assert_eq!((&pointer, revision), (&Pointer::to(1), 1));
    let trial = Some(Candidate { version: 2, percent: 25 });
    let moved = Pointer { candidate: trial, ..pointer.moved(3) };
    let set = async |pointer: &Pointer, expected| scope.set_prompt_pointer(purpose, pointer, expected).await;
    assert!(matches!(set(&moved, Expected::Version(7)).await, Err(StoreError::Stale { current: Some(1) })));
    assert_eq!(set(&moved, Expected::Version(1)).await.unwrap(), 2);
    assert_eq!(scope.prompt_pointer(purpose).await.unwrap(), Some((moved.clone(), 2)));
    assert_eq!(scope.prompt_pointers().await.unwrap(), [(purpose, moved)]);
    let nowhere = set(&Pointer::to(9), Expected::Anything).await;
    assert!(matches!(nowhere, Err(StoreError::Refused { .. })), "{nowhere:?}");
    assert_eq!(store.tenant(&two).prompt_versions(purpose, None, 9).await.unwrap(), []);
    let stranger = store.tenant(&two).set_prompt_pointer(purpose, &Pointer::to(1), Expected::Anything).await;
    assert!(matches!(stranger, Err(StoreError::Refused { .. })), "{stranger:?}");
    assert!(store.tenant(&one).delete().await.unwrap());
}

pub(crate) async fn an_import_replaces_what_is_there_and_fails_as_a_whole(store: &dyn Store) {
    with_tenants(store, &["one", "two"]).await;
    store.tenant(&id("two")).save_number(&number("+33199000002")).await.unwrap();
    let row = |tenant, digits| NumberRow { tenant_id: id(tenant), number: number(digits) };
    let mut rows = ImportRows {
        tenants: vec![NewTenant { json: "{}".to_owned(), ..tenant("one") }, tenant("three")],
        numbers: vec![row("one", "+33199000001"), row("one", "+33199000002")],
        prompts: vec![(id("three"), prompt("first"))],
    };
    let refused = store.operator().import(&rows).await;
    assert!(matches!(refused, Err(StoreError::Conflict { .. })), "{refused:?}");
    assert_eq!(store.operator().counts().await.unwrap().tenants, 2);
    rows.numbers.pop();
    let before = store.directory().generation().await.unwrap();
    for _ in 0..2 {
        store.operator().import(&rows).await.unwrap();
    }
    assert_eq!(store.directory().changes(before).await.unwrap().changed, Changed::Anything);
    assert_eq!(store.tenant(&id("one")).document().await.unwrap().unwrap().json, "{}");
    let three = id("three");
    let scope = store.tenant(&three);
    assert_eq!(scope.prompt_versions(Purpose::Conversation, None, 9).await.unwrap().len(), 1);
    rows.prompts = vec![(id("three"), prompt("second"))];
    store.operator().import(&rows).await.unwrap();
    let (pointer, _) = scope.prompt_pointer(Purpose::Conversation).await.unwrap().unwrap();
    assert_eq!((pointer.active, pointer.before), (2, vec![1]));
}

pub(crate) async fn secrets_are_kept_sealed_by_owner_and_name(store: &dyn Store) {
    with_tenants(store, &["one", "two"]).await;
    let sealed = |text: &str| Sealed { key_id: "k1".to_owned(), bytes: text.as_bytes().to_vec() };
    let (one, two) = (id("one"), id("two"));
    assert_eq!(store.tenant(&one).secret("openai").await.unwrap(), None);
    store.operator().keep_secret("openai", &sealed("operator's")).await.unwrap();
    for text in ["first", "second"] {
        store.tenant(&one).keep_secret("openai", &sealed(text)).await.unwrap();
    }
    store.tenant(&two).keep_secret("azure", &sealed("two's")).await.unwrap();
    assert_eq!(store.tenant(&one).secret("openai").await.unwrap(), Some(sealed("second")));
    assert_eq!(store.operator().secret("openai").await.unwrap(), Some(sealed("operator's")));
    let names = store.tenant(&one).secret_names().await.unwrap();
    assert_eq!(names.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["openai"]);
    let (mut all, mut after) = (Vec::new(), None);
    loop {
        let page = store.operator().secrets_after(after.as_ref(), 2).await.unwrap();
        let Some(last) = page.last() else { break };
        after = Some((last.owner.clone(), last.name.clone()));
        all.extend(page);
    }
    let owners: Vec<Option<&str>> =
        all.iter().map(|found| found.owner.as_ref().map(TenantId::as_str)).collect();
    assert_eq!(owners, [None, Some("one"), Some("two")]);
    let new = Sealed { key_id: "k2".to_owned(), bytes: vec![0, 255] };
    assert!(!store.operator().reseal(Some(&one), "openai", &sealed("first"), &new).await.unwrap());
    assert!(store.operator().reseal(Some(&one), "openai", &sealed("second"), &new).await.unwrap());
    assert!(store.operator().reseal(None, "openai", &sealed("operator's"), &new).await.unwrap());
    assert_eq!(store.tenant(&one).secret("openai").await.unwrap(), Some(new));
    let stranger = store.tenant(&id("nobody")).keep_secret("openai", &sealed("x")).await;
    assert!(matches!(stranger, Err(StoreError::Refused { .. })));
    assert!(!store.tenant(&two).remove_secret("openai").await.unwrap());
    assert!(store.tenant(&one).remove_secret("openai").await.unwrap());
    store.tenant(&two).delete().await.unwrap();
    assert_eq!(store.operator().secrets_after(None, 9).await.unwrap().len(), 1);
}
