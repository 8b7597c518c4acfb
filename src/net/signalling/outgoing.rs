//! The calls of ours that have no final answer yet: who waits for it.

use std::collections::HashMap;
use std::time::Instant;

use sip::dialog::DialogId;
use sip::endpoint::{Endpoint, Event, InviteId, OutgoingCall};

use crate::call::actor::{Answer, CallHandle, Mail, Signal};
use crate::call::ports::{CallSink, OutgoingInvite};
use crate::ids::CallId;

/// The calls.
#[derive(Debug, Default)]
pub(super) struct Outgoing {
    waiting: HashMap<InviteId, Waiting>,
    by_call: HashMap<CallId, InviteId>,
}

#[derive(Debug)]
struct Waiting {
    handle: CallHandle,
    /// The early dialogs that its responses made: one for each telephone that it forked to.
    early: Vec<DialogId>,
}

impl Outgoing {
    /// Sends the INVITE.
    pub fn invite(
        &mut self,
        invite: OutgoingInvite,
        handle: CallHandle,
        endpoint: &mut Endpoint,
        now: Instant,
    ) {
        let call = OutgoingCall {
            uri: invite.uri,
            from: invite.from,
            to: invite.to,
            headers: invite.headers,
            routes: invite.routes,
            hops: invite.hops,
            connection: None,
            local: invite.local,
            sdp: Some(invite.sdp),
            credentials: invite.credentials,
            policy: invite.policy,
            call_id: Some(invite.call_id),
        };
        let id = endpoint.invite(call, now);
        self.by_call.insert(handle.call, id);
        self.waiting.insert(id, Waiting { handle, early: Vec::new() });
    }

    /// Takes the INVITE of a call back, if it has no answer yet.
    pub fn give_up(&self, call: CallId, endpoint: &mut Endpoint, now: Instant) {
        if let Some(id) = self.by_call.get(&call) {
            endpoint.cancel(*id, now);
        }
    }

    /// Tells whoever waits.
    pub fn tell(&mut self, event: Event, sink: &mut impl CallSink) {
        match event {
            Event::Progress { invite, dialog, response, early_media } => {
                let Some(waiting) = self.waiting.get_mut(&invite) else { return };
                if let Some(dialog) = dialog.filter(|dialog| !waiting.early.contains(dialog)) {
                    waiting.early.push(dialog);
                    sink.adopt(dialog, waiting.handle.clone());
                }
                let answer = Answer::Progress { dialog, status: response.status(), early_media };
                waiting.handle.deliver(Mail::Signal(Signal::Outgoing(answer)));
            }
            Event::Answered { invite, dialog, answer, response } => {
                let Some(waiting) = self.done(invite) else { return };
                sink.adopt(dialog, waiting.handle.clone());
                for early in waiting.early.into_iter().filter(|early| *early != dialog) {
                    sink.forgotten(early);
                }
                let answer = Answer::Accepted { dialog, answer, response };
                waiting.handle.deliver(Mail::Signal(Signal::Outgoing(answer)));
            }
            Event::Rejected { invite, status, response } => {
                let Some(waiting) = self.done(invite) else { return };
                waiting.early.into_iter().for_each(|early| sink.forgotten(early));
                let answer = Answer::Refused { status, response };
                waiting.handle.deliver(Mail::Signal(Signal::Outgoing(answer)));
            }
            _ => {}
        }
    }

    fn done(&mut self, invite: InviteId) -> Option<Waiting> {
        let waiting = self.waiting.remove(&invite)?;
        // A redirected call waits for its next INVITE already.
        if self.by_call.get(&waiting.handle.call) == Some(&invite) {
            self.by_call.remove(&waiting.handle.call);
        }
        Some(waiting)
    }
}
