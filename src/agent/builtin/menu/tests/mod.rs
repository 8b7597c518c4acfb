//! Every rule of the menu, as steps and what comes of each.

mod keys;
mod turns;

use super::super::testing::{acme, destination, tenant, with};
use super::*;
use Step::{Connect, Heard, Key, Result as Answer, Resume, Say, Wait};
use serde_json::json;

const HELLO: &str = "Hello, you have reached Acme.";
const MENU: &str = "For the sales team, press 1. For the planning team, press 4. \
                    To leave a message, press 9. To hear these options again, press star.";
const ASK_SALES: &str =
    "You are about to be connected with the sales team. Press 1 to confirm, or 2 to cancel.";
const ASK_PLANNING: &str =
    "You are about to be connected with the planning team. Press 1 to confirm, or 2 to cancel.";
const INVALID: &str = "That key is not one of the options.";
const NOTHING: &str = "I did not receive an answer.";
const GOODBYE: &str = "Thank you for calling. Goodbye.";
const FAILED: &str = "Sorry, the call could not be connected.";
const DISCLOSURE: &str = "This call is recorded.";
const CLEAR: &str = "(clear)";
const TO_SALES: &str = r#"transfer_call {"destination_id":"sales","confirmed":true}"#;
const TO_SUPPORT: &str = r#"transfer_call {"destination_id":"support","confirmed":true}"#;
const TO_BOSS: &str = r#"transfer_call {"destination_id":"boss","confirmed":true}"#;
const MESSAGE: &str = "take_message {}";
const END: &str = "end_call {}";

#[derive(Debug, Clone)]
enum Step {
    Connect,
    Key(char),
    /// The first utterance that is still to be heard has been.
    Heard,
    /// So many seconds pass.
    Wait(u64),
    Result(ToolOutcome),
    Say(u64, &'static str),
    Resume,
}

struct Harness {
    menu: Menu,
    now: Instant,
    /// Said and neither heard nor cleared.
    playing: Vec<UtteranceId>,
    tool: Option<ToolCallId>,
    out: Vec<Output>,
}

impl Harness {
    fn new(document: &Value) -> Self {
        Self {
            menu: Menu::new(tenant(document), "en-US".into(), false),
            now: Instant::now(),
            playing: Vec::new(),
            tool: None,
            out: Vec::new(),
        }
    }

    fn input(&mut self, input: Input) {
        let wall = "2026-11-18T10:00:00Z".parse().unwrap();
        self.menu.handle(input, self.now, wall, &mut self.out);
    }

    fn step(&mut self, step: &Step) -> Vec<String> {
        match step.clone() {
            Connect => self.input(Input::Connected),
            Key(key) => self.input(Input::Key(key)),
            Heard => {
                let first = self.playing.remove(0);
                self.input(Input::Played(first));
            }
            Wait(seconds) => {
                self.now += Duration::from_secs(seconds);
                if self.menu.deadline().is_some_and(|due| due <= self.now) {
                    self.input(Input::Expired);
                }
            }
            Answer(outcome) => {
                let call = self.tool.clone().expect("a tool was asked for");
                self.input(Input::Result { call, outcome });
            }
            Say(id, text) => self.input(Input::Say { utterance: UtteranceId(id), text: text.into() }),
            Resume => self.input(Input::Resume),
        }
        self.told()
    }

    fn told(&mut self) -> Vec<String> {
        let mut told = Vec::new();
        for output in std::mem::take(&mut self.out) {
            told.push(match output {
                Output::Clear => {
                    self.playing.clear();
                    CLEAR.to_owned()
                }
                Output::Say { utterance, lines } => {
                    self.playing.push(utterance);
                    let length = Duration::from_secs(5);
                    self.input(Input::Queued { utterance, length });
                    lines.iter().map(Line::text).collect::<Vec<_>>().join(" ")
                }
                Output::Tool { id, name, arguments } => {
                    self.tool = Some(id);
                    format!("{name} {arguments}")
                }
            });
        }
        told
    }
}

fn joined(first: &str, second: &str) -> String {
    format!("{first} {second}")
}

#[track_caller]
fn plays(document: &Value, table: &[(Step, &[&str])]) {
    let mut harness = Harness::new(document);
    for (row, (step, expected)) in table.iter().enumerate() {
        assert_eq!(harness.step(step), *expected, "row {row}: {step:?}");
    }
}
