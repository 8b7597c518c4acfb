//! The kernel's forms of addresses and ancillary data, read and written by safe code.
#![allow(clippy::cast_possible_truncation, reason = "address families are small constants")]

use std::mem;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::time::Duration;

use libc::c_int;

/// Bytes of `struct sockaddr_in6`, the longest address met here.
pub(super) const NAME_SIZE: usize = 28;
/// Room for the three control messages that may be asked for: a `timespec`, a `u32` and an
/// `in6_pktinfo`, each with its header.
pub(super) const CONTROL_SIZE: usize = 128;

/// Reads the kernel's `sockaddr_in` or `sockaddr_in6`. Port 0 can't be answered: `None`.
pub(super) fn decode_address(name: &[u8; NAME_SIZE]) -> Option<SocketAddr> {
    let family = u16::from_ne_bytes(field(name, 0)?);
    let port = u16::from_be_bytes(field(name, 2)?);
    if port == 0 {
        return None;
    }
    match c_int::from(family) {
        libc::AF_INET => {
            let octets: [u8; 4] = field(name, 4)?;
            Some(SocketAddr::new(IpAddr::V4(Ipv4Addr::from(octets)), port))
        }
        libc::AF_INET6 => {
            let octets: [u8; 16] = field(name, 8)?;
            let address = Ipv6Addr::from(octets);
            if let Some(mapped) = address.to_ipv4_mapped() {
                return Some(SocketAddr::new(IpAddr::V4(mapped), port));
            }
            let scope = u32::from_ne_bytes(field(name, 24)?);
            Some(SocketAddrV6::new(address, port, 0, scope).into())
        }
        _ => None,
    }
}

/// Writes the kernel's form of an address and gives its length.
pub(super) fn encode_address(address: SocketAddr, name: &mut [u8; NAME_SIZE]) -> usize {
    let mut put = |at: usize, bytes: &[u8]| {
        if let Some(target) = name.get_mut(at..at + bytes.len()) {
            target.copy_from_slice(bytes);
        }
    };
    put(2, &address.port().to_be_bytes());
    match address {
        SocketAddr::V4(v4) => {
            put(0, &(libc::AF_INET as u16).to_ne_bytes());
            put(4, &v4.ip().octets());
            mem::size_of::<libc::sockaddr_in>()
        }
        SocketAddr::V6(v6) => {
            put(0, &(libc::AF_INET6 as u16).to_ne_bytes());
            put(8, &v6.ip().octets());
            put(24, &v6.scope_id().to_ne_bytes());
            NAME_SIZE
        }
    }
}

/// What came beside a datagram; see [`super::Received`].
#[derive(Default)]
pub(super) struct Ancillary {
    pub(super) arrived: Option<Duration>,
    pub(super) local: Option<IpAddr>,
    pub(super) dropped: Option<u32>,
    pub(super) error: Option<(ErrorOrigin, i32)>,
}

/// Who found that a datagram can't be delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ErrorOrigin {
    /// This kernel, while it was being sent.
    Local,
    /// A router or the far end, by ICMP.
    Network,
}

impl Ancillary {
    /// Walks the control messages: `{len: size_t, level: int, type: int, data}`, each
    /// padded to the size of a pointer (cmsg(3)).
    pub(super) fn read(mut control: &[u8]) -> Self {
        const WORD: usize = mem::size_of::<usize>();
        const HEADER: usize = WORD + 8;
        let mut found = Self::default();
        while let Some(length) = field(control, 0).map(usize::from_ne_bytes) {
            let Some(data) = control.get(HEADER..length) else { break };
            let level = field(control, WORD).map(c_int::from_ne_bytes);
            let kind = field(control, WORD + 4).map(c_int::from_ne_bytes);
            match (level, kind) {
                (Some(libc::SOL_SOCKET), Some(libc::SO_TIMESTAMPNS)) => {
                    found.arrived = timespec(data);
                }
                (Some(libc::SOL_SOCKET), Some(libc::SO_RXQ_OVFL)) => {
                    found.dropped = field(data, 0).map(u32::from_ne_bytes);
                }
                // struct in_pktinfo: interface, the local address to answer from, destination.
                (Some(libc::IPPROTO_IP), Some(libc::IP_PKTINFO)) => {
                    found.local = field::<4>(data, 4).map(IpAddr::from);
                }
                // struct in6_pktinfo: destination, interface.
                (Some(libc::IPPROTO_IPV6), Some(libc::IPV6_PKTINFO)) => {
                    found.local = field::<16>(data, 0).map(IpAddr::from);
                }
                (Some(libc::IPPROTO_IP), Some(libc::IP_RECVERR))
                | (Some(libc::IPPROTO_IPV6), Some(libc::IPV6_RECVERR)) => found.error = extended_error(data),
                _ => {}
            }
            let Some(rest) = control.get(length.next_multiple_of(WORD)..) else { break };
            control = rest;
        }
        found
    }
}

/// The `struct sock_extended_err`: number, origin, and what isn't looked at.
fn extended_error(data: &[u8]) -> Option<(ErrorOrigin, i32)> {
    let number = i32::try_from(u32::from_ne_bytes(field(data, 0)?)).ok()?;
    let origin = match *data.get(4)? {
        libc::SO_EE_ORIGIN_ICMP | libc::SO_EE_ORIGIN_ICMP6 => ErrorOrigin::Network,
        _ => ErrorOrigin::Local,
    };
    Some((origin, number))
}

/// A `timespec` of two 64-bit fields; other layouts are not read.
fn timespec(data: &[u8]) -> Option<Duration> {
    if data.len() != 16 {
        return None;
    }
    let seconds = u64::try_from(i64::from_ne_bytes(field(data, 0)?)).ok()?;
    let nanos = u32::try_from(i64::from_ne_bytes(field(data, 8)?)).ok()?;
    Some(Duration::new(seconds, nanos.min(999_999_999)))
}

fn field<const L: usize>(bytes: &[u8], at: usize) -> Option<[u8; L]> {
    bytes.get(at..)?.first_chunk().copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_survive_the_way_through_the_kernels_form() {
        for text in ["192.0.2.7:5060", "[2001:db8::1]:65535", "[fe80::1%3]:9"] {
            let address: SocketAddr = text.parse().unwrap();
            let mut name = [0; NAME_SIZE];
            encode_address(address, &mut name);
            assert_eq!(decode_address(&name), Some(address));
        }
    }

    #[test]
    fn a_source_that_cannot_be_answered_is_no_address() {
        let mut name = [0; NAME_SIZE];
        encode_address("192.0.2.7:0".parse().unwrap(), &mut name);
        assert_eq!(decode_address(&name), None);
        assert_eq!(decode_address(&[0xff; NAME_SIZE]), None);
    }

    #[test]
    fn ancillary_data_of_any_form_is_read_without_harm() {
        for length in 0..CONTROL_SIZE {
            for byte in [0x00, 0x01, 0x10, 0x7f, 0xff] {
                Ancillary::read(&vec![byte; length]);
            }
        }
    }
}
