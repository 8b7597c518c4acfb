//! The ACK of a 2xx (RFC 3261 §13.2.2.4), and answers that the far end's offer waits for.

use std::time::Instant;

use bytes::Bytes;

use crate::dialog::{Dialog, DialogId};
use crate::endpoint::flow::Transport;
use crate::endpoint::{Acknowledgement, Endpoint, RequestPath};
use crate::message::{HeaderName, Method, Request};
use crate::random::Key;
use crate::ua::reissue::{Changes, reissue};
use crate::ua::requesting::Owed;
use crate::ua::uac::Draft;

/// Why an answer can't be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DelayedError {
    /// No offer of the far end's waits for one in this dialog.
    #[error("no offer waits for an answer")]
    NotWaiting,
}

/// Dialogs of one INVITE whose ACKs are kept.
const MOST: usize = 16;

impl Endpoint {
    /// Answers the offer that the far end made in its response, because our INVITE had none: in the
    /// ACK of a 2xx, or in the PRACK of a reliable provisional response (RFC 3262 §5).
    ///
    /// # Errors
    /// When no answer is owed.
    pub fn answer_delayed(&mut self, id: DialogId, sdp: Bytes, now: Instant) -> Result<(), DelayedError> {
        if self.pay_owed(id, Some(sdp), now) { Ok(()) } else { Err(DelayedError::NotWaiting) }
    }

    /// Sends what waits for an answer of ours, with it or without. False when nothing waits.
    pub(crate) fn pay_owed(&mut self, id: DialogId, sdp: Option<Bytes>, now: Instant) -> bool {
        let Some(owed) = self.dialog_mut(id).and_then(|dialog| dialog.requesting.owed.take()) else {
            return false;
        };
        match owed {
            Owed::Ack(key) => self.acknowledge(id, key, sdp),
            Owed::Prack(rack) => {
                if let Some(dialog) = self.dialog_mut(id) {
                    dialog.requesting.agreed = true;
                }
                self.send_prack(id, rack, sdp, now);
            }
        }
        true
    }

    /// Acknowledges a 2xx to the INVITE of this transaction, and keeps the ACK.
    pub(crate) fn acknowledge(&mut self, id: DialogId, key: Key, sdp: Option<Bytes>) {
        let branch = self.new_branch();
        let (Some(dialog), Some(client)) = (self.dialog(id), self.client(key)) else { return };
        let (ack, path) = self.build_ack(dialog, &client.request, sdp, &branch);
        self.keep_and_send_ack(id, key, &branch, ack, path);
    }

    /// The ACK of a 2xx: the number of its INVITE, and the same credentials (§13.2.2.4).
    pub(super) fn build_ack(
        &self,
        dialog: &Dialog,
        invite: &Request,
        sdp: Option<Bytes>,
        branch: &str,
    ) -> (Request, RequestPath) {
        let cseq = invite.headers().cseq().map_or(1, |cseq| cseq.number);
        let mut headers = Vec::new();
        for name in [HeaderName::Authorization, HeaderName::ProxyAuthorization] {
            let values = invite.headers().get_all(name.clone());
            headers.extend(values.map(|value| (name.clone(), value.to_vec())));
        }
        let body = sdp.map(|sdp| ("application/sdp".to_owned(), sdp));
        self.build_in_dialog(dialog, Method::Ack, cseq, Draft { headers, body }, branch)
    }

    /// An ACK too large for a datagram goes over TCP, like any request (§18.1.1). Nobody reports
    /// when it can't: then the 2xx comes again, and the copy that was kept goes over UDP.
    pub(super) fn keep_and_send_ack(
        &mut self,
        dialog: DialogId,
        key: Key,
        branch: &str,
        ack: Request,
        path: RequestPath,
    ) {
        if path.transport == Transport::Udp && ack.as_bytes().len() > self.max_udp_request() {
            let path = path.clone().over_tcp();
            let via = self.via(path.transport, path.local, branch);
            self.send_ack(&reissue(&ack, &Changes { via, ..Changes::default() }), &path);
        } else {
            self.send_ack(&ack, &path);
        }
        if let Some(client) = self.client_mut(key).filter(|client| client.acknowledgements.len() < MOST) {
            client.acknowledgements.push(Acknowledgement { dialog, ack, path });
        }
    }

    /// Sends the ACK again that this dialog was sent before. False when there was none.
    pub(crate) fn acknowledge_again(&mut self, dialog: DialogId, key: Key) -> bool {
        let Some(client) = self.client(key) else { return false };
        let Some(kept) = client.acknowledgements.iter().find(|kept| kept.dialog == dialog) else {
            return false;
        };
        let (ack, path) = (kept.ack.clone(), kept.path.clone());
        self.send_ack(&ack, &path);
        true
    }

    /// Whether one more dialog of this INVITE can be acknowledged and remembered.
    pub(super) fn has_room_for_ack(&self, key: Key) -> bool {
        self.client(key).is_some_and(|client| client.acknowledgements.len() < MOST)
    }
}
