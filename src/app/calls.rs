//! The thread that signalling and calls have to themselves.
//!
//! A call's way from INVITE to 200 goes back and forth between the SIP endpoint and the task of
//! the call. On one thread each of these steps is a turn of a queue; between threads it is a
//! wake-up, which costs more than everything that is done in the step.

use std::future::Future;
use std::io;

use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::oneshot;

/// The runtime of the thread, until it is started.
pub(super) struct CallThread {
    handle: Handle,
    runtime: Option<Runtime>,
}

impl CallThread {
    pub(super) fn new() -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        Ok(Self { handle: runtime.handle().clone(), runtime: Some(runtime) })
    }

    /// For what must wait on the thread's runtime.
    pub(super) fn handle(&self) -> &Handle {
        &self.handle
    }

    /// Starts the thread with what it is there for; calls are spawned from within it. What is
    /// given back resolves when that has ended.
    pub(super) fn run(
        mut self,
        signalling: impl Future<Output = ()> + Send + 'static,
    ) -> io::Result<impl Future<Output = ()> + Send + 'static> {
        let (ended, end) = oneshot::channel();
        let runtime = self.runtime.take().ok_or(io::ErrorKind::NotFound)?;
        std::thread::Builder::new().name("calls".to_owned()).spawn(move || {
            runtime.block_on(signalling);
            // A task that waits for a slow system call must not hold up the end.
            runtime.shutdown_background();
            // Nobody waits when the process is ending in a hurry.
            let _ = ended.send(());
        })?;
        Ok(async move {
            if end.await.is_err() {
                tracing::error!("the thread of signalling and calls died");
            }
        })
    }
}

impl Drop for CallThread {
    /// A start that fails drops it within another runtime, where nothing may wait for its end.
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
