//! Small facts about the installation.

use super::error::asking;
use super::{Backend, bounded};
use crate::store::{Answer, MetaStore};

const PUT: &str = "INSERT INTO meta (name, value) VALUES ($1, $2) \
     ON CONFLICT (name) DO UPDATE SET value = excluded.value";

impl MetaStore for Backend {
    fn get<'a>(&'a self, key: &'a str) -> Answer<'a, Option<String>> {
        bounded(async move {
            sqlx::query_scalar("SELECT value FROM meta WHERE name = $1")
                .bind(key)
                .fetch_optional(self.reading())
                .await
                .map_err(asking)
        })
    }

    fn put<'a>(&'a self, key: &'a str, value: &'a str) -> Answer<'a, ()> {
        bounded(async move {
            let mut transaction = self.write().await?;
            sqlx::query(PUT).bind(key).bind(value).execute(&mut *transaction).await.map_err(asking)?;
            transaction.commit().await.map_err(asking)
        })
    }
}
