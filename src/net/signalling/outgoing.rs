//! The calls of ours that have no final answer yet: who waits for it.

use std::collections::HashMap;
use std::time::Instant;

use sip::dialog::DialogId;
use sip::endpoint::flow::Target;
use sip::endpoint::{Endpoint, Event, InviteId, OutsideRequest};
use sip::message::{Method, Response, StatusCode};

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
        let Some(hop) = invite.hops.first() else {
            refuse(&handle, StatusCode::SERVICE_UNAVAILABLE, None);
            return;
        };
        let request = OutsideRequest {
            method: Method::Invite,
            uri: invite.uri,
            transport: hop.transport,
            target: Target::Address(hop.address),
            connection: None,
            local: invite.local,
            headers: invite.headers,
        };
        let id = endpoint.invite(request, &invite.from, &invite.to, invite.sdp, now);
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
    pub fn tell(&mut self, event: Event, endpoint: &mut Endpoint, sink: &mut impl CallSink) {
        match event {
            Event::Progress { invite, response } => {
                let Some(waiting) = self.waiting.get_mut(&invite) else { return };
                let early_media = session_description(&response);
                let answer = Answer::Progress { dialog: None, status: response.status(), early_media };
                waiting.handle.deliver(Mail::Signal(Signal::Outgoing(answer)));
            }
            Event::Answered { invite, dialog, answer } => match self.done(invite) {
                Some(waiting) => {
                    sink.adopt(dialog, waiting.handle.clone());
                    for early in waiting.early.into_iter().filter(|early| *early != dialog) {
                        sink.forgotten(early);
                    }
                    let answer = Answer::Accepted { dialog, answer, response: None };
                    waiting.handle.deliver(Mail::Signal(Signal::Outgoing(answer)));
                }
                // Another telephone was quicker.
                None => {
                    endpoint.bye(dialog, "", Instant::now());
                    endpoint.forget(dialog);
                }
            },
            Event::Rejected { invite, status } => {
                let Some(waiting) = self.done(invite) else { return };
                waiting.early.into_iter().for_each(|early| sink.forgotten(early));
                refuse(&waiting.handle, status, None);
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

fn refuse(handle: &CallHandle, status: StatusCode, response: Option<Response>) {
    handle.deliver(Mail::Signal(Signal::Outgoing(Answer::Refused { status, response })));
}

fn session_description(response: &Response) -> Option<bytes::Bytes> {
    Some(response.body().clone()).filter(|body| body.starts_with(b"v="))
}
