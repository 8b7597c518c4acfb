//! Who speaks when: a machine without IO. What is heard and played goes in with the moment it
//! happened; what to do comes out. Time is an argument; [`Turns::deadline`] says when
//! [`Input::Expired`] is due.
//!
//! The rules, each with a test of its own:
//! - Speech while the agent speaks is at first a candidate: after `barge_in_candidate` of it the
//!   agent's voice is faded and held ([`Output::Pause`]).
//! - After `barge_in_confirm` of it (known as late as our ear tells its end) the agent is interrupted ([`Output::Interrupt`]), unless what
//!   has been understood so far is an acknowledgement ("mm-hm"); a stop word interrupts at once.
//! - What ends before that was a false start. The agent goes on where it was: at once when the
//!   transcript is an acknowledgement or empty, at the latest after `resume_after`. A transcript
//!   with something else in it interrupts after all.
//! - The greeting's first `greeting_protected` and an uncuttable sentence are not interrupted;
//!   what was said meanwhile is answered afterwards.
//! - A turn is answered when the model has taken it for ended and our own ear heard speech in it.
//! - Silence asks again after `silence_prompt`, and says goodbye `silence_hangup` after that.
//! - While a tool runs longer than `filler_after`, the caller hears a short word.
//! - Dictation (digits, an address, an e-mail) is waited for longer.

mod latency;
pub mod stats;
#[cfg(test)]
mod tests;
mod words;

use std::time::{Duration, Instant};

pub use latency::{Latency, TurnClock};
pub use stats::{Turn, VoiceStats};

use crate::tenant::document::Tenant;
use crate::tenant::voice::FirstSpeaker;

/// How long an acknowledgement may go on before it counts as an interruption after all.
const LONGEST_ACKNOWLEDGEMENT: Duration = Duration::from_millis(1_500);
/// How late our ear tells that speech has ended.
pub const HANGOVER: Duration = Duration::from_millis(300);
/// How long a tool may run in silence.
const FILLER_AFTER: Duration = Duration::from_millis(1_200);
/// How long a response that was asked for may stay silent before the line counts as quiet again.
const LONGEST_THOUGHT: Duration = Duration::from_secs(20);

/// What a tenant sets.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// Who says the first word.
    pub first_speaker: FirstSpeaker,
    /// Speech that fades the agent's voice.
    pub candidate: Duration,
    /// Speech that interrupts it.
    pub confirm: Duration,
    /// How late our ear tells that speech has ended: until then it may go on or not.
    pub hangover: Duration,
    /// How long a false start may hold it.
    pub resume_after: Duration,
    /// The start of the greeting that isn't interrupted.
    pub greeting_protected: Duration,
    /// Silence that ends a turn.
    pub end_silence: Duration,
    /// The same while the caller dictates.
    pub dictation_silence: Duration,
    /// Silence before the agent asks again.
    pub silence_prompt: Duration,
    /// Further silence before it says goodbye.
    pub silence_hangup: Duration,
    /// How long a tool may run in silence.
    pub filler_after: Duration,
    /// The most answers of a call.
    pub max_turns: u32,
    /// The language whose acknowledgements count: BCP 47.
    pub locale: String,
}

impl Settings {
    /// As the tenant has it, on a call in `locale`.
    #[must_use]
    pub fn of(tenant: &Tenant, locale: &str) -> Self {
        let (voice, turns) = (&tenant.voice, &tenant.voice.turn_taking);
        Self {
            first_speaker: voice.greeting.first_speaker,
            candidate: turns.barge_in_candidate,
            confirm: turns.barge_in_confirm.max(turns.barge_in_candidate),
            hangover: HANGOVER,
            resume_after: turns.resume_after,
            greeting_protected: turns.greeting_protected,
            end_silence: turns.end_silence,
            dictation_silence: turns.dictation_silence,
            silence_prompt: turns.silence_prompt,
            silence_hangup: turns.silence_hangup,
            filler_after: FILLER_AFTER,
            max_turns: voice.max_turns,
            locale: locale.to_owned(),
        }
    }
}

/// What the agent is saying, as far as it matters for interruptions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Speech {
    /// The first words.
    Greeting,
    /// Anything else.
    Reply,
    /// What must be heard.
    Uncuttable,
}

/// What happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Input<'a> {
    /// The caller is there.
    Connected,
    /// Our ear heard speech begin, at this moment.
    SpeechStarted(Instant),
    /// And end: its last sound was then.
    SpeechStopped(Instant),
    /// Some words of the caller, not final.
    Partial(&'a str),
    /// The model's ear has taken the caller's turn for ended.
    Committed,
    /// What was said in it; empty when nothing could be made out.
    Final(&'a str),
    /// The first audio of an utterance is on its way to the caller.
    Speaking(Speech),
    /// What the agent says, as it becomes known.
    Said(&'a str),
    /// Everything handed over has been heard, or was cut, and the model makes no more.
    Quiet,
    /// The call, not the model, has the word; the machine keeps still until [`Input::Quiet`].
    Announcement,
    /// A response came to nothing.
    Failed,
    /// A tool runs.
    ToolStarted,
    /// It is done, and the model will be asked to go on.
    ToolFinished,
    /// The caller pressed a key.
    Key,
    /// The call has the caller: nothing that is heard is for the agent.
    GivenAway,
    /// The caller is the agent's again.
    Resumed,
    /// [`Turns::deadline`] has passed.
    Expired,
}

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Output {
    /// Say the first words.
    Greet,
    /// Ask the model to answer.
    Respond,
    /// Fade the agent's voice and hold it.
    Pause,
    /// Go on where it was held.
    Resume,
    /// Drop what isn't heard yet, stop the model, cut its memory to what was heard.
    Interrupt,
    /// Say a short word: something takes a while.
    Filler,
    /// Ask whether somebody is there.
    Reprompt,
    /// Say goodbye and end the call.
    Goodbye,
    /// Wait this long at the end of a turn.
    Patience(Duration),
}

/// The machine.
#[derive(Debug)]
pub struct Turns {
    settings: Settings,
    agent: Agent,
    caller: Caller,
    /// What the caller said that has no answer yet.
    owed: Owed,
    tool: Tool,
    silence: Silence,
    patience: Duration,
    answers: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Agent {
    /// The caller isn't there yet, or has been given away.
    Away,
    /// It says nothing and is asked nothing.
    Silent,
    /// It was asked, since then.
    Thinking { since: Instant },
    /// It is heard; until `protected` nothing interrupts it.
    Speaking { protected: Option<Instant> },
    /// It is uncuttable, or the call speaks.
    Uncuttable,
    /// It is held since then.
    Paused { since: Instant },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Caller {
    Silent,
    Speaking { since: Instant, acknowledges: bool },
}

/// A turn of the caller that isn't answered.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Owed {
    /// Our ear heard something in it.
    heard: bool,
    /// The model has taken it for ended.
    committed: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tool {
    None,
    Running { filler_at: Option<Instant> },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Silence {
    since: Option<Instant>,
    asked: bool,
}

impl Turns {
    /// Before the caller is there.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        Self {
            patience: settings.end_silence,
            settings,
            agent: Agent::Away,
            caller: Caller::Silent,
            owed: Owed::default(),
            tool: Tool::None,
            silence: Silence { since: None, asked: false },
            answers: 0,
        }
    }

    /// Takes one input; appends what is to be done, in order.
    pub fn handle(&mut self, input: Input<'_>, now: Instant, out: &mut Vec<Output>) {
        match input {
            Input::Connected => self.connected(now, out),
            Input::SpeechStarted(at) => self.speech_started(at.min(now), now, out),
            Input::SpeechStopped(at) => self.speech_stopped(at.min(now), now, out),
            Input::Partial(text) => self.partial(text, now, out),
            Input::Committed => self.committed(now, out),
            Input::Final(text) => self.finished(text, now, out),
            Input::Speaking(speech) => self.speaking(speech, now, out),
            Input::Said(text) => self.expect(words::asks_for_dictation(text, &self.settings.locale), out),
            Input::Quiet => self.quiet(now, out),
            Input::Announcement => {
                self.let_go(out);
                if self.agent != Agent::Away {
                    self.agent = Agent::Uncuttable;
                }
            }
            Input::Failed => self.failed(now),
            Input::ToolStarted => {
                self.tool = Tool::Running { filler_at: Some(now + self.settings.filler_after) };
            }
            Input::ToolFinished => {
                self.tool = Tool::None;
                self.agent = self.after_tool(now);
            }
            Input::Key => self.stir(now),
            Input::GivenAway => {
                self.let_go(out);
                self.agent = Agent::Away;
                self.owed = Owed::default();
                self.tool = Tool::None;
            }
            Input::Resumed => {
                self.let_go(out);
                self.agent = Agent::Silent;
                self.respond(now, out);
            }
            Input::Expired => self.expired(now, out),
        }
        self.restless(now);
    }

    /// When [`Input::Expired`] is due.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        let filler = match self.tool {
            Tool::Running { filler_at } => filler_at,
            Tool::None => None,
        };
        [self.next_step(), filler, self.silence_ends()].into_iter().flatten().min()
    }

    /// Whether the agent is held, for whoever tells playout.
    #[must_use]
    pub fn is_paused(&self) -> bool {
        matches!(self.agent, Agent::Paused { .. })
    }

    /// Whether the caller is speaking, as far as our ear tells.
    #[must_use]
    pub fn caller_speaks(&self) -> bool {
        self.caller != Caller::Silent
    }

    /// How many answers were asked for.
    #[must_use]
    pub fn answers(&self) -> u32 {
        self.answers
    }

    /// The moment at which the caller's speech changes something, or the agent's patience ends.
    fn next_step(&self) -> Option<Instant> {
        match (self.agent, self.caller) {
            (Agent::Speaking { protected }, Caller::Speaking { since, .. }) => {
                let due = since + self.settings.candidate;
                Some(protected.map_or(due, |end| due.max(end)))
            }
            (Agent::Paused { .. }, Caller::Speaking { since, acknowledges }) => {
                Some(since + self.confirmed_after(acknowledges) + self.settings.hangover)
            }
            (Agent::Paused { since }, Caller::Silent) => Some(since + self.settings.resume_after),
            (Agent::Thinking { .. }, Caller::Speaking { since, acknowledges: false }) => {
                Some(since + self.settings.confirm + self.settings.hangover)
            }
            (Agent::Thinking { since }, _) => Some(since + LONGEST_THOUGHT),
            (Agent::Away | Agent::Silent | Agent::Uncuttable | Agent::Speaking { .. }, _) => None,
        }
    }

    /// How much speech is an interruption.
    fn confirmed_after(&self, acknowledges: bool) -> Duration {
        let confirm = self.settings.confirm;
        if acknowledges { LONGEST_ACKNOWLEDGEMENT.max(confirm) } else { confirm }
    }

    fn silence_ends(&self) -> Option<Instant> {
        let wait =
            if self.silence.asked { self.settings.silence_hangup } else { self.settings.silence_prompt };
        self.silence.since.map(|since| since + wait)
    }

    fn connected(&mut self, now: Instant, out: &mut Vec<Output>) {
        if self.agent != Agent::Away {
            return;
        }
        self.agent = Agent::Silent;
        if self.settings.first_speaker == FirstSpeaker::Agent {
            self.agent = Agent::Thinking { since: now };
            out.push(Output::Greet);
        }
    }

    fn speech_started(&mut self, since: Instant, now: Instant, out: &mut Vec<Output>) {
        self.stir(now);
        self.caller = Caller::Speaking { since, acknowledges: false };
        self.owed.heard = true;
        self.step(now, out);
    }

    fn speech_stopped(&mut self, at: Instant, now: Instant, out: &mut Vec<Output>) {
        self.stir(now);
        let before = std::mem::replace(&mut self.caller, Caller::Silent);
        let (Agent::Paused { .. }, Caller::Speaking { since, acknowledges }) = (self.agent, before) else {
            return;
        };
        let lasted = at.saturating_duration_since(since);
        if lasted < self.settings.candidate {
            // It had ended before it was a candidate; nothing was said.
            self.owed = Owed::default();
            self.resume(out);
        } else if lasted >= self.confirmed_after(acknowledges) {
            self.interrupt(out);
            self.answer_if_owed(now, out);
        }
    }

    fn partial(&mut self, text: &str, now: Instant, out: &mut Vec<Output>) {
        self.expect_digits(text, out);
        let stops = words::is_stop(text, &self.settings.locale);
        if let Caller::Speaking { acknowledges, .. } = &mut self.caller {
            *acknowledges = words::is_acknowledgement(text, &self.settings.locale);
        }
        let cuttable = match self.agent {
            Agent::Paused { .. } => true,
            Agent::Speaking { protected } => protected.is_none_or(|end| now >= end),
            _ => false,
        };
        if stops && cuttable {
            self.interrupt(out);
        }
        self.step(now, out);
    }

    fn committed(&mut self, now: Instant, out: &mut Vec<Output>) {
        // What only the model's ear took for speech is no turn.
        if !self.owed.heard {
            return;
        }
        self.owed.committed = true;
        match self.agent {
            Agent::Silent => self.respond(now, out),
            // It asked for more before the answer began.
            Agent::Thinking { .. } if self.answers > 0 => {
                out.push(Output::Interrupt);
                self.agent = Agent::Silent;
                self.respond(now, out);
            }
            // Answered when the agent has finished, or when the transcript says that it is more
            // than an acknowledgement.
            Agent::Thinking { .. } | Agent::Paused { .. } | Agent::Speaking { .. } | Agent::Uncuttable => {}
            Agent::Away => self.owed = Owed::default(),
        }
    }

    fn finished(&mut self, text: &str, now: Instant, out: &mut Vec<Output>) {
        self.expect_digits(text, out);
        let nothing = words::is_acknowledgement(text, &self.settings.locale);
        match self.agent {
            Agent::Paused { .. } if nothing => {
                self.owed = Owed { heard: self.caller != Caller::Silent, committed: false };
                if self.caller == Caller::Silent {
                    self.resume(out);
                }
            }
            Agent::Paused { .. } => {
                self.interrupt(out);
                self.answer_if_owed(now, out);
            }
            Agent::Speaking { .. } | Agent::Uncuttable if nothing => self.owed.committed = false,
            _ => {}
        }
    }

    fn speaking(&mut self, speech: Speech, now: Instant, out: &mut Vec<Output>) {
        if speech == Speech::Uncuttable {
            self.let_go(out);
        }
        self.silence.since = None;
        self.agent = match (speech, self.agent) {
            (_, Agent::Away) => return,
            (Speech::Uncuttable, _) => Agent::Uncuttable,
            (_, held @ (Agent::Paused { .. } | Agent::Uncuttable)) => held,
            (Speech::Greeting, _) => {
                Agent::Speaking { protected: Some(now + self.settings.greeting_protected) }
            }
            (Speech::Reply, speaking @ Agent::Speaking { .. }) => speaking,
            (Speech::Reply, _) => Agent::Speaking { protected: None },
        };
    }

    fn quiet(&mut self, now: Instant, out: &mut Vec<Output>) {
        match self.agent {
            Agent::Away => return,
            // It was asked again meanwhile.
            Agent::Thinking { .. } => return,
            Agent::Paused { .. } => out.push(Output::Resume),
            Agent::Silent | Agent::Speaking { .. } | Agent::Uncuttable => {}
        }
        self.agent = Agent::Silent;
        self.answer_if_owed(now, out);
    }

    fn failed(&mut self, _now: Instant) {
        if matches!(self.agent, Agent::Thinking { .. }) {
            self.agent = Agent::Silent;
        }
    }

    /// The model goes on by itself after a tool.
    fn after_tool(&self, now: Instant) -> Agent {
        match self.agent {
            Agent::Silent => Agent::Thinking { since: now },
            other => other,
        }
    }

    fn expired(&mut self, now: Instant, out: &mut Vec<Output>) {
        self.step(now, out);
        if let Tool::Running { filler_at: Some(at) } = self.tool
            && now >= at
        {
            self.tool = Tool::Running { filler_at: None };
            if matches!(self.agent, Agent::Silent | Agent::Thinking { .. }) {
                out.push(Output::Filler);
            }
        }
        if self.silence_ends().is_some_and(|end| now >= end) {
            self.silence.since = None;
            if self.silence.asked {
                self.agent = Agent::Uncuttable;
                out.push(Output::Goodbye);
            } else {
                self.silence.asked = true;
                self.agent = Agent::Thinking { since: now };
                out.push(Output::Reprompt);
            }
        }
    }

    /// What the time that the caller has been speaking or silent for makes due.
    fn step(&mut self, now: Instant, out: &mut Vec<Output>) {
        while self.next_step().is_some_and(|due| now >= due) {
            match (self.agent, self.caller) {
                (Agent::Speaking { .. }, Caller::Speaking { .. }) => {
                    self.agent = Agent::Paused { since: now };
                    out.push(Output::Pause);
                }
                (Agent::Paused { .. }, Caller::Speaking { .. }) => {
                    self.interrupt(out);
                    self.answer_if_owed(now, out);
                }
                (Agent::Paused { .. }, Caller::Silent) => {
                    self.owed = Owed::default();
                    self.resume(out);
                }
                // The caller goes on before the answer has begun: it would be one to half of it.
                (Agent::Thinking { .. }, Caller::Speaking { .. }) if self.answers > 0 => {
                    self.interrupt(out);
                }
                (Agent::Thinking { .. }, _) => {
                    self.agent = Agent::Silent;
                    return;
                }
                _ => return,
            }
        }
    }

    fn interrupt(&mut self, out: &mut Vec<Output>) {
        self.agent = Agent::Silent;
        out.push(Output::Interrupt);
    }

    /// Whatever comes next must not be held.
    fn let_go(&mut self, out: &mut Vec<Output>) {
        if self.is_paused() {
            self.resume(out);
        }
    }

    fn resume(&mut self, out: &mut Vec<Output>) {
        self.agent = Agent::Speaking { protected: None };
        out.push(Output::Resume);
    }

    fn answer_if_owed(&mut self, now: Instant, out: &mut Vec<Output>) {
        if self.owed.committed && self.owed.heard {
            self.respond(now, out);
        }
    }

    fn respond(&mut self, now: Instant, out: &mut Vec<Output>) {
        self.owed = Owed { heard: self.caller != Caller::Silent, committed: false };
        self.answers = self.answers.saturating_add(1);
        if self.answers > self.settings.max_turns {
            self.agent = Agent::Uncuttable;
            out.push(Output::Goodbye);
            return;
        }
        self.agent = Agent::Thinking { since: now };
        out.push(Output::Respond);
    }

    /// The caller does something: the count of silence begins again.
    fn stir(&mut self, now: Instant) {
        self.silence = Silence { since: self.silence.since.map(|_| now), asked: false };
    }

    /// Silence counts while nobody speaks and nothing is under way.
    fn restless(&mut self, now: Instant) {
        let still =
            self.agent == Agent::Silent && self.caller == Caller::Silent && matches!(self.tool, Tool::None);
        if !still {
            self.silence.since = None;
        } else if self.silence.since.is_none() {
            self.silence.since = Some(now);
        }
    }

    fn expect_digits(&mut self, text: &str, out: &mut Vec<Output>) {
        if words::is_dictation(text) {
            self.expect(true, out);
        }
    }

    fn expect(&mut self, dictation: bool, out: &mut Vec<Output>) {
        let patience = if dictation { self.settings.dictation_silence } else { self.settings.end_silence };
        if patience != self.patience {
            self.patience = patience;
            out.push(Output::Patience(patience));
        }
    }
}
