//! Requests.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;

use super::{Headers, Method, Uri};

/// A request. Cloning is one reference count.
#[derive(Clone, Debug)]
pub struct Request {
    inner: Arc<Inner>,
}

/// The version in the request line; whether it is ours is [`validate`](super::validate)'s business.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// `SIP/2.0`
    Two,
    /// Any other number.
    Other,
}

#[derive(Clone, Debug)]
pub(crate) struct Inner {
    pub(crate) bytes: Bytes,
    pub(crate) method: Method,
    pub(crate) uri: Uri,
    pub(crate) version: Version,
    pub(crate) headers: Headers,
    pub(crate) body: Bytes,
    pub(crate) source: Option<SocketAddr>,
}

impl Request {
    pub(crate) fn from_inner(inner: Inner) -> Request {
        Request { inner: Arc::new(inner) }
    }

    /// The method.
    pub fn method(&self) -> &Method {
        &self.inner.method
    }

    /// The Request-URI.
    pub fn uri(&self) -> &Uri {
        &self.inner.uri
    }

    /// The version.
    pub fn version(&self) -> Version {
        self.inner.version
    }

    /// The header fields.
    pub fn headers(&self) -> &Headers {
        &self.inner.headers
    }

    /// The body, as long as Content-Length says.
    pub fn body(&self) -> &Bytes {
        &self.inner.body
    }

    /// The message exactly as it was received or will be sent.
    pub fn as_bytes(&self) -> &Bytes {
        &self.inner.bytes
    }

    /// Notes where the request came from. Responses built from it then carry `received` and `rport` in their top Via
    /// (RFC 3261 §18.2.1, RFC 3581 §4); the bytes of the request stay as they are.
    #[must_use]
    pub fn received_from(mut self, source: SocketAddr) -> Request {
        Arc::make_mut(&mut self.inner).source = Some(source);
        self
    }

    /// What [`Request::received_from`] noted.
    pub fn source(&self) -> Option<SocketAddr> {
        self.inner.source
    }
}
