//! Giving a call up (RFC 3261 §9.1), and requests that stay on an INVITE's hop (§17.1.1.3).

use std::time::Instant;

use super::Stage;
use crate::endpoint::client::ClientTransaction;
use crate::endpoint::{Endpoint, InviteId, User};
use crate::message::{HeaderName, Method, Request, RequestBuilder, Response};
use crate::random::Key;
use crate::transaction::timer::Timer;
use crate::ua::uac::MAX_FORWARDS;

impl Endpoint {
    /// Gives a call up before it is answered. The CANCEL waits for the first provisional response
    /// (§9.1). [`crate::endpoint::Event::Rejected`] follows in any case: an answer that crosses the
    /// CANCEL is sent ACK and BYE from here, so that no call is left that its owner has done with.
    pub fn cancel(&mut self, id: InviteId, now: Instant) {
        let Some(outgoing) = self.outgoing_mut(id) else { return };
        let Stage::Calling { attempt, cancelled } = &mut outgoing.stage else { return };
        *cancelled = true;
        if let Some(attempt) = *attempt {
            self.drop_early(id, None, now);
            self.cancel_client(attempt, now);
        }
    }

    /// Cancels an INVITE transaction that has had a provisional response, once, and gives it as
    /// long as anything else to get its final one (§9.1).
    pub(crate) fn cancel_client(&mut self, key: Key, now: Instant) {
        let cancellable = |client: &&mut ClientTransaction| {
            *client.request.method() == Method::Invite && client.is_proceeding() && !client.cancelled
        };
        let Some(client) = self.client_mut(key).filter(cancellable) else { return };
        client.cancelled = true;
        let to = client.request.headers().get(HeaderName::To).unwrap_or_default();
        let cancel = hop_request(&client.request, Method::Cancel, to);
        let path = client.path.clone().settled();
        let branch = cancel.headers().top_via().ok().and_then(|via| via.branch().map(<[u8]>::to_vec));
        let branch = String::from_utf8(branch.unwrap_or_default()).unwrap_or_default();
        self.open_client(&branch, cancel, path, User::Nobody, now);
        let after = Timer::Cancelled.first(&self.timer_settings(), false);
        self.set_client_timer(key, Timer::Cancelled, now + after);
    }

    /// The ACK of a refusal: hop by hop, with the INVITE's branch (§17.1.1.3).
    pub(crate) fn acknowledge_refusal(&mut self, key: Key, response: &Response) {
        let Some(client) = self.client(key) else { return };
        let Some(to) = response.headers().get(HeaderName::To) else { return };
        let ack = hop_request(&client.request, Method::Ack, to);
        let path = client.path.clone();
        self.send_ack(&ack, &path);
    }
}

/// A request that stays on the INVITE's hop: ACK to a refusal, CANCEL.
fn hop_request(invite: &Request, method: Method, to: &[u8]) -> Request {
    let headers = invite.headers();
    let cseq = headers.cseq().map_or(1, |cseq| cseq.number);
    let copy = |name: HeaderName| headers.get(name).unwrap_or_default();
    RequestBuilder::new(method.clone(), invite.uri())
        .header(HeaderName::Via, copy(HeaderName::Via))
        .header(HeaderName::MaxForwards, MAX_FORWARDS)
        .headers(HeaderName::Route, headers.get_all(HeaderName::Route))
        .header(HeaderName::From, copy(HeaderName::From))
        .header(HeaderName::To, to)
        .header(HeaderName::CallId, copy(HeaderName::CallId))
        .header(HeaderName::CSeq, format!("{cseq} {}", method.as_str()))
        .build()
}
