use std::net::Ipv4Addr;

use super::*;
use crate::config::{Config, Overrides};

const LISTED: u8 = 1;
const GUEST: u8 = 2;
const NOBODY: u8 = 3;

/// A trunk that trusts 192.0.2.1, one that asks 192.0.2.2 for a password, nothing for the rest.
struct Rig {
    guard: Guard,
    now: Instant,
}

impl Rig {
    fn new(defence: &str) -> Self {
        let text = format!(
            "[defence]\n{defence}\n[[trunk]]\nname = \"a\"\nmode = \"open\"\nsources = [\"192.0.2.1\"]\n\
             [[trunk]]\nname = \"b\"\nmode = \"open\"\nsources = [\"192.0.2.2\"]\n\
             [[trunk.auth_inbound]]\nusername = \"u\"\npassword_env = \"P\"\n"
        );
        let environment = |_: &str| Some("secret".to_owned());
        let config = Config::from_toml(&text, None, &Overrides::default(), &environment).unwrap().config;
        let now = Instant::now();
        let trunks = Arc::new(Trunks::new(&config.trunks));
        Self { guard: Guard::new(Arc::new(config.defence), trunks, now), now }
    }

    fn give(&mut self, source: u8, message: &str) -> Verdict {
        self.guard.inspect(peer(source), local(), message.as_bytes(), self.now)
    }

    fn times(&mut self, source: u8, message: &str, count: usize) -> Vec<Verdict> {
        (0..count).map(|_| self.give(source, message)).collect()
    }

    fn note(&mut self, source: u8, offence: Offence, count: usize) {
        (0..count).for_each(|_| self.guard.note(peer(source), local(), offence, self.now));
    }

    fn pass(&mut self, seconds: u64) {
        self.now += Duration::from_secs(seconds);
    }

    fn banned(&self) -> Vec<(String, &'static str, u32)> {
        self.guard.bans(self.now).into_iter().map(|ban| (ban.source, ban.reason, ban.times)).collect()
    }
}

fn peer(source: u8) -> SocketAddr {
    SocketAddr::new(Ipv4Addr::new(192, 0, 2, source).into(), 5060)
}

fn local() -> SocketAddr {
    "203.0.113.1:5060".parse().unwrap()
}

fn request(method: &str, to_tag: &str, agent: &str) -> String {
    format!(
        "{method} sip:x@y SIP/2.0\r\nVia: SIP/2.0/UDP h\r\nTo: <sip:x@y>{to_tag}\r\nUser-Agent: {agent}\r\n\r\n"
    )
}

fn is_taken(verdict: &Verdict) -> bool {
    matches!(verdict, Verdict::Take(taken) if !taken.too_many)
}

#[test]
fn a_trusted_source_passes_whatever_it_sends_and_is_never_banned() {
    let mut rig = Rig::new("");
    for message in [
        request("INVITE", "", "Telephone"),
        request("REGISTER", "", "friendly-scanner"),
        "garbage".to_owned(),
        request("BYE", ";tag=1", "x"),
    ] {
        assert!(rig.times(LISTED, &message, 1_000).iter().all(is_taken), "{message}");
    }
    rig.note(LISTED, Offence::WrongPassword, 100);
    rig.note(LISTED, Offence::Malformed, 1_000);
    assert!(rig.banned().is_empty());
    assert_eq!(rig.guard.counters(rig.now).sources, 0, "nothing is kept of it");
    let mut strict = Rig::new("limit_trusted = true");
    strict.give(LISTED, &request("REGISTER", "", "friendly-scanner"));
    assert_eq!(strict.banned().len(), 1, "unless the operator wants it");
}

#[test]
fn requests_from_nobody_end_in_silence_and_repeated_ones_in_a_ban() {
    let mut rig = Rig::new("");
    let invite = request("INVITE", "", "Telephone");
    let verdicts = rig.times(NOBODY, &invite, 11);
    assert!(verdicts.iter().all(|verdict| *verdict == Verdict::Drop(Dropped::Unlisted)), "{verdicts:?}");
    assert_eq!(rig.banned(), [("192.0.2.3".to_owned(), "probing", 1)]);
    assert_eq!(rig.give(NOBODY, &invite), Verdict::Drop(Dropped::Banned));
    assert_eq!(rig.give(NOBODY, &request("BYE", ";tag=1", "x")), Verdict::Drop(Dropped::Banned));
    let counters = rig.guard.counters(rig.now);
    assert_eq!((counters.unlisted_invites, counters.dropped, counters.banned), (11, [2, 11, 0, 0], 1));
    rig.pass(301);
    assert!(rig.banned().is_empty(), "it ends by itself");
    rig.times(NOBODY, &invite, 11);
    assert_eq!(rig.banned(), [("192.0.2.3".to_owned(), "probing", 2)]);
}

#[test]
fn a_slow_unlisted_source_is_not_heard_but_not_banned_either() {
    let mut rig = Rig::new("");
    for _ in 0..100 {
        assert_eq!(rig.give(NOBODY, &request("INVITE", "", "x")), Verdict::Drop(Dropped::Unlisted));
        rig.pass(6);
    }
    assert!(rig.banned().is_empty());
}

#[test]
fn what_may_belong_to_a_call_goes_on_to_the_endpoint_from_anybody() {
    let mut rig = Rig::new("");
    for message in [
        request("BYE", ";tag=1", "x"),
        request("ACK", ";tag=1", "x"),
        request("INVITE", ";tag=1", "x"),
        "SIP/2.0 200 OK\r\n\r\n".to_owned(),
    ] {
        assert!(is_taken(&rig.give(NOBODY, &message)), "{message}");
    }
    let verdicts = rig.times(NOBODY, &request("BYE", ";tag=1", "x"), 1_000);
    let taken = verdicts.iter().filter(|verdict| is_taken(verdict)).count();
    assert_eq!(taken, 396, "twice the messages of a second, less the four above");
    assert_eq!(verdicts[999], Verdict::Drop(Dropped::TooMany));
}

#[test]
fn a_scanner_is_banned_at_its_first_message() {
    for (agent, banned) in
        [("friendly-scanner", true), ("VaxSIPUserAgent/3.1", true), ("PPLSIP", true), ("Yealink", false)]
    {
        let mut rig = Rig::new("");
        rig.give(NOBODY, &request("OPTIONS", "", agent));
        assert_eq!(rig.banned().len() == 1, banned, "{agent}");
    }
    let mut rig = Rig::new("ban_scanners = false");
    rig.give(NOBODY, &request("OPTIONS", "", "friendly-scanner"));
    assert!(rig.banned().is_empty());
    let mut rig = Rig::new("scanner_user_agents = [\"Nosy\"]");
    rig.give(NOBODY, &request("OPTIONS", "", "friendly-scanner"));
    rig.give(GUEST, &request("OPTIONS", "", "very NOSY 1.0"));
    assert_eq!(rig.banned(), [("192.0.2.2".to_owned(), "scanner", 1)]);
}

#[test]
fn a_guest_has_so_many_calls_and_requests_a_second() {
    let mut rig = Rig::new("invites_per_second = 2\nrequests_per_second = 3\n");
    let invites = rig.times(GUEST, &request("INVITE", "", "x"), 6);
    assert_eq!(invites.iter().filter(|verdict| is_taken(verdict)).count(), 4);
    assert!(matches!(invites[5], Verdict::Take(taken) if taken.too_many), "it is told so: {invites:?}");
    let others = rig.times(GUEST, &request("REGISTER", "", "x"), 8);
    assert_eq!(others.iter().filter(|verdict| is_taken(verdict)).count(), 6);
    assert_eq!(others[7], Verdict::Drop(Dropped::TooMany));
    rig.pass(1);
    assert!(is_taken(&rig.give(GUEST, &request("INVITE", "", "x"))));
    assert_eq!(rig.guard.counters(rig.now).invites_over, 2);
}

#[test]
fn the_eleventh_wrong_password_in_a_minute_is_the_last() {
    let mut rig = Rig::new("");
    rig.note(GUEST, Offence::WrongPassword, 10);
    assert!(rig.banned().is_empty());
    rig.note(GUEST, Offence::WrongPassword, 1);
    assert_eq!(rig.banned(), [("192.0.2.2".to_owned(), "passwords", 1)]);
    assert_eq!(rig.give(GUEST, &request("INVITE", "", "x")), Verdict::Drop(Dropped::Banned));
    assert!(is_taken(&rig.give(GUEST, &request("BYE", ";tag=1", "x"))), "its running call goes on");
    assert_eq!(rig.guard.counters(rig.now).wrong_passwords, 11);
}

#[test]
fn garbage_is_dropped_and_much_of_it_bans() {
    let mut rig = Rig::new("malformed_per_minute = 5");
    let verdicts = rig.times(NOBODY, "GET / HTTP/1.1\r\n\r\n", 6);
    assert!(verdicts.iter().all(|verdict| *verdict == Verdict::Drop(Dropped::NoSip)));
    assert_eq!(rig.banned(), [("192.0.2.3".to_owned(), "malformed", 1)]);
    let mut rig = Rig::new("");
    rig.times(GUEST, "\r\n\r\n", 300);
    assert!(rig.banned().is_empty(), "keep-alives are no offence");
    let mut rig = Rig::new("");
    rig.note(GUEST, Offence::Malformed, 61);
    assert_eq!(rig.banned().len(), 1);
}

#[test]
fn an_operator_lifts_a_ban_and_exempts_networks() {
    let mut rig = Rig::new("");
    rig.give(NOBODY, &request("OPTIONS", "", "sipvicious"));
    assert!(rig.guard.unban(peer(NOBODY).ip(), rig.now) && !rig.guard.unban(peer(NOBODY).ip(), rig.now));
    assert!(rig.banned().is_empty());
    let mut rig = Rig::new("exempt = [\"192.0.2.0/24\"]");
    let verdicts = rig.times(NOBODY, &request("OPTIONS", "", "sipvicious"), 1_000);
    assert!(verdicts.iter().all(is_taken), "the endpoint decides");
}

#[test]
fn settings_change_while_it_works() {
    let mut rig = Rig::new("");
    rig.give(NOBODY, &request("OPTIONS", "", "sipvicious"));
    rig.guard.set(Arc::new(Defence { ban_scanners: false, ..Defence::default() }));
    assert_eq!(rig.banned().len(), 1, "bans in force stay");
    rig.guard.unban(peer(NOBODY).ip(), rig.now);
    assert_eq!(rig.give(NOBODY, &request("OPTIONS", "", "sipvicious")), Verdict::Drop(Dropped::Unlisted));
}
