//! The task, under paused time: what goes to playout and to the call, and when it ends.

use std::sync::Arc;

use media::dtmf::Digit;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::super::Builtin;
use super::super::testing::{acme, said, tenant};
use super::*;
use crate::agent::provider::{AgentSession, Provider};
use crate::ids::CallId;

const GREETING: UtteranceId = UtteranceId(2);
const SECOND: UtteranceId = UtteranceId(4);

struct Line {
    agent: AgentSession,
    playout: mpsc::Receiver<PlayoutCommand>,
}

/// A session of the test tenant, connected, with speech for all its sentences.
async fn line(playout_room: usize) -> Line {
    let said = said("en-US");
    line_with(Speech::holding("en-US", said.iter().map(|one| one.text.as_str())), "en-US", playout_room).await
}

async fn line_with(speech: Speech, locale: &str, playout_room: usize) -> Line {
    let (playout_in, playout) = mpsc::channel(playout_room);
    let now = "2026-11-18T10:00:00Z".parse().unwrap();
    let spec = SessionSpec {
        call: CallId::generate(),
        tenant: tenant(&acme()),
        locale: locale.into(),
        started_at: now,
        clock: Arc::new(move || now),
        playout: playout_in,
        audio: None,
    };
    let agent = Builtin::new(speech).connect(spec).await.unwrap();
    agent.input.send(AgentInput::Connected).await.unwrap();
    Line { agent, playout }
}

impl Line {
    async fn send(&self, input: AgentInput) {
        self.agent.input.send(input).await.unwrap();
    }

    async fn press(&self, key: char) {
        self.send(AgentInput::Digit(Digit::from_char(key).unwrap())).await;
    }

    async fn event(&mut self) -> AgentEvent {
        self.agent.events.recv().await.expect("an event")
    }

    async fn speaking(&mut self) -> (UtteranceId, String) {
        match self.event().await {
            AgentEvent::Speaking { utterance, text } => (utterance, text),
            other => panic!("{other:?}"),
        }
    }

    async fn spoken(&mut self) -> UtteranceId {
        match self.event().await {
            AgentEvent::Spoken { utterance } => utterance,
            other => panic!("{other:?}"),
        }
    }

    /// Takes playout commands up to the end of an utterance.
    async fn until_end(&mut self) -> (Vec<String>, UtteranceId) {
        let mut taken = Vec::new();
        loop {
            match self.playout.recv().await.expect("a command") {
                PlayoutCommand::End { utterance } => return (taken, utterance),
                PlayoutCommand::Clear => taken.push("clear".into()),
                other @ (PlayoutCommand::Pause | PlayoutCommand::Resume) => panic!("{other:?}"),
                PlayoutCommand::Audio { utterance, chunk } => {
                    taken.push(format!("{}: {} ms", utterance.0, chunk.samples() / SAMPLES_PER_MS));
                }
            }
        }
    }

    async fn played(&mut self, utterance: UtteranceId) {
        self.send(AgentInput::Played { utterance, sent_ms: 1_000 }).await;
    }
}

#[tokio::test(start_paused = true)]
async fn the_greeting_is_announced_then_handed_to_playout() {
    let mut line = line(64).await;
    assert_eq!(line.speaking().await, (GREETING, "Hello, you have reached Acme.".into()));
    assert_eq!(line.spoken().await, GREETING);
    let (audio, ended) = line.until_end().await;
    assert_eq!(audio, ["2: 200 ms", "2: 1000 ms"]);
    assert_eq!(ended, GREETING);
}

#[tokio::test(start_paused = true)]
async fn the_menu_follows_once_the_greeting_was_played() {
    let mut line = line(64).await;
    line.until_end().await;
    line.played(GREETING).await;
    let (audio, ended) = line.until_end().await;
    assert_eq!(ended, SECOND);
    // Four lines with a pause between each.
    assert_eq!(audio.len(), 7);
    assert_eq!(audio[..3], ["4: 1000 ms", "4: 200 ms", "4: 1000 ms"]);
}

#[tokio::test(start_paused = true)]
async fn a_silent_caller_hears_the_menu_three_times_and_then_goodbye() {
    let mut line = line(64).await;
    let started = Instant::now();
    let mut texts = Vec::new();
    let end = loop {
        match line.event().await {
            AgentEvent::Speaking { text, .. } => texts.push(text),
            AgentEvent::Spoken { utterance } => line.played(utterance).await,
            AgentEvent::ToolCall { name, .. } => break name,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(end, "end_call");
    assert_eq!(texts.len(), 5, "{texts:?}");
    assert!(texts[4].contains("Goodbye"));
    assert_eq!(started.elapsed().as_secs(), 90);
}

#[tokio::test(start_paused = true)]
async fn a_key_drops_what_playout_had_no_room_for() {
    let mut line = line(1).await;
    assert_eq!(line.speaking().await.0, GREETING);
    assert_eq!(line.spoken().await, GREETING);
    line.press('1').await;
    assert_eq!(line.speaking().await.0, SECOND);
    // Room for one: the lead-in went ahead; the greeting itself is never sent, its end is.
    assert_eq!(line.until_end().await, (vec!["2: 200 ms".into(), "clear".into()], GREETING));
    assert_eq!(line.until_end().await, (vec!["4: 1000 ms".into()], SECOND));
}

#[tokio::test(start_paused = true)]
async fn a_transfer_asks_for_the_tool_with_its_arguments() {
    let mut line = line(64).await;
    line.press('1').await;
    line.press('1').await;
    let (name, arguments) = loop {
        if let AgentEvent::ToolCall { name, arguments, .. } = line.event().await {
            break (name, arguments);
        }
    };
    assert_eq!(name, "transfer_call");
    assert_eq!(arguments, serde_json::json!({"destination_id": "sales", "confirmed": true}));
}

#[tokio::test(start_paused = true)]
async fn sentences_that_the_machine_joins_are_found_one_by_one() {
    let mut line = line(64).await;
    line.until_end().await;
    let text = "Sorry, the call could not be connected. Thank you for calling. Goodbye.";
    line.send(AgentInput::Say { utterance: UtteranceId(1), text: text.into() }).await;
    let (audio, ended) = line.until_end().await;
    assert_eq!(audio, ["clear", "1: 1000 ms", "1: 200 ms", "1: 1000 ms"]);
    assert_eq!(ended, UtteranceId(1));
}

#[tokio::test(start_paused = true)]
async fn a_text_that_cannot_be_spoken_is_told_and_still_ends() {
    let mut line = line(64).await;
    line.until_end().await;
    let said = "Words that nobody rendered.";
    line.send(AgentInput::Say { utterance: UtteranceId(1), text: said.into() }).await;
    assert_eq!(line.until_end().await, (vec!["clear".into()], UtteranceId(1)));
    assert_eq!(line.speaking().await.0, GREETING);
    assert_eq!(line.spoken().await, GREETING);
    assert_eq!(line.speaking().await.0, UtteranceId(1));
    match line.event().await {
        AgentEvent::SayFailed { utterance, error } => {
            assert_eq!((utterance, error), (UtteranceId(1), SpeechError::NotInstalled));
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(line.spoken().await, UtteranceId(1));
}

#[tokio::test(start_paused = true)]
async fn a_language_without_its_own_sentences_gets_english_ones_in_an_english_voice() {
    let said = said("de-DE");
    assert!(said.iter().all(|one| one.locale == "en-US"));
    let speech = Speech::holding("en-US", said.iter().map(|one| one.text.as_str()));
    let mut line = line_with(speech, "de-DE", 64).await;
    assert_eq!(line.until_end().await.0, ["2: 200 ms", "2: 1000 ms"]);
    let text = "Thank you for calling. Goodbye.".into();
    line.send(AgentInput::Say { utterance: UtteranceId(1), text }).await;
    assert_eq!(line.until_end().await.0, ["clear", "1: 1000 ms"]);
}

#[tokio::test(start_paused = true)]
async fn events_that_nobody_takes_stop_the_reading_of_input_and_are_not_lost() {
    let mut line = line(1_024).await;
    let mut sent = 1;
    // Each key makes two events; the channels hold 16 each and the task as many.
    while timeout(Duration::from_secs(1), line.press('*')).await.is_ok() {
        sent += 1;
        assert!(sent < 100, "input is read although no event is taken");
    }
    for expected in 1..sent {
        let utterance = UtteranceId(expected * 2);
        assert_eq!(line.speaking().await.0, utterance);
        assert_eq!(line.spoken().await, utterance);
    }
}

#[tokio::test(start_paused = true)]
async fn it_ends_when_closed_and_when_its_input_is_dropped() {
    let mut closed = line(64).await;
    closed.send(AgentInput::Close).await;
    let mut dropped = line(64).await;
    drop(dropped.agent.input);
    for events in [&mut closed.agent.events, &mut dropped.agent.events] {
        let mut last = None;
        while let Some(event) = events.recv().await {
            last = Some(event);
        }
        assert!(matches!(last, Some(AgentEvent::Ended)));
    }
    assert!(closed.playout.recv().await.is_some());
}

#[tokio::test(start_paused = true)]
async fn without_a_media_path_it_goes_on_and_ends_when_told() {
    let mut line = line(1).await;
    drop(std::mem::replace(&mut line.playout, mpsc::channel(1).1));
    line.press('*').await;
    line.send(AgentInput::Close).await;
    while line.agent.events.recv().await.is_some() {}
}
