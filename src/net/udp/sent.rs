//! Requests sent a moment ago, to know which of them the network gives back.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;

use bytes::Bytes;

use crate::net::batch::errors::Undelivered;

/// How many are remembered: at 2,000 requests a second half a second's, longer than a report is
/// on its way.
const REMEMBERED: usize = 1_024;
/// What is unguessable in a request is in its branch (RFC 3261 §8.1.1.7): the cookie of seven
/// characters, and so many behind it.
const BRANCH: &[u8] = b"branch=z9hG4bK";
const UNGUESSABLE: usize = 16;

pub(super) struct RecentlySent<T> {
    requests: VecDeque<(SocketAddr, Bytes, T)>,
}

impl<T> Default for RecentlySent<T> {
    fn default() -> Self {
        Self { requests: VecDeque::new() }
    }
}

impl<T> RecentlySent<T> {
    pub(super) fn remember(&mut self, destination: SocketAddr, bytes: Bytes, ticket: T) {
        if self.requests.len() >= REMEMBERED {
            self.requests.pop_front();
        }
        self.requests.push_back((destination, bytes, ticket));
    }

    /// The request that a report is about, which is then forgotten. Anybody can send such a
    /// report, under any name: only one that quotes what nobody could guess is believed. Routers
    /// that quote eight bytes are not, and time tells instead.
    pub(super) fn find(&mut self, report: &Undelivered) -> Option<T> {
        let lost = matches!(
            report.error.kind(),
            io::ErrorKind::ConnectionRefused
                | io::ErrorKind::HostUnreachable
                | io::ErrorKind::NetworkUnreachable
        );
        // What was too long for the path goes out in pieces the next time.
        if !lost || !quotes_branch(&report.quoted) {
            return None;
        }
        let at = self.requests.iter().position(|(destination, bytes, _)| {
            *destination == report.destination && bytes.starts_with(&report.quoted)
        })?;
        self.requests.remove(at).map(|(_, _, ticket)| ticket)
    }
}

fn quotes_branch(quoted: &[u8]) -> bool {
    let begins = quoted.windows(BRANCH.len()).position(|window| window == BRANCH);
    begins.is_some_and(|at| quoted.len() >= at + BRANCH.len() + UNGUESSABLE)
}

#[cfg(test)]
mod tests {
    use super::*;

    const REQUEST: &str =
        "OPTIONS sip:a SIP/2.0\r\nVia: SIP/2.0/UDP b;branch=z9hG4bK0123456789abcdef\r\n\r\n";

    fn report(quoted: &str, kind: io::ErrorKind) -> Undelivered {
        let destination = "192.0.2.1:5060".parse().unwrap();
        Undelivered { destination, quoted: quoted.into(), error: kind.into() }
    }

    fn sent() -> RecentlySent<u32> {
        let mut sent = RecentlySent::default();
        sent.remember("192.0.2.1:5060".parse().unwrap(), REQUEST.into(), 1);
        sent
    }

    #[test]
    fn a_report_that_quotes_the_branch_is_believed_once() {
        let (mut sent, whole) = (sent(), report(REQUEST, io::ErrorKind::HostUnreachable));
        assert_eq!(sent.find(&whole), Some(1));
        assert_eq!(sent.find(&whole), None);
    }

    #[test]
    fn forged_reports_and_those_about_the_path_end_nothing() {
        let guessed = REQUEST.replace("cdef", "cdee");
        for wrong in [
            report(&guessed, io::ErrorKind::ConnectionRefused),
            report("OPTIONS sip:a SIP/2.0\r\n", io::ErrorKind::ConnectionRefused),
            report("", io::ErrorKind::ConnectionRefused),
            report(REQUEST, io::ErrorKind::InvalidInput),
            Undelivered {
                destination: "192.0.2.2:5060".parse().unwrap(),
                ..report(REQUEST, io::ErrorKind::ConnectionRefused)
            },
        ] {
            assert_eq!(sent().find(&wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn no_more_than_the_latest_are_remembered() {
        let mut sent = sent();
        for ticket in 0..u32::try_from(REMEMBERED).unwrap() {
            sent.remember("192.0.2.9:5060".parse().unwrap(), REQUEST.into(), ticket);
        }
        assert_eq!(sent.requests.len(), REMEMBERED);
        assert_eq!(sent.find(&report(REQUEST, io::ErrorKind::ConnectionRefused)), None);
    }
}
