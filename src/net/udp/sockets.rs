//! One socket for each family of addresses, as one.

use std::future::pending;
use std::io;
use std::net::SocketAddr;

use bytes::Bytes;

use super::{Datagram, UdpCounters, UdpTransport};

/// One or two bound sockets. What goes out leaves from the one of the destination's family.
pub struct UdpSockets<T> {
    first: UdpTransport<T>,
    second: Option<UdpTransport<T>>,
}

impl<T> UdpSockets<T> {
    /// Binds one address, and one of the other family if there is one. Must be called within a
    /// tokio runtime.
    ///
    /// # Errors
    /// What the kernel says, `AddrInUse` above all, with the address that it is about.
    pub fn bind(first: SocketAddr, second: Option<SocketAddr>) -> Result<Self, (SocketAddr, io::Error)> {
        let bind = |address| UdpTransport::bind(address).map_err(|error| (address, error));
        Ok(Self { first: bind(first)?, second: second.map(bind).transpose()? })
    }

    /// The addresses that are bound, with the real ports.
    #[must_use]
    pub fn local_addresses(&self) -> Vec<SocketAddr> {
        self.each().map(UdpTransport::local_addr).collect()
    }

    /// See [`UdpTransport::ready`].
    ///
    /// # Errors
    /// See [`UdpTransport::ready`].
    pub async fn ready(&self) -> io::Result<()> {
        let second = async {
            match &self.second {
                Some(second) => second.ready().await,
                None => pending().await,
            }
        };
        tokio::select! {
            ready = self.first.ready() => ready,
            ready = second => ready,
        }
    }

    /// See [`UdpTransport::receive`].
    ///
    /// # Errors
    /// See [`UdpTransport::receive`]; the other socket has been read all the same.
    pub fn receive(&mut self, mut deliver: impl FnMut(Datagram)) -> io::Result<usize> {
        let first = self.first.receive(&mut deliver);
        let second = self.second.as_mut().map_or(Ok(0), |second| second.receive(&mut deliver));
        Ok(first? + second?)
    }

    /// See [`UdpTransport::send`]. Gives the ticket back when there is no socket of that family.
    ///
    /// # Errors
    /// The ticket.
    pub fn send(
        &mut self,
        destination: SocketAddr,
        bytes: Bytes,
        ticket: Option<T>,
    ) -> Result<(), Option<T>> {
        let of_family = |socket: &UdpTransport<T>| socket.local_addr().is_ipv4() == destination.is_ipv4();
        let both = std::iter::once(&mut self.first).chain(self.second.as_mut());
        match both.into_iter().find(|socket| of_family(socket)) {
            Some(socket) => {
                socket.send(destination, bytes, ticket);
                Ok(())
            }
            None => Err(ticket),
        }
    }

    /// See [`UdpTransport::flush`].
    pub fn flush(&mut self, mut failed: impl FnMut(T, io::Error)) {
        self.first.flush(&mut failed);
        if let Some(second) = &mut self.second {
            second.flush(failed);
        }
    }

    /// What went through so far.
    #[must_use]
    pub fn counters(&self) -> UdpCounters {
        self.each().map(UdpTransport::counters).fold(UdpCounters::default(), |sum, one| UdpCounters {
            received: sum.received + one.received,
            dropped_by_kernel: sum.dropped_by_kernel + one.dropped_by_kernel,
            sent: sum.sent + one.sent,
            dropped_unsent: sum.dropped_unsent + one.dropped_unsent,
            failed: sum.failed + one.failed,
            unreachable: sum.unreachable + one.unreachable,
        })
    }

    fn each(&self) -> impl Iterator<Item = &UdpTransport<T>> {
        std::iter::once(&self.first).chain(&self.second)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[tokio::test]
    async fn both_families_are_served_and_each_answers_from_its_own() {
        let (v4, v6) = ("127.0.0.1:0".parse().unwrap(), "[::1]:0".parse().unwrap());
        let mut both = UdpSockets::bind(v4, Some(v6)).unwrap();
        for local in both.local_addresses() {
            let far = tokio::net::UdpSocket::bind((local.ip(), 0)).await.unwrap();
            far.send_to(b"ping", local).await.unwrap();
            let mut got = Vec::new();
            while got.is_empty() {
                tokio::time::timeout(Duration::from_secs(5), both.ready()).await.unwrap().unwrap();
                both.receive(|datagram| got.push(datagram)).unwrap();
            }
            assert_eq!((got[0].source, got[0].local), (far.local_addr().unwrap(), local));
            both.send(got[0].source, "pong".into(), Some(1)).unwrap();
            both.flush(|_: u32, error| panic!("{error}"));
            let (_, from) = far.recv_from(&mut [0; 4]).await.unwrap();
            assert_eq!(from, local);
        }
        assert_eq!((both.counters().received, both.counters().sent), (2, 2));
    }

    #[tokio::test]
    async fn what_has_no_socket_of_its_family_comes_back() {
        let mut v4 = UdpSockets::bind("127.0.0.1:0".parse().unwrap(), None).unwrap();
        assert_eq!(v4.send("[::1]:5060".parse().unwrap(), "x".into(), Some(7)), Err(Some(7)));
    }
}
