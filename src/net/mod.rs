//! The sockets of SIP, RTP and DNS: the only room that has them. It knows no tenants and no
//! calls, only addresses, messages and media sessions.

pub mod batch;
pub mod defence;
pub mod dns;
mod media_ports;
#[cfg(test)]
#[path = "../../tests/support/name_server.rs"]
mod name_server;
pub mod rtp;
pub mod signalling;
pub mod stream;
pub mod tcp;
pub mod tls;
pub mod udp;

use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};

/// The address of ours that packets to `remote` leave from: what to put into messages when
/// the socket is bound to an unspecified address. Nothing is sent.
///
/// # Errors
/// When there is no route.
pub fn source_address_toward(remote: SocketAddr) -> io::Result<IpAddr> {
    let any: IpAddr = match remote {
        SocketAddr::V4(_) => std::net::Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => std::net::Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((any, 0))?;
    socket.connect(remote)?;
    Ok(socket.local_addr()?.ip())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_reached_from_loopback() {
        let address = source_address_toward("127.0.0.1:5060".parse().unwrap()).unwrap();
        assert!(address.is_loopback());
    }
}
