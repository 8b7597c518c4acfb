use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use super::*;

const REGISTER: &str =
    "[[trunk]]\nname = 'a'\nmode = 'register'\nregistrar = 'sip.example.com'\nusername = 'bob'\n";
const OPEN: &str = "[[trunk]]\nname = 'b'\nmode = 'open'\nsources = ['192.0.2.0/24']\n";

fn environment(name: &str) -> Option<String> {
    match name {
        "SET" => Some("secret".to_owned()),
        "EMPTY" => Some(String::new()),
        _ => None,
    }
}

fn read(text: &str) -> Result<Loaded, ConfigError> {
    Config::from_toml(text, Some(Path::new("f.toml")), &Overrides::default(), &environment)
}

fn good(text: &str) -> Loaded {
    read(text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

fn told(text: &str) -> Vec<String> {
    match read(text) {
        Ok(_) => Vec::new(),
        Err(error) => error.to_string().lines().map(str::to_owned).collect(),
    }
}

/// One mistake only, and it is told so.
fn assert_told(text: &str, expected: &str) {
    let lines = told(text);
    assert_eq!(lines.len(), 1, "{text}\n{lines:#?}");
    assert!(lines[0].contains(expected), "{text}\n  told: {}\nwanted: {expected}", lines[0]);
}

#[test]
fn without_a_file_the_defaults_hold_and_the_demo_trunk_is_there() {
    let Loaded { config, warnings } = Config::load(None, &Overrides::default(), &environment).unwrap();
    assert!(warnings.is_empty());
    assert_eq!(config.service.sip, "127.0.0.1:5060".parse().unwrap());
    assert_eq!(config.service.http, "127.0.0.1:8080".parse().unwrap());
    assert_eq!(config.service.drain, Duration::from_secs(60));
    assert_eq!(config.service.rtp_ports.to_string(), "16384-32767");
    let [demo] = &config.trunks[..] else { panic!("{config:?}") };
    assert_eq!((demo.name.as_str(), &demo.mode, demo.refer), ("demo", &Mode::Open, ReferPolicy::Tel));
    assert_eq!((demo.admission.max_calls, demo.admission.max_calls_per_second), (None, None));
    let near = |address: &str| demo.admission.sources.closeness(address.parse::<IpAddr>().unwrap());
    assert_eq!((near("127.9.9.9"), near("::1"), near("::ffff:127.0.0.1")), (Some(8), Some(128), Some(8)));
    assert_eq!((near("192.0.2.1"), near("::2")), (None, None));
    let MediaSource::Latch { prefixes } = &demo.media.source else { panic!("{:?}", demo.media) };
    assert_eq!(prefixes.len(), 2, "a softphone's SDP may name another address of this machine");
}

#[test]
fn the_demo_trunk_goes_with_the_first_trunk_unless_it_is_wanted() {
    let names = |text: &str| -> Vec<String> {
        good(text).config.trunks.iter().map(|t| t.name.as_str().to_owned()).collect()
    };
    assert_eq!(names(OPEN), ["b"]);
    assert_eq!(names(&format!("[service]\ndemo_trunk = true\n{OPEN}")), ["b", "demo"]);
    assert!(names("[service]\ndemo_trunk = false\n").is_empty());
    let own = OPEN.replace("'b'", "'demo'");
    assert_eq!(names(&format!("[service]\ndemo_trunk = true\n{own}")), ["demo"]);
}

#[test]
fn overrides_win_over_the_file_and_the_file_over_the_defaults() {
    let overrides = Overrides {
        sip: Some("127.0.0.1:6000".parse().unwrap()),
        drain: Some(Duration::ZERO),
        log_format: Some(LogFormat::Json),
        ..Overrides::default()
    };
    let text = "[service]\nsip = '127.0.0.1:7000'\nhttp = '127.0.0.1:7001'\ndrain_seconds = 5\n";
    let service = Config::from_toml(text, None, &overrides, &environment).unwrap().config.service;
    assert_eq!((service.sip.port(), service.http.port()), (6000, 7001));
    assert_eq!((service.drain, service.log_format), (Duration::ZERO, LogFormat::Json));
}

#[test]
fn a_register_trunk_needs_little_and_takes_its_identity_from_it() {
    let config = good(REGISTER).config;
    let trunk = config.trunk(&crate::ids::TrunkName::new("a").unwrap()).unwrap();
    let Mode::Register(registrar) = &trunk.mode else { panic!("{trunk:?}") };
    assert_eq!((registrar.user.as_str(), registrar.expires), ("bob", 600));
    assert_eq!(trunk.mode.next_hop(), Some(&registrar.address));
    assert_eq!(
        (trunk.identity.from_user.as_str(), trunk.identity.from_domain.as_deref()),
        ("bob", Some("sip.example.com"))
    );
    assert_eq!(trunk.admission.sources, Sources::Resolved);
    assert_eq!(trunk.credentials, None);
}

#[test]
fn a_registrar_given_by_address_is_the_source_unless_sources_are_listed() {
    let by_address = REGISTER.replace("sip.example.com", "192.0.2.5:5080");
    let sources = |text: &str| good(text).config.trunks[0].admission.sources.clone();
    assert_eq!(sources(&by_address).closeness("192.0.2.5".parse().unwrap()), Some(32));
    let listed = format!("{by_address}sources = ['198.51.100.0/24']\n");
    assert_eq!(sources(&listed).closeness("192.0.2.5".parse().unwrap()), None);
    let proxied = format!("{by_address}outbound_proxy = 'proxy.example.com'\n");
    assert_eq!(sources(&proxied), Sources::Resolved);
}

#[test]
fn mistakes_are_told_with_place_and_remedy() {
    for (text, expected) in [
        (
            "[service]\nsipp = '127.0.0.1:5060'\n",
            "f.toml:2:1: [service], key `sipp`: unknown key; did you mean `sip`?",
        ),
        ("servce = 1\n", "f.toml:1:1: key `servce`: unknown key; did you mean `service`?"),
        ("[service]\nqqqqq = 1\n", "what can stand here: sip, http, drain_seconds"),
        (
            "[service]\n  sip = 5060\n",
            "f.toml:2:9: [service], key `sip`: holds a value of type integer; write an address with a port",
        ),
        ("[service]\nsip = 'localhost:5060'\n", "\"localhost:5060\" won't do; write an address with a port"),
        ("[service]\ndrain_seconds = 90000\n", "write a number from 0 to 86400"),
        ("[service]\ndrain_seconds = -1\n", "write a number from 0 to 86400"),
        ("[service]\ndrain_seconds = '60'\n", "write a whole number without quotes"),
        ("[service]\nlog_format = 'jsn'\n", "\"jsn\" is not a choice; did you mean `json`?"),
        ("[service]\nlog_format = 'xml'\n", "\"xml\" is not a choice; what can stand here: text, json"),
        ("[service]\nrtp_ports = '80-90'\n", "two ports from 1024 to 65535"),
        ("[service]\nrtp_ports = '5000-6000'\n", "holds the port of `sip`"),
        (
            "[service]\nhttp = '127.0.0.1:5060'\n",
            "f.toml:2:8: [service], key `http`: is the same address as `sip`",
        ),
        (
            "[service]\nadvertised_address = '0.0.0.0'\n",
            "f.toml:2:22: [service], key `advertised_address`: is a wildcard or multicast address; write the address that peers send to",
        ),
        ("service = 3\n", "key `service`: holds a value of type integer; write a table"),
        ("[trunk]\nname = 'x'\n", "[[trunk]] with two brackets"),
        (
            "[service]\nrecording_key = 'secret'\n",
            "key `recording_key`: is no key: write 32 random bytes in hexadecimal",
        ),
        ("[service]\nsip = \n", "f.toml:2:7: not valid TOML"),
        ("[service]\nsip = '127.0.0.1:1'\nsip = '127.0.0.1:2'\n", "f.toml:3:1: not valid TOML"),
    ] {
        assert_told(text, expected);
    }
}

#[test]
fn mistakes_of_trunks_name_the_trunk() {
    for (added, expected) in [
        ("regsitrar = 'x'\n", "trunk \"a\", key `regsitrar`: unknown key; did you mean `registrar`?"),
        ("transport = 'sctp'\n", "f.toml:6:13: trunk \"a\", key `transport`: \"sctp\" is not a choice"),
        ("outbound_proxy = 'sip:proxy'\n", "without `sip:`"),
        ("expires = 10\n", "write a number from 30 to 86400"),
        ("codecs = []\n", "is empty"),
        ("codecs = ['pcma', 'pcma']\n", "f.toml:6:19: trunk \"a\", key `codecs`: holds an entry twice"),
        ("codecs = ['pcma', 'g729']\n", "f.toml:6:19: trunk \"a\", key `codecs`: \"g729\" is not a choice"),
        ("codecs = 'pcma'\n", "a list in brackets"),
        ("srtp = 'on'\n", "\"on\" is not a choice"),
        ("ptime_ms = 25\n", "write 10, 20, 30, 40, 50 or 60"),
        ("jitter_min_ms = 150\n", "above `jitter_max_ms`"),
        ("jitter_max_ms = 500\n", "write a number from 20 to 200"),
        ("default_country = 'France'\n", "two letters of ISO 3166-1"),
        ("sources = ['192.0.2.9/24']\n", "write \"192.0.2.0/24\" for the whole network"),
        ("sources = ['192.0.2.0/40']\n", "such as \"192.0.2.7\" or \"192.0.2.0/24\""),
        (
            "peer = 'x'\n",
            "f.toml:6:1: trunk \"a\", key `peer`: has no meaning here; it belongs to mode = \"peer\"",
        ),
        ("media_source = 'latch'\n", "key `media_prefixes`: is missing"),
        ("media_prefixes = ['192.0.2.0/24']\n", "it belongs to media_source = \"latch\""),
        ("realm = 'r'\n", "it goes with a password"),
        ("min_se = 1801\n", "is longer than `session_expires`"),
        ("session_expires = 89\n", "write a number from 90 to 86400"),
        ("from_user = \"a\\r\\nb\"\n", "a text in quotes, on one line"),
        ("from_domain = 'x.example:5060'\n", "a domain has no port here"),
        ("max_calls = 0\n", "write a number from 1"),
        ("password_env = 'UNSET'\n", "the environment variable UNSET is not set"),
        ("password_env = 'EMPTY'\n", "the password is empty"),
        ("password_file = '/no/such/file'\n", "can't read /no/such/file"),
        ("password_env = 'SET'\npassword = 'x'\n", "only one of"),
    ] {
        assert_told(&format!("{REGISTER}{added}"), expected);
    }
}

#[test]
fn keys_without_default_are_asked_for_at_the_trunk_that_lacks_them() {
    for (text, expected) in [
        (REGISTER.replace("name = 'a'\n", ""), "f.toml:1:1: [[trunk]] number 1, key `name`: is missing"),
        (
            REGISTER.replace("registrar = 'sip.example.com'\n", ""),
            "f.toml:1:1: trunk \"a\", key `registrar`: is missing",
        ),
        (REGISTER.replace("username = 'bob'\n", ""), "key `username`: is missing"),
        (
            OPEN.replace("mode = 'open'\n", ""),
            "key `mode`: is missing; write mode = \"register\", \"peer\" or \"open\"",
        ),
        (OPEN.replace("sources = ['192.0.2.0/24']\n", ""), "key `sources`: is missing"),
        (OPEN.replace("'open'", "'peer'"), "key `peer`: is missing"),
        (format!("{OPEN}username = 'x'\n"), "an open trunk trusts its `sources`"),
        (format!("{OPEN}outbound_proxy = 'x'\n"), "an open trunk makes no calls"),
        (OPEN.replace("'b'", "'B!'"), "of a-z, 0-9, '_' and '-'"),
        (
            "[[trunk]]\nname = 'p'\nmode = 'peer'\npeer = 'x.example'\npassword_env = 'SET'\n".to_owned(),
            "a password goes with a user name",
        ),
    ] {
        assert_told(&text, expected);
    }
}

#[test]
fn two_trunks_of_one_name_are_told_with_both_lines() {
    let text = format!("{OPEN}\n{OPEN}");
    assert_told(&text, "f.toml:7:8: trunk \"b\", key `name`: \"b\" is also the name of the trunk in line 2");
}

#[test]
fn all_mistakes_are_told_at_once_in_the_order_of_the_file() {
    let text = "\
[service]
sip = 'x'
hptt = '127.0.0.1:80'
[[trunk]]
mode = 'registre'
codecs = ['g729', 'pcma']
[[trunk]]
name = 'ok'
mode = 'open'
sources = ['nowhere']
[other]
";
    let places: Vec<String> =
        told(text).iter().map(|line| line.split(": ").next().unwrap().to_owned()).collect();
    let expected =
        ["2:7", "3:1", "4:1", "5:8", "6:11", "10:12", "11:2"].map(|place| format!("f.toml:{place}"));
    assert_eq!(places, expected);
}

#[test]
fn columns_count_characters() {
    assert_told("service = { data = 'é', nope = 1 }\n", "f.toml:1:25:");
}

#[test]
fn questionable_settings_are_warned_of() {
    let warned = |text: &str| -> Vec<WarningKind> { good(text).warnings.iter().map(|w| w.kind).collect() };
    assert_eq!(warned(&format!("{REGISTER}password = 'x'\n")), [WarningKind::InlinePassword]);
    assert_eq!(warned(&OPEN.replace("192.0.2.0/24", "0.0.0.0/0")), [WarningKind::OpenToAll]);
    assert_eq!(warned("[service]\nsip = '0.0.0.0:5060'\n"), [WarningKind::NoAdvertisedAddress]);
    assert_eq!(warned(&format!("{REGISTER}srtp = 'require'\n")), [WarningKind::KeysInTheClear]);
    assert!(warned(&format!("{REGISTER}srtp = 'require'\ntransport = 'tls'\n")).is_empty());
    assert!(warned(&format!("{OPEN}srtp = 'offer'\n")).is_empty(), "whoever calls may do so over TLS");
    assert!(warned("[service]\nsip = '0.0.0.0:5060'\nadvertised_address = '203.0.113.7'\n").is_empty());
}

#[cfg(unix)]
#[test]
fn password_files_are_read_beside_the_configuration_and_warned_of_when_open() {
    use std::os::unix::fs::PermissionsExt;
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("offhook.toml");
    let secret = directory.path().join("pw");
    std::fs::write(&file, format!("{REGISTER}password_file = 'pw'\n")).unwrap();
    let load = |content: &[u8], mode: u32| {
        std::fs::write(&secret, content).unwrap();
        std::fs::set_permissions(&secret, std::fs::Permissions::from_mode(mode)).unwrap();
        Config::load(Some(&file), &Overrides::default(), &environment)
    };
    let loaded = load(b"pass word \r\n", 0o640).unwrap();
    assert!(loaded.warnings.is_empty());
    let password = loaded.config.trunks[0].credentials.clone().unwrap().password;
    assert_eq!(password, sip::ua::digest::Password::new("pass word "));
    assert_eq!(load(b"x", 0o644).unwrap().warnings[0].kind, WarningKind::ReadablePassword);
    assert!(load(b"\n", 0o600).unwrap_err().to_string().contains("the password is empty"));
    assert!(load(&[b'x'; 5_000], 0o600).unwrap_err().to_string().contains("too large"));
    assert!(load(b"\xff\xfe", 0o600).unwrap_err().to_string().contains("can't read"));
}

#[test]
fn no_password_is_ever_printed() {
    let loaded = good(&format!("{REGISTER}password = 'hush-hush'\n"));
    assert!(!format!("{loaded:?}").contains("hush"));
    let wrong = read(&format!("{REGISTER}password = 'hush-hush'\npassword_env = 'SET'\n")).unwrap_err();
    assert!(!format!("{wrong} {wrong:?}").contains("hush"));
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let error =
        Config::load(Some(Path::new("/no/such.toml")), &Overrides::default(), &environment).unwrap_err();
    assert!(error.to_string().starts_with("can't read the configuration file /no/such.toml: "));
}

#[test]
fn mistakes_of_flags_have_no_place() {
    let same = Some("127.0.0.1:9".parse().unwrap());
    let overrides = Overrides { sip: same, http: same, ..Overrides::default() };
    let error = Config::from_toml("", None, &overrides, &environment).unwrap_err();
    assert!(
        error.to_string().starts_with("configuration: [service], key `http`: is the same address as `sip`"),
        "{error}"
    );
}

proptest::proptest! {
    #[test]
    fn any_text_is_read_or_refused(text: String) {
        let _ = read(&text);
    }

    #[test]
    fn any_values_are_read_or_refused(
        lines in proptest::collection::vec("(sip|http|rtp_ports|name|mode|sources|codecs|expires|peer) = ([0-9]{1,20}|'[ -&(-~]{0,12}'|\\['[0-9./:]{0,9}'\\]|\\{\\})", 0..6),
        trunk: bool,
    ) {
        let header = if trunk { "[[trunk]]" } else { "[service]" };
        let _ = read(&format!("{header}\n{}\n", lines.join("\n")));
    }
}

const TLS: &str = "[service]\ntls_certificate = 'a.crt'\ntls_key = 'a.key'\n";

#[test]
fn tls_is_served_beside_sip_once_there_is_a_certificate() {
    assert_eq!(good("").config.service.tls, tls::ServiceTls::default());
    let served = |text: &str| good(text).config.service.tls;
    let standard = served(&format!("{TLS}sip = ['192.0.2.1:5080', '[2001:db8::1]:5080']\n"));
    let listen: Vec<String> = standard.listen.iter().map(ToString::to_string).collect();
    assert_eq!(listen, ["192.0.2.1:5061", "[2001:db8::1]:5061"]);
    assert_eq!((standard.certificates.len(), standard.clients), (1, None));
    let own = served(&format!("{TLS}sips = '127.0.0.1:0'\ntls_client_ca = 'ca.pem'\n"));
    assert_eq!(own.listen, ["127.0.0.1:0".parse().unwrap()]);
    assert_eq!(own.clients.unwrap().policy, tls::ClientPolicy::Require);
    let several = "[service]\ntls_certificate = ['a.crt', 'b.crt']\ntls_key = ['a.key', 'b.key']\n";
    assert_eq!(served(several).certificates[1].key, Path::new("b.key"));
}

#[test]
fn sip_is_served_on_one_address_of_each_family() {
    let both = "[service]\nsip = ['0.0.0.0:5060', '[::]:5060']\nadvertised_address = '192.0.2.1'\n";
    let service = good(both).config.service;
    assert_eq!((service.sip.is_ipv4(), service.sip_also.map(|also| also.is_ipv6())), (true, Some(true)));
    assert_eq!(good("").config.service.sip_also, None);
    assert_told("[service]\nsip = ['127.0.0.1:5060', '127.0.0.2:5060']\n", "two addresses of one family");
    let overrides = Overrides { sip: Some("127.0.0.1:6000".parse().unwrap()), ..Overrides::default() };
    let service = Config::from_toml(both, None, &overrides, &environment).unwrap().config.service;
    assert_eq!((service.sip.port(), service.sip_also), (6000, None));
}

#[test]
fn a_trunk_under_tls_has_its_own_terms() {
    let text = format!(
        "{REGISTER}transport = 'tls'\ntls_ca = 'ca.pem'\ntls_server_name = 'sip.carrier.example'\n\
         tls_client_certificate = 'c.crt'\ntls_client_key = 'c.key'\ntls_wildcards = true\n"
    );
    let trunk = &good(&text).config.trunks[0];
    assert_eq!(trunk.transport, Transport::Tls);
    assert_eq!(trunk.tls.ca.as_deref(), Some(Path::new("ca.pem")));
    assert_eq!(trunk.tls.server_name.as_deref(), Some("sip.carrier.example"));
    assert!(trunk.tls.wildcards && trunk.tls.client.is_some());
}

#[test]
fn mistakes_about_tls_are_told() {
    for (text, expected) in [
        ("[service]\nsips = '127.0.0.1:5061'\n".to_owned(), "set `tls_certificate` and `tls_key`"),
        ("[service]\ntls_certificate = 'a'\n".to_owned(), "key `tls_key`: is missing"),
        ("[service]\ntls_key = 'a'\n".to_owned(), "key `tls_certificate`: is missing"),
        (
            "[service]\ntls_certificate = ['a', 'b']\ntls_key = 'a'\n".to_owned(),
            "as many keys as certificates",
        ),
        (format!("{TLS}tls_clients = 'verify'\n"), "set `tls_client_ca`"),
        (format!("{TLS}sips = '127.0.0.1:5060'\n"), "key `sips`: is the same address as `sip`"),
        (format!("{REGISTER}tls_ca = 'a'\n"), "it belongs to transport"),
        (format!("{OPEN}tls_ca = 'a'\n"), "an open trunk sends no requests"),
        (format!("{REGISTER}transport = 'tls'\ntls_server_name = 'a:5061'\n"), "has no port"),
        ("[service]\nmax_connections = 0\n".to_owned(), "from 1 to 1000000"),
        ("[service]\ndns_servers = ['192.0.2.53']\n".to_owned(), "an address with a port"),
    ] {
        assert_told(&text, expected);
    }
}

#[test]
fn limits_are_read_and_checked() {
    let config = good(
        "[defence]\nmessages_per_second = 0\nban_seconds = 10\nban_seconds_most = 10\n\
         scanner_user_agents = ['x']\nexempt = ['192.0.2.0/24']\n[overload]\ndelay_ms = 0\n",
    )
    .config;
    assert_eq!((config.defence.messages_per_second, config.defence.invites_per_second), (0, 10));
    assert_eq!(
        (config.defence.ban, config.defence.ban_most),
        (Duration::from_secs(10), Duration::from_secs(10))
    );
    assert_eq!((config.defence.scanner_user_agents.len(), config.defence.exempt.len()), (1, 1));
    assert_eq!((config.overload.delay, config.overload.calls_setting_up), (Duration::ZERO, 4_000));
    assert_told(
        "[defence]\nban_seconds = 100\nban_seconds_most = 99\n",
        "f.toml:3:20: [defence], key `ban_seconds_most`: is shorter than `ban_seconds`",
    );
    assert_told("[defence]\nscanner_user_agents = []\n", "is empty");
    assert_told("[overload]\ncalls_setting_up = 0\n", "is out of range");
    let long = good("[defence]\nban_seconds = 100000\n").config.defence;
    assert_eq!(long.ban_most, long.ban, "the longest is no shorter than the first");
}

#[test]
fn a_trunk_may_ask_its_callers_for_a_password() {
    let user = "[[trunk.auth_inbound]]\nusername = 'u'\npassword_env = 'SET'\n";
    let loaded = good(&format!("{}{user}", OPEN.replace("192.0.2.0/24", "0.0.0.0/0")));
    assert_eq!(loaded.warnings, [], "open to all, and yet not to everybody");
    let authentication = loaded.config.trunks[0].authentication.clone().unwrap();
    assert_eq!((authentication.realm.as_str(), authentication.users.len()), ("offhook", 1));
    assert_eq!(authentication.users[0].username, "u");
    let realm = good(&format!("{OPEN}auth_realm = 'r'\n{user}")).config.trunks[0].clone();
    assert_eq!(realm.authentication.unwrap().realm, "r");

    assert_told(&format!("{OPEN}auth_realm = 'r'\n"), "it goes with users");
    assert_told(&format!("{OPEN}auth_inbound = []\n"), "is empty");
    assert_told(&format!("{OPEN}{user}{user}"), "\"u\" is there twice");
    assert_told(
        &format!("{OPEN}[[trunk.auth_inbound]]\nusername = 'u'\n"),
        "trunk \"b\", [[auth_inbound]] number 1, key `password_file`: is missing",
    );
    assert_told(&format!("{OPEN}[[trunk.auth_inbound]]\npassword_env = 'SET'\n"), "write the user's name");
    assert_told(&format!("{OPEN}{user}nam = 'x'\n"), "unknown key");
}

#[test]
fn only_peers_are_pinged() {
    let peer = "[[trunk]]\nname = 'p'\nmode = 'peer'\npeer = '192.0.2.1'\n";
    let health = |text: &str| good(text).config.trunks[0].health;
    assert_eq!(health(peer), HealthCheck { interval: Duration::from_secs(30), failures: 3 });
    let off = health(&format!("{peer}options_ping_seconds = 0\noptions_ping_failures = 2\n"));
    assert_eq!(off, HealthCheck { interval: Duration::ZERO, failures: 2 });
    assert_told(&format!("{OPEN}options_ping_seconds = 5\n"), "it belongs to mode = \"peer\"");
}
