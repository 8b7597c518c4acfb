//! Where responses go (RFC 3261 §18.2.2, RFC 3581 §4), and responses without a transaction.

use std::net::SocketAddr;

use bytes::Bytes;

use super::Endpoint;
use super::event::{Suspicion, Transmit};
use super::flow::{Flow, Target};
use crate::message::{HeaderName, Method, Request, ResponseBuilder, StatusCode};

/// The way back to whoever sent a request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ReplyPath {
    pub flow: Flow,
    pub target: SocketAddr,
}

impl ReplyPath {
    /// Responses go to the address that the request came from, never to the one that it claims:
    /// nobody can aim our answers at a third party. Only the port may come from `Via`, where
    /// `rport` isn't asked for. `maddr` is ignored for the same reason.
    pub fn of(flow: Flow, request: &Request) -> Self {
        let mut target = flow.peer;
        // On a stream the connection that the request came over is used while it lasts, and this
        // port after that.
        if let Ok(via) = request.headers().top_via()
            && (via.rport().is_none() || flow.transport.is_reliable())
        {
            target.set_port(via.port.filter(|port| *port != 0).unwrap_or(flow.transport.default_port()));
        }
        Self { flow, target }
    }

    /// A response on its way.
    pub fn transmit(&self, bytes: Bytes) -> Transmit {
        Transmit {
            transport: self.flow.transport,
            target: Target::Address(self.target),
            connection: self.flow.connection,
            bytes,
            ticket: None,
        }
    }
}

impl Endpoint {
    /// Begins a response with what all of ours carry.
    pub(crate) fn response(&self, request: &Request, status: StatusCode) -> ResponseBuilder {
        ResponseBuilder::reply_to(request, status).header(HeaderName::Server, self.config.product.as_bytes())
    }

    /// Begins a response of which no state is kept: the To tag is a digest of the request, so
    /// that a repetition gets the same answer (§8.2.7). A `503` says when to come back.
    pub(crate) fn stateless_response(&self, request: &Request, status: StatusCode) -> ResponseBuilder {
        let builder = self.response(request, status).to_tag(self.stateless_tag(request).as_bytes());
        if status != StatusCode::SERVICE_UNAVAILABLE {
            return builder;
        }
        builder.header(HeaderName::RetryAfter, self.retry_after().as_secs().to_string())
    }

    /// The To tag of a refusal of which no state is kept. It is made of what the ACK has in common
    /// with its INVITE, so that the ACK can be told from a stray one.
    pub(crate) fn stateless_tag(&self, request: &Request) -> String {
        let headers = request.headers();
        let call_id = headers.get(HeaderName::CallId).unwrap_or_default();
        let from = headers.from().ok();
        let from = from.as_ref().and_then(|from| from.tag()).unwrap_or_default();
        let cseq = headers.cseq().map_or(0, |cseq| cseq.number).to_be_bytes();
        let tag = self.keyer.key(&[b"stateless", call_id, from, &cseq]).as_u128();
        format!("{:016x}", tag >> 64)
    }

    /// Sends a response without keeping any state. Nobody answers an ACK.
    pub(crate) fn send_statelessly(&mut self, flow: Flow, request: &Request, response: ResponseBuilder) {
        if *request.method() == Method::Ack {
            return;
        }
        let path = ReplyPath::of(flow, request);
        let response = response.build();
        self.counters.traffic_out.count_response(request.method(), response.status());
        self.transmit(path.transmit(response.as_bytes().clone()));
    }

    /// Refuses a request outside any dialog. No state is kept of it, so that a flood of such
    /// requests takes no memory: who misses the answer asks again.
    pub(crate) fn refuse_statelessly(
        &mut self,
        flow: Flow,
        request: &Request,
        status: StatusCode,
        headers: &[(HeaderName, String)],
    ) {
        self.count_refusal(status);
        let mut response = self.stateless_response(request, status);
        for (name, value) in headers {
            response = response.header(name.clone(), value.as_bytes());
        }
        self.send_statelessly(flow, request, response);
    }

    pub(crate) fn count_refusal(&mut self, status: StatusCode) {
        // Who finds a request stray, or has no room for it, counts it as that.
        if !matches!(status, StatusCode::CALL_DOES_NOT_EXIST | StatusCode::SERVICE_UNAVAILABLE) {
            self.counters.refused += 1;
        }
    }

    /// Refuses a request that breaks a rule, saying which.
    pub(crate) fn refuse_malformed(
        &mut self,
        flow: Flow,
        request: &Request,
        status: StatusCode,
        reason: &'static str,
    ) {
        self.counters.malformed += 1;
        self.suspect(flow, Suspicion::Malformed);
        let response = self.stateless_response(request, status).reason(reason);
        self.send_statelessly(flow, request, response);
    }
}
