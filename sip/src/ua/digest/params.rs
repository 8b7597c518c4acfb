//! The syntax that challenges and credentials share: schemes, each with parameters (RFC 7235
//! §2.1), several of them possibly in one header value.

use smallvec::SmallVec;

use super::{MAX_VALUE, Malformation};

const MAX_SCHEMES: usize = 16;
const MAX_PARAMS: usize = 32;

/// One parameter. The value is as it stands between the quotes, backslashes included.
#[derive(Debug, Clone, Copy)]
pub(super) struct Param<'a> {
    pub name: &'a [u8],
    pub value: &'a [u8],
}

/// One scheme with its parameters.
#[derive(Debug)]
pub(super) struct Scheme<'a> {
    pub name: &'a [u8],
    params: SmallVec<[Param<'a>; 12]>,
}

impl<'a> Scheme<'a> {
    pub fn is_digest(&self) -> bool {
        self.name.eq_ignore_ascii_case(b"Digest")
    }

    /// The raw value of a parameter. A repeated one is an error: two readers could take
    /// different ones.
    pub fn get(&self, name: &str) -> Result<Option<&'a [u8]>, Malformation> {
        let mut found = self.params.iter().filter(|p| p.name.eq_ignore_ascii_case(name.as_bytes()));
        let first = found.next();
        if found.next().is_some() {
            return Err(Malformation::Repeated);
        }
        Ok(first.map(|p| p.value))
    }

    pub fn require(&self, name: &'static str) -> Result<&'a [u8], Malformation> {
        self.get(name)?.ok_or(Malformation::Missing(name))
    }
}

/// Reads a header value into its schemes.
pub(super) fn schemes(value: &[u8]) -> Result<SmallVec<[Scheme<'_>; 2]>, Malformation> {
    if value.len() > MAX_VALUE {
        return Err(Malformation::TooLong);
    }
    let mut rest = Cursor(value);
    let mut schemes: SmallVec<[Scheme<'_>; 2]> = SmallVec::new();
    loop {
        rest.skip(|b| is_space(b) || b == b',');
        if rest.0.is_empty() {
            return Ok(schemes);
        }
        let name = rest.take_while(is_token);
        if name.is_empty() {
            return Err(Malformation::Syntax);
        }
        rest.skip(is_space);
        if rest.eat(b'=') {
            rest.skip(is_space);
            let value = rest.value()?;
            let params = &mut schemes.last_mut().ok_or(Malformation::Syntax)?.params;
            if params.len() == MAX_PARAMS {
                return Err(Malformation::TooMany);
            }
            params.push(Param { name, value });
        } else {
            if schemes.len() == MAX_SCHEMES {
                return Err(Malformation::TooMany);
            }
            schemes.push(Scheme { name, params: SmallVec::new() });
        }
    }
}

/// Takes the backslashes out of a raw quoted value.
pub(super) fn unescape(raw: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(raw.len());
    let mut bytes = raw.iter();
    while let Some(&byte) = bytes.next() {
        match byte {
            b'\\' => out.extend(bytes.next()),
            _ => out.push(byte),
        }
    }
    out
}

/// Puts backslashes in so that any text can stand between quotes.
pub(super) fn escape(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    for &byte in text {
        if matches!(byte, b'"' | b'\\') {
            out.push(b'\\');
        }
        out.push(byte);
    }
    out
}

struct Cursor<'a>(&'a [u8]);

impl<'a> Cursor<'a> {
    fn take_while(&mut self, wanted: impl Fn(u8) -> bool) -> &'a [u8] {
        let end = self.0.iter().position(|b| !wanted(*b)).unwrap_or(self.0.len());
        let (taken, rest) = self.0.split_at(end);
        self.0 = rest;
        taken
    }

    fn skip(&mut self, unwanted: impl Fn(u8) -> bool) {
        self.take_while(unwanted);
    }

    fn eat(&mut self, byte: u8) -> bool {
        match self.0.split_first() {
            Some((first, rest)) if *first == byte => {
                self.0 = rest;
                true
            }
            _ => false,
        }
    }

    fn value(&mut self) -> Result<&'a [u8], Malformation> {
        if !self.eat(b'"') {
            return Ok(self.take_while(|b| !is_space(b) && b != b','));
        }
        let mut escaped = false;
        for (at, byte) in self.0.iter().enumerate() {
            match byte {
                b'"' if !escaped => {
                    let (value, rest) = self.0.split_at(at);
                    self.0 = rest;
                    self.eat(b'"');
                    return Ok(value);
                }
                b'\\' if !escaped => escaped = true,
                0..=8 | 10..=31 | 127 => return Err(Malformation::Quoting),
                _ => escaped = false,
            }
        }
        Err(Malformation::Quoting)
    }
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}

/// RFC 3261 §25.1 `token`, with the `/` that turns up in `token68` credentials of other schemes.
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-.!%*_+`'~/$&^|#".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_schemes_in_one_value_are_told_apart() {
        let value = br#"Basic realm="a", Digest realm="b, c", nonce=abc ,qop="auth,auth-int"; NTLM"#;
        assert!(schemes(value).is_err(), "';' is no separator here");
        let value =
            br#"Basic realm="a", Digest realm="b, c", nonce = abc ,qop="auth,auth-int",, NTLM TlRM=="#;
        let found = schemes(value).unwrap();
        assert_eq!(found.len(), 3);
        assert!(found[1].is_digest());
        assert_eq!(found[1].get("REALM").unwrap(), Some(&b"b, c"[..]));
        assert_eq!(found[1].get("nonce").unwrap(), Some(&b"abc"[..]));
        assert_eq!(found[1].get("opaque").unwrap(), None);
    }

    #[test]
    fn broken_values_are_refused_and_never_panic() {
        for (value, error) in [
            (&br#"Digest realm="open"#[..], Malformation::Quoting),
            (b"Digest realm=\"a\\\"", Malformation::Quoting),
            (b"Digest realm=\"a\r\nVia: x\"", Malformation::Quoting),
            (b"realm=\"a\"", Malformation::Syntax),
            (b"\"Digest\"", Malformation::Syntax),
        ] {
            assert_eq!(schemes(value).unwrap_err(), error);
        }
        assert_eq!(schemes(&vec![b'a'; MAX_VALUE + 1]).unwrap_err(), Malformation::TooLong);
        assert_eq!(schemes(&b"Digest ".repeat(40)).unwrap_err(), Malformation::TooMany);
        let many = [&b"Digest "[..], &b"a=b,".repeat(40)].concat();
        assert_eq!(schemes(&many).unwrap_err(), Malformation::TooMany);
    }

    #[test]
    fn repeated_parameters_are_refused() {
        let found = schemes(b"Digest nonce=a, Nonce=b").unwrap();
        assert_eq!(found[0].get("nonce"), Err(Malformation::Repeated));
    }

    #[test]
    fn escaping_round_trips() {
        let text = br#"a"b\c"#;
        assert_eq!(unescape(&escape(text)), text);
        assert_eq!(unescape(b"ends with \\"), b"ends with ");
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(value: Vec<u8>) {
            let _ = schemes(&value);
        }

        #[test]
        fn any_bytes_after_a_scheme_are_read_or_refused(value in "Digest ([a-z]{1,3}=\"?[ -~]{0,6}\"?,? ?){0,5}") {
            let _ = schemes(value.as_bytes());
        }
    }
}
