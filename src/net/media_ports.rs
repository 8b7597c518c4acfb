//! The RTP pool as calls see it.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Instant;

use media::playout::PlayoutCommand;
use media::session::{Agreement, MediaEvent, Session, SessionConfig, SessionStats};
use tokio::sync::mpsc;

use super::rtp::{self, Attachment, MediaHandle, RtpEvent, RtpPool, RtpPort};
use crate::agent::caller_audio::CallerAudioFeed;
use crate::call::actor::Mail;
use crate::call::machine::RecordingEnd;
use crate::call::ports::{CallRecordingSpec, MediaPort, MediaPorts, MediaStream, NoPort, RecordingSpec};
use crate::call::record::{MediaStats, Recording};

impl MediaPorts for RtpPool {
    fn open(&self) -> Result<Box<dyn MediaPort>, NoPort> {
        match RtpPool::open(self, Instant::now()) {
            Ok(port) => Ok(Box::new(Port { pool: self.clone(), port })),
            Err(error) => {
                tracing::warn!(%error, "no RTP port");
                Err(NoPort)
            }
        }
    }
}

struct Port {
    pool: RtpPool,
    port: RtpPort,
}

impl MediaPort for Port {
    fn local(&self) -> SocketAddr {
        self.port.local()
    }

    fn attach(
        self: Box<Self>,
        session: SessionConfig,
        playout: mpsc::Receiver<PlayoutCommand>,
        mailbox: mpsc::Sender<Mail>,
        audio: Option<CallerAudioFeed>,
    ) -> Box<dyn MediaStream> {
        let session = Session::new(session, Instant::now());
        let failed = mailbox.clone();
        let attachment = Attachment { session, playout, events: mailbox, audio };
        let handle = self.pool.attach(self.port, attachment);
        if let Err(error) = &handle {
            tracing::error!(%error, "a call has no media");
            // It ends as a call does whose media has stopped. Its mailbox is new and has room.
            let _ = failed.try_send(Mail::from(RtpEvent::Media(MediaEvent::Timeout {
                first_media: true,
                silent_ms: 0,
            })));
        }
        Box::new(Stream(handle.ok()))
    }
}

/// Empty when the worker didn't take the call, which ends then.
struct Stream(Option<MediaHandle>);

impl Stream {
    fn with(&self, action: impl FnOnce(&MediaHandle) -> Result<(), rtp::ControlError>) {
        if let Some(handle) = &self.0
            && let Err(error) = action(handle)
        {
            tracing::warn!(%error, "the media path doesn't follow");
        }
    }
}

impl MediaStream for Stream {
    fn update(&self, agreement: Agreement) {
        self.with(|handle| handle.update(agreement));
    }

    fn start_recording(&self, recording: RecordingSpec) {
        self.with(|handle| {
            handle.record(rtp::RecordingSpec {
                path: recording.path,
                limit: recording.max,
                silence: Some(recording.silence),
            })
        });
    }

    fn stop_recording(&self) {
        self.with(MediaHandle::stop_recording);
    }

    fn record_call(&self, recording: CallRecordingSpec) {
        self.with(|handle| handle.record_call(rtp::TapeSpec { path: recording.path, key: recording.key }));
    }
}

impl From<RtpEvent> for Mail {
    fn from(event: RtpEvent) -> Self {
        match event {
            RtpEvent::Media(event) => Self::Media(event),
            RtpEvent::Ended(stats) => Self::MediaEnded(Some(Box::new(measured(&stats)))),
            RtpEvent::RecordingStopped(stopped) if stopped.whole => Self::CallRecorded(Recording {
                file: relative(&stopped.path),
                duration_ms: u64::try_from(stopped.length.as_millis()).unwrap_or(u64::MAX),
            }),
            RtpEvent::RecordingStopped(stopped) => Self::RecordingEnded(match stopped.written {
                Ok(duration) => RecordingEnd::Kept { file: relative(&stopped.path), duration },
                Err(error) => {
                    tracing::error!(%error, "a message was lost");
                    RecordingEnd::Failed
                }
            }),
        }
    }
}

/// The last two parts of the path: the directory of its kind, and the file.
fn relative(path: &Path) -> String {
    let parts: Vec<_> = path.iter().rev().take(2).map(|part| part.to_string_lossy()).collect();
    parts.into_iter().rev().collect::<Vec<_>>().join("/")
}

fn measured(stats: &SessionStats) -> MediaStats {
    MediaStats {
        codec: stats.codec.map(|codec| codec.encoding_name().to_owned()),
        srtp: stats.srtp.map(|suite| suite.name().to_owned()),
        packets_received: stats.received,
        packets_lost: stats.lost,
        packets_discarded: stats.discarded + stats.duplicate,
        packets_refused: stats.injected + stats.unproven + stats.unauthenticated + stats.replayed,
        packets_sent: stats.sent,
        packets_sent_lost: stats.remote.map(|remote| remote.lost),
        concealed_ms: stats.concealed_ms,
        jitter_ms: tenths(stats.jitter_ms),
        round_trip_ms: stats.round_trip_ms.map(tenths),
        mos: stats.mos.map(|mos| (f64::from(mos) * 100.0).round() / 100.0),
    }
}

/// More digits would be noise.
fn tenths(ms: f32) -> f64 {
    (f64::from(ms) * 10.0).round() / 10.0
}
