//! What the network says about datagrams that it could not deliver: the error queue of a socket
//! (`IP_RECVERR` in ip(7)), one `recvmsg(2)` a time.
#![allow(unsafe_code)]
#![allow(
    clippy::cast_possible_truncation,
    clippy::unnecessary_cast,
    reason = "small constants, in types that differ from one C library to the next"
)]

use std::io;
use std::mem;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, BorrowedFd};

use libc::{c_void, iovec, msghdr};

use super::set_flag;
use super::wire::{Ancillary, ErrorOrigin, NAME_SIZE, decode_address};

/// Room for what comes beside an error: the error itself with the address of who reported it, a
/// timestamp, and what else was asked for.
const CONTROL_SIZE: usize = 256;
/// As much of a datagram as an ICMP message over IPv6 quotes (RFC 4443 §2.4).
const QUOTED: usize = 1_232;

/// A datagram that didn't arrive.
#[derive(Debug)]
pub struct Undelivered {
    /// Where it was sent to.
    pub destination: SocketAddr,
    /// Its beginning, as far as it was quoted; empty when not at all.
    pub quoted: Vec<u8>,
    /// What is the matter: `ECONNREFUSED` when nobody listens there, `EHOSTUNREACH` and the like.
    pub error: io::Error,
}

/// Asks for [`receive`].
///
/// # Errors
/// When the kernel refuses the option.
pub fn enable(socket: BorrowedFd<'_>, ipv6: bool) -> io::Result<()> {
    if ipv6 {
        set_flag(socket, libc::IPPROTO_IPV6, libc::IPV6_RECVERR)
    } else {
        set_flag(socket, libc::IPPROTO_IP, libc::IP_RECVERR)
    }
}

/// Takes one report off the queue; `None` when it is about something that the caller of `send`
/// has been told already, or can't be understood.
///
/// # Errors
/// `WouldBlock` when nothing waits; otherwise what the kernel says about the socket.
pub fn receive(socket: BorrowedFd<'_>) -> io::Result<Option<Undelivered>> {
    let (mut name, mut control, mut quoted) = ([0_u8; NAME_SIZE], [0_u8; CONTROL_SIZE], [0_u8; QUOTED]);
    let mut vector = iovec { iov_base: quoted.as_mut_ptr().cast::<c_void>(), iov_len: quoted.len() };
    // SAFETY: `msghdr` is a C struct of integers and pointers; all zeroes is a value of it.
    let mut header: msghdr = unsafe { mem::zeroed() };
    header.msg_name = name.as_mut_ptr().cast::<c_void>();
    header.msg_namelen = NAME_SIZE as libc::socklen_t;
    header.msg_iov = &raw mut vector;
    header.msg_iovlen = 1;
    header.msg_control = control.as_mut_ptr().cast::<c_void>();
    header.msg_controllen = CONTROL_SIZE as _;
    // SAFETY: every pointer in `header` was set just above to a buffer of the length beside it,
    // borrowed mutably and alive until this returns.
    let result = unsafe {
        libc::recvmsg(socket.as_raw_fd(), &raw mut header, libc::MSG_ERRQUEUE | libc::MSG_DONTWAIT)
    };
    let length = usize::try_from(result).map_err(|_| io::Error::last_os_error())?;
    let control_length = (header.msg_controllen as usize).min(CONTROL_SIZE);
    let ancillary = Ancillary::read(control.get(..control_length).unwrap_or_default());
    let Some((ErrorOrigin::Network, number)) = ancillary.error else { return Ok(None) };
    let Some(destination) = decode_address(&name) else { return Ok(None) };
    let quoted = quoted.get(..length.min(QUOTED)).unwrap_or_default().to_vec();
    Ok(Some(Undelivered { destination, quoted, error: io::Error::from_raw_os_error(number) }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::batch::send;
    use bytes::Bytes;
    use std::net::UdpSocket;
    use std::os::fd::AsFd;

    #[test]
    fn a_datagram_that_nobody_listens_for_comes_back_with_its_beginning() {
        for address in ["127.0.0.1:0", "[::1]:0"] {
            let (socket, nobody) = (UdpSocket::bind(address).unwrap(), UdpSocket::bind(address).unwrap());
            let to = nobody.local_addr().unwrap();
            drop(nobody);
            enable(socket.as_fd(), to.is_ipv6()).unwrap();
            assert_eq!(receive(socket.as_fd()).unwrap_err().kind(), io::ErrorKind::WouldBlock);
            let message = Bytes::from(vec![b'x'; 2_000]);
            send(socket.as_fd(), [(to, &message)].into_iter()).unwrap();
            // On loopback the answer is there when the call returns.
            let report = receive(socket.as_fd()).unwrap().unwrap();
            assert_eq!(report.destination, to);
            assert_eq!(report.error.kind(), io::ErrorKind::ConnectionRefused);
            assert!(report.quoted.len() > 400 && message.starts_with(&report.quoted));
            assert_eq!(receive(socket.as_fd()).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        }
    }

    #[test]
    fn what_the_caller_was_told_at_once_is_no_report() {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        enable(socket.as_fd(), false).unwrap();
        let too_long = Bytes::from(vec![b'x'; 65_508]);
        assert!(send(socket.as_fd(), [("127.0.0.1:9".parse().unwrap(), &too_long)].into_iter()).is_err());
        while let Ok(report) = receive(socket.as_fd()) {
            assert!(report.is_none(), "{report:?}");
        }
    }
}
