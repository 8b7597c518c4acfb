use super::super::{Challenger, Client, Credentials};
use super::*;

const SOURCE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 10));
const LINE: RequestLine<'static> =
    RequestLine { method: b"REGISTER", uri: b"sip:example.com", source: SOURCE };

struct Bench {
    epoch: Instant,
    server: Authenticator,
    client: Client,
    password: Password,
}

#[expect(clippy::disallowed_methods, reason = "a test may start its clock anywhere")]
fn bench() -> Bench {
    let epoch = Instant::now();
    let password = Password::new("zanzibar");
    Bench {
        epoch,
        server: Authenticator::new("home \"1\"", ServerKey::new([7; 32]), epoch),
        client: Client::new(Credentials {
            username: "b\"ob".into(),
            password: password.clone(),
            realm: None,
        }),
        password,
    }
}

impl Bench {
    fn challenge(&mut self, random: u64, at: u64) {
        let values = self.server.challenges(SOURCE, random, false, self.epoch + Duration::from_secs(at));
        self.client.forget();
        self.client.on_challenges(values.iter().map(|v| (Challenger::Server, &v[..]))).unwrap();
    }

    fn answer(&mut self) -> Authorization {
        let answers = self.client.authorize(LINE.method, LINE.uri, 99);
        Authorization::parse(&answers[0].value).unwrap()
    }

    fn verify(&mut self, answer: &Authorization, at: u64) -> Result<(), Rejection> {
        let password = self.password.clone();
        self.server.verify(answer, LINE, Some(&password), self.epoch + Duration::from_secs(at))
    }
}

#[test]
fn our_client_answers_our_challenge_and_reuses_its_nonce() {
    let mut bench = bench();
    bench.challenge(1, 0);
    for at in 0..5 {
        let answer = bench.answer();
        assert_eq!(answer.username, b"b\"ob");
        assert_eq!(answer.algorithm, Some(Algorithm::SHA256));
        assert_eq!(bench.verify(&answer, at), Ok(()));
    }
}

#[test]
fn sha_256_is_offered_before_md5() {
    let bench = bench();
    let values = bench.server.challenges(SOURCE, 1, true, bench.epoch);
    assert_eq!(values.len(), 2);
    let text = |n: usize| String::from_utf8(values[n].to_vec()).unwrap();
    assert!(text(0).contains("algorithm=SHA-256") && text(0).ends_with("stale=true"));
    assert!(text(1).contains("algorithm=MD5,"));
}

#[test]
fn an_answer_is_accepted_once() {
    let mut bench = bench();
    bench.challenge(1, 0);
    let (first, second) = (bench.answer(), bench.answer());
    assert_eq!(bench.verify(&second, 1), Ok(()));
    assert_eq!(bench.verify(&first, 1), Ok(()), "overtaken on the way");
    assert_eq!(bench.verify(&first, 1), Err(Rejection::Replayed));
    assert_eq!(bench.verify(&second, 1), Err(Rejection::Replayed));
    for _ in 0..70 {
        bench.answer();
    }
    let late = bench.answer();
    assert_eq!(bench.verify(&late, 1), Ok(()));
    assert_eq!(bench.verify(&first, 1), Err(Rejection::Replayed), "below the window");
}

#[test]
fn after_sixty_seconds_an_answer_is_stale_and_nothing_is_learned_of_whether_it_was_right() {
    let mut bench = bench();
    bench.challenge(1, 10);
    let answer = bench.answer();
    let mut wrong = answer.clone();
    wrong.response = b"0".repeat(64);
    assert_eq!(bench.verify(&answer, 69), Ok(()));
    let answer = bench.answer();
    assert_eq!(bench.verify(&answer, 70), Err(Rejection::Stale));
    assert_eq!(bench.verify(&wrong, 69), Err(Rejection::Wrong));
    assert_eq!(bench.verify(&wrong, 70), Err(Rejection::Stale));
    assert!(Rejection::Stale.is_stale() && !Rejection::Wrong.is_stale());
}

#[test]
fn a_nonce_of_somebody_else_is_stale_whatever_its_form() {
    let mut bench = bench();
    let other = Authenticator::new("home \"1\"", ServerKey::new([8; 32]), bench.epoch);
    let values = other.challenges(SOURCE, 1, false, bench.epoch);
    bench.client.on_challenges([(Challenger::Server, &values[0][..])]).unwrap();
    let answer = bench.answer();
    assert_eq!(bench.verify(&answer, 1), Err(Rejection::Stale));
    bench.client.forget();
    let made_up = br#"Digest realm="home \"1\"", nonce="abc", qop="auth", algorithm=SHA-256"#;
    bench.client.on_challenges([(Challenger::Server, &made_up[..])]).unwrap();
    let answer = bench.answer();
    assert_eq!(bench.verify(&answer, 1), Err(Rejection::Stale));
}

#[test]
fn a_nonce_is_good_at_the_address_it_was_given_to() {
    let mut bench = bench();
    bench.challenge(1, 0);
    let answer = bench.answer();
    let password = bench.password.clone();
    let mut at = |source: &str| {
        let line = RequestLine { source: source.parse().unwrap(), ..LINE };
        bench.server.verify(&answer, line, Some(&password), bench.epoch)
    };
    assert_eq!(at("192.0.2.11"), Err(Rejection::Stale));
    assert_eq!(at("::ffff:192.0.2.10"), Ok(()));
}

#[test]
fn an_unknown_user_looks_like_a_wrong_password() {
    let mut bench = bench();
    bench.challenge(1, 0);
    let answer = bench.answer();
    let now = bench.epoch;
    assert_eq!(bench.server.verify(&answer, LINE, None, now), Err(Rejection::Wrong));
    let other = Password::new("guess");
    assert_eq!(bench.server.verify(&answer, LINE, Some(&other), now), Err(Rejection::Wrong));
    let empty = Password::new("");
    bench.client = Client::new(Credentials { username: "x".into(), password: empty, realm: None });
    bench.challenge(2, 0);
    let answer = bench.answer();
    assert_eq!(bench.server.verify(&answer, LINE, None, now), Err(Rejection::Wrong));
}

#[test]
fn an_answer_for_another_request_is_refused() {
    let mut bench = bench();
    bench.challenge(1, 0);
    let answer = bench.answer();
    let password = bench.password.clone();
    let mut verify = |method: &[u8], uri: &[u8]| {
        let line = RequestLine { method, uri, source: SOURCE };
        bench.server.verify(&answer, line, Some(&password), bench.epoch)
    };
    assert_eq!(verify(b"REGISTER", b"sip:example.org"), Err(Rejection::OtherUri));
    assert_eq!(verify(b"REGISTER", b"sip:bob@example.com"), Err(Rejection::OtherUri));
    assert_eq!(verify(b"INVITE", b"sip:example.com"), Err(Rejection::Wrong));
    assert_eq!(verify(b"REGISTER", b"SIP:Example.COM"), Ok(()));
}

#[test]
fn uris_compare_their_user_exactly() {
    assert!(same_uri(b"sip:Bob@h", b"SIP:Bob@H"));
    assert!(!same_uri(b"sip:Bob@h", b"sip:bob@h"));
    assert!(!same_uri(b"sip:h", b"sips:h"));
    assert!(!same_uri(b"", b"sip:h"));
}

#[test]
fn answers_that_were_not_asked_for_are_told_apart() {
    let mut bench = bench();
    let legacy = Authorization::parse(
        br#"Digest username="b", realm="home \"1\"", nonce="n", uri="sip:example.com", response="00""#,
    )
    .unwrap();
    assert_eq!(bench.verify(&legacy, 0), Err(Rejection::NotOurs));
    assert_eq!(Authorization::parse(b"Basic abc"), Err(Rejection::NotOurs));
    for (value, malformation) in [
        ("Digest username=\"b\"", Malformation::Missing("realm")),
        ("Digest qop=auth-int", Malformation::Value("qop")),
        ("Digest qop=auth, cnonce=\"c\", nc=1", Malformation::Value("nc")),
        ("Digest qop=auth, cnonce=\"c\", nc=00000000", Malformation::Value("nc")),
        ("Digest qop=auth, cnonce=\"c\", nc=+0000001", Malformation::Value("nc")),
        ("Digest qop=auth, nc=00000001", Malformation::Missing("cnonce")),
    ] {
        assert_eq!(
            Authorization::parse(value.as_bytes()),
            Err(Rejection::Malformed(malformation)),
            "{value}"
        );
    }
}

#[test]
fn nonces_given_up_for_want_of_room_are_stale_and_memory_is_bounded() {
    let mut bench = bench();
    let id = |n: u64| NonceId { issued_ms: 1_000 + n, random: n };
    for n in 0..u64::try_from(MAX_NONCES).unwrap() + 10 {
        assert_eq!(bench.server.use_count(id(n), 1), Ok(()));
    }
    assert_eq!(bench.server.used.len(), MAX_NONCES);
    assert_eq!(bench.server.floor, Some(id(9)));
    assert_eq!(bench.server.use_count(id(5), 2), Err(Rejection::Stale));
    let now = bench.epoch + Duration::from_secs(500);
    assert_eq!(bench.server.live_nonce(b"", SOURCE, now), None);
    assert_eq!(bench.server.used.len(), 0);
}

#[test]
fn hmac_matches_rfc_4231_case_with_a_short_key() {
    let mut key = [0_u8; 32];
    key[..4].copy_from_slice(b"Jefe");
    let seal = hmac_sha256(&key, &[b"what do ya want ", b"for nothing?"]);
    assert_eq!(hex(&seal), "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
}

proptest::proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(value: Vec<u8>) {
        let _ = Authorization::parse(&value);
    }

    #[test]
    fn a_count_is_accepted_once_in_any_order(counts: Vec<u8>) {
        let mut window = CountWindow::default();
        let mut seen = std::collections::BTreeSet::new();
        for count in counts {
            let count = u32::from(count) + 1;
            let taken = window.take(count);
            proptest::prop_assert!(!(taken && seen.contains(&count)));
            seen.insert(count);
        }
    }
}
