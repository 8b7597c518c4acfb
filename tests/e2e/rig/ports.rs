//! Ports that nobody else on this machine uses for the length of a test.

use std::net::{Ipv4Addr, TcpListener, UdpSocket};

/// RTP ports below the range from which the kernel serves others.
const FIRST: u16 = 16_384;
const SLICES: u16 = 32;
const PORTS: u16 = 512;

/// A range of ports for one service's RTP. RTP is UDP, so the TCP port of the same number is
/// free to show other processes that the range is taken.
pub struct RtpPorts {
    first: u16,
    _lock: TcpListener,
}

impl RtpPorts {
    pub fn lease() -> Self {
        // Where the search begins, so that tests that start together don't all knock at the
        // same doors.
        let begin = u16::try_from(std::process::id() % u32::from(SLICES)).unwrap();
        (0..SLICES)
            .map(|step| FIRST + (begin + step) % SLICES * PORTS)
            .find_map(|first| {
                let lock = TcpListener::bind((Ipv4Addr::LOCALHOST, first)).ok()?;
                Some(Self { first, _lock: lock })
            })
            .expect("32 services at a time are as many as there are port ranges for")
    }

    /// For `--rtp-ports`.
    pub fn range(&self) -> String {
        format!("{}-{}", self.first, self.first + PORTS - 1)
    }
}

/// A UDP port that was free a moment ago, for a program that can't tell which one it got.
pub fn free_port() -> u16 {
    UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port()
}

/// An even port with three free ones after it, as SIPp binds them for audio and video.
pub fn free_media_ports() -> u16 {
    (0..1_000)
        .find_map(|_| {
            let first = free_port() & !1;
            let bind = |step| UdpSocket::bind((Ipv4Addr::LOCALHOST, first.checked_add(step)?)).ok();
            (0..4).map(bind).collect::<Option<Vec<_>>>().map(|_| first)
        })
        .expect("four free UDP ports in a row")
}
