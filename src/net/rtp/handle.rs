//! How a call's owner controls its media, and how the media reports back.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::TrySendError;

use media::dtmf::Digit;
use media::playout::{PlayoutCommand, UtteranceId, tone};
use media::session::Agreement;
use tokio::sync::mpsc;

use super::call::Call;
use super::orders::Orders;
use super::recorder::{RecordingSpec, TapeSpec};
use super::{CallerFrame, RtpEvent};

/// Takes an event, or gives it back when there is no room.
pub(super) type EventSink = Box<dyn FnMut(RtpEvent) -> Result<(), RtpEvent> + Send>;

/// An order for a worker.
pub(super) enum Command {
    Attach(Box<Call>),
    Control(u64, Control),
    Shutdown,
}

/// An order for one call.
pub(super) enum Control {
    Update(Box<Agreement>),
    Play(PlayoutCommand),
    Beep(UtteranceId),
    Clear,
    Press(Digit, u16),
    Audio(Option<mpsc::Sender<CallerFrame>>),
    Record(RecordingSpec, EventSink),
    StopRecording,
    RecordCall(TapeSpec, EventSink),
}

/// Why an order was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ControlError {
    /// Too many orders wait for the worker. Try again, or end the call.
    #[error("the media worker is overloaded")]
    Overloaded,
    /// The pool has been shut down.
    #[error("the media worker has ended")]
    Ended,
}

/// The control of one call's media. Orders take effect within a packet time, in the order
/// given. Dropping it closes the media.
pub struct MediaHandle {
    id: u64,
    orders: Orders,
    closed: Arc<AtomicBool>,
    sink: Box<dyn Fn() -> EventSink + Send + Sync>,
}

impl MediaHandle {
    pub(super) fn new<T>(id: u64, orders: Orders, events: &mpsc::Sender<T>) -> Self
    where
        T: From<RtpEvent> + Send + 'static,
    {
        let events = events.downgrade();
        let sink = Box::new(move || match events.upgrade() {
            Some(events) => event_sink(events),
            None => Box::new(|_| Ok(())) as EventSink,
        });
        Self { id, orders, closed: Arc::new(AtomicBool::new(false)), sink }
    }

    pub(super) fn closed(&self) -> Arc<AtomicBool> {
        self.closed.clone()
    }

    /// Applies what a re-INVITE or UPDATE agreed.
    ///
    /// # Errors
    /// When the order was not taken.
    pub fn update(&self, agreement: Agreement) -> Result<(), ControlError> {
        self.order(Control::Update(Box::new(agreement)))
    }

    /// Plays without the playout channel; not ordered against it. Audio that the session has
    /// no room for is dropped.
    ///
    /// # Errors
    /// When the order was not taken.
    pub fn play(&self, command: PlayoutCommand) -> Result<(), ControlError> {
        self.order(Control::Play(command))
    }

    /// Plays the tone that asks for a message, as an utterance of its own.
    ///
    /// # Errors
    /// When the order was not taken.
    pub fn beep(&self, utterance: UtteranceId) -> Result<(), ControlError> {
        self.order(Control::Beep(utterance))
    }

    /// Fades out, and drops everything queued, what waits in the playout channel included.
    /// Utterances of which the session had nothing yet are dropped without an event.
    ///
    /// # Errors
    /// When the order was not taken.
    pub fn clear(&self) -> Result<(), ControlError> {
        self.order(Control::Clear)
    }

    /// Presses a key (RFC 4733).
    ///
    /// # Errors
    /// When the order was not taken.
    pub fn press(&self, digit: Digit, duration_ms: u16) -> Result<(), ControlError> {
        self.order(Control::Press(digit, duration_ms))
    }

    /// Connects or disconnects a listener to the caller's audio.
    ///
    /// # Errors
    /// When the order was not taken.
    pub fn listen(&self, audio: Option<mpsc::Sender<CallerFrame>>) -> Result<(), ControlError> {
        self.order(Control::Audio(audio))
    }

    /// Records the caller to a file; ends a recording that is running. Each recording started
    /// ends with one [`RtpEvent::RecordingStopped`], also when it couldn't be begun, and also
    /// after the media was closed, as long as somebody receives the events.
    ///
    /// # Errors
    /// When the order was not taken.
    pub fn record(&self, recording: RecordingSpec) -> Result<(), ControlError> {
        self.order(Control::Record(recording, (self.sink)()))
    }

    /// Ends the recording.
    ///
    /// # Errors
    /// When the order was not taken.
    pub fn stop_recording(&self) -> Result<(), ControlError> {
        self.order(Control::StopRecording)
    }

    /// Records the whole call from now on, until its media ends; once. It ends with one
    /// [`RtpEvent::RecordingStopped`], as that of [`MediaHandle::record`].
    ///
    /// # Errors
    /// When the order was not taken.
    pub fn record_call(&self, recording: TapeSpec) -> Result<(), ControlError> {
        self.order(Control::RecordCall(recording, (self.sink)()))
    }

    /// Ends the media; a running recording is completed.
    pub fn close(self) {}

    fn order(&self, control: Control) -> Result<(), ControlError> {
        self.orders.try_send(Command::Control(self.id, control)).map_err(|error| match error {
            TrySendError::Full(_) => ControlError::Overloaded,
            TrySendError::Disconnected(_) => ControlError::Ended,
        })
    }
}

impl Drop for MediaHandle {
    /// The worker looks at the flag at each of the call's turns: closing can't fail for want
    /// of room in a channel.
    fn drop(&mut self) {
        self.closed.store(true, Ordering::Release);
    }
}

/// What [`MediaHandle::beep`] plays.
pub(super) fn beep(utterance: UtteranceId) -> [PlayoutCommand; 2] {
    let chunk = tone::record_beep();
    [PlayoutCommand::Audio { utterance, chunk }, PlayoutCommand::End { utterance }]
}

/// A sink into a channel of the owner's own message type. Events for an owner that is gone
/// are dropped.
pub(super) fn event_sink<T>(events: mpsc::Sender<T>) -> EventSink
where
    T: From<RtpEvent> + Send + 'static,
{
    Box::new(move |event| match events.try_reserve() {
        Ok(permit) => {
            permit.send(event.into());
            Ok(())
        }
        Err(mpsc::error::TrySendError::Full(())) => Err(event),
        Err(mpsc::error::TrySendError::Closed(())) => Ok(()),
    })
}
