//! A tenant in a file of its own, as `config/tenants` holds them: its document and its numbers.
//!
//! ```json
//! { "tenant": { "tenant_id": "…", … }, "numbers": [ { "phone_number": "+…", … } ] }
//! ```

use std::io;
use std::path::{Path, PathBuf};

use super::document::{Tenant, parse};
use super::migration::migrate;
use super::number::NumberMapping;
use super::problem::{DocumentErrors, Problems};
use super::reader::Object;

/// A tenant with its numbers.
#[derive(Debug, Clone, PartialEq)]
pub struct TenantFile {
    /// The document.
    pub tenant: Tenant,
    /// Its numbers.
    pub numbers: Vec<NumberMapping>,
}

/// Why a directory of tenant files can't be loaded.
#[derive(Debug, thiserror::Error)]
pub enum TenantFileError {
    /// It can't be read.
    #[error("{path}: can't be read: {error}")]
    Read {
        /// The file or directory.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// A document is wrong.
    #[error("{path}:\n{errors}")]
    Document {
        /// The file.
        path: PathBuf,
        /// Its faults.
        errors: DocumentErrors,
    },
}

impl TenantFile {
    /// Reads one file's content.
    ///
    /// # Errors
    /// Everything that is wrong with it, by JSON path.
    pub fn from_json(bytes: &[u8]) -> Result<Self, DocumentErrors> {
        let mut value = parse(bytes)?;
        if let Some(document) = value.get_mut("tenant").and_then(serde_json::Value::as_object_mut) {
            migrate(document);
        }
        let problems = Problems::default();
        let read = Object::root(&value, &problems).and_then(|object| Self::read(&object));
        problems.finish(read)
    }

    fn read(object: &Object<'_>) -> Option<Self> {
        for (name, field) in object.entries() {
            if !matches!(name, "tenant" | "numbers") {
                field.problem(
                    "is unknown: write \"tenant\" and \"numbers\" here, everything else within them",
                );
            }
        }
        let tenant = object.field("tenant");
        if !tenant.is_present() {
            tenant.missing("the tenant's document, { … }");
        }
        let tenant = tenant.object().and_then(|object| Tenant::read(&object));
        let numbers = object.field("numbers").objects(|entry| {
            let mapping = NumberMapping::read(entry)?;
            if tenant.as_ref().is_some_and(|tenant| tenant.tenant_id != mapping.tenant_id) {
                entry.field("tenant_id").problem("is another tenant's: write the id of this file's tenant");
            }
            Some(mapping)
        });
        Some(Self { tenant: tenant?, numbers })
    }

    /// Reads every `*.json` file of a directory, in the order of their names.
    ///
    /// # Errors
    /// When the directory or a file can't be read, or a file is wrong; the first such file.
    pub fn load_directory(directory: &Path) -> Result<Vec<Self>, TenantFileError> {
        let unreadable = |path: &Path| {
            let path = path.to_owned();
            move |error| TenantFileError::Read { path, error }
        };
        let mut paths = Vec::new();
        for entry in std::fs::read_dir(directory).map_err(unreadable(directory))? {
            let path = entry.map_err(unreadable(directory))?.path();
            if path.extension().is_some_and(|extension| extension == "json") {
                paths.push(path);
            }
        }
        paths.sort();
        let load = |path: PathBuf| {
            let bytes = std::fs::read(&path).map_err(unreadable(&path))?;
            Self::from_json(&bytes).map_err(|errors| TenantFileError::Document { path, errors })
        };
        paths.into_iter().map(load).collect()
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;
    use crate::ids::DestinationId;

    fn demo() -> Vec<TenantFile> {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/tenants");
        TenantFile::load_directory(&directory).unwrap_or_else(|error| panic!("{error}"))
    }

    #[test]
    fn the_demo_tenants_load_and_answer_on_their_numbers() {
        let found: Vec<_> = demo()
            .iter()
            .flat_map(|file| {
                file.numbers.iter().map(|number| {
                    (file.tenant.tenant_id.to_string(), number.phone_number.as_str().to_owned())
                })
            })
            .collect();
        assert_eq!(
            found,
            [
                ("tenant-demo-0001".into(), "+33199000001".into()),
                ("tenant-demo-0002".into(), "+12025550101".into()),
                ("tenant-demo-0003".into(), "+12025550102".into()),
            ]
        );
    }

    #[test]
    fn the_demo_tenants_have_no_cap_and_no_emergency_target() {
        for file in demo() {
            let tenant = &file.tenant;
            assert!(tenant.limits.max_concurrent_calls.is_none() && tenant.limits.calls_per_minute.is_none());
            assert!(tenant.voice.greeting.text.is_some() && tenant.voice.disclosure.enabled);
            assert!(tenant.features.refer.enabled && tenant.features.refer.destinations().len() >= 2);
            assert!(
                tenant
                    .features
                    .refer
                    .destinations()
                    .iter()
                    .all(|destination| !destination.target_uri.is_emergency())
            );
        }
        assert!(demo().iter().any(|file| !file.tenant.features.refer.require_confirmation));
    }

    #[test]
    fn on_sundays_the_planning_desk_stands_in_and_the_clinic_takes_messages() {
        let demo = demo();
        let sunday = DateTime::parse_from_rfc3339("2026-06-07T23:30:00-04:00").unwrap().to_utc();
        let route = |at: usize, id: &str| {
            demo[at].tenant.features.refer.resolve(&DestinationId::new(id).unwrap(), sunday)
        };
        assert_eq!(route(0, "mme_gogny").destination().unwrap().destination_id.as_str(), "planning");
        assert!(route(2, "nurse").destination().is_none());
        assert_eq!(route(2, "nurse").chain().len(), 2);
    }

    #[test]
    fn a_wrong_file_is_reported_with_every_path() {
        let errors = TenantFile::from_json(
            br#"{"tenants": [], "tenant": {"tenant_id": "tenant-a", "client_id": "a"},
                "numbers": [{"phone_number": "1", "tenant_id": "tenant-b", "client_id": "a"}]}"#,
        )
        .unwrap_err();
        let paths: Vec<_> = errors.problems().iter().map(|problem| problem.path.as_str()).collect();
        assert_eq!(
            paths,
            ["$.tenants", "$.tenant.display_name", "$.tenant.summary_to", "$.numbers[0].phone_number"]
        );
    }
}
