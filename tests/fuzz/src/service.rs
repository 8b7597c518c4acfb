//! What the service reads: numbers, tenant documents, the configuration.

use chrono::{DateTime, Duration, Utc};
use offhook::config::{Config, ConfigError, Overrides};
use offhook::ids::E164;
use offhook::routing::dialed::{DEFAULT_ORDER, DialedParts, candidates};
use offhook::routing::number::{Country, normalise};
use offhook::tenant::file::TenantFile;
use offhook::tenant::{NumberMapping, Tenant};

/// Target `number`: the parts of a request, one a line.
pub fn number(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let lines: Vec<&str> = text.split('\n').take(48).collect();
    for code in ["FR", "US", "DE", "GB", "SM"] {
        let country: Country = code.parse().expect("a country");
        let numbers: Vec<E164> = lines.iter().filter_map(|line| normalise(line, country)).collect();
        for number in numbers {
            let digits = number.as_str().strip_prefix('+').expect("E.164");
            assert!((1..=15).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit()));
            // Of several trunk prefixes in a row each reading takes one out.
            let mut last = number;
            let stands = (0..16).any(|_| {
                let next = normalise(last.as_str(), country).expect("a number is a number");
                std::mem::replace(&mut last, next.clone()) == next
            });
            assert!(stands, "it comes to stand for itself");
        }
    }
    let part = |at: usize| lines.get(at).copied().unwrap_or_default();
    let parts = DialedParts {
        request_uri: part(0),
        to: part(1),
        p_called_party_id: lines.get(2).copied(),
        diversion: lines.get(3..lines.len() / 2).unwrap_or_default(),
        history_info: lines.get(lines.len() / 2..).unwrap_or_default(),
    };
    let found: Vec<E164> = candidates(&parts, &DEFAULT_ORDER, "FR".parse().expect("a country")).collect();
    assert!(found.len() <= 3 + 16);
    assert!(found.iter().enumerate().all(|(at, number)| !found[..at].contains(number)), "each once");
}

/// Target `tenant`: a file or a document, and what is asked of one in a call.
pub fn tenant(data: &[u8]) {
    if let Err(errors) = NumberMapping::from_json(data) {
        assert!(!errors.to_string().is_empty());
    }
    let file = TenantFile::from_json(data).map(|file| file.tenant);
    let tenant = match file.or_else(|_| Tenant::from_json(data)) {
        Ok(tenant) => tenant,
        Err(errors) => return assert!(!errors.to_string().is_empty()),
    };
    let again = Tenant::from_json(tenant.to_json().as_bytes()).expect("what is stored can be read");
    assert!(again == tenant, "and is the same");
    let start: DateTime<Utc> = DateTime::from_timestamp(1_790_000_000, 0).expect("a time");
    for days in [0, 1, 40, 400, -20_000, 60_000] {
        let at = start + Duration::days(days) + Duration::minutes(days * 7);
        let _ = tenant.opening(at);
        let menu = tenant.features.refer.menu(at);
        assert!(menu.len() <= tenant.features.refer.destinations().len());
        for destination in tenant.features.refer.destinations().iter().take(20) {
            let _ = destination.is_open(at);
        }
    }
}

/// Target `config`: the configuration file. Files that it names aren't opened.
pub fn config(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let text = text.replace("_file", "_fill");
    let environment = |name: &str| (name == "SET").then(|| "secret-of-the-environment".to_owned());
    match Config::from_toml(&text, None, &Overrides::default(), &environment) {
        Ok(loaded) => {
            let mut names: Vec<_> = loaded.config.trunks.iter().map(|trunk| trunk.name.as_str()).collect();
            names.sort_unstable();
            let count = names.len();
            names.dedup();
            assert_eq!(names.len(), count, "a name is one trunk's");
            assert!(!format!("{:?}", loaded.config).contains("secret-of-the"), "secrets don't print");
        }
        Err(error @ ConfigError::Invalid { .. }) => assert!(!error.to_string().is_empty()),
        Err(error) => panic!("{error}"),
    }
}
