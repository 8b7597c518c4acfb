//! The line of a call of ours: where it is dialed, and what comes back.

use std::time::Duration;

use bytes::Bytes;
use sip::dialog::DialogId;
use sip::message::{HeaderName, Method, Response, StatusCode};

use super::{Actor, Line};
use crate::call::machine::Input;
use crate::call::outbound::{Destination, Route};
use crate::call::ports::OutgoingInvite;
use crate::call::transfer::ReferPolicy;

/// A call of ours on its way.
pub struct Outgoing {
    route: Route,
    ring: Duration,
    /// Where the INVITE goes, or went last.
    destination: Destination,
    /// The dialog of the answer, or the latest early one.
    dialog: Option<DialogId>,
}

impl Outgoing {
    /// A call to the route's first destination, that is to be answered within `ring`.
    #[must_use]
    pub fn new(route: Route, ring: Duration) -> Self {
        let destination = route.first().clone();
        Self { route, ring, destination, dialog: None }
    }

    pub(super) fn ring(&self) -> Duration {
        self.ring
    }

    pub(super) fn dialog(&self) -> Option<DialogId> {
        self.dialog
    }
}

/// What came back for an INVITE of ours.
#[derive(Debug)]
pub enum Answer {
    /// A provisional response.
    Progress {
        /// Its early dialog, if it makes one.
        dialog: Option<DialogId>,
        /// Its status.
        status: StatusCode,
        /// Its session description.
        early_media: Option<Bytes>,
    },
    /// It was answered; the ACK is out.
    Accepted {
        /// The dialog.
        dialog: DialogId,
        /// The session description; empty when there is none.
        answer: Bytes,
        /// The response.
        response: Response,
    },
    /// It was refused.
    Refused {
        /// The final status.
        status: StatusCode,
        /// The response; `None` when nobody sent one.
        response: Option<Response>,
    },
}

impl Actor {
    /// Sends the INVITE. What follows comes as [`Answer`].
    pub(super) fn dial(&mut self) {
        let offer = self.media.offer();
        let Line::Outbound(outgoing) = &self.line else { return };
        let Some(sdp) = offer else {
            self.pending.push_back(Input::PeerRefused { status: 500, heard: false });
            return;
        };
        let invite = OutgoingInvite { sdp, ..outgoing.route.invite(&outgoing.destination) };
        self.services.signalling.invite(invite, self.handle.clone());
    }

    pub(super) fn take_answer(&mut self, answer: Answer) {
        match answer {
            Answer::Progress { dialog, status, early_media } => {
                if dialog.is_some() {
                    self.set_dialog(dialog);
                }
                if let Some(sdp) = early_media {
                    self.take_early_media(&sdp);
                }
                self.pending.push_back(Input::Progress { status: status.as_u16() });
            }
            Answer::Accepted { dialog, answer, response } => {
                self.set_dialog(Some(dialog));
                let media = self.take_final_answer(&answer);
                let refer = refer_policy(&response);
                self.pending.push_back(Input::PeerAnswered { media, refer });
            }
            Answer::Refused { status, response } => {
                // The early dialogs ended with it (RFC 3261 §12.3).
                self.set_dialog(None);
                self.take_refusal(status, response.as_ref());
            }
        }
    }

    fn set_dialog(&mut self, dialog: Option<DialogId>) {
        if let Line::Outbound(outgoing) = &mut self.line {
            outgoing.dialog = dialog;
        }
    }

    /// What is played before the answer: ringing, or an announcement. It is taken in, and no sign
    /// of an answer.
    fn take_early_media(&mut self, sdp: &[u8]) {
        if let Err(error) = self.media.take_answer(sdp, true, self.handle.mailbox()) {
            tracing::info!(call = %self.call, %error, "early media can't be used");
        }
    }

    /// Whether there is media in common.
    fn take_final_answer(&mut self, answer: &[u8]) -> bool {
        let taken = if answer.is_empty() {
            // RFC 3261 §13.2.1: the answer came in a reliable provisional response.
            self.media.confirm_early()
        } else {
            match self.media.take_answer(answer, false, self.handle.mailbox()) {
                Ok(()) => true,
                Err(error) => {
                    tracing::info!(call = %self.call, %error, "the answer can't be used");
                    false
                }
            }
        };
        self.media.offer_is_answered();
        taken
    }

    fn take_refusal(&mut self, status: StatusCode, response: Option<&Response>) {
        let Line::Outbound(outgoing) = &mut self.line else { return };
        let next =
            response.filter(|_| status.is_redirection()).and_then(|response| outgoing.route.follow(response));
        let input = match next {
            Some(next) => {
                outgoing.destination = next;
                Input::Redirected
            }
            None => Input::PeerRefused { status: status.as_u16(), heard: response.is_some() },
        };
        self.pending.push_back(input);
    }
}

/// A peer that sends no `Allow` hasn't said that it knows no REFER (RFC 3261 §20.5).
fn refer_policy(response: &Response) -> ReferPolicy {
    let headers = response.headers();
    let silent = !headers.contains(HeaderName::Allow);
    let listed = headers.allow().is_ok_and(|methods| methods.contains(&Method::Refer));
    if silent || listed { ReferPolicy::Allowed } else { ReferPolicy::PeerCannot }
}
