//! What a user agent does with its dialogs: answering, hanging up, handing over (RFC 3261 §12 to
//! §15, RFC 3515), and registering with digest (RFC 3261 §10 and §22).

pub(crate) mod body;
pub mod digest;
pub mod invite;
mod prack;
pub mod refer;
pub mod registration;
pub(crate) mod session_timer;
pub mod uac;
pub mod uas;
