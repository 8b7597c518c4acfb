//! The journal as calls see it.

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use crate::call::ports::{RecordError, RecordSink};
use crate::call::record::CallEvent;
use crate::store::journal::Journal;

/// Puts call events into the journal.
pub(super) struct JournalSink(Journal);

impl JournalSink {
    pub(super) fn new(journal: Journal) -> Self {
        Self(journal)
    }
}

impl RecordSink for JournalSink {
    fn append(&self, event: &CallEvent) -> BoxFuture<'static, Result<(), RecordError>> {
        match self.0.append(event) {
            Ok(written) => async move { written.await.map_err(|error| RecordError(error.to_string())) }.boxed(),
            Err(error) => std::future::ready(Err(RecordError(error.to_string()))).boxed(),
        }
    }
}
