//! One message that was seen, and its form between the service and the command line.

use std::borrow::Cow;
use std::net::SocketAddr;

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Value, json};

/// Whether a message came or went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Way {
    /// It came.
    In,
    /// It went.
    Out,
}

/// One SIP message as it was on the wire, masked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// When, in microseconds since 1970.
    pub at: u64,
    /// Whether it came or went.
    pub way: Way,
    /// The transport as `Via` has it: `UDP`, `TCP`, `TLS`.
    pub transport: Cow<'static, str>,
    /// Where it came from.
    pub source: SocketAddr,
    /// Where it went to.
    pub destination: SocketAddr,
    /// The message.
    pub bytes: Box<[u8]>,
}

/// What the service sent isn't a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the service's answer holds no message where one should be: do both programs have the same version?")]
pub struct WireError;

impl Message {
    /// When, on the calendar.
    #[must_use]
    pub fn time(&self) -> DateTime<Utc> {
        i64::try_from(self.at).ok().and_then(DateTime::from_timestamp_micros).unwrap_or_default()
    }

    /// The other side's address.
    #[must_use]
    pub fn peer(&self) -> SocketAddr {
        match self.way {
            Way::In => self.source,
            Way::Out => self.destination,
        }
    }

    /// Our own address.
    #[must_use]
    pub fn local(&self) -> SocketAddr {
        match self.way {
            Way::In => self.destination,
            Way::Out => self.source,
        }
    }

    /// The form on the control socket. The bytes are hexadecimal: they may be in any encoding.
    #[must_use]
    pub fn to_wire(&self) -> Value {
        json!({
            "at": self.at,
            "way": match self.way { Way::In => "in", Way::Out => "out" },
            "transport": self.transport,
            "source": self.source.to_string(),
            "destination": self.destination.to_string(),
            "hex": to_hex(&self.bytes),
        })
    }

    /// Reads that form.
    ///
    /// # Errors
    /// When a part is missing or wrong.
    pub fn from_wire(value: &Value) -> Result<Self, WireError> {
        let text = |name: &str| value.get(name).and_then(Value::as_str).ok_or(WireError);
        let address = |name: &str| text(name)?.parse().map_err(|_| WireError);
        Ok(Self {
            at: value.get("at").and_then(Value::as_u64).ok_or(WireError)?,
            way: match text("way")? {
                "in" => Way::In,
                "out" => Way::Out,
                _ => return Err(WireError),
            },
            transport: Cow::Owned(text("transport")?.to_owned()),
            source: address("source")?,
            destination: address("destination")?,
            bytes: from_hex(text("hex")?).ok_or(WireError)?,
        })
    }

    /// For scripts: what it is, and its text. Bytes that aren't UTF-8 are replaced; a pcap has
    /// them as they are.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let summary = super::Summary::of(&self.bytes);
        json!({
            "at": self.time().to_rfc3339_opts(SecondsFormat::Micros, true),
            "way": match self.way { Way::In => "in", Way::Out => "out" },
            "transport": self.transport,
            "source": self.source.to_string(),
            "destination": self.destination.to_string(),
            "method": summary.method,
            "status": summary.status,
            "cseq": summary.cseq,
            "summary": summary.to_string(),
            "sdp": summary.sdp,
            "text": String::from_utf8_lossy(&self.bytes),
        })
    }
}

fn to_hex(bytes: &[u8]) -> String {
    const DIGITS: [char; 16] =
        ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f'];
    let digit = |nibble: u8| DIGITS.get(usize::from(nibble)).copied().unwrap_or('0');
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

fn from_hex(text: &str) -> Option<Box<[u8]>> {
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    let nibble = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let bytes = pairs.iter().map(|[high, low]| Some(nibble(*high)? << 4 | nibble(*low)?)).collect();
    if rest.is_empty() { bytes } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_comes_back_from_the_wire_byte_for_byte() {
        let message = Message {
            at: 1_760_000_000_123_456,
            way: Way::Out,
            transport: Cow::Borrowed("TCP"),
            source: "[2001:db8::1]:5060".parse().unwrap(),
            destination: "192.0.2.7:5062".parse().unwrap(),
            bytes: (0..=255).collect(),
        };
        assert_eq!(Message::from_wire(&message.to_wire()), Ok(message));
    }

    #[test]
    fn what_is_no_message_is_refused() {
        for text in [r"{}", r#"{"at":1,"way":"up"}"#, r#"{"at":1,"way":"in","transport":"UDP","source":"x"}"#]
        {
            assert_eq!(Message::from_wire(&serde_json::from_str(text).unwrap()), Err(WireError));
        }
        assert_eq!(from_hex("0g"), None);
        assert_eq!(from_hex("012"), None);
    }
}
