//! The server over a real socket: rules, order of events, faults.

use std::net::SocketAddr;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

use super::script::{Script, Turn};
use super::{Server, ServerOptions};

struct Client(WebSocketStream<TcpStream>);

async fn server(script: Script) -> SocketAddr {
    let address = SocketAddr::from(([127, 0, 0, 1], 0));
    let server = Server::bind(address, script, ServerOptions::default()).await.unwrap();
    let address = server.address().unwrap();
    tokio::spawn(server.run());
    address
}

async fn client(script: Script) -> Client {
    let address = server(script).await;
    let stream = TcpStream::connect(address).await.unwrap();
    let url = format!("ws://{address}/v1/realtime?model=test");
    let (socket, _) = tokio_tungstenite::client_async(url, stream).await.unwrap();
    Client(socket)
}

impl Client {
    async fn send(&mut self, event: Value) {
        self.0.send(Message::text(event.to_string())).await.unwrap();
    }

    async fn next(&mut self) -> Value {
        let wait = tokio::time::timeout(Duration::from_secs(10), self.0.next());
        match wait.await.expect("an event").expect("a message").unwrap() {
            Message::Text(text) => serde_json::from_str(&text).unwrap(),
            other => json!({"type": format!("{other:?}")}),
        }
    }

    /// The next event of this type.
    async fn event(&mut self, kind: &str) -> Value {
        loop {
            let event = self.next().await;
            if event["type"] == kind {
                return event;
            }
            assert_ne!(event["type"], "error", "{event}");
        }
    }

    async fn error(&mut self) -> Value {
        loop {
            let event = self.next().await;
            if event["type"] == "error" {
                return event["error"].clone();
            }
        }
    }

    async fn configure(&mut self) {
        self.event("session.created").await;
        self.send(json!({"type": "session.update", "session": {"type": "realtime", "audio": {
            "input": {"format": {"type": "audio/pcmu"}, "transcription": {"model": "x"}, "turn_detection": {
                "type": "server_vad", "threshold": 0.5, "prefix_padding_ms": 300, "silence_duration_ms": 500,
                "create_response": false, "interrupt_response": false}},
            "output": {"format": {"type": "audio/pcmu"}}}}}))
            .await;
        self.event("session.updated").await;
    }

    /// Speech, or silence, in messages of 60 ms.
    async fn say(&mut self, ms: usize, loud: bool) {
        let bytes: Vec<u8> = (0..480).map(|n| if loud { [0x90, 0x10][n / 8 % 2] } else { 0xff }).collect();
        for _ in 0..ms / 60 {
            let event = json!({"type": "input_audio_buffer.append", "audio": STANDARD.encode(&bytes)});
            self.send(event).await;
        }
    }
}

fn script(turns: Vec<Turn>) -> Script {
    let mut script = Script { turn: turns, ..Script::default() };
    script.pace.first_audio_ms = 1;
    script.pace.transcript_ms = 1;
    script
}

fn saying(ms: u64) -> Turn {
    Turn { heard: Some("Hello?".into()), say_ms: Some(ms), ..Turn::default() }
}

#[tokio::test]
async fn a_turn_has_the_events_of_the_reference_in_their_order() {
    let mut client = client(script(vec![saying(500)])).await;
    client.configure().await;
    client.say(600, true).await;
    client.say(1_200, false).await;
    client.event("input_audio_buffer.speech_started").await;
    client.event("input_audio_buffer.speech_stopped").await;
    client.event("input_audio_buffer.committed").await;
    client.event("conversation.item.added").await;
    client.event("conversation.item.done").await;
    let heard = client.event("conversation.item.input_audio_transcription.completed").await;
    assert_eq!(heard["transcript"], "Hello?");
    client.send(json!({"type": "response.create", "response": {"metadata": {"purpose": "x"}}})).await;
    let created = client.event("response.created").await;
    assert_eq!(created["response"]["metadata"]["purpose"], "x");
    client.event("response.output_item.added").await;
    client.event("conversation.item.added").await;
    client.event("response.content_part.added").await;
    let mut bytes = 0;
    loop {
        let event = client.next().await;
        match event["type"].as_str().unwrap() {
            "response.output_audio.delta" => {
                bytes += STANDARD.decode(event["delta"].as_str().unwrap()).unwrap().len();
            }
            "response.output_audio.done" => break,
            "response.output_audio_transcript.delta" => {}
            other => panic!("{other}"),
        }
    }
    assert_eq!(bytes, 500 * 8);
    client.event("response.output_audio_transcript.done").await;
    client.event("response.content_part.done").await;
    client.event("response.output_item.done").await;
    let done = client.event("response.done").await;
    assert_eq!(done["response"]["status"], "completed");
    assert_eq!(done["response"]["output"][0]["type"], "message");
}

#[tokio::test]
async fn the_rules_of_a_session_are_kept_with_the_codes_of_the_reference() {
    let mut client = client(script(vec![saying(3_000)])).await;
    client.event("session.created").await;
    let pcmu = |more: Value| {
        let mut format = json!({"type": "audio/pcmu"});
        format.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({"type": "session.update", "event_id": "e1", "session": {"type": "realtime", "audio": {"input": {"format": format}}}})
    };
    for (event, code) in [
        (json!({"type": "session.update", "session": {}}), "missing_required_parameter"),
        (
            json!({"type": "session.update", "session": {"type": "realtime", "voice": "x"}}),
            "unknown_parameter",
        ),
        (pcmu(json!({"rate": 8_000})), "unknown_parameter"),
        (json!({"type": "no.such.event"}), "invalid_value"),
        (json!({}), "invalid_event"),
        (json!({"type": "response.cancel"}), "response_cancel_not_active"),
        (json!({"type": "input_audio_buffer.commit"}), "input_audio_buffer_commit_empty"),
        (json!({"type": "conversation.item.truncate", "item_id": "x", "audio_end_ms": 1}), "invalid_value"),
    ] {
        client.send(event.clone()).await;
        let error = client.error().await;
        assert_eq!(error["code"], code, "{event}");
        assert_eq!(error["event_id"], event.get("event_id").cloned().unwrap_or(Value::Null));
    }
    client.send(pcmu(json!({}))).await;
    client.event("session.updated").await;
}

#[tokio::test]
async fn one_response_at_a_time_and_no_truncation_beyond_the_audio() {
    let mut client = client(script(vec![saying(1_000)])).await;
    client.configure().await;
    client.send(json!({"type": "response.create"})).await;
    client.send(json!({"type": "response.create"})).await;
    assert_eq!(client.error().await["code"], "conversation_already_has_active_response");
    let item = client.event("response.output_audio.done").await["item_id"].clone();
    client.event("response.done").await;
    client.send(json!({"type": "conversation.item.truncate", "item_id": item, "content_index": 0, "audio_end_ms": 2_000})).await;
    assert_eq!(client.error().await["message"], "Audio content of 1000ms is already shorter than 2000ms");
    client.send(json!({"type": "conversation.item.truncate", "item_id": item, "content_index": 0, "audio_end_ms": 400})).await;
    assert_eq!(client.event("conversation.item.truncated").await["audio_end_ms"], 400);
}

#[tokio::test]
async fn a_response_that_is_cancelled_ends_as_such_and_sends_no_more() {
    let mut script = script(vec![saying(10_000)]);
    script.pace.speed = 1.0;
    let mut client = client(script).await;
    client.configure().await;
    client.send(json!({"type": "response.create"})).await;
    client.event("response.output_audio.delta").await;
    client.send(json!({"type": "response.cancel"})).await;
    client.event("response.output_item.done").await;
    let done = client.event("response.done").await;
    assert_eq!(done["response"]["status"], "cancelled");
    assert_eq!(done["response"]["status_details"]["reason"], "client_cancelled");
    client.send(json!({"type": "input_audio_buffer.clear"})).await;
    assert_eq!(client.next().await["type"], "input_audio_buffer.cleared");
}

#[tokio::test]
async fn a_function_is_called_with_arguments_as_text() {
    let turn: Turn = toml::from_str("call = { name = 'book', arguments = { when = 'noon' } }").unwrap();
    let mut client = client(script(vec![turn])).await;
    client.configure().await;
    client.send(json!({"type": "response.create"})).await;
    let done = client.event("response.function_call_arguments.done").await;
    assert_eq!((&done["name"], &done["arguments"]), (&json!("book"), &json!("{\"when\":\"noon\"}")));
    let call = client.event("response.done").await["response"]["output"][0].clone();
    assert_eq!((&call["type"], &call["status"]), (&json!("function_call"), &json!("completed")));
}

#[tokio::test]
async fn faults_come_where_the_script_says() {
    let dropped = Turn { drop_after_ms: Some(200), ..saying(1_000) };
    let mut client = client(script(vec![Turn { garbage: 1, ..dropped }])).await;
    client.configure().await;
    client.send(json!({"type": "response.create"})).await;
    let mut garbage = 0;
    let ended = loop {
        match client.0.next().await {
            Some(Ok(Message::Text(text))) => {
                garbage += usize::from(serde_json::from_str::<Value>(&text).is_err());
            }
            other => break other,
        }
    };
    assert_eq!(garbage, 1);
    assert!(matches!(ended, None | Some(Err(_))), "{ended:?}");
}

#[tokio::test]
async fn keys_and_the_beta_are_refused_as_the_reference_does() {
    let mut script = script(vec![saying(100)]);
    script.keys = vec!["sk-right".into()];
    let address = server(script).await;
    let stream = TcpStream::connect(address).await.unwrap();
    let url = format!("ws://{address}/v1/realtime?model=test");
    let error = tokio_tungstenite::client_async(url, stream).await.unwrap_err();
    assert!(error.to_string().contains("401"), "{error}");
}
