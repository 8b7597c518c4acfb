//! A call with its surroundings: a clock, timers that run out, and a list of what was asked
//! for. Rules that hold for every call are checked on every effect.

use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use media::dtmf::Digit;
use media::playout::UtteranceId;

use crate::agent::AgentInput;
use crate::agent::phrases::{self, Phrase};
use crate::call::machine::{CallSpec, Effect, Input, Machine, Phase, RecordingEnd, Sound, TimerKind};
use crate::call::record::{CallEvent, CallRecord, Direction, RawText};
use crate::call::transfer::{AttemptId, ReferPolicy, Report};
use crate::ids::{CallId, DestinationId, TenantId};
use crate::tenant::document::Tenant;
use crate::tool::{TelephonyCommand, ToolCallId};

pub(super) struct Rig {
    pub(super) machine: Machine,
    pub(super) now: Instant,
    began: Instant,
    timers: Vec<(Instant, TimerKind)>,
    last_said: UtteranceId,
    seen: Seen,
}

/// What has been asked for, as far as the rules need it.
#[derive(Debug, Default)]
pub(super) struct Seen {
    pub(super) byes: u32,
    pub(super) closed: u32,
    pub(super) durable: bool,
    pub(super) forgotten: bool,
    pub(super) ringing: bool,
    pub(super) recording: bool,
    agent_closed: bool,
    answered: bool,
    given_up: bool,
}

/// A Sunday: destinations with office hours are closed.
pub(super) fn wall() -> DateTime<Utc> {
    DateTime::parse_from_rfc3339("2026-11-22T12:00:00Z").unwrap().to_utc()
}

/// `sales` is always open, `planning` is closed and leads to `sales`, `night` is closed and
/// leads nowhere.
pub(super) fn tenant(require_confirmation: bool) -> Arc<Tenant> {
    let office = r#"{"tz": "Europe/Paris", "rrule": "FREQ=WEEKLY;BYDAY=MO,TU,WE,TH,FR;BYHOUR=9;BYMINUTE=0", "duration_minutes": 480}"#;
    let document = format!(
        r#"{{
        "_id": "tenant-test-1", "tenant_id": "tenant-test-1", "client_id": "client", "display_name": "Test",
        "summary_to": [], "timezone": "Europe/Paris", "locale": "en-US", "status": "active",
        "features": {{"refer": {{
            "enabled": true, "require_confirmation": {require_confirmation},
            "destinations": [
                {{"destination_id": "sales", "label": "the sales team", "target_uri": "tel:+33199000100",
                  "description_for_model": "Sales."}},
                {{"destination_id": "planning", "label": "planning", "target_uri": "sip:planning@example.com",
                  "description_for_model": "Planning.", "business_hours": {office},
                  "after_hours_destination_id": "sales"}},
                {{"destination_id": "night", "label": "the night desk", "target_uri": "tel:+33199000102",
                  "description_for_model": "Night desk.", "business_hours": {office}}}
            ]
        }}}},
        "schema_version": 1
    }}"#
    );
    Arc::new(Tenant::from_json(document.as_bytes()).unwrap())
}

pub(super) fn spec() -> CallSpec {
    let sip_call_id = RawText::new(b"call@test");
    let tenant_id = TenantId::new("tenant-test-1").unwrap();
    CallSpec {
        record: CallRecord::new(CallId::generate(), tenant_id, Direction::Inbound, sip_call_id, wall()),
        tenant: tenant(false),
        locale: "en-US".to_owned(),
        refer: ReferPolicy::Allowed,
        delayed_offer: false,
        max_duration: Duration::from_secs(15 * 60),
    }
}

impl Rig {
    pub(super) fn new(spec: CallSpec) -> Self {
        let now = Instant::now();
        Self {
            machine: Machine::new(spec, now),
            now,
            began: now,
            timers: Vec::new(),
            last_said: UtteranceId(0),
            seen: Seen::default(),
        }
    }

    /// A call of ours that is to be answered within 45 s.
    pub(super) fn outbound() -> Self {
        let mut outbound = spec();
        outbound.record.direction = Direction::Outbound;
        let mut rig = Self::new(spec());
        rig.machine = Machine::outbound(outbound, Duration::from_secs(45), rig.now);
        rig
    }

    /// A call of ours whose INVITE is out.
    pub(super) fn dialing() -> Self {
        let mut rig = Self::outbound();
        rig.give(Input::Admitted);
        rig
    }

    /// A call of ours that rings.
    pub(super) fn ringing() -> Self {
        let mut rig = Self::dialing();
        rig.give(Input::Progress { status: 180 });
        rig
    }

    /// A caller whose agent is getting ready.
    pub(super) fn early() -> Self {
        let mut rig = Self::new(spec());
        rig.give(Input::Admitted);
        rig
    }

    /// A caller who hears the agent; the ACK is missing.
    pub(super) fn awaiting_ack() -> Self {
        let mut rig = Self::early();
        rig.give(Input::AgentReady);
        rig.give(Input::AnswerSent);
        rig
    }

    /// A caller in conversation with the agent.
    pub(super) fn established() -> Self {
        Self::established_with(spec())
    }

    pub(super) fn established_with(spec: CallSpec) -> Self {
        let mut rig = Self::new(spec);
        for input in [Input::Admitted, Input::AgentReady, Input::AnswerSent, Input::Acked] {
            rig.give(input);
        }
        assert_eq!(rig.phase(), Phase::Established);
        rig
    }

    /// A caller who hears the handoff phrase.
    pub(super) fn handoff() -> Self {
        let mut rig = Self::established();
        rig.give(transfer("t1", "sales"));
        rig
    }

    /// A caller whose REFER is out.
    pub(super) fn referred() -> Self {
        let mut rig = Self::handoff();
        rig.heard();
        rig
    }

    /// A caller who leaves a message.
    pub(super) fn recording() -> Self {
        let mut rig = Self::established();
        rig.give(tool("m1", TelephonyCommand::TakeMessage));
        rig.heard();
        rig
    }

    /// Gives one input; what it led to, without timers and journal entries of open records.
    pub(super) fn give(&mut self, input: Input) -> Vec<String> {
        if input == Input::JournalWritten && self.seen.closed > 0 {
            self.seen.durable = true;
        }
        if matches!(input, Input::RecordingStopped(_)) {
            self.seen.recording = false;
        }
        let mut effects = Vec::new();
        self.machine.handle(input, self.now, self.wall(), &mut effects);
        for effect in &effects {
            self.check(effect);
        }
        effects.iter().filter_map(line).collect()
    }

    /// The caller has heard the machine's last sentence.
    pub(super) fn heard(&mut self) -> Vec<String> {
        self.give(Input::Drained { utterance: self.last_said, sent_ms: 2000 })
    }

    /// Time passes; timers run out on the way.
    pub(super) fn pass(&mut self, length: Duration) -> Vec<String> {
        let until = self.now + length;
        let mut lines = Vec::new();
        while let Some((at, kind)) = self.timers.iter().copied().filter(|(at, _)| *at <= until).min() {
            lines.extend(self.run_out(kind));
            debug_assert!(at <= self.now);
        }
        self.now = until;
        lines
    }

    /// One timer runs out, and nothing else happens meanwhile.
    pub(super) fn run_out(&mut self, kind: TimerKind) -> Vec<String> {
        let due = self.timers.iter().find(|(_, known)| *known == kind).map(|(at, _)| *at).unwrap();
        self.timers.retain(|(_, known)| *known != kind);
        // A recorder that doesn't report is given up.
        self.seen.recording &= kind != TimerKind::Recording;
        self.now = due.max(self.now);
        self.give(Input::Timer(kind))
    }

    pub(super) fn seconds(&mut self, seconds: u64) -> Vec<String> {
        self.pass(Duration::from_secs(seconds))
    }

    /// Gives everything that the end of a call waits for.
    pub(super) fn finish(&mut self) {
        if matches!(self.phase(), Phase::Dialing | Phase::Ringing) {
            self.give(Input::KillNow);
        }
        self.give(Input::PeerRefused { status: 487, heard: true });
        self.give(Input::PeerBye);
        self.give(Input::ByeDone);
        self.seconds(10);
        self.give(Input::JournalWritten);
        self.seconds(60);
        assert_eq!(self.phase(), Phase::Ended);
        assert!(self.seen.forgotten, "ended without being forgotten");
    }

    pub(super) fn phase(&self) -> Phase {
        self.machine.phase()
    }

    pub(super) fn record(&self) -> &CallRecord {
        self.machine.record()
    }

    pub(super) fn seen(&self) -> &Seen {
        &self.seen
    }

    pub(super) fn last_said(&self) -> UtteranceId {
        self.last_said
    }

    pub(super) fn runs(&self, kind: TimerKind) -> bool {
        self.timers.iter().any(|(_, known)| *known == kind)
    }

    pub(super) fn wall(&self) -> DateTime<Utc> {
        wall() + (self.now - self.began)
    }

    fn check(&mut self, effect: &Effect) {
        let seen = &mut self.seen;
        assert!(!seen.forgotten, "{effect:?} after the call was forgotten");
        match effect {
            Effect::StartTimer { kind, after } => {
                self.timers.retain(|(_, known)| known != kind);
                self.timers.push((self.now + *after, *kind));
            }
            Effect::CancelTimer(kind) => {
                assert!(self.timers.iter().any(|(_, known)| known == kind), "{kind:?} doesn't run");
                self.timers.retain(|(_, known)| known != kind);
            }
            Effect::SendBye { .. } => {
                assert!(seen.answered || seen.given_up, "BYE for a call that was never answered");
                seen.byes += 1;
                assert_eq!(seen.byes, 1, "a second BYE");
            }
            Effect::Dial => assert!(!seen.answered && !seen.given_up, "dialed once more"),
            Effect::GiveUp => {
                assert!(!seen.answered, "cancelled after the answer");
                seen.given_up = true;
            }
            Effect::Reject { .. } => assert!(!seen.answered, "refused after the answer"),
            Effect::Record(CallEvent::Ended(_)) => {
                assert!(!seen.recording, "the record was closed before the recording");
                seen.closed += 1;
            }
            Effect::Record(CallEvent::Updated(record)) => seen.answered = record.answered_at.is_some(),
            Effect::Playout(Sound::RingbackStart) => seen.ringing = true,
            Effect::Playout(Sound::RingbackStop) => seen.ringing = false,
            Effect::StartRecording { .. } => {
                assert!(!seen.recording, "two recordings at once");
                seen.recording = true;
            }
            Effect::Agent(input) => {
                assert!(!seen.agent_closed, "{input:?} for an agent that was told to close");
                seen.agent_closed = matches!(input, AgentInput::Close);
                if let AgentInput::Say { utterance, .. } = input {
                    assert!(utterance.0 > self.last_said.0 && utterance.0 % 2 == 1);
                    self.last_said = *utterance;
                }
            }
            Effect::Forget => {
                assert!(seen.durable, "forgotten before the record was durable");
                assert!(self.timers.is_empty(), "timers left: {:?}", self.timers);
                assert!(!seen.ringing, "still ringing");
                seen.forgotten = true;
            }
            _ => {}
        }
    }
}

pub(super) fn tool(id: &str, command: TelephonyCommand) -> Input {
    Input::Tool { call: ToolCallId::new(id), command }
}

pub(super) fn transfer(id: &str, destination: &str) -> Input {
    let destination = DestinationId::new(destination).unwrap();
    tool(id, TelephonyCommand::Transfer { destination, confirmed: true })
}

/// Whoever we call answers.
pub(super) fn answered() -> Input {
    Input::PeerAnswered { media: true, refer: ReferPolicy::Allowed }
}

pub(super) fn key(key: char) -> Input {
    Input::Digit(Digit::from_char(key).unwrap())
}

pub(super) fn response(attempt: u32, status: u16) -> Input {
    Input::ReferResponse { attempt: AttemptId(attempt), status }
}

pub(super) fn notify(attempt: u32, status: u16) -> Input {
    report(attempt, Some(status), status >= 200)
}

pub(super) fn report(attempt: u32, status: Option<u16>, terminated: bool) -> Input {
    Input::ReferNotify { attempt: AttemptId(attempt), report: Report { status, terminated } }
}

pub(super) fn kept(seconds: u64) -> Input {
    let duration = Duration::from_secs(seconds);
    Input::RecordingStopped(RecordingEnd::Kept { file: "messages/1.wav".to_owned(), duration })
}

/// An effect in a few words; `None` for the quiet ones.
fn line(effect: &Effect) -> Option<String> {
    Some(match effect {
        Effect::Ring => "ring".to_owned(),
        Effect::ConnectAgent => "connect agent".to_owned(),
        Effect::Answer => "answer".to_owned(),
        Effect::Dial => "dial".to_owned(),
        Effect::GiveUp => "give up".to_owned(),
        Effect::Reject { status, retry_after: None } => format!("reject {status}"),
        Effect::Reject { status, retry_after: Some(after) } => {
            format!("reject {status}, retry after {}", after.as_secs())
        }
        Effect::SendBye { reason } => format!("bye {reason:?}"),
        Effect::SendRefer { target, attempt } => format!("refer {attempt} to {}", target.as_str()),
        Effect::Agent(input) => agent_line(input)?,
        Effect::WrapUp { left } => format!("wrap up in {}", left.as_secs()),
        Effect::Playout(sound) => format!("{sound:?}"),
        Effect::StartRecording { .. } => "record".to_owned(),
        Effect::StopRecording => "stop recording".to_owned(),
        Effect::DiscardRecording => "discard recording".to_owned(),
        Effect::Record(CallEvent::Started(_)) => "open record".to_owned(),
        Effect::Record(CallEvent::Ended(record)) => {
            format!("close record: {:?} by {:?}", record.end_reason.unwrap(), record.end_side.unwrap())
        }
        Effect::Note { text } => format!("note: {text}"),
        Effect::Forget => "forget".to_owned(),
        Effect::StartTimer { .. } | Effect::CancelTimer(_) | Effect::Record(CallEvent::Updated(_)) => {
            return None;
        }
    })
}

fn agent_line(input: &AgentInput) -> Option<String> {
    Some(match input {
        AgentInput::Connected => "greet".to_owned(),
        AgentInput::Digit(digit) => format!("key {}", digit.as_char()),
        AgentInput::Say { text, .. } => {
            let standard = Phrase::STANDARD.into_iter().find(|one| phrases::text("en-US", *one) == *text);
            standard.map_or_else(|| format!("say {text}"), |phrase| format!("say {phrase:?}"))
        }
        AgentInput::ToolResult { call, outcome } => {
            let json = outcome.to_json();
            let reason = json.get("reason").or(json.get("status")).and_then(|text| text.as_str()).unwrap();
            format!("{call}: {reason}")
        }
        AgentInput::Played { .. } => return None,
        AgentInput::Resume => "resume".to_owned(),
        AgentInput::Close => "close agent".to_owned(),
        AgentInput::SpeechStarted { .. } | AgentInput::SpeechStopped { .. } => "speech".to_owned(),
    })
}
