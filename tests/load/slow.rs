//! Connections that say next to nothing, and what that means for others (figure 5).

use std::fmt;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use crate::probe::ask_over_tcp;
use crate::service::Service;

/// What was seen.
#[derive(Debug)]
pub struct Figures {
    pub connections: usize,
    /// Questions of another client that were answered.
    pub answered: usize,
    pub unanswered: usize,
    pub median: Duration,
    pub worst: Duration,
    /// Slow connections that the service had closed by the end, and when the last one was.
    pub closed: usize,
    pub closed_after: Option<Duration>,
}

/// Opens so many connections that send a byte a second, and asks over others for as long.
pub fn run(service: &Service, connections: usize, time: Duration) -> Figures {
    const BEGIN: &[u8] = b"OPTIONS sip:x SIP/2.0\r\nVia: SIP/2.0/TCP h;branch=z9hG4bKslow\r\nSubject: ";
    let mut slow: Vec<Option<TcpStream>> =
        (0..connections).map(|_| TcpStream::connect(service.sip).ok()).collect();
    for stream in slow.iter_mut().flatten() {
        stream.set_nonblocking(true).expect("a socket");
    }
    let begun = Instant::now();
    let (mut latencies, mut unanswered, mut closed_after) = (Vec::new(), 0, None);
    let mut said = 0;
    while begun.elapsed() < time {
        let second = usize::try_from(begun.elapsed().as_secs()).unwrap_or(usize::MAX);
        if second >= said {
            // A third of them never say anything at all.
            let byte = BEGIN.get(said).copied().unwrap_or(b'x');
            for (index, place) in slow.iter_mut().enumerate().filter(|(index, _)| index % 3 > 0) {
                let Some(stream) = place else { continue };
                if index % 3 > 0 && stream.write_all(&[byte]).is_err() {
                    *place = None;
                    closed_after = Some(begun.elapsed());
                }
            }
            said += 1;
        }
        for place in &mut slow {
            if place.as_mut().is_some_and(is_closed) {
                *place = None;
                closed_after = Some(begun.elapsed());
            }
        }
        match ask_over_tcp(service.sip, u64::try_from(latencies.len()).unwrap_or(0)) {
            Some(latency) => latencies.push(latency),
            None => unanswered += 1,
        }
        thread::sleep(Duration::from_millis(50));
    }
    latencies.sort_unstable();
    Figures {
        connections,
        answered: latencies.len(),
        unanswered,
        median: latencies.get(latencies.len() / 2).copied().unwrap_or_default(),
        worst: latencies.last().copied().unwrap_or_default(),
        closed: slow.iter().filter(|place| place.is_none()).count(),
        closed_after,
    }
}

fn is_closed(stream: &mut TcpStream) -> bool {
    match stream.read(&mut [0; 64]) {
        Ok(length) => length == 0,
        Err(error) => error.kind() != ErrorKind::WouldBlock,
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = |latency: Duration| latency.as_secs_f64() * 1_000.0;
        write!(
            f,
            "TCP: {} slow connections; another client: {} answered (p50 {:.1} ms, worst {:.1} ms), {} not; {} slow ones closed",
            self.connections,
            self.answered,
            ms(self.median),
            ms(self.worst),
            self.unanswered,
            self.closed,
        )?;
        match self.closed_after {
            Some(after) => write!(f, ", the last after {:.1} s", after.as_secs_f64()),
            None => Ok(()),
        }
    }
}
