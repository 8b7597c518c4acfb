//! Tenants: their documents as validated types, opening hours, and transfer destinations.
//!
//! A document is read once, at the edge, into [`document::Tenant`]; nothing inside validates it
//! again. Every section of it has a file here and defaults for everything in it.

pub mod access;
pub mod agent;
pub mod company;
pub mod crm;
pub mod document;
pub mod escalation;
pub mod file;
pub mod hours;
pub mod import;
pub mod knowledge;
pub mod leads;
pub mod limits;
mod migration;
pub mod notifications;
pub mod number;
pub mod problem;
pub mod prompt;
mod reader;
pub mod refer;
pub mod voice;
pub mod web_search;

pub use self::document::{Status, Tenant};
pub use self::number::NumberMapping;
pub use self::problem::{DocumentErrors, Problem};
