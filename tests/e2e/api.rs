//! A tenant is made in three steps, over the API, on the command line and from a file, while the
//! service runs; each time its number is called then.

use std::time::Duration;

use serde_json::{Value, json};

use crate::rig::{Home, Phone, SOON, Service, eventually, http, shipped};

/// What the new tenants say first: a sentence that ships as audio.
const GREETING: &str = "Thank you for calling Harbor Homes. This is Alex.";

fn document(id: &str) -> Value {
    json!({
        "tenant_id": id, "client_id": "new", "display_name": "New", "summary_to": [],
        "timezone": "America/New_York", "locale": "en-US", "voice": { "greeting": { "text": GREETING } },
    })
}

/// Calls until somebody answers, which has to be soon, and listens to the greeting.
fn greets(service: &Service, number: &str) {
    let mut phone = eventually("an answer", Duration::from_secs(2), || {
        let mut phone = Phone::new(service);
        phone.invite(number);
        let answer = phone.answer();
        phone.ack(&answer);
        (answer.status() == Some(200)).then_some(phone)
    });
    let greeting = shipped::sentence("en-us/thank-you-for-calling-harbor-homes");
    phone.media.hear("the greeting", &greeting, 0, SOON);
    phone.hang_up();
}

/// A request as the operator.
fn ask(
    home: &Home,
    service: &Service,
    method: &str,
    path: &str,
    extra: &[(&str, &str)],
    body: &Value,
) -> Value {
    let key = std::fs::read_to_string(home.path().join("master.key")).unwrap();
    let login = json!({ "master_key": key.trim() }).to_string();
    let (status, answer) = http::send(service.http, "POST", "/api/v1/login", &[], &login).unwrap();
    assert_eq!(status, 200, "{answer}");
    let answer: Value = serde_json::from_str(&answer).unwrap();
    let bearer = format!("Bearer {}", answer["token"].as_str().unwrap());
    let mut headers = vec![("Authorization", bearer.as_str())];
    headers.extend(extra);
    let (status, answer) = http::send(service.http, method, path, &headers, &body.to_string()).unwrap();
    assert!((200..300).contains(&status), "{method} {path}: {status} {answer}");
    serde_json::from_str(&answer).unwrap_or(Value::Null)
}

#[test]
fn a_tenant_made_over_the_api_is_called_at_once() {
    let home = Home::new();
    let service = home.start();
    let id = "tenant-test-0100";
    ask(&home, &service, "POST", "/api/v1/tenants", &[], &document(id));
    let number = format!("/api/v1/tenants/{id}/numbers/+12025550100");
    ask(&home, &service, "PUT", &number, &[("If-None-Match", "*")], &json!({}));
    let prompts = format!("/api/v1/tenants/{id}/prompts/conversation/versions");
    let prompt = json!({ "template": "You answer for {{ company.name }}." });
    assert_eq!(ask(&home, &service, "POST", &prompts, &[], &prompt)["version"], 1);
    greets(&service, "+12025550100");
    let calls = eventually("the record", SOON, || {
        let calls = ask(&home, &service, "GET", &format!("/api/v1/calls?tenant_id={id}"), &[], &Value::Null);
        (calls["calls"][0]["status"] == "completed").then_some(calls)
    });
    assert_eq!(calls["calls"].as_array().unwrap().len(), 1);
    service.stop();
}

#[test]
fn a_tenant_made_on_the_command_line_or_from_a_file_is_called_at_once() {
    let home = Home::new();
    let service = home.start();
    let run = |arguments: &[&str]| {
        let output = home.command(arguments).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let prompt = home.path().join("prompt.txt");
    std::fs::write(&prompt, "You answer for {{ company.name }}.").unwrap();
    let id = "tenant-test-0200";
    let (name, zone) = ("The new one", "America/New_York");
    run(&[
        "tenant",
        "create",
        id,
        "--name",
        name,
        "--timezone",
        zone,
        "--locale",
        "en-US",
        "--greeting",
        GREETING,
    ]);
    run(&["number", "add", id, "+12025550120"]);
    run(&["prompt", "save", id, "conversation", prompt.to_str().unwrap()]);
    greets(&service, "+12025550120");
    let explained = run(&["route", "+12025550120"]);
    assert!(explained.contains("tenant-test-0200 answers"), "{explained}");
    assert_eq!(run(&["prompt", "preview", id, "conversation"]).trim(), "You answer for The new one.");

    // What mongoexport writes of two collections.
    let file = home.path().join("export.json");
    let id = "tenant-test-0300";
    let number = json!({ "_id": { "$oid": "65a000000000000000000001" }, "phone_number": "+12025550130",
                         "client_id": "new", "tenant_id": id });
    std::fs::write(&file, format!("{}\n{number}\n", document(id))).unwrap();
    run(&["tenant", "import", file.to_str().unwrap()]);
    greets(&service, "+12025550130");

    // There and back again: the same, byte for byte.
    let exported = run(&["tenant", "export"]);
    std::fs::write(&file, &exported).unwrap();
    run(&["tenant", "import", file.to_str().unwrap()]);
    assert_eq!(run(&["tenant", "export"]), exported);
    service.stop();
}
