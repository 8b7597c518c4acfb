//! A change of the directory: one transaction that counts the generation up and says what it
//! changed.

use sqlx::Transaction;

use super::error::asking;
use super::{Backend, Db, announce};
use crate::store::{Change, StoreError};

/// How many changes are kept to be told one by one.
const KEPT_CHANGES: i64 = 10_000;

/// A change under way.
pub(super) struct DirectoryChange<'a> {
    pub(super) transaction: Transaction<'static, Db>,
    store: &'a Backend,
    generation: i64,
}

impl<'a> DirectoryChange<'a> {
    /// Begins. The generation's row is locked until the end, so that changes come one after the
    /// other, in the order of their generations, and each sees what those before it did.
    pub(super) async fn begin(store: &'a Backend) -> Result<Self, StoreError> {
        let mut transaction = store.write().await?;
        let generation =
            sqlx::query_scalar("UPDATE directory_generation SET value = value + 1 RETURNING value")
                .fetch_one(&mut *transaction)
                .await
                .map_err(asking)?;
        Ok(Self { transaction, store, generation })
    }

    /// Commits, and tells.
    pub(super) async fn commit(mut self, change: Change) -> Result<(), StoreError> {
        let (kind, name) = change.words();
        sqlx::query("INSERT INTO directory_changes (generation, kind, name) VALUES ($1, $2, $3)")
            .bind(self.generation)
            .bind(kind)
            .bind(name)
            .execute(&mut *self.transaction)
            .await
            .map_err(asking)?;
        sqlx::query("DELETE FROM directory_changes WHERE generation <= $1")
            .bind(self.generation.saturating_sub(KEPT_CHANGES))
            .execute(&mut *self.transaction)
            .await
            .map_err(asking)?;
        announce(&mut self.transaction, self.generation).await?;
        self.transaction.commit().await.map_err(asking)?;
        self.store.changed.send_modify(|count| *count = count.wrapping_add(1));
        Ok(())
    }
}
