//! Tenants.
pub mod hours;
pub mod problem;
pub(crate) mod reader;
pub mod refer;
