//! Texts from outside, kept byte for byte and printed masked.

use std::fmt;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::ids::{E164, masked};

/// Bytes that came from outside and are mostly text. In JSON they are a string where they are
/// UTF-8, else `{"hex": "…"}`, so that a Latin-1 display name comes back exactly. `Debug` masks.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct RawText(Box<[u8]>);

impl RawText {
    /// Keeps `bytes` as they are.
    #[must_use]
    pub fn new(bytes: &[u8]) -> Self {
        Self(bytes.into())
    }

    /// The bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The text for people: what isn't UTF-8 is read as Latin-1, which is what equipment that
    /// doesn't speak UTF-8 sends.
    #[must_use]
    pub fn to_text(&self) -> String {
        match std::str::from_utf8(&self.0) {
            Ok(text) => text.to_owned(),
            Err(_) => self.0.iter().map(|byte| char::from(*byte)).collect(),
        }
    }

    /// Whether there is nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl From<&str> for RawText {
    fn from(text: &str) -> Self {
        Self::new(text.as_bytes())
    }
}

impl fmt::Debug for RawText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RawText({})", masked(&self.to_text()))
    }
}

impl Serialize for RawText {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match std::str::from_utf8(&self.0) {
            Ok(text) => serializer.serialize_str(text),
            Err(_) => Hex { hex: to_hex(&self.0) }.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for RawText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match TextOrHex::deserialize(deserializer)? {
            TextOrHex::Text(text) => Ok(Self(text.into_bytes().into())),
            TextOrHex::Hex(Hex { hex }) => from_hex(&hex)
                .map(|bytes| Self(bytes.into()))
                .ok_or_else(|| D::Error::custom("not hexadecimal")),
        }
    }
}

#[derive(Serialize, Deserialize)]
struct Hex {
    hex: String,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum TextOrHex {
    Text(String),
    Hex(Hex),
}

fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let nibbles: Vec<u32> = text.chars().map(|c| c.to_digit(16)).collect::<Option<_>>()?;
    let pairs = nibbles.chunks_exact(2);
    if !pairs.remainder().is_empty() {
        return None;
    }
    pairs
        .map(|pair| match pair {
            [high, low] => u8::try_from(high << 4 | low).ok(),
            _ => None,
        })
        .collect()
}

/// One end of a call.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Party {
    /// Its number, where it has one that could be normalised.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub number: Option<E164>,
    /// The URI or user part as received.
    #[serde(default, skip_serializing_if = "RawText::is_empty")]
    pub address: RawText,
    /// The name shown with it, as received.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display_name: Option<RawText>,
}

impl Party {
    /// A party of which only the address is known.
    #[must_use]
    pub fn new(address: &[u8]) -> Self {
        Self { address: RawText::new(address), ..Self::default() }
    }
}

/// A header of the first INVITE that prompts and tools can use.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CustomHeader {
    /// Its name as received.
    pub name: RawText,
    /// Its value as received.
    pub value: RawText,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_bytes_come_back_exactly() {
        for bytes in [&b"+33 1"[..], b"Andr\xe9", b"", b"\0\xff", "\u{e9}\"\\\n".as_bytes()] {
            let json = serde_json::to_string(&RawText::new(bytes)).unwrap();
            assert_eq!(serde_json::from_str::<RawText>(&json).unwrap().as_bytes(), bytes, "{json}");
        }
    }

    #[test]
    fn broken_hexadecimal_is_refused() {
        for json in [r#"{"hex":"f"}"#, r#"{"hex":"zz"}"#] {
            assert!(serde_json::from_str::<RawText>(json).is_err());
        }
    }

    #[test]
    fn latin_1_is_readable() {
        assert_eq!(RawText::new(b"Andr\xe9").to_text(), "André");
    }
}
