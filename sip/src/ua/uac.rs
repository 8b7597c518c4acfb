//! Requests of ours: inside a dialog (RFC 3261 §12.2.1, §15) and outside of any (§8.1).

use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use bytes::Bytes;

use crate::dialog::{Dialog, DialogId, Phase};
use crate::endpoint::flow::{Target, Transport};
use crate::endpoint::{ClientId, DEFAULT_PORT, Endpoint, OutsideRequest, RequestPath, Transmit, User};
use crate::message::{HeaderName, Host, Method, Request, RequestBuilder, Uri};

impl Endpoint {
    /// Hangs up (§15.1.1). Before the ACK of our 2xx has come the BYE waits for it. `reason` is
    /// the value of a `Reason` header (RFC 3326), or empty. [`crate::endpoint::Event::Closed`]
    /// follows.
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

    /// Sends a request outside any dialog. [`crate::endpoint::Event::Response`] or
    /// [`crate::endpoint::Event::NoResponse`] follows.
    pub fn request(&mut self, request: OutsideRequest, now: Instant) -> ClientId {
        let client = self.take_client_id();
        let branch = self.new_branch();
        let via = self.via(request.transport, request.local, &branch);
        let mut builder = RequestBuilder::new(request.method, &request.uri)
            .header(HeaderName::Via, via)
            .header(HeaderName::MaxForwards, MAX_FORWARDS);
        for (name, value) in request.headers {
            builder = builder.header(name, value);
        }
        let built = builder.header(HeaderName::UserAgent, self.product()).build();
        let path = RequestPath {
            transport: request.transport,
            target: request.target,
            connection: request.connection,
        };
        self.open_client(&branch, built, path, User::Owner(client), now);
        client
    }

    pub(crate) fn send_bye(&mut self, id: DialogId, reason: &[u8], now: Instant) {
        let Some(dialog) = self.dialog_mut(id) else { return };
        dialog.phase = Phase::Closing;
        dialog.stop_session_timer();
        self.terminate_pending_offer(id, now);
        let Some(dialog) = self.dialog_mut(id) else { return };
        let cseq = dialog.next_cseq();
        let headers: &[(HeaderName, Vec<u8>)] = &[(HeaderName::Reason, reason.to_vec())];
        let headers = if reason.is_empty() { &[] } else { headers };
        self.send_in_dialog(id, Method::Bye, cseq, headers, now);
    }

    /// Sends a request inside a dialog along its route set (§12.2.1.1).
    pub(crate) fn send_in_dialog(
        &mut self,
        id: DialogId,
        method: Method,
        cseq: u32,
        headers: &[(HeaderName, Vec<u8>)],
        now: Instant,
    ) {
        let Some((built, path)) = self.request_in_dialog(id, method.clone(), cseq, headers) else { return };
        let (request, branch) = built;
        let user = if method == Method::Refer { User::Refer(id, cseq) } else { User::Bye(id) };
        self.open_client(&branch, request, path, user, now);
    }

    /// Makes a request inside a dialog, with the branch it was given.
    pub(crate) fn request_in_dialog(
        &mut self,
        id: DialogId,
        method: Method,
        cseq: u32,
        headers: &[(HeaderName, Vec<u8>)],
    ) -> Option<((Request, String), RequestPath)> {
        self.described_request(id, method, cseq, headers, None)
    }

    /// As [`Endpoint::request_in_dialog`], with a session description.
    pub(crate) fn described_request(
        &mut self,
        id: DialogId,
        method: Method,
        cseq: u32,
        headers: &[(HeaderName, Vec<u8>)],
        sdp: Option<Bytes>,
    ) -> Option<((Request, String), RequestPath)> {
        let branch = self.new_branch();
        let dialog = self.dialog(id)?;
        let routed = dialog.route_set.route(&dialog.remote_target);
        let path = request_path(dialog, &routed.next_hop);
        let local = dialog.flow.local;
        let mut builder = RequestBuilder::new(method.clone(), &routed.request_uri)
            .header(HeaderName::Via, self.via(path.transport, local, &branch))
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
        // Requests that may refresh the target say where we are (§12.2.1.1).
        if matches!(method, Method::Refer | Method::Invite | Method::Update) {
            builder = builder.header(HeaderName::Contact, self.contact(path.transport, local));
        }
        for (name, value) in headers {
            builder = builder.header(name.clone(), value);
        }
        if let Some(sdp) = sdp {
            builder = builder.body("application/sdp", sdp);
        }
        Some(((builder.build(), branch), path))
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
}

/// What every request of ours starts with (§8.1.1.6).
pub(crate) const MAX_FORWARDS: &str = "70";

fn request_path(dialog: &Dialog, next_hop: &Uri) -> RequestPath {
    let flow = dialog.flow;
    let transport = match next_hop.param("transport") {
        Some(Some(name)) if name.eq_ignore_ascii_case(b"tcp") => Transport::Tcp,
        Some(Some(name)) if name.eq_ignore_ascii_case(b"udp") => Transport::Udp,
        _ if dialog.route_set.is_empty() => flow.transport,
        _ => Transport::Udp,
    };
    let port = next_hop.port();
    let address = match next_hop.host() {
        Some(Host::V4(ip)) => Some(IpAddr::V4(*ip)),
        Some(Host::V6(ip)) => Some(IpAddr::V6(*ip)),
        Some(Host::Domain(_)) | None => None,
    };
    // A peer that names an address of narrower reach than the one it signals from is behind a
    // NAT, and a bare host name in a Contact is often not to be resolved from here: both are
    // reached the way they came. With a route set the proxies know better.
    let direct = dialog.route_set.is_empty();
    let target = match address {
        Some(ip) if !direct || reach(ip) >= reach(flow.peer.ip()) => {
            Target::Address(SocketAddr::new(ip, port.unwrap_or(DEFAULT_PORT)))
        }
        None if !direct => match next_hop.host() {
            Some(host) => Target::Name { host: host.to_string(), port },
            None => Target::Address(flow.peer),
        },
        _ => Target::Address(flow.peer),
    };
    // An open connection to the same host is used again, whatever port it names (RFC 5923 in
    // spirit): its own port is rarely one that it listens on.
    let same_host = matches!(&target, Target::Address(address) if address.ip() == flow.peer.ip());
    let connection = flow.connection.filter(|_| transport == flow.transport && (direct || same_host));
    RequestPath { transport, target, connection }
}

/// How far an address reaches: nowhere, this host, a private network, everywhere.
fn reach(ip: IpAddr) -> u8 {
    let (nowhere, host, private) = match ip {
        IpAddr::V4(ip) => (ip.is_unspecified(), ip.is_loopback(), ip.is_private() || ip.is_link_local()),
        IpAddr::V6(ip) => {
            (ip.is_unspecified(), ip.is_loopback(), ip.is_unique_local() || ip.is_unicast_link_local())
        }
    };
    match (nowhere, host, private) {
        (true, ..) => 0,
        (_, true, _) => 1,
        (.., true) => 2,
        _ => 3,
    }
}
