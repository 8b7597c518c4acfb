//! Small facts about the installation.

use futures_util::FutureExt;

use super::SqliteStore;
use super::error::asking;
use crate::store::{Answer, MetaStore};

impl MetaStore for SqliteStore {
    fn get<'a>(&'a self, key: &'a str) -> Answer<'a, Option<String>> {
        async move {
            sqlx::query_scalar("SELECT value FROM meta WHERE name = ?")
                .bind(key)
                .fetch_optional(&self.readers)
                .await
                .map_err(asking)
        }
        .boxed()
    }

    fn put<'a>(&'a self, key: &'a str, value: &'a str) -> Answer<'a, ()> {
        async move {
            let mut transaction = self.write().await?;
            sqlx::query("INSERT INTO meta (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value")
                .bind(key)
                .bind(value)
                .execute(&mut *transaction)
                .await
                .map_err(asking)?;
            transaction.commit().await.map_err(asking)
        }
        .boxed()
    }
}
