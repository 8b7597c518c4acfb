//! Who said what, written into the record as it becomes known.

use std::collections::VecDeque;

use media::playout::UtteranceId;

use super::Actor;
use crate::agent::AgentEvent;
use crate::agent::turn::Latency;
use crate::call::record::{AgentFault, Speaker, TranscriptTurn};

/// More turns than a call is allowed; what is said beyond isn't written down.
const MOST_TURNS: usize = 2_000;
/// Faults that are written down.
const MOST_FAULTS: usize = 20;
/// Utterances that may still be cut.
const MOST_OPEN: usize = 16;

/// What is needed between two events.
#[derive(Debug, Default)]
pub(super) struct Writer {
    /// Where the utterances said last stand in the transcript.
    said: VecDeque<(UtteranceId, usize)>,
    latency: Option<Latency>,
}

impl Writer {
    /// What the next answer took.
    fn latency_of(&mut self, turn: TranscriptTurn) -> TranscriptTurn {
        let latency = self.latency.take();
        TranscriptTurn { latency_ms: latency.map(|parts| parts.total_ms()), latency, ..turn }
    }
}

impl Actor {
    /// The answer that is written down next took so long.
    pub(super) fn answered(&mut self, latency: Latency) {
        self.transcript.latency = Some(latency);
        let (tenant, at) = (&self.tool_context.tenant.tenant_id, (self.services.clock)());
        self.services.stats.record_turn(tenant, self.provider.name(), latency, at);
    }

    pub(super) fn used(&mut self, input_tokens: u64, output_tokens: u64) {
        let usage = self.machine.record_mut().usage.get_or_insert_default();
        usage.input_tokens = usage.input_tokens.saturating_add(input_tokens);
        usage.output_tokens = usage.output_tokens.saturating_add(output_tokens);
    }

    /// The record shows what happened to the agent.
    pub(super) fn note_fault(&mut self, fault: &str) {
        let at = (self.services.clock)();
        let faults = &mut self.machine.record_mut().agent_faults;
        if faults.len() < MOST_FAULTS {
            let provider = self.provider.name().to_owned();
            faults.push(AgentFault { at, provider, fault: fault.to_owned() });
        }
    }

    pub(super) fn write_down(&mut self, event: AgentEvent) {
        let since = (self.services.clock)() - self.machine.record().started_at;
        let now_ms = u64::try_from(since.num_milliseconds()).unwrap_or(0);
        let turn = |speaker, text| TranscriptTurn {
            speaker,
            text,
            start_ms: now_ms,
            end_ms: now_ms,
            heard: None,
            latency_ms: None,
            latency: None,
        };
        let writer = &mut self.transcript;
        let record = self.machine.record_mut();
        if record.transcript.len() >= MOST_TURNS {
            return;
        }
        match event {
            AgentEvent::Heard { text } => {
                record.turns = record.turns.saturating_add(1);
                record.transcript.push(turn(Speaker::Caller, text));
            }
            AgentEvent::Said { utterance, text } => {
                if writer.said.len() >= MOST_OPEN {
                    writer.said.pop_front();
                }
                writer.said.push_back((utterance, record.transcript.len()));
                let said = writer.latency_of(turn(Speaker::Agent, text));
                record.transcript.push(said);
            }
            AgentEvent::Cut { utterance, heard } => {
                let at = writer.said.iter().find(|(known, _)| *known == utterance).map(|(_, at)| *at);
                match at.and_then(|at| record.transcript.get_mut(at)) {
                    Some(said) => {
                        said.heard = Some(heard);
                        said.end_ms = now_ms;
                    }
                    None if heard.is_empty() => {}
                    None => {
                        let said = writer.latency_of(turn(Speaker::Agent, heard.clone()));
                        record.transcript.push(TranscriptTurn { heard: Some(heard), ..said });
                    }
                }
            }
            _ => {}
        }
    }
}
