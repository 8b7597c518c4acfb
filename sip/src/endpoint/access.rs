//! Who is listened to: strangers in what is under way with them only, and in a call nobody but
//! its own peer. Tags and Call-ID go over the network in the clear and through many hands, so that
//! knowing them proves nothing.

use std::net::IpAddr;

use super::Endpoint;
use super::event::{Event, Suspicion};
use super::flow::Flow;
use super::policy::PolicyId;
use crate::dialog::{Dialog, DialogId};
use crate::message::{Host, Method, Request, Uri};
use crate::random::Key;
use crate::transaction::key;

impl Endpoint {
    /// Whether a request of somebody who isn't listed belongs to a transaction or a dialog that
    /// is under way with just that address.
    pub(crate) fn is_under_way(&self, flow: Flow, request: &Request) -> bool {
        let known = |key: &Key| self.servers.contains_key(key) && self.is_of_transaction(*key, flow, None);
        if key::server(&self.keyer, request).is_ok_and(|key| known(&key)) {
            return true;
        }
        if *request.method() == Method::Cancel {
            return key::cancelled(&self.keyer, request).is_ok_and(|key| known(&key));
        }
        let (Ok(from), Ok(to)) = (request.headers().from(), request.headers().to()) else { return false };
        self.dialog_of(request, from.tag().unwrap_or_default(), to.tag())
            .is_some_and(|id| self.is_of_dialog(id, flow, None))
    }

    /// Whether a message comes from where the request of a transaction came from, or from another
    /// address of the same peer.
    pub(crate) fn is_of_transaction(&self, key: Key, flow: Flow, policy: Option<PolicyId>) -> bool {
        self.servers.get(&key).is_some_and(|server| {
            same(server.path.flow.peer.ip(), flow.peer.ip())
                || policy.is_some()
                    && policy
                        == server.dialog.and_then(|id| self.dialogs.get(&id)).map(|dialog| dialog.policy)
        })
    }

    /// Whether a message comes from the far end of a dialog.
    pub(crate) fn is_of_dialog(&self, id: DialogId, flow: Flow, policy: Option<PolicyId>) -> bool {
        self.dialogs.get(&id).is_some_and(|dialog| is_peer(dialog, flow, policy))
    }

    pub(crate) fn drop_wrong_source(&mut self, flow: Flow) {
        self.counters.wrong_source += 1;
        self.suspect(flow, Suspicion::WrongSource);
    }

    pub(crate) fn suspect(&mut self, flow: Flow, kind: Suspicion) {
        self.emit(Event::Suspicious { source: flow.peer, kind });
    }
}

/// The address that the dialog's messages come from, the one that its requests are sent to, the
/// first proxy on the way there, or another address of the same peer.
fn is_peer(dialog: &Dialog, flow: Flow, policy: Option<PolicyId>) -> bool {
    let source = flow.peer.ip();
    let at = |uri: &Uri| literal(uri).is_some_and(|address| same(address, source));
    same(dialog.flow.peer.ip(), source)
        || policy == Some(dialog.policy)
        || at(&dialog.remote_target)
        || dialog.route_set.first().is_some_and(at)
}

fn literal(uri: &Uri) -> Option<IpAddr> {
    match uri.host()? {
        Host::V4(ip) => Some(IpAddr::V4(*ip)),
        Host::V6(ip) => Some(IpAddr::V6(*ip)),
        Host::Domain(_) => None,
    }
}

/// A socket for both families gives IPv4 addresses in the IPv6 form.
fn same(a: IpAddr, b: IpAddr) -> bool {
    a.to_canonical() == b.to_canonical()
}
