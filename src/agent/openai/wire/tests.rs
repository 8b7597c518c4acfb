//! Golden files of both directions, and what hostile servers might send.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use bytes::BytesMut;
use serde_json::{Value, json};

use super::*;
use crate::agent::caller_audio::Law;

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/openai").join(name)
}

/// Compares with the file; `BLESS=1` writes it anew.
fn assert_golden(name: &str, found: &str) {
    let path = golden(name);
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&path, found).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(found == expected, "{name} differs; see the change with BLESS=1 and git diff\n{found}");
}

fn settings() -> SessionSettings {
    SessionSettings {
        instructions: "You answer calls for \"Example\".\nBe brief.".into(),
        law: Law::A,
        voice: Some("marin".into()),
        speed: 1.0,
        transcription: Some("gpt-4o-mini-transcribe".into()),
        language: Some("fr".into()),
        turns: TurnDetection { threshold: 0.5, prefix_padding_ms: 300, silence_ms: 500 },
        tools: vec![("end_call", "Ends the call.".into(), json!({"type": "object", "properties": {}}))],
        temperature: 0.7,
    }
}

#[test]
fn what_we_send_is_what_the_reference_describes() {
    let settings = settings();
    let plain = SessionSettings { law: Law::Mu, voice: None, transcription: None, ..settings.clone() };
    let voiced = SessionSettings { voice: Some("voice_123".into()), ..plain.clone() };
    let reply = Reply::default();
    let events = [
        ClientEvent::Configure(&settings),
        ClientEvent::Configure(&plain),
        ClientEvent::Configure(&voiced),
        ClientEvent::Patience(VadChange(TurnDetection { silence_ms: 800, ..settings.turns })),
        ClientEvent::Create(Item::Caller("Bonjour")),
        ClientEvent::Create(Item::Agent("Oui ?")),
        ClientEvent::Create(Item::System("The caller pressed 1.")),
        ClientEvent::Create(Item::FunctionOutput { call: "call_1", output: "{\"ok\":true}" }),
        ClientEvent::Truncate { item: "item_1", audio_end_ms: 1_234 },
        ClientEvent::Delete { item: "item_1" },
        ClientEvent::Respond(reply),
        ClientEvent::Respond(Reply {
            instructions: Some("Greet."),
            tag: Some("greeting"),
            speech_only: true,
            ..reply
        }),
        ClientEvent::Respond(Reply { instructions: Some("Say it."), apart: true, ..reply }),
        ClientEvent::Cancel { response: "resp_1" },
        ClientEvent::ClearInput,
    ];
    for (dialect, name) in [(Dialect::Current, "client-ga.jsonl"), (Dialect::Beta, "client-beta.jsonl")] {
        let mut found: String = events.iter().fold(String::new(), |mut all, event| {
            let _ = writeln!(all, "{}", event.to_text(dialect));
            all
        });
        let audio = Append::default().event(&[0xff; 160]);
        let _ = writeln!(found, "{}", std::str::from_utf8(&audio).unwrap());
        assert_golden(name, &found);
    }
}

#[test]
fn audio_is_written_exactly() {
    let mut append = Append::default();
    for length in [160, 161, 162, 480, 0, 320] {
        let codewords: Vec<u8> = (0..length).map(|n| n as u8).collect();
        let event = append.event(&codewords);
        let event: Value = serde_json::from_slice(&event).unwrap();
        assert_eq!(event["type"], "input_audio_buffer.append");
        let mut back = BytesMut::new();
        ServerEvent::decode(event["audio"].as_str().unwrap(), &mut back).unwrap();
        assert_eq!(back, codewords);
    }
}

#[test]
fn what_servers_send_is_understood_in_both_dialects() {
    for name in ["server-ga", "server-beta"] {
        let sent = std::fs::read_to_string(golden(&format!("{name}.jsonl"))).unwrap();
        let found = sent.lines().fold(String::new(), |mut all, line| {
            let _ = writeln!(all, "{:?}", ServerEvent::read(line));
            all
        });
        assert_golden(&format!("{name}.txt"), &found);
    }
}

#[test]
fn nothing_that_a_server_sends_does_harm() {
    let mut seen = 0_u32;
    for name in ["server-ga.jsonl", "server-beta.jsonl"] {
        for line in std::fs::read_to_string(golden(name)).unwrap().lines() {
            for cut in (0..line.len()).filter(|at| line.is_char_boundary(*at)) {
                let _ = ServerEvent::read(&line[..cut]);
            }
            let event: Value = serde_json::from_str(line).unwrap();
            for hostile in hostile(&event) {
                let text = hostile.to_string();
                if let Ok(ServerEvent::Audio { base64, .. }) = ServerEvent::read(&text) {
                    let mut out = BytesMut::new();
                    let _ = ServerEvent::decode(&base64, &mut out);
                }
                seen += 1;
            }
        }
    }
    assert!(seen > 1_000, "{seen}");
    for text in
        ["", "null", "[]", "\"x\"", "{}", "{\"type\":1}", "{\"type\":\"\\ud800\"}", &"[".repeat(100_000)]
    {
        assert_eq!(ServerEvent::read(text), Err(WireError::NoEvent), "{}", &text[..text.len().min(20)]);
    }
}

/// The event with each of its values, at any depth, taken away or replaced by something else.
fn hostile(event: &Value) -> Vec<Value> {
    let replacements = [
        json!(null),
        json!(-1),
        json!(1e300),
        json!(true),
        json!({}),
        json!([]),
        json!([{}]),
        json!("x".repeat(10_000)),
    ];
    let mut all = Vec::new();
    let mut paths = Vec::new();
    walk(event, String::new(), &mut paths);
    for path in paths {
        for replacement in &replacements {
            let mut changed = event.clone();
            *changed.pointer_mut(&path).unwrap() = replacement.clone();
            all.push(changed);
        }
        let (parent, name) = path.rsplit_once('/').unwrap();
        let mut changed = event.clone();
        if let Some(object) = changed.pointer_mut(parent).and_then(Value::as_object_mut) {
            object.remove(name);
        }
        all.push(changed);
    }
    all
}

fn walk(value: &Value, path: String, paths: &mut Vec<String>) {
    if !path.is_empty() {
        paths.push(path.clone());
    }
    match value {
        Value::Object(fields) => {
            fields.iter().for_each(|(name, one)| walk(one, format!("{path}/{name}"), paths))
        }
        Value::Array(entries) => {
            entries.iter().enumerate().for_each(|(at, one)| walk(one, format!("{path}/{at}"), paths));
        }
        _ => {}
    }
}

#[test]
fn base64_with_and_without_padding_is_taken_and_garbage_is_not() {
    let mut out = BytesMut::from(&b"before"[..]);
    assert_eq!(ServerEvent::decode("AAEC", &mut out), Ok(3));
    assert_eq!(ServerEvent::decode("AAE", &mut out), Ok(2));
    assert_eq!(ServerEvent::decode("AAE=", &mut out), Ok(2));
    assert_eq!(ServerEvent::decode("", &mut out), Ok(0));
    assert_eq!(ServerEvent::decode("A*", &mut out), Err(WireError::Base64));
    assert_eq!(&out[..], b"before\0\x01\x02\0\x01\0\x01");
}
