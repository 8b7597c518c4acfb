//! Who said what, written into the record as it becomes known.

use std::collections::VecDeque;

use media::playout::UtteranceId;

use super::Actor;
use crate::agent::AgentEvent;
use crate::agent::turn::Latency;
use crate::call::record::{Speaker, TranscriptTurn};

/// More turns than a call is allowed; what is said beyond isn't written down.
const MOST_TURNS: usize = 2_000;
/// Utterances that may still be cut.
const MOST_OPEN: usize = 16;

/// What is needed between two events.
#[derive(Debug, Default)]
pub(super) struct Writer {
    /// Where the utterances said last stand in the transcript.
    said: VecDeque<(UtteranceId, usize)>,
    latency_ms: Option<u32>,
}

impl Writer {
    /// The answer that is written down next took so long.
    pub(super) fn answered(&mut self, latency: Latency) {
        self.latency_ms = Some(latency.total_ms());
    }
}

impl Actor {
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
                let latency_ms = writer.latency_ms.take();
                record.transcript.push(TranscriptTurn { latency_ms, ..turn(Speaker::Agent, text) });
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
                        let latency_ms = writer.latency_ms.take();
                        let said = turn(Speaker::Agent, heard.clone());
                        record.transcript.push(TranscriptTurn { heard: Some(heard), latency_ms, ..said });
                    }
                }
            }
            _ => {}
        }
    }
}
