//! What was said on the signalling side, for people and for collectors.
//!
//! The task that owns the SIP endpoint hands every message to a [`Tap`]. A task of its own, the
//! collector, masks what nobody may keep (`mask`), holds the messages of each call for a while
//! (`book`), sends them to a Homer-compatible collector (`hep`), to whoever follows along, and to
//! files (`files`). [`ladder`] and [`pcap`] show them; both work on [`Message`] alone, so that the
//! command line uses them too.

mod book;
mod collector;
mod files;
mod follow;
pub mod hep;
pub mod ladder;
mod mask;
mod message;
pub mod pcap;
mod scan;
mod tap;

pub use self::book::{Limits, Listed, Trace};
pub use self::collector::{Collector, Counters, TraceHandle, start};
pub use self::files::{DIRECTORY, pcap_file, text_file};
pub use self::follow::Follower;
pub use self::message::{Message, Way, WireError};
pub use self::scan::Summary;
pub use self::tap::Tap;
