//! What people we call see of who calls: the header fields of an INVITE by the trunk's rules.
//!
//! RFC 3261 §20.20 (From), RFC 3325 (P-Asserted-Identity, P-Preferred-Identity), RFC 3323
//! (Privacy), and Remote-Party-ID, which came before them.

use bytes::Bytes;
use sip::message::{HeaderName, NameAddr, Uri};

use crate::config::{self, ShownIdentity};

/// The longest name or number that is sent, in characters.
const LONGEST: usize = 128;

/// Who is to be shown.
#[derive(Debug, Clone, Copy, Default)]
pub struct Caller<'a> {
    /// The number, as E.164 or as the carrier knows it; without one the trunk's `caller_id`.
    pub number: Option<&'a str>,
    /// A name for it, from outside as it is.
    pub name: Option<&'a str>,
}

/// The header fields.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdentityHeaders {
    /// The value of `From`, without a tag.
    pub from: String,
    /// What else there is to say.
    pub headers: Vec<(HeaderName, Bytes)>,
}

/// What a call on this trunk says of its caller. `host` stands where the trunk has no domain of
/// its own: our address. An anonymous call keeps its number only where the carrier needs it, with
/// the wish to hide it from the person called.
#[must_use]
pub fn identity_headers(
    trunk: &config::Trunk,
    caller: Caller<'_>,
    anonymous: bool,
    host: &str,
) -> IdentityHeaders {
    let identity = &trunk.identity;
    let domain = identity.from_domain.as_deref().unwrap_or(host);
    let account = Uri::sip(Some(&identity.from_user), domain, None);
    let number = caller.number.or(identity.caller_id.as_deref()).map(cleaned).filter(|n| !n.is_empty());
    let shown =
        number.as_ref().map_or_else(|| account.clone(), |number| Uri::sip(Some(number), domain, None));
    let name = caller.name.map(cleaned).filter(|name| !name.is_empty());
    let named = |uri: &Uri, name: Option<&str>| NameAddr::new(name, uri);
    let in_from = identity.caller_id_in.contains(&ShownIdentity::From);
    let from = match (anonymous, in_from) {
        // RFC 3323 §4.1.1.3.
        (true, _) => named(&Uri::sip(Some("anonymous"), "anonymous.invalid", None), Some("Anonymous")),
        (false, true) => named(&shown, name.as_deref()),
        (false, false) => named(&account, name.as_deref()),
    };
    let mut headers = Vec::new();
    let mut add = |name, value: &NameAddr| headers.push((name, Bytes::copy_from_slice(value.raw())));
    // Without a number the account in `From` says it all; of an anonymous caller only this does.
    let asserted = number.is_some() || anonymous;
    for place in identity.caller_id_in.iter().filter(|_| asserted) {
        let value = named(&shown, name.as_deref().filter(|_| !anonymous));
        match place {
            ShownIdentity::From => {}
            ShownIdentity::PAssertedIdentity => add(HeaderName::PAssertedIdentity, &value),
            ShownIdentity::PPreferredIdentity => add(HeaderName::PPreferredIdentity, &value),
            ShownIdentity::RemotePartyId => {
                let privacy = if anonymous { "full" } else { "off" };
                let value = value.with_param("party", "calling").with_param("screen", "no");
                add(HeaderName::RemotePartyId, &value.with_param("privacy", privacy));
            }
        }
    }
    if anonymous {
        // RFC 3325 §9.3: `id` hides the asserted identity from whoever isn't trusted.
        headers.push((HeaderName::Privacy, Bytes::from_static(b"id")));
    }
    IdentityHeaders { from: String::from_utf8_lossy(from.raw()).into_owned(), headers }
}

/// A text from outside without what no header has room for. The builders escape the rest.
fn cleaned(text: &str) -> String {
    let inert = text.chars().filter(|character| !character.is_control()).take(LONGEST);
    inert.collect::<String>().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, Overrides};

    fn trunk(keys: &str) -> config::Trunk {
        let text = format!(
            "[[trunk]]\nname = \"t\"\nmode = \"register\"\nregistrar = \"sip.example.com\"\n\
             username = \"33123456789\"\n{keys}"
        );
        let loaded = Config::from_toml(&text, None, &Overrides::default(), &|_| None).unwrap();
        loaded.config.trunks[0].clone()
    }

    fn shown(trunk: &config::Trunk, caller: Caller<'_>, anonymous: bool) -> Vec<String> {
        let made = identity_headers(trunk, caller, anonymous, "203.0.113.7");
        let text = |bytes: &Bytes| String::from_utf8(bytes.to_vec()).unwrap();
        let others = made.headers.iter().map(|(name, value)| format!("{name}: {}", text(value)));
        std::iter::once(format!("From: {}", made.from)).chain(others).collect()
    }

    #[test]
    fn by_default_the_number_stands_in_from_and_is_asserted() {
        let caller = Caller { number: Some("+33199000001"), name: Some("Mme \"Gogny\"") };
        assert_eq!(
            shown(&trunk(""), caller, false),
            [
                "From: \"Mme \\\"Gogny\\\"\" <sip:+33199000001@sip.example.com>",
                "P-Asserted-Identity: \"Mme \\\"Gogny\\\"\" <sip:+33199000001@sip.example.com>",
            ]
        );
        let trunk = trunk("caller_id = \"+33100000000\"\n");
        assert_eq!(shown(&trunk, Caller::default(), false)[0], "From: <sip:+33100000000@sip.example.com>");
    }

    #[test]
    fn a_trunk_may_want_its_account_in_from_and_the_number_elsewhere() {
        let trunk = trunk("caller_id_in = [\"p_preferred_identity\", \"remote_party_id\"]\n");
        let caller = Caller { number: Some("+33199000001"), name: None };
        assert_eq!(
            shown(&trunk, caller, false),
            [
                "From: <sip:33123456789@sip.example.com>",
                "P-Preferred-Identity: <sip:+33199000001@sip.example.com>",
                "Remote-Party-ID: <sip:+33199000001@sip.example.com>;party=calling;screen=no;privacy=off",
            ]
        );
    }

    #[test]
    fn an_anonymous_call_shows_its_number_to_the_carrier_alone() {
        let trunk = trunk("caller_id_in = [\"from\", \"p_asserted_identity\", \"remote_party_id\"]\n");
        let caller = Caller { number: Some("+33199000001"), name: Some("Mme Gogny") };
        let shown = shown(&trunk, caller, true);
        assert_eq!(
            shown,
            [
                "From: \"Anonymous\" <sip:anonymous@anonymous.invalid>",
                "P-Asserted-Identity: <sip:+33199000001@sip.example.com>",
                "Remote-Party-ID: <sip:+33199000001@sip.example.com>;party=calling;screen=no;privacy=full",
                "Privacy: id",
            ]
        );
        assert!(!shown.iter().any(|line| line.contains("Gogny")));
    }

    #[test]
    fn names_and_numbers_from_outside_stay_within_their_quotes() {
        let evil = [
            "\"\r\nX-Evil: 1",
            "a\nb",
            "a\0b",
            "\\",
            "\\\"",
            ">;tag=1",
            "\u{2028}\u{85}",
            "@evil.example;x=",
            "%0d%0aX: 1",
            "",
        ];
        for text in evil {
            for keys in ["", "caller_id_in = [\"p_asserted_identity\", \"remote_party_id\"]\n"] {
                for anonymous in [false, true] {
                    let caller = Caller { number: Some(text), name: Some(text) };
                    for line in shown(&trunk(keys), caller, anonymous) {
                        assert!(!line.chars().any(char::is_control), "{line:?}");
                        let value = line.split_once(": ").unwrap().1;
                        if value == "id" {
                            continue;
                        }
                        let read = sip::message::NameAddr::parse(value.as_bytes()).unwrap();
                        assert!(
                            matches!(
                                read.uri.host().unwrap().to_string().as_str(),
                                "sip.example.com" | "anonymous.invalid"
                            ),
                            "{line}"
                        );
                        assert!(read.tag().is_none(), "{line}");
                    }
                }
            }
        }
    }
}
