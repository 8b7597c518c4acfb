//! A tenant's prompts as its calls use them.

use std::collections::BTreeMap;

use super::{Pointer, Purpose, Template};
use crate::ids::CallId;

/// The prompts that are in use: for each purpose the pointer, and the versions it points at.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Prompts(BTreeMap<Purpose, Used>);

#[derive(Debug, Clone, PartialEq)]
struct Used {
    pointer: Pointer,
    versions: BTreeMap<u64, Template>,
}

impl Prompts {
    /// Adds a purpose.
    pub fn insert(
        &mut self,
        purpose: Purpose,
        pointer: Pointer,
        versions: impl IntoIterator<Item = (u64, Template)>,
    ) {
        self.0.insert(purpose, Used { pointer, versions: versions.into_iter().collect() });
    }

    /// The prompt that a call gets, with its version for the record; `None` when the tenant has none
    /// for this purpose.
    #[must_use]
    pub fn for_call(&self, purpose: Purpose, call: CallId) -> Option<(u64, &Template)> {
        let used = self.0.get(&purpose)?;
        let wanted = used.pointer.version_for(call);
        let found = used.versions.get(&wanted).map(|template| (wanted, template));
        found.or_else(|| {
            used.versions.get(&used.pointer.active).map(|template| (used.pointer.active, template))
        })
    }
}
