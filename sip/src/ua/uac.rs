//! Requests of ours: inside a dialog (RFC 3261 §12.2.1, §15) and outside of any (§8.1).

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::next_hop::request_path;
use super::trust::{Auth, Peers, Trust};
use crate::dialog::{Dialog, DialogId, Phase};
use crate::endpoint::flow::Hop;
use crate::endpoint::{
    ClientId, Course, Endpoint, Event, OutsideRequest, RequestPath, Transmit, User, contact_scheme,
};
use crate::message::{HeaderName, Method, Request, RequestBuilder};
use crate::ua::digest::Credentials;

/// What every request of ours starts with (§8.1.1.6).
pub(crate) const MAX_FORWARDS: &str = "70";

/// A request inside a dialog, as far as it isn't the dialog's.
#[derive(Debug, Default)]
pub(crate) struct Draft {
    pub headers: Vec<(HeaderName, Vec<u8>)>,
    /// Content type and content.
    pub body: Option<(String, Bytes)>,
}

impl Endpoint {
    /// Hangs up (§15.1.1). Before the ACK of our 2xx has come the BYE waits for it. `reason` is
    /// the value of a `Reason` header (RFC 3326), or empty. [`Event::Closed`] follows.
    pub fn bye(&mut self, id: DialogId, reason: &str, now: Instant) {
        if self.regret(id, now) {
            return;
        }
        let Some(dialog) = self.dialog_mut(id) else { return };
        if dialog.phase != Phase::Established {
            return;
        }
        if dialog.unacknowledged.is_some() {
            dialog.bye_wanted = Some(Bytes::copy_from_slice(reason.as_bytes()));
            return;
        }
        self.send_bye(id, reason.as_bytes(), now);
    }

    /// Lets go of a dialog: it disappears as soon as it is over.
    pub fn forget(&mut self, id: DialogId) {
        if let Some(dialog) = self.dialog_mut(id) {
            dialog.forgotten = true;
        }
        self.drop_if_forgotten(id);
    }

    /// Lets challenges in a dialog that the far end began be answered: only those from the address
    /// that it came from, and only for the realm that the credentials name. Without a realm
    /// nothing is ever answered. In a call of ours this isn't needed.
    pub fn set_credentials(&mut self, id: DialogId, credentials: Arc<Credentials>) {
        if let Some(dialog) = self.dialog_mut(id) {
            dialog.requesting.trust = Trust::inbound(credentials, dialog.flow.peer.ip()).map(Arc::new);
        }
    }

    /// Sends a request outside any dialog. [`Event::Response`] or [`Event::NoResponse`] follows.
    pub fn request(&mut self, request: OutsideRequest, now: Instant) -> ClientId {
        self.request_until(request, None, now)
    }

    /// As [`Endpoint::request`], for no longer than `limit` in all.
    pub fn request_within(&mut self, request: OutsideRequest, limit: Duration, now: Instant) -> ClientId {
        self.request_until(request, Some(now + limit), now)
    }

    fn request_until(
        &mut self,
        request: OutsideRequest,
        deadline: Option<Instant>,
        now: Instant,
    ) -> ClientId {
        let client = self.take_client_id();
        let peers = peers_of(&request.hops);
        let mut hops = request.hops.into_iter();
        let Some(first) = hops.next() else {
            self.emit(Event::NoResponse { client, sent: false });
            return client;
        };
        let path = RequestPath::to(first, request.connection, request.local);
        let branch = self.new_branch();
        let via = self.via(path.transport, path.local, &branch);
        let mut builder = RequestBuilder::new(request.method, &request.uri)
            .header(HeaderName::Via, via)
            .header(HeaderName::MaxForwards, MAX_FORWARDS);
        for (name, value) in request.headers {
            builder = builder.header(name, value);
        }
        let built = builder.header(HeaderName::UserAgent, self.product()).build();
        let course = Course {
            hops: hops.collect(),
            auth: request.credentials.map(|credentials| Auth::new(credentials, peers)),
            deadline,
            ..Course::default()
        };
        self.launch(&branch, (built, path), User::Owner(client), Some(Box::new(course)), now);
        client
    }

    pub(crate) fn send_bye(&mut self, id: DialogId, reason: &[u8], now: Instant) {
        // An answer of ours that is owed can't come any more; the ACK still has to (§13.2.2.4).
        self.pay_owed(id, None, now);
        let Some(dialog) = self.dialog_mut(id) else { return };
        dialog.phase = Phase::Closing;
        dialog.stop_session_timer();
        dialog.requesting.offering = None;
        self.terminate_pending_offer(id, now);
        let reason = (!reason.is_empty()).then(|| (HeaderName::Reason, reason.to_vec()));
        let draft = Draft { headers: reason.into_iter().collect(), body: None };
        self.send_in_dialog(id, Method::Bye, draft, |_| User::Bye(id), now);
    }

    /// Sends a request inside a dialog along its route set (§12.2.1.1), for the user that `user`
    /// makes of its CSeq.
    pub(crate) fn send_in_dialog(
        &mut self,
        id: DialogId,
        method: Method,
        draft: Draft,
        user: impl FnOnce(u32) -> User,
        now: Instant,
    ) {
        let branch = self.new_branch();
        let Some(cseq) = self.dialog_mut(id).map(Dialog::next_cseq) else { return };
        let Some(dialog) = self.dialog(id) else { return };
        let sent = self.build_in_dialog(dialog, method, cseq, draft, &branch);
        self.launch(&branch, sent, user(cseq), None, now);
    }

    /// Makes a request inside a dialog.
    pub(crate) fn build_in_dialog(
        &self,
        dialog: &Dialog,
        method: Method,
        cseq: u32,
        draft: Draft,
        branch: &str,
    ) -> (Request, RequestPath) {
        let routed = dialog.route_set.route(&dialog.remote_target);
        let path = request_path(dialog, &routed.next_hop);
        let mut builder = RequestBuilder::new(method.clone(), &routed.request_uri)
            .header(HeaderName::Via, self.via(path.transport, path.local, branch))
            .header(HeaderName::MaxForwards, MAX_FORWARDS);
        for route in routed.routes {
            builder = builder.header(HeaderName::Route, route);
        }
        builder = builder
            .header(HeaderName::From, dialog.local.clone())
            .header(HeaderName::To, dialog.remote.clone())
            .header(HeaderName::CallId, dialog.call_id.clone())
            .header(HeaderName::CSeq, format!("{cseq} {}", method.as_str()))
            .header(HeaderName::UserAgent, self.product());
        // Each of these makes or refreshes the far end's target (§12.2, RFC 3311 §5.1, RFC 3515 §2.2).
        if matches!(method, Method::Refer | Method::Invite | Method::Update) {
            let scheme = contact_scheme(&dialog.remote_target, Some(&routed.next_hop));
            builder = builder
                .header(HeaderName::Contact, self.contact_as(scheme, path.transport, path.local))
                .header(HeaderName::Allow, crate::endpoint::ALLOW);
        }
        for (name, value) in draft.headers {
            builder = builder.header(name, value);
        }
        let request = match draft.body {
            Some((kind, content)) => builder.body(&kind, content).build(),
            None => builder.build(),
        };
        (request, path)
    }

    /// Sends the ACK of a 2xx: a request without a transaction (§13.2.2.4).
    pub(crate) fn send_ack(&mut self, ack: &Request, path: &RequestPath) {
        self.count_sent_ack();
        self.transmit(Transmit {
            transport: path.transport,
            target: path.target.clone(),
            connection: path.connection,
            bytes: ack.as_bytes().clone(),
            ticket: None,
        });
    }

    /// The next CSeq of whom a request was sent for, who is from then on to be found by it.
    pub(crate) fn next_cseq_of(&mut self, user: User, request: &Request) -> Option<(User, u32)> {
        let following = || Some(request.headers().cseq().ok()?.number.wrapping_add(1) & 0x7fff_ffff);
        match user {
            User::Owner(_) | User::Nobody => Some((user, following()?)),
            User::Invite(id) => {
                self.outgoing(id)?;
                Some((user, following()?))
            }
            User::Bye(id) | User::Query(id) | User::Prack(id) => {
                Some((user, self.dialog_mut(id)?.next_cseq()))
            }
            User::Refer(id, before) => {
                let dialog = self.dialog_mut(id)?;
                dialog.refer.as_ref().filter(|refer| refer.cseq == before)?;
                let cseq = dialog.next_cseq();
                dialog.refer.as_mut()?.cseq = cseq;
                Some((User::Refer(id, cseq), cseq))
            }
            User::Offer(id, before) => {
                let dialog = self.dialog_mut(id)?;
                let cseq = dialog.next_cseq();
                dialog.requesting.offering.as_mut()?.renumber(before, cseq)?;
                Some((User::Offer(id, cseq), cseq))
            }
        }
    }

    /// Who may ask for credentials, where a request was sent inside a dialog.
    pub(crate) fn trust_of(&self, user: User) -> Option<Arc<Trust>> {
        match user {
            User::Owner(_) | User::Nobody | User::Invite(_) => None,
            User::Bye(id) | User::Query(id) | User::Prack(id) | User::Refer(id, _) | User::Offer(id, _) => {
                self.dialog(id)?.requesting.trust.clone()
            }
        }
    }
}

/// The addresses of all hops.
pub(crate) fn peers_of(hops: &[Hop]) -> Peers {
    let mut peers = Peers::new();
    for ip in hops.iter().map(|hop| hop.address.ip()) {
        if !peers.contains(&ip) {
            peers.push(ip);
        }
    }
    peers
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::endpoint::flow::Transport;

    #[test]
    fn a_peer_with_many_ports_is_one_address() {
        let hop = |text: &str| Hop::new(Transport::Udp, text.parse().unwrap());
        let hops = [hop("192.0.2.1:5060"), hop("192.0.2.1:5070"), hop("[2001:db8::1]:5060")];
        let expected: [std::net::IpAddr; 2] = ["192.0.2.1".parse().unwrap(), "2001:db8::1".parse().unwrap()];
        assert_eq!(peers_of(&hops).as_slice(), expected);
    }
}
