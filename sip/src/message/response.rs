//! Responses.

use std::sync::Arc;

use bytes::Bytes;

use super::{Headers, StatusCode};

/// A response. Cloning is one reference count.
#[derive(Clone, Debug)]
pub struct Response {
    inner: Arc<Inner>,
}

#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) bytes: Bytes,
    pub(crate) status: StatusCode,
    pub(crate) reason: Bytes,
    pub(crate) headers: Headers,
    pub(crate) body: Bytes,
}

impl Response {
    pub(crate) fn from_inner(inner: Inner) -> Response {
        Response { inner: Arc::new(inner) }
    }

    /// The status code.
    pub fn status(&self) -> StatusCode {
        self.inner.status
    }

    /// The reason phrase: any bytes, often UTF-8, possibly empty (RFC 3261 §25.1 `Reason-Phrase`).
    pub fn reason(&self) -> &[u8] {
        &self.inner.reason
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
}
