use sip::endpoint::flow::{Hop, Transport};
use sip::endpoint::policy::PolicyId;
use sip::message::{Framing, Message, parse};

use super::*;
use crate::config::{Config, Overrides};

const KEYS: &str = "from_user = \"acme\"\ncaller_id = \"+33199000001\"\n";

fn trunk(keys: &str) -> Arc<Trunk> {
    let text = format!(
        "[[trunk]]\nname = \"carrier\"\nmode = \"peer\"\npeer = \"sip.example.com\"\nsources = [\"192.0.2.0/24\"]\n{keys}"
    );
    let loaded = Config::from_toml(&text, None, &Overrides::default(), &|_| None).unwrap();
    Arc::clone(&crate::trunk::Trunks::new(&loaded.config.trunks).list()[0])
}

fn route_on(trunk: Arc<Trunk>) -> Route {
    let hop = |text: &str| Hop::new(Transport::Tcp, text.parse().unwrap());
    let way = Way {
        hops: vec![hop("192.0.2.1:5060"), hop("192.0.2.2:5060")],
        local: "198.51.100.7:5060".parse().unwrap(),
        advertised: "203.0.113.7:5060".parse().unwrap(),
        routes: Vec::new(),
        policy: PolicyId::default(),
    };
    let allowed = Allowed::new(vec!["+33".to_owned()], Some("FR".parse().unwrap()));
    Route::new(trunk, way, allowed, E164::new("+33199000020").unwrap(), "call@test".to_owned())
}

fn route() -> Route {
    route_on(trunk(KEYS))
}

fn redirection(contacts: &str) -> Response {
    let text = format!(
        "SIP/2.0 302 Moved Temporarily\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK1\r\nFrom: <sip:a@b>;tag=1\r\n\
         To: <sip:c@d>;tag=2\r\nCall-ID: x\r\nCSeq: 1 INVITE\r\nContact: {contacts}\r\nContent-Length: 0\r\n\r\n"
    );
    match parse(Bytes::from(text), Framing::Datagram).unwrap() {
        Message::Response(response) => response,
        Message::Request(request) => panic!("{request:?}"),
    }
}

fn followed(route: &mut Route, contacts: &str) -> Option<(String, Option<String>)> {
    let destination = route.follow(&redirection(contacts))?;
    Some((destination.number.as_str().to_owned(), destination.at.map(|at| at.to_string())))
}

#[test]
fn the_invite_says_whom_and_who_by_the_trunks_settings() {
    let route = route();
    let invite = route.invite(route.first());
    assert_eq!(text(invite.uri.as_bytes()), "sip:+33199000020@sip.example.com;user=phone");
    assert_eq!(invite.to, "<sip:+33199000020@sip.example.com;user=phone>");
    assert_eq!(invite.from, "<sip:+33199000001@sip.example.com>");
    let asserted: Vec<_> =
        invite.headers.iter().map(|(name, value)| (name.to_string(), text(value))).collect();
    let value = "<sip:+33199000001@sip.example.com>".to_owned();
    assert_eq!(asserted, [("P-Asserted-Identity".to_owned(), value)]);
    assert_eq!((invite.hops.len(), invite.call_id.as_str()), (2, "call@test"));
}

#[test]
fn without_a_number_to_show_the_account_calls() {
    let route = route_on(trunk("from_user = \"acme\"\nfrom_domain = \"acme.example\"\n"));
    let invite = route.invite(route.first());
    assert_eq!((invite.from.as_str(), invite.headers.len()), ("<sip:acme@acme.example>", 0));
}

#[test]
fn a_redirection_is_followed_over_the_trunk_whatever_host_it_names() {
    let next = followed(&mut route(), "<sip:+33199000021@evil.example.net;maddr=10.0.0.1>");
    assert_eq!(next, Some(("+33199000021".to_owned(), None)));
    let next = followed(&mut route(), "<tel:+33199000021>");
    assert_eq!(next, Some(("+33199000021".to_owned(), None)));
    let next = followed(&mut route(), "<sip:+33199000021@10.0.0.1>");
    assert_eq!(next, Some(("+33199000021".to_owned(), None)), "not an address of the trunk");
}

#[test]
fn an_address_of_the_trunk_is_used() {
    let mut route = route();
    let next = route.follow(&redirection("<sip:+33199000020@192.0.2.9:5080>")).unwrap();
    let invite = route.invite(&next);
    assert_eq!(text(invite.uri.as_bytes()), "sip:+33199000020@192.0.2.9:5080;user=phone");
    let hop = Hop::new(Transport::Tcp, "192.0.2.9:5080".parse().unwrap());
    assert_eq!(invite.hops, [hop]);
}

#[test]
fn only_numbers_that_the_tenant_may_call_are_followed_to() {
    for contacts in [
        "<sip:+12025550101@192.0.2.1>",
        "<sip:112@192.0.2.1>",
        "<tel:+33112>",
        "<sip:bob@192.0.2.1>",
        "<http://example.com/>",
        "*",
    ] {
        assert_eq!(followed(&mut route(), contacts), None, "{contacts}");
    }
    let next = followed(&mut route(), "<sip:+12025550101@h>, <sip:+33199000022@h>");
    assert_eq!(next.unwrap().0, "+33199000022", "the first that is allowed");
}

#[test]
fn the_preferred_contact_is_taken() {
    let contacts = "<sip:+33199000021@h>;q=0.2, <sip:+33199000022@h>;q=0.7, <sip:+33199000023@h>;q=x";
    assert_eq!(followed(&mut route(), contacts).unwrap().0, "+33199000022");
}

#[test]
fn redirections_in_a_circle_or_without_end_are_not_followed() {
    let mut route = route();
    assert_eq!(followed(&mut route, "<sip:+33199000020@h>"), None, "where it came from");
    let mut next = |number: &str| followed(&mut route, &format!("<sip:{number}@h>")).is_some();
    assert!(next("+33199000021") && !next("+33199000021"));
    assert!(next("+33199000022") && next("+33199000023") && !next("+33199000024"), "three at most");
}
