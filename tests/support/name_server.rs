//! A name server on loopback, over UDP and TCP, that answers from a list of records, and as badly
//! as a test wants.

#![allow(dead_code, reason = "each test program uses another part of it")]

use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, UdpSocket};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use hickory_resolver::proto::op::{Message, MessageType, ResponseCode};
use hickory_resolver::proto::rr::rdata::{A, AAAA, CNAME, NAPTR, SRV};
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};

/// What it does about a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// Nothing at all.
    Silent,
    /// Bytes that are no message.
    Garbage,
    /// SERVFAIL.
    Failing,
    /// Says over UDP that the answer is too long for it.
    Truncated,
}

#[derive(Default)]
struct Zone {
    records: Vec<(Name, u32, RData)>,
    manners: Vec<(Name, RecordType, Manner)>,
    /// For all questions.
    manner: Option<Manner>,
    asked: Vec<(String, RecordType, bool)>,
}

/// The server; it ends with the process.
#[derive(Clone)]
pub struct NameServer {
    address: SocketAddr,
    zone: Arc<Mutex<Zone>>,
}

impl NameServer {
    pub fn start() -> Self {
        let (udp, tcp) = loop {
            let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
            if let Ok(tcp) = TcpListener::bind(udp.local_addr().unwrap()) {
                break (udp, tcp);
            }
        };
        let server = Self { address: udp.local_addr().unwrap(), zone: Arc::default() };
        let (datagrams, streams) = (server.clone(), server.clone());
        thread::spawn(move || datagrams.serve_udp(&udp));
        thread::spawn(move || streams.serve_tcp(&tcp));
        server
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn host(&self, name: &str, address: &str) -> &Self {
        let data = match address.parse().unwrap() {
            IpAddr::V4(address) => RData::A(A(address)),
            IpAddr::V6(address) => RData::AAAA(AAAA(address)),
        };
        self.record(name, 60, data)
    }

    pub fn alias(&self, name: &str, target: &str) -> &Self {
        self.record(name, 60, RData::CNAME(CNAME(parsed(target))))
    }

    pub fn srv(&self, name: &str, priority: u16, weight: u16, port: u16, target: &str) -> &Self {
        self.record(name, 60, RData::SRV(SRV::new(priority, weight, port, parsed(target))))
    }

    pub fn naptr(&self, name: &str, order: u16, services: &str, replacement: &str) -> &Self {
        let (flags, services) = (Box::from(&b"s"[..]), services.as_bytes().into());
        let data = NAPTR::new(order, 10, flags, services, Box::default(), parsed(replacement));
        self.record(name, 60, RData::NAPTR(data))
    }

    pub fn record(&self, name: &str, ttl: u32, data: RData) -> &Self {
        self.zone.lock().unwrap().records.push((parsed(name), ttl, data));
        self
    }

    pub fn manner(&self, name: &str, kind: RecordType, manner: Manner) -> &Self {
        self.zone.lock().unwrap().manners.push((parsed(name), kind, manner));
        self
    }

    /// Answers all questions in this manner, until told otherwise.
    pub fn answer_all(&self, manner: Option<Manner>) -> &Self {
        self.zone.lock().unwrap().manner = manner;
        self
    }

    /// The questions so far, with whether they came over TCP.
    pub fn asked(&self) -> Vec<(String, RecordType, bool)> {
        self.zone.lock().unwrap().asked.clone()
    }

    fn serve_udp(&self, socket: &UdpSocket) {
        let mut packet = [0; 4096];
        while let Ok((length, source)) = socket.recv_from(&mut packet) {
            if let Some(reply) = self.reply(&packet[..length], false) {
                let _ = socket.send_to(&reply, source);
            }
        }
    }

    fn serve_tcp(&self, listener: &TcpListener) {
        while let Ok((mut stream, _)) = listener.accept() {
            let server = self.clone();
            thread::spawn(move || {
                stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
                let mut length = [0; 2];
                while stream.read_exact(&mut length).is_ok() {
                    let mut packet = vec![0; usize::from(u16::from_be_bytes(length))];
                    stream.read_exact(&mut packet).unwrap();
                    let Some(reply) = server.reply(&packet, true) else { continue };
                    let length = u16::try_from(reply.len()).unwrap().to_be_bytes();
                    stream.write_all(&[&length[..], &reply].concat()).unwrap();
                }
            });
        }
    }

    fn reply(&self, packet: &[u8], tcp: bool) -> Option<Vec<u8>> {
        let query = Message::from_vec(packet).ok()?;
        let asked = query.queries().first()?.clone();
        let (name, kind) = (asked.name().clone(), asked.query_type());
        let mut zone = self.zone.lock().unwrap();
        zone.asked.push((name.to_ascii(), kind, tcp));
        let particular = zone.manners.iter().find(|(n, k, _)| *n == name && *k == kind);
        let manner = zone.manner.or(particular.map(|(_, _, manner)| *manner));
        let mut reply = Message::new();
        reply.set_id(query.id()).set_message_type(MessageType::Response);
        reply.set_recursion_desired(true).set_recursion_available(true);
        reply.add_queries(query.queries().to_vec());
        match manner {
            Some(Manner::Silent) => return None,
            Some(Manner::Garbage) => return Some(packet.iter().rev().copied().take(11).collect()),
            Some(Manner::Failing) => {
                reply.set_response_code(ResponseCode::ServFail);
                return Some(reply.to_vec().unwrap());
            }
            Some(Manner::Truncated) if !tcp => {
                reply.set_truncated(true);
                return Some(reply.to_vec().unwrap());
            }
            Some(Manner::Truncated) | None => {}
        }
        let known = zone.records.iter().any(|(held, ..)| *held == name);
        for (ttl, owner, data) in zone.answers(&name, kind) {
            reply.add_answer(Record::from_rdata(owner, ttl, data));
        }
        if !known {
            reply.set_response_code(ResponseCode::NXDomain);
        }
        Some(reply.to_vec().unwrap())
    }
}

impl Zone {
    /// The records of the name, behind its aliases.
    fn answers(&self, name: &Name, kind: RecordType) -> Vec<(u32, Name, RData)> {
        let (mut name, mut answers) = (name.clone(), Vec::new());
        for _ in 0..10 {
            let mut next = None;
            for (owner, ttl, data) in self.records.iter().filter(|(owner, ..)| *owner == name) {
                if data.record_type() == kind {
                    answers.push((*ttl, owner.clone(), data.clone()));
                } else if let RData::CNAME(target) = data {
                    answers.push((*ttl, owner.clone(), data.clone()));
                    next = Some(target.0.clone());
                }
            }
            match next {
                Some(target) => name = target,
                None => break,
            }
        }
        answers
    }
}

fn parsed(name: &str) -> Name {
    let mut name = Name::from_ascii(name).unwrap();
    name.set_fqdn(true);
    name
}
