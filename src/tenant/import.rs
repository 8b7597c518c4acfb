//! Taking in documents from files: tenants with their numbers as `config/tenants` holds them,
//! single documents, lists of them, JSON Lines, and what `mongoexport` writes (extended JSON of the
//! collections `tenant_config`, `phone-tenant-map` and of prompts). All of it is read before any of
//! it is taken, and every fault is told.

use std::collections::BTreeSet;
use std::fmt;

use serde_json::{Map, Value};

use super::document::Tenant;
use super::file::TenantFile;
use super::number::NumberMapping;
use super::problem::DocumentErrors;
use super::prompt::{Purpose, Template};
use crate::ids::TenantId;

/// The most faults that are told.
const MOST_FAULTS: usize = 100;
/// Names that a prompt's text goes by.
const TEXTS: [&str; 4] = ["template", "content", "prompt", "text"];

/// What is to be taken in.
#[derive(Debug, Default, PartialEq)]
pub struct Import {
    /// Tenants' documents.
    pub tenants: Vec<Tenant>,
    /// Numbers' mappings.
    pub numbers: Vec<NumberMapping>,
    /// Prompts, in the order in which their versions come.
    pub prompts: Vec<ImportedPrompt>,
}

/// A prompt to be taken in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImportedPrompt {
    /// Whose.
    pub tenant_id: TenantId,
    /// What for.
    pub purpose: Purpose,
    /// Its text.
    pub template: Template,
    /// What its maker said of it.
    pub note: String,
}

/// Everything that is wrong. Never empty.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct ImportErrors(Vec<Fault>);

/// One fault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The file, and the document in it.
    pub place: String,
    /// Where in the document: a JSON path.
    pub path: String,
    /// What is wrong, and what to write.
    pub message: String,
}

impl ImportErrors {
    /// The faults.
    #[must_use]
    pub fn faults(&self) -> &[Fault] {
        &self.0
    }
}

impl fmt::Display for ImportErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, fault) in self.0.iter().enumerate() {
            let end = if at == 0 { "" } else { "\n" };
            write!(f, "{end}{}: {}: {}", fault.place, fault.path, fault.message)?;
        }
        Ok(())
    }
}

/// Reads files, each with the name that faults call it by.
///
/// # Errors
/// Every fault of every document, up to a hundred.
pub fn read<'a>(files: impl IntoIterator<Item = (&'a str, &'a [u8])>) -> Result<Import, ImportErrors> {
    let mut reading = Reading::default();
    for (name, bytes) in files {
        reading.file(name, bytes);
    }
    reading.check_ids();
    let Reading { import, mut faults } = reading;
    faults.truncate(MOST_FAULTS);
    if faults.is_empty() { Ok(import) } else { Err(ImportErrors(faults)) }
}

#[derive(Default)]
struct Reading {
    import: Import,
    faults: Vec<Fault>,
}

impl Reading {
    fn file(&mut self, name: &str, bytes: &[u8]) {
        match serde_json::from_slice::<Value>(bytes) {
            Ok(Value::Array(documents)) => {
                for (at, document) in documents.into_iter().enumerate() {
                    self.document(&format!("{name}[{at}]"), document);
                }
            }
            Ok(document) => self.document(name, document),
            // More than one value: a document a line.
            Err(whole) => self.lines(name, bytes, &whole),
        }
    }

    fn lines(&mut self, name: &str, bytes: &[u8], whole: &serde_json::Error) {
        let lines: Vec<(usize, &[u8])> = bytes
            .split(|byte| *byte == b'\n')
            .enumerate()
            .filter(|(_, line)| !line.trim_ascii().is_empty())
            .collect();
        let first_is_whole =
            lines.first().is_some_and(|(_, line)| serde_json::from_slice::<Value>(line).is_ok());
        if !first_is_whole {
            // One document over several lines, and wrong.
            self.fault(name, "$", format!("is no JSON: {whole}"));
            return;
        }
        for (at, line) in lines {
            let place = format!("{name}:{}", at + 1);
            match serde_json::from_slice(line) {
                Ok(document) => self.document(&place, document),
                Err(error) => self.fault(&place, "$", format!("is no JSON: {error}")),
            }
        }
    }

    fn document(&mut self, place: &str, document: Value) {
        let Value::Object(mut object) = document else {
            self.fault(place, "$", "is no document: write { … }".to_owned());
            return;
        };
        if object.contains_key("tenant") {
            let prompts = object.remove("prompts");
            self.whole(place, &Value::Object(object), prompts);
        } else if object.contains_key("phone_number") {
            let read = NumberMapping::from_value(&Value::Object(object));
            if let Some(number) = self.told(place, "$", read) {
                self.import.numbers.push(number);
            }
        } else if object.contains_key("purpose") {
            self.prompt(place, "$", &object, None);
        } else {
            let read = Tenant::from_value(Value::Object(object));
            if let Some(tenant) = self.told(place, "$", read) {
                self.import.tenants.push(tenant);
            }
        }
    }

    /// A tenant with its numbers and prompts.
    fn whole(&mut self, place: &str, document: &Value, prompts: Option<Value>) {
        let read = TenantFile::from_json(document.to_string().as_bytes());
        let Some(file) = self.told(place, "$", read) else { return };
        let tenant_id = file.tenant.tenant_id.clone();
        self.import.tenants.push(file.tenant);
        self.import.numbers.extend(file.numbers);
        match prompts {
            None | Some(Value::Null) => {}
            Some(Value::Array(prompts)) => {
                for (at, prompt) in prompts.iter().enumerate() {
                    let path = format!("$.prompts[{at}]");
                    match prompt.as_object() {
                        Some(object) => self.prompt(place, &path, object, Some(&tenant_id)),
                        None => self.fault(
                            place,
                            &path,
                            "is no prompt: write { \"purpose\": …, \"template\": … }".to_owned(),
                        ),
                    }
                }
            }
            Some(_) => self.fault(place, "$.prompts", "is no list: write [ … ]".to_owned()),
        }
    }

    fn prompt(&mut self, place: &str, path: &str, object: &Map<String, Value>, tenant: Option<&TenantId>) {
        let text = |name: &str| object.get(name).and_then(Value::as_str);
        let own = text("tenant_id").and_then(|id| TenantId::new(id).ok());
        let tenant_id = match (tenant, own) {
            (Some(tenant), None) => Some(tenant.clone()),
            (Some(tenant), Some(own)) if own == *tenant => Some(own),
            (None, Some(own)) => Some(own),
            _ => {
                self.fault(place, &format!("{path}.tenant_id"), "write the tenant's id".to_owned());
                None
            }
        };
        let purpose = text("purpose").unwrap_or_default().parse::<Purpose>();
        let purpose = match purpose {
            Ok(purpose) => Some(purpose),
            Err(error) => {
                self.fault(place, &format!("{path}.purpose"), error.to_string());
                None
            }
        };
        let template = match Template::new(TEXTS.iter().find_map(|name| text(name)).unwrap_or_default()) {
            Ok(template) => Some(template),
            Err(error) => {
                self.fault(place, &format!("{path}.template"), error.to_string());
                None
            }
        };
        if let (Some(tenant_id), Some(purpose), Some(template)) = (tenant_id, purpose, template) {
            let note = text("note").unwrap_or_default().to_owned();
            self.import.prompts.push(ImportedPrompt { tenant_id, purpose, template, note });
        }
    }

    /// A tenant or a number that comes twice is a mistake of who wrote the files.
    fn check_ids(&mut self) {
        let mut seen = BTreeSet::new();
        let tenants = self.import.tenants.iter().map(|tenant| tenant.tenant_id.as_str().to_owned());
        let numbers = self.import.numbers.iter().map(|number| number.phone_number.as_str().to_owned());
        let twice: Vec<String> = tenants.chain(numbers).filter(|id| !seen.insert(id.clone())).collect();
        for id in twice {
            self.fault("the files", "$", format!("{id} is in them twice: leave one out"));
        }
    }

    fn told<T>(&mut self, place: &str, root: &str, read: Result<T, DocumentErrors>) -> Option<T> {
        match read {
            Ok(value) => Some(value),
            Err(errors) => {
                for problem in errors.problems() {
                    let path = problem.path.strip_prefix('$').unwrap_or(&problem.path);
                    self.fault(place, &format!("{root}{path}"), problem.message.clone());
                }
                None
            }
        }
    }

    fn fault(&mut self, place: &str, path: &str, message: String) {
        if self.faults.len() <= MOST_FAULTS {
            self.faults.push(Fault { place: place.to_owned(), path: path.to_owned(), message });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(text: &str) -> Result<Import, ImportErrors> {
        read([("f.json", text.as_bytes())])
    }

    #[test]
    fn what_mongoexport_writes_goes_straight_in() {
        let text = r#"{"_id":"tenant-a","tenant_id":"tenant-a","client_id":"a","display_name":"A","summary_to":[],"created_at":{"$date":"2024-05-01T08:00:00Z"}}
{"_id":{"$oid":"65a000000000000000000001"},"phone_number":"+33199000001","client_id":"a","tenant_id":"tenant-a"}

{"_id":{"$oid":"65a000000000000000000002"},"tenant_id":"tenant-a","purpose":"conversation","content":"Hello {{ company.name }}"}
"#;
        let import = one(text).unwrap();
        assert_eq!((import.tenants.len(), import.numbers.len(), import.prompts.len()), (1, 1, 1));
        assert_eq!(import.tenants[0].to_json(), text.lines().next().unwrap());
        assert_eq!(import.prompts[0].template.as_str(), "Hello {{ company.name }}");
        let list =
            format!("[{}]", text.lines().filter(|line| !line.is_empty()).collect::<Vec<_>>().join(","));
        assert_eq!(one(&list).unwrap(), import);
    }

    #[test]
    fn every_fault_is_told_with_its_place_and_nothing_is_taken() {
        let text = r#"{"tenant_id":"tenant-a","client_id":"a","display_name":"A","summary_to":[]}
{"tenant_id":"tenant-b"}
{"phone_number":"12","tenant_id":"tenant-a","client_id":"a"}
{"tenant_id":"tenant-a","purpose":"conversation","template":"{{ company.nam }}"}
nonsense
{"tenant_id":"tenant-a","client_id":"a","display_name":"A","summary_to":[]}"#;
        let told = one(text).unwrap_err();
        let places: Vec<(&str, &str)> =
            told.faults().iter().map(|fault| (fault.place.as_str(), fault.path.as_str())).collect();
        assert_eq!(
            places,
            [
                ("f.json:2", "$.client_id"),
                ("f.json:2", "$.display_name"),
                ("f.json:2", "$.summary_to"),
                ("f.json:3", "$.phone_number"),
                ("f.json:4", "$.template"),
                ("f.json:5", "$"),
                ("the files", "$"),
            ]
        );
        assert!(one("{\n\"tenant_id\": \n").unwrap_err().to_string().contains("is no JSON"));
    }

    #[test]
    fn a_tenant_comes_with_its_numbers_and_prompts() {
        let text = r#"{"tenant":{"tenant_id":"tenant-a","client_id":"a","display_name":"A","summary_to":[]},
            "numbers":[{"phone_number":"+33199000001","tenant_id":"tenant-a","client_id":"a"}],
            "prompts":[{"purpose":"summary","template":"Be brief."},{"purpose":"songs","template":""}]}"#;
        let told = one(text).unwrap_err();
        let paths: Vec<&str> = told.faults().iter().map(|fault| fault.path.as_str()).collect();
        assert_eq!(paths, ["$.prompts[1].purpose", "$.prompts[1].template"]);
    }
}
