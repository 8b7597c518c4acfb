//! What a trace doesn't hold: keys pressed, and what passwords and media keys could be had from.
//! Lengths stay, so that what is kept is still a message.

use super::scan::{Parts, contains};

/// What stands for a hidden character. Not one of a keypad's, nor of base64 or hexadecimal.
const HIDDEN: u8 = b'.';

/// Masks a message in place. With `digits` also the keys in the body of an INFO.
pub(super) fn apply(bytes: &mut [u8], parts: &Parts, digits: bool) {
    for field in &parts.fields {
        let Some(name) = bytes.get(field.name.clone()) else { continue };
        let answer = [&b"Authorization"[..], b"Proxy-Authorization", b"Authentication-Info"];
        if answer.iter().any(|known| name.eq_ignore_ascii_case(known))
            && let Some(value) = bytes.get_mut(field.value.clone())
        {
            credentials(value);
        }
    }
    let is_info = bytes.get(parts.start.clone()).is_some_and(|line| line.starts_with(b"INFO "));
    let kind = parts.value(bytes, "Content-Type", "c").unwrap_or_default().to_ascii_lowercase();
    let Some(body) = bytes.get_mut(parts.body.clone()) else { return };
    // RFC 4568 §6.1: `inline:` is followed by the key in clear.
    hide_after(body, b"inline:", |b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/' | b'='));
    if is_info && digits {
        keys(body, &kind);
    }
}

/// The answer to a challenge: from it, the nonce and a guess the password can be found off line.
/// Schemes other than digest hold the password itself.
fn credentials(value: &mut [u8]) {
    let lead = value.len() - value.trim_ascii_start().len();
    let trimmed = value.get_mut(lead..).unwrap_or_default();
    let digest = trimmed.get(..6).is_some_and(|scheme| scheme.eq_ignore_ascii_case(b"digest"));
    // Authentication-Info has no scheme.
    let scheme_free = contains(trimmed, b"rspauth") || contains(trimmed, b"nextnonce");
    if digest || scheme_free {
        let secret = |b: u8| !matches!(b, b'"' | b',' | b'\r' | b'\n');
        for name in [&b"response"[..], b"rspauth"] {
            hide_parameter(trimmed, name, secret);
        }
        return;
    }
    let scheme = trimmed.iter().position(|b| matches!(b, b' ' | b'\t')).unwrap_or(0);
    for byte in trimmed.iter_mut().skip(scheme).filter(|b| !b.is_ascii_whitespace()) {
        *byte = HIDDEN;
    }
}

/// Hides the value of every parameter with this name: `name="value"`, white space allowed.
fn hide_parameter(text: &mut [u8], name: &[u8], secret: impl Fn(u8) -> bool) {
    let mut at = 0;
    while let Some(found) = find(text, name, at) {
        at = found + name.len();
        let begins =
            found == 0 || text.get(found - 1).is_some_and(|b| matches!(b, b' ' | b'\t' | b',' | b'\n'));
        let rest = text.get(at..).unwrap_or_default();
        let gap = rest.iter().take_while(|b| b.is_ascii_whitespace()).count();
        if !begins || rest.get(gap) != Some(&b'=') {
            continue;
        }
        let after = rest.get(gap + 1..).unwrap_or_default();
        let skipped = after.iter().take_while(|b| b.is_ascii_whitespace() || **b == b'"').count();
        let value = text.get_mut(at + gap + 1 + skipped..).unwrap_or_default();
        value.iter_mut().take_while(|b| secret(**b)).for_each(|b| *b = HIDDEN);
    }
}

fn hide_after(text: &mut [u8], mark: &[u8], secret: impl Fn(u8) -> bool) {
    let mut at = 0;
    while let Some(found) = find(text, mark, at) {
        at = found + mark.len();
        let value = text.get_mut(at..).unwrap_or_default();
        value.iter_mut().take_while(|b| secret(**b)).for_each(|b| *b = HIDDEN);
    }
}

fn find(text: &[u8], wanted: &[u8], from: usize) -> Option<usize> {
    let rest = text.get(from..)?;
    let first = wanted.first()?.to_ascii_lowercase();
    // The first byte alone rules nearly every place out.
    let here = |window: &[u8]| {
        window.first().is_some_and(|byte| byte.to_ascii_lowercase() == first)
            && window.eq_ignore_ascii_case(wanted)
    };
    rest.windows(wanted.len()).position(here).map(|at| from + at)
}

/// The keys in an INFO. Of a body in a form that isn't known every digit is hidden.
fn keys(body: &mut [u8], kind: &[u8]) {
    let visible = |b: &u8| matches!(b, b'\r' | b'\n' | b' ' | b'\t');
    if kind.starts_with(b"application/dtmf-relay") {
        hide_parameter(body, b"Signal", |b| !matches!(b, b'\r' | b'\n'));
    } else if kind.starts_with(b"application/dtmf") {
        body.iter_mut().filter(|b| !visible(b)).for_each(|b| *b = HIDDEN);
    } else {
        body.iter_mut().filter(|b| b.is_ascii_digit()).for_each(|b| *b = HIDDEN);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::scan::parts;

    fn masked(text: &str) -> String {
        let mut bytes = text.as_bytes().to_vec();
        let parts = parts(&bytes);
        apply(&mut bytes, &parts, true);
        assert_eq!(bytes.len(), text.len());
        String::from_utf8(bytes).unwrap()
    }

    fn info(kind: &str, body: &str) -> String {
        let text = format!("INFO sip:1234@h SIP/2.0\r\nCSeq: 42 INFO\r\nContent-Type: {kind}\r\n\r\n{body}");
        let masked = masked(&text);
        assert!(masked.starts_with("INFO sip:1234@h SIP/2.0\r\nCSeq: 42 INFO\r\n"));
        masked.split_once("\r\n\r\n").unwrap().1.to_owned()
    }

    #[test]
    fn keys_in_info_are_hidden_whatever_the_body() {
        assert_eq!(
            info("application/dtmf-relay", "Signal=5\r\nDuration=160\r\n"),
            "Signal=.\r\nDuration=160\r\n"
        );
        assert_eq!(info("Application/DTMF-Relay", "signal = 11\nDuration=9"), "signal = ..\nDuration=9");
        assert_eq!(info("application/dtmf-relay", "Signal=*\r\nSignal=#"), "Signal=.\r\nSignal=.");
        assert_eq!(info("application/dtmf", "4111#\r\n"), ".....\r\n");
        assert_eq!(info("application/vnd.nortelnetworks.digits", "p=Digit\r\nd=7"), "p=Digit\r\nd=.");
    }

    #[test]
    fn keys_stay_when_the_operator_asks_for_them() {
        let text = b"INFO sip:a SIP/2.0\r\nContent-Type: application/dtmf\r\n\r\n5";
        let mut bytes = text.to_vec();
        apply(&mut bytes, &parts(text), false);
        assert_eq!(bytes, text);
    }

    #[test]
    fn answers_to_challenges_are_hidden_and_challenges_are_not() {
        let text = "REGISTER sip:a SIP/2.0\r\nAuthorization: Digest username=\"u\", nonce=\"n1\", uri=\"sip:a\",\r\n \
                    response = \"0a1b2c\", cnonce=\"c\", qop=auth, nc=00000001\r\nProxy-Authorization: Basic dTpw\r\n\
                    Authentication-Info: rspauth=\"ff00\", cnonce=\"c\"\r\nWWW-Authenticate: Digest nonce=\"n\"\r\n\r\n";
        let masked = masked(text);
        for hidden in ["0a1b2c", "dTpw", "ff00"] {
            assert!(!masked.contains(hidden), "{masked}");
        }
        for kept in
            ["username=\"u\"", "response = \"......\"", "nonce=\"n1\"", "Basic ....", "Digest nonce=\"n\""]
        {
            assert!(masked.contains(kept), "{masked}");
        }
    }

    #[test]
    fn media_keys_are_hidden() {
        let masked = masked(
            "INVITE sip:a SIP/2.0\r\nc: application/sdp\r\n\r\na=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:d0RmdmcmVCspeEc3QGZiNWpVLFJhQX1cfHAwJSoj|2^20|1:32\r\n",
        );
        assert!(masked.contains("inline:................") && masked.contains("|2^20|1:32"), "{masked}");
    }

    #[test]
    fn a_session_description_stays_as_it_is() {
        let text = "INVITE sip:a SIP/2.0\r\nc: application/sdp\r\n\r\nv=0\r\no=- 1 1 IN IP4 192.0.2.1\r\nm=audio 4000 RTP/AVP 8\r\n";
        assert_eq!(masked(text), text);
    }
}
