//! A call as a ladder in plain text: a column for each address, an arrow for each message.

use std::fmt::Write;
use std::net::SocketAddr;

use super::scan::Summary;
use super::{Message, Trace, Way};

/// Columns of peers shown; later ones share the last.
const MAX_PEERS: usize = 4;
/// Characters between two columns.
const GAP: usize = 44;
/// Before the first column: time and time since the first message.
const LEFT: usize = 26;

/// Draws it, with a line at the top that says what it is.
#[must_use]
pub fn draw(trace: &Trace) -> String {
    let mut text = String::new();
    let call = trace.call.map_or_else(String::new, |call| format!("call {call}, "));
    let began = trace
        .messages
        .first()
        .map_or_else(String::new, |first| format!(", {} UTC", first.time().format("%Y-%m-%d %H:%M:%S")));
    let count = trace.messages.len();
    // Writing to a String can't fail.
    let _ = writeln!(
        text,
        "{call}Call-ID {}{began}, {count} message{}",
        String::from_utf8_lossy(&trace.sip_call_id).escape_debug(),
        if count == 1 { "" } else { "s" },
    );
    if count > 0 {
        rows(trace, &mut text);
    }
    text
}

/// The ladder, and under it every message in full.
#[must_use]
pub fn in_full(trace: &Trace) -> String {
    let mut text = draw(trace);
    for message in &trace.messages {
        let arrow = match message.way {
            Way::In => "from",
            Way::Out => "to",
        };
        let _ = writeln!(
            text,
            "\n---- {} {arrow} {} over {}",
            message.time().format("%H:%M:%S%.6f"),
            message.peer(),
            message.transport,
        );
        let plain = |c: char| if c.is_control() && c != '\n' && c != '\t' { '\u{fffd}' } else { c };
        text.extend(String::from_utf8_lossy(&message.bytes).replace("\r\n", "\n").chars().map(plain));
    }
    text
}

fn rows(trace: &Trace, text: &mut String) {
    let columns = Columns::of(&trace.messages);
    columns.heading(text);
    let first = trace.messages.first().map_or(0, |first| first.at);
    for (at, message) in trace.messages.iter().enumerate() {
        if at == trace.before_gap && trace.omitted > 0 {
            let _ = writeln!(text, "{:LEFT$}({} messages left out)", "", trace.omitted);
        }
        let earlier = trace.messages.get(..at).unwrap_or_default();
        let again = earlier.iter().any(|known| known.way == message.way && known.bytes == message.bytes);
        let since = message.at.saturating_sub(first);
        let _ = write!(
            text,
            "{} {:>7}.{:03}  ",
            message.time().format("%H:%M:%S%.3f"),
            format!("+{}", since / 1_000_000),
            since / 1_000 % 1_000,
        );
        columns.arrow(message, again, text);
    }
}

/// Peers from the left, ourselves on the right.
struct Columns {
    peers: Vec<SocketAddr>,
    local: Option<SocketAddr>,
    transports: Vec<String>,
}

impl Columns {
    fn of(messages: &[Message]) -> Self {
        let mut columns = Self { peers: Vec::new(), local: None, transports: Vec::new() };
        for message in messages {
            let peer = message.peer();
            if !columns.peers.contains(&peer) && columns.peers.len() < MAX_PEERS {
                columns.peers.push(peer);
                columns.transports.push(message.transport.clone().into_owned());
            }
            columns.local.get_or_insert(message.local());
        }
        // The peer that the call begins with stands farthest away.
        columns
    }

    fn heading(&self, text: &mut String) {
        let mut line = " ".repeat(LEFT);
        for (peer, transport) in self.peers.iter().zip(&self.transports) {
            let _ = write!(line, "{:<GAP$}", format!("{peer} {transport}"));
        }
        let ours = self.local.map_or_else(String::new, |local| format!("offhook {local}"));
        let _ = writeln!(text, "{line}{ours}");
        let _ = writeln!(text, "{:LEFT$}{}", "", self.bars());
    }

    fn bars(&self) -> String {
        let mut line: String = self.peers.iter().map(|_| format!("{:<GAP$}", "|")).collect();
        line.push('|');
        line
    }

    /// An arrow between the peer's column and ours, with the message's line on it.
    fn arrow(&self, message: &Message, again: bool, text: &mut String) {
        let last = self.peers.len().saturating_sub(1);
        let column = self.peers.iter().position(|known| *known == message.peer()).unwrap_or(last);
        let mut label = Summary::of(&message.bytes).to_string();
        if again {
            label.push_str(" (again)");
        }
        if column == last && !self.peers.contains(&message.peer()) {
            let _ = write!(label, " {}", message.peer());
        }
        let width = (self.peers.len() - column) * GAP - 1;
        let room = width.saturating_sub(8);
        if label.chars().count() > room {
            label = label.chars().take(room.saturating_sub(3)).chain("...".chars()).collect();
        }
        let label = format!(" {label} ");
        let line = match message.way {
            Way::In => format!("{label:-^inner$}>", inner = width - 1),
            Way::Out => format!("<{label:-^inner$}", inner = width - 1),
        };
        let before: String = (0..column).map(|_| format!("{:<GAP$}", "|")).collect();
        let _ = writeln!(text, "{before}|{line}|");
    }
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use super::*;

    fn message(at: u64, way: Way, peer: &str, text: &str) -> Message {
        let (peer, local) = (peer.parse().unwrap(), "198.51.100.2:5060".parse().unwrap());
        let (source, destination) = match way {
            Way::In => (peer, local),
            Way::Out => (local, peer),
        };
        Message {
            at: 1_760_000_000_000_000 + at * 1_000,
            way,
            transport: Cow::Borrowed("UDP"),
            source,
            destination,
            bytes: text.as_bytes().into(),
        }
    }

    fn trace(messages: Vec<Message>) -> Trace {
        Trace { sip_call_id: b"abc@192.0.2.1".to_vec(), call: None, before_gap: 2, messages, omitted: 0 }
    }

    const PEER: &str = "192.0.2.1:5060";

    fn call() -> Trace {
        let invite = "INVITE sip:a SIP/2.0\r\nCSeq: 1 INVITE\r\nc: application/sdp\r\n\r\nv=0";
        trace(vec![
            message(0, Way::In, PEER, invite),
            message(500, Way::In, PEER, invite),
            message(501, Way::Out, PEER, "SIP/2.0 180 Ringing\r\nCSeq: 1 INVITE\r\n\r\n"),
            message(2_501, Way::In, PEER, "BYE sip:a SIP/2.0\r\nCSeq: 2 BYE\r\n\r\n"),
        ])
    }

    #[test]
    fn a_call_is_drawn() {
        let drawn = draw(&call());
        let golden = "\
Call-ID abc@192.0.2.1, 2025-10-09 08:53:20 UTC, 4 messages
                          192.0.2.1:5060 UDP                          offhook 198.51.100.2:5060
                          |                                           |
08:53:20.000      +0.000  |--------------- INVITE SDP --------------->|
08:53:20.500      +0.500  |----------- INVITE SDP (again) ----------->|
08:53:20.501      +0.501  |<---------- 180 Ringing (INVITE) ----------|
08:53:22.501      +2.501  |------------------ BYE ------------------->|
";
        assert_eq!(drawn, golden);
    }

    #[test]
    fn each_peer_has_its_column_and_what_was_left_out_is_said() {
        let mut messages = call().messages;
        messages.push(message(3_000, Way::Out, "192.0.2.9:5060", "SIP/2.0 200 OK\r\nCSeq: 2 BYE\r\n\r\n"));
        let drawn = draw(&Trace { omitted: 7, ..trace(messages) });
        assert!(drawn.contains("(7 messages left out)"), "{drawn}");
        let last = drawn.lines().last().unwrap();
        assert_eq!(last.matches('|').count(), 3, "{drawn}");
    }

    #[test]
    fn nothing_from_outside_moves_the_cursor() {
        let hostile = "\x1b[2JINVITE sip:a SIP/2.0\r\nReason: \x07\r\nX: \x1b]0;x\x07\r\n\r\n\x1b[1m";
        let mut trace = trace(vec![message(0, Way::In, PEER, hostile)]);
        trace.sip_call_id = b"\x1b[3m".to_vec();
        assert!(!in_full(&trace).contains(|c: char| c.is_control() && c != '\n'));
    }

    #[test]
    fn a_long_line_is_cut() {
        let long = format!("SIP/2.0 500 {}\r\nCSeq: 1 INVITE\r\n\r\n", "x".repeat(500));
        let drawn = draw(&trace(vec![message(0, Way::Out, PEER, &long)]));
        assert!(drawn.lines().all(|line| line.len() < 120), "{drawn}");
    }
}
