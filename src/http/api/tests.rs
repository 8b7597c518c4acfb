//! The API on a store of its own, asked as over the wire but without one.

use std::collections::BTreeSet;

use axum::body::{Body, to_bytes};
use axum::http::header::{AUTHORIZATION, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG};
use axum::http::{Method, StatusCode};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use serde_json::{Value, json};
use tempfile::TempDir;
use tower::ServiceExt;

use super::*;
use crate::ids::{E164, TenantId};
use crate::routing::{DirectoryOptions, DirectorySource, SourceError};
use crate::store::conformance::call;
use crate::store::sqlite::SqliteStore;
use crate::store::{CallWrite, Checkpoint};
use crate::tenant::{NumberMapping, Tenant};

/// A service's API, with what it stands on.
struct House {
    router: Router,
    store: Arc<dyn Store>,
    directory: TempDir,
}

/// An answer.
struct Answer {
    status: StatusCode,
    etag: Option<String>,
    kind: String,
    text: String,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("{}", self.text))
    }

    fn text_at(&self, pointer: &str) -> String {
        self.json()
            .pointer(pointer)
            .and_then(Value::as_str)
            .unwrap_or_else(|| panic!("{}", self.text))
            .to_owned()
    }
}

struct Stored(Arc<dyn Store>);

impl DirectorySource for Stored {
    fn find_number<'a>(
        &'a self,
        number: &'a E164,
    ) -> BoxFuture<'a, Result<Option<NumberMapping>, SourceError>> {
        async move {
            let row = self.0.directory().find_number(number).await.unwrap();
            Ok(row.map(|row| NumberMapping::from_json(row.number.json.as_bytes()).unwrap()))
        }
        .boxed()
    }
    fn load_tenant<'a>(
        &'a self,
        id: &'a TenantId,
    ) -> BoxFuture<'a, Result<Option<Arc<Tenant>>, SourceError>> {
        async move {
            let document = self.0.directory().load_tenant(id).await.unwrap();
            Ok(document.map(|document| Arc::new(Tenant::from_json(document.json.as_bytes()).unwrap())))
        }
        .boxed()
    }
}

impl House {
    async fn new() -> Self {
        let unlimited = ApiConfig { requests_per_minute: 0, failures_per_minute: 0, ..ApiConfig::default() };
        Self::with(&unlimited).await
    }

    async fn with(config: &ApiConfig) -> Self {
        let directory = TempDir::new().unwrap();
        let store: Arc<dyn Store> =
            Arc::new(SqliteStore::open(&directory.path().join("offhook.db")).await.unwrap());
        let master = MasterKey::from_file(&directory.path().join("master.key"), true).unwrap();
        let resolver = Directory::new(Arc::new(Stored(Arc::clone(&store))), DirectoryOptions::default());
        let vault = Vault::open(Arc::clone(&store), directory.path().join("vault.key")).unwrap();
        let (resolver, vault) = (Arc::new(resolver), Arc::new(vault));
        let sources = ApiSources {
            store: Arc::clone(&store),
            directory: resolver,
            master,
            vault,
            outbound: None,
            stats: Arc::default(),
        };
        let router = router(sources, config).layer(middleware::map_response(crate::http::guarded));
        Self { router, store, directory }
    }

    async fn ask(&self, method: Method, path: &str, key: Option<&str>, body: Option<Value>) -> Answer {
        self.ask_if(method, path, key, body, &[]).await
    }

    async fn ask_if(
        &self,
        method: Method,
        path: &str,
        key: Option<&str>,
        body: Option<Value>,
        headers: &[(&str, &str)],
    ) -> Answer {
        let mut request = axum::http::Request::builder().method(method).uri(path);
        if let Some(key) = key {
            request = request.header(AUTHORIZATION, format!("Bearer {key}"));
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let body = body.map_or_else(Body::empty, |body| Body::from(body.to_string()));
        let request = request.header(CONTENT_TYPE, "application/json").body(body).unwrap();
        let response = self.router.clone().oneshot(request).await.unwrap();
        let header =
            |name| response.headers().get(name).map(|value: &HeaderValue| value.to_str().unwrap().to_owned());
        assert!(header(CONTENT_SECURITY_POLICY).is_some_and(|policy| !policy.contains("unsafe-inline")));
        let (status, etag, kind) =
            (response.status(), header(ETAG), header(CONTENT_TYPE).unwrap_or_default());
        let bytes = to_bytes(response.into_body(), 1 << 24).await.unwrap();
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        assert!(status.is_success() || kind == "application/problem+json", "{path}: {status} {kind} {text}");
        Answer { status, etag, kind, text }
    }

    async fn operator(&self) -> String {
        let key = std::fs::read_to_string(self.directory.path().join("master.key")).unwrap();
        let answer =
            self.ask(Method::POST, "/api/v1/login", None, Some(json!({ "master_key": key.trim() }))).await;
        assert_eq!(answer.status, StatusCode::OK);
        answer.text_at("/token")
    }

    /// A tenant with a number, an ended call, and a key.
    async fn tenant(&self, operator: &str, id: &str, number: &str, role: &str) -> String {
        let made = self.ask(Method::POST, "/api/v1/tenants", Some(operator), Some(document(id))).await;
        assert_eq!(made.status, StatusCode::CREATED, "{}", made.text);
        let path = format!("/api/v1/tenants/{id}/numbers/{number}");
        let new = [("If-None-Match", "*")];
        let mapped = self.ask_if(Method::PUT, &path, Some(operator), Some(json!({})), &new).await;
        assert_eq!(mapped.status, StatusCode::OK, "{}", mapped.text);
        let record = CallWrite::from_record(&call(id, 0)).unwrap();
        let checkpoint = Checkpoint {
            node: id.to_owned(),
            journal: 1,
            position: crate::store::journal::Position { segment: 1, offset: 0 },
            last_event_at: chrono::Utc::now(),
        };
        self.store.records().carry(&[record], &checkpoint).await.unwrap();
        let path = format!("/api/v1/tenants/{id}/keys");
        let key = self.ask(Method::POST, &path, Some(operator), Some(json!({ "role": role }))).await;
        assert_eq!(key.status, StatusCode::CREATED, "{}", key.text);
        key.text_at("/key")
    }
}

fn document(id: &str) -> Value {
    json!({ "tenant_id": id, "client_id": format!("client of {id}"), "display_name": format!("The {id}"),
            "summary_to": [], "timezone": "Europe/Paris", "unknown": [1, 2.5] })
}

/// Every address of the API with every method that it knows.
fn routes() -> Vec<(Method, String)> {
    let description = serde_json::to_value(described().1).unwrap();
    let paths = description["paths"].as_object().unwrap().clone();
    paths
        .iter()
        .flat_map(|(path, methods)| {
            methods.as_object().unwrap().keys().map(move |method| {
                (Method::from_bytes(method.to_uppercase().as_bytes()).unwrap(), path.clone())
            })
        })
        .collect()
}

/// The address with the names in it filled in, as the tenant whose key isn't used has them.
fn filled(path: &str, call: &str, key: &str) -> String {
    path.replace("{tenant_id}", VICTIM)
        .replace("{number}", "+33199000002")
        .replace("{call_id}", call)
        .replace("{key_id}", key)
        .replace("{purpose}", "conversation")
        .replace("{version}", "1")
        .replace("{name}", "openai")
}

const VICTIM: &str = "tenant-victim";
/// What anybody may ask for.
const PUBLIC: [&str; 1] = ["/api/v1/login"];
/// What each key may ask for, and answers with what is the key's own.
const OWN: [&str; 5] =
    ["/api/v1/session", "/api/v1/calls", "/api/v1/voice/stats", "/api/v1/route", "/api/v1/prompt-variables"];

#[tokio::test]
async fn no_route_opens_to_another_tenants_key_or_to_none() {
    let house = House::new().await;
    let operator = house.operator().await;
    let attacker = house.tenant(&operator, "tenant-attacker", "+33199000001", "admin").await;
    house.tenant(&operator, VICTIM, "+33199000002", "admin").await;
    let victims = TenantId::new(VICTIM).unwrap();
    let calls = format!("/api/v1/calls?tenant_id={VICTIM}");
    let call = house.ask(Method::GET, &calls, Some(&operator), None).await.text_at("/calls/0/call_id");
    let key = house.store.tenant(&victims).access_keys().await.unwrap()[0].key_id.clone();
    let state = || async {
        let scope = house.store.tenant(&victims);
        (scope.document().await.unwrap(), scope.numbers().await.unwrap(), scope.access_keys().await.unwrap())
    };
    let before = state().await;
    let routes = routes();
    assert!(routes.len() > 15, "{routes:?}");
    let mut seen = BTreeSet::new();
    for (method, path) in &routes {
        let address = filled(path, &call, &key);
        assert!(!address.contains('{'), "{address}: fill in what stands for this name");
        let (query, body) = match path.as_str() {
            "/api/v1/route" => ("?number=%2B33199000002", None),
            _ => ("", (*method != Method::GET).then(|| document(VICTIM))),
        };
        let address = format!("{address}{query}");
        let headers = [("If-Match", "\"1\"")];
        if !PUBLIC.contains(&path.as_str()) {
            for key in [None, Some("ohk_0"), Some("adm.0.0.0"), Some("x")] {
                let answer = house.ask_if(method.clone(), &address, key, body.clone(), &headers).await;
                assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{method} {address} with {key:?}");
            }
        }
        let answer = house.ask_if(method.clone(), &address, Some(&attacker), body, &headers).await;
        let own = OWN.iter().any(|own| path.starts_with(own)) || PUBLIC.contains(&path.as_str());
        assert!(own || answer.status == StatusCode::FORBIDDEN, "{method} {address}: {}", answer.status);
        assert!(!answer.text.contains(VICTIM) && !answer.text.contains("+33199000002"), "{method} {address}");
        seen.insert(answer.status.as_u16());
    }
    assert!(state().await == before, "the other tenant's data was changed");
    assert!(seen.contains(&200), "its own are shown");
}

#[tokio::test]
async fn one_may_not_ask_for_anothers_calls_by_name() {
    let house = House::new().await;
    let operator = house.operator().await;
    let attacker = house.tenant(&operator, "tenant-attacker", "+33199000001", "read_only").await;
    house.tenant(&operator, VICTIM, "+33199000002", "admin").await;
    let answer =
        house.ask(Method::GET, &format!("/api/v1/calls?tenant_id={VICTIM}"), Some(&attacker), None).await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN);
    let keys = "/api/v1/tenants/tenant-attacker/keys";
    let admin = house.ask(Method::POST, keys, Some(&operator), Some(json!({ "role": "admin" }))).await;
    let body = json!({ "tenant_id": VICTIM, "to_number": "+33199000003" });
    let forced = house.ask(Method::POST, "/api/v1/calls", Some(&admin.text_at("/key")), Some(body)).await;
    assert_eq!(forced.status, StatusCode::FORBIDDEN);
    let own = house.ask(Method::GET, "/api/v1/calls", Some(&attacker), None).await.json();
    assert_eq!(own["calls"].as_array().unwrap().len(), 1);
    let all = house.ask(Method::GET, "/api/v1/calls", Some(&operator), None).await.json();
    assert_eq!(all["calls"].as_array().unwrap().len(), 2);
    let stats = format!("/api/v1/voice/stats?tenant_id={VICTIM}");
    let answer = house.ask(Method::GET, &stats, Some(&attacker), None).await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN);
    let unnamed = house.ask(Method::GET, "/api/v1/voice/stats", Some(&operator), None).await;
    assert_eq!(unnamed.status, StatusCode::BAD_REQUEST);
    let named = house.ask(Method::GET, &stats, Some(&operator), None).await.json();
    assert_eq!((&named["tenant_id"], &named["total"]["p50_ms"]), (&json!(VICTIM), &Value::Null));
}

#[tokio::test]
async fn a_read_only_key_changes_nothing() {
    let house = House::new().await;
    let operator = house.operator().await;
    let key = house.tenant(&operator, VICTIM, "+33199000002", "read_only").await;
    let path = format!("/api/v1/tenants/{VICTIM}");
    let read = house.ask(Method::GET, &path, Some(&key), None).await;
    assert_eq!((read.status, read.json()), (StatusCode::OK, document(VICTIM)));
    for (method, path) in routes() {
        // A preview changes nothing.
        if method == Method::GET || path.ends_with("/preview") || PUBLIC.contains(&path.as_str()) {
            continue;
        }
        let address = filled(&path, "0", "0");
        let headers = [("If-Match", "\"1\"")];
        let answer =
            house.ask_if(method.clone(), &address, Some(&key), Some(document(VICTIM)), &headers).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{method} {address}");
    }
}

#[tokio::test]
async fn a_document_is_replaced_by_its_etag_and_nobodys_change_is_lost() {
    let house = House::new().await;
    let operator = house.operator().await;
    let key = house.tenant(&operator, VICTIM, "+33199000002", "admin").await;
    let path = format!("/api/v1/tenants/{VICTIM}");
    let read = house.ask(Method::GET, &path, Some(&key), None).await;
    assert_eq!(read.etag.as_deref(), Some("\"1\""));
    let mut changed = document(VICTIM);
    changed["display_name"] = json!("Another name");
    let put = async |tag: Option<&str>, body: &Value| {
        let headers: Vec<(&str, &str)> = tag.iter().map(|tag| ("If-Match", *tag)).collect();
        house.ask_if(Method::PUT, &path, Some(&key), Some(body.clone()), &headers).await
    };
    assert_eq!(put(None, &changed).await.status, StatusCode::PRECONDITION_REQUIRED);
    let saved = put(Some("\"1\""), &changed).await;
    assert_eq!((saved.status, saved.etag.as_deref()), (StatusCode::OK, Some("\"2\"")));
    assert_eq!(put(Some("\"1\""), &changed).await.status, StatusCode::PRECONDITION_FAILED);
    assert_eq!(put(Some("W/\"2\""), &changed).await.status, StatusCode::PRECONDITION_FAILED);
    changed["limits"] = json!({ "max_concurrent_calls": 1000 });
    assert_eq!(put(Some("\"2\""), &changed).await.status, StatusCode::FORBIDDEN);
    let wrong = put(Some("\"2\""), &json!({ "tenant_id": VICTIM, "timezone": "Mars" })).await;
    assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY);
    let paths: Vec<Value> =
        wrong.json()["errors"].as_array().unwrap().iter().map(|fault| fault["path"].clone()).collect();
    assert_eq!(paths, ["$.client_id", "$.display_name", "$.summary_to", "$.timezone"]);
}

#[tokio::test]
async fn a_key_is_shown_once_regenerated_and_taken_away() {
    let house = House::new().await;
    let operator = house.operator().await;
    let key = house.tenant(&operator, VICTIM, "+33199000002", "admin").await;
    let path = format!("/api/v1/tenants/{VICTIM}/keys");
    let listed = house.ask(Method::GET, &path, Some(&key), None).await;
    let id = listed.text_at("/keys/0/key_id");
    assert!(!listed.text.contains(&key));
    let again = house.ask(Method::POST, &format!("{path}/{id}/regenerate"), Some(&key), None).await;
    assert_eq!(again.status, StatusCode::CREATED);
    let new = again.text_at("/key");
    assert_eq!(house.ask(Method::GET, &path, Some(&key), None).await.status, StatusCode::UNAUTHORIZED);
    let session = house.ask(Method::GET, "/api/v1/session", Some(&new), None).await.json();
    assert_eq!((session["role"].as_str(), session["tenant_id"].as_str()), (Some("admin"), Some(VICTIM)));
    let id = again.text_at("/key_id");
    let gone = house.ask(Method::DELETE, &format!("{path}/{id}"), Some(&operator), None).await;
    assert_eq!(gone.status, StatusCode::NO_CONTENT);
    assert_eq!(house.ask(Method::GET, &path, Some(&new), None).await.status, StatusCode::UNAUTHORIZED);
    let log = house.ask(Method::GET, "/api/v1/audit", Some(&operator), None).await;
    let actions: Vec<Value> =
        log.json()["entries"].as_array().unwrap().iter().map(|entry| entry["action"].clone()).collect();
    assert_eq!(
        actions,
        ["key.delete", "key.regenerate", "key.create", "number.save", "tenant.create", "operator.login"]
    );
    assert!(!log.text.contains(&new) && !log.text.contains(&key));
}

#[tokio::test]
async fn too_many_requests_and_wrong_keys_are_braked() {
    let few = ApiConfig { requests_per_minute: 3, failures_per_minute: 2, ..ApiConfig::default() };
    let house = House::with(&few).await;
    let operator = house.operator().await;
    let ask = async |key: Option<&str>| house.ask(Method::GET, "/api/v1/session", key, None).await.status;
    for expected in [StatusCode::OK, StatusCode::OK, StatusCode::OK, StatusCode::TOO_MANY_REQUESTS] {
        assert_eq!(ask(Some(&operator)).await, expected);
    }
    for expected in [StatusCode::UNAUTHORIZED, StatusCode::UNAUTHORIZED, StatusCode::TOO_MANY_REQUESTS] {
        assert_eq!(ask(Some("ohk_0")).await, expected);
    }
    let body = json!({ "master_key": "wrong" });
    let login = house.ask(Method::POST, "/api/v1/login", None, Some(body)).await;
    assert_eq!(login.status, StatusCode::TOO_MANY_REQUESTS);
}

#[tokio::test]
async fn a_route_is_explained() {
    let house = House::new().await;
    let operator = house.operator().await;
    let key = house.tenant(&operator, VICTIM, "+33199000002", "read_only").await;
    let path = "/api/v1/route?number=%2B33199000002&at=2026-11-20T09:00:00Z";
    let answer = house.ask(Method::GET, path, Some(&key), None).await.json();
    assert_eq!(answer["outcome"], "answered");
    assert_eq!(
        (answer["tenant_id"].as_str(), answer["opening"]["open"].as_bool()),
        (Some(VICTIM), Some(true))
    );
    let unknown = "/api/v1/route?number=%2B33199000009";
    assert_eq!(
        house.ask(Method::GET, unknown, Some(&operator), None).await.json()["outcome"],
        "unknown_number"
    );
    assert_eq!(house.ask(Method::GET, unknown, Some(&key), None).await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn what_is_wrong_with_a_request_is_a_problem_whatever_it_is() {
    let house = House::new().await;
    let operator = house.operator().await;
    for (method, path, body, status) in [
        (Method::GET, "/api/v1/nothing", None, 404),
        (Method::PATCH, "/api/v1/tenants", None, 405),
        (Method::GET, "/api/v1/tenants?limit=x", None, 400),
        (Method::GET, "/api/v1/tenants?unknown=1", None, 400),
        (Method::GET, "/api/v1/tenants/%FF", None, 404),
        (Method::GET, "/api/v1/calls?cursor=x", None, 400),
        (Method::GET, "/api/v1/calls?since=yesterday", None, 400),
        (Method::GET, "/api/v1/calls/x", None, 404),
        (Method::POST, "/api/v1/login", Some(json!([])), 422),
        (Method::POST, "/api/v1/tenants", Some(json!([])), 422),
        (Method::POST, "/api/v1/tenants", Some(json!("x".repeat(MAX_BODY))), 413),
    ] {
        let answer = house.ask(method, path, Some(&operator), body).await;
        assert_eq!(answer.status.as_u16(), status, "{path}: {}", answer.text);
        assert_eq!(answer.kind, "application/problem+json");
        assert_eq!(answer.json()["status"], status);
    }
}

#[tokio::test]
async fn the_openapi_document_describes_itself_as_3_1() {
    let house = House::new().await;
    let answer = house.ask(Method::GET, OPENAPI, None, None).await;
    let document = answer.json();
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1"), "{}", document["openapi"]);
    // Each reference leads somewhere.
    for part in answer.text.split("\"#/components/schemas/").skip(1) {
        let name = part.split('"').next().unwrap();
        assert!(document["components"]["schemas"].get(name).is_some(), "{name}");
    }
}

#[tokio::test]
async fn prompts_are_checked_kept_tried_and_rolled_back() {
    let house = House::new().await;
    let operator = house.operator().await;
    let key = house.tenant(&operator, VICTIM, "+33199000002", "admin").await;
    let path = format!("/api/v1/tenants/{VICTIM}/prompts/conversation");
    let versions = format!("{path}/versions");
    let save = async |template: &str| {
        let body = json!({ "template": template, "note": "a note" });
        house.ask(Method::POST, &versions, Some(&key), Some(body)).await
    };
    let refused = save("Hello {{ company.nam }}").await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(refused.text.contains("company.name"), "{}", refused.text);
    assert_eq!(save("One\nfor {{ company.name }}").await.json()["version"], 1);
    assert_eq!(save("Two\nfor {{ company.name }}").await.json()["version"], 2);
    let preview = async |body: Value| {
        house.ask(Method::POST, &format!("{path}/preview"), Some(&key), Some(body)).await.text_at("/prompt")
    };
    assert_eq!(preview(json!({})).await, format!("One\nfor The {VICTIM}"));
    assert_eq!(preview(json!({ "version": 2 })).await, format!("Two\nfor The {VICTIM}"));
    assert_eq!(preview(json!({ "template": "{{ caller.name }}", "caller_name": "A\"" })).await, r#""A\"""#);
    let pointer = house.ask(Method::GET, &format!("{path}/pointer"), Some(&key), None).await;
    let tag = pointer.etag.unwrap();
    let point = async |tag: &str, body: Value| {
        let tag = [("If-Match", tag)];
        house.ask_if(Method::PUT, &format!("{path}/pointer"), Some(&key), Some(body), &tag).await
    };
    let trial = json!({ "active": 1, "candidate": { "version": 2, "percent": 10 } });
    let tried = point(&tag, trial).await;
    assert_eq!(tried.json()["candidate"]["percent"], 10);
    assert_eq!(point(&tag, json!({ "active": 2 })).await.status, StatusCode::PRECONDITION_FAILED);
    let tag = tried.etag.unwrap();
    assert_eq!(point(&tag, json!({ "active": 9 })).await.status, StatusCode::CONFLICT);
    let moved = point(&tag, json!({ "active": 2 })).await.json();
    assert_eq!(moved, json!({ "active": 2, "before": [1] }));
    let back = house.ask(Method::POST, &format!("{path}/rollback"), Some(&key), None).await;
    assert_eq!(back.json(), json!({ "active": 1, "before": [] }));
    let again = house.ask(Method::POST, &format!("{path}/rollback"), Some(&key), None).await;
    assert_eq!(again.status, StatusCode::CONFLICT);
    let diff = house.ask(Method::GET, &format!("{path}/diff?from=1&to=2"), Some(&key), None).await.json();
    let sides: Vec<&str> =
        diff["lines"].as_array().unwrap().iter().map(|line| line["side"].as_str().unwrap()).collect();
    assert_eq!(sides, ["removed", "added", "both"]);
    let listed = house.ask(Method::GET, &format!("{versions}?limit=1"), Some(&key), None).await.json();
    assert_eq!((listed["versions"][0]["version"].as_u64(), listed["next"].as_u64()), (Some(2), Some(2)));
}

#[tokio::test]
async fn a_secret_goes_in_and_never_comes_out() {
    let house = House::new().await;
    let operator = house.operator().await;
    let key = house.tenant(&operator, VICTIM, "+33199000002", "admin").await;
    let path = format!("/api/v1/tenants/{VICTIM}/secrets");
    let body = json!({ "value": "sk-very-secret" });
    let kept = house.ask(Method::PUT, &format!("{path}/openai"), Some(&key), Some(body.clone())).await;
    assert_eq!(kept.status, StatusCode::NO_CONTENT);
    let kept = house.ask(Method::PUT, "/api/v1/secrets/openai", Some(&operator), Some(body)).await;
    assert_eq!(kept.status, StatusCode::NO_CONTENT);
    let rotated = house.ask(Method::POST, "/api/v1/vault/rotate", Some(&operator), None).await;
    assert_eq!(rotated.json(), json!({ "sealed": 2 }));
    let listed = house.ask(Method::GET, &path, Some(&key), None).await;
    assert_eq!(listed.text_at("/secrets/0/name"), "openai");
    for (method, path) in routes() {
        if method == Method::GET {
            let address =
                filled(&path, "0", "0").replace("/api/v1/route", "/api/v1/route?number=%2B33199000002");
            let answer = house.ask(method, &address, Some(&operator), None).await;
            assert!(!answer.text.contains("sk-very-secret"), "{address}");
        }
    }
    let database = std::fs::read(house.directory.path().join("offhook.db-wal")).unwrap();
    assert!(!database.windows(14).any(|part| part == b"sk-very-secret"), "it is stored as it is");
    let gone = house.ask(Method::DELETE, &format!("{path}/openai"), Some(&key), None).await;
    assert_eq!(gone.status, StatusCode::NO_CONTENT);
}

#[tokio::test]
async fn what_is_exported_is_taken_in_again_and_all_or_nothing() {
    let house = House::new().await;
    let operator = house.operator().await;
    let key = house.tenant(&operator, VICTIM, "+33199000002", "read_only").await;
    let path = format!("/api/v1/tenants/{VICTIM}/export");
    let exported = house.ask(Method::GET, &path, Some(&key), None).await;
    let mut documents = vec![exported.json()];
    let import = async |documents: &[Value]| {
        house.ask(Method::POST, "/api/v1/import", Some(&operator), Some(json!(documents))).await
    };
    let taken = import(&documents).await;
    assert_eq!(taken.json(), json!({ "tenants": 1, "numbers": 1, "prompts": 0 }));
    assert_eq!(house.ask(Method::GET, &path, Some(&key), None).await.text, exported.text);
    documents.push(document("tenant-other"));
    documents.push(json!({ "tenant_id": "tenant-wrong" }));
    let refused = import(&documents).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(refused.text_at("/errors/0/path"), "body[2]: $.client_id");
    let listed = house.ask(Method::GET, "/api/v1/tenants", Some(&operator), None).await.json();
    assert_eq!(listed["tenants"].as_array().unwrap().len(), 1);
}
