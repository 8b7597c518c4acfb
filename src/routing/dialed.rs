//! Which number was dialed: the parts of a request that can tell, in the trunk's order.

use std::str::FromStr;

use super::number::{Country, normalise};
use crate::ids::E164;

/// The most entries of one header that are looked at.
const MAX_ENTRIES: usize = 16;

/// A part of a request that can hold the dialed number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DialedFrom {
    /// The Request-URI's user.
    RequestUri,
    /// `To`.
    To,
    /// `P-Called-Party-ID` (RFC 7315 §4.2).
    PCalledPartyId,
    /// `Diversion` (RFC 5806), and after it `History-Info` (RFC 7044): the number first dialed.
    Diversion,
}

/// The order in which the parts are asked unless the trunk says otherwise.
pub const DEFAULT_ORDER: [DialedFrom; 4] =
    [DialedFrom::RequestUri, DialedFrom::To, DialedFrom::PCalledPartyId, DialedFrom::Diversion];

/// The name is no part of a request that can hold the dialed number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("write \"request-uri\", \"to\", \"p-called-party-id\" or \"diversion\"")]
pub struct UnknownPart;

impl FromStr for DialedFrom {
    type Err = UnknownPart;

    fn from_str(text: &str) -> Result<Self, UnknownPart> {
        Ok(match text {
            "request-uri" => Self::RequestUri,
            "to" => Self::To,
            "p-called-party-id" => Self::PCalledPartyId,
            "diversion" => Self::Diversion,
            _ => return Err(UnknownPart),
        })
    }
}

/// What a request says, as texts: each a URI, a name-addr, or a user part. Lists are in the
/// order of the request.
#[derive(Debug, Clone, Copy, Default)]
pub struct DialedParts<'a> {
    /// The Request-URI.
    pub request_uri: &'a str,
    /// `To`.
    pub to: &'a str,
    /// `P-Called-Party-ID`.
    pub p_called_party_id: Option<&'a str>,
    /// The elements of `Diversion`.
    pub diversion: &'a [&'a str],
    /// The elements of `History-Info`.
    pub history_info: &'a [&'a str],
}

/// The numbers that may have been dialed, the likeliest first, each once.
pub fn candidates<'a>(
    parts: &'a DialedParts<'a>,
    order: &'a [DialedFrom],
    default_country: Country,
) -> impl Iterator<Item = E164> + 'a {
    let mut seen: Vec<E164> = Vec::new();
    order
        .iter()
        .flat_map(move |from| texts(parts, *from))
        .filter_map(move |text| normalise(text, default_country))
        .filter(move |number| {
            let new = !seen.contains(number);
            if new {
                seen.push(number.clone());
            }
            new
        })
}

fn texts<'a>(parts: &'a DialedParts<'a>, from: DialedFrom) -> Vec<&'a str> {
    match from {
        DialedFrom::RequestUri => vec![parts.request_uri],
        DialedFrom::To => vec![parts.to],
        DialedFrom::PCalledPartyId => parts.p_called_party_id.into_iter().collect(),
        // Each diverting hop adds its entry on top (RFC 5806 §5.1): the first is the last. History
        // entries are in the order of their index (RFC 7044 §5): the first is the first.
        // A network that has both may say the number in the newer one only.
        DialedFrom::Diversion => {
            let diversion = parts.diversion.iter().rev().copied().take(MAX_ENTRIES);
            diversion.chain(parts.history_info.iter().copied().take(MAX_ENTRIES)).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(parts: &DialedParts<'_>, order: &[DialedFrom]) -> Vec<String> {
        candidates(parts, order, "FR".parse().unwrap()).map(|number| number.as_str().to_owned()).collect()
    }

    #[test]
    fn parts_are_asked_in_the_trunks_order_and_repeats_left_out() {
        let parts = DialedParts {
            request_uri: "sip:0199000001@192.0.2.1",
            to: "<sip:+33199000001@192.0.2.1>;tag=x",
            p_called_party_id: Some("<tel:+33199000002>"),
            diversion: &[
                "<sip:+33199000004@h>;reason=no-answer",
                "<sip:+33199000003@h>;reason=unconditional",
            ],
            history_info: &["<sip:+33199000009@h>;index=1"],
        };
        assert_eq!(
            all(&parts, &DEFAULT_ORDER),
            ["+33199000001", "+33199000002", "+33199000003", "+33199000004", "+33199000009"]
        );
        assert_eq!(
            all(&parts, &[DialedFrom::Diversion, DialedFrom::To]),
            ["+33199000003", "+33199000004", "+33199000009", "+33199000001"]
        );
    }

    #[test]
    fn without_diversion_the_history_tells() {
        let parts = DialedParts {
            request_uri: "sip:agent@192.0.2.1",
            to: "sip:agent@h",
            history_info: &["<sip:+33199000005@h>;index=1", "<sip:agent@h>;index=1.1"],
            ..DialedParts::default()
        };
        assert_eq!(all(&parts, &DEFAULT_ORDER), ["+33199000005"]);
    }

    #[test]
    fn a_request_without_a_number_gives_none() {
        assert!(all(&DialedParts::default(), &DEFAULT_ORDER).is_empty());
    }
}
