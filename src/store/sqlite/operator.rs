//! The operator's view, across tenants.

use futures_util::FutureExt;
use sqlx::{QueryBuilder, Sqlite};

use super::SqliteStore;
use super::calls::{self, Scope};
use super::error::{asking, unreadable};
use super::tenant::{finish, save_tenant};
use crate::call::record::CallRecord;
use crate::ids::CallId;
use crate::store::{
    Answer, CallFilter, CallPage, Counts, NewTenant, NumberRow, OperatorStore, PageRequest, StoreError,
};

const EMPTY: &str = "SELECT NOT (EXISTS (SELECT 1 FROM tenants) OR EXISTS (SELECT 1 FROM numbers) \
     OR EXISTS (SELECT 1 FROM calls))";

const COUNTS: &str = "SELECT (SELECT count(*) FROM tenants), (SELECT count(*) FROM numbers), \
     (SELECT count(*) FROM calls), (SELECT count(*) FROM calls WHERE ended_at IS NULL)";

/// Numbers written by one statement.
const NUMBERS_AT_ONCE: usize = 200;

impl OperatorStore for SqliteStore {
    fn is_empty(&self) -> Answer<'_, bool> {
        async move { sqlx::query_scalar(EMPTY).fetch_one(&self.readers).await.map_err(asking) }.boxed()
    }

    fn import_into_empty<'a>(&'a self, tenants: &'a [NewTenant], numbers: &'a [NumberRow]) -> Answer<'a, ()> {
        async move {
            let mut transaction = self.write().await?;
            let empty: bool = sqlx::query_scalar(EMPTY).fetch_one(&mut *transaction).await.map_err(asking)?;
            if !empty {
                return Err(StoreError::NotEmpty);
            }
            for tenant in tenants {
                save_tenant(&mut transaction, tenant).await?;
            }
            for some in numbers.chunks(NUMBERS_AT_ONCE) {
                let mut insert: QueryBuilder<Sqlite> =
                    QueryBuilder::new("INSERT INTO numbers (phone_number, tenant_id, active, document) ");
                insert.push_values(some, |mut row, NumberRow { tenant_id, number }| {
                    row.push_bind(number.phone_number.as_str())
                        .push_bind(tenant_id.as_str())
                        .push_bind(number.active)
                        .push_bind(number.json.as_str());
                });
                insert.build().execute(&mut *transaction).await.map_err(asking)?;
            }
            finish(transaction).await
        }
        .boxed()
    }

    fn calls<'a>(&'a self, filter: &'a CallFilter, page: &'a PageRequest) -> Answer<'a, CallPage> {
        calls::list(&self.readers, Scope::Everyone, filter, page).boxed()
    }

    fn call(&self, id: CallId) -> Answer<'_, Option<CallRecord>> {
        calls::one(&self.readers, Scope::Everyone, id).boxed()
    }

    fn counts(&self) -> Answer<'_, Counts> {
        async move {
            let (tenants, numbers, calls, open_calls): (i64, i64, i64, i64) =
                sqlx::query_as(COUNTS).fetch_one(&self.readers).await.map_err(asking)?;
            let count = |value: i64| u64::try_from(value).map_err(|error| unreadable("count", error));
            Ok(Counts {
                tenants: count(tenants)?,
                numbers: count(numbers)?,
                calls: count(calls)?,
                open_calls: count(open_calls)?,
            })
        }
        .boxed()
    }
}
