//! Tenants of our own in the database, whether a service runs on it or not.

use serde_json::Value;

use super::{Home, root};

/// Takes in a tenant of `sipp-scenarios/tenants`; gives its first number.
pub fn scenario(home: &Home, name: &str) -> String {
    let path = root().join("sipp-scenarios/tenants").join(name);
    let output = home.command(&["tenant", "import", path.to_str().unwrap()]).output().unwrap();
    assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
    let file: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    file["numbers"][0]["phone_number"].as_str().unwrap().to_owned()
}
