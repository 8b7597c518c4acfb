//! From SIP events to calls: makes a call for each INVITE and delivers to it what follows.

use std::collections::HashMap;
use std::sync::Arc;

use sip::dialog::DialogId;
use tokio::sync::mpsc;

use super::actor::{CallHandle, MAILBOX, Mail, Signal};
use super::inbound::Inbound;
use super::ports::{CallSink, IncomingInvite};
use super::registry::Registry;
use crate::ids::CallId;

/// The switchboard. It lives in the task that owns the SIP endpoint and never waits.
pub struct Switchboard {
    inbound: Arc<Inbound>,
    registry: Registry,
    calls: HashMap<DialogId, CallHandle>,
}

impl Switchboard {
    /// A switchboard without calls.
    #[must_use]
    pub fn new(inbound: Arc<Inbound>, registry: Registry) -> Self {
        Self { inbound, registry, calls: HashMap::new() }
    }
}

impl CallSink for Switchboard {
    fn invite(&mut self, invite: IncomingInvite) {
        let (sender, mailbox) = mpsc::channel(MAILBOX);
        let handle = CallHandle::new(CallId::generate(), sender);
        self.calls.insert(invite.dialog, handle.clone());
        let listed = self.registry.list(handle.clone());
        let inbound = Arc::clone(&self.inbound);
        tokio::spawn(async move {
            inbound.answer(invite, handle, mailbox).await;
            drop(listed);
        });
    }

    fn signal(&mut self, dialog: DialogId, signal: Signal) {
        if let Some(handle) = self.calls.get(&dialog) {
            handle.deliver(Mail::Signal(signal));
        }
    }

    fn adopt(&mut self, dialog: DialogId, handle: CallHandle) {
        self.calls.insert(dialog, handle);
    }

    fn forgotten(&mut self, dialog: DialogId) {
        self.calls.remove(&dialog);
        if self.calls.len() * 8 < self.calls.capacity() && self.calls.capacity() > 1_024 {
            let room = self.calls.len() * 2;
            self.calls.shrink_to(room);
        }
    }
}
