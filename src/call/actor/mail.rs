//! What is delivered to a call, and what it means to the machine.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use media::dtmf::Digit;
use media::session::MediaEvent;
use sip::endpoint::{OfferMethod, ReferProgress};
use tokio::sync::mpsc;

use super::{Actor, Answer};
use crate::agent::AgentInput;
use crate::call::machine::{Input, RecordingEnd};
use crate::call::record::{MediaStats, Recording};
use crate::call::transfer::Report;
use crate::ids::CallId;

/// A piece of mail.
#[derive(Debug)]
pub enum Mail {
    /// From the SIP side.
    Signal(Signal),
    /// From the media path.
    Media(MediaEvent),
    /// The recording is closed.
    RecordingEnded(RecordingEnd),
    /// The recording of the whole call is closed. Its length is what was written: less than the
    /// call's when the disk took no more.
    CallRecorded(Recording),
    /// The stream is over, and this was measured on it.
    MediaEnded(Option<Box<MediaStats>>),
    /// The service is stopping.
    Stop(Stop),
}

/// What happened on the SIP side.
#[derive(Debug)]
pub enum Signal {
    /// Something came back for an INVITE of ours.
    Outgoing(Answer),
    /// Our 200 is on the wire.
    Answered,
    /// The INVITE no longer waited for our answer.
    AnswerFailed,
    /// The ACK came, with the answer when the offer was ours.
    Confirmed(Option<Bytes>),
    /// The ACK never came.
    Unconfirmed,
    /// The caller gave up.
    Cancelled,
    /// A re-INVITE or UPDATE.
    Offer(OfferMethod, Option<Bytes>),
    /// The caller hung up.
    Bye,
    /// Our BYE is done with.
    Closed,
    /// A REFER went a step further.
    Refer(ReferProgress),
    /// The REFER couldn't be sent.
    ReferUnsent,
    /// An INFO came.
    Info {
        /// Its content type.
        content_type: Bytes,
        /// Its body.
        body: Bytes,
    },
}

/// How the service is stopping.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// The call may go on for this long.
    Within(Duration),
    /// This moment.
    Now,
}

/// Reaches a running call.
#[derive(Debug, Clone)]
pub struct CallHandle {
    /// The call.
    pub call: CallId,
    mailbox: mpsc::Sender<Mail>,
    overrun: Arc<AtomicBool>,
}

impl CallHandle {
    /// A handle that delivers into `mailbox`.
    #[must_use]
    pub fn new(call: CallId, mailbox: mpsc::Sender<Mail>) -> Self {
        Self { call, mailbox, overrun: Arc::default() }
    }

    /// Delivers. When the mailbox is full, the call is marked and ends itself as soon as it
    /// looks: mail that got lost may have been a BYE.
    pub fn deliver(&self, mail: Mail) {
        if let Err(mpsc::error::TrySendError::Full(_)) = self.mailbox.try_send(mail) {
            self.overrun.store(true, Ordering::Release);
        }
    }

    /// For the media path.
    pub(super) fn mailbox(&self) -> mpsc::Sender<Mail> {
        self.mailbox.clone()
    }

    pub(super) fn is_overrun(&self) -> bool {
        self.overrun.load(Ordering::Acquire)
    }

    pub(super) fn clear_overrun(&self) {
        self.overrun.store(false, Ordering::Release);
    }
}

impl Actor {
    pub(super) fn take_mail(&mut self, mail: Mail) {
        match mail {
            Mail::Signal(signal) => self.take_signal(signal),
            Mail::Media(event) => self.take_media_event(event),
            Mail::RecordingEnded(end) => self.pending.push_back(Input::RecordingStopped(end)),
            Mail::CallRecorded(recording) => self.media.keep_recording(recording),
            Mail::MediaEnded(stats) => self.media.keep_stats(stats),
            Mail::Stop(Stop::Within(within)) => self.pending.push_back(Input::Drain { within }),
            Mail::Stop(Stop::Now) => self.pending.push_back(Input::KillNow),
        }
    }

    fn take_signal(&mut self, signal: Signal) {
        let input = match signal {
            Signal::Outgoing(answer) => {
                self.take_answer(answer);
                return;
            }
            Signal::Answered => {
                self.on_answered();
                return;
            }
            Signal::AnswerFailed | Signal::Cancelled => Input::Cancelled,
            Signal::Confirmed(answer) => {
                self.take_confirmation(answer);
                return;
            }
            Signal::Unconfirmed => Input::AckTimedOut,
            Signal::Offer(method, offer) => {
                self.take_offer(method, offer);
                return;
            }
            Signal::Bye => Input::PeerBye,
            Signal::Closed => Input::ByeDone,
            Signal::Refer(progress) => {
                self.take_refer_progress(progress);
                return;
            }
            Signal::ReferUnsent => {
                self.take_refer_progress(ReferProgress::Unanswered);
                return;
            }
            Signal::Info { content_type, body } => {
                if let Some(digit) = info_digit(&content_type, &body).filter(|_| !self.events_seen) {
                    self.pending.push_back(Input::Digit(digit));
                }
                return;
            }
        };
        self.pending.push_back(input);
    }

    fn take_refer_progress(&mut self, progress: ReferProgress) {
        let Some(attempt) = self.attempt else { return };
        self.pending.push_back(match progress {
            ReferProgress::Answered(status) => Input::ReferResponse { attempt, status: status.as_u16() },
            ReferProgress::Unanswered => Input::ReferFailed { attempt },
            ReferProgress::Notified { status, terminated } => {
                let status = status.map(|status| status.as_u16());
                Input::ReferNotify { attempt, report: Report { status, terminated } }
            }
        });
    }

    fn take_media_event(&mut self, event: MediaEvent) {
        // What the caller's speech means is the agent's to judge.
        if let Some(input) = speech(&event) {
            tracing::debug!(call = %self.call, ?input, "the caller's speech");
            return self.tell_agent(input);
        }
        let input = match event {
            MediaEvent::Digit { digit, .. } => {
                self.events_seen = true;
                Input::Digit(digit)
            }
            MediaEvent::Drained { utterance, sent_ms } => Input::Drained { utterance, sent_ms },
            MediaEvent::Cleared { utterance, sent_ms, unsent_ms } => {
                Input::Cleared { utterance, sent_ms, unsent_ms }
            }
            MediaEvent::Timeout { .. } => Input::MediaTimeout,
            MediaEvent::FirstPacket { .. }
            | MediaEvent::Resumed
            | MediaEvent::SpeechStarted { .. }
            | MediaEvent::SpeechEnded { .. } => return,
        };
        self.pending.push_back(input);
    }
}

/// What the agent is told of the caller's speech.
fn speech(event: &MediaEvent) -> Option<AgentInput> {
    match *event {
        MediaEvent::SpeechStarted { at_ms, .. } => Some(AgentInput::SpeechStarted { at_ms }),
        MediaEvent::SpeechEnded { at_ms, lasted_ms, .. } => {
            Some(AgentInput::SpeechStopped { at_ms, lasted_ms })
        }
        _ => None,
    }
}

/// The key in an INFO: `application/dtmf-relay` has a `Signal=` line, `application/dtmf` is the
/// key itself. Neither has an RFC; both are what equipment sends.
fn info_digit(content_type: &[u8], body: &[u8]) -> Option<Digit> {
    let media_type = content_type.split(|b| *b == b';').next()?.trim_ascii().to_ascii_lowercase();
    let text = std::str::from_utf8(body).ok()?;
    let key = match media_type.as_slice() {
        b"application/dtmf-relay" => text.lines().find_map(|line| {
            let (name, value) = line.split_once('=')?;
            name.trim().eq_ignore_ascii_case("signal").then(|| value.trim())
        })?,
        b"application/dtmf" => text.trim(),
        _ => return None,
    };
    let mut chars = key.chars();
    let digit = match (chars.next()?, chars.next(), chars.next()) {
        // Some send the event number of RFC 4733 §3.2 for the keys without a digit.
        ('1', Some('0'), None) => '*',
        ('1', Some('1'), None) => '#',
        (key, None, _) => key.to_ascii_uppercase(),
        _ => return None,
    };
    Digit::from_char(digit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_bodies_of_info_are_read() {
        let read = |kind: &str, body: &str| info_digit(kind.as_bytes(), body.as_bytes()).map(Digit::as_char);
        assert_eq!(read("application/dtmf-relay", "Signal=5\r\nDuration=160\r\n"), Some('5'));
        assert_eq!(read("Application/DTMF-Relay; x=y", "signal = * \nDuration=100"), Some('*'));
        assert_eq!(read("application/dtmf", "#"), Some('#'));
        assert_eq!(read("application/dtmf-relay", "Signal=11"), Some('#'));
        for (kind, body) in [("application/dtmf", ""), ("application/dtmf", "55"), ("text/plain", "5")] {
            assert_eq!(read(kind, body), None);
        }
    }

    #[test]
    fn the_agent_is_told_of_speech_on_the_clock_of_the_media() {
        let started = speech(&MediaEvent::SpeechStarted { at_ms: 1_200, ago_ms: 90 });
        assert!(matches!(started, Some(AgentInput::SpeechStarted { at_ms: 1_200 })), "{started:?}");
        let ended = MediaEvent::SpeechEnded { at_ms: 2_000, ago_ms: 300, lasted_ms: 800 };
        let stopped = speech(&ended);
        assert!(
            matches!(stopped, Some(AgentInput::SpeechStopped { at_ms: 2_000, lasted_ms: 800 })),
            "{stopped:?}"
        );
        assert!(speech(&MediaEvent::Resumed).is_none());
    }

    #[tokio::test]
    async fn mail_that_finds_the_box_full_marks_the_call() {
        let (sender, _receiver) = mpsc::channel(1);
        let handle = CallHandle::new(CallId::generate(), sender);
        handle.deliver(Mail::Signal(Signal::Bye));
        assert!(!handle.is_overrun());
        handle.deliver(Mail::Signal(Signal::Bye));
        assert!(handle.is_overrun());
    }
}
