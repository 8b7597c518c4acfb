//! Finding the servers of a domain (RFC 3263), as a machine that asks questions and is told the
//! answers. It knows no name server: whoever asks keeps the time.
//!
//! ```text
//! host ─ address? ─────────────────────────────────────────────┐
//!      ├ port? ────────────────────────────────┐               │
//!      ├ transport? ────────────── SRV ────────┤               │
//!      └ NAPTR ∥ SRV of each transport ─ SRV ──┴─ A ∥ AAAA ────┴─ hops
//! ```

pub mod cache;
mod choice;
mod naptr;

use std::net::IpAddr;

use thiserror::Error;

use self::choice::in_order;
use crate::endpoint::flow::{Hop, Transport};
use crate::random::Tokens;

/// Servers looked at, and hops given: a list to fail over on, whatever a name server sends.
pub const MAX_TARGETS: usize = 8;
/// See [`MAX_TARGETS`].
pub const MAX_HOPS: usize = 16;
/// NAPTR records looked at, each of which may cost a question.
const MAX_SERVICES: usize = 6;
/// Of one host that isn't the only one.
const FEWEST_ADDRESSES: usize = 2;

/// The longest name there is (RFC 1035 §2.3.4), without the dot at its end.
const LONGEST_NAME: usize = 253;

/// What is to be found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    /// A name or address; an IPv6 address with or without brackets.
    pub host: String,
    /// The port, if one is named. It turns NAPTR and SRV off (§4.1, §4.2).
    pub port: Option<u16>,
    /// The transport, if one is named. It turns NAPTR off.
    pub transport: Option<Transport>,
    /// Whether the URI is a `sips:` one: nothing but TLS will do.
    pub sips: bool,
    /// The addresses that can be reached.
    pub families: Families,
}

/// Which families of addresses can be reached, the better one first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Families {
    /// IPv4 alone.
    V4,
    /// IPv6 alone.
    V6,
    /// Both.
    #[default]
    V6First,
    /// Both.
    V4First,
}

/// A question to a name server. Names of services are absolute, with a dot at the end.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Question {
    /// The NAPTR records of a name.
    Naptr(String),
    /// The SRV records of a name.
    Srv(String),
    /// The A and AAAA records of a name, behind whatever aliases it has.
    Addresses(String),
}

/// What a name server told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// NAPTR records.
    Naptr(Vec<Naptr>),
    /// SRV records.
    Srv(Vec<Srv>),
    /// Addresses.
    Addresses(Vec<IpAddr>),
    /// There is no such name, or it has no such record.
    Nothing,
    /// Nobody could tell.
    Failed,
}

/// A NAPTR record (RFC 3403 §4.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Naptr {
    /// The lowest that is of use counts, and no other.
    pub order: u16,
    /// The lower the better, within one order.
    pub preference: u16,
    /// `s` where an SRV name follows.
    pub flags: String,
    /// Such as `SIP+D2U`.
    pub services: String,
    /// Whether it has a regular expression, which has no meaning here (RFC 3263 §4.1).
    pub rewrites: bool,
    /// The name of the SRV records.
    pub replacement: String,
}

/// An SRV record (RFC 2782).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Srv {
    /// The lower the better.
    pub priority: u16,
    /// The share of the requests, within one priority.
    pub weight: u16,
    /// The port.
    pub port: u16,
    /// The host; `.` says that the service is not to be had.
    pub target: String,
}

/// Why there is no hop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum LocateError {
    /// There is no such name, or none of its servers has an address that can be reached.
    #[error("there is no such name, or it has no address of a family that `sip` listens on")]
    NoAddress,
    /// The name servers can't be asked.
    #[error("the name servers don't answer")]
    NoAnswer,
    /// The domain says that it has no such service (RFC 2782, target `.`).
    #[error("the domain offers no SIP over that transport")]
    NotOffered,
    /// A `sips:` URI that names UDP.
    #[error("sips: can't be had over UDP")]
    Insecure,
    /// It isn't a name.
    #[error("it is no host name")]
    NoName,
}

/// What to do next.
#[derive(Debug)]
pub enum Step {
    /// Ask these questions, all at once.
    Ask(Pending),
    /// It is over: at least one hop, best first.
    Done(Result<Vec<Hop>, LocateError>),
}

/// A location under way.
#[derive(Debug)]
pub struct Pending {
    query: Query,
    tokens: Tokens,
    stage: Stage,
    questions: Vec<Question>,
}

#[derive(Debug)]
enum Stage {
    /// Which services are there? The transports whose SRV names are asked for at the same time
    /// as the NAPTR records, in the order of the questions.
    Services(Vec<Transport>),
    /// Where are they? The services found by NAPTR, with the answers that are known already.
    Servers(Vec<(Transport, String, Option<Answer>)>),
    /// What are the addresses of these?
    Addresses(Vec<Server>),
}

/// One server of the domain.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Server {
    transport: Transport,
    host: String,
    port: u16,
}

/// Begins. The seed decides among servers of one priority; the same one decides the same way, so
/// that what belongs together goes to one server.
#[must_use]
pub fn locate(query: Query, seed: [u8; 32]) -> Step {
    if query.sips && query.transport == Some(Transport::Udp) {
        return Step::Done(Err(LocateError::Insecure));
    }
    // `sips:` with `transport=tcp` means TLS on TCP (RFC 3261 §26.2.2).
    let named = query.transport.map(|named| if query.sips { Transport::Tls } else { named });
    let standard = if query.sips { Transport::Tls } else { Transport::Udp };
    if let Some(address) = literal(&query.host) {
        let transport = named.unwrap_or(standard);
        let port = query.port.unwrap_or(standard_port(transport));
        return Step::Done(Ok(vec![Hop::new(transport, (address, port).into())]));
    }
    let Some(domain) = domain(&query.host) else { return Step::Done(Err(LocateError::NoName)) };
    let tokens = Tokens::new(seed);
    if let Some(port) = query.port {
        let transport = named.unwrap_or(standard);
        let server = Server { transport, host: query.host.clone(), port };
        return Pending::addresses(query, tokens, vec![server]);
    }
    let (transports, ask_naptr) = match named {
        Some(named) => (vec![named], false),
        None if query.sips => (vec![Transport::Tls], true),
        // Without NAPTR a `sip:` URI leads to the services called `_sip` only (§4.1).
        None => (vec![Transport::Udp, Transport::Tcp], true),
    };
    // All at once: name servers exist that leave questions for NAPTR unanswered.
    let mut questions: Vec<Question> =
        transports.iter().map(|transport| Question::Srv(service_name(*transport, domain))).collect();
    if ask_naptr {
        questions.push(Question::Naptr(format!("{domain}.")));
    }
    Step::Ask(Pending { query, tokens, stage: Stage::Services(transports), questions })
}

impl Pending {
    /// What is to be asked.
    #[must_use]
    pub fn questions(&self) -> &[Question] {
        &self.questions
    }

    /// Goes on with the answers, in the order of the questions; one that is missing counts as
    /// [`Answer::Failed`].
    #[must_use]
    pub fn answered(mut self, answers: Vec<Answer>) -> Step {
        let mut answers = answers.into_iter().chain(std::iter::repeat(Answer::Failed));
        match std::mem::replace(&mut self.stage, Stage::Services(Vec::new())) {
            Stage::Services(transports) => {
                let known: Vec<(Transport, String, Answer)> = transports
                    .into_iter()
                    .zip(self.questions.iter())
                    .zip(answers.by_ref())
                    .map(|((transport, question), answer)| (transport, question.name().to_owned(), answer))
                    .collect();
                match answers.next() {
                    Some(Answer::Naptr(records)) => self.services(known, &records),
                    _ => self.servers(known),
                }
            }
            Stage::Servers(services) => {
                let known = services
                    .into_iter()
                    .map(|(transport, name, known)| {
                        let answer = known.or_else(|| answers.next()).unwrap_or(Answer::Failed);
                        (transport, name, answer)
                    })
                    .collect();
                self.servers(known)
            }
            Stage::Addresses(servers) => Step::Done(self.hops(&servers, answers)),
        }
    }

    /// Goes by the NAPTR records, if any is of use; else by what the SRV questions gave.
    fn services(mut self, known: Vec<(Transport, String, Answer)>, records: &[Naptr]) -> Step {
        let mut chosen = naptr::services(records, self.query.sips);
        chosen.truncate(MAX_SERVICES);
        if chosen.is_empty() {
            return self.servers(known);
        }
        let services: Vec<(Transport, String, Option<Answer>)> = chosen
            .into_iter()
            .map(|(transport, name)| {
                let answer = known.iter().find(|(_, asked, _)| *asked == name).map(|k| k.2.clone());
                (transport, name, answer)
            })
            .collect();
        self.questions = services
            .iter()
            .filter(|(_, _, answer)| answer.is_none())
            .map(|(_, name, _)| Question::Srv(name.clone()))
            .collect();
        self.stage = Stage::Servers(services);
        if self.questions.is_empty() { self.answered(Vec::new()) } else { Step::Ask(self) }
    }

    /// From SRV records to the servers whose addresses are wanted; without any, the host of the
    /// URI is the server (§4.2).
    fn servers(mut self, services: Vec<(Transport, String, Answer)>) -> Step {
        let (mut servers, mut silent) = (Vec::new(), None);
        for (transport, _, answer) in services {
            let Answer::Srv(records) = answer else {
                silent = silent.or(Some(transport));
                continue;
            };
            let offered: Vec<Srv> =
                records.into_iter().filter(|record| record.target != "." && record.port != 0).collect();
            for record in in_order(offered, &mut self.tokens) {
                servers.push(Server { transport, host: record.target, port: record.port });
            }
        }
        servers.truncate(MAX_TARGETS);
        if servers.is_empty() {
            // Records that name no server say no; no records say nothing.
            let Some(transport) = silent else { return Step::Done(Err(LocateError::NotOffered)) };
            let host = self.query.host.clone();
            servers.push(Server { transport, host, port: standard_port(transport) });
        }
        Self::addresses(self.query, self.tokens, servers)
    }

    fn addresses(query: Query, tokens: Tokens, servers: Vec<Server>) -> Step {
        let mut questions: Vec<Question> = Vec::new();
        for server in servers.iter().filter(|server| literal(&server.host).is_none()) {
            let question = Question::Addresses(server.host.clone());
            if !questions.contains(&question) {
                questions.push(question);
            }
        }
        let pending = Self { query, tokens, stage: Stage::Addresses(servers), questions };
        // There are SRV records whose targets are addresses.
        if pending.questions.is_empty() { pending.answered(Vec::new()) } else { Step::Ask(pending) }
    }

    fn hops(
        &self,
        servers: &[Server],
        answers: impl Iterator<Item = Answer>,
    ) -> Result<Vec<Hop>, LocateError> {
        let known: Vec<(&str, Answer)> = self.questions.iter().map(Question::name).zip(answers).collect();
        let share = (MAX_HOPS / servers.len().max(1)).max(FEWEST_ADDRESSES);
        let (mut hops, mut failed) = (Vec::<Hop>::new(), false);
        for server in servers {
            let answer = known.iter().find(|(name, _)| *name == server.host).map(|(_, answer)| answer);
            let addresses = match (literal(&server.host), answer) {
                (Some(address), _) => vec![address],
                (None, Some(Answer::Addresses(addresses))) => addresses.clone(),
                (None, Some(Answer::Failed)) => {
                    failed = true;
                    continue;
                }
                (None, _) => continue,
            };
            for address in self.query.families.order(&addresses).into_iter().take(share) {
                let hop = Hop::new(server.transport, (address, server.port).into());
                if !hops.contains(&hop) {
                    hops.push(hop);
                }
            }
        }
        hops.truncate(MAX_HOPS);
        match (hops.is_empty(), failed) {
            (false, _) => Ok(hops),
            (true, true) => Err(LocateError::NoAnswer),
            (true, false) => Err(LocateError::NoAddress),
        }
    }
}

impl Question {
    /// The name that is asked about.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Naptr(name) | Self::Srv(name) | Self::Addresses(name) => name,
        }
    }
}

impl Families {
    /// The addresses that can be reached, the families in turn, so that the second try of a
    /// caller whose better family is broken is the other one (RFC 8305 §4).
    fn order(self, addresses: &[IpAddr]) -> Vec<IpAddr> {
        let of = |v4: bool| addresses.iter().copied().filter(move |address| address.is_ipv4() == v4);
        let (first, second): (Vec<IpAddr>, Vec<IpAddr>) = match self {
            Self::V4 => (of(true).collect(), Vec::new()),
            Self::V6 => (of(false).collect(), Vec::new()),
            Self::V4First => (of(true).collect(), of(false).collect()),
            Self::V6First => (of(false).collect(), of(true).collect()),
        };
        let longer = first.len().max(second.len());
        let (mut first, mut second) = (first.into_iter(), second.into_iter());
        (0..longer).flat_map(|_| first.next().into_iter().chain(second.next())).collect()
    }
}

/// The port where none is named (RFC 3261 §19.1.2).
fn standard_port(transport: Transport) -> u16 {
    match transport {
        Transport::Udp | Transport::Tcp => 5060,
        Transport::Tls => 5061,
    }
}

fn service_name(transport: Transport, domain: &str) -> String {
    let service = match transport {
        Transport::Udp => "_sip._udp",
        Transport::Tcp => "_sip._tcp",
        Transport::Tls => "_sips._tcp",
    };
    format!("{service}.{domain}.")
}

fn literal(host: &str) -> Option<IpAddr> {
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    bare.strip_suffix('.').unwrap_or(bare).parse().ok()
}

/// The name without the dot at its end, if it can be asked about.
fn domain(host: &str) -> Option<&str> {
    let name = host.strip_suffix('.').unwrap_or(host);
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    };
    (name.len() <= LONGEST_NAME && name.split('.').all(label)).then_some(name)
}

#[cfg(test)]
mod tests;
