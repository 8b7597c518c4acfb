//! Digest: headers that crashed a server, answers given to anybody who asks, loops of challenges.

use std::time::{Duration, Instant};

const SOURCE: std::net::IpAddr = std::net::IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 10));

use sip::ua::digest::{
    Authenticator, Authorization, Challenger, Client, Credentials, DigestError, Password, Rejection,
    RequestLine, ServerKey,
};

use crate::memory::taken;
use crate::rig::{Caller, Rig, response};

fn client(realm: Option<&str>) -> Client {
    let realm = realm.map(str::to_owned);
    Client::new(Credentials { username: "bob".to_owned(), password: Password::new("zanzibar"), realm })
}

fn challenge(text: &str) -> [(Challenger, &[u8]); 1] {
    [(Challenger::Proxy, text.as_bytes())]
}

/// CVE-2023-28098 (OpenSIPS): a parameter name at the very end of an Authorization header was read beyond it.
#[test]
fn cve_2023_28098_credentials_that_end_anywhere() {
    const WHOLE: &str = r#"Digest username="bob", realm="example.com", nonce="n\"n", uri="sip:a@b", qop=auth, nc=00000001, cnonce="c", response="00112233445566778899aabbccddeeff", algorithm=MD5, opaque=""#;
    for length in 0..=WHOLE.len() {
        let (_, bytes, read) = taken(|| Authorization::parse(&WHOLE.as_bytes()[..length]));
        assert!(bytes < 20_000, "{bytes}");
        if let Ok(read) = read {
            assert!(refused(&read), "{}", &WHOLE[..length]);
        }
        let _ = client(None).on_challenges(challenge(&WHOLE[..length]));
    }
    for tail in [
        "u",
        "username",
        "username=",
        "username =",
        "=",
        ",,,,",
        "\"",
        "Digest",
        "Digest ",
        "Digest Digest",
        "\\",
    ] {
        let (_, bytes, _) = taken(|| Authorization::parse(tail.repeat(3_000).as_bytes()).is_ok());
        assert!(bytes < 200_000, "{bytes} for {tail}");
    }
}

fn refused(answer: &Authorization) -> bool {
    let epoch = Instant::now();
    let mut server = Authenticator::new("example.com", ServerKey::new([1; 32]), epoch);
    let line = RequestLine { method: b"INVITE", uri: b"sip:a@b", source: SOURCE };
    server.verify(answer, line, Some(&Password::new("zanzibar")), epoch).is_err()
}

/// CVE-2025-57767 (Asterisk): an answer for a realm that nobody had asked for.
#[test]
fn cve_2025_57767_credentials_for_another_realm() {
    let epoch = Instant::now();
    let mut server = Authenticator::new("example.com", ServerKey::new([1; 32]), epoch);
    for realm in ["", "other.example", "EXAMPLE.COM", "example.com "] {
        let value = format!(
            "Digest username=\"bob\", realm=\"{realm}\", nonce=\"n\", uri=\"sip:a@b\", qop=auth, nc=00000001, cnonce=\"c\", response=\"0\""
        );
        let answer = Authorization::parse(value.as_bytes()).unwrap();
        let line = RequestLine { method: b"INVITE", uri: b"sip:a@b", source: SOURCE };
        assert_eq!(server.verify(&answer, line, None, epoch), Err(Rejection::NotOurs), "{realm:?}");
    }
    // Nor does one that comes unasked disturb the endpoint.
    let mut rig = Rig::new();
    let mut caller = Caller::new(1);
    caller.extra =
        "Authorization: Digest realm=\"x\"\r\nProxy-Authorization: Digest\r\nAuthorization:\r\n".to_owned();
    let invite = caller.invite("");
    rig.give(&invite);
    assert_eq!(rig.one().what(), "100");
}

/// CVE-2021-41158 (FreeSWITCH): whoever was called could ask for the digest of the gateway's password.
#[test]
fn cve_2021_41158_only_the_configured_realm_is_answered() {
    let mut ours = client(Some("carrier.example"));
    for other in ["evil.example", "carrier.example.evil.example", "CARRIER.EXAMPLE", ""] {
        let text = format!("Digest realm=\"{other}\", nonce=\"n\", qop=\"auth\"");
        assert_eq!(ours.on_challenges(challenge(&text)), Err(DigestError::OtherRealm), "{other}");
        assert!(!ours.is_armed());
    }
    // A challenge inside a call of ours isn't answered either: the BYE is done with.
    let mut rig = Rig::new();
    let mut caller = Caller::new(1);
    let dialog = rig.established(&mut caller);
    rig.act(|endpoint, now| endpoint.bye(dialog, "", now));
    let bye = rig.one();
    rig.give(&response(
        &bye,
        "407 Proxy Authentication Required",
        "",
        "Proxy-Authenticate: Digest realm=\"evil\", nonce=\"n\"\r\n",
        "",
    ));
    assert!(rig.sent().is_empty(), "no digest for who asks in a call");
}

/// CVE-2020-28242 (Asterisk, AST-2020-002): a new nonce in every challenge had the INVITE sent again for ever.
#[test]
fn cve_2020_28242_challenges_without_end() {
    for stale in ["", ", stale=true"] {
        let mut ours = client(None);
        let rounds = (0..100)
            .take_while(|round| {
                let text = format!("Digest realm=\"r\", nonce=\"{round}\", qop=\"auth\"{stale}");
                ours.on_challenges(challenge(&text)).is_ok()
            })
            .count();
        assert!(rounds <= 4, "{rounds} answers");
    }
    // Nor does a realm more in every challenge.
    let mut ours = client(None);
    let rounds = (0..100)
        .take_while(|round| {
            ours.on_challenges(challenge(&format!("Digest realm=\"{round}\", nonce=\"n\""))).is_ok()
        })
        .count();
    assert!(rounds <= 4, "{rounds} realms");
}

/// Replay, guessing, and unknown users (CVE-2018-12227 and CVE-2009-3727, Asterisk: their answers told them apart).
#[test]
fn known_and_unknown_users_look_the_same_and_nothing_works_twice() {
    let epoch = Instant::now();
    let mut server = Authenticator::new("r", ServerKey::new([1; 32]), epoch);
    let mut ours = client(Some("r"));
    let values = server.challenges(SOURCE, 1, false, epoch);
    ours.on_challenges(values.iter().map(|value| (Challenger::Server, &value[..]))).unwrap();
    let line = RequestLine { method: b"INVITE", uri: b"sip:a@b", source: SOURCE };
    let answer = Authorization::parse(&ours.authorize(line.method, line.uri, 5)[0].value).unwrap();
    let (wrong, right) = (Password::new("guess"), Password::new("zanzibar"));
    assert_eq!(server.verify(&answer, line, Some(&wrong), epoch), Err(Rejection::Wrong));
    assert_eq!(server.verify(&answer, line, None, epoch), Err(Rejection::Wrong));
    let other = RequestLine { method: b"BYE", uri: b"sip:a@b", source: SOURCE };
    assert_eq!(server.verify(&answer, other, Some(&right), epoch), Err(Rejection::Wrong));
    let elsewhere = RequestLine { method: b"INVITE", uri: b"sip:premium@b", source: SOURCE };
    assert_eq!(server.verify(&answer, elsewhere, Some(&right), epoch), Err(Rejection::OtherUri));
    assert_eq!(server.verify(&answer, line, Some(&right), epoch), Ok(()));
    assert_eq!(server.verify(&answer, line, Some(&right), epoch), Err(Rejection::Replayed));
    let late = epoch + Duration::from_secs(61);
    let next = Authorization::parse(&ours.authorize(line.method, line.uri, 6)[0].value).unwrap();
    assert_eq!(server.verify(&next, line, Some(&right), late), Err(Rejection::Stale));
}
