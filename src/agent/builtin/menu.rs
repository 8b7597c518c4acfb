//! The keypad menu as a machine without IO: inputs in, outputs out, time as an argument.
//!
//! It says who was called and what may be done (`Greeting`), takes a key (`Choosing`), asks back
//! where the tenant wants it (`Confirming`), and then waits for the tool that does it
//! (`Waiting`). A key cuts what is being said, save an uncuttable disclosure and what the call
//! machine says; keys pressed meanwhile wait and count afterwards.

mod choosing;

use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use media::playout::UtteranceId;
use serde_json::{Value, json};

use super::script::{self, Line};
use super::speaking::{Cut, Speaking};
use crate::agent::phrases::Phrase;
use crate::ids::DestinationId;
use crate::tenant::document::Tenant;
use crate::tool::{Refusal, ToolCallId, ToolOutcome};

/// Whatever the tenant's document says, a caller gets this long to find the key.
const SHORTEST_QUIET: Duration = Duration::from_secs(3);
/// How often the menu is said again to a caller who presses nothing.
const REPEATS: u8 = 2;
/// Most keys kept while one can't be acted on; more are dropped.
const MOST_HELD: usize = 8;

/// What happens to the menu.
#[derive(Debug)]
pub(super) enum Input {
    /// The caller is there.
    Connected,
    /// The caller pressed a key.
    Key(char),
    /// The call machine wants this said.
    Say { utterance: UtteranceId, text: String },
    /// What came of a tool.
    Result { call: ToolCallId, outcome: ToolOutcome },
    /// An utterance was heard, was cut, or has no audio.
    Played(UtteranceId),
    /// An utterance has been handed to playout, and lasts this long.
    Queued { utterance: UtteranceId, length: Duration },
    /// The caller is ours again.
    Resume,
    /// [`Menu::deadline`] has passed.
    Expired,
}

/// What the menu asks for, in order.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Output {
    /// Drop what is being said and what waits to be said.
    Clear,
    /// Say these lines as one utterance.
    Say { utterance: UtteranceId, lines: Vec<Line> },
    /// Run a tool.
    Tool { id: ToolCallId, name: &'static str, arguments: Value },
}

#[derive(Debug)]
enum State {
    /// The caller isn't there yet.
    Silent,
    /// Greeting or disclosure; then the menu.
    Greeting,
    /// The menu was offered, so many times in a row without a key.
    Choosing { unanswered: u8 },
    /// Asked whether to be put through.
    Confirming { to: Choice, unanswered: u8 },
    /// A tool has the caller.
    Waiting { tool: ToolCallId, task: Task },
    /// Goodbye; then the end.
    Leaving,
    /// The caller is in other hands until [`Input::Resume`].
    Over,
}

/// A destination chosen, and who really answers for it at this hour.
#[derive(Debug, Clone)]
struct Choice {
    asked: DestinationId,
    label: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Task {
    Transfer,
    Message,
    End,
}

/// The machine.
#[derive(Debug)]
pub(super) struct Menu {
    tenant: Arc<Tenant>,
    locale: String,
    state: State,
    speaking: Speaking,
    /// Keys that came when none may be acted on.
    held: Vec<char>,
    disclosed: bool,
    takes_over: bool,
    quiet_since: Option<Instant>,
    utterances: u64,
    tools: u32,
}

/// One input's surroundings.
struct Moment<'a> {
    now: Instant,
    wall: DateTime<Utc>,
    out: &'a mut Vec<Output>,
}

impl Menu {
    /// `takes_over`: the caller was greeted by another agent, that has failed.
    pub(super) fn new(tenant: Arc<Tenant>, locale: String, takes_over: bool) -> Self {
        Self {
            tenant,
            locale,
            state: State::Silent,
            speaking: Speaking::default(),
            held: Vec::new(),
            disclosed: takes_over,
            takes_over,
            quiet_since: None,
            utterances: 0,
            tools: 0,
        }
    }

    /// Takes one input and appends what is to be done. `now` and `wall` are the same moment.
    pub(super) fn handle(&mut self, input: Input, now: Instant, wall: DateTime<Utc>, out: &mut Vec<Output>) {
        let at = &mut Moment { now, wall, out };
        match input {
            Input::Connected => self.connected(at),
            Input::Key(key) => self.key(key, at),
            Input::Say { utterance, text } => self.say_for_machine(utterance, text, at),
            Input::Result { call, outcome } => self.result(&call, &outcome, at),
            Input::Played(utterance) => self.played(utterance, at),
            Input::Queued { utterance, length } => self.speaking.lasts(utterance, length, now),
            Input::Resume => self.resume(at),
            Input::Expired => self.expired(at),
        }
    }

    /// When [`Input::Expired`] is due.
    pub(super) fn deadline(&self) -> Option<Instant> {
        match self.state {
            _ if !self.speaking.is_empty() => self.speaking.overdue_at(),
            State::Choosing { .. } | State::Confirming { .. } => {
                self.quiet_since.map(|since| since + self.quiet())
            }
            _ => None,
        }
    }

    /// Silence after a menu that makes us say it again.
    fn quiet(&self) -> Duration {
        self.tenant.voice.turn_taking.silence_prompt.max(SHORTEST_QUIET)
    }

    fn connected(&mut self, at: &mut Moment<'_>) {
        if matches!(self.state, State::Silent) {
            self.state = State::Greeting;
            let greeting = if self.takes_over {
                script::standard(&self.locale, Phrase::Trouble)
            } else {
                script::greeting(&self.tenant, &self.locale)
            };
            self.say(vec![greeting], Cut::Freely, at);
            self.disclose(at);
        }
    }

    /// Says the disclosure if it is still owed.
    fn disclose(&mut self, at: &mut Moment<'_>) {
        if self.disclosed {
            return;
        }
        match script::disclosure(&self.tenant, &self.locale) {
            None => self.disclosed = true,
            Some(line) => {
                let cut = if self.tenant.voice.disclosure.required_by_law { Cut::Never } else { Cut::Freely };
                self.disclosed = cut == Cut::Freely;
                self.say(vec![line], cut, at);
            }
        }
    }

    fn key(&mut self, key: char, at: &mut Moment<'_>) {
        match self.state {
            // Keys meant for whoever has the caller now aren't choices in our menu.
            State::Silent | State::Waiting { .. } | State::Over => {}
            _ if self.speaking.hears_uncuttable() || self.speaking.any(Cut::NotOurs) => self.hold(key),
            _ if self.speaking.any(Cut::Never) => {
                self.hold(key);
                self.hush(at);
                self.disclose(at);
            }
            _ => self.act(key, at),
        }
    }

    fn hold(&mut self, key: char) {
        if self.held.len() < MOST_HELD {
            self.held.push(key);
        }
    }

    fn act(&mut self, key: char, at: &mut Moment<'_>) {
        self.hush(at);
        match &self.state {
            State::Confirming { to, .. } => {
                let to = to.clone();
                self.confirm(key, to, at);
            }
            _ => self.choose(key, at),
        }
    }

    fn run(&mut self, name: &'static str, arguments: Value, task: Task, at: &mut Moment<'_>) {
        self.tools = self.tools.saturating_add(1);
        let id = ToolCallId::from(self.tools.to_string());
        self.held.clear();
        self.state = State::Waiting { tool: id.clone(), task };
        at.out.push(Output::Tool { id, name, arguments });
    }

    fn result(&mut self, call: &ToolCallId, outcome: &ToolOutcome, at: &mut Moment<'_>) {
        let State::Waiting { tool, task } = &self.state else { return };
        if tool != call {
            return;
        }
        match (outcome, *task) {
            // The call machine has the caller: it tells them, and gives them back if it can.
            (ToolOutcome::Done(_) | ToolOutcome::TransferFailed(_), _)
            | (ToolOutcome::Refused(Refusal::CallEnding | Refusal::NoMessage), _)
            | (_, Task::End) => self.state = State::Over,
            (ToolOutcome::ConfirmFirst { destination, label }, _) => {
                let to = Choice { asked: destination.clone(), label: label.clone() };
                self.ask(&[], to, 0, at);
            }
            (_, Task::Transfer) => self.offer(&[Phrase::TransferFailed], 0, at),
            (_, Task::Message) => self.offer(&[Phrase::MessageFailed], 0, at),
        }
    }

    fn resume(&mut self, at: &mut Moment<'_>) {
        if matches!(self.state, State::Silent) {
            return;
        }
        if !self.speaking.any(Cut::NotOurs) {
            self.hush(at);
        }
        self.state = State::Greeting;
        self.disclose(at);
        if self.disclosed {
            self.offer(&[], 0, at);
        }
    }

    fn say_for_machine(&mut self, utterance: UtteranceId, text: String, at: &mut Moment<'_>) {
        if self.speaking.any(Cut::Freely) || self.speaking.any(Cut::Never) {
            self.hush(at);
        }
        self.speaking.push(utterance, Cut::NotOurs);
        at.out.push(Output::Say { utterance, lines: vec![Line::Own(text)] });
    }

    fn say(&mut self, lines: Vec<Line>, cut: Cut, at: &mut Moment<'_>) {
        self.utterances = self.utterances.saturating_add(1);
        let utterance = UtteranceId(self.utterances.saturating_mul(2));
        self.speaking.push(utterance, cut);
        self.quiet_since = None;
        at.out.push(Output::Say { utterance, lines });
    }

    /// Stops what is being said.
    fn hush(&mut self, at: &mut Moment<'_>) {
        if !self.speaking.is_empty() {
            self.speaking.clear();
            at.out.push(Output::Clear);
        }
        self.quiet_since = Some(at.now);
    }

    fn played(&mut self, utterance: UtteranceId, at: &mut Moment<'_>) {
        let mut any = false;
        for cut in self.speaking.heard(utterance) {
            any = true;
            self.disclosed |= cut == Cut::Never;
        }
        if !any {
            return;
        }
        if !self.held.is_empty() && !self.speaking.any(Cut::NotOurs) && !self.speaking.any(Cut::Never) {
            for key in std::mem::take(&mut self.held) {
                self.key(key, at);
            }
        } else if self.speaking.is_empty() {
            self.settled(at);
        }
    }

    /// The caller has heard everything.
    fn settled(&mut self, at: &mut Moment<'_>) {
        self.quiet_since = Some(at.now);
        match self.state {
            State::Greeting if self.disclosed => self.offer(&[], 0, at),
            State::Greeting => self.disclose(at),
            State::Leaving => self.run("end_call", json!({}), Task::End, at),
            _ => {}
        }
    }

    fn expired(&mut self, at: &mut Moment<'_>) {
        if self.deadline().is_none_or(|due| at.now < due) {
            return;
        }
        if let Some(overdue) = self.speaking.first() {
            self.played(overdue, at);
            return;
        }
        match &self.state {
            State::Choosing { unanswered } | State::Confirming { unanswered, .. }
                if *unanswered >= REPEATS =>
            {
                self.state = State::Leaving;
                let goodbye = self.standard(&[Phrase::Goodbye]);
                self.say(goodbye, Cut::Freely, at);
            }
            State::Choosing { unanswered } => {
                self.offer(&[Phrase::NothingPressed], unanswered + 1, at);
            }
            State::Confirming { to, unanswered } => {
                let (to, unanswered) = (to.clone(), unanswered + 1);
                self.ask(&[Phrase::NothingPressed], to, unanswered, at);
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests;
