//! Character classes and the few scans everything else is made of (RFC 3261 §25.1).

/// `token` characters.
const TOKEN: u8 = 1;
/// `host` characters of a name or an IPv4 address.
const HOST: u8 = 2;
/// What may stand in a URI, escapes included, before finer rules apply.
const URI: u8 = 4;
/// `user` without escapes: unreserved and user-unreserved.
const USER: u8 = 8;
/// `paramchar` without escapes: unreserved and param-unreserved. `hnv` may also hold a question mark.
const PARAM: u8 = 16;

const CLASS: [u8; 256] = classes();

#[allow(clippy::indexing_slicing, clippy::cast_possible_truncation)] // compile-time table over 0..=255
const fn classes() -> [u8; 256] {
    let mut table = [0u8; 256];
    let mut i = 0;
    while i < 256 {
        let c = i as u8;
        let alphanumeric = c.is_ascii_alphanumeric();
        let mark = matches!(c, b'-' | b'_' | b'.' | b'!' | b'~' | b'*' | b'\'' | b'(' | b')');
        if alphanumeric || matches!(c, b'-' | b'.' | b'!' | b'%' | b'*' | b'_' | b'+' | b'`' | b'\'' | b'~') {
            table[i] |= TOKEN;
        }
        // The underscore is not in the grammar of host names and is common in them all the same.
        if alphanumeric || matches!(c, b'-' | b'.' | b'_') {
            table[i] |= HOST;
        }
        if c > b' ' && c < 0x7f && !matches!(c, b'<' | b'>' | b'"') {
            table[i] |= URI;
        }
        if alphanumeric || mark || matches!(c, b'&' | b'=' | b'+' | b'$' | b',' | b';' | b'?' | b'/') {
            table[i] |= USER;
        }
        if alphanumeric || mark || matches!(c, b'[' | b']' | b'/' | b':' | b'&' | b'+' | b'$') {
            table[i] |= PARAM;
        }
        i += 1;
    }
    table
}

#[inline]
fn has(byte: u8, class: u8) -> bool {
    CLASS.get(usize::from(byte)).is_some_and(|c| c & class != 0)
}

#[inline]
pub(super) fn is_token_byte(byte: u8) -> bool {
    has(byte, TOKEN)
}

pub(super) fn is_token(bytes: &[u8]) -> bool {
    !bytes.is_empty() && bytes.iter().all(|&b| has(b, TOKEN))
}

#[inline]
pub(super) fn is_host_byte(byte: u8) -> bool {
    has(byte, HOST)
}

pub(super) fn is_uri_bytes(bytes: &[u8]) -> bool {
    bytes.iter().all(|&b| has(b, URI))
}

#[inline]
pub(super) fn is_user_byte(byte: u8) -> bool {
    has(byte, USER)
}

#[inline]
pub(super) fn is_param_byte(byte: u8) -> bool {
    has(byte, PARAM)
}

#[inline]
pub(super) fn is_lws(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

/// Without white space at either end. Folds are spaces by the time anything calls this.
pub(super) fn trim(mut bytes: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] = bytes {
        bytes = rest;
    }
    while let [rest @ .., b' ' | b'\t'] = bytes {
        bytes = rest;
    }
    bytes
}

/// Where `part` lies in `whole`; both must be the same memory, or the answer is `0..0`.
pub(super) fn range_in(whole: &[u8], part: &[u8]) -> std::ops::Range<usize> {
    let start = (part.as_ptr() as usize).wrapping_sub(whole.as_ptr() as usize);
    if start.checked_add(part.len()).is_some_and(|end| end <= whole.len()) {
        start..start + part.len()
    } else {
        0..0
    }
}

/// `bytes` begins with a quote: its inside (escapes kept) and what follows the closing quote.
pub(super) fn quoted_string(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let inside = bytes.strip_prefix(b"\"")?;
    let mut at = 0;
    loop {
        at += memchr::memchr2(b'"', b'\\', inside.get(at..)?)?;
        if inside.get(at) == Some(&b'"') {
            return Some((inside.get(..at)?, inside.get(at + 1..)?));
        }
        at += 2;
    }
}

/// `quoted-pair`s replaced by what they stand for.
pub(super) fn unescape_quoted(inside: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(inside.len());
    let mut bytes = inside.iter().copied();
    while let Some(byte) = bytes.next() {
        if byte == b'\\' {
            out.extend(bytes.next());
        } else {
            out.push(byte);
        }
    }
    out
}

/// Splits at the first `separator` outside quoted strings and angle brackets: the part before it, trimmed, and what
/// follows it, if there was one.
pub(super) fn split_outside(bytes: &[u8], separator: u8) -> (&[u8], Option<&[u8]>) {
    let mut at = 0;
    loop {
        let tail = bytes.get(at..).unwrap_or_default();
        let Some(found) = memchr::memchr3(separator, b'"', b'<', tail) else { return (trim(bytes), None) };
        let (before, from) = tail.split_at_checked(found).unwrap_or((tail, &[]));
        let inside = match from {
            [b'"', ..] => quoted_string(from).map(|(_, rest)| from.len() - rest.len()),
            [b'<', ..] => memchr::memchr(b'>', from).map(|close| close + 1),
            _ => return (trim(bytes.get(..at + found).unwrap_or_default()), from.get(1..)),
        };
        // What isn't closed goes on to the end.
        at += before.len() + inside.unwrap_or(from.len());
    }
}

/// A decimal number of up to nine digits more than fits is no number: RFC 3261 numbers are 32-bit at most.
pub(super) fn decimal<T: TryFrom<u64>>(bytes: &[u8]) -> Option<T> {
    if bytes.is_empty() {
        return None;
    }
    let mut value = 0u64;
    for &byte in bytes {
        if !byte.is_ascii_digit() {
            return None;
        }
        value = value.checked_mul(10)?.checked_add(u64::from(byte - b'0'))?;
    }
    T::try_from(value).ok()
}

/// Undoes `%HH`; a stray `%` stays as it is.
pub(super) fn unescape_percent(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let [byte, tail @ ..] = rest {
        if let (b'%', [high, low, after @ ..]) = (byte, tail)
            && let (Some(high), Some(low)) = (hex(*high), hex(*low))
        {
            out.push(high << 4 | low);
            rest = after;
        } else {
            out.push(*byte);
            rest = tail;
        }
    }
    out
}

pub(super) fn hex(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    }
}

/// Whether every byte satisfies `plain` or belongs to a well-formed `%HH`.
pub(super) fn all_or_escaped(bytes: &[u8], plain: impl Fn(u8) -> bool) -> bool {
    let mut rest = bytes;
    loop {
        rest = match rest {
            [] => return true,
            [b'%', high, low, tail @ ..] if hex(*high).is_some() && hex(*low).is_some() => tail,
            [byte, tail @ ..] if plain(*byte) => tail,
            _ => return false,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quoted_strings_end_at_the_first_quote_that_is_not_escaped() {
        assert_eq!(quoted_string(br#""a\"b" <x>"#), Some((&br#"a\"b"#[..], &b" <x>"[..])));
        assert_eq!(quoted_string(br#""a\\" x"#), Some((&br"a\\"[..], &b" x"[..])));
        assert_eq!(quoted_string(br#""open"#), None);
        assert_eq!(quoted_string(br#""open\"#), None);
        assert_eq!(quoted_string(br#""open\""#), None);
        assert_eq!(quoted_string(b"x"), None);
        assert_eq!(unescape_quoted(br#"a\"b\\"#), br#"a"b\"#);
    }

    #[test]
    fn separators_inside_quotes_and_brackets_do_not_split() {
        let (first, rest) = split_outside(br#" "a,b" <sip:x,y> ,c"#, b',');
        assert_eq!(first, br#""a,b" <sip:x,y>"#);
        assert_eq!(rest, Some(&b"c"[..]));
        assert_eq!(split_outside(br#""a,b"#, b','), (&br#""a,b"#[..], None));
        assert_eq!(split_outside(b"<a,b", b','), (&b"<a,b"[..], None));
    }

    #[test]
    fn numbers_beyond_their_type_are_no_numbers() {
        assert_eq!(decimal::<u32>(b"4294967295"), Some(u32::MAX));
        assert_eq!(decimal::<u32>(b"4294967296"), None);
        assert_eq!(decimal::<u16>(b"65536"), None);
        assert_eq!(decimal::<u64>(b"18446744073709551616"), None);
        assert_eq!(decimal::<u32>(b"00000000000000000000000000000000068"), Some(68));
        for bad in [&b""[..], b"-1", b"+1", b" 1", b"1 ", b"1a"] {
            assert_eq!(decimal::<u32>(bad), None);
        }
    }

    #[test]
    fn percent_escapes_are_undone_and_checked() {
        assert_eq!(unescape_percent(b"a%00%4Ab%zz%"), b"a\0Jb%zz%");
        assert!(all_or_escaped(b"a%4ab", |b| b.is_ascii_alphabetic()));
        assert!(!all_or_escaped(b"a%4", |b| b.is_ascii_alphabetic()));
        assert!(!all_or_escaped(b"a%zz", |b| b.is_ascii_alphabetic()));
    }

    #[test]
    fn a_part_is_found_only_in_its_own_whole() {
        let whole = b"hello";
        assert_eq!(range_in(whole, &whole[1..3]), 1..3);
        assert_eq!(range_in(whole, &whole[5..]), 5..5);
        assert_eq!(range_in(&whole[..2], &whole[3..]), 0..0);
    }
}
