//! Calls: the pure machine of one, the task that owns it, and all that are up.

pub mod actor;
pub mod inbound;
pub mod machine;
pub mod outbound;
pub mod ports;
pub mod record;
pub mod registry;
pub mod switchboard;
pub mod transfer;
