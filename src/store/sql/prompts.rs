//! A tenant's prompts.

use chrono::DateTime;

use super::bounded;
use super::change::DirectoryChange;
use super::error::asking;
use super::tenant::OneTenant;
use crate::store::sql::{plain, signed, unreadable, unsigned};
use crate::store::{Answer, Change, Expected, PromptStore, StoreError};
use crate::tenant::prompt::{Candidate, NewPrompt, Pointer, PromptVersion, Purpose};

/// `version, template, note, author, created_at`
type VersionColumns = (i64, String, String, String, i64);
/// `active, candidate, percent, before, revision`
type PointerColumns = (i64, Option<i64>, Option<i64>, String, i64);

/// `purpose, active, candidate, percent, before`
type NamedColumns = (String, i64, Option<i64>, Option<i64>, String);

/// The most versions of one purpose.
const MOST_VERSIONS: i64 = 10_000;

const ADD: &str = "INSERT INTO prompts (tenant_id, purpose, version, template, note, author, created_at) \
     VALUES ($1, $2, $3, $4, $5, $6, $7)";

const POINTER: &str = "SELECT active, candidate, percent, before, revision FROM prompt_pointers \
     WHERE tenant_id = $1 AND purpose = $2";

const POINT: &str = "INSERT INTO prompt_pointers \
     (tenant_id, purpose, revision, active, candidate, percent, before) VALUES ($1, $2, 1, $3, $4, $5, $6) \
     ON CONFLICT (tenant_id, purpose) DO UPDATE SET revision = prompt_pointers.revision + 1, \
     active = excluded.active, candidate = excluded.candidate, percent = excluded.percent, \
     before = excluded.before RETURNING revision";

impl PromptStore for OneTenant<'_> {
    fn prompt_versions(
        &self,
        purpose: Purpose,
        before: Option<u64>,
        limit: u32,
    ) -> Answer<'_, Vec<PromptVersion>> {
        bounded(async move {
            let rows: Vec<VersionColumns> = sqlx::query_as(
                "SELECT version, template, note, author, created_at FROM prompts \
                 WHERE tenant_id = $1 AND purpose = $2 AND version < $3 ORDER BY version DESC LIMIT $4",
            )
            .bind(self.id.as_str())
            .bind(purpose.as_str())
            .bind(before.and_then(|before| i64::try_from(before).ok()).unwrap_or(i64::MAX))
            .bind(i64::from(limit))
            .fetch_all(self.store.reading())
            .await
            .map_err(asking)?;
            rows.into_iter().map(|row| self.version(purpose, row)).collect()
        })
    }

    fn prompt(&self, purpose: Purpose, version: u64) -> Answer<'_, Option<PromptVersion>> {
        bounded(async move {
            let row: Option<VersionColumns> = sqlx::query_as(
                "SELECT version, template, note, author, created_at FROM prompts \
                 WHERE tenant_id = $1 AND purpose = $2 AND version = $3",
            )
            .bind(self.id.as_str())
            .bind(purpose.as_str())
            .bind(i64::try_from(version).unwrap_or(i64::MAX))
            .fetch_optional(self.store.reading())
            .await
            .map_err(asking)?;
            row.map(|row| self.version(purpose, row)).transpose()
        })
    }

    fn add_prompt<'a>(&'a self, prompt: &'a NewPrompt) -> Answer<'a, u64> {
        bounded(async move {
            let mut change = DirectoryChange::begin(self.store).await?;
            let version = self.keep(&mut change, prompt).await?;
            change.commit(Change::Tenant(self.id.clone())).await?;
            Ok(version)
        })
    }

    fn prompt_pointer(&self, purpose: Purpose) -> Answer<'_, Option<(Pointer, u64)>> {
        bounded(async move {
            let row: Option<PointerColumns> = sqlx::query_as(POINTER)
                .bind(self.id.as_str())
                .bind(purpose.as_str())
                .fetch_optional(self.store.reading())
                .await
                .map_err(asking)?;
            row.map(pointer).transpose()
        })
    }

    fn prompt_pointers(&self) -> Answer<'_, Vec<(Purpose, Pointer)>> {
        bounded(async move {
            let rows: Vec<NamedColumns> = sqlx::query_as(
                "SELECT purpose, active, candidate, percent, before FROM prompt_pointers WHERE tenant_id = $1",
            )
            .bind(self.id.as_str())
            .fetch_all(self.store.reading())
            .await
            .map_err(asking)?;
            let read = |(purpose, active, candidate, percent, before): NamedColumns| {
                // A purpose of a later version is none of ours.
                let purpose = purpose.parse().ok()?;
                Some(pointer((active, candidate, percent, before, 0)).map(|(pointer, _)| (purpose, pointer)))
            };
            rows.into_iter().filter_map(read).collect()
        })
    }

    fn set_prompt_pointer<'a>(
        &'a self,
        purpose: Purpose,
        pointer: &'a Pointer,
        expected: Expected,
    ) -> Answer<'a, u64> {
        bounded(async move {
            let mut change = DirectoryChange::begin(self.store).await?;
            let revision: Option<i64> = sqlx::query_scalar(
                "SELECT revision FROM prompt_pointers WHERE tenant_id = $1 AND purpose = $2",
            )
            .bind(self.id.as_str())
            .bind(purpose.as_str())
            .fetch_optional(&mut *change.transaction)
            .await
            .map_err(asking)?;
            expected.check(revision.map(unsigned).transpose()?)?;
            let revision = self.point(&mut change, purpose, pointer).await?;
            change.commit(Change::Tenant(self.id.clone())).await?;
            unsigned(revision)
        })
    }
}

impl OneTenant<'_> {
    /// Keeps a version, and points at the first one.
    async fn keep(&self, change: &mut DirectoryChange<'_>, prompt: &NewPrompt) -> Result<u64, StoreError> {
        let last: Option<i64> =
            sqlx::query_scalar("SELECT max(version) FROM prompts WHERE tenant_id = $1 AND purpose = $2")
                .bind(self.id.as_str())
                .bind(prompt.purpose.as_str())
                .fetch_one(&mut *change.transaction)
                .await
                .map_err(asking)?;
        let version = last.unwrap_or(0) + 1;
        if version > MOST_VERSIONS {
            return Err(StoreError::Refused { reason: format!("there are {MOST_VERSIONS} versions") });
        }
        sqlx::query(ADD)
            .bind(self.id.as_str())
            .bind(prompt.purpose.as_str())
            .bind(version)
            .bind(plain(prompt.template.as_str()))
            .bind(plain(&prompt.note))
            .bind(plain(&prompt.author))
            .bind(prompt.created_at.timestamp_micros())
            .execute(&mut *change.transaction)
            .await
            .map_err(asking)?;
        let number = unsigned(version)?;
        if version == 1 {
            self.point(change, prompt.purpose, &Pointer::to(number)).await?;
        }
        Ok(number)
    }

    /// Keeps and uses a version, unless the one in use says the same.
    pub(super) async fn import_prompt(
        &self,
        change: &mut DirectoryChange<'_>,
        prompt: &NewPrompt,
    ) -> Result<(), StoreError> {
        let row: Option<PointerColumns> = sqlx::query_as(POINTER)
            .bind(self.id.as_str())
            .bind(prompt.purpose.as_str())
            .fetch_optional(&mut *change.transaction)
            .await
            .map_err(asking)?;
        let Some((found, _)) = row.map(pointer).transpose()? else {
            return self.keep(change, prompt).await.map(drop);
        };
        let used: Option<String> = sqlx::query_scalar(
            "SELECT template FROM prompts WHERE tenant_id = $1 AND purpose = $2 AND version = $3",
        )
        .bind(self.id.as_str())
        .bind(prompt.purpose.as_str())
        .bind(signed(found.active)?)
        .fetch_optional(&mut *change.transaction)
        .await
        .map_err(asking)?;
        if used.as_deref() == Some(prompt.template.as_str()) {
            return Ok(());
        }
        let version = self.keep(change, prompt).await?;
        self.point(change, prompt.purpose, &found.moved(version)).await.map(drop)
    }

    /// Writes the pointer; gives its revision. Versions that aren't there are refused by the schema.
    async fn point(
        &self,
        change: &mut DirectoryChange<'_>,
        purpose: Purpose,
        pointer: &Pointer,
    ) -> Result<i64, StoreError> {
        let candidate = pointer.candidate.map(|candidate| signed(candidate.version)).transpose()?;
        let before = serde_json::to_string(&pointer.before).map_err(|error| unreadable("pointer", error))?;
        sqlx::query_scalar(POINT)
            .bind(self.id.as_str())
            .bind(purpose.as_str())
            .bind(signed(pointer.active)?)
            .bind(candidate)
            .bind(pointer.candidate.map(|candidate| i64::from(candidate.percent)))
            .bind(before)
            .fetch_one(&mut *change.transaction)
            .await
            .map_err(asking)
    }

    fn version(
        &self,
        purpose: Purpose,
        (version, template, note, author, created_at): VersionColumns,
    ) -> Result<PromptVersion, StoreError> {
        Ok(PromptVersion {
            tenant_id: self.id.clone(),
            purpose,
            version: unsigned(version)?,
            template,
            note,
            author,
            created_at: DateTime::from_timestamp_micros(created_at)
                .ok_or_else(|| unreadable("time", "it is beyond what a date can hold"))?,
        })
    }
}

fn pointer(
    (active, candidate, percent, before, revision): PointerColumns,
) -> Result<(Pointer, u64), StoreError> {
    let candidate = match (candidate, percent.and_then(|percent| u8::try_from(percent).ok())) {
        (Some(version), Some(percent)) => Some(Candidate { version: unsigned(version)?, percent }),
        _ => None,
    };
    let before = serde_json::from_str(&before).map_err(|error| unreadable("pointer", error))?;
    Ok((Pointer { active: unsigned(active)?, candidate, before }, unsigned(revision)?))
}
