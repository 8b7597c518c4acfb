//! What a user agent does with its dialogs: answering, hanging up, handing over (RFC 3261 §12 to
//! §15, RFC 3515), and registering with digest (RFC 3261 §10 and §22).

pub(crate) mod body;
pub mod digest;
pub mod invite;
mod next_hop;
pub mod offer;
mod prack;
pub mod query;
pub mod refer;
pub mod registration;
pub(crate) mod reissue;
pub(crate) mod requesting;
pub(crate) mod session_timer;
pub(crate) mod trust;
pub mod uac;
pub mod uas;
