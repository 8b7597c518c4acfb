//! From a request to a tenant: the dialed number, whose it is, and whether there is room.

pub mod admission;
mod cache;
pub mod dialed;
pub mod directory;
pub mod explain;
pub mod number;

pub use self::admission::{Admission, Permit, Refusal};
pub use self::directory::{
    Directory, DirectoryOptions, DirectorySource, Resolution, SourceError, TenantSnapshot,
};
pub use self::number::Country;
