//! One endpoint, a clock, and a caller that writes its messages by hand.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use sip::dialog::DialogId;
use sip::endpoint::flow::{ConnectionId, Flow, Transport};
use sip::endpoint::policy::{PeerPolicy, PolicyId, Standing};
use sip::endpoint::{Config, Endpoint, Event, Input, Output, Suspicion, Transmit};
use sip::message::StatusCode;

pub const OFFER: &str =
    "v=0\r\no=- 1 1 IN IP4 192.0.2.10\r\ns=-\r\nc=IN IP4 192.0.2.10\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n";
pub const ANSWER: &str =
    "v=0\r\no=- 2 2 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\nm=audio 5000 RTP/AVP 0\r\n";
pub const LISTED: Standing = Standing::Listed(PolicyId(0));
pub const PEER: &str = "192.0.2.10:5060";
pub const LOCAL: &str = "192.0.2.1:5060";

pub fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

pub fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

pub fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

pub fn udp_from(peer: &str) -> Flow {
    Flow { transport: Transport::Udp, peer: address(peer), local: address(LOCAL), connection: None }
}

/// A connection under TLS.
#[allow(dead_code, reason = "shared by several test programs")]
pub fn tls(connection: u64) -> Flow {
    Flow { transport: Transport::Tls, ..tcp(connection) }
}

pub fn tcp(connection: u64) -> Flow {
    Flow {
        transport: Transport::Tcp,
        peer: address("192.0.2.10:41000"),
        local: address(LOCAL),
        connection: Some(ConnectionId(connection)),
    }
}

/// A message that went out.
#[derive(Debug, Clone)]
pub struct Sent {
    pub at: Duration,
    pub transmit: Transmit,
    pub text: String,
}

impl Sent {
    /// The status of a response, the method of a request.
    pub fn what(&self) -> &str {
        let line = self.text.lines().next().unwrap();
        line.strip_prefix("SIP/2.0 ").unwrap_or(line).split(' ').next().unwrap()
    }

    pub fn headers(&self, name: &str) -> Vec<&str> {
        let head = self.text.split("\r\n\r\n").next().unwrap();
        let named = |line: &'_ str| line.split_once(": ").is_some_and(|(n, _)| n.eq_ignore_ascii_case(name));
        head.lines().filter(|line| named(line)).map(|line| line.split_once(": ").unwrap().1).collect()
    }

    pub fn header(&self, name: &str) -> &str {
        let all = self.headers(name);
        assert_eq!(all.len(), 1, "{name} in {}", self.text);
        all[0]
    }

    pub fn to_tag(&self) -> &str {
        self.header("To").split_once(";tag=").expect("a tag").1
    }

    pub fn body(&self) -> &str {
        self.text.split_once("\r\n\r\n").unwrap().1
    }

    pub fn request_uri(&self) -> &str {
        self.text.split(' ').nth(1).unwrap()
    }

    pub fn goes_to(&self) -> String {
        format!("{:?}", self.transmit.target)
    }
}

pub struct Rig {
    pub endpoint: Endpoint,
    start: Instant,
    pub now: Instant,
    sent: VecDeque<Sent>,
    events: VecDeque<Event>,
    suspicions: Vec<(SocketAddr, Suspicion)>,
}

impl Rig {
    pub fn new() -> Self {
        Self::with(Config::default())
    }

    pub fn with(config: Config) -> Self {
        let start = Instant::now();
        let endpoint = Endpoint::new(config, [7; 32]);
        Self {
            endpoint,
            start,
            now: start,
            sent: VecDeque::new(),
            events: VecDeque::new(),
            suspicions: Vec::new(),
        }
    }

    /// With this agreed with the only peer.
    pub fn agreed(policy: PeerPolicy) -> Self {
        let mut rig = Self::new();
        rig.endpoint.set_policy(PolicyId(0), policy);
        rig
    }

    pub fn give(&mut self, text: &str) {
        self.give_from(udp_from(PEER), text);
    }

    pub fn give_from(&mut self, flow: Flow, text: &str) {
        self.give_bytes(flow, Bytes::copy_from_slice(text.as_bytes()));
    }

    pub fn give_bytes(&mut self, flow: Flow, bytes: Bytes) {
        self.give_standing(flow, bytes, LISTED);
    }

    /// A message whose sender stands otherwise than all others here.
    pub fn give_as(&mut self, standing: Standing, flow: Flow, text: &str) {
        self.give_standing(flow, Bytes::copy_from_slice(text.as_bytes()), standing);
    }

    fn give_standing(&mut self, flow: Flow, bytes: Bytes, standing: Standing) {
        self.endpoint.handle(Input::Received { flow, bytes, standing }, self.now);
        self.drain();
    }

    /// What was reported as suspicious.
    pub fn suspicions(&mut self) -> Vec<Suspicion> {
        self.suspicions.drain(..).map(|(_, kind)| kind).collect()
    }

    pub fn give_input(&mut self, input: Input) {
        self.endpoint.handle(input, self.now);
        self.drain();
    }

    /// Does something to the endpoint at the present time.
    pub fn act<T>(&mut self, act: impl FnOnce(&mut Endpoint, Instant) -> T) -> T {
        let result = act(&mut self.endpoint, self.now);
        self.drain();
        result
    }

    /// Lets time pass, firing every timer at its very moment.
    pub fn pass(&mut self, time: Duration) {
        let until = self.now + time;
        while let Some(at) = self.endpoint.poll_timeout().filter(|at| *at <= until) {
            self.now = self.now.max(at);
            self.endpoint.handle(Input::Timeout, self.now);
            self.drain();
        }
        self.now = until;
    }

    fn drain(&mut self) {
        while let Some(output) = self.endpoint.poll_output() {
            match output {
                Output::Transmit(transmit) => self.sent.push_back(Sent {
                    at: self.now - self.start,
                    text: String::from_utf8_lossy(&transmit.bytes).into_owned(),
                    transmit,
                }),
                Output::Event(Event::Suspicious { source, kind }) => self.suspicions.push((source, kind)),
                Output::Event(event) => self.events.push_back(event),
            }
        }
    }

    pub fn sent(&mut self) -> Vec<Sent> {
        self.sent.drain(..).collect()
    }

    /// What went out, in short: statuses and methods.
    pub fn sent_in_short(&mut self) -> Vec<String> {
        self.sent().iter().map(|sent| sent.what().to_owned()).collect()
    }

    /// The one message that went out.
    pub fn one(&mut self) -> Sent {
        let mut sent = self.sent();
        assert_eq!(sent.len(), 1, "{sent:#?}");
        sent.pop().unwrap()
    }

    /// The last message that went out.
    pub fn last(&mut self) -> Sent {
        self.sent().pop().expect("something went out")
    }

    pub fn events(&mut self) -> Vec<Event> {
        self.events.drain(..).collect()
    }

    pub fn event(&mut self) -> Event {
        let mut events = self.events();
        assert_eq!(events.len(), 1, "{events:?}");
        events.pop().unwrap()
    }

    /// Neither messages nor events.
    pub fn assert_silent(&mut self) {
        assert!(self.sent.is_empty(), "{:#?}", self.sent);
        assert!(self.events.is_empty(), "{:?}", self.events);
    }

    /// After the longest timers nothing is left.
    pub fn assert_empty_in_the_end(&mut self) {
        self.pass(secs(200));
        assert_eq!((self.endpoint.dialog_count(), self.endpoint.transaction_count()), (0, 0));
        assert_eq!(self.endpoint.poll_timeout(), None);
    }

    /// Takes a call as far as [`Event::Invite`].
    pub fn offered(&mut self, caller: &mut Caller) -> DialogId {
        let invite = caller.invite("");
        self.give_from(caller.flow, &invite);
        assert_eq!(self.one().what(), "100");
        match self.event() {
            Event::Invite { dialog, .. } => dialog,
            other => panic!("{other:?}"),
        }
    }

    /// Takes a call as far as its 200.
    pub fn answered(&mut self, caller: &mut Caller) -> DialogId {
        let dialog = self.offered(caller);
        self.act(|e, now| e.accept(dialog, Bytes::from_static(ANSWER.as_bytes()), now)).unwrap();
        let ok = self.one();
        assert_eq!(ok.what(), "200");
        caller.to_tag = ok.to_tag().to_owned();
        dialog
    }

    /// Takes a call as far as its ACK.
    pub fn established(&mut self, caller: &mut Caller) -> DialogId {
        let dialog = self.answered(caller);
        let ack = caller.ack();
        self.give_from(caller.flow, &ack);
        assert!(matches!(self.event(), Event::Confirmed { dialog: d, .. } if d == dialog));
        assert!(self.sent().is_empty());
        dialog
    }

    pub fn hang_up(&mut self, caller: &mut Caller, dialog: DialogId) {
        let bye = caller.next("BYE", "", "");
        self.give_from(caller.flow, &bye);
        self.sent();
        self.events();
        self.endpoint.forget(dialog);
    }
}

/// The far end: writes requests in the dialog it knows of.
#[derive(Debug, Clone)]
pub struct Caller {
    pub call_id: String,
    /// The `From` value, tag included.
    pub from: String,
    /// Our tag, once known.
    pub to_tag: String,
    pub cseq: u32,
    pub contact: String,
    /// Top `Via` up to its branch.
    pub via: String,
    pub branch: u32,
    pub flow: Flow,
    /// Header lines in every request.
    pub extra: String,
}

impl Caller {
    pub fn new(number: u32) -> Self {
        Self {
            call_id: format!("call-{number}@192.0.2.10"),
            from: format!("\"Zoé\" <sip:+33612345678@192.0.2.10>;tag=f{number}"),
            to_tag: String::new(),
            cseq: 1,
            contact: "<sip:caller@192.0.2.10:5060>".to_owned(),
            via: "SIP/2.0/UDP 192.0.2.10:5060".to_owned(),
            branch: number * 1_000,
            flow: udp_from(PEER),
            extra: String::new(),
        }
    }

    pub fn over_tcp(number: u32, connection: u64) -> Self {
        Self { via: "SIP/2.0/TCP 192.0.2.10:5060".to_owned(), flow: tcp(connection), ..Self::new(number) }
    }

    pub fn branch_value(&self) -> String {
        format!("z9hG4bK-{}", self.branch)
    }

    /// An INVITE outside any dialog.
    pub fn invite(&mut self, headers: &str) -> String {
        self.write("INVITE", self.cseq, headers, OFFER)
    }

    /// The next request: new branch, next CSeq.
    pub fn next(&mut self, method: &str, headers: &str, body: &str) -> String {
        self.cseq += 1;
        self.branch += 1;
        self.write(method, self.cseq, headers, body)
    }

    /// The ACK of a 2xx: a transaction of its own.
    pub fn ack(&mut self) -> String {
        self.branch += 1;
        self.write("ACK", self.cseq, "", "")
    }

    /// The ACK of a refusal, hop by hop, for the tag that the refusal gave.
    pub fn ack_refusal(&self, to_tag: &str) -> String {
        Self { to_tag: to_tag.to_owned(), ..self.clone() }.write("ACK", self.cseq, "", "")
    }

    pub fn cancel(&self) -> String {
        Self { to_tag: String::new(), ..self.clone() }.write("CANCEL", self.cseq, "", "")
    }

    pub fn write(&self, method: &str, cseq: u32, headers: &str, body: &str) -> String {
        let tag = if self.to_tag.is_empty() { String::new() } else { format!(";tag={}", self.to_tag) };
        let content = if body.is_empty() || headers.contains("Content-Type") {
            String::new()
        } else {
            "Content-Type: application/sdp\r\n".to_owned()
        };
        format!(
            "{method} sip:+33199000001@192.0.2.1 SIP/2.0\r\n\
             Via: {};branch={}\r\n\
             Max-Forwards: 70\r\n\
             From: {}\r\n\
             To: <sip:+33199000001@192.0.2.1>{tag}\r\n\
             Call-ID: {}\r\n\
             CSeq: {cseq} {method}\r\n\
             Contact: {}\r\n\
             {}{headers}{content}Content-Length: {}\r\n\r\n{body}",
            self.via,
            self.branch_value(),
            self.from,
            self.call_id,
            self.contact,
            self.extra,
            body.len(),
        )
    }
}

/// A response to a request of the endpoint's.
pub fn response(request: &Sent, status: &str, to_tag: &str, headers: &str, body: &str) -> String {
    let mut to = request.header("To").to_owned();
    if !to.contains(";tag=") && !to_tag.is_empty() {
        to = format!("{to};tag={to_tag}");
    }
    let content = if body.is_empty() { "" } else { "Content-Type: application/sdp\r\n" };
    format!(
        "SIP/2.0 {status}\r\nVia: {}\r\nFrom: {}\r\nTo: {to}\r\nCall-ID: {}\r\nCSeq: {}\r\n{headers}{content}Content-Length: {}\r\n\r\n{body}",
        request.header("Via"),
        request.header("From"),
        request.header("Call-ID"),
        request.header("CSeq"),
        body.len(),
    )
}

pub fn status(code: u16) -> StatusCode {
    StatusCode::new(code).unwrap()
}
