//! Where the carrier puts call records.

use std::collections::BTreeSet;
use std::sync::{Arc, LazyLock};

use chrono::DateTime;
use sqlx::{AssertSqlSafe, Database, QueryBuilder};

use super::calls::id_bytes;
use super::error::asking;
use super::{Backend, Db, bounded};
use crate::call::record::CallRecord;
use crate::store::journal::Position;
use crate::store::sql::{signed, unreadable, unsigned};
use crate::store::{Answer, CallWrite, Carried, Checkpoint, RecordStore, StoreError};

/// How many records one statement takes: few sizes, so that each is prepared once. One round trip
/// to the database's thread costs more than a record does.
const SIZES: [usize; 4] = [64, 16, 4, 1];
/// Values of one record.
const COLUMNS: usize = 10;

static STATEMENTS: LazyLock<[(usize, Arc<str>); 4]> =
    LazyLock::new(|| SIZES.map(|size| (size, upsert(size).into())));

const CHECKPOINT: &str = "INSERT INTO checkpoints (node, journal, segment, byte_offset, last_event_at) \
     VALUES ($1, $2, $3, $4, $5) ON CONFLICT (node) DO UPDATE SET journal = excluded.journal, \
     segment = excluded.segment, byte_offset = excluded.byte_offset, last_event_at = excluded.last_event_at";

impl RecordStore for Backend {
    fn carry<'a>(&'a self, records: &'a [CallWrite], checkpoint: &'a Checkpoint) -> Answer<'a, Carried> {
        bounded(async move {
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
        })
    }

    fn checkpoint<'a>(&'a self, node: &'a str) -> Answer<'a, Option<Checkpoint>> {
        bounded(async move {
            let row: Option<(i64, i64, i64, i64)> = sqlx::query_as(
                "SELECT journal, segment, byte_offset, last_event_at FROM checkpoints WHERE node = $1",
            )
            .bind(node)
            .fetch_optional(self.reading())
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
        })
    }

    fn open_calls<'a>(&'a self, node: &'a str, limit: u32) -> Answer<'a, Vec<CallRecord>> {
        bounded(async move {
            let rows: Vec<String> =
                sqlx::query_scalar("SELECT record FROM calls WHERE node = $1 AND ended_at IS NULL LIMIT $2")
                    .bind(node)
                    .bind(i64::from(limit))
                    .fetch_all(self.reading())
                    .await
                    .map_err(asking)?;
            Ok(rows.iter().filter_map(|json| readable(json)).collect())
        })
    }
}

fn readable(json: &str) -> Option<CallRecord> {
    serde_json::from_str(json)
        .inspect_err(|error| tracing::error!(%error, "an open call's record can't be read"))
        .ok()
}

/// Which of the records' tenants are there.
async fn known_tenants(
    connection: &mut <Db as Database>::Connection,
    records: &[CallWrite],
) -> Result<BTreeSet<String>, StoreError> {
    let named: BTreeSet<&str> = records.iter().map(|record| record.tenant_id.as_str()).collect();
    if named.is_empty() {
        return Ok(BTreeSet::new());
    }
    let mut query: QueryBuilder<Db> = QueryBuilder::new("SELECT tenant_id FROM tenants WHERE tenant_id IN (");
    let mut list = query.separated(", ");
    for tenant in named {
        list.push_bind(tenant);
    }
    query.push(")");
    let known: Vec<String> = query.build_query_scalar().fetch_all(connection).await.map_err(asking)?;
    Ok(known.into_iter().collect())
}

async fn write(
    connection: &mut <Db as Database>::Connection,
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
                    .bind(i64::from(record.revision))
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
    let row = |at: usize| {
        let places: Vec<String> = (1..=COLUMNS).map(|column| format!("${}", at * COLUMNS + column)).collect();
        format!("({})", places.join(", "))
    };
    let rows = (0..records).map(row).collect::<Vec<_>>().join(", ");
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
