//! Identifiers. Each is a type of its own, so that a tenant can't be passed where a call is
//! meant; those that name a person's line print masked.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Why a text is not an identifier of the kind asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// Tenant identifiers are `[a-z0-9_-]{3,64}`.
    #[error("a tenant id is 3 to 64 of a-z, 0-9, '_' and '-'")]
    Tenant,
    /// Destination identifiers are `[a-z][a-z0-9_]{1,40}`.
    #[error("a destination id is a letter a-z, then 1 to 40 of a-z, 0-9 and '_'")]
    Destination,
    /// Trunk names are `[a-z0-9_-]{1,64}`.
    #[error("a trunk name is 1 to 64 of a-z, 0-9, '_' and '-'")]
    Trunk,
    /// E.164 numbers are `+` and 3 to 15 digits (ITU-T E.164 §6).
    #[error("a number in E.164 form is '+' and 3 to 15 digits, the first of them not 0")]
    E164,
    /// Call identifiers are UUIDs.
    #[error("a call id is a UUID")]
    Call,
}

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident, $error:expr, $valid:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Arc<str>);

        impl $name {
            /// Checks and takes the text.
            ///
            /// # Errors
            /// When the text doesn't have the form.
            pub fn new(text: &str) -> Result<Self, IdError> {
                let valid: fn(&[u8]) -> bool = $valid;
                if valid(text.as_bytes()) { Ok(Self(text.into())) } else { Err($error) }
            }

            /// The text itself.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = IdError;
            fn try_from(text: String) -> Result<Self, IdError> {
                Self::new(&text)
            }
        }

        impl std::str::FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                Self::new(text)
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.0.as_ref().to_owned()
            }
        }
    };
}

macro_rules! plain_print {
    ($name:ident) => {
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($name), self.0)
            }
        }
    };
}

fn lower_digit_or(byte: u8, others: &[u8]) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit() || others.contains(&byte)
}

text_id!(
    /// A tenant: one customer organisation.
    TenantId, IdError::Tenant,
    |t| (3..=64).contains(&t.len()) && t.iter().all(|b| lower_digit_or(*b, b"_-"))
);
plain_print!(TenantId);

text_id!(
    /// A place a caller can be handed to, unique within its tenant.
    DestinationId, IdError::Destination,
    |t| (2..=41).contains(&t.len())
        && t.first().is_some_and(u8::is_ascii_lowercase)
        && t.iter().all(|b| lower_digit_or(*b, b"_"))
);
plain_print!(DestinationId);

text_id!(
    /// A trunk, by the name the operator gave it.
    TrunkName, IdError::Trunk,
    |t| (1..=64).contains(&t.len()) && t.iter().all(|b| lower_digit_or(*b, b"_-"))
);
plain_print!(TrunkName);

text_id!(
    /// A telephone number in E.164 form. `Display` and `Debug` mask all but its ends;
    /// [`E164::as_str`] gives the number.
    E164, IdError::E164,
    |t| match t.split_first() {
        Some((b'+', digits)) => (3..=15).contains(&digits.len())
            && digits.first() != Some(&b'0')
            && digits.iter().all(u8::is_ascii_digit),
        _ => false,
    }
);

impl fmt::Display for E164 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&masked(&self.0))
    }
}

impl fmt::Debug for E164 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "E164({})", masked(&self.0))
    }
}

/// A number or other caller identity with all but its first three and last two characters
/// replaced, for logs.
#[must_use]
pub fn masked(text: &str) -> String {
    let count = text.chars().count();
    text.chars()
        .enumerate()
        .map(|(at, c)| if count > 7 && (at < 3 || at + 2 >= count) { c } else { '*' })
        .collect()
}

/// The digits a caller pressed. Printed as their count only: they can be a card or a code.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Digits(String);

impl Digits {
    /// Adds one digit at the end.
    pub fn push(&mut self, digit: char) {
        self.0.push(digit);
    }

    /// The digits themselves.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether none was pressed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for Digits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digits({} pressed)", self.0.len())
    }
}

/// One call, from the first message on: a UUID of version 7, so that they sort by time.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CallId(Uuid);

impl CallId {
    /// A new identifier that sorts after those made before it.
    #[must_use]
    pub fn generate() -> Self {
        Self(Uuid::now_v7())
    }

    /// The identifier's 128 bits.
    #[must_use]
    pub fn as_u128(&self) -> u128 {
        self.0.as_u128()
    }
}

impl std::str::FromStr for CallId {
    type Err = IdError;
    fn from_str(text: &str) -> Result<Self, IdError> {
        Uuid::parse_str(text).map(Self).map_err(|_| IdError::Call)
    }
}

impl fmt::Display for CallId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for CallId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CallId({})", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_print_masked_and_keep_their_value() {
        let number = E164::new("+33199000001").unwrap();
        assert_eq!(number.to_string(), "+33*******01");
        assert!(!format!("{number:?}").contains("199000"));
        assert_eq!(number.as_str(), "+33199000001");
    }

    #[test]
    fn short_identities_print_without_any_of_their_characters() {
        assert_eq!(masked("+331990"), "*******");
    }

    #[test]
    fn texts_of_another_form_are_refused() {
        assert_eq!(TenantId::new("ab"), Err(IdError::Tenant));
        assert_eq!(TenantId::new("Tenant-1"), Err(IdError::Tenant));
        assert_eq!(DestinationId::new("1sales"), Err(IdError::Destination));
        assert_eq!(E164::new("0033199000001"), Err(IdError::E164));
        assert_eq!(E164::new("+0123456"), Err(IdError::E164));
    }

    #[test]
    fn digits_are_counted_but_not_shown() {
        let mut digits = Digits::default();
        digits.push('4');
        digits.push('2');
        assert_eq!(format!("{digits:?}"), "Digits(2 pressed)");
    }
}
