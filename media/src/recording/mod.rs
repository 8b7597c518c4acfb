//! Recording to WAV: 8 kHz, 16 bits, mono (voicemail) or stereo (caller left, agent right).
//!
//! The writer takes frames and a sink; it belongs to whoever owns the file, never to the audio path. Every frame of a
//! session is written, heard or not, so that both channels keep the time of the call through loss, hold and pauses. The
//! header of a file is brought up to date every second, so that one cut by a crash still plays to that second;
//! [`sealed`] encrypts what can't be rewritten.

pub mod sealed;

use std::io::{self, Seek, SeekFrom, Write};

const RATE_HZ: u32 = 8_000;
/// Longest recording, in frames of all channels: a day; WAV's own limit for stereo is 37 hours.
const MAX_FRAMES: u64 = 24 * 3_600 * RATE_HZ as u64;
/// Bytes of the header.
const HEADER: usize = 44;
/// Places of the two lengths in it.
const RIFF_LENGTH: u64 = 4;
const DATA_LENGTH: u64 = 40;
/// The length of what nobody could say beforehand.
const UNKNOWN: u32 = u32::MAX;
/// Samples brought into the file's form at a time.
const PIECE: usize = 160;

/// How many voices are kept apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Channels {
    /// One.
    Mono,
    /// Two: the caller on the left, the agent on the right.
    Stereo,
}

impl Channels {
    const fn count(self) -> u16 {
        match self {
            Self::Mono => 1,
            Self::Stereo => 2,
        }
    }
}

/// Why recording stopped.
#[derive(Debug, thiserror::Error)]
pub enum RecordingError {
    /// The sink failed; what was written up to the last header update plays.
    #[error("recording could not be written: {0}")]
    Sink(#[from] io::Error),
    /// The recording has reached its longest duration.
    #[error("recording has reached its maximum duration")]
    Full,
}

/// Brings the lengths in a header up to date.
type Patch<W> = fn(&mut W, u32) -> io::Result<()>;

/// A recording in progress.
pub struct Recorder<W: Write> {
    /// Gone once the file is complete.
    sink: Option<W>,
    patch: Option<Patch<W>>,
    channels: Channels,
    frames: u64,
    max_frames: u64,
    unflushed: u64,
    paused: bool,
}

impl<W: Write + Seek> Recorder<W> {
    /// Starts a recording of at most `max_ms` (and at most a day) by writing its header.
    ///
    /// # Errors
    /// [`RecordingError::Sink`] if the sink fails.
    pub fn new(sink: W, channels: Channels, max_ms: u64) -> Result<Self, RecordingError> {
        Self::start(sink, Some(patch), channels, max_ms)
    }
}

impl<W: Write> Recorder<W> {
    /// The same into a sink that can't be rewritten: the header says that the length isn't known, as players and
    /// [`sealed::open_wav`] understand.
    ///
    /// # Errors
    /// [`RecordingError::Sink`] if the sink fails.
    pub fn streaming(sink: W, channels: Channels, max_ms: u64) -> Result<Self, RecordingError> {
        Self::start(sink, None, channels, max_ms)
    }

    fn start(
        mut sink: W,
        patch: Option<Patch<W>>,
        channels: Channels,
        max_ms: u64,
    ) -> Result<Self, RecordingError> {
        sink.write_all(&header(channels, if patch.is_some() { 0 } else { UNKNOWN }))?;
        sink.flush()?;
        let max_frames = max_ms.saturating_mul(8).min(MAX_FRAMES);
        Ok(Self { sink: Some(sink), patch, channels, frames: 0, max_frames, unflushed: 0, paused: false })
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
    /// agent isn't kept. During a pause silence is written for both.
    ///
    /// # Errors
    /// As [`Recorder::write`].
    pub fn write_both(&mut self, caller: &[i16], agent: &[i16]) -> Result<(), RecordingError> {
        let length = match self.channels {
            Channels::Mono => caller.len(),
            Channels::Stereo => caller.len().max(agent.len()),
        };
        let (caller, agent) = if self.paused { (&[][..], &[][..]) } else { (caller, agent) };
        let mut done = 0;
        while done < length {
            let count = self.room(length - done).min(PIECE);
            if count == 0 {
                return Err(RecordingError::Full);
            }
            self.piece(caller, agent, done, count)?;
            done += count;
        }
        Ok(())
    }

    /// Writes silence: for frames that were never made, as when a machine stood still.
    ///
    /// # Errors
    /// As [`Recorder::write`].
    pub fn write_gap(&mut self, mut samples: u64) -> Result<(), RecordingError> {
        while samples > 0 {
            let count = self.room(usize::try_from(samples).unwrap_or(usize::MAX)).min(PIECE);
            if count == 0 {
                return Err(RecordingError::Full);
            }
            self.piece(&[], &[], 0, count)?;
            samples -= count as u64;
        }
        Ok(())
    }

    /// From now on silence stands for what is said: card data, or somebody who objects. The time goes on, so that
    /// transcripts still fit.
    pub fn pause(&mut self) {
        self.paused = true;
    }

    /// What is said is kept again.
    pub fn resume(&mut self) {
        self.paused = false;
    }

    /// Length so far, in milliseconds.
    #[must_use]
    pub fn duration_ms(&self) -> u64 {
        self.frames / 8
    }

    /// Completes the file and gives the sink back. Dropping the recorder completes it too, without telling of errors.
    ///
    /// # Errors
    /// [`RecordingError::Sink`] if the sink fails.
    pub fn finish(mut self) -> Result<W, RecordingError> {
        self.update()?;
        self.sink.take().ok_or_else(|| RecordingError::Sink(io::ErrorKind::NotConnected.into()))
    }

    fn room(&self, wanted: usize) -> usize {
        usize::try_from(self.max_frames.saturating_sub(self.frames)).unwrap_or(usize::MAX).min(wanted)
    }

    fn piece(
        &mut self,
        caller: &[i16],
        agent: &[i16],
        from: usize,
        count: usize,
    ) -> Result<(), RecordingError> {
        let mut bytes = [0; 4 * PIECE];
        let width = 2 * usize::from(self.channels.count());
        for (n, place) in bytes.chunks_exact_mut(width).take(count).enumerate() {
            let [c0, c1] = caller.get(from + n).copied().unwrap_or(0).to_le_bytes();
            let [a0, a1] = agent.get(from + n).copied().unwrap_or(0).to_le_bytes();
            for (byte, value) in place.iter_mut().zip([c0, c1, a0, a1]) {
                *byte = value;
            }
        }
        if let Some(sink) = &mut self.sink {
            sink.write_all(bytes.get(..count * width).unwrap_or_default())?;
        }
        self.frames += count as u64;
        self.unflushed += count as u64;
        if self.unflushed >= u64::from(RATE_HZ) {
            self.unflushed = 0;
            self.update()?;
        }
        Ok(())
    }

    fn update(&mut self) -> Result<(), RecordingError> {
        let bytes = self.frames * 2 * u64::from(self.channels.count());
        let Some(sink) = &mut self.sink else { return Ok(()) };
        if let Some(patch) = self.patch {
            patch(sink, u32::try_from(bytes).unwrap_or(UNKNOWN))?;
        }
        Ok(sink.flush()?)
    }
}

impl<W: Write> Drop for Recorder<W> {
    fn drop(&mut self) {
        // Nobody is there to be told.
        let _ = self.update();
    }
}

/// The header of a WAV file of linear samples.
fn header(channels: Channels, data_bytes: u32) -> [u8; HEADER] {
    let count = channels.count();
    let block = 2 * count;
    let mut header = [0; HEADER];
    let parts: [&[u8]; 13] = [
        b"RIFF",
        &riff_length(data_bytes).to_le_bytes(),
        b"WAVEfmt ",
        &16u32.to_le_bytes(),
        &1u16.to_le_bytes(),
        &count.to_le_bytes(),
        &RATE_HZ.to_le_bytes(),
        &(RATE_HZ * u32::from(block)).to_le_bytes(),
        &block.to_le_bytes(),
        &16u16.to_le_bytes(),
        b"data",
        &data_bytes.to_le_bytes(),
        b"",
    ];
    for (place, byte) in header.iter_mut().zip(parts.into_iter().flatten()) {
        *place = *byte;
    }
    header
}

fn riff_length(data_bytes: u32) -> u32 {
    data_bytes.saturating_add(36)
}

/// Writes the lengths into the header, and goes back to the end.
fn patch<W: Write + Seek>(sink: &mut W, data_bytes: u32) -> io::Result<()> {
    sink.seek(SeekFrom::Start(RIFF_LENGTH))?;
    sink.write_all(&riff_length(data_bytes).to_le_bytes())?;
    sink.seek(SeekFrom::Start(DATA_LENGTH))?;
    sink.write_all(&data_bytes.to_le_bytes())?;
    sink.seek(SeekFrom::End(0))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use hound::WavSpec;
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

    #[test]
    fn a_pause_is_silence_of_the_same_length() {
        let file = File::default();
        let mut recorder = Recorder::new(file.clone(), Channels::Stereo, 60_000).unwrap();
        recorder.write_both(&[1; 160], &[2; 160]).unwrap();
        recorder.pause();
        recorder.write_both(&[4_111; 160], &[5_500; 160]).unwrap();
        recorder.resume();
        recorder.write_gap(40).unwrap();
        recorder.write_both(&[3; 160], &[4; 80]).unwrap();
        assert_eq!(recorder.duration_ms(), 65);
        recorder.finish().unwrap();
        let samples = file.read().1;
        assert_eq!(samples.len(), 2 * (160 + 160 + 40 + 160));
        assert_eq!((samples[318], samples[319]), (1, 2));
        assert!(samples[320..320 + 400].iter().all(|sample| *sample == 0));
        assert_eq!((samples[720], samples[721], samples[1_038], samples[1_039]), (3, 4, 3, 0));
    }

    #[test]
    fn a_full_disk_ends_the_recording_and_nothing_else() {
        struct Disk(usize);
        impl Write for Disk {
            fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
                self.0 = self.0.checked_sub(bytes.len()).ok_or(std::io::ErrorKind::StorageFull)?;
                Ok(bytes.len())
            }
            fn flush(&mut self) -> std::io::Result<()> {
                Ok(())
            }
        }
        let mut recorder = Recorder::streaming(Disk(2_000), Channels::Mono, 60_000).unwrap();
        let written = (0..100).take_while(|_| recorder.write(&[1; 160]).is_ok()).count();
        assert_eq!(written, 6);
        assert!(matches!(recorder.write(&[1; 160]), Err(RecordingError::Sink(_))));
    }
}
