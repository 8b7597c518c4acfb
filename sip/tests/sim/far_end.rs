//! A caller that is no endpoint of ours: it offers anew, takes a REFER and reports on it, with
//! just enough of the transaction rules to live on a bad network.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::world::{Node, Outbox};

const T1: Duration = Duration::from_millis(500);
const T2: Duration = Duration::from_secs(4);

#[derive(Debug)]
struct Pending {
    branch: String,
    method: &'static str,
    cseq: u32,
    text: String,
    again_at: Option<Instant>,
    interval: Duration,
}

#[derive(Debug)]
pub struct FarEnd {
    address: SocketAddr,
    peer: SocketAddr,
    to_tag: String,
    cseq: u32,
    branches: u32,
    pending: Vec<Pending>,
    replies: HashMap<String, String>,
    acks: HashMap<u32, String>,
    /// Offers to make, one after the other.
    pub offers_left: u64,
    /// re-INVITEs that got a 2xx.
    pub offers_accepted: usize,
    next_offer: Option<Instant>,
    /// What is still to be reported of the REFER, last first.
    reports: Vec<&'static str>,
    event: &'static str,
    goodbye_at: Option<Instant>,
    up: bool,
    over: bool,
}

impl FarEnd {
    /// `transfer`: whether the call that a REFER asks for succeeds. `with_id`: whether its NOTIFYs
    /// name the REFER.
    pub fn new(address: &str, peer: SocketAddr, offers: u64, transfer: Option<bool>, with_id: bool) -> Self {
        let reports = match transfer {
            Some(true) => vec!["200 OK", "180 Ringing", "100 Trying"],
            Some(false) => vec!["486 Busy Here", "100 Trying"],
            None => Vec::new(),
        };
        Self {
            address: address.parse().unwrap(),
            peer,
            to_tag: String::new(),
            cseq: 0,
            branches: 0,
            pending: Vec::new(),
            replies: HashMap::new(),
            acks: HashMap::new(),
            offers_left: offers,
            offers_accepted: 0,
            next_offer: None,
            reports,
            event: if with_id { "refer;id=1" } else { "refer" },
            goodbye_at: None,
            up: false,
            over: false,
        }
    }

    pub fn call(&mut self, now: Instant) {
        self.request("INVITE", "", "application/sdp", "v=0\r\n", now);
    }

    /// Whether everything came to its end.
    pub fn is_done(&self) -> bool {
        self.over && self.pending.is_empty() && self.reports.is_empty()
    }

    fn write(&self, method: &str, cseq: u32, branch: &str, headers: &str, content: (&str, &str)) -> String {
        let tag = if self.to_tag.is_empty() { String::new() } else { format!(";tag={}", self.to_tag) };
        let (content_type, body) = content;
        let content_type =
            if body.is_empty() { String::new() } else { format!("Content-Type: {content_type}\r\n") };
        format!(
            "{method} sip:near@{} SIP/2.0\r\nVia: SIP/2.0/UDP {};branch={branch}\r\nMax-Forwards: 70\r\n\
             From: <sip:far@{}>;tag=far\r\nTo: <sip:near@{}>{tag}\r\nCall-ID: far-call\r\nCSeq: {cseq} {method}\r\n\
             Contact: <sip:far@{}>\r\nSubject: 0\r\n{headers}{content_type}Content-Length: {}\r\n\r\n{body}",
            self.peer,
            self.address,
            self.address,
            self.peer,
            self.address,
            body.len(),
        )
    }

    fn request(&mut self, method: &'static str, headers: &str, content_type: &str, body: &str, now: Instant) {
        self.cseq += 1;
        self.branches += 1;
        let branch = format!("z9hG4bKfar{}", self.branches);
        let text = self.write(method, self.cseq, &branch, headers, (content_type, body));
        // Sent for the first time by `fire`.
        let pending = Pending { branch, method, cseq: self.cseq, text, again_at: Some(now), interval: T1 };
        self.pending.push(pending);
    }

    fn take_response(&mut self, text: &str, now: Instant, out: &mut Outbox) {
        let status: u16 = text[8..11].parse().unwrap();
        let branch = header(text, "Via").split_once("branch=").unwrap().1;
        let branch = branch.split(';').next().unwrap();
        let (cseq, method) = header(text, "CSeq").split_once(' ').unwrap();
        let cseq: u32 = cseq.parse().unwrap();
        if method == "INVITE" && (200..300).contains(&status) {
            self.acknowledge(text, cseq, out);
        }
        let Some(at) = self.pending.iter().position(|p| p.branch == branch && p.method == method) else {
            return;
        };
        if status < 200 {
            if method == "INVITE" {
                self.pending[at].again_at = None;
            }
            return;
        }
        let done = self.pending.remove(at);
        if done.method == "INVITE" && status >= 300 {
            self.to_tag = header(text, "To").split_once(";tag=").unwrap().1.to_owned();
            let ack = self.write("ACK", done.cseq, &done.branch, "", ("", ""));
            out.push((self.peer, Bytes::from(ack)));
        }
        self.go_on(&done, status, now);
    }

    fn go_on(&mut self, done: &Pending, status: u16, now: Instant) {
        match (done.method, done.cseq, status) {
            ("INVITE", 1, 200) => {
                self.up = true;
                self.goodbye_at = Some(now + Duration::from_secs(120));
                self.next_offer = Some(now + Duration::from_millis(1));
            }
            ("INVITE" | "UPDATE", _, 200) => {
                self.offers_accepted += usize::from(done.method == "INVITE");
                self.offers_left -= 1;
                self.next_offer = Some(now + Duration::from_secs(2));
            }
            // It still waits for our last ACK.
            ("INVITE" | "UPDATE", _, 500) => self.next_offer = Some(now + Duration::from_secs(3)),
            ("NOTIFY", _, 200) => self.report(now),
            ("BYE", _, 200) => self.over = true,
            other => panic!("{other:?}"),
        }
    }

    fn acknowledge(&mut self, text: &str, cseq: u32, out: &mut Outbox) {
        self.to_tag = header(text, "To").split_once(";tag=").unwrap().1.to_owned();
        let ack = self.acks.get(&cseq).cloned().unwrap_or_else(|| {
            self.branches += 1;
            self.write("ACK", cseq, &format!("z9hG4bKfar{}", self.branches), "", ("", ""))
        });
        self.acks.insert(cseq, ack.clone());
        out.push((self.peer, Bytes::from(ack)));
    }

    fn take_request(&mut self, text: &str, now: Instant, out: &mut Outbox) {
        let method = text.split(' ').next().unwrap();
        let key = format!("{method} {}", header(text, "Via"));
        if let Some(reply) = self.replies.get(&key) {
            out.push((self.peer, Bytes::from(reply.clone())));
            return;
        }
        let status = match method {
            "REFER" => "202 Accepted",
            other => panic!("{other}"),
        };
        let reply = format!(
            "SIP/2.0 {status}\r\nVia: {}\r\nFrom: {}\r\nTo: {}\r\nCall-ID: {}\r\nCSeq: {}\r\nContent-Length: 0\r\n\r\n",
            header(text, "Via"),
            header(text, "From"),
            header(text, "To"),
            header(text, "Call-ID"),
            header(text, "CSeq"),
        );
        self.replies.insert(key, reply.clone());
        out.push((self.peer, Bytes::from(reply)));
        self.report(now);
    }

    /// The next NOTIFY.
    fn report(&mut self, now: Instant) {
        let Some(line) = self.reports.pop() else { return };
        let state =
            if self.reports.is_empty() { "terminated;reason=noresource" } else { "active;expires=60" };
        let headers = format!("Event: {}\r\nSubscription-State: {state}\r\n", self.event);
        self.request("NOTIFY", &headers, "message/sipfrag", &format!("SIP/2.0 {line}\r\n"), now);
    }
}

fn header<'a>(text: &'a str, name: &str) -> &'a str {
    let line = text.lines().find(|line| line.starts_with(&format!("{name}: "))).unwrap();
    &line[name.len() + 2..]
}

impl Node for FarEnd {
    fn address(&self) -> SocketAddr {
        self.address
    }

    fn receive(&mut self, _: SocketAddr, bytes: Bytes, now: Instant, out: &mut Outbox) {
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        if text.starts_with("SIP/2.0 ") {
            self.take_response(&text, now, out);
        } else {
            self.take_request(&text, now, out);
        }
    }

    fn next_at(&self) -> Option<Instant> {
        let again = self.pending.iter().filter_map(|pending| pending.again_at).min();
        let offer = self.next_offer.filter(|_| self.offers_left > 0);
        [again, offer, self.goodbye_at].into_iter().flatten().min()
    }

    fn fire(&mut self, now: Instant, out: &mut Outbox) {
        if self.next_offer.is_some_and(|at| at <= now) && self.offers_left > 0 {
            self.next_offer = None;
            let method = if self.offers_left.is_multiple_of(2) { "UPDATE" } else { "INVITE" };
            self.request(method, "", "application/sdp", "v=0\r\n", now);
        }
        if self.goodbye_at.is_some_and(|at| at <= now) {
            self.goodbye_at = None;
            self.request("BYE", "", "", "", now);
        }
        for pending in self.pending.iter_mut().filter(|pending| pending.again_at.is_some_and(|at| at <= now))
        {
            out.push((self.peer, Bytes::from(pending.text.clone())));
            pending.again_at = Some(now + pending.interval);
            pending.interval = match pending.method {
                "INVITE" => pending.interval * 2,
                _ => (pending.interval * 2).min(T2),
            };
        }
    }

    fn dialogs(&self) -> usize {
        usize::from(self.up && !self.over)
    }
}
