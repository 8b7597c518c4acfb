//! Where a turn's time went, in parts that add up to the whole: each part begins where the one
//! before it ends.

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

/// The parts of one turn, in milliseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Latency {
    /// From the caller's last sound until the turn was taken for ended.
    pub endpoint_ms: u32,
    /// Until the model was asked to answer.
    pub ask_ms: u32,
    /// Until its first audio.
    pub model_ms: u32,
    /// Until that was handed to playout; it is on the wire within one packet time.
    pub playout_ms: u32,
}

impl Latency {
    /// From the caller's last sound to the agent's first.
    #[must_use]
    pub fn total_ms(&self) -> u32 {
        self.endpoint_ms
            .saturating_add(self.ask_ms)
            .saturating_add(self.model_ms)
            .saturating_add(self.playout_ms)
    }
}

/// Notes the moments of a turn as they pass.
#[derive(Debug, Clone, Copy, Default)]
pub struct TurnClock {
    speech_ended: Option<Instant>,
    endpoint: Option<Instant>,
    asked: Option<Instant>,
    first_audio: Option<Instant>,
}

impl TurnClock {
    /// The caller's last sound was then. Speech that goes on begins the turn anew.
    pub fn speech_ended(&mut self, at: Instant) {
        *self = Self { speech_ended: Some(at), ..Self::default() };
    }

    /// The turn was taken for ended.
    pub fn endpoint(&mut self, at: Instant) {
        self.endpoint = Some(at);
    }

    /// The model was asked.
    pub fn asked(&mut self, at: Instant) {
        self.asked = Some(at);
    }

    /// Its first audio came.
    pub fn first_audio(&mut self, at: Instant) {
        self.first_audio.get_or_insert(at);
    }

    /// That audio was handed on: the turn's parts, once.
    pub fn handed_on(&mut self, at: Instant) -> Option<Latency> {
        let Self { speech_ended: Some(ended), endpoint, asked: Some(asked), first_audio: Some(first) } =
            *self
        else {
            return None;
        };
        *self = Self::default();
        let endpoint = endpoint.unwrap_or(asked).clamp(ended, asked.max(ended));
        let asked = asked.max(endpoint);
        let first = first.max(asked);
        let at = at.max(first);
        // Rounded at the borders, not part by part, so that the sum is the whole.
        let since = |moment: Instant| millis(moment.saturating_duration_since(ended));
        Some(Latency {
            endpoint_ms: since(endpoint),
            ask_ms: since(asked) - since(endpoint),
            model_ms: since(first) - since(asked),
            playout_ms: since(at) - since(first),
        })
    }
}

fn millis(duration: Duration) -> u32 {
    u32::try_from(duration.as_millis()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_add_up_to_the_whole() {
        let start = Instant::now();
        let at = |micros: u64| start + Duration::from_micros(micros);
        let mut clock = TurnClock::default();
        clock.speech_ended(at(0));
        clock.endpoint(at(500_700));
        clock.asked(at(501_300));
        clock.first_audio(at(650_900));
        let latency = clock.handed_on(at(651_999)).unwrap();
        assert_eq!(latency.total_ms(), 651);
        assert_eq!((latency.endpoint_ms, latency.model_ms), (500, 149));
        assert_eq!(clock.handed_on(at(700_000)), None);
    }

    #[test]
    fn a_turn_without_speech_before_it_has_no_latency() {
        let mut clock = TurnClock::default();
        clock.asked(Instant::now());
        clock.first_audio(Instant::now());
        assert_eq!(clock.handed_on(Instant::now()), None);
    }
}
