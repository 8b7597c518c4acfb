//! How a message finds its transaction (RFC 3261 §17.1.3 and §17.2.3).

use crate::message::{HeaderError, Host, Method, Request, Response};
use crate::random::{Key, Keyer};

/// Every branch made by an element of RFC 3261 begins with this (§8.1.1.7).
pub const MAGIC_COOKIE: &[u8] = b"z9hG4bK";

/// The method under which a request's server transaction stands: an ACK finds the INVITE's.
fn transaction_method(method: &Method) -> &Method {
    match method {
        Method::Ack => &Method::Invite,
        other => other,
    }
}

/// The server transaction of a request.
///
/// # Errors
/// When the request lacks one of the headers that make the key.
pub fn server(keyer: &Keyer, request: &Request) -> Result<Key, HeaderError> {
    server_as(keyer, request, transaction_method(request.method()))
}

/// The INVITE server transaction that a CANCEL is about (§9.2).
///
/// # Errors
/// As [`server`].
pub fn cancelled(keyer: &Keyer, cancel: &Request) -> Result<Key, HeaderError> {
    server_as(keyer, cancel, &Method::Invite)
}

fn server_as(keyer: &Keyer, request: &Request, method: &Method) -> Result<Key, HeaderError> {
    let headers = request.headers();
    let via = headers.top_via()?;
    let method = method.as_str().as_bytes();
    let port = via.port.unwrap_or(0).to_be_bytes();
    let (v4, v6);
    let host: &[u8] = match &via.host {
        Host::Domain(name) => name.as_str().as_bytes(),
        Host::V4(ip) => {
            v4 = ip.octets();
            &v4
        }
        Host::V6(ip) => {
            v6 = ip.octets();
            &v6
        }
    };
    match via.branch() {
        Some(branch) if branch.starts_with(MAGIC_COOKIE) && branch.len() > MAGIC_COOKIE.len() => {
            Ok(keyer.key(&[b"3261", branch, host, &port, method]))
        }
        branch => {
            // RFC 2543 elements: the request itself is the identity (§17.2.3, second half). The
            // To tag is left out, because an ACK carries the one that we gave.
            let from = headers.from()?;
            let cseq = headers.cseq()?;
            Ok(keyer.key(&[
                b"2543",
                request.uri().as_bytes(),
                headers.call_id()?,
                from.tag().unwrap_or_default(),
                &cseq.number.to_be_bytes(),
                branch.unwrap_or_default(),
                host,
                &port,
                method,
            ]))
        }
    }
}

/// The client transaction of a request that we send, by the branch we gave it.
#[must_use]
pub fn client(keyer: &Keyer, branch: &[u8], method: &Method) -> Key {
    keyer.key(&[b"client", branch, method.as_str().as_bytes()])
}

/// The client transaction that a response belongs to.
///
/// # Errors
/// When the response lacks `Via` or `CSeq`.
pub fn of_response(keyer: &Keyer, response: &Response) -> Result<Key, HeaderError> {
    let via = response.headers().top_via()?;
    let cseq = response.headers().cseq()?;
    Ok(client(keyer, via.branch().unwrap_or_default(), &cseq.method))
}

/// What two copies of one request have in common when they came over different paths
/// (§8.2.2.2). `from_tag` is empty where there is none.
///
/// # Errors
/// As [`server`].
pub fn merged(keyer: &Keyer, request: &Request, from_tag: &[u8]) -> Result<Key, HeaderError> {
    let headers = request.headers();
    let cseq = headers.cseq()?;
    Ok(keyer.key(&[
        b"merged",
        from_tag,
        headers.call_id()?,
        &cseq.number.to_be_bytes(),
        cseq.method.as_str().as_bytes(),
    ]))
}
