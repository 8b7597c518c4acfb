//! Which numbers a tenant may call.

use crate::ids::E164;
use crate::routing::{Country, number};
use crate::tenant::refer::is_emergency_number;

/// The fewest digits of a number that isn't a short one (ITU-T E.164: none is shorter).
const FEWEST_DIGITS: usize = 7;

/// Where calls of a tenant over a trunk may go.
#[derive(Debug, Clone)]
pub struct Allowed {
    prefixes: Vec<String>,
    /// The country of numbers that name none.
    country: Option<Country>,
}

/// Why a number isn't called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Forbidden {
    /// It can't be read as a number.
    #[error("that is no telephone number: write it with its country code, such as +33199000001")]
    NotANumber,
    /// It is one of an emergency service, or a short code.
    #[error("emergency numbers and short codes are never called")]
    Emergency,
    /// The tenant may not call it.
    #[error("the tenant may not call this number: limits.outbound_allowed_prefixes doesn't hold its prefix")]
    NotAllowed,
}

impl Allowed {
    /// `prefixes` are the tenant's; without any nothing is allowed.
    #[must_use]
    pub fn new(prefixes: Vec<String>, country: Option<Country>) -> Self {
        Self { prefixes, country }
    }

    /// The number, if it may be called. `text` is a number as a person writes it, or a `tel:` or
    /// `sip:` URI.
    ///
    /// # Errors
    /// Why not.
    pub fn check(&self, text: &str) -> Result<E164, Forbidden> {
        let bare = text.trim().trim_start_matches("tel:");
        let dialed: String = bare.chars().filter(|c| c.is_ascii_digit()).collect();
        if is_emergency_number(&dialed) {
            return Err(Forbidden::Emergency);
        }
        // The parser needs a country; a number that names none is only taken when the trunk has one.
        let country = self.country.or_else(|| "FR".parse().ok()).ok_or(Forbidden::NotANumber)?;
        let number = number::normalise(text, country).ok_or(Forbidden::NotANumber)?;
        if self.country.is_none() && !text.contains(number.as_str()) && !bare.starts_with('+') {
            return Err(Forbidden::NotANumber);
        }
        if is_short(&number) {
            return Err(Forbidden::Emergency);
        }
        if self.prefixes.iter().any(|prefix| number.as_str().starts_with(prefix.as_str())) {
            Ok(number)
        } else {
            Err(Forbidden::NotAllowed)
        }
    }
}

/// Whether a number is a short one behind a country code, as `+33112` is.
fn is_short(number: &E164) -> bool {
    number.as_str().trim_start_matches('+').len() < FEWEST_DIGITS
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(prefixes: &[&str], country: Option<&str>) -> Allowed {
        let prefixes = prefixes.iter().map(|prefix| (*prefix).to_owned()).collect();
        Allowed::new(prefixes, country.map(|country| country.parse().unwrap()))
    }

    #[test]
    fn a_number_is_called_when_a_prefix_of_the_tenant_holds_it() {
        let french = allowed(&["+33", "+3491"], Some("FR"));
        for (text, number) in [
            ("+33 1 99 00 00 01", "+33199000001"),
            ("0199000001", "+33199000001"),
            ("tel:+33199000001", "+33199000001"),
            ("sip:+33199000001@10.0.0.9;user=phone", "+33199000001"),
            ("+34919000001", "+34919000001"),
        ] {
            assert_eq!(french.check(text).unwrap().as_str(), number);
        }
        for text in ["+12025550101", "+34699000001", "0012025550101"] {
            assert_eq!(french.check(text), Err(Forbidden::NotAllowed), "{text}");
        }
    }

    #[test]
    fn without_prefixes_nothing_is_called() {
        assert_eq!(allowed(&[], Some("FR")).check("+33199000001"), Err(Forbidden::NotAllowed));
    }

    #[test]
    fn emergency_numbers_are_never_called() {
        let everywhere = allowed(&["+"], Some("FR"));
        for text in
            ["112", "15", "1 1 2", "tel:112", "+112", "911", "+33112", "+3315", "+1911", "sip:112@pbx"]
        {
            assert!(
                matches!(everywhere.check(text), Err(Forbidden::Emergency | Forbidden::NotANumber)),
                "{text}: {:?}",
                everywhere.check(text)
            );
        }
    }

    #[test]
    fn without_a_country_a_number_has_to_name_its_own() {
        let everywhere = allowed(&["+"], None);
        assert_eq!(everywhere.check("0199000001"), Err(Forbidden::NotANumber));
        assert!(everywhere.check("+33199000001").is_ok());
        for text in ["", "anonymous", "sip:bob@example.com", "+", &"1".repeat(300)] {
            assert_eq!(everywhere.check(text), Err(Forbidden::NotANumber), "{text}");
        }
    }
}
