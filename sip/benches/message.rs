//! Parsing and writing messages, beside `rsip` 0.4 as the named baseline; at the end the ratios of both.

#![allow(clippy::expect_used, missing_docs)] // fixed inputs; criterion generates public functions

use std::hint::black_box;
use std::time::{Duration, Instant};

use bytes::Bytes;
use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use rsip::message::HeadersExt;
use sip::message::{Framing, HeaderName, Message, Request, ResponseBuilder, StatusCode, parse, validate};

const INVITE: &[u8] = include_bytes!("../tests/corpus/invite.sip");
const OK: &[u8] = include_bytes!("../tests/corpus/ok.sip");

fn ours(bytes: &Bytes) -> Message {
    parse(bytes.clone(), Framing::Datagram).expect("a valid message")
}

fn theirs(bytes: &[u8]) -> rsip::SipMessage {
    rsip::SipMessage::try_from(bytes).expect("a valid message")
}

fn request() -> Request {
    match ours(&Bytes::from_static(INVITE)) {
        Message::Request(request) => request.received_from("192.0.2.10:5060".parse().expect("an address")),
        Message::Response(_) => unreachable!("INVITE is a request"),
    }
}

fn body() -> Bytes {
    let Message::Response(ok) = ours(&Bytes::from_static(OK)) else { unreachable!("200 is a response") };
    ok.body().clone()
}

fn our_200(request: &Request, body: &Bytes) -> Bytes {
    let response = ResponseBuilder::reply_to(request, StatusCode::OK)
        .to_tag(b"l0c4l7ag")
        .record_route()
        .header(HeaderName::Contact, "<sip:192.0.2.1:5060>")
        .header(HeaderName::Allow, "INVITE, ACK, CANCEL, BYE, OPTIONS, REFER, NOTIFY, UPDATE, PRACK")
        .header(HeaderName::Supported, "timer, 100rel, replaces")
        .body("application/sdp", body.clone())
        .build();
    response.as_bytes().clone()
}

/// The same header fields by rsip.
fn their_200(request: &rsip::Request, body: &Bytes) -> Vec<u8> {
    use rsip::headers::{Allow, Contact, ContentLength, ContentType, Supported};
    use rsip::prelude::UntypedHeader;
    let mut headers = rsip::Headers::default();
    headers.push(request.via_header().expect("a Via").clone().into());
    headers.push(request.from_header().expect("a From").clone().into());
    let to = request.to_header().expect("a To").clone().with_tag("l0c4l7ag".into()).expect("a tag");
    headers.push(to.into());
    headers.push(request.call_id_header().expect("a Call-ID").clone().into());
    headers.push(request.cseq_header().expect("a CSeq").clone().into());
    headers.push(Contact::new("<sip:192.0.2.1:5060>").into());
    headers.push(Allow::new("INVITE, ACK, CANCEL, BYE, OPTIONS, REFER, NOTIFY, UPDATE, PRACK").into());
    headers.push(Supported::new("timer, 100rel, replaces").into());
    headers.push(ContentType::new("application/sdp").into());
    headers.push(ContentLength::new(body.len().to_string()).into());
    let response = rsip::Response {
        status_code: rsip::StatusCode::OK,
        version: rsip::Version::V2,
        headers,
        body: body.to_vec(),
    };
    response.into()
}

/// What the first look at an INVITE needs: where it goes, whose it is.
fn our_reading(bytes: &Bytes) -> usize {
    let Message::Request(request) = ours(bytes) else { return 0 };
    let valid = validate(&request).is_ok();
    let branch = request.headers().top_via().map_or(0, |via| via.branch().map_or(0, <[u8]>::len));
    branch + usize::from(valid)
}

fn parsing(c: &mut Criterion) {
    let mut group = c.benchmark_group("parse");
    let bytes = Bytes::from_static(INVITE);
    group.bench_function("INVITE/offhook", |b| b.iter(|| ours(black_box(&bytes))));
    group.bench_function("INVITE/rsip", |b| b.iter(|| theirs(black_box(INVITE))));
    // As it arrives: the bytes are in memory of their own.
    group.bench_function("INVITE received/offhook", |b| {
        b.iter_batched(|| Bytes::from(INVITE.to_vec()), |bytes| ours(&bytes), BatchSize::SmallInput);
    });
    group.bench_function("INVITE and validate/offhook", |b| b.iter(|| our_reading(black_box(&bytes))));
    let ok = Bytes::from_static(OK);
    group.bench_function("200/offhook", |b| b.iter(|| ours(black_box(&ok))));
    group.bench_function("200/rsip", |b| b.iter(|| theirs(black_box(OK))));
    group.finish();
}

fn writing(c: &mut Criterion) {
    let mut group = c.benchmark_group("serialise");
    let (request, body) = (request(), body());
    let rsip::SipMessage::Request(baseline) = theirs(INVITE) else { unreachable!("INVITE is a request") };
    group.bench_function("200/offhook", |b| b.iter(|| our_200(black_box(&request), &body)));
    group.bench_function("200/rsip", |b| b.iter(|| their_200(black_box(&baseline), &body)));
    group.finish();
}

/// Both in the same run, one after the other in short turns, so that a busy machine slows both alike.
#[allow(clippy::disallowed_methods)] // a benchmark measures time
fn ratios(_: &mut Criterion) {
    let time = |f: &mut dyn FnMut()| {
        let start = Instant::now();
        (0..200).for_each(|_| f());
        start.elapsed()
    };
    let compare = |name: &str, ours: &mut dyn FnMut(), theirs: &mut dyn FnMut()| {
        let mut sums = (Duration::ZERO, Duration::ZERO);
        for _ in 0..200 {
            sums = (sums.0 + time(ours), sums.1 + time(theirs));
        }
        let per = |sum: Duration| sum.as_secs_f64() * 1e6 / 40_000.0;
        println!(
            "{name}: offhook {:.2} us, rsip {:.2} us, ratio {:.1}",
            per(sums.0),
            per(sums.1),
            per(sums.1) / per(sums.0)
        );
    };
    let (invite, ok, request, body) = (Bytes::from_static(INVITE), Bytes::from_static(OK), request(), body());
    let rsip::SipMessage::Request(baseline) = theirs(INVITE) else { unreachable!("INVITE is a request") };
    compare("parse INVITE", &mut || drop(black_box(ours(&invite))), &mut || drop(black_box(theirs(INVITE))));
    compare("parse 200", &mut || drop(black_box(ours(&ok))), &mut || drop(black_box(theirs(OK))));
    compare("serialise 200", &mut || drop(black_box(our_200(&request, &body))), &mut || {
        drop(black_box(their_200(&baseline, &body)))
    });
}

criterion_group!(benches, parsing, writing, ratios);
criterion_main!(benches);
