use bytes::Bytes;

use super::super::digest::{Challenger, Credentials, DigestError, Password};
use super::*;

/// A machine, its clock, and what it sent.
struct Bench {
    machine: Registration,
    start: Instant,
    now: Instant,
    sent: Vec<(Duration, RegisterRequest)>,
    phases: Vec<Phase>,
}

const CHALLENGE: &str = r#"Digest realm="r", nonce="n1", qop="auth", algorithm=SHA-256"#;
const STALE: &str = r#"Digest realm="r", nonce="n2", qop="auth", algorithm=SHA-256, stale=true"#;
const STALER: [&str; 3] = [
    r#"Digest realm="r", nonce="n3", qop="auth", algorithm=SHA-256, stale=true"#,
    r#"Digest realm="r", nonce="n4", qop="auth", algorithm=SHA-256, stale=true"#,
    r#"Digest realm="r", nonce="n5", qop="auth", algorithm=SHA-256, stale=true"#,
];

fn bench() -> Bench {
    bench_with(600, 1)
}

#[expect(clippy::disallowed_methods, reason = "a test may start its clock anywhere")]
fn bench_with(expires: u32, seed: u8) -> Bench {
    let credentials = Credentials { username: "bob".into(), password: Password::new("pw"), realm: None };
    let config = Config { registrar: "sip:example.com".into(), expires, credentials: Some(credentials) };
    let start = Instant::now();
    let machine = Registration::new(config, [seed; 32]);
    Bench { machine, start, now: start, sent: Vec::new(), phases: Vec::new() }
}

fn status(status: u16) -> RegisterResponse {
    RegisterResponse { status, ..RegisterResponse::default() }
}

fn granted(seconds: u32) -> RegisterResponse {
    RegisterResponse { granted: Some(seconds), ..status(200) }
}

fn challenge(value: &'static str) -> RegisterResponse {
    RegisterResponse { challenges: vec![(Challenger::Server, Bytes::from(value))], ..status(401) }
}

fn too_brief(least: u32) -> RegisterResponse {
    RegisterResponse { min_expires: Some(least), ..status(423) }
}

impl Bench {
    fn at(&self) -> Duration {
        self.now - self.start
    }

    fn drain(&mut self) {
        while let Some(output) = self.machine.poll_output() {
            match output {
                Output::Send(request) => self.sent.push((self.now - self.start, request)),
                Output::PhaseChanged(phase) => self.phases.push(phase),
            }
        }
    }

    fn go(&mut self) -> &mut Self {
        self.machine.start(self.now);
        self.drain();
        self
    }

    fn answer(&mut self, mut response: RegisterResponse) -> &mut Self {
        response.cseq = self.last().cseq;
        self.machine.on_response(response, self.now);
        self.drain();
        self
    }

    fn silence(&mut self) -> &mut Self {
        self.machine.on_timeout_or_transport_failure(self.now);
        self.drain();
        self
    }

    fn leave(&mut self) -> &mut Self {
        self.machine.unregister(self.now);
        self.drain();
        self
    }

    /// Moves to the next timeout and fires it.
    fn tick(&mut self) -> &mut Self {
        let due = self.machine.poll_timeout().expect("a timer is set");
        self.now = self.now.max(due);
        self.machine.on_timer(self.now);
        self.drain();
        self
    }

    fn pass(&mut self, seconds: u64) -> &mut Self {
        self.now += Duration::from_secs(seconds);
        self
    }

    fn last(&self) -> RegisterRequest {
        self.sent.last().expect("something was sent").1.clone()
    }

    fn last_authorization(&self) -> String {
        self.last().authorization.iter().map(|a| String::from_utf8_lossy(&a.value).into_owned()).collect()
    }

    fn phase(&self) -> Phase {
        self.machine.state().phase()
    }

    fn wait(&self) -> Duration {
        self.machine.poll_timeout().expect("a timer is set") - self.now
    }
}

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn a_challenge_is_answered_and_the_nonce_kept_for_the_refresh() {
    let mut bench = bench();
    bench.go().answer(challenge(CHALLENGE));
    assert_eq!(bench.sent.len(), 2);
    let (first, second) = (bench.sent[0].1.clone(), bench.last());
    assert!(first.authorization.is_empty());
    assert_eq!((&second.call_id, &second.from_tag), (&first.call_id, &first.from_tag));
    assert_eq!((first.cseq, second.cseq), (1, 2));
    assert!(bench.last_authorization().contains("nc=00000001"));
    assert!(bench.last_authorization().contains(r#"uri="sip:example.com""#));
    bench.answer(granted(600)).tick();
    assert_eq!(bench.sent.len(), 3);
    assert!(bench.last_authorization().contains("nc=00000002"));
    assert_eq!(bench.phases, [Phase::Registering, Phase::Registered, Phase::Refreshing]);
}

#[test]
fn the_refresh_comes_thirty_seconds_early_or_at_half_life() {
    for (granted_for, refresh) in [
        (600, secs(570)),
        (3600, secs(3570)),
        (61, secs(31)),
        (60, secs(30)),
        (40, secs(20)),
        (10, secs(5)),
        (5, Duration::from_millis(2500)),
        (1, secs(2)),
        (u32::MAX, secs(7 * 86_400 - 30)),
    ] {
        let mut bench = bench();
        bench.go().answer(granted(granted_for));
        assert_eq!(bench.wait(), refresh, "granted {granted_for}");
    }
}

#[test]
fn the_life_of_a_binding_counts_from_the_request() {
    let mut bench = bench();
    bench.go().pass(4).answer(granted(600));
    let binding = bench.machine.binding().unwrap();
    assert_eq!(binding.expires_at, bench.start + secs(600));
    assert_eq!(bench.wait(), secs(566));
}

#[test]
fn an_expiry_that_is_not_stated_is_the_one_asked_for() {
    let mut bench = bench();
    bench.go().answer(status(200));
    assert_eq!(bench.machine.binding().unwrap().granted, secs(600));
}

#[test]
fn service_route_and_path_are_kept_with_the_binding() {
    let mut bench = bench();
    let routes: Vec<Bytes> = vec!["<sip:edge;lr>".into(), "<sip:core;lr>".into()];
    let paths: Vec<Bytes> = vec!["<sip:path;lr>".into()];
    let response = RegisterResponse { service_route: routes.clone(), path: paths.clone(), ..granted(600) };
    bench.go().answer(response).tick();
    let binding = bench.machine.binding().unwrap();
    assert_eq!((&binding.service_route, &binding.path), (&routes, &paths), "in force while refreshing");
    bench.answer(granted(600));
    assert!(bench.machine.binding().unwrap().service_route.is_empty(), "the newest answer counts");
}

#[test]
fn a_423_raises_the_expiry_at_once_and_for_good() {
    let mut bench = bench_with(60, 1);
    bench.go().answer(too_brief(1800));
    assert_eq!((bench.sent.len(), bench.last().expires), (2, 1800));
    bench.answer(granted(1800)).tick();
    assert_eq!(bench.last().expires, 1800);
}

#[test]
fn a_423_without_sense_backs_off() {
    for response in [too_brief(600), too_brief(10), status(423)] {
        let mut bench = bench();
        bench.go().answer(response);
        assert_eq!(bench.phase(), Phase::Failed);
        assert!(bench.wait() <= secs(1));
    }
    let mut bench = bench();
    bench.go().answer(too_brief(700)).answer(too_brief(800));
    assert_eq!((bench.sent.len(), bench.phase()), (2, Phase::Failed));
    bench.tick();
    assert_eq!(bench.last().expires, 800);
}

#[test]
fn silence_and_errors_back_off_up_to_eight_seconds() {
    let answers =
        [None, Some(503), Some(408), Some(302), Some(403), Some(481)].map(|answer| answer.map(status));
    let fail = |bench: &mut Bench, answer: &Option<RegisterResponse>| {
        match answer {
            Some(answer) => bench.answer(answer.clone()),
            None => bench.silence(),
        };
    };
    for answer in answers.into_iter().chain([Some(granted(0))]) {
        let mut bench = bench();
        bench.go();
        for longest in [1, 2, 4, 8, 8, 8, 8] {
            fail(&mut bench, &answer);
            assert!(bench.wait() >= secs(longest) / 2, "{answer:?}");
            assert!(bench.wait() <= secs(longest), "{answer:?}");
            bench.tick();
        }
        bench.answer(granted(600));
        assert_eq!(bench.phase(), Phase::Registered);
        bench.tick();
        fail(&mut bench, &answer);
        assert!(bench.wait() <= secs(1), "success starts the back-off anew");
    }
}

#[test]
fn an_attempt_nobody_reports_on_ends_after_timer_f() {
    let mut bench = bench();
    bench.go().tick();
    assert_eq!((bench.at(), bench.phase()), (ATTEMPT_LIMIT, Phase::Failed));
    assert_eq!(bench.machine.state().failure(), Some(&Failure::Silence));
}

#[test]
fn refused_credentials_wait_five_minutes_and_nothing_else_does() {
    let refusals: [&[fn() -> RegisterResponse]; 3] = [
        &[|| challenge(CHALLENGE), || challenge(CHALLENGE)],
        &[|| challenge(CHALLENGE), || status(403)],
        &[|| challenge(CHALLENGE), || challenge(STALE), || challenge(CHALLENGE)],
    ];
    for responses in refusals {
        let mut bench = bench();
        bench.go();
        for response in responses {
            bench.answer(response());
        }
        assert_eq!(bench.machine.state().failure(), Some(&Failure::Refused));
        assert_eq!(bench.wait(), REFUSED_WAIT);
        bench.machine.refresh(bench.now);
        assert_eq!(bench.wait(), REFUSED_WAIT, "a new flow doesn't shorten it");
        let before = bench.sent.len();
        bench.tick().answer(challenge(CHALLENGE)).answer(granted(600));
        assert_eq!(bench.sent.len(), before + 2);
        assert_eq!(bench.phase(), Phase::Registered);
    }
}

#[test]
fn challenges_that_cannot_be_answered_back_off_briefly() {
    const INT: &str = r#"Digest realm="r", nonce="n", qop="auth-int""#;
    for response in [challenge(INT), challenge("Basic realm=\"r\""), status(401)] {
        let mut bench = bench();
        bench.go().answer(response);
        assert!(matches!(bench.machine.state().failure(), Some(Failure::Challenge(_))));
        assert!(bench.wait() <= secs(1));
    }
    let config = Config { registrar: "sip:h".into(), expires: 600, credentials: None };
    let mut bench = bench();
    bench.machine = Registration::new(config, [1; 32]);
    bench.go().answer(challenge(CHALLENGE));
    assert_eq!(bench.machine.state().failure(), Some(&Failure::NoCredentials));
}

#[test]
fn a_stale_nonce_is_replaced_at_once_but_not_for_ever() {
    let mut bench = bench();
    bench.go().answer(challenge(CHALLENGE)).answer(granted(600)).tick();
    bench.answer(challenge(STALE));
    assert!(bench.last_authorization().contains(r#"nonce="n2""#));
    bench.answer(challenge(STALER[0])).answer(challenge(STALER[1]));
    assert_eq!(bench.phase(), Phase::Refreshing);
    bench.answer(challenge(STALER[2]));
    assert_eq!(bench.phase(), Phase::RefreshFailed);
    assert_eq!(bench.machine.state().failure(), Some(&Failure::Challenge(DigestError::StaleLoop(3))));
}

#[test]
fn retry_after_is_honoured_up_to_five_minutes() {
    for (told, wait) in [(30, secs(30)), (86_400, MAX_RETRY_AFTER)] {
        let mut bench = bench();
        bench.go().answer(RegisterResponse { retry_after: Some(told), ..status(503) });
        assert_eq!(bench.wait(), wait);
    }
}

#[test]
fn a_binding_outlives_failed_refreshes_until_it_ends() {
    let mut bench = bench();
    bench.go().answer(granted(60)).tick();
    assert_eq!((bench.at(), bench.phase()), (secs(30), Phase::Refreshing));
    bench.silence();
    assert_eq!(bench.phase(), Phase::RefreshFailed);
    while bench.phase() != Phase::Failed {
        if matches!(bench.phase(), Phase::Refreshing) {
            bench.silence();
        }
        bench.tick();
        assert!(bench.at() <= secs(60));
    }
    assert_eq!(bench.at(), secs(60));
    assert!(bench.machine.binding().is_none());
}

#[test]
fn a_binding_ends_while_its_refresh_hangs() {
    let mut bench = bench();
    bench.go().answer(granted(20)).tick();
    bench.tick();
    assert_eq!((bench.at(), bench.phase()), (secs(20), Phase::Registering));
    bench.answer(granted(20));
    assert_eq!(bench.phase(), Phase::Registered);
}

#[test]
fn answers_to_other_requests_and_provisional_ones_change_nothing() {
    let mut bench = bench();
    bench.go();
    bench.machine.on_response(RegisterResponse { cseq: 77, ..granted(600) }, bench.now);
    bench.answer(status(100));
    assert_eq!(bench.phase(), Phase::Registering);
    bench.answer(granted(600));
    bench.machine.on_response(RegisterResponse { cseq: 1, ..status(500) }, bench.now);
    bench.silence();
    assert_eq!(bench.phase(), Phase::Registered);
}

#[test]
fn early_and_repeated_inputs_are_harmless() {
    let mut bench = bench();
    bench.machine.on_timer(bench.now);
    bench.machine.refresh(bench.now);
    bench.leave().silence();
    assert!(bench.sent.is_empty() && bench.machine.poll_timeout().is_none());
    bench.go().go();
    bench.machine.on_timer(bench.now);
    bench.machine.refresh(bench.now);
    bench.drain();
    assert_eq!(bench.sent.len(), 1);
}

#[test]
fn a_lost_flow_is_registered_again_at_once() {
    let mut bench = bench();
    bench.go().answer(granted(600)).pass(100);
    bench.machine.refresh(bench.now);
    bench.drain();
    assert_eq!((bench.sent.len(), bench.phase()), (2, Phase::Refreshing));
    bench.silence();
    bench.machine.refresh(bench.now);
    bench.drain();
    assert_eq!((bench.sent.len(), bench.phase()), (3, Phase::Refreshing));
}

#[test]
fn leaving_takes_the_contact_away_and_answers_a_challenge() {
    let mut bench = bench();
    bench.go().answer(challenge(CHALLENGE)).answer(granted(600)).pass(10).leave();
    assert_eq!((bench.last().expires, bench.phase()), (0, Phase::Unregistering));
    assert!(bench.last_authorization().contains("nc=00000002"));
    bench.answer(challenge(STALE));
    assert_eq!((bench.last().expires, bench.sent.len()), (0, 4));
    bench.leave();
    assert_eq!(bench.sent.len(), 4);
    bench.answer(granted(0));
    assert_eq!((bench.phase(), bench.machine.poll_timeout()), (Phase::Idle, None));
    bench.go();
    assert_eq!(bench.last().expires, 600, "it can be started again");
}

#[test]
fn leaving_waits_for_the_request_that_is_out() {
    let mut bench = bench();
    bench.go().leave();
    assert_eq!(bench.sent.len(), 1, "REGISTERs don't overlap");
    bench.answer(granted(600));
    assert_eq!((bench.sent.len(), bench.last().expires), (2, 0));
    bench.answer(status(200));
    assert_eq!(bench.phase(), Phase::Idle);
}

#[test]
fn leaving_while_unbound_or_unanswered_ends_soon() {
    let mut waiting = bench();
    waiting.go().silence().leave();
    assert_eq!((waiting.phase(), waiting.sent.len()), (Phase::Idle, 1));

    let mut challenged = bench();
    challenged.go().leave().answer(challenge(CHALLENGE));
    assert_eq!((challenged.phase(), challenged.sent.len()), (Phase::Idle, 1));

    let mut refreshing = bench();
    refreshing.go().answer(granted(600)).tick().leave().answer(status(500));
    assert_eq!((refreshing.phase(), refreshing.last().expires), (Phase::Unregistering, 0));
    refreshing.silence();
    assert_eq!(refreshing.phase(), Phase::Idle);

    let mut silent = bench();
    silent.go().answer(granted(600)).leave();
    assert_eq!(silent.wait(), UNREGISTER_LIMIT);
    silent.tick();
    assert_eq!(silent.phase(), Phase::Idle);
}

#[test]
fn two_machines_share_no_identifier() {
    let (mut a, mut b) = (bench_with(600, 1), bench_with(600, 2));
    a.go();
    b.go();
    assert_ne!(a.last().call_id, b.last().call_id);
    assert_ne!(a.last().from_tag, b.last().from_tag);
}

#[test]
fn an_address_that_fails_is_left_for_the_next_at_once_and_the_wait_comes_after_all() {
    for failure in [None, Some(503), Some(500), Some(408)] {
        let mut bench = bench();
        bench.machine.located(3, false);
        bench.go();
        for turn in [0, 1, 2] {
            let last = bench.last();
            assert_eq!((last.turn, last.anew, bench.at()), (turn, turn == 0, Duration::ZERO));
            match failure {
                Some(code) => bench.answer(status(code)),
                None => bench.silence(),
            };
        }
        assert_eq!((bench.sent.len(), bench.phase()), (3, Phase::Failed), "{failure:?}");
        bench.tick();
        assert_eq!((bench.last().turn, bench.last().anew), (0, true), "looked up anew");
    }
}

#[test]
fn a_challenge_and_the_goodbye_go_where_the_registration_went() {
    let mut bench = bench();
    bench.machine.located(2, false);
    bench.go().silence().answer(challenge(CHALLENGE)).answer(granted(600)).pass(5).leave();
    let turns: Vec<usize> = bench.sent.iter().map(|(_, request)| request.turn).collect();
    assert_eq!(turns, [0, 1, 1, 1]);
    assert!(bench.sent.iter().skip(1).all(|(_, request)| !request.anew));
}

#[test]
fn refusals_arent_taken_elsewhere() {
    for code in [403, 404, 302, 423] {
        let mut bench = bench();
        bench.machine.located(2, false);
        bench.go().answer(status(code));
        assert_eq!((bench.sent.len(), bench.phase()), (1, Phase::Failed), "{code}");
    }
}

/// Seconds from each moment of an outage until the registrar would be asked again, with this many
/// addresses of which each is silent for its whole time.
fn longest_without_a_request(addresses: usize, reliable: bool, seed: u8) -> Duration {
    let mut bench = bench_with(600, seed);
    bench.machine.located(addresses, reliable);
    bench.go();
    while bench.at() < secs(600) {
        let limit = patience(addresses, reliable);
        if awaits_answer(&bench) {
            bench.now += limit.unwrap_or(secs(32));
            bench.silence();
        } else {
            bench.tick();
        }
    }
    let to_first: Vec<Duration> = bench.sent.iter().filter(|(_, r)| r.turn == 0).map(|(at, _)| *at).collect();
    // Over UDP the last copy of a request goes out at 3.5 s of four, and at 31.5 s of 32.
    let heard_until = match (reliable, patience(addresses, reliable)) {
        (true, _) => Duration::ZERO,
        (false, Some(_)) => Duration::from_millis(3_500),
        (false, None) => Duration::from_millis(31_500),
    };
    to_first.windows(2).map(|pair| pair[1] - pair[0] - heard_until).max().unwrap()
}

/// Figure 18: registered again within 10 s of the registrar's return.
#[test]
fn the_return_of_a_registrar_is_noticed_within_ten_seconds() {
    for seed in 0..30 {
        for (addresses, reliable) in [(1, false), (2, false), (3, false), (1, true), (2, true)] {
            let longest = longest_without_a_request(addresses, reliable, seed);
            assert!(longest <= secs(10), "{addresses} {reliable} {seed}: {longest:?}");
        }
    }
}

#[test]
fn what_never_left_the_machine_doesnt_count_and_the_goodbye_always_has_room() {
    let mut bench = bench();
    bench.go().answer(granted(60));
    while bench.at() < secs(45) {
        bench.tick();
        if awaits_answer(&bench) {
            let now = bench.now;
            bench.machine.on_unsent(now);
            bench.drain();
        }
    }
    assert_eq!(bench.phase(), Phase::RefreshFailed);
    // The registrar is back: at once, and even after a burst of answers that want more.
    bench.leave();
    assert_eq!((bench.last().expires, bench.sent.last().unwrap().0), (0, bench.at()));

    let mut bench = bench_with(600, 3);
    bench.go().answer(granted(600));
    for _ in 0..10 {
        bench.machine.refresh(bench.now);
        bench.drain();
        if awaits_answer(&bench) {
            bench.answer(granted(600));
        }
    }
    assert_eq!(bench.sent.len(), MAX_REQUESTS - 1);
    bench.leave();
    assert_eq!((bench.sent.len(), bench.last().expires), (MAX_REQUESTS, 0));
}

fn most_in_ten_seconds(sent: &[(Duration, RegisterRequest)]) -> usize {
    let within = |from: Duration| sent.iter().filter(|(at, _)| *at >= from && *at <= from + secs(10)).count();
    sent.iter().map(|(at, _)| within(*at)).max().unwrap_or(0)
}

fn any_response(kind: u8) -> RegisterResponse {
    match kind % 12 {
        0 => granted(0),
        1 => granted(1),
        2 => granted(2),
        3 => granted(600),
        4 => challenge(CHALLENGE),
        5 => challenge(STALE),
        6 => status(403),
        7 => status(503),
        8 => too_brief(u32::from(kind) * 100),
        9 => too_brief(u32::MAX),
        10 => RegisterResponse { retry_after: Some(0), ..status(500) },
        _ => status(481),
    }
}

#[test]
fn no_single_answer_provokes_more_than_six_requests_in_ten_seconds() {
    for kind in 0..12 {
        let mut bench = bench();
        bench.go();
        while bench.at() < secs(60) && bench.machine.poll_timeout().is_some() {
            while bench.machine.state().phase() != Phase::Idle && awaits_answer(&bench) {
                bench.answer(any_response(kind));
            }
            bench.tick();
        }
        assert!(most_in_ten_seconds(&bench.sent) <= MAX_REQUESTS, "response {kind}");
    }
}

fn awaits_answer(bench: &Bench) -> bool {
    let pending = match bench.machine.state() {
        State::Registering { attempt, .. } => &attempt.pending,
        State::Unregistering { pending, .. } => pending,
        _ => return false,
    };
    matches!(pending, Pending::Sent { .. })
}

proptest::proptest! {
    /// Inputs of any kind in any order: the rate holds, the machine always has a way on, and
    /// nothing panics.
    #[test]
    fn the_rate_holds_and_the_machine_never_sticks(
        seed: u8,
        steps in proptest::collection::vec((0_u8..=15, 0_u8..=255, 0_u64..3_000), 1..200),
    ) {
        let mut bench = bench_with(600, seed);
        bench.go();
        for (what, kind, wait_ms) in steps {
            let now = bench.now;
            match what {
                0..=9 if awaits_answer(&bench) => _ = bench.answer(any_response(kind)),
                10 if kind < 200 => _ = bench.silence(),
                10 => bench.machine.located(usize::from(kind % 6), kind % 2 == 0),
                11 => bench.machine.refresh(now),
                12 if kind < 32 => _ = bench.leave(),
                13 => _ = bench.go(),
                _ => {
                    let due = bench.machine.poll_timeout().unwrap_or(now);
                    bench.now = now.max(due.min(now + Duration::from_millis(wait_ms)));
                    bench.machine.on_timer(bench.now);
                }
            }
            bench.drain();
            let idle = bench.phase() == Phase::Idle;
            proptest::prop_assert_eq!(idle, bench.machine.poll_timeout().is_none());
        }
        proptest::prop_assert!(most_in_ten_seconds(&bench.sent) <= MAX_REQUESTS);
    }
}
