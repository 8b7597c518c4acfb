//! The operator's view, across tenants.

use futures_util::FutureExt;
use sqlx::QueryBuilder;

use super::calls::{self, Scope};
use super::change::DirectoryChange;
use super::error::asking;
use super::secrets;
use super::tenant::{OneTenant, save_tenant};
use super::{Backend, Db, bounded};
use crate::call::record::CallRecord;
use crate::ids::{CallId, TenantId};
use crate::store::sql::unsigned;
use crate::store::{
    Answer, CallFilter, CallPage, Change, Counts, Expected, ImportRows, NewTenant, NumberRow, OperatorStore,
    OwnedSecret, PageRequest, Sealed, StoreError,
};

const EMPTY: &str = "SELECT NOT (EXISTS (SELECT 1 FROM tenants) OR EXISTS (SELECT 1 FROM numbers) \
     OR EXISTS (SELECT 1 FROM calls))";

const COUNTS: &str = "SELECT (SELECT count(*) FROM tenants), (SELECT count(*) FROM numbers), \
     (SELECT count(*) FROM calls), (SELECT count(*) FROM calls WHERE ended_at IS NULL)";

/// Numbers written by one statement.
const NUMBERS_AT_ONCE: usize = 200;

impl OperatorStore for Backend {
    fn is_empty(&self) -> Answer<'_, bool> {
        bounded(async move { sqlx::query_scalar(EMPTY).fetch_one(self.reading()).await.map_err(asking) })
    }

    fn import_into_empty<'a>(&'a self, tenants: &'a [NewTenant], numbers: &'a [NumberRow]) -> Answer<'a, ()> {
        bounded(async move {
            let mut change = DirectoryChange::begin(self).await?;
            let empty: bool =
                sqlx::query_scalar(EMPTY).fetch_one(&mut *change.transaction).await.map_err(asking)?;
            if !empty {
                return Err(StoreError::NotEmpty);
            }
            for tenant in tenants {
                save_tenant(&mut change.transaction, tenant).await?;
            }
            for some in numbers.chunks(NUMBERS_AT_ONCE) {
                let mut insert: QueryBuilder<Db> =
                    QueryBuilder::new("INSERT INTO numbers (phone_number, tenant_id, active, document) ");
                insert.push_values(some, |mut row, NumberRow { tenant_id, number }| {
                    row.push_bind(number.phone_number.as_str())
                        .push_bind(tenant_id.as_str())
                        .push_bind(number.active)
                        .push_bind(number.json.as_str());
                });
                insert.build().execute(&mut *change.transaction).await.map_err(asking)?;
            }
            change.commit(Change::All).await
        })
    }

    // Not bounded as a whole: it may be long. Each statement is, by the server.
    fn import<'a>(&'a self, rows: &'a ImportRows) -> Answer<'a, ()> {
        async move {
            let mut change = DirectoryChange::begin(self).await?;
            for tenant in &rows.tenants {
                save_tenant(&mut change.transaction, tenant).await?;
            }
            for row in &rows.numbers {
                let owner = OneTenant { store: self, id: &row.tenant_id };
                owner.put_number(&mut change, &row.number, Expected::Anything).await?;
            }
            for (id, prompt) in &rows.prompts {
                OneTenant { store: self, id }.import_prompt(&mut change, prompt).await?;
            }
            change.commit(Change::All).await
        }
        .boxed()
    }

    fn calls<'a>(&'a self, filter: &'a CallFilter, page: &'a PageRequest) -> Answer<'a, CallPage> {
        bounded(calls::list(self.reading(), Scope::Everyone, filter, page))
    }

    fn call(&self, id: CallId) -> Answer<'_, Option<CallRecord>> {
        bounded(calls::one(self.reading(), Scope::Everyone, id))
    }

    fn secrets_after<'a>(
        &'a self,
        after: Option<&'a (Option<TenantId>, String)>,
        limit: u32,
    ) -> Answer<'a, Vec<OwnedSecret>> {
        bounded(secrets::after(self, after, limit))
    }

    fn reseal<'a>(
        &'a self,
        owner: Option<&'a TenantId>,
        name: &'a str,
        old: &'a Sealed,
        new: &'a Sealed,
    ) -> Answer<'a, bool> {
        bounded(secrets::reseal(self, owner, name, old, new))
    }

    fn counts(&self) -> Answer<'_, Counts> {
        bounded(async move {
            let (tenants, numbers, calls, open_calls): (i64, i64, i64, i64) =
                sqlx::query_as(COUNTS).fetch_one(self.reading()).await.map_err(asking)?;
            Ok(Counts {
                tenants: unsigned(tenants)?,
                numbers: unsigned(numbers)?,
                calls: unsigned(calls)?,
                open_calls: unsigned(open_calls)?,
            })
        })
    }
}
