//! Recording to WAV: 8 kHz, 16 bits, mono (voicemail) or stereo (caller left, agent right).
//!
//! The writer takes frames and a sink; it belongs to whoever owns the file, never to the audio path. The header is
//! brought up to date every second, so that a file cut by a crash still plays to that second.

use std::io::{Seek, Write};

use hound::{SampleFormat, WavSpec, WavWriter};

const RATE_HZ: u32 = 8_000;
/// Longest recording, in frames of all channels: a day; WAV's own limit for stereo is 37 hours.
const MAX_FRAMES: u64 = 24 * 3_600 * RATE_HZ as u64;

/// How many voices are kept apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Channels {
    /// One.
    Mono,
    /// Two: the caller on the left, the agent on the right.
    Stereo,
}

/// Why recording stopped.
#[derive(Debug, thiserror::Error)]
pub enum RecordingError {
    /// The sink failed; what was written up to the last header update plays.
    #[error("recording could not be written: {0}")]
    Sink(#[from] hound::Error),
    /// The recording has reached its longest duration.
    #[error("recording has reached its maximum duration")]
    Full,
}

/// A recording in progress.
pub struct Recorder<W: Write + Seek> {
    writer: WavWriter<W>,
    channels: Channels,
    frames: u64,
    max_frames: u64,
    unflushed: u32,
}

impl<W: Write + Seek> Recorder<W> {
    /// Starts a recording of at most `max_ms` (and at most a day) by writing its header.
    ///
    /// # Errors
    /// [`RecordingError::Sink`] if the sink fails.
    pub fn new(sink: W, channels: Channels, max_ms: u64) -> Result<Self, RecordingError> {
        let spec = WavSpec {
            channels: match channels {
                Channels::Mono => 1,
                Channels::Stereo => 2,
            },
            sample_rate: RATE_HZ,
            bits_per_sample: 16,
            sample_format: SampleFormat::Int,
        };
        let max_frames = max_ms.saturating_mul(8).min(MAX_FRAMES);
        let mut recorder =
            Self { writer: WavWriter::new(sink, spec)?, channels, frames: 0, max_frames, unflushed: 0 };
        recorder.writer.flush()?;
        Ok(recorder)
    }

    /// Writes a frame of the caller alone; in a stereo recording the agent is silent meanwhile.
    ///
    /// # Errors
    /// [`RecordingError::Full`] at the longest duration (nothing more is taken), [`RecordingError::Sink`] if the sink
    /// fails.
    pub fn write(&mut self, caller: &[i16]) -> Result<(), RecordingError> {
        self.write_both(caller, &[])
    }

    /// Writes the same stretch of time of both voices; the shorter is filled up with silence. In a mono recording the
    /// agent isn't kept.
    ///
    /// # Errors
    /// As [`Recorder::write`].
    pub fn write_both(&mut self, caller: &[i16], agent: &[i16]) -> Result<(), RecordingError> {
        let length = match self.channels {
            Channels::Mono => caller.len(),
            Channels::Stereo => caller.len().max(agent.len()),
        };
        for index in 0..length {
            if self.frames >= self.max_frames {
                return Err(RecordingError::Full);
            }
            self.writer.write_sample(caller.get(index).copied().unwrap_or(0))?;
            if self.channels == Channels::Stereo {
                self.writer.write_sample(agent.get(index).copied().unwrap_or(0))?;
            }
            self.frames += 1;
            self.unflushed += 1;
        }
        if self.unflushed >= RATE_HZ {
            self.unflushed = 0;
            self.writer.flush()?;
        }
        Ok(())
    }

    /// Length so far, in milliseconds.
    #[must_use]
    pub fn duration_ms(&self) -> u64 {
        self.frames / 8
    }

    /// Completes the file. Dropping the recorder does the same, without telling of errors.
    ///
    /// # Errors
    /// [`RecordingError::Sink`] if the sink fails.
    pub fn finish(self) -> Result<(), RecordingError> {
        Ok(self.writer.finalize()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;
    use std::io::{Cursor, SeekFrom};
    use std::rc::Rc;

    /// A file whose content can be looked at while it is being written, as after a crash.
    #[derive(Clone, Default)]
    struct File(Rc<RefCell<Cursor<Vec<u8>>>>);

    impl Write for File {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.borrow_mut().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    impl Seek for File {
        fn seek(&mut self, to: SeekFrom) -> std::io::Result<u64> {
            self.0.borrow_mut().seek(to)
        }
    }

    impl File {
        fn read(&self) -> (WavSpec, Vec<i16>) {
            let reader = hound::WavReader::new(Cursor::new(self.0.borrow().get_ref().clone())).unwrap();
            (reader.spec(), reader.into_samples().map(Result::unwrap).collect())
        }
    }

    #[test]
    fn a_finished_recording_holds_every_sample() {
        let file = File::default();
        let mut recorder = Recorder::new(file.clone(), Channels::Mono, 60_000).unwrap();
        for n in 0..60i16 {
            recorder.write(&[n; 160]).unwrap();
        }
        assert_eq!(recorder.duration_ms(), 1_200);
        recorder.finish().unwrap();
        let (spec, samples) = file.read();
        assert_eq!((spec.channels, spec.sample_rate, spec.bits_per_sample), (1, 8_000, 16));
        assert_eq!(samples.len(), 9_600);
        assert_eq!((samples[0], samples[9_599]), (0, 59));
    }

    #[test]
    fn a_recording_cut_by_a_crash_plays_to_the_last_second() {
        let file = File::default();
        let mut recorder = Recorder::new(file.clone(), Channels::Mono, 60_000).unwrap();
        assert_eq!(file.read().1.len(), 0, "readable from the start");
        for _ in 0..149 {
            recorder.write(&[7; 160]).unwrap();
        }
        let (_, samples) = file.read();
        assert_eq!(samples, vec![7; 16_000]);
        drop(recorder);
        assert_eq!(file.read().1.len(), 149 * 160);
    }

    #[test]
    fn stereo_keeps_caller_left_and_agent_right_aligned() {
        let file = File::default();
        let mut recorder = Recorder::new(file.clone(), Channels::Stereo, 60_000).unwrap();
        recorder.write_both(&[1, 2], &[9]).unwrap();
        recorder.write(&[3]).unwrap();
        recorder.finish().unwrap();
        assert_eq!(file.read().1, [1, 9, 2, 0, 3, 0]);
    }

    #[test]
    fn the_longest_duration_ends_the_recording() {
        let file = File::default();
        let mut recorder = Recorder::new(file.clone(), Channels::Mono, 30).unwrap();
        recorder.write(&[1; 160]).unwrap();
        assert!(matches!(recorder.write(&[1; 160]), Err(RecordingError::Full)));
        recorder.finish().unwrap();
        assert_eq!(file.read().1.len(), 240);
    }
}
