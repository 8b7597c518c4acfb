//! A telephone: one dialog over UDP, in plain text, without any code of the service.

use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use super::media::Media;
use super::{Message, SOON, Service};

static CALLS: AtomicU32 = AtomicU32::new(1);

/// A telephone and its one call.
pub struct Phone {
    socket: UdpSocket,
    server: SocketAddr,
    pub media: Media,
    pub call_id: String,
    tag: String,
    /// The dialed address, and what the answer made of it.
    to: String,
    target: String,
    cseq: u32,
    invite_branch: String,
    waiting: VecDeque<Message>,
}

impl Phone {
    pub fn new(service: &Service) -> Self {
        Self::at(service.sip)
    }

    pub fn at(server: SocketAddr) -> Self {
        Self::from(Ipv4Addr::LOCALHOST, server)
    }

    /// A telephone at an address of its own; all of 127.0.0.0/8 is this machine.
    pub fn from(address: Ipv4Addr, server: SocketAddr) -> Self {
        let socket = UdpSocket::bind((address, 0)).unwrap();
        let id = format!("{}-{}", std::process::id(), CALLS.fetch_add(1, Ordering::Relaxed));
        Self {
            socket,
            server,
            media: Media::open(),
            call_id: format!("{id}@telephone.test"),
            tag: format!("t{id}"),
            to: String::new(),
            target: String::new(),
            cseq: 0,
            invite_branch: String::new(),
            waiting: VecDeque::new(),
        }
    }

    /// Another service from now on: one that was started after the telephone.
    pub fn turn_to(&mut self, server: SocketAddr) {
        self.server = server;
    }

    /// Dials a number that answers.
    pub fn call(service: &Service, number: &str) -> Self {
        let mut phone = Self::new(service);
        let answer = phone.dial(number);
        assert_eq!(answer.status(), Some(200), "{answer:?}");
        phone
    }

    /// Dials; gives the final answer, acknowledged.
    pub fn dial(&mut self, number: &str) -> Message {
        self.invite(number);
        let answer = self.answer();
        self.ack(&answer);
        answer
    }

    /// Sends an INVITE and waits for nothing.
    pub fn invite(&mut self, number: &str) {
        let sdp = self.offer();
        let invite = self.first_invite(number, &sdp, "");
        self.send(&invite);
    }

    /// Our session description.
    pub fn offer(&self) -> String {
        format!(
            "v=0\r\no=telephone 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n\
             m=audio {} RTP/AVP 8 96\r\na=rtpmap:8 PCMA/8000\r\na=rtpmap:96 telephone-event/8000\r\n\
             a=fmtp:96 0-15\r\na=ptime:20\r\n",
            self.media.port
        )
    }

    /// An INVITE that begins a dialog. `extra` are header lines, each with its line end.
    pub fn first_invite(&mut self, number: &str, sdp: &str, extra: &str) -> String {
        self.target = format!("sip:{number}@{}", self.server);
        self.to = format!("<{}>", self.target);
        self.cseq += 1;
        self.invite_branch = format!("z9hG4bK{}{}", self.tag, self.cseq);
        let contact = format!("Contact: <sip:telephone@{}>\r\n", self.local());
        let extra = format!("{contact}Allow: INVITE, ACK, BYE, NOTIFY, REFER\r\n{extra}");
        let extra = format!("{extra}Content-Type: application/sdp\r\n");
        self.request_with("INVITE", &self.invite_branch.clone(), self.cseq, &extra, sdp)
    }

    /// A CANCEL of the INVITE that was sent last (RFC 3261 §9.1).
    pub fn cancel(&mut self) {
        let cancel = self.request_with("CANCEL", &self.invite_branch.clone(), self.cseq, "", "");
        self.send(&cancel);
    }

    /// The final answer to the INVITE.
    pub fn answer(&mut self) -> Message {
        let final_answer = |message: &Message| message.method() == "INVITE" && message.status() >= Some(200);
        self.wait("an answer to the INVITE", SOON, final_answer)
    }

    /// The final answer to the request sent last.
    pub fn response(&mut self) -> Message {
        let cseq = self.cseq;
        let matches = |m: &Message| m.status() >= Some(200) && m.cseq().0 == cseq;
        self.wait("a response", SOON, matches)
    }

    /// Acknowledges the final answer to the INVITE; a success makes the dialog.
    pub fn ack(&mut self, answer: &Message) {
        self.to = answer.header("To").to_owned();
        // That of the INVITE that is answered, the first or a later one (RFC 3261 §17.1.1.3).
        let mut branch = format!("z9hG4bK{}{}", self.tag, answer.cseq().0);
        if answer.status() < Some(300) {
            self.target = answer.uri("Contact").to_owned();
            branch.push_str("ack");
        }
        let ack = self.request_with("ACK", &branch, answer.cseq().0, "", "");
        self.send(&ack);
    }

    /// Sends a request in the dialog.
    pub fn request(&mut self, method: &str, extra: &str, body: &str) {
        self.cseq += 1;
        let branch = format!("z9hG4bK{}{}", self.tag, self.cseq);
        let request = self.request_with(method, &branch, self.cseq, extra, body);
        self.send(&request);
    }

    /// Reports on a REFER (RFC 3515 §2.4.4).
    pub fn notify(&mut self, state: &str, fragment: &str) {
        let extra = format!(
            "Contact: <sip:telephone@{}>\r\nEvent: refer\r\nSubscription-State: {state}\r\n\
             Content-Type: message/sipfrag;version=2.0\r\n",
            self.local()
        );
        self.request("NOTIFY", &extra, fragment);
        let response = self.response();
        assert_eq!(response.status(), Some(200), "{response:?}");
    }

    /// Hangs up.
    pub fn hang_up(&mut self) {
        self.request("BYE", "", "");
        let response = self.response();
        assert_eq!(response.status(), Some(200), "{response:?}");
    }

    /// Waits for a request of the service.
    pub fn expect(&mut self, method: &str, within: Duration) -> Message {
        self.wait(method, within, |message| message.status().is_none() && message.method() == method)
    }

    /// Waits for the service to hang up, and lets it.
    pub fn expect_bye(&mut self, within: Duration) -> Message {
        let bye = self.expect("BYE", within);
        self.reply(&bye, 200);
        bye
    }

    /// Whether the service has sent a request of this method that nobody has looked at.
    pub fn has(&mut self, method: &str) -> bool {
        while let Some(message) = self.receive(Duration::from_millis(1)) {
            self.waiting.push_back(message);
        }
        self.waiting.iter().any(|message| message.status().is_none() && message.method() == method)
    }

    /// A message that nobody has looked at, if one has come.
    pub fn anything(&mut self) -> Option<Message> {
        self.waiting.pop_front().or_else(|| self.receive(Duration::from_millis(1)))
    }

    /// Answers a request of the service.
    pub fn reply(&self, request: &Message, status: u16) {
        let mut reply = format!("SIP/2.0 {status} Because\r\n");
        for name in ["Via", "From", "To", "Call-ID", "CSeq"] {
            for value in request.all(name) {
                reply.push_str(&format!("{name}: {value}\r\n"));
            }
        }
        let contact = format!("Contact: <sip:telephone@{}>\r\n", self.local());
        self.send(&format!("{reply}{contact}Content-Length: 0\r\n\r\n"));
    }

    pub fn local(&self) -> SocketAddr {
        self.socket.local_addr().unwrap()
    }

    pub fn send(&self, message: &str) {
        self.send_bytes(message.as_bytes());
    }

    pub fn send_bytes(&self, message: &[u8]) {
        self.socket.send_to(message, self.server).unwrap();
    }

    /// Waits for a message that fits; others wait for their turn.
    pub fn wait(&mut self, what: &str, within: Duration, fits: impl Fn(&Message) -> bool) -> Message {
        let deadline = Instant::now() + within;
        if let Some(message) = self.waiting.iter().position(&fits).and_then(|at| self.waiting.remove(at)) {
            return message;
        }
        loop {
            match self.receive(deadline.saturating_duration_since(Instant::now())) {
                Some(message) if fits(&message) => return message,
                Some(message) => self.waiting.push_back(message),
                None => panic!("not within {within:?}: {what}; instead {:#?}", self.waiting),
            }
        }
    }

    fn receive(&self, within: Duration) -> Option<Message> {
        // Zero would mean for ever.
        self.socket.set_read_timeout(Some(within.max(Duration::from_millis(1)))).unwrap();
        let mut datagram = vec![0; 65_536];
        let length = self.socket.recv(&mut datagram).ok()?;
        Some(Message::parse(&datagram[..length]))
    }

    fn request_with(&self, method: &str, branch: &str, cseq: u32, extra: &str, body: &str) -> String {
        format!(
            "{method} {target} SIP/2.0\r\nVia: SIP/2.0/UDP {local};branch={branch};rport\r\n\
             Max-Forwards: 70\r\nFrom: <sip:+33639980002@{local}>;tag={tag}\r\nTo: {to}\r\n\
             Call-ID: {call_id}\r\nCSeq: {cseq} {method}\r\n{extra}Content-Length: {length}\r\n\r\n{body}",
            target = self.target,
            local = self.local(),
            tag = self.tag,
            to = self.to,
            call_id = self.call_id,
            length = body.len(),
        )
    }
}
