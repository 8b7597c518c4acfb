//! Where the carrier puts call records.

use std::collections::BTreeSet;
use std::sync::{Arc, LazyLock};

use chrono::DateTime;
use futures_util::FutureExt;
use sqlx::{AssertSqlSafe, SqliteConnection};

use super::SqliteStore;
use super::calls::id_bytes;
use super::error::{asking, unreadable};
use crate::call::record::CallRecord;
use crate::store::journal::Position;
use crate::store::{Answer, CallWrite, Carried, Checkpoint, RecordStore, StoreError};

/// How many records one statement takes: few sizes, so that each is prepared once. One round trip
/// to the database's thread costs more than a record does.
const SIZES: [usize; 4] = [64, 16, 4, 1];

static STATEMENTS: LazyLock<[(usize, Arc<str>); 4]> =
    LazyLock::new(|| SIZES.map(|size| (size, upsert(size).into())));

const CHECKPOINT: &str = "INSERT INTO checkpoints (node, journal, segment, byte_offset, last_event_at) \
     VALUES (?, ?, ?, ?, ?) ON CONFLICT (node) DO UPDATE SET journal = excluded.journal, \
     segment = excluded.segment, byte_offset = excluded.byte_offset, last_event_at = excluded.last_event_at";

impl RecordStore for SqliteStore {
    fn carry<'a>(&'a self, records: &'a [CallWrite], checkpoint: &'a Checkpoint) -> Answer<'a, Carried> {
        async move {
            let mut transaction = self.write().await?;
            let known = known_tenants(&mut transaction, records).await?;
            let kept: Vec<&CallWrite> =
                records.iter().filter(|record| known.contains(record.tenant_id.as_str())).collect();
            write(&mut transaction, &kept, &checkpoint.node).await?;
            sqlx::query(CHECKPOINT)
                .bind(checkpoint.node.as_str())
                .bind(signed(checkpoint.journal)?)
                .bind(signed(checkpoint.position.segment)?)
                .bind(signed(checkpoint.position.offset)?)
                .bind(checkpoint.last_event_at.timestamp_micros())
                .execute(&mut *transaction)
                .await
                .map_err(asking)?;
            transaction.commit().await.map_err(asking)?;
            let count = |records: usize| u64::try_from(records).unwrap_or(u64::MAX);
            Ok(Carried { records: count(kept.len()), orphans: count(records.len() - kept.len()) })
        }
        .boxed()
    }

    fn checkpoint<'a>(&'a self, node: &'a str) -> Answer<'a, Option<Checkpoint>> {
        async move {
            let row: Option<(i64, i64, i64, i64)> = sqlx::query_as(
                "SELECT journal, segment, byte_offset, last_event_at FROM checkpoints WHERE node = ?",
            )
            .bind(node)
            .fetch_optional(&self.readers)
            .await
            .map_err(asking)?;
            let Some((journal, segment, offset, last_event_at)) = row else { return Ok(None) };
            Ok(Some(Checkpoint {
                node: node.to_owned(),
                journal: unsigned(journal)?,
                position: Position { segment: unsigned(segment)?, offset: unsigned(offset)? },
                last_event_at: DateTime::from_timestamp_micros(last_event_at)
                    .ok_or_else(|| unreadable("time", "it is beyond what a date can hold"))?,
            }))
        }
        .boxed()
    }

    fn open_calls<'a>(&'a self, node: &'a str, limit: u32) -> Answer<'a, Vec<CallRecord>> {
        async move {
            let rows: Vec<String> =
                sqlx::query_scalar("SELECT record FROM calls WHERE node = ? AND ended_at IS NULL LIMIT ?")
                    .bind(node)
                    .bind(limit)
                    .fetch_all(&self.readers)
                    .await
                    .map_err(asking)?;
            Ok(rows.iter().filter_map(|json| readable(json)).collect())
        }
        .boxed()
    }
}

fn readable(json: &str) -> Option<CallRecord> {
    serde_json::from_str(json)
        .inspect_err(|error| tracing::error!(%error, "an open call's record can't be read"))
        .ok()
}

/// Which of the records' tenants are there.
async fn known_tenants(
    connection: &mut SqliteConnection,
    records: &[CallWrite],
) -> Result<BTreeSet<String>, StoreError> {
    let named: BTreeSet<&str> = records.iter().map(|record| record.tenant_id.as_str()).collect();
    if named.is_empty() {
        return Ok(BTreeSet::new());
    }
    let named = serde_json::to_string(&named).map_err(|error| unreadable("tenant id", error))?;
    let known: Vec<String> = sqlx::query_scalar(
        "SELECT tenant_id FROM tenants WHERE tenant_id IN (SELECT value FROM json_each(?))",
    )
    .bind(named)
    .fetch_all(connection)
    .await
    .map_err(asking)?;
    Ok(known.into_iter().collect())
}

async fn write(
    connection: &mut SqliteConnection,
    records: &[&CallWrite],
    node: &str,
) -> Result<(), StoreError> {
    let node: Arc<str> = node.into();
    let mut rest = records;
    for (size, statement) in STATEMENTS.iter() {
        while let Some((some, others)) = rest.split_at_checked(*size) {
            let mut query = sqlx::query(AssertSqlSafe(Arc::clone(statement)));
            for record in some {
                query = query
                    .bind(id_bytes(record.call_id))
                    .bind(record.tenant_id.as_str())
                    .bind(Arc::clone(&node))
                    .bind(record.revision)
                    .bind(record.status.as_str())
                    .bind(record.started_at.timestamp_micros())
                    .bind(record.ended_at.map(|at| at.timestamp_micros()))
                    .bind(record.updated_at.timestamp_micros())
                    .bind(record.dialed.as_ref().map(|number| number.as_str()))
                    .bind(Arc::clone(&record.json));
            }
            query.execute(&mut *connection).await.map_err(asking)?;
            rest = others;
        }
    }
    Ok(())
}

/// The statement that takes `records` records. The higher revision stays; carrying the same event
/// again changes nothing; an ended call isn't reopened.
fn upsert(records: usize) -> String {
    let rows = vec!["(?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"; records].join(", ");
    format!(
        "INSERT INTO calls (call_id, tenant_id, node, revision, status, started_at, ended_at, updated_at, \
         dialed, record) VALUES {rows} ON CONFLICT (call_id) DO UPDATE SET \
         revision = excluded.revision, status = excluded.status, started_at = excluded.started_at, \
         ended_at = excluded.ended_at, updated_at = excluded.updated_at, dialed = excluded.dialed, \
         record = excluded.record WHERE excluded.revision >= calls.revision \
         AND (calls.ended_at IS NULL OR excluded.ended_at IS NOT NULL) \
         AND calls.tenant_id = excluded.tenant_id"
    )
}

fn signed(value: u64) -> Result<i64, StoreError> {
    i64::try_from(value).map_err(|error| StoreError::Refused { reason: error.to_string() })
}

fn unsigned(value: i64) -> Result<u64, StoreError> {
    u64::try_from(value).map_err(|error| unreadable("number", error))
}
