//! Hostile input: every corpus message is cut at every byte and mutated at random, and goes through everything that
//! touches received bytes. The seed is printed; `SIP_CORPUS_SEED` repeats a run and `SIP_CORPUS_ROUNDS` lengthens it.

#![allow(clippy::disallowed_methods)] // how long it takes is part of what is tested
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // helpers of tests

use std::path::Path;
use std::time::{Duration, Instant};

use bytes::Bytes;
use sip::framing::{Framed, StreamFramer};
use sip::message::{
    Framing, HeaderName, Headers, Message, NameAddr, ParseError, Request, RequestBuilder, ResponseBuilder,
    StatusCode, Uri, limits, parse, validate,
};

/// The corpus of this crate and the torture messages of RFC 4475, sorted so that a seed means the same everywhere.
fn corpus() -> Vec<(String, Vec<u8>)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut seeds: Vec<_> = [root.join("tests/corpus"), root.join("../tests/golden/rfc4475")]
        .iter()
        .flat_map(|directory| std::fs::read_dir(directory).unwrap())
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "sip" || e == "dat"))
        .map(|path| (path.file_name().unwrap().to_string_lossy().into_owned(), std::fs::read(path).unwrap()))
        .collect();
    seeds.sort();
    assert!(seeds.len() >= 49 + 20, "only {} seeds", seeds.len());
    seeds
}

/// xorshift64*, so that a printed seed is all there is to a run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(bound.max(1)).unwrap()).unwrap()
    }
}

/// Everything that looks at received bytes. What it returns keeps the work from being optimised away.
fn exercise(bytes: &[u8]) -> usize {
    let mut seen = 0;
    for framing in [Framing::Datagram, Framing::Stream] {
        seen += match parse(Bytes::copy_from_slice(bytes), framing) {
            Ok(Message::Request(request)) => {
                let _ = validate(&request);
                headers(request.headers()) + reply(&request, StatusCode::OK) + uri(request.uri())
            }
            Ok(Message::Response(response)) => headers(response.headers()) + response.reason().len(),
            Err(ParseError::Reply(bad)) => headers(bad.request.headers()) + reply(&bad.request, bad.status),
            Err(ParseError::Silent(_)) => 0,
        };
    }
    let mut framer = StreamFramer::new();
    framer.push(bytes);
    for framed in framer.by_ref().take(bytes.len() + 2) {
        if let Ok(Framed::Message(message)) = framed {
            seen += usize::from(parse(message, Framing::Stream).is_ok());
        }
    }
    assert!(framer.buffered() <= bytes.len());
    seen
}

fn headers(h: &Headers) -> usize {
    for field in h.iter() {
        assert!(!field.value().starts_with(b" ") && !field.value().ends_with(b"\t"));
        assert!(h.contains(field.name()));
    }
    let all = [
        h.vias().is_ok(),
        h.top_via().is_ok_and(|v| {
            v.has_magic_cookie() | v.received().is_some() | v.rport().is_some() | v.maddr().is_some()
        }),
        h.from().is_ok_and(|a| address(&a)),
        h.to().is_ok_and(|a| address(&a)),
        h.call_id().is_ok(),
        h.cseq().is_ok(),
        h.max_forwards().is_ok(),
        h.contacts().is_ok_and(|c| c.iter().all(address)),
        h.record_routes().is_ok() | h.routes().is_ok() | h.path().is_ok() | h.service_route().is_ok(),
        h.expires().is_ok() | h.min_expires().is_ok() | h.min_se().is_ok() | h.session_expires().is_ok(),
        h.require().is_ok_and(|t| t.contains("100rel")) | h.supported().is_ok() | h.proxy_require().is_ok(),
        h.unsupported().is_ok() | h.allow_events().is_ok() | h.allow().is_ok(),
        h.event().is_ok_and(|e| e.is_some_and(|e| e.id().is_some())),
        h.subscription_state().is_ok_and(|s| s.is_some_and(|s| s.reason().is_some() | s.expires().is_some())),
        h.rseq().is_ok() | h.rack().is_ok(),
        h.retry_after().is_ok_and(|r| r.is_some_and(|r| r.duration().is_some())),
        h.refer_to().is_ok() | h.referred_by().is_ok() | h.replaces().is_ok(),
        h.content_type().is_ok() | h.content_length().is_ok() | h.date().is_ok(),
        h.accept().is_ok_and(|a| a.is_some_and(|a| a.iter().any(|a| a.matches("application", "sdp")))),
        h.reason().is_ok_and(|r| r.iter().any(|r| r.cause().is_some() | r.text().is_some())),
        h.p_asserted_identity().is_ok() | h.diversion().is_ok(),
        h.timestamp().is_some(),
        h.list(HeaderName::Contact).count() > 1,
    ];
    all.iter().filter(|&&ok| ok).count()
}

fn address(a: &NameAddr) -> bool {
    uri(&a.uri);
    let again = NameAddr::parse(a.with_param("x", "y \" z\r\n").raw()).unwrap();
    assert!(again.raw().windows(2).all(|w| w != b"\r\n"));
    a.tag().is_some() | a.expires().is_some() | a.detach().display.is_some()
}

fn uri(u: &Uri) -> usize {
    if u.is_sip() {
        assert!(*u == u.detach(), "{u}");
        assert!(u.with_param("x", "y").with_header("h", "v").is_sip(), "{u}");
        assert_eq!(u.to_request_uri().headers_raw(), None);
    }
    u.user_decoded().map_or(0, |user| user.len()) + usize::from(u.header("Replaces").is_some())
}

/// Whatever came in, what goes out is one readable message.
fn reply(request: &Request, status: StatusCode) -> usize {
    let source = "[::ffff:192.0.2.1]:5060".parse().unwrap();
    let response = ResponseBuilder::reply_to(&request.clone().received_from(source), status)
        .to_tag(b"t")
        .record_route()
        .body("text/plain", request.body().clone())
        .build();
    if response.headers().len() < limits::HEADER_FIELDS && response.as_bytes().len() < limits::DATAGRAM {
        match parse(response.as_bytes().clone(), Framing::Stream) {
            Ok(Message::Response(read)) => assert_eq!(read.headers().len(), response.headers().len()),
            other => panic!("{:?} from {:?}: {other:?}", response.as_bytes(), request.as_bytes()),
        }
    }
    let mut onward = RequestBuilder::new(request.method().clone(), request.uri());
    for field in request
        .headers()
        .iter()
        .filter(|f| !f.is(&HeaderName::ContentLength) && !f.is(&HeaderName::ContentType))
    {
        onward = onward.header(field.name(), field.value());
    }
    onward.build().as_bytes().len()
}

fn mutate(seed: &[u8], other: &[u8], random: &mut Random) -> Vec<u8> {
    const PIECES: &[&[u8]] = &[
        b"\r\n",
        b"\r\n ",
        b"\r\n\r\n",
        b"\r",
        b"\n",
        b"\0",
        b"\"",
        b"\\",
        b"<",
        b">",
        b";",
        b",",
        b":",
        b"@",
        b"?",
        b"=",
        b"%",
        b"%00",
        b"[",
        b"]",
        b"(",
        b" ",
        b"\t",
        b"-1",
        b"4294967296",
        b"18446744073709551616",
        b"99999999999999999999999999",
        b"\xff",
        b"\xc3\xa9",
        b"SIP/2.0",
        b"\r\nContent-Length: 99999999999\r\n",
        b"\r\nl: 0\r\n",
        b"\r\nVia: ",
        b"\r\nContact: *\r\n",
        b"sip:",
        b"tel:",
        b";tag=",
        b";rport",
        b"*",
    ];
    let mut out = seed.to_vec();
    for _ in 0..=random.below(4) {
        let at = random.below(out.len() + 1);
        let end = (at + random.below(40)).min(out.len());
        match random.below(8) {
            0 if at < out.len() => out[at] = random.next().to_le_bytes()[0],
            1 if at < out.len() => out[at] ^= 1 << random.below(8),
            2 => drop(out.drain(at..end)),
            3 => drop(out.splice(at..at, PIECES[random.below(PIECES.len())].iter().copied())),
            4 => drop(out.splice(at..end, PIECES[random.below(PIECES.len())].iter().copied())),
            5 => {
                let piece = out[at..end].to_vec();
                let times = 1 + random.below(50);
                drop(out.splice(at..at, piece.repeat(times)));
            }
            6 => {
                let from = random.below(other.len() + 1);
                let to = (from + random.below(200)).min(other.len());
                drop(out.splice(at..end, other[from..to].iter().copied()));
            }
            _ => out.truncate(at),
        }
    }
    out
}

#[test]
fn every_prefix_of_every_message_is_survived() {
    for (name, seed) in corpus() {
        let started = Instant::now();
        for end in 0..=seed.len() {
            for framing in [Framing::Datagram, Framing::Stream] {
                if let Ok(Message::Request(request)) = parse(Bytes::copy_from_slice(&seed[..end]), framing) {
                    let _ = validate(&request);
                }
            }
            if end % 13 == 0 {
                exercise(&seed[..end]);
            }
        }
        assert!(started.elapsed() < Duration::from_secs(30), "{name}");
    }
}

#[test]
fn a_cut_message_is_never_taken_for_a_whole_one() {
    for (name, seed) in corpus().into_iter().filter(|(name, _)| name.ends_with(".sip")) {
        let whole = parse(Bytes::from(seed.clone()), Framing::Stream);
        assert!(whole.is_ok(), "{name}: {whole:?}");
        for end in 0..seed.len() {
            assert!(
                parse(Bytes::copy_from_slice(&seed[..end]), Framing::Stream).is_err(),
                "{name} cut at {end}"
            );
        }
    }
}

#[test]
fn every_request_of_the_corpus_is_valid() {
    for (name, seed) in corpus().into_iter().filter(|(name, _)| name.ends_with(".sip")) {
        if let Ok(Message::Request(request)) = parse(seed.into(), Framing::Datagram) {
            assert_eq!(validate(&request), Ok(()), "{name}");
        }
    }
}

#[test]
fn mutated_messages_are_survived() {
    let number = |name: &str| std::env::var(name).ok().and_then(|value| value.parse::<u64>().ok());
    let seed = number("SIP_CORPUS_SEED").unwrap_or(0x5eed_0000_4475).max(1);
    let rounds = number("SIP_CORPUS_ROUNDS").unwrap_or(6_000);
    println!("SIP_CORPUS_SEED={seed} SIP_CORPUS_ROUNDS={rounds}");
    let seeds = corpus();
    let mut random = Random(seed);
    let mut accepted = 0u64;
    let mut slowest = (Duration::ZERO, Vec::new());
    for _ in 0..rounds {
        let (first, second) = (random.below(seeds.len()), random.below(seeds.len()));
        let bytes = mutate(&seeds[first].1, &seeds[second].1, &mut random);
        let started = Instant::now();
        accepted += u64::from(exercise(&bytes) > 0);
        let took = started.elapsed();
        if took > slowest.0 {
            slowest = (took, bytes);
        }
    }
    println!("{accepted} of {rounds} were read; slowest {:?} for {} bytes", slowest.0, slowest.1.len());
    // Both ways out must be walked, or the mutations are too weak or too wild to show anything.
    assert!(accepted > rounds / 10 && accepted < rounds, "{accepted} of {rounds}");
    assert!(slowest.0 < Duration::from_secs(2), "{:?} for {}", slowest.0, slowest.1.escape_ascii());
}

/// The shortest of a few runs, so that what else the machine does counts for little.
fn shortest(text: &str, runs: usize) -> Duration {
    let run = |_| {
        let started = Instant::now();
        exercise(text.as_bytes());
        started.elapsed()
    };
    (0..runs).map(run).min().unwrap_or_default()
}

#[test]
fn the_largest_messages_take_linear_time() {
    let head = "INVITE sip:a@b SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK1\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:a@b>\r\n\
                Call-ID: 1\r\nCSeq: 1 INVITE\r\n";
    for (start, piece, end) in [
        ("Contact: ", "<sip:a@b>,", "<sip:a@b>"),
        ("Contact: <sip:a@b>", ";a=b", ""),
        ("Contact: <sip:a@b", ";a=b", ">"),
        ("Contact: <sip:a@b?x=y", "&a=b", ">"),
        ("Contact: \"", "\\\"", "\" <sip:a@b>"),
        ("Contact: ", "\"", ""),
        ("Contact: ", "<", ""),
        ("Contact: ", "\"<", ""),
        ("Via: ", "SIP/2.0/UDP h,", "SIP/2.0/UDP h"),
        ("Record-Route: ", ",", ""),
        ("Supported: ", "a,", "a"),
        ("Retry-After: 1 ", "(", ""),
        ("Subject: a", "\r\n ", "b"),
        ("Subject: a", "\r\n b", "b"),
        ("", "X:\r\n", "X:"),
        ("", "a: \r\n b\r\n", "X:"),
        ("Replaces: a", ";to-tag=1", ";from-tag=2"),
        ("Subject: ", "\\", ""),
        ("Subject: ", "\\\0", ""),
        ("", "\r\n", ""),
    ] {
        let of_size = |size: usize| {
            let room = size - head.len() - start.len() - end.len() - 4;
            format!("{head}{start}{}{end}\r\n\r\n", piece.repeat(room / piece.len()))
        };
        let (small, large) = (of_size(limits::DATAGRAM / 4), of_size(limits::DATAGRAM));
        // Four times the bytes: quadratic time would be sixteen times as long, and seconds in a debug build.
        let linear = (1..=5).any(|attempt| {
            shortest(&large, attempt) < shortest(&small, attempt) * 9 + Duration::from_millis(20)
        });
        assert!(linear, "{start}{piece}{end}: {:?} and {:?}", shortest(&small, 3), shortest(&large, 3));
    }
}
