//! The journal as calls see it.

use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use crate::call::ports::{RecordError, RecordSink};
use crate::call::record::CallEvent;
use crate::store::journal::{Journal, JournalError};

/// How long a call waits for a disk that doesn't answer.
const PATIENCE: Duration = Duration::from_secs(1);

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
            Ok(written) => async move {
                match tokio::time::timeout(PATIENCE, written).await {
                    Ok(Ok(())) => Ok(()),
                    Ok(Err(JournalError::Held { .. })) | Err(_) => Err(RecordError::Held),
                    Ok(Err(error)) => Err(RecordError::NotTaken(error.to_string())),
                }
            }
            .boxed(),
            Err(error) => std::future::ready(Err(RecordError::NotTaken(error.to_string()))).boxed(),
        }
    }
}
