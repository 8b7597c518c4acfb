//! The registration machine against a registrar that answers anything at any time.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use sip::ua::digest::{Challenger, Credentials, Password};
use sip::ua::registration::{Config, Output, RegisterResponse, Registration};

use crate::digest::epoch;
use crate::input::Choices;

/// REGISTERs in any ten seconds (figure 18).
const MOST: usize = 6;
const WINDOW: Duration = Duration::from_secs(10);

/// Target `registration`.
pub fn registration(data: &[u8]) {
    let mut choices = Choices::new(data);
    let config = Config {
        registrar: Bytes::from_static(b"sip:registrar.example.com"),
        expires: choices.u32(),
        credentials: choices.chance(200).then(|| Credentials {
            username: "bob".to_owned(),
            password: Password::new("zanzibar"),
            realm: None,
        }),
    };
    let mut machine = Registration::new(config, [3; 32]);
    let mut now = epoch();
    let (mut sent, mut last_cseq, mut expires) = (VecDeque::new(), 0, 0);
    while !choices.is_empty() {
        match choices.below(10) {
            0 => machine.start(now),
            1 => machine.refresh(now),
            2 => machine.unregister(now),
            3 => machine.on_timeout_or_transport_failure(now),
            // To the moment it asked for, or past it.
            4 | 5 => {
                if let Some(at) = machine.poll_timeout() {
                    now = now.max(at);
                }
                settle(&mut machine, now);
            }
            6 => {
                now += Duration::from_millis(u64::from(choices.u16()));
                settle(&mut machine, now);
            }
            _ => machine.on_response(response(&mut choices, last_cseq), now),
        }
        let mut outputs = 0;
        while let Some(output) = machine.poll_output() {
            outputs += 1;
            assert!(outputs <= 4, "one input is not answered without end");
            if let Output::Send(request) = output {
                assert!(request.cseq != last_cseq && request.authorization.len() <= 4);
                (last_cseq, expires) = (request.cseq, request.expires);
                sent.push_back(now);
            }
        }
        while sent.front().is_some_and(|at| *at + WINDOW <= now) {
            sent.pop_front();
        }
        assert!(sent.len() <= MOST, "{} REGISTERs in 10 s", sent.len());
        let bound = machine.state().phase().is_bound();
        assert!(!bound || machine.binding().is_some(), "{:?}", machine.state());
    }
    // Left alone it comes to rest.
    machine.unregister(now);
    settle(&mut machine, now + Duration::from_secs(60));
    assert_eq!(machine.poll_timeout(), None, "{:?}, last expiry asked for {expires}", machine.state());
}

/// Fires until the machine wants to wait.
fn settle(machine: &mut Registration, now: std::time::Instant) {
    for _ in 0..16 {
        if machine.poll_timeout().is_none_or(|at| at > now) {
            return;
        }
        machine.on_timer(now);
    }
    panic!("it never waits: {:?}", machine.state());
}

fn response(choices: &mut Choices<'_>, last_cseq: u32) -> RegisterResponse {
    let flags = choices.byte();
    let number = |choices: &mut Choices<'_>, bit: u8| (flags & bit != 0).then(|| choices.one_of(&NUMBERS));
    RegisterResponse {
        cseq: if flags & 0x80 == 0 { last_cseq } else { choices.u32() },
        status: choices.one_of(&[200, 401, 407, 423, 100, 403, 404, 408, 500, 503, 302, 603]),
        granted: number(choices, 1),
        min_expires: number(choices, 2),
        retry_after: number(choices, 4),
        service_route: vec![Bytes::copy_from_slice(choices.take(usize::from(flags >> 3 & 7)))],
        path: Vec::new(),
        challenges: challenge(choices),
    }
}

const NUMBERS: [u32; 10] = [0, 1, 2, 5, 30, 60, 3_600, 86_400, u32::MAX - 1, u32::MAX];

fn challenge(choices: &mut Choices<'_>) -> Vec<(Challenger, Bytes)> {
    let value: Bytes = match choices.below(4) {
        0 => return Vec::new(),
        1 => r#"Digest realm="r", nonce="n", qop="auth""#.into(),
        2 => r#"Digest realm="r", nonce="m", stale=true, algorithm=SHA-256"#.into(),
        _ => Bytes::copy_from_slice(choices.short()),
    };
    vec![(Challenger::Server, value)]
}
