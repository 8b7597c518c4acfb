//! Keys pressed by the caller, and those we press for somebody else.

pub mod inband;
pub mod telephone_event;

use std::fmt;

/// One DTMF key. Its `Debug` form is masked: keys may be a card number or a PIN.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Digit(u8);

impl Digit {
    /// The sixteen keys in the order of their RFC 4733 §3.2 event codes.
    const KEYS: [char; 16] = ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', '*', '#', 'A', 'B', 'C', 'D'];

    /// The key of an RFC 4733 event code, if it is one of the sixteen DTMF events.
    #[must_use]
    pub const fn from_event(event: u8) -> Option<Self> {
        if event < 16 { Some(Self(event)) } else { None }
    }

    /// The key of a character: `0`–`9`, `*`, `#`, `A`–`D` in either case.
    #[must_use]
    pub fn from_char(key: char) -> Option<Self> {
        let key = key.to_ascii_uppercase();
        (0u8..16).zip(Self::KEYS).find(|(_, known)| *known == key).map(|(event, _)| Self(event))
    }

    /// The RFC 4733 §3.2 event code, 0–15.
    #[must_use]
    pub const fn event(self) -> u8 {
        self.0
    }

    /// The key itself, unmasked.
    #[must_use]
    pub fn as_char(self) -> char {
        Self::KEYS.get(usize::from(self.0)).copied().unwrap_or('0')
    }
}

impl fmt::Debug for Digit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Digit(*)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_event_code_and_its_character_agree() {
        for event in 0..16 {
            let digit = Digit::from_event(event).unwrap();
            assert_eq!(Digit::from_char(digit.as_char()), Some(digit));
            assert_eq!(digit.event(), event);
        }
        assert_eq!(Digit::from_event(16), None);
        assert_eq!(Digit::from_char('x'), None);
        assert_eq!(Digit::from_char('d').map(Digit::as_char), Some('D'));
    }

    #[test]
    fn debug_output_hides_the_key() {
        assert_eq!(format!("{:?}", Digit::from_char('7').unwrap()), "Digit(*)");
    }
}
