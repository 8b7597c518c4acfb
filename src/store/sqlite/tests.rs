use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::process::Command;

use sqlx::{ConnectOptions, Connection, Executor};
use tempfile::TempDir;

use super::*;
use crate::store::conformance::{conformance_suite, conformance_tests, id, tenant};

async fn empty() -> (SqliteStore, TempDir) {
    let directory = TempDir::new().unwrap();
    let store = SqliteStore::open(&directory.path().join("offhook.db")).await.unwrap();
    (store, directory)
}

conformance_suite!(empty());

#[tokio::test]
async fn a_second_opening_finds_what_the_first_left() {
    let (store, directory) = empty().await;
    store.tenant(&id("one")).save(&tenant("one")).await.unwrap();
    store.close().await;
    let store = SqliteStore::open(&directory.path().join("offhook.db")).await.unwrap();
    assert!(store.tenant(&id("one")).document().await.unwrap().is_some());
}

#[tokio::test]
async fn a_reader_beside_the_service_sees_what_is_committed_and_cannot_write() {
    let (store, _directory) = empty().await;
    let reader = SqliteStore::open_for_reading(store.path()).await.unwrap();
    store.tenant(&id("one")).save(&tenant("one")).await.unwrap();
    assert!(reader.tenant(&id("one")).document().await.unwrap().is_some());
    let refused = reader.tenant(&id("one")).save(&tenant("one")).await;
    assert!(matches!(refused, Err(StoreError::ReadOnly)));
}

#[tokio::test]
async fn a_database_that_is_not_there_is_named() {
    let error = SqliteStore::open_for_reading(Path::new("/nonexistent/offhook.db")).await.unwrap_err();
    assert!(error.to_string().contains("/nonexistent/offhook.db") && error.to_string().contains("--data"));
}

#[tokio::test]
async fn a_file_that_is_no_database_is_refused_as_damaged() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("offhook.db");
    std::fs::write(&path, vec![b'x'; 8192]).unwrap();
    assert!(matches!(SqliteStore::open(&path).await, Err(StoreError::Corrupt { .. })));
}

#[tokio::test]
async fn damaged_pages_are_found_at_start() {
    let (store, directory) = empty().await;
    for name in 0..200 {
        let name = format!("tenant-{name}");
        store.tenant(&id(&name)).save(&tenant(&name)).await.unwrap();
    }
    store.close().await;
    let path = directory.path().join("offhook.db");
    let mut bytes = std::fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle..].fill(0x5a);
    std::fs::write(&path, bytes).unwrap();
    let opened = SqliteStore::open(&path).await;
    assert!(matches!(opened, Err(StoreError::Corrupt { .. })), "{opened:?}");
}

#[tokio::test]
async fn a_database_of_a_later_version_is_refused() {
    let (store, directory) = empty().await;
    let mut later = store.writer.as_ref().unwrap().acquire().await.unwrap();
    let sql = "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
               VALUES (9999, 'from the future', true, x'00', 0)";
    later.execute(sql).await.unwrap();
    drop(later);
    store.close().await;
    let path = directory.path().join("offhook.db");
    assert!(matches!(SqliteStore::open(&path).await, Err(StoreError::NewerSchema { version: 9999 })));
    assert!(matches!(
        SqliteStore::open_for_reading(&path).await,
        Err(StoreError::NewerSchema { version: 9999 })
    ));
}

#[tokio::test]
async fn the_database_is_readable_to_its_user_only() {
    let (store, directory) = empty().await;
    store.tenant(&id("one")).save(&tenant("one")).await.unwrap();
    for name in ["offhook.db", "offhook.db-wal"] {
        let mode = directory.path().join(name).metadata().unwrap().mode() & 0o777;
        assert_eq!(mode, 0o600, "{name}");
    }
}

#[tokio::test]
async fn a_lock_held_elsewhere_is_reported_as_busy_and_reads_go_on() {
    let (store, _directory) = empty().await;
    let mut other = SqliteConnectOptions::new().filename(store.path()).connect().await.unwrap();
    let held = other.begin_with("BEGIN IMMEDIATE").await.unwrap();
    let refused = store.meta().put("a", "1").await;
    assert!(matches!(refused, Err(StoreError::Busy)), "{refused:?}");
    assert_eq!(store.meta().get("a").await.unwrap(), None);
    held.rollback().await.unwrap();
    store.meta().put("a", "1").await.unwrap();
}

#[tokio::test]
async fn a_full_database_is_reported_and_taken_up_again_when_there_is_room() {
    let (store, _directory) = empty().await;
    let limit = |pages: u32| {
        let store = store.clone();
        async move {
            let mut writer = store.writer.as_ref().unwrap().acquire().await.unwrap();
            writer.execute(sqlx::AssertSqlSafe(format!("PRAGMA max_page_count = {pages}"))).await.unwrap();
        }
    };
    limit(1).await;
    // SQLite rolls this back by itself, which the pool doesn't notice.
    let refused = store.meta().put("a", &"x".repeat(100_000)).await;
    assert!(matches!(refused, Err(StoreError::DiskFull)), "{refused:?}");
    limit(1_000_000).await;
    store.meta().put("a", "1").await.unwrap();
    assert_eq!(store.meta().get("a").await.unwrap().as_deref(), Some("1"));
}

#[test]
fn a_directory_that_cannot_be_written_is_a_clear_error() {
    let directory = TempDir::new().unwrap();
    std::fs::set_permissions(directory.path(), std::fs::Permissions::from_mode(0o555)).unwrap();
    // Permissions mean nothing to the superuser, so the attempt is made as somebody else.
    let output = crate::store::journal::tests::as_nobody(
        Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "store::sqlite::tests::child_opens", "--ignored", "--nocapture"])
            .env("STORE_TEST_DIRECTORY", directory.path()),
    );
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(said.contains("can't open the database") && said.contains("--data"), "{said}");
}

#[tokio::test]
#[ignore = "run by another test in a process of its own"]
async fn child_opens() {
    let Some(directory) = std::env::var_os("STORE_TEST_DIRECTORY") else { return };
    let path = Path::new(&directory).join("offhook.db");
    println!("{}", SqliteStore::open(&path).await.unwrap_err());
}
