//! Whether the caller speaks.
//!
//! An energy gate looks at every 10 ms: it opens for what stands out of the background and can't be the echo of what
//! we play. Only while it is open, a neural detector (`earshot`, at 16 kHz) judges what it lets through; so silence and
//! our own speaking cost next to nothing. Speech begins when the detector says so for long enough, and ends with a
//! hangover.

use earshot::Detector;

use crate::codec::{NARROW_HZ, WIDE_HZ};
use crate::resample::Resampler;

/// Samples in a step of the gate: 10 ms at 8 kHz.
const STEP: usize = 80;
const STEP_MS: u32 = 10;
/// Samples the detector takes at a time: 16 ms at 16 kHz.
const FRAME: usize = 256;
const FRAME_MS: u32 = 16;
/// Steps kept from before the gate opened, so that a word's start is judged with what follows: 60 ms.
const BEFORE: usize = 6;
/// Steps of our own playout that an echo may come from: 600 ms, network and jitter buffers included.
const ECHO_STEPS: usize = 60;
/// Levels are in dB below full scale; this is silence.
const SILENT_DB: f32 = -96.0;
/// What is quieter than this is nobody.
const LEAST_DB: f32 = -52.0;
/// How far speech stands out of the background.
const ABOVE_BACKGROUND_DB: f32 = 10.0;
/// The background is the level that a fifth of the steps stay below: so much up and down a step, 2 and 8 dB a second.
const BACKGROUND_UP_DB: f32 = 0.02;
const BACKGROUND_DOWN_DB: f32 = 0.08;
/// Up again when the detector finds no speech in what is loud: 10 dB a second.
const BACKGROUND_FOUND_DB: f32 = 0.1;
/// In the first second of sound, where nothing is known, ten times as fast.
const BACKGROUND_LEARN: f32 = 10.0;
const BACKGROUND_LEARN_STEPS: u32 = 100;
const BACKGROUND_BOUNDS_DB: std::ops::RangeInclusive<f32> = -75.0..=-25.0;
/// Our playout counts as such above this.
const PLAYING_DB: f32 = -50.0;
/// The echo, against the loudest of what we played just before, is followed as its median: this until it was measured,
/// and within these bounds.
const COUPLING_DB: f32 = -36.0;
const COUPLING_BOUNDS_DB: std::ops::RangeInclusive<f32> = -60.0..=-10.0;
/// How far the echo's peaks are above its median, and a bit.
const ABOVE_ECHO_DB: f32 = 16.0;
/// It is followed where we speak without a pause: a pause would be taken for a weak echo.
const PLAYING_STEPS: usize = 45;
/// The median is followed in such steps: quickly for the first two seconds of playout, then 3 dB a second.
const COUPLING_LEARN_DB: f32 = 0.3;
const LEARN_STEPS: u32 = 200;
const COUPLING_FOLLOW_DB: f32 = 0.03;
/// What is above the echo is the caller, or an echo that has grown: believed at 2 dB a second.
const COUPLING_CREEP_DB: f32 = 0.02;
/// A score counts while something loud was heard within so many steps: voices in the background don't.
const LOUD_STEPS: u32 = 6;
/// Steps that the gate stays open after the last loud one: 250 ms.
const GATE_HANGOVER: u32 = 25;

/// What it takes to begin and to end.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct VadConfig {
    /// The detector's score that begins speech, 0 to 1.
    pub begin: f32,
    /// The score that keeps it going: lower, so that soft ends of words don't end it.
    pub keep: f32,
    /// Speech in a row before it is told, in milliseconds.
    pub onset_ms: u32,
    /// Silence before the end is told, in milliseconds.
    pub hangover_ms: u32,
}

impl Default for VadConfig {
    fn default() -> Self {
        Self { begin: 0.6, keep: 0.35, onset_ms: 64, hangover_ms: 300 }
    }
}

/// An edge of speech.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SpeechEdge {
    /// The caller has begun to speak.
    Started {
        /// How long ago, in milliseconds.
        ago_ms: u32,
    },
    /// The caller has stopped speaking.
    Ended {
        /// How long ago, in milliseconds: the hangover.
        ago_ms: u32,
        /// How long the speech was, in milliseconds.
        lasted_ms: u32,
    },
}

/// The ear for speech of one call.
pub struct Vad {
    config: VadConfig,
    gate: Gate,
    step: [i16; STEP],
    ours: [i16; STEP],
    filled: usize,
    /// The latest steps, oldest first, while the gate is closed.
    before: [[i16; STEP]; BEFORE],
    neural: Option<Box<Neural>>,
    /// Milliseconds of judged speech in a row, and since the last.
    run_ms: u32,
    since_ms: u32,
    speaking: Option<u32>,
}

/// The detector and what brings audio to it.
struct Neural {
    detector: Detector,
    up: Option<Resampler>,
    wide: [i16; FRAME + 2 * STEP],
    length: usize,
}

/// Follows levels.
#[derive(Debug)]
struct Gate {
    background_db: f32,
    /// Steps with any sound so far.
    listened: u32,
    played_db: [f32; ECHO_STEPS],
    place: usize,
    coupling_db: f32,
    /// Steps since we last played something.
    idle: usize,
    /// Steps of playout in which the echo was followed.
    learned: u32,
    /// Steps since the last loud one.
    quiet_steps: u32,
    open: bool,
}

impl Default for Vad {
    fn default() -> Self {
        Self::new(VadConfig::default())
    }
}

impl Vad {
    /// Starts in silence.
    #[must_use]
    pub fn new(config: VadConfig) -> Self {
        Self {
            config,
            gate: Gate {
                background_db: -60.0,
                listened: 0,
                played_db: [SILENT_DB; ECHO_STEPS],
                place: 0,
                coupling_db: COUPLING_DB,
                idle: ECHO_STEPS,
                learned: 0,
                quiet_steps: GATE_HANGOVER,
                open: false,
            },
            step: [0; STEP],
            ours: [0; STEP],
            filled: 0,
            before: [[0; STEP]; BEFORE],
            neural: None,
            run_ms: 0,
            since_ms: 0,
            speaking: None,
        }
    }

    /// Takes the caller's audio at 8 kHz, and what was played to the caller in the same time (silence if shorter). Gives
    /// the last edge in it; a frame of 60 ms or less has at most one.
    pub fn listen(&mut self, caller: &[i16], ours: &[i16]) -> Option<SpeechEdge> {
        let (mut edge, mut from) = (None, 0);
        while from < caller.len() {
            let count = (STEP - self.filled).min(caller.len() - from);
            put(&mut self.step, self.filled, caller.get(from..from + count).unwrap_or_default(), count);
            let played = ours.get(from..ours.len().min(from + count)).unwrap_or_default();
            put(&mut self.ours, self.filled, played, count);
            from += count;
            self.filled += count;
            if self.filled == STEP {
                self.filled = 0;
                edge = self.step().or(edge);
            }
        }
        edge
    }

    /// Whether the caller is speaking, the hangover included.
    #[must_use]
    pub fn is_speech(&self) -> bool {
        self.speaking.is_some()
    }

    /// Whether the neural detector is at work.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.gate.open
    }

    fn step(&mut self) -> Option<SpeechEdge> {
        let was_open = self.gate.open;
        self.gate.judge(level_db(&self.step), level_db(&self.ours));
        let mut speech_ms = 0;
        let mut judged_ms = STEP_MS;
        if self.gate.open {
            if !was_open {
                self.neural.get_or_insert_with(Neural::new_boxed).reset();
                for place in 0..BEFORE {
                    if let Some(step) = self.before.get(place).copied() {
                        speech_ms += self.ask(&step);
                    }
                }
                judged_ms += speech_ms;
            }
            let step = self.step;
            speech_ms += self.ask(&step);
        } else {
            self.before.copy_within(1.., 0);
            if let Some(newest) = self.before.last_mut() {
                *newest = self.step;
            }
        }
        self.follow(speech_ms, judged_ms)
    }

    /// Milliseconds of speech that the detector finds with this step: none between two of its frames.
    fn ask(&mut self, step: &[i16; STEP]) -> u32 {
        let threshold = if self.speaking.is_some() { self.config.keep } else { self.config.begin };
        let speech_ms = match self.neural.as_mut().and_then(|neural| neural.take(step, threshold)) {
            None => return 0,
            Some(speech_ms) => speech_ms,
        };
        if speech_ms == 0 {
            self.gate.no_speech();
        }
        if self.gate.quiet_steps < LOUD_STEPS { speech_ms } else { 0 }
    }

    fn follow(&mut self, speech_ms: u32, judged_ms: u32) -> Option<SpeechEdge> {
        if speech_ms > 0 {
            self.run_ms += speech_ms;
            self.since_ms = 0;
        } else {
            self.since_ms += judged_ms;
            // Frames of 16 ms and steps of 10: two steps may pass without a verdict.
            if self.since_ms > 2 * STEP_MS && self.speaking.is_none() {
                self.run_ms = 0;
            }
        }
        match &mut self.speaking {
            Some(lasted_ms) => {
                *lasted_ms += STEP_MS;
                if self.since_ms < self.config.hangover_ms {
                    return None;
                }
                let lasted_ms = lasted_ms.saturating_sub(self.since_ms);
                self.speaking = None;
                self.run_ms = 0;
                Some(SpeechEdge::Ended { ago_ms: self.since_ms, lasted_ms })
            }
            None if self.run_ms >= self.config.onset_ms => {
                self.speaking = Some(self.run_ms);
                Some(SpeechEdge::Started { ago_ms: self.run_ms })
            }
            None => None,
        }
    }
}

impl std::fmt::Debug for Vad {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Vad")
            .field("gate", &self.gate)
            .field("speaking", &self.speaking)
            .finish_non_exhaustive()
    }
}

impl Neural {
    fn new_boxed() -> Box<Self> {
        let up = Resampler::new(NARROW_HZ, WIDE_HZ);
        Box::new(Self { detector: Detector::const_default(), up, wide: [0; FRAME + 2 * STEP], length: 0 })
    }

    fn reset(&mut self) {
        self.detector.reset();
        self.length = 0;
    }

    /// Milliseconds of speech, once a frame is full.
    fn take(&mut self, step: &[i16; STEP], threshold: f32) -> Option<u32> {
        let room = self.wide.get_mut(self.length..).unwrap_or_default();
        self.length += self.up.as_mut().map_or(0, |up| up.process(step, room));
        let frame = self.wide.get(..FRAME).filter(|_| self.length >= FRAME)?;
        let speech_ms = if self.detector.predict_i16(frame) >= threshold { FRAME_MS } else { 0 };
        self.wide.copy_within(FRAME.., 0);
        self.length -= FRAME;
        Some(speech_ms)
    }
}

impl Gate {
    fn judge(&mut self, caller_db: f32, ours_db: f32) {
        if let Some(place) = self.played_db.get_mut(self.place) {
            *place = ours_db;
        }
        self.place = (self.place + 1) % ECHO_STEPS;
        self.idle = if ours_db > PLAYING_DB { 0 } else { self.idle.saturating_add(1) };
        let played_db = match self.idle {
            // All of the window is silence.
            ECHO_STEPS.. => SILENT_DB,
            _ => self.played_db.iter().copied().fold(SILENT_DB, f32::max),
        };
        let playing = played_db > PLAYING_DB;
        let echo_db = if playing { played_db + self.coupling_db + ABOVE_ECHO_DB } else { SILENT_DB };
        let wanted = LEAST_DB.max(self.background_db + ABOVE_BACKGROUND_DB).max(echo_db);
        let loud = caller_db > wanted;
        // Nothing at all is a line that hasn't begun, or a pause that the jitter buffer filled.
        if caller_db > SILENT_DB {
            let speaking = || self.played_db.iter().filter(|level| **level > PLAYING_DB).count();
            if !playing {
                self.follow_background(caller_db);
            } else if speaking() >= PLAYING_STEPS {
                self.follow_echo(caller_db - played_db, loud);
            }
        }
        self.quiet_steps = if loud { 0 } else { self.quiet_steps.saturating_add(1) };
        self.open = self.quiet_steps < GATE_HANGOVER;
    }

    /// The detector found none in what is loud: background that has become louder.
    fn no_speech(&mut self) {
        if self.quiet_steps == 0 {
            self.background_db = (self.background_db + BACKGROUND_FOUND_DB).min(*BACKGROUND_BOUNDS_DB.end());
        }
    }

    fn follow_background(&mut self, caller_db: f32) {
        self.listened = self.listened.saturating_add(1);
        let pace = if self.listened <= BACKGROUND_LEARN_STEPS { BACKGROUND_LEARN } else { 1.0 };
        let step = if caller_db > self.background_db { BACKGROUND_UP_DB } else { -BACKGROUND_DOWN_DB };
        self.background_db += pace * step;
        self.background_db =
            self.background_db.clamp(*BACKGROUND_BOUNDS_DB.start(), *BACKGROUND_BOUNDS_DB.end());
    }

    fn follow_echo(&mut self, difference_db: f32, loud: bool) {
        let step = match self.learned {
            learned if learned < LEARN_STEPS => COUPLING_LEARN_DB,
            _ if loud => COUPLING_CREEP_DB,
            _ => COUPLING_FOLLOW_DB,
        };
        self.learned = self.learned.saturating_add(1);
        self.coupling_db += if difference_db > self.coupling_db { step } else { -step };
        self.coupling_db = self.coupling_db.clamp(*COUPLING_BOUNDS_DB.start(), *COUPLING_BOUNDS_DB.end());
    }
}

/// Copies samples to a place, and silence behind them up to `count`.
fn put(to: &mut [i16; STEP], at: usize, samples: &[i16], count: usize) {
    let Some(room) = to.get_mut(at..at + count) else { return };
    let (sound, silence) = room.split_at_mut(samples.len().min(count));
    for (place, sample) in sound.iter_mut().zip(samples) {
        *place = *sample;
    }
    silence.fill(0);
}

/// Mean level in dB below full scale.
fn level_db(samples: &[i16; STEP]) -> f32 {
    let mut sums = [0.0f32; 8];
    for eight in samples.chunks_exact(8) {
        for (sum, sample) in sums.iter_mut().zip(eight) {
            *sum += f32::from(*sample) * f32::from(*sample);
        }
    }
    let energy: f32 = sums.iter().sum();
    if energy == 0.0 {
        return SILENT_DB;
    }
    let mean = energy / STEP as f32 / (32_768.0 * 32_768.0);
    (10.0 * mean.log10()).max(SILENT_DB)
}

#[cfg(test)]
mod tests;
