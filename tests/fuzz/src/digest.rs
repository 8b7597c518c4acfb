//! Digest: challenges, credentials, and the two sides against each other.

use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

use sip::ua::digest::{
    Authenticator, Authorization, Challenger, Client, Credentials, Password, RequestLine, ServerKey,
    parse_challenges, select,
};

use crate::input::Choices;

/// Where every request comes from.
const SOURCE: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 10));

/// Target `digest`.
pub fn digest(data: &[u8]) {
    let mut choices = Choices::new(data);
    match choices.below(3) {
        0 => challenge(choices.rest()),
        1 => credentials(choices.rest()),
        _ => both(&mut choices),
    }
}

fn own_credentials(realm: Option<&str>) -> Credentials {
    Credentials {
        username: "bo\"b".to_owned(),
        password: Password::new("zanzibar"),
        realm: realm.map(str::to_owned),
    }
}

/// Header values, one a line, as a hostile registrar would send them.
fn challenge(data: &[u8]) {
    let values = || data.split(|b| *b == b'\n').take(8).map(|value| (Challenger::Server, value));
    if let Ok(challenges) = parse_challenges(values()) {
        let _ = select(&challenges, Some("example.com"));
    }
    for realm in [None, Some("example.com")] {
        let mut client = Client::new(own_credentials(realm));
        for round in 0..8_u128 {
            if client.on_challenges(values()).is_err() {
                break;
            }
            assert!(round < 8, "a challenger is not answered for ever");
            let answers = client.authorize(b"REGISTER", b"sip:example.com", round);
            assert!(answers.len() <= 4);
            for answer in answers {
                let value = answer.value;
                assert!(!value.contains(&b'\n') && !value.contains(&b'\r'), "{}", value.escape_ascii());
                assert!(!value.windows(8).any(|w| w == b"zanzibar"), "the password stays here");
            }
        }
    }
}

/// A header value, as a hostile caller would send it.
fn credentials(data: &[u8]) {
    let epoch = epoch();
    let mut server = Authenticator::new("example.com", ServerKey::new([7; 32]), epoch);
    let Ok(answer) = Authorization::parse(data) else { return };
    let line = RequestLine { method: b"INVITE", uri: b"sip:a@b", source: SOURCE };
    let password = Password::new("zanzibar");
    assert!(server.verify(&answer, line, None, epoch).is_err(), "nobody is let in without a password");
    assert!(server.verify(&answer, line, Some(&password), epoch).is_err(), "nor without having been asked");
}

/// Our client and our server: what one asks the other answers, once.
fn both(choices: &mut Choices<'_>) {
    let text = |bytes: &[u8]| -> String {
        String::from_utf8_lossy(bytes).chars().filter(|c| !c.is_control()).take(60).collect()
    };
    let (realm, user) = (text(choices.short()), text(choices.short()));
    let epoch = epoch();
    let mut server = Authenticator::new(&realm, ServerKey::new([7; 32]), epoch);
    let password = Password::new(choices.short().to_vec());
    let mut client =
        Client::new(Credentials { username: user.clone(), password: password.clone(), realm: Some(realm) });
    let values = server.challenges(SOURCE, u64::from(choices.u32()), false, epoch);
    client.on_challenges(values.iter().map(|v| (Challenger::Proxy, &v[..]))).expect("ours can be answered");
    let line = RequestLine { method: b"INVITE", uri: b"sip:a@b", source: SOURCE };
    let answers = client.authorize(line.method, line.uri, u128::from(choices.u32()));
    let [answer] = &answers[..] else { panic!("{answers:?}") };
    let read = Authorization::parse(&answer.value).expect("our own answer is readable");
    assert_eq!(read.username, user.as_bytes());
    let later = epoch + Duration::from_secs(u64::from(choices.byte()));
    let first = server.verify(&read, line, Some(&password), later);
    assert_eq!(first.is_ok(), later < epoch + Duration::from_secs(60), "{first:?}");
    assert!(server.verify(&read, line, Some(&password), later).is_err(), "a count is good once");
    // One letter or digit of it changed is another answer, or none.
    let mut changed = answer.value.to_vec();
    let at = usize::from(choices.u16()) % changed.len();
    let byte = choices.byte();
    let both = changed[at].is_ascii_alphanumeric() && byte.is_ascii_alphanumeric();
    if both && !changed[at].eq_ignore_ascii_case(&byte) {
        changed[at] = byte;
        if let Ok(read) = Authorization::parse(&changed) {
            assert!(
                server.verify(&read, line, Some(&password), epoch).is_err(),
                "{}",
                changed.escape_ascii()
            );
        }
    }
}

/// Some moment; the machines only ever compare.
pub fn epoch() -> Instant {
    use std::sync::OnceLock;
    static EPOCH: OnceLock<Instant> = OnceLock::new();
    *EPOCH.get_or_init(Instant::now)
}
