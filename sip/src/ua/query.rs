//! Requests in a dialog that change nothing in it: INFO (RFC 6086, as DTMF uses it) and OPTIONS
//! (RFC 3261 §11).

use std::time::Instant;

use bytes::Bytes;

use super::uac::Draft;
use crate::dialog::{DialogId, Phase};
use crate::endpoint::{Endpoint, Event, User};
use crate::message::{HeaderName, Method, StatusCode};
use crate::random::Key;

impl Endpoint {
    /// Sends INFO with this content; [`Event::Replied`] follows. Nothing happens unless the dialog
    /// is up.
    pub fn info(&mut self, id: DialogId, content_type: &str, body: Bytes, now: Instant) {
        let draft = Draft { headers: Vec::new(), body: Some((content_type.to_owned(), body)) };
        self.query(id, Method::Info, draft, now);
    }

    /// Asks whether the far end is there and what it can do; [`Event::Replied`] follows. Whatever
    /// it says, the dialog stays. Nothing happens unless the dialog is up.
    pub fn options(&mut self, id: DialogId, now: Instant) {
        let headers = vec![(HeaderName::Accept, b"application/sdp".to_vec())];
        self.query(id, Method::Options, Draft { headers, body: None }, now);
    }

    fn query(&mut self, id: DialogId, method: Method, draft: Draft, now: Instant) {
        if self.dialog(id).is_some_and(|dialog| dialog.phase == Phase::Established) {
            self.send_in_dialog(id, method, draft, |_| User::Query(id), now);
        }
    }

    pub(crate) fn query_answered(&mut self, id: DialogId, key: Key, status: StatusCode) {
        let method = self.client(key).map(|client| client.request.method().clone());
        if let Some(method) = method.filter(|_| self.dialog(id).is_some()) {
            self.emit(Event::Replied { dialog: id, method, status });
        }
    }
}
