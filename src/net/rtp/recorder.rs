//! The thread that writes recordings, so that no disk ever holds up a call.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;

use media::recording::sealed::{SealError, Sealer, SealingKey};
use media::recording::{Channels, Recorder};
use rand::Rng;

use super::handle::EventSink;
use super::tape::Piece;
use super::{CALLER_FRAME, CallerFrame, RtpEvent};

/// Jobs that may wait for the disk: 5 s of a hundred recordings would be more than this, so a
/// disk that stalls costs gaps, which are filled with silence.
const JOBS: usize = 8192;
/// An event whose owner has no room is offered again after this time.
const RETRY: Duration = Duration::from_millis(50);
const FRAMES_PER_SECOND: u64 = 50;
const SAMPLES_PER_SECOND: u64 = 8_000;

/// What to record.
#[derive(Debug, Clone)]
pub struct RecordingSpec {
    /// The WAV file to make: 8 kHz, 16 bit, mono. Its directory must exist; the file must not.
    pub path: PathBuf,
    /// When to stop at the latest.
    pub limit: Duration,
    /// The silence that ends it, if one does.
    pub silence: Option<Duration>,
}

/// What to record of a whole call: both voices, the caller on the left.
#[derive(Debug, Clone)]
pub struct TapeSpec {
    /// The WAV file to make: 8 kHz, 16 bit, stereo. Its directory must exist; the file must not.
    pub path: PathBuf,
    /// The key that the file is sealed with, if it is.
    pub key: Option<SealingKey>,
}

/// Which recording of which call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct RecordingId {
    pub call: u64,
    /// The whole call, as opposed to a message.
    pub whole: bool,
}

/// Why a recording ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecordingEnd {
    /// [`super::MediaHandle::stop_recording`].
    Stopped,
    /// Another recording of the same call began.
    Replaced,
    /// The limit was reached.
    Limit,
    /// The caller fell silent.
    Silence,
    /// The call's media ended.
    Closed,
    /// The pool was shut down.
    Shutdown,
}

/// A recording is over.
#[derive(Debug)]
pub struct RecordingStopped {
    /// The file.
    pub path: PathBuf,
    /// Whether it is that of the whole call.
    pub whole: bool,
    /// Why it ended.
    pub end: RecordingEnd,
    /// The length of what was written, in whole or up to a failure.
    pub length: Duration,
    /// The length of the audio in the file, or what kept it from being written.
    pub written: Result<Duration, RecordingError>,
    /// Frames of 20 ms that the disk was too slow for; the file has silence in their place.
    pub missed: u32,
}

/// Why a recording failed.
#[derive(Debug, thiserror::Error)]
pub enum RecordingError {
    /// The file could not be made.
    #[error("the recording's file could not be made: {0}")]
    Create(io::Error),
    /// The file could not be written.
    #[error("the recording could not be written: {0}")]
    Write(media::recording::RecordingError),
    /// The file could not be sealed.
    #[error(transparent)]
    Seal(SealError),
}

#[allow(clippy::large_enum_variant, reason = "frames are what it carries; a box would be an allocation each")]
pub(super) enum Job {
    Start(u64, RecordingSpec, EventSink),
    /// A frame of a message, and how many were lost before it.
    Frame(u64, u32, CallerFrame),
    StartTape(u64, TapeSpec, EventSink),
    /// A piece of a call.
    Piece(RecordingId, Box<Piece>),
    Stop(RecordingId, RecordingEnd),
}

impl RecordingSpec {
    /// The limit in frames, at least one.
    pub(super) fn frames(&self) -> u64 {
        frames(self.limit)
    }

    /// The silence that ends it, in frames.
    pub(super) fn silent_frames(&self) -> Option<u64> {
        self.silence.map(frames)
    }
}

fn frames(length: Duration) -> u64 {
    (length.as_secs() * FRAMES_PER_SECOND + u64::from(length.subsec_millis()) / 20).max(1)
}

struct Recording {
    path: PathBuf,
    whole: bool,
    writer: Result<Writer, RecordingError>,
    /// What the silence at the end takes away from the length that is told.
    silence: Duration,
    samples: u64,
    missed: u32,
    events: EventSink,
}

/// The file: plain, or sealed.
enum Writer {
    Plain(Recorder<BufWriter<File>>),
    Sealed(Box<Recorder<Sealer<BufWriter<File>>>>),
}

impl Writer {
    fn open(
        path: &Path,
        key: Option<&SealingKey>,
        channels: Channels,
        most_ms: u64,
    ) -> Result<Self, RecordingError> {
        // An existing file is never overwritten: it would be another caller's.
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)
            .map_err(RecordingError::Create)?;
        let file = BufWriter::new(file);
        let Some(key) = key else {
            return Ok(Self::Plain(Recorder::new(file, channels, most_ms).map_err(RecordingError::Write)?));
        };
        let sealer = Sealer::new(file, key, &rand::rng().random()).map_err(RecordingError::Seal)?;
        let recorder = Recorder::streaming(sealer, channels, most_ms).map_err(RecordingError::Write)?;
        Ok(Self::Sealed(Box::new(recorder)))
    }

    fn write(
        &mut self,
        gap: u64,
        caller: &[i16],
        agent: &[i16],
    ) -> Result<(), media::recording::RecordingError> {
        match self {
            Self::Plain(recorder) => {
                recorder.write_gap(gap)?;
                recorder.write_both(caller, agent)
            }
            Self::Sealed(recorder) => {
                recorder.write_gap(gap)?;
                recorder.write_both(caller, agent)
            }
        }
    }

    fn finish(self) -> Result<(), RecordingError> {
        match self {
            Self::Plain(recorder) => recorder.finish().map(drop).map_err(RecordingError::Write),
            Self::Sealed(recorder) => {
                let sealer = recorder.finish().map_err(RecordingError::Write)?;
                sealer.finish().map(drop).map_err(RecordingError::Seal)
            }
        }
    }
}

/// Events that wait for room.
type Unreported = Vec<(EventSink, RtpEvent)>;

/// The channel to the recorder, and its thread's body, which ends when the channel does.
pub(super) fn recorder() -> (SyncSender<Job>, impl FnOnce() + Send + 'static) {
    let (sender, jobs) = sync_channel(JOBS);
    (sender, move || run(&jobs))
}

fn run(jobs: &Receiver<Job>) {
    let mut recordings: HashMap<RecordingId, Recording> = HashMap::new();
    let mut unreported = Unreported::new();
    loop {
        let job = if unreported.is_empty() {
            jobs.recv().map_err(|_| RecvTimeoutError::Disconnected)
        } else {
            jobs.recv_timeout(RETRY)
        };
        match job {
            Ok(Job::Start(id, spec, events)) => {
                let id = RecordingId { call: id, whole: false };
                recordings.insert(id, Recording::of_message(spec, events));
            }
            Ok(Job::StartTape(id, spec, events)) => {
                let id = RecordingId { call: id, whole: true };
                recordings.insert(id, Recording::of_call(spec, events));
            }
            Ok(Job::Frame(id, missed, frame)) => {
                if let Some(recording) = recordings.get_mut(&RecordingId { call: id, whole: false }) {
                    recording.missed += missed;
                    recording.write(u64::from(missed) * CALLER_FRAME as u64, &frame, &[]);
                }
            }
            Ok(Job::Piece(id, piece)) => {
                if let Some(recording) = recordings.get_mut(&id) {
                    recording.write(piece.gap, piece.caller(), piece.agent());
                }
                piece.give_back();
            }
            Ok(Job::Stop(id, end)) => {
                if let Some(recording) = recordings.remove(&id) {
                    recording.stop(end, &mut unreported);
                }
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => break,
        }
        retry(&mut unreported);
    }
    for (_, recording) in recordings {
        recording.stop(RecordingEnd::Shutdown, &mut unreported);
    }
}

fn retry(unreported: &mut Unreported) {
    for (mut events, event) in std::mem::take(unreported) {
        if let Err(event) = events(event) {
            unreported.push((events, event));
        }
    }
}

impl Recording {
    fn of_message(spec: RecordingSpec, events: EventSink) -> Self {
        let most = u64::try_from(spec.limit.as_millis()).unwrap_or(u64::MAX);
        let writer = Writer::open(&spec.path, None, Channels::Mono, most);
        let silence = spec.silence.unwrap_or_default();
        Self { path: spec.path, whole: false, writer, silence, samples: 0, missed: 0, events }
    }

    fn of_call(spec: TapeSpec, events: EventSink) -> Self {
        let writer = Writer::open(&spec.path, spec.key.as_ref(), Channels::Stereo, u64::MAX);
        Self { path: spec.path, whole: true, writer, silence: Duration::ZERO, samples: 0, missed: 0, events }
    }

    /// A disk that takes no more ends the recording, and nothing else.
    fn write(&mut self, gap: u64, caller: &[i16], agent: &[i16]) {
        let Ok(writer) = &mut self.writer else { return };
        match writer.write(gap, caller, agent) {
            Ok(()) => self.samples += gap + caller.len() as u64,
            Err(error) => {
                tracing::warn!(%error, path = %self.path.display(), "a recording has stopped");
                self.writer = Err(RecordingError::Write(error));
            }
        }
    }

    fn stop(mut self, end: RecordingEnd, unreported: &mut Unreported) {
        let quiet = if end == RecordingEnd::Silence { self.silence } else { Duration::ZERO };
        let length = Duration::from_millis(self.samples * 1000 / SAMPLES_PER_SECOND);
        let written = self.writer.and_then(Writer::finish).map(|()| length.saturating_sub(quiet));
        if let Err(error) = &written {
            tracing::warn!(%error, "a recording is incomplete");
        }
        let stopped = RecordingStopped {
            path: self.path,
            whole: self.whole,
            end,
            length,
            written,
            missed: self.missed,
        };
        if let Err(event) = (self.events)(RtpEvent::RecordingStopped(stopped)) {
            unreported.push((self.events, event));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};

    const MESSAGE: RecordingId = RecordingId { call: 1, whole: false };

    fn spec(directory: &tempfile::TempDir) -> RecordingSpec {
        RecordingSpec { path: directory.path().join("a.wav"), limit: Duration::from_secs(60), silence: None }
    }

    fn sink(room: usize) -> (EventSink, Arc<Mutex<Vec<RtpEvent>>>) {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (mut refusals, into) = (room, seen.clone());
        let sink = move |event| {
            if refusals > 0 {
                refusals -= 1;
                return Err(event);
            }
            into.lock().unwrap().push(event);
            Ok(())
        };
        (Box::new(sink), seen)
    }

    fn only(seen: &Mutex<Vec<RtpEvent>>) -> RecordingStopped {
        match seen.lock().unwrap().pop() {
            Some(RtpEvent::RecordingStopped(stopped)) => stopped,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_file_holds_what_was_said_with_silence_for_what_was_missed() {
        let directory = tempfile::tempdir().unwrap();
        let (sender, run) = recorder();
        let (events, seen) = sink(2);
        sender.send(Job::Start(1, spec(&directory), events)).unwrap();
        sender.send(Job::Frame(1, 0, [5; CALLER_FRAME])).unwrap();
        sender.send(Job::Frame(1, 2, [7; CALLER_FRAME])).unwrap();
        sender.send(Job::Stop(MESSAGE, RecordingEnd::Stopped)).unwrap();
        let thread = std::thread::spawn(run);
        while seen.lock().unwrap().is_empty() {
            std::thread::yield_now();
        }
        drop(sender);
        thread.join().unwrap();
        let stopped = only(&seen);
        assert_eq!(stopped.written.unwrap(), Duration::from_millis(80));
        assert_eq!((stopped.end, stopped.missed), (RecordingEnd::Stopped, 2));
        let samples: Vec<i16> =
            hound::WavReader::open(&stopped.path).unwrap().into_samples().map(Result::unwrap).collect();
        assert_eq!(samples, [[5; 160], [0; 160], [0; 160], [7; 160]].concat());
    }

    #[test]
    fn recordings_that_run_at_the_end_are_completed() {
        let directory = tempfile::tempdir().unwrap();
        let (sender, run) = recorder();
        let (events, seen) = sink(0);
        sender.send(Job::Start(1, spec(&directory), events)).unwrap();
        sender.send(Job::Frame(1, 0, [5; CALLER_FRAME])).unwrap();
        drop(sender);
        run();
        assert_eq!(only(&seen).end, RecordingEnd::Shutdown);
    }

    #[test]
    fn another_message_is_never_overwritten() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("a.wav"), "someone's").unwrap();
        let (sender, run) = recorder();
        let (events, seen) = sink(0);
        sender.send(Job::Start(1, spec(&directory), events)).unwrap();
        sender.send(Job::Stop(MESSAGE, RecordingEnd::Stopped)).unwrap();
        drop(sender);
        run();
        assert!(matches!(only(&seen).written, Err(RecordingError::Create(_))));
        assert_eq!(std::fs::read(directory.path().join("a.wav")).unwrap(), b"someone's");
    }
}
