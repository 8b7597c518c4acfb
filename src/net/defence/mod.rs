//! Who is listened to: looked at before a message is parsed, in the task that owns the endpoint.
//!
//! [`Guard`] is a machine without IO: a message's source, its first lines and the time go in, a
//! [`Verdict`] comes out. Sources that a trunk trusts pass. Others have limits, and are banned for
//! a while when they scan, probe, guess at passwords or send what is no SIP.

mod bans;
mod bucket;
mod guard;
mod origins;
pub mod overload;
mod peek;
mod sources;

pub use self::bans::Reason;
pub use self::guard::{BanShown, Dropped, Guard, GuardCounters, Offence, Taken, Verdict};
pub use self::peek::{Kind, Peek, peek};
pub use self::sources::SourceKey;
