//! The route set of a dialog and what it makes of a request (RFC 3261 §12.1.1 and §12.2.1.1).

use bytes::Bytes;

use crate::message::{HeaderError, Headers, NameAddr, Request, Response, Uri};

/// The proxies that asked to stay on the path, nearest first.
#[derive(Debug, Default)]
pub(crate) struct RouteSet {
    hops: Vec<(Uri, Bytes)>,
}

fn hops(headers: &Headers) -> Result<Vec<(Uri, Bytes)>, HeaderError> {
    let hops = headers.record_routes()?;
    // Detached, lest a dialog keeps the whole INVITE in memory.
    Ok(hops.into_iter().map(|hop| (hop.uri.detach(), Bytes::copy_from_slice(hop.raw()))).collect())
}

/// Where a request inside a dialog goes and what it says.
#[derive(Debug)]
pub(crate) struct Routed {
    pub request_uri: Uri,
    /// The `Route` values in order.
    pub routes: Vec<Bytes>,
    /// Whom to send it to.
    pub next_hop: Uri,
}

impl RouteSet {
    /// As the UAS: the `Record-Route` of the request, in order (§12.1.1).
    pub fn of_request(request: &Request) -> Result<Self, HeaderError> {
        Ok(Self { hops: hops(request.headers())? })
    }

    /// As the UAC: the `Record-Route` of the 2xx in reverse order (§12.1.2).
    pub fn of_response(response: &Response) -> Result<Self, HeaderError> {
        let mut set = Self { hops: hops(response.headers())? };
        set.hops.reverse();
        Ok(set)
    }

    /// Of `Route` values that we were told to use (§8.1.2); those that are none are left out.
    pub fn of_values(values: &[Bytes]) -> Self {
        let read = |value: &Bytes| Some((NameAddr::parse(value)?.uri.detach(), value.clone()));
        Self { hops: values.iter().filter_map(read).collect() }
    }

    /// Whether the far end is reached directly.
    pub fn is_empty(&self) -> bool {
        self.hops.is_empty()
    }

    /// The proxy that our requests go to.
    pub fn first(&self) -> Option<&Uri> {
        self.hops.first().map(|(uri, _)| uri)
    }

    /// Applies the set to a request for `target`. A first hop without `lr` is a strict router of
    /// RFC 2543: it gets its own URI as Request-URI, and the target comes last.
    pub fn route(&self, target: &Uri) -> Routed {
        let Some((first, _)) = self.hops.first() else {
            return Routed { request_uri: target.clone(), routes: Vec::new(), next_hop: target.clone() };
        };
        if first.param("lr").is_some() {
            Routed {
                request_uri: target.clone(),
                routes: self.hops.iter().map(|(_, raw)| raw.clone()).collect(),
                next_hop: first.clone(),
            }
        } else {
            let mut routes: Vec<Bytes> = self.hops.iter().skip(1).map(|(_, raw)| raw.clone()).collect();
            routes.push(Bytes::from([b"<", target.as_bytes(), b">"].concat()));
            Routed { request_uri: first.clone(), routes, next_hop: first.clone() }
        }
    }
}
