//! Comparing URIs (RFC 3261 §19.1.4, RFC 3966 §5).

use super::{Scheme, Uri};
use crate::message::lex;

impl PartialEq for Uri {
    fn eq(&self, other: &Uri) -> bool {
        self.scheme == other.scheme
            && match self.scheme {
                Scheme::Sip | Scheme::Sips => sip(self, other),
                Scheme::Tel => tel(self, other),
                // Unknown schemes have rules of their own; without them only the same text is surely the same.
                Scheme::Other => self.raw == other.raw,
            }
    }
}

fn sip(a: &Uri, b: &Uri) -> bool {
    a.host == b.host
        && a.port == b.port
        && same_text(a.user(), b.user())
        && same_text(a.password(), b.password())
        && params_agree(a, b)
        && params_agree(b, a)
        && headers_within(a, b)
        && headers_within(b, a)
}

/// A parameter of both must agree; these, when only one has them, make a difference. Of a name that stands twice, against
/// the rules, each value must be found on the other side.
fn params_agree(a: &Uri, b: &Uri) -> bool {
    const SPECIAL: [&[u8]; 5] = [b"user", b"ttl", b"method", b"maddr", b"transport"];
    a.param_pairs().all(|(name, value)| {
        let mut values =
            b.param_pairs().filter(|(other, _)| same_no_case(name, other)).map(|(_, v)| v).peekable();
        match values.peek() {
            Some(_) => values.any(|other| same_no_case(value.unwrap_or_default(), other.unwrap_or_default())),
            None => !SPECIAL.iter().any(|special| name.eq_ignore_ascii_case(special)),
        }
    })
}

fn headers_within(a: &Uri, b: &Uri) -> bool {
    a.header_pairs().all(|(name, value)| {
        b.header_pairs().any(|(other, other_value)| {
            same_no_case(name, other) && same_text(Some(value), Some(other_value))
        })
    })
}

/// RFC 3966 §5: visual separators don't count, letters have no case, parameters must be the same in any order.
fn tel(a: &Uri, b: &Uri) -> bool {
    let digits = |uri: &Uri| -> Vec<u8> {
        let number = uri.user().unwrap_or_default();
        number
            .iter()
            .filter(|b| !matches!(b, b'-' | b'.' | b'(' | b')'))
            .map(u8::to_ascii_lowercase)
            .collect()
    };
    let within = |a: &Uri, b: &Uri| {
        a.param_pairs().all(|(name, value)| {
            b.param_pairs().any(|(other, other_value)| {
                same_no_case(name, other)
                    && same_no_case(value.unwrap_or_default(), other_value.unwrap_or_default())
            })
        })
    };
    digits(a) == digits(b) && within(a, b) && within(b, a)
}

fn same_text(a: Option<&[u8]>, b: Option<&[u8]>) -> bool {
    match (a, b) {
        (Some(a), Some(b)) => a == b || normal(a).eq(normal(b)),
        (None, None) => true,
        _ => false,
    }
}

fn same_no_case(a: &[u8], b: &[u8]) -> bool {
    let lower = |unit: Unit| match unit {
        Unit::Plain(byte) => Unit::Plain(byte.to_ascii_lowercase()),
        escaped => escaped,
    };
    a.eq_ignore_ascii_case(b) || normal(a).map(lower).eq(normal(b).map(lower))
}

#[derive(PartialEq)]
enum Unit {
    Plain(u8),
    Escaped(u8),
}

/// An escape equals the character it stands for, unless that is a reserved one.
fn normal(bytes: &[u8]) -> impl Iterator<Item = Unit> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let (byte, tail) = rest.split_first()?;
        if let (b'%', [high, low, after @ ..]) = (byte, tail)
            && let (Some(high), Some(low)) = (lex::hex(*high), lex::hex(*low))
        {
            rest = after;
            let byte = high << 4 | low;
            let unreserved = byte.is_ascii_alphanumeric()
                || matches!(byte, b'-' | b'_' | b'.' | b'!' | b'~' | b'*' | b'\'' | b'(' | b')');
            return Some(if unreserved { Unit::Plain(byte) } else { Unit::Escaped(byte) });
        }
        rest = tail;
        Some(Unit::Plain(*byte))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn same(a: &str, b: &str) -> bool {
        let (a, b) = (Uri::parse(a.as_bytes()).unwrap(), Uri::parse(b.as_bytes()).unwrap());
        let (forth, back) = (a == b, b == a);
        assert_eq!(forth, back, "{a} and {b}");
        forth
    }

    #[test]
    fn the_equivalent_pairs_of_rfc_3261_are_equal() {
        assert!(same("sip:%61lice@atlanta.com;transport=TCP", "sip:alice@AtLanTa.CoM;Transport=tcp"));
        assert!(same("sip:carol@chicago.com", "sip:carol@chicago.com;newparam=5"));
        assert!(same("sip:carol@chicago.com", "sip:carol@chicago.com;security=on"));
        assert!(same("sip:carol@chicago.com;a=1;a=2", "sip:carol@chicago.com;a=2;a=1"));
        assert!(same(
            "sip:alice@atlanta.com?subject=project%20x&priority=urgent",
            "sip:alice@atlanta.com?priority=urgent&subject=project%20x"
        ));
        assert!(same(
            "sip:biloxi.com;transport=tcp;method=REGISTER?to=sip:bob%40biloxi.com",
            "sip:biloxi.com;method=REGISTER;transport=tcp?to=sip:bob%40biloxi.com"
        ));
    }

    #[test]
    fn the_different_pairs_of_rfc_3261_differ() {
        assert!(!same("SIP:ALICE@AtLanTa.CoM;Transport=udp", "sip:alice@AtLanTa.CoM;Transport=UDP"));
        assert!(!same("sip:bob@biloxi.com", "sip:bob@biloxi.com:5060"));
        assert!(!same("sip:bob@biloxi.com", "sip:bob@biloxi.com;transport=udp"));
        assert!(!same("sip:bob@biloxi.com", "sip:bob@biloxi.com:6000;transport=tcp"));
        assert!(!same("sip:carol@chicago.com", "sip:carol@chicago.com?Subject=next%20meeting"));
        assert!(!same("sip:bob@phone21.boxesbybob.com", "sip:bob@192.0.2.4"));
        assert!(!same("sip:carol@chicago.com;security=on", "sip:carol@chicago.com;security=off"));
        assert!(!same("sip:a@host", "sips:a@host"));
        assert!(!same("sip:a%3bb@host", "sip:a;b@host"));
    }

    #[test]
    fn tel_numbers_compare_without_separators() {
        assert!(same("tel:+1-201-555-0123", "tel:+12015550123"));
        assert!(same("tel:7042;phone-context=EXAMPLE.com", "TEL:7042;phone-context=example.com"));
        assert!(!same("tel:+12015550123", "tel:12015550123"));
        assert!(!same("tel:7042;phone-context=a.example", "tel:7042;phone-context=b.example"));
    }
}
