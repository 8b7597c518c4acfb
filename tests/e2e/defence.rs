//! Sources that nobody knows: silence, counts, bans, and what fail2ban makes of them. All of
//! 127.0.0.0/8 is this machine, so that a test can call from a source of a trunk and from none.

use std::net::Ipv4Addr;
use std::time::Duration;

use sip::ua::digest::{Challenger, Client, Credentials, Password};

use crate::rig::service::write;
use crate::rig::{Home, Phone, SOON, Service, eventually, root};

const HARBOR: &str = "+12025550101";
const LISTED: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 9);
const NOBODY: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 66);

/// One trunk that names [`LISTED`] alone, so that the loopback isn't listed as a whole.
const TRUNK: &str = "[[trunk]]\nname = \"office\"\nmode = \"open\"\nsources = [\"127.0.0.9\"]\n";

fn start(home: &Home, more: &str, flags: &[&str]) -> Service {
    let config = write(home, "offhook.toml", &format!("{more}{TRUNK}"));
    let mut all = vec!["--config", config.to_str().unwrap()];
    all.extend(flags);
    home.start_with(&all)
}

fn run(home: &Home, arguments: &[&str]) -> (bool, String) {
    let output = home.command(arguments).output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(text).unwrap())
}

fn without_body(invite: &str, method: &str) -> String {
    let head = invite.split("Content-Type").next().unwrap();
    let head = head.replacen("INVITE", method, 1).replace("1 INVITE", &format!("1 {method}"));
    format!("{head}Content-Length: 0\r\n\r\n")
}

#[test]
fn an_unlisted_source_hears_nothing_and_leaves_no_record() {
    let home = Home::new();
    let service = start(&home, "", &[]);
    let mut stranger = Phone::from(NOBODY, service.sip);
    let sdp = stranger.offer();
    let invite = stranger.first_invite(HARBOR, &sdp, "");
    stranger.send(&invite);
    for method in ["OPTIONS", "REGISTER", "SUBSCRIBE"] {
        stranger.send(&without_body(&invite, method));
    }
    stranger.send("no SIP at all");
    for method in ["CANCEL", "ACK"] {
        stranger.send(&without_body(&invite, method));
    }
    // In a dialog that there isn't.
    let to = invite.lines().find(|line| line.starts_with("To: ")).unwrap();
    stranger.send(&without_body(&invite.replace(to, &format!("{to};tag=x")), "BYE"));
    service.wait_for_metric("offhook_sip_unlisted_total", 3);
    service.wait_for_metric("offhook_defence_dropped_total{reason=\"unlisted\"}", 4);
    service.wait_for_metric("offhook_defence_dropped_total{reason=\"no_sip\"}", 1);
    assert_eq!(service.metric("offhook_calls_refused_total{reason=\"unlisted_source\"}"), 1);

    let mut known = Phone::from(LISTED, service.sip);
    assert_eq!(known.dial(HARBOR).status(), Some(200));
    known.hang_up();
    assert!(stranger.anything().is_none(), "a stranger was answered");
    service.stop();
    assert_eq!(home.calls().len(), 1);
}

#[test]
fn a_scanner_is_banned_told_to_fail2ban_and_can_be_let_in_again() {
    let filter = std::fs::read_to_string(root().join("config/fail2ban/filter.d/offhook.conf")).unwrap();
    for format in ["text", "json"] {
        let home = Home::new();
        let service = start(&home, "", &["--log-format", format]);
        let mut scanner = Phone::from(NOBODY, service.sip);
        let sdp = scanner.offer();
        let invite = scanner.first_invite(HARBOR, &sdp, "User-Agent: friendly-scanner\r\n");
        scanner.send(&without_body(&invite, "OPTIONS"));
        service.wait_for_metric("offhook_defence_banned", 1);
        scanner.send(&invite);
        service.wait_for_metric("offhook_defence_dropped_total{reason=\"banned\"}", 2);

        let (_, bans) = run(&home, &["bans", "--json"]);
        let bans: serde_json::Value = serde_json::from_str(&bans).unwrap();
        assert_eq!(
            (bans[0]["source"].as_str(), bans[0]["reason"].as_str()),
            (Some("127.0.0.66"), Some("scanner"))
        );
        assert_eq!((bans[0]["times"].as_u64(), bans[0]["dropped"].as_u64()), (Some(1), Some(1)));
        assert!(run(&home, &["bans"]).1.contains("127.0.0.66"));

        let log = service.log();
        let line = log.lines().find(|line| line.contains("source banned")).unwrap();
        assert_eq!(banned_by(&filter, line).as_deref(), Some("127.0.0.66"), "{line}");

        assert!(run(&home, &["unban", "127.0.0.66"]).0);
        assert!(!run(&home, &["unban", "127.0.0.66"]).0, "there is nothing left to lift");
        assert_eq!(run(&home, &["bans"]).1, "Nobody is banned.\n");
        service.stop();
    }
}

/// What fail2ban would ban for this line: it takes the date away, puts its own expression in the
/// place of `<SUBNET>`, and searches.
fn banned_by(filter: &str, line: &str) -> Option<String> {
    let date = regex::Regex::new(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z").unwrap();
    let line = date.replace(line, "");
    let rules = filter.split("failregex = ").nth(1).unwrap().split("\n\n").next().unwrap();
    rules.lines().find_map(|rule| {
        let subnet = r"(?P<host>[0-9a-fA-F:.]+)(?:/(?P<cidr>\d+))?";
        let rule = regex::Regex::new(&rule.trim().replace("<SUBNET>", subnet)).unwrap();
        Some(rule.captures(&line)?["host"].to_owned())
    })
}

#[test]
fn probing_is_banned_for_a_while_and_the_ban_ends_by_itself() {
    let home = Home::new();
    let service = start(&home, "[defence]\nprobes_per_minute = 3\nban_seconds = 1\n", &[]);
    let mut stranger = Phone::from(NOBODY, service.sip);
    let sdp = stranger.offer();
    let invite = stranger.first_invite(HARBOR, &sdp, "");
    for _ in 0..5 {
        stranger.send(&without_body(&invite, "REGISTER"));
    }
    service.wait_for_metric("offhook_defence_dropped_total{reason=\"banned\"}", 1);
    assert_eq!(service.metric("offhook_defence_bans_total{reason=\"probing\"}"), 1);
    eventually("the end of the ban", SOON, || (service.metric("offhook_defence_banned") == 0).then_some(()));
    assert!(stranger.anything().is_none());
    service.stop();
}

#[test]
fn a_peer_that_says_503_is_down_and_up_at_its_first_answer() {
    let home = Home::new();
    let mut peer = Phone::at("127.0.0.1:9".parse().unwrap());
    let trunk = format!(
        "[[trunk]]\nname = \"carrier\"\nmode = \"peer\"\npeer = \"{}\"\noptions_ping_seconds = 1\n",
        peer.local()
    );
    let config = write(&home, "offhook.toml", &trunk);
    let service = home.start_with(&["--config", config.to_str().unwrap()]);
    peer.turn_to(service.sip);
    let up = "offhook_trunk_up{trunk=\"carrier\"}";
    let state = || {
        let (_, shown) = run(&home, &["trunks", "--json"]);
        let shown: serde_json::Value = serde_json::from_str(&shown).unwrap();
        shown[0]["state"].as_str().unwrap().to_owned()
    };
    for (status, count, then) in [(200, 1, ("up", 1)), (503, 3, ("down", 0)), (404, 1, ("up", 1))] {
        for _ in 0..count {
            let ping = peer.expect("OPTIONS", Duration::from_secs(5));
            peer.reply(&ping, status);
        }
        eventually(then.0, SOON, || (state() == then.0).then_some(()));
        assert_eq!(service.metric(up), then.1);
        let (code, _) = crate::rig::http::get(service.http, "/ready").unwrap();
        assert_eq!(code, 200, "a trunk that is down doesn't take the service down");
    }
    service.stop();
}

/// Dials, answers the challenge with this password, and gives the final answer.
fn dial_as(phone: &mut Phone, user: &str, password: &str) -> Option<u16> {
    let sdp = phone.offer();
    let invite = phone.first_invite(HARBOR, &sdp, "");
    phone.send(&invite);
    let challenge = phone.answer();
    phone.ack(&challenge);
    if challenge.status() != Some(401) {
        return challenge.status();
    }
    let offers: Vec<&str> = challenge.all("WWW-Authenticate").collect();
    assert!(offers[0].contains("algorithm=SHA-256") && offers[1].contains("algorithm=MD5"), "{offers:?}");
    let credentials =
        Credentials { username: user.to_owned(), password: Password::new(password), realm: None };
    let mut client = Client::new(credentials);
    client.on_challenges(offers.iter().map(|offer| (Challenger::Server, offer.as_bytes()))).unwrap();
    let uri = invite.split(' ').nth(1).unwrap();
    let answer = client.authorize(b"INVITE", uri.as_bytes(), 7).remove(0);
    let header = format!("Authorization: {}\r\n", std::str::from_utf8(&answer.value).unwrap());
    let invite = phone.first_invite(HARBOR, &sdp, &header);
    phone.send(&invite);
    let answer = phone.response();
    phone.ack(&answer);
    answer.status()
}

#[test]
fn a_password_opens_a_trunk_to_any_source_and_guessing_ends_in_silence() {
    let home = Home::new();
    let config = write(
        &home,
        "offhook.toml",
        "[defence]\ninvites_per_second = 1000\n[[trunk]]\nname = \"road\"\nmode = \"open\"\nsources = [\"0.0.0.0/0\"]\nauth_realm = \"road.test\"\n\
         [[trunk.auth_inbound]]\nusername = \"reception\"\npassword = \"zanzibar\"\n",
    );
    let service = home.start_with(&["--config", config.to_str().unwrap()]);
    let mut known = Phone::from(LISTED, service.sip);
    assert_eq!(dial_as(&mut known, "reception", "zanzibar"), Some(200));

    for (user, tries) in [("reception", 5), ("nobody", 5)] {
        for _ in 0..tries {
            let mut guesser = Phone::from(NOBODY, service.sip);
            assert_eq!(dial_as(&mut guesser, user, "guess"), Some(401), "known and unknown users alike");
        }
    }
    let mut guesser = Phone::from(NOBODY, service.sip);
    assert_eq!(dial_as(&mut guesser, "reception", "zanzibar"), Some(403), "not even the right one, by now");
    service.wait_for_metric("offhook_defence_banned", 1);
    assert_eq!(service.metric("offhook_defence_bans_total{reason=\"passwords\"}"), 1);
    let mut banned = Phone::from(NOBODY, service.sip);
    banned.invite(HARBOR);
    service.wait_for_metric("offhook_defence_dropped_total{reason=\"banned\"}", 1);
    assert!(banned.anything().is_none());

    known.hang_up();
    let log = service.stop();
    assert!(!log.contains("zanzibar") && !log.contains("reception"), "{log}");
    assert_eq!(home.calls().len(), 1, "a call without a password is no call");
}

#[test]
fn a_trunk_has_as_many_calls_as_it_may_and_those_beyond_are_counted() {
    let home = Home::new();
    let config = write(&home, "offhook.toml", &format!("{TRUNK}max_calls = 1\nmax_calls_per_second = 3\n"));
    let service = home.start_with(&["--config", config.to_str().unwrap()]);
    let refused = |limit: &str| {
        service.metric(&format!("offhook_trunk_refused_total{{trunk=\"office\",limit=\"{limit}\"}}"))
    };
    let mut first = Phone::from(LISTED, service.sip);
    assert_eq!(first.dial(HARBOR).status(), Some(200));
    assert_eq!(service.metric("offhook_trunk_calls{trunk=\"office\"}"), 1);
    let mut second = Phone::from(LISTED, service.sip);
    let answer = second.dial(HARBOR);
    assert_eq!((answer.status(), answer.header("Retry-After").is_empty()), (Some(503), false), "{answer:?}");
    assert_eq!(refused("max_calls"), 1);
    let mut third: Vec<Phone> = (0..6).map(|_| Phone::from(LISTED, service.sip)).collect();
    third.iter_mut().for_each(|phone| phone.invite(HARBOR));
    for phone in &mut third {
        let answer = phone.answer();
        assert_eq!(answer.status(), Some(503), "{answer:?}");
        phone.ack(&answer);
    }
    assert!(refused("max_calls_per_second") >= 1, "six within a second");
    first.hang_up();
    service.wait_for_metric("offhook_trunk_calls{trunk=\"office\"}", 0);
    service.stop();
}
