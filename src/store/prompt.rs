//! A tenant's prompts.

use super::{Answer, Expected};
use crate::tenant::prompt::{NewPrompt, Pointer, PromptVersion, Purpose};

/// A tenant's prompts: versions that stay as they are, and a pointer for each purpose.
pub trait PromptStore: Send + Sync {
    /// Up to `limit` versions older than `before`, newest first.
    fn prompt_versions(
        &self,
        purpose: Purpose,
        before: Option<u64>,
        limit: u32,
    ) -> Answer<'_, Vec<PromptVersion>>;
    /// One version.
    fn prompt(&self, purpose: Purpose, version: u64) -> Answer<'_, Option<PromptVersion>>;
    /// Keeps a new version; gives its number. The first one of a purpose is used at once, others
    /// when the pointer is moved.
    fn add_prompt<'a>(&'a self, prompt: &'a NewPrompt) -> Answer<'a, u64>;
    /// Which version is used, and how often that was changed.
    fn prompt_pointer(&self, purpose: Purpose) -> Answer<'_, Option<(Pointer, u64)>>;
    /// Which versions are used, for every purpose that has any.
    fn prompt_pointers(&self) -> Answer<'_, Vec<(Purpose, Pointer)>>;
    /// Says which version is used, if the pointer stands as expected; gives how often it was
    /// changed. [`super::StoreError::Refused`] when a version isn't there.
    fn set_prompt_pointer<'a>(
        &'a self,
        purpose: Purpose,
        pointer: &'a Pointer,
        expected: Expected,
    ) -> Answer<'a, u64>;
}
