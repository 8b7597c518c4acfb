//! One address for datagrams and for streams.

use std::io;
use std::net::SocketAddr;

use crate::net::udp::UdpSockets;

/// How many ports of the system's choosing are tried.
const PORTS_TRIED: u32 = 16;

/// Which address couldn't be had, and why.
type Failed = (SocketAddr, io::Error);

/// UDP and TCP on the same addresses. Of a port left to the system only the UDP side is known to
/// be free: another is taken where TCP can't have it.
pub(super) fn together<S, T>(
    first: SocketAddr,
    second: Option<SocketAddr>,
    calls: &tokio::runtime::Handle,
    mut tcp: impl FnMut(&[SocketAddr]) -> Result<T, Failed>,
) -> Result<(UdpSockets<S>, T), Failed> {
    let left_to_the_system = first.port() == 0 || second.is_some_and(|second| second.port() == 0);
    let mut attempts = if left_to_the_system { PORTS_TRIED } else { 1 };
    loop {
        attempts -= 1;
        let udp = {
            let _entered = calls.enter();
            UdpSockets::bind(first, second)?
        };
        match tcp(&udp.local_addresses()) {
            Ok(tcp) => return Ok((udp, tcp)),
            Err((_, error)) if attempts > 0 && error.kind() == io::ErrorKind::AddrInUse => {}
            Err(failed) => return Err(failed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn any() -> SocketAddr {
        "127.0.0.1:0".parse().unwrap()
    }

    #[tokio::test]
    async fn another_port_is_taken_where_streams_cannot_have_the_first() {
        let mut taken = Vec::new();
        let bound = together::<(), _>(any(), None, &tokio::runtime::Handle::current(), |addresses| {
            taken.push(addresses[0]);
            let error = || (addresses[0], io::ErrorKind::AddrInUse.into());
            if taken.len() < 3 { Err(error()) } else { Ok(addresses[0]) }
        });
        let (udp, tcp) = bound.unwrap();
        assert_eq!((udp.local_addresses(), taken.len()), (vec![tcp], 3));
    }

    #[tokio::test]
    async fn a_port_that_was_asked_for_is_tried_once() {
        let free = UdpSockets::<()>::bind(any(), None).unwrap().local_addresses()[0];
        let mut tries = 0;
        let bound = together::<(), ()>(free, None, &tokio::runtime::Handle::current(), |addresses| {
            tries += 1;
            Err((addresses[0], io::ErrorKind::AddrInUse.into()))
        });
        assert_eq!((bound.err().map(|(address, _)| address), tries), (Some(free), 1));
    }
}
