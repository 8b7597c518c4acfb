//! Where responses go (RFC 3261 §18.2.2, RFC 3581 §4), and responses without a transaction.

use std::net::SocketAddr;

use bytes::Bytes;

use super::event::Transmit;
use super::flow::{Flow, Target};
use super::Endpoint;
use crate::message::{HeaderName, Method, Request, ResponseBuilder, StatusCode};

/// The port of SIP without TLS (RFC 3261 §19.1.2).
pub(crate) const DEFAULT_PORT: u16 = 5060;

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
        if !flow.transport.is_reliable()
            && let Ok(via) = request.headers().top_via()
            && via.rport().is_none()
        {
            target.set_port(via.port.unwrap_or(DEFAULT_PORT));
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
        ResponseBuilder::reply_to(request, status)
            .header(HeaderName::Server, self.config.product.as_bytes())
    }

    /// Answers without keeping any state; the To tag is a digest of the request, so that a
    /// repetition gets the same answer (§8.2.7).
    pub(crate) fn reply_statelessly(
        &mut self,
        flow: Flow,
        request: &Request,
        status: StatusCode,
        reason: Option<&'static str>,
    ) {
        if *request.method() == Method::Ack {
            return;
        }
        let path = ReplyPath::of(flow, request);
        let tag = self.keyer.key(&[b"stateless", request.as_bytes()]).as_u128();
        let mut builder =
            self.response(request, status).to_tag(format!("{:016x}", tag >> 64).as_bytes());
        if let Some(reason) = reason {
            builder = builder.reason(reason);
        }
        if status == StatusCode::SERVICE_UNAVAILABLE {
            builder = builder
                .header(HeaderName::RetryAfter, self.retry_after().as_secs().to_string());
        }
        let response = builder.build();
        self.transmit(path.transmit(response.as_bytes().clone()));
    }
}
