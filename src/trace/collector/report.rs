//! Sending to the HEP collector.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;

use super::Counters;
use crate::config::{Hep, Host};
use crate::trace::Message;
use crate::trace::hep::{self, Captured, Packet};

/// The port of HEP where none is named.
const PORT: u16 = 9_060;
/// How often a name is looked up again.
const REFRESH: Duration = Duration::from_secs(300);
/// And after it couldn't be.
const RETRY: Duration = Duration::from_secs(10);

/// The way to the collector.
pub(super) struct Reporter {
    hep: Hep,
    counters: Arc<Counters>,
    socket: Option<(SocketAddr, UdpSocket)>,
    looking: Option<oneshot::Receiver<Option<SocketAddr>>>,
    again: Instant,
    /// Whether the last packet could be sent, for the log.
    works: bool,
}

impl Reporter {
    pub fn new(hep: Hep, counters: Arc<Counters>) -> Self {
        Self { hep, counters, socket: None, looking: None, again: Instant::now(), works: true }
    }

    /// Sends one message; never waits.
    pub fn report(&mut self, message: &Message, call_id: &[u8]) {
        if self.socket.is_none() {
            self.look_after();
        }
        let packet = Packet {
            captured: Captured::Sip,
            protocol: hep::protocol(&message.transport),
            source: message.source,
            destination: message.destination,
            at: message.at,
            correlation: call_id,
            payload: &message.bytes,
        };
        let sent = match &self.socket {
            Some((_, socket)) => socket.send(&hep::encode(&packet, &self.hep.agent)),
            None => Err(std::io::ErrorKind::NotConnected.into()),
        };
        let count = if sent.is_ok() { &self.counters.hep_sent } else { &self.counters.hep_failed };
        count.fetch_add(1, Ordering::Relaxed);
        match (&sent, self.works) {
            (Err(error), true) => {
                tracing::warn!(%error, collector = %self.hep.address, "the HEP collector can't be reached");
            }
            (Ok(_), false) => {
                tracing::info!(collector = %self.hep.address, "the HEP collector is reached again");
            }
            _ => {}
        }
        self.works = sent.is_ok();
    }

    /// Takes an address that was looked up, and looks it up again in time.
    pub fn look_after(&mut self) {
        if let Some(looking) = &mut self.looking {
            match looking.try_recv() {
                Ok(found) => {
                    self.looking = None;
                    self.again = Instant::now() + if found.is_some() { REFRESH } else { RETRY };
                    if let Some(address) = found {
                        self.connect(address);
                    }
                }
                Err(oneshot::error::TryRecvError::Empty) => {}
                Err(oneshot::error::TryRecvError::Closed) => self.looking = None,
            }
        }
        if self.looking.is_some() || self.again > Instant::now() {
            return;
        }
        let port = self.hep.address.port.unwrap_or(PORT);
        match &self.hep.address.host {
            Host::Address(address) => {
                self.connect(SocketAddr::new(*address, port));
                self.again = Instant::now() + if self.socket.is_some() { REFRESH } else { RETRY };
            }
            Host::Name(name) => {
                let (answer, looking) = oneshot::channel();
                let name = name.clone();
                self.looking = Some(looking);
                tokio::spawn(async move {
                    let found = match tokio::net::lookup_host((name.as_str(), port)).await {
                        Ok(mut found) => found.next(),
                        Err(error) => {
                            tracing::warn!(%error, name, "the HEP collector's name can't be looked up");
                            None
                        }
                    };
                    // The service may be stopping.
                    let _ = answer.send(found);
                });
            }
        }
    }

    fn connect(&mut self, address: SocketAddr) {
        if self.socket.as_ref().is_some_and(|(known, _)| *known == address) {
            return;
        }
        match connected(address) {
            Ok(socket) => self.socket = Some((address, socket)),
            Err(error) => tracing::warn!(%error, %address, "no socket for the HEP collector"),
        }
    }
}

fn connected(address: SocketAddr) -> std::io::Result<UdpSocket> {
    let any = match address.ip() {
        IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    };
    let socket = UdpSocket::bind((any, 0))?;
    // A buffer that is full costs a message, never time.
    socket.set_nonblocking(true)?;
    socket.connect(address)?;
    Ok(socket)
}
