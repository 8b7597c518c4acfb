//! SIP over TCP: messages on the bare stream.

use std::io;

use sip::endpoint::flow::Transport;
use tokio::net::TcpStream;

use super::stream::{Carrier, StreamTransport};

/// Listeners and connections of TCP.
pub type TcpTransport<T> = StreamTransport<Plain, T>;

/// Nothing between TCP and the messages.
#[derive(Debug, Clone, Copy)]
pub struct Plain;

impl Carrier for Plain {
    const TRANSPORT: Transport = Transport::Tcp;
    type Peer = ();
    type Stream = TcpStream;

    async fn accept(&self, socket: TcpStream) -> io::Result<TcpStream> {
        Ok(socket)
    }

    async fn connect(&self, socket: TcpStream, (): &()) -> io::Result<TcpStream> {
        Ok(socket)
    }

    fn accepted_as(&self) -> Option<()> {
        Some(())
    }

    fn instead((): &(), (): &()) {}
}
