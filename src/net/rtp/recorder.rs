//! The thread that writes recordings, so that no disk ever holds up a call.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;

use media::recording::{Channels, Recorder};

use super::handle::EventSink;
use super::{CALLER_FRAME, CallerFrame, RtpEvent};

/// Jobs that may wait for the disk: 5 s of a hundred recordings would be more than this, so a
/// disk that stalls costs gaps, which are filled with silence.
const JOBS: usize = 8192;
/// An event whose owner has no room is offered again after this time.
const RETRY: Duration = Duration::from_millis(50);
const FRAMES_PER_SECOND: u64 = 50;

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
    /// Why it ended.
    pub end: RecordingEnd,
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
}

#[allow(clippy::large_enum_variant, reason = "frames are what it carries; a box would be an allocation each")]
pub(super) enum Job {
    Start(u64, RecordingSpec, EventSink),
    /// A frame, and how many were lost before it.
    Frame(u64, u32, CallerFrame),
    Stop(u64, RecordingEnd),
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
    writer: Result<Recorder<BufWriter<File>>, RecordingError>,
    /// What the silence at the end takes away from the length that is told.
    silence: Duration,
    frames: u64,
    missed: u32,
    events: EventSink,
}

/// Events that wait for room.
type Unreported = Vec<(EventSink, RtpEvent)>;

/// The channel to the recorder, and its thread's body, which ends when the channel does.
pub(super) fn recorder() -> (SyncSender<Job>, impl FnOnce() + Send + 'static) {
    let (sender, jobs) = sync_channel(JOBS);
    (sender, move || run(&jobs))
}

fn run(jobs: &Receiver<Job>) {
    let mut recordings: HashMap<u64, Recording> = HashMap::new();
    let mut unreported = Unreported::new();
    loop {
        let job = if unreported.is_empty() {
            jobs.recv().map_err(|_| RecvTimeoutError::Disconnected)
        } else {
            jobs.recv_timeout(RETRY)
        };
        match job {
            Ok(Job::Start(id, spec, events)) => {
                recordings.insert(id, Recording::start(spec, events));
            }
            Ok(Job::Frame(id, missed, frame)) => {
                if let Some(recording) = recordings.get_mut(&id) {
                    recording.write(missed, &frame);
                }
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
    fn start(spec: RecordingSpec, events: EventSink) -> Self {
        // An existing file is never overwritten: it would be another caller's message.
        let writer = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&spec.path)
            .map_err(RecordingError::Create)
            .and_then(|file| {
                let most = u64::try_from(spec.limit.as_millis()).unwrap_or(u64::MAX);
                Recorder::new(BufWriter::new(file), Channels::Mono, most).map_err(RecordingError::Write)
            });
        let silence = spec.silence.unwrap_or_default();
        Self { path: spec.path, writer, silence, frames: 0, missed: 0, events }
    }

    fn write(&mut self, missed: u32, frame: &CallerFrame) {
        let Ok(writer) = &mut self.writer else { return };
        let written =
            (0..missed).try_for_each(|_| writer.write(&[0; CALLER_FRAME])).and_then(|()| writer.write(frame));
        match written {
            Ok(()) => {
                self.missed += missed;
                self.frames += u64::from(missed) + 1;
            }
            Err(error) => self.writer = Err(RecordingError::Write(error)),
        }
    }

    fn stop(mut self, end: RecordingEnd, unreported: &mut Unreported) {
        let quiet = if end == RecordingEnd::Silence { self.silence } else { Duration::ZERO };
        let written = self
            .writer
            .and_then(|writer| writer.finish().map_err(RecordingError::Write))
            .map(|_| Duration::from_millis(self.frames * 1000 / FRAMES_PER_SECOND).saturating_sub(quiet));
        if let Err(error) = &written {
            tracing::warn!(%error, "a recording is incomplete");
        }
        let stopped = RecordingStopped { path: self.path, end, written, missed: self.missed };
        if let Err(event) = (self.events)(RtpEvent::RecordingStopped(stopped)) {
            unreported.push((self.events, event));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};

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
        sender.send(Job::Stop(1, RecordingEnd::Stopped)).unwrap();
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
        sender.send(Job::Stop(1, RecordingEnd::Stopped)).unwrap();
        drop(sender);
        run();
        assert!(matches!(only(&seen).written, Err(RecordingError::Create(_))));
        assert_eq!(std::fs::read(directory.path().join("a.wav")).unwrap(), b"someone's");
    }
}
