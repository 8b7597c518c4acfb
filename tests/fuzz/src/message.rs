//! SIP messages and URIs: whatever is read can be asked everything, and what is made of it is
//! one readable message again.

use bytes::Bytes;
use sip::message::{
    Framing, HeaderName, Headers, Message, NameAddr, ParseError, Request, RequestBuilder, ResponseBuilder,
    StatusCode, Uri, limits, parse, validate,
};

/// Target `message`.
pub fn message(data: &[u8]) {
    for framing in [Framing::Datagram, Framing::Stream] {
        match parse(Bytes::copy_from_slice(data), framing) {
            Ok(Message::Request(request)) => {
                read_again(request.as_bytes(), framing);
                ask(request.headers());
                let valid = validate(&request);
                answer(&request, valid.as_ref().map_or_else(|reject| reject.status, |()| StatusCode::OK));
                if valid.is_ok() {
                    assert!(request.headers().top_via().is_ok() && request.headers().cseq().is_ok());
                    assert!(request.headers().from().is_ok() && request.headers().to().is_ok());
                    assert!(request.headers().call_id().is_ok(), "what is valid can be used");
                    onward(&request);
                }
            }
            Ok(Message::Response(response)) => {
                read_again(response.as_bytes(), framing);
                ask(response.headers());
                assert!((100..700).contains(&response.status().as_u16()));
            }
            Err(ParseError::Reply(bad)) => {
                assert!((400..700).contains(&bad.status.as_u16()));
                ask(bad.request.headers());
                answer(&bad.request, bad.status);
            }
            Err(ParseError::Silent(_)) => {}
        }
    }
}

/// The bytes that a message says it is are the same message.
fn read_again(bytes: &Bytes, framing: Framing) {
    let again = parse(bytes.clone(), framing).expect("its own bytes are a message");
    assert_eq!(again.as_bytes(), bytes);
}

fn ask(h: &Headers) {
    assert!(h.len() <= limits::HEADER_FIELDS);
    for field in h.iter() {
        let value = field.value();
        assert!(!value.starts_with(b" ") && !value.ends_with(b"\t"), "trimmed");
        assert!(!value.contains(&b'\n') && !value.contains(&b'\r'), "one line");
        assert!(h.contains(field.name()));
    }
    for via in h.vias().into_iter().flatten() {
        let _ = (via.has_magic_cookie(), via.received(), via.rport(), via.maddr(), via.branch());
    }
    h.from().iter().chain(&h.to()).for_each(ask_address);
    h.contacts().iter().for_each(|list| list.iter().for_each(ask_address));
    for list in [h.record_routes(), h.routes(), h.path(), h.service_route(), h.diversion()] {
        list.iter().flatten().for_each(ask_address);
    }
    let _ = (h.call_id().is_ok(), h.cseq().is_ok(), h.max_forwards().is_ok(), h.expires().is_ok());
    let _ = (h.min_expires().is_ok(), h.min_se().is_ok(), h.session_expires().is_ok());
    let _ = (h.supported().is_ok(), h.proxy_require().is_ok(), h.unsupported().is_ok(), h.allow().is_ok());
    let _ = (h.require().map(|t| t.contains("100rel")), h.allow_events().is_ok());
    let _ = h.event().map(|e| e.is_some_and(|e| e.id().is_some()));
    let _ = h.subscription_state().map(|s| s.map(|s| (s.reason().is_some(), s.expires(), s.retry_after())));
    let _ = (h.rseq().is_ok(), h.rack().is_ok(), h.replaces().is_ok(), h.date().is_ok());
    let _ = h.retry_after().map(|r| r.map(|r| r.duration()));
    h.refer_to().iter().flatten().chain(h.referred_by().iter().flatten()).for_each(ask_address);
    let _ = (h.content_type().is_ok(), h.content_length().is_ok(), h.timestamp().is_some());
    let _ = h.accept().map(|a| a.map(|a| a.iter().any(|a| a.matches("application", "sdp"))));
    let _ = h.reason().map(|r| r.iter().any(|r| r.cause().is_some() | r.text().is_some()));
    let _ = h.p_asserted_identity().is_ok();
}

fn ask_address(a: &NameAddr) {
    ask_uri(&a.uri);
    let more = a.with_param("x", "y \" z\r\n");
    assert!(!more.raw().contains(&b'\n'), "nothing given adds a line");
    let again = NameAddr::parse(more.raw()).expect("with one more parameter it is still an address");
    assert!(again.param("x").is_some());
    let detached = a.detach();
    assert_eq!((detached.tag(), &detached.display), (a.tag(), &a.display));
}

/// Whatever came in, what goes out is one readable message with the Via of the request on top.
fn answer(request: &Request, status: StatusCode) {
    let source = "[::ffff:192.0.2.1]:5060".parse().expect("an address");
    let response = ResponseBuilder::reply_to(&request.clone().received_from(source), status)
        .to_tag(b"t")
        .record_route()
        .body("text/plain", request.body().clone())
        .build();
    if response.headers().len() > limits::HEADER_FIELDS || response.as_bytes().len() > limits::DATAGRAM {
        return;
    }
    let Ok(Message::Response(read)) = parse(response.as_bytes().clone(), Framing::Stream) else {
        panic!("no response: {}", response.as_bytes().escape_ascii())
    };
    assert_eq!(read.headers().len(), response.headers().len());
    assert_eq!(read.status(), status);
    let vias = |h: &Headers| h.get_all(HeaderName::Via).count();
    assert_eq!(vias(read.headers()), vias(request.headers()));
}

/// A request rebuilt from the parts of a valid one is valid.
fn onward(request: &Request) {
    let own = [HeaderName::ContentLength, HeaderName::ContentType];
    let mut builder = RequestBuilder::new(request.method().clone(), request.uri());
    for field in request.headers().iter().filter(|f| !own.iter().any(|name| f.is(name))) {
        builder = builder.header(field.name(), field.value());
    }
    let built = builder.build();
    if built.headers().len() > limits::HEADER_FIELDS || built.as_bytes().len() > limits::DATAGRAM {
        return;
    }
    let Ok(Message::Request(read)) = parse(built.as_bytes().clone(), Framing::Stream) else {
        panic!("no request: {}", built.as_bytes().escape_ascii())
    };
    assert_eq!(validate(&read), Ok(()), "{}", built.as_bytes().escape_ascii());
}

/// Target `uri`: the two halves of the input, or the whole of it.
pub fn uri(data: &[u8]) {
    if let Ok(uri) = Uri::parse(data) {
        ask_uri(&uri);
    }
    // A header field holds no line ends: what reads messages sees to that.
    let one_line = !data.iter().any(|b| matches!(b, b'\r' | b'\n' | 0));
    if let Some(address) = NameAddr::parse(data).filter(|_| one_line) {
        ask_address(&address);
    }
    let mut halves = data.splitn(2, |b| *b == b'\n');
    let (Some(a), Some(b)) = (halves.next(), halves.next()) else { return };
    if let (Ok(a), Ok(b)) = (Uri::parse(a), Uri::parse(b)) {
        let (forth, back) = (a == b, b == a);
        assert_eq!(forth, back, "equality goes both ways");
    }
    if let (Ok(user), Ok(host)) = (std::str::from_utf8(a), std::str::from_utf8(b)) {
        let made = Uri::sip(Some(user), host, Some(5060));
        assert!(made.is_sip() && !made.as_bytes().iter().any(u8::is_ascii_control));
        assert_eq!(made.user_decoded().unwrap_or_default(), user.as_bytes(), "the user comes back");
    }
}

fn ask_uri(u: &Uri) {
    assert!(*u == u.detach(), "{u}");
    assert!(!u.as_bytes().iter().any(|b| matches!(b, b'\r' | b'\n' | b' ' | b'<' | b'>')), "{u}");
    let again = Uri::parse(u.as_bytes()).expect("its own text is a URI");
    assert!(again == *u, "{u}");
    if u.is_sip() {
        assert!(u.with_param("x", "y").with_header("h", "v").is_sip(), "{u}");
        let in_request = u.to_request_uri();
        assert!(in_request.headers_raw().is_none() && in_request.param("method").is_none(), "{u}");
        assert!(in_request == in_request.to_request_uri());
    }
    let _ = (u.user_decoded(), u.header("Replaces"), u.param("transport"), u.port(), u.host());
}
