//! The example files load, and no key is left out of them.

use std::path::Path;

use super::*;

const SERVICE: &str = include_str!("../../config/offhook.toml");
const TRACE: &str = include_str!("../../config/trace-example.toml");
const TRUNKS: &str = include_str!("../../config/trunk-example.toml");

fn environment(name: &str) -> Option<String> {
    match name {
        "CARRIER_PASSWORD" | "PEER_PASSWORD" | "RECEPTION_PASSWORD" => Some("secret".to_owned()),
        "OFFHOOK_RECORDING_KEY" => Some("5a".repeat(32)),
        _ => None,
    }
}

/// Loads a text as if it lay beside a file with the carrier's password.
fn load(text: &str) -> Loaded {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("carrier.password"), "secret\n").unwrap();
    std::fs::write(directory.path().join("recording.key"), format!("{}\n", "5a".repeat(32))).unwrap();
    let file = directory.path().join("offhook.toml");
    std::fs::write(&file, text).unwrap();
    match Config::load(Some(&file), &Overrides::default(), &environment) {
        Ok(loaded) => loaded,
        Err(error) => panic!("{error}"),
    }
}

/// The lines with the `#` of keys taken away.
fn with_optional_keys(text: &str) -> String {
    let optional = |line: &str| key_of(line).is_some() && line.starts_with('#');
    text.lines()
        .map(|line| if optional(line) { line.get(1..).unwrap() } else { line }.to_owned() + "\n")
        .collect()
}

/// The key that a line sets, commented out or not.
fn key_of(line: &str) -> Option<&str> {
    let (key, _) = line.strip_prefix('#').unwrap_or(line).split_once(" = ")?;
    key.bytes().all(|b| b.is_ascii_lowercase() || b == b'_').then_some(key)
}

/// The keys of all tables of this header, tables within it included.
fn keys_shown<'a>(text: &'a str, header: &str) -> Vec<&'a str> {
    let mut inside = false;
    let mut shown = Vec::new();
    for line in text.lines() {
        if line.starts_with('[') {
            inside = line == header;
            let within = format!("{}.", header.trim_end_matches(']'));
            shown.extend(line.strip_prefix(&within).map(|name| name.trim_end_matches(']')));
        } else if inside {
            shown.extend(key_of(line));
        }
    }
    shown
}

/// What the reader knows in a table, told by itself.
fn known_keys(header: &str) -> Vec<&'static str> {
    // A table within another needs that one.
    let outer = header.strip_prefix("[[trunk.").map_or("", |_| "[[trunk]]\n");
    let text = format!("{outer}{header}\nno_such_key_at_all = 1\n");
    let error = Config::from_toml(&text, None, &Overrides::default(), &environment).unwrap_err();
    let ConfigError::Invalid { problems, .. } = error else { panic!("{error}") };
    let known = problems.into_iter().find_map(|problem| match problem.kind {
        ProblemKind::UnknownKey { known, .. } if problem.subject.contains("no_such_key") => Some(known),
        _ => None,
    });
    known.unwrap()
}

#[test]
fn the_service_example_holds_the_defaults() {
    let defaults = Config::load(None, &Overrides::default(), &environment).unwrap();
    assert_eq!(load(SERVICE), defaults);
}

#[test]
fn the_service_example_loads_with_its_optional_keys() {
    let places = ["recording_key_file", "recording_key_env", "recording_key"];
    for place in places {
        let text: String = with_optional_keys(SERVICE)
            .lines()
            .filter(|line| key_of(line).is_none_or(|key| key == place || !places.contains(&key)))
            .map(|line| format!("{line}\n"))
            .collect();
        let config = load(&text).config;
        assert_eq!(config.service.advertised_address, Some("203.0.113.7".parse().unwrap()));
        assert_eq!(config.service.workers.media.map(u16::from), Some(2));
        assert_eq!(config.trunks.len(), 1);
        assert!(config.service.recording_key.is_some(), "{place}");
    }
}

#[test]
fn the_trace_example_holds_the_defaults() {
    assert_eq!(load(TRACE).config.trace, Trace::default());
}

#[test]
fn the_trace_example_loads_with_a_collector_and_each_kind_of_password() {
    for kind in ["hep_password_file", "hep_password_env", "hep_password"] {
        let others = ["hep_password_file", "hep_password_env", "hep_password"];
        let text: String = with_optional_keys(TRACE)
            .lines()
            .filter(|line| key_of(line).is_none_or(|key| key == kind || !others.contains(&key)))
            .map(|line| format!("{line}\n"))
            .collect();
        let text = text.replace("homer.password", "carrier.password").replace("HOMER_", "PEER_");
        let hep = load(&text).config.trace.hep.unwrap();
        assert_eq!(hep.address.to_string(), "homer.example.com:9060");
        assert_eq!((hep.agent.id, hep.agent.node.as_deref()), (2_001, Some("paris-1")));
        assert!(hep.agent.key.is_some(), "{kind}");
    }
}

#[test]
fn what_belongs_to_a_collector_needs_one() {
    let wrong = |text: &str| {
        Config::from_toml(text, None, &Overrides::default(), &environment).unwrap_err().to_string()
    };
    assert!(wrong("[trace]\nhep_node = 'x'\n").contains("it goes with `hep`"));
    assert!(wrong("[trace]\nhep = 'tcp:h:1'\n").contains("udp:homer.example.com:9060"));
}

#[test]
fn the_trunk_example_loads_as_it_is() {
    let config = load(TRUNKS).config;
    let names: Vec<_> = config.trunks.iter().map(|t| (t.name.as_str(), t.mode.as_str())).collect();
    assert_eq!(names, [("carrier", "register"), ("peer", "peer"), ("pbx", "open")]);
    let carrier = &config.trunks[0];
    let credentials = carrier.credentials.as_ref().unwrap();
    assert_eq!(credentials.password, sip::ua::digest::Password::new("secret"));
    assert_eq!(credentials.username, "33123456789-auth");
    assert!(config.trunks[1].credentials.is_some());
}

#[test]
fn the_trunk_example_loads_with_each_kind_of_password() {
    for kind in ["password_env", "password"] {
        let commented = format!("#{kind} = ");
        let text = TRUNKS.replace("\npassword_file = ", "\n#password_file = ").replacen(
            &commented,
            &format!("{kind} = "),
            1,
        );
        assert_ne!(text, TRUNKS);
        assert!(load(&text).config.trunks[0].credentials.is_some());
    }
}

#[test]
fn keys_with_a_default_are_shown_at_it() {
    let bare = "[[trunk]]\nname = 'carrier'\nmode = 'register'\nregistrar = 'r.example'\nusername = 'u'\n";
    let (bare, shown) = (load(bare).config, load(TRUNKS).config);
    let (bare, shown) = (&bare.trunks[0], &shown.trunks[0]);
    assert_eq!(bare.transport, shown.transport);
    assert_eq!(bare.media, shown.media);
    assert_eq!(bare.reliable_provisional, shown.reliable_provisional);
    assert_eq!(bare.identity.caller_id_in, shown.identity.caller_id_in);
    assert_eq!(bare.health, load(TRUNKS).config.trunks[1].health);
    assert_eq!(bare.session_timer, shown.session_timer);
    assert_eq!(bare.refer, shown.refer);
    assert_eq!(bare.numbers.dialed_number_from, shown.numbers.dialed_number_from);
    assert_eq!(bare.identity.caller_number_from, shown.identity.caller_number_from);
    let expires = |trunk: &Trunk| match &trunk.mode {
        Mode::Register(registrar) => registrar.expires,
        other => panic!("{other:?}"),
    };
    assert_eq!(expires(bare), expires(shown));
}

#[test]
fn every_key_is_in_the_examples_and_the_examples_have_no_other() {
    for (header, example, file) in [
        ("[service]", SERVICE, "config/offhook.toml"),
        ("[trace]", TRACE, "config/trace-example.toml"),
        ("[defence]", SERVICE, "config/offhook.toml"),
        ("[overload]", SERVICE, "config/offhook.toml"),
        ("[[trunk]]", TRUNKS, "config/trunk-example.toml"),
        ("[[trunk.auth_inbound]]", TRUNKS, "config/trunk-example.toml"),
    ] {
        let shown = keys_shown(example, header);
        let known = known_keys(header);
        for key in &known {
            assert!(shown.contains(key), "{file} doesn't show {header} {key}");
        }
        for key in shown {
            assert!(known.contains(&key), "{file} shows {key}, which isn't known");
        }
    }
    assert_eq!(known_keys(""), ["service", "trace", "defence", "overload", "trunk"]);
}

#[test]
fn every_override_has_its_flag_and_variable_in_the_example() {
    for name in [
        "sip",
        "http",
        "data",
        "drain",
        "advertised-address",
        "rtp-ports",
        "service-workers",
        "media-workers",
        "log-format",
    ] {
        let variable = format!("OFFHOOK_{}", name.to_uppercase().replace('-', "_"));
        assert!(SERVICE.contains(&format!("--{name} ")), "--{name}");
        assert!(SERVICE.contains(&variable), "{variable}");
    }
}

#[test]
fn the_examples_lie_where_the_texts_say() {
    for file in ["config/offhook.toml", "config/trunk-example.toml"] {
        let name = Path::new(file).file_name().unwrap().to_str().unwrap();
        assert!(SERVICE.contains(file) && TRUNKS.contains(name));
    }
}
