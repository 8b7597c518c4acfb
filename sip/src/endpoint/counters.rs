//! What is counted.

use crate::message::{Method, StatusCode};

/// The methods that are told apart, as they stand in a metric; the last one stands for all others.
pub const METHODS: [&str; 15] = [
    "INVITE",
    "ACK",
    "BYE",
    "CANCEL",
    "OPTIONS",
    "REGISTER",
    "PRACK",
    "UPDATE",
    "INFO",
    "REFER",
    "NOTIFY",
    "SUBSCRIBE",
    "MESSAGE",
    "PUBLISH",
    "other",
];

/// The status classes, as they stand in a metric.
pub const CLASSES: [&str; 6] = ["1xx", "2xx", "3xx", "4xx", "5xx", "6xx"];

/// Messages in one direction, repetitions of a response not counted again.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Traffic {
    requests: [u64; METHODS.len()],
    responses: [[u64; CLASSES.len()]; METHODS.len()],
}

impl Traffic {
    /// How many requests of each of [`METHODS`].
    pub fn requests(&self) -> impl Iterator<Item = (&'static str, u64)> {
        METHODS.into_iter().zip(self.requests)
    }

    /// How many responses of each of [`CLASSES`], to requests of each of [`METHODS`].
    pub fn responses(&self) -> impl Iterator<Item = (&'static str, &'static str, u64)> {
        METHODS
            .into_iter()
            .zip(self.responses)
            .flat_map(|(method, classes)| CLASSES.into_iter().zip(classes).map(move |(c, n)| (method, c, n)))
    }

    pub(crate) fn count_request(&mut self, method: &Method) {
        if let Some(count) = self.requests.get_mut(place(method)) {
            *count += 1;
        }
    }

    pub(crate) fn count_response(&mut self, method: &Method, status: StatusCode) {
        let class = usize::from(status.as_u16() / 100).saturating_sub(1);
        if let Some(count) = self.responses.get_mut(place(method)).and_then(|c| c.get_mut(class)) {
            *count += 1;
        }
    }
}

/// Where a method stands in [`METHODS`].
fn place(method: &Method) -> usize {
    match method {
        Method::Invite => 0,
        Method::Ack => 1,
        Method::Bye => 2,
        Method::Cancel => 3,
        Method::Options => 4,
        Method::Register => 5,
        Method::Prack => 6,
        Method::Update => 7,
        Method::Info => 8,
        Method::Refer => 9,
        Method::Notify => 10,
        Method::Subscribe => 11,
        Method::Message => 12,
        Method::Publish => 13,
        Method::Other(_) => 14,
    }
}

/// What has been counted since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Messages that came, good or bad.
    pub received: u64,
    /// Messages sent, repetitions included.
    pub sent: u64,
    /// Messages of those nobody knows that belonged to nothing under way: dropped.
    pub unlisted: u64,
    /// Messages for a call that came from elsewhere than its peer: dropped.
    pub wrong_source: u64,
    /// Messages that couldn't be read and got no answer.
    pub unreadable: u64,
    /// Requests that broke a rule and were answered 4xx or 505 for it.
    pub malformed: u64,
    /// Repeated requests absorbed or answered again.
    pub retransmissions: u64,
    /// Responses that belong to no transaction of ours.
    pub stray_responses: u64,
    /// Requests for dialogs that don't exist.
    pub stray_requests: u64,
    /// Requests turned away because of load or shutdown.
    pub shed: u64,
    /// Requests refused for another reason than their form: a method, an extension or a body that
    /// isn't served, a loop, a moment at which they can't be taken.
    pub refused: u64,
    /// Requests answered with a challenge.
    pub challenged: u64,
    /// Credentials that were wrong.
    pub authentication_failed: u64,
    /// Credentials not looked at, because their source had guessed too often.
    pub braked: u64,
    /// INVITEs that were passed to the owner.
    pub invites: u64,
    /// Calls ended because their session ran out.
    pub sessions_expired: u64,
    /// Requests by method and responses by class that came and could be read.
    pub traffic_in: Traffic,
    /// Requests by method and responses by class that went out.
    pub traffic_out: Traffic,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_method_is_counted_under_its_own_name() {
        for (index, name) in METHODS.into_iter().enumerate() {
            assert_eq!(place(&Method::from_bytes(name.as_bytes()).unwrap()), index, "{name}");
        }
    }

    #[test]
    fn responses_are_counted_by_method_and_class() {
        let mut traffic = Traffic::default();
        for status in [StatusCode::TRYING, StatusCode::OK, StatusCode::OK, StatusCode::DECLINE] {
            traffic.count_response(&Method::Invite, status);
        }
        let counted: Vec<_> = traffic.responses().filter(|(.., count)| *count > 0).collect();
        assert_eq!(counted, [("INVITE", "1xx", 1), ("INVITE", "2xx", 2), ("INVITE", "6xx", 1)]);
    }
}
