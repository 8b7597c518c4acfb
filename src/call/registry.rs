//! The calls that are up, and the way from the SIP side to each.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use super::actor::{CallHandle, Mail, Stop};
use crate::ids::CallId;

/// All calls that are up. Clones share one list.
#[derive(Clone)]
pub struct Registry {
    shared: Arc<Shared>,
}

struct Shared {
    calls: Mutex<HashMap<CallId, CallHandle>>,
    count: watch::Sender<usize>,
}

/// A call's place in the list; dropping it takes the call off.
pub struct Listed {
    registry: Registry,
    call: CallId,
}

impl Default for Registry {
    fn default() -> Self {
        Self { shared: Arc::new(Shared { calls: Mutex::default(), count: watch::Sender::new(0) }) }
    }
}

impl Registry {
    /// Lists a call until what is given back is dropped.
    #[must_use]
    pub fn list(&self, handle: CallHandle) -> Listed {
        let call = handle.call;
        let count = {
            let mut calls = self.lock();
            calls.insert(call, handle);
            calls.len()
        };
        self.shared.count.send_replace(count);
        Listed { registry: self.clone(), call }
    }

    /// How many calls are up.
    #[must_use]
    pub fn count(&self) -> usize {
        *self.shared.count.borrow()
    }

    /// Tells every call that the service is stopping.
    pub fn stop_all(&self, stop: Stop) {
        let handles: Vec<CallHandle> = self.lock().values().cloned().collect();
        for handle in handles {
            handle.deliver(Mail::Stop(stop));
        }
    }

    /// Resolves once no call is up.
    pub async fn wait_until_empty(&self) {
        let mut count = self.shared.count.subscribe();
        // The sender lives as long as this registry.
        let _ = count.wait_for(|count| *count == 0).await;
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<CallId, CallHandle>> {
        self.shared.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Listed {
    fn drop(&mut self) {
        let count = {
            let mut calls = self.registry.lock();
            calls.remove(&self.call);
            if calls.len() * 8 < calls.capacity() && calls.capacity() > 1_024 {
                let room = calls.len() * 2;
                calls.shrink_to(room);
            }
            calls.len()
        };
        self.registry.shared.count.send_replace(count);
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc;

    use super::*;

    #[tokio::test]
    async fn a_call_is_listed_until_its_place_is_dropped_and_hears_of_the_stop() {
        let registry = Registry::default();
        let (sender, mut mailbox) = mpsc::channel(4);
        let listed = registry.list(CallHandle::new(CallId::generate(), sender));
        assert_eq!(registry.count(), 1);
        registry.stop_all(Stop::Now);
        assert!(matches!(mailbox.recv().await, Some(Mail::Stop(Stop::Now))));
        drop(listed);
        registry.wait_until_empty().await;
        assert_eq!(registry.count(), 0);
    }
}
