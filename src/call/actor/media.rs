//! The call's audio: its port, what was agreed on it, and its stream.

use std::net::IpAddr;
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use media::jitter_buffer::JitterRange;
use media::playout::PlayoutCommand;
use media::sdp::{LocalMedia, Negotiated, SdpError, answer, offer};
use media::session::{Agreement, SessionConfig, SourcePolicy};
use rand::Rng;
use sip::endpoint::OfferMethod;
use sip::message::StatusCode;
use tokio::sync::mpsc;

use super::{Actor, Mail};
use crate::call::machine::Input;
use crate::call::ports::{CallRecordingSpec, MediaPort, MediaStream, RecordingSpec};
use crate::call::record::{MediaStats, Recording};

/// How many playout commands wait for the media path; a sentence is two.
const PLAYOUT: usize = 32;

/// The call's audio.
pub struct Media {
    local: LocalMedia,
    terms: Terms,
    stage: Stage,
    playout: mpsc::Sender<PlayoutCommand>,
    stats: Option<MediaStats>,
    /// How the call is to be recorded, until its stream starts.
    to_record: Option<CallRecordingSpec>,
    recording: Taped,
    /// We made an offer, in a 2xx or an INVITE; its answer comes with the ACK or the responses.
    offered: Option<LocalMedia>,
    /// What early media agreed.
    agreed: Option<Agreement>,
}

/// What a trunk says of the media of its calls, beside what is negotiated.
#[derive(Debug, Clone)]
pub struct Terms {
    /// Where it may come from.
    pub source: SourcePolicy,
    /// Where the signalling comes from.
    pub signalling: IpAddr,
    /// Bounds of the jitter buffer.
    pub jitter: JitterRange,
}

/// The recording of the whole call.
enum Taped {
    /// It isn't recorded.
    Not,
    /// It is.
    Running,
    /// It was.
    Done(Recording),
}

enum Stage {
    /// Nothing flows yet. `agreed` is missing while our own offer waits for its answer.
    Waiting {
        port: Box<dyn MediaPort>,
        commands: mpsc::Receiver<PlayoutCommand>,
        agreed: Option<Box<Negotiated>>,
    },
    /// The stream runs.
    Flowing(Box<dyn MediaStream>),
    /// It is over, or never was.
    Gone,
}

impl Media {
    /// Answers the offer, or prepares our own when there is none.
    ///
    /// # Errors
    /// When the offer can't be used.
    pub fn negotiate(
        port: Box<dyn MediaPort>,
        mut local: LocalMedia,
        terms: Terms,
        offered: Option<&Bytes>,
    ) -> Result<Self, SdpError> {
        let agreed = match offered {
            Some(sdp) => {
                let negotiated = answer::negotiate(sdp, &local)?;
                local.origin = negotiated.origin.clone();
                Some(Box::new(negotiated))
            }
            None => None,
        };
        let (playout, commands) = mpsc::channel(PLAYOUT);
        let stage = Stage::Waiting { port, commands, agreed };
        Ok(Self::at(stage, local, terms, playout))
    }

    /// For a call of ours: the offer is ours to make.
    #[must_use]
    pub fn offering(port: Box<dyn MediaPort>, local: LocalMedia, terms: Terms) -> Self {
        let (playout, commands) = mpsc::channel(PLAYOUT);
        let stage = Stage::Waiting { port, commands, agreed: None };
        Self::at(stage, local, terms, playout)
    }

    /// For a call that is refused.
    #[must_use]
    pub fn none() -> Self {
        let (playout, _) = mpsc::channel(1);
        let nowhere = IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED);
        let terms =
            Terms { source: SourcePolicy::Address, signalling: nowhere, jitter: JitterRange::default() };
        Self::at(Stage::Gone, LocalMedia::new(nowhere, 0, 0), terms, playout)
    }

    fn at(stage: Stage, local: LocalMedia, terms: Terms, playout: mpsc::Sender<PlayoutCommand>) -> Self {
        Self {
            local,
            terms,
            stage,
            playout,
            stats: None,
            to_record: None,
            recording: Taped::Not,
            offered: None,
            agreed: None,
        }
    }

    /// Our offer, for an INVITE of ours; the same each time.
    pub(super) fn offer(&mut self) -> Option<Bytes> {
        match &self.offered {
            Some(local) => local.origin.last.clone(),
            None => self.description(),
        }
    }

    /// Takes an answer to the offer of our INVITE. Several may come, from each telephone that the
    /// call forked to its own: the latest counts. While it is `early` nobody has to play anything
    /// to us, so that silence ends nothing.
    ///
    /// # Errors
    /// When it can't be used; what was agreed before stays.
    pub(super) fn take_answer(
        &mut self,
        sdp: &[u8],
        early: bool,
        mailbox: mpsc::Sender<Mail>,
    ) -> Result<(), SdpError> {
        let local = self.offered.as_ref().ok_or(SdpError::AnswerMismatch)?;
        let mut agreed = offer::accept_answer(sdp, local)?;
        // On hold the wait for media is suspended, and nothing else.
        agreed.held |= early;
        self.agree(agreed, mailbox);
        Ok(())
    }

    /// The call is answered, and what was agreed early holds. Whether anything was.
    pub(super) fn confirm_early(&mut self) -> bool {
        let Some(agreed) = &mut self.agreed else { return false };
        agreed.held = false;
        if let Stage::Flowing(stream) = &self.stage {
            stream.update(agreed.clone());
        }
        true
    }

    fn agree(&mut self, agreed: Negotiated, mailbox: mpsc::Sender<Mail>) {
        self.agreed = Some(Agreement::from(&agreed));
        // With it the keys: a later offer without them is refused.
        self.local.origin = agreed.origin.clone();
        match &mut self.stage {
            Stage::Flowing(stream) => stream.update(Agreement::from(&agreed)),
            Stage::Waiting { agreed: slot, .. } => {
                *slot = Some(Box::new(agreed));
                self.start(mailbox);
            }
            Stage::Gone => {}
        }
    }

    /// The offer of our INVITE has its final answer.
    pub(super) fn offer_is_answered(&mut self) {
        self.offered = None;
    }

    /// What the 200 says.
    fn description(&mut self) -> Option<Bytes> {
        let Stage::Waiting { agreed, .. } = &self.stage else { return None };
        match agreed {
            Some(negotiated) => Some(negotiated.sdp.clone()),
            None => {
                let built = offer::build(&self.local).ok()?;
                self.local.origin = built.origin;
                self.offered = Some(self.local.clone());
                Some(built.sdp)
            }
        }
    }

    /// Lets the audio flow, if it is agreed.
    fn start(&mut self, mailbox: mpsc::Sender<Mail>) {
        match std::mem::replace(&mut self.stage, Stage::Gone) {
            Stage::Waiting { port, commands, agreed: Some(agreed) } => {
                let mut random = rand::rng();
                let agreement = Agreement::from(&*agreed);
                let (ssrc, sequence, timestamp) = (random.random(), random.random(), random.random());
                let mut config = SessionConfig::new(agreement, ssrc, sequence, timestamp);
                config.source = self.terms.source.clone();
                config.signalling = Some(self.terms.signalling);
                config.jitter = self.terms.jitter;
                config.ntp = ntp(SystemTime::now());
                let stream = port.attach(config, commands, mailbox);
                if let Some(recording) = self.to_record.take() {
                    stream.record_call(recording);
                    self.recording = Taped::Running;
                }
                self.stage = Stage::Flowing(stream);
            }
            other => self.stage = other,
        }
    }

    pub(super) fn playout(&self) -> mpsc::Sender<PlayoutCommand> {
        self.playout.clone()
    }

    pub(super) fn play(&self, command: PlayoutCommand) {
        if self.playout.try_send(command).is_err() {
            tracing::debug!("the media path takes no more sounds");
        }
    }

    pub(super) fn start_recording(&self, recording: RecordingSpec) {
        if let Stage::Flowing(stream) = &self.stage {
            stream.start_recording(recording);
        }
    }

    pub(super) fn stop_recording(&self) {
        if let Stage::Flowing(stream) = &self.stage {
            stream.stop_recording();
        }
    }

    /// Records the call from the moment on that its audio flows.
    pub(super) fn record(&mut self, recording: CallRecordingSpec) {
        self.to_record = Some(recording);
    }

    pub(super) fn keep_recording(&mut self, recording: Recording) {
        self.recording = Taped::Done(recording);
    }

    /// The file of the whole call, if there is one: nothing that nobody could write.
    pub(super) fn take_recording(&mut self) -> Option<Recording> {
        match std::mem::replace(&mut self.recording, Taped::Not) {
            Taped::Done(recording) if recording.duration_ms > 0 => Some(recording),
            _ => None,
        }
    }

    /// Whether everything is known that is told at the end of a stream.
    pub(super) fn is_complete(&self) -> bool {
        self.stats.is_some() && !matches!(self.recording, Taped::Running)
    }

    pub(super) fn keep_stats(&mut self, stats: Option<Box<MediaStats>>) {
        if let Some(stats) = stats {
            self.stats = Some(*stats);
        }
    }

    pub(super) fn stats(&self) -> Option<MediaStats> {
        self.stats.clone()
    }

    /// Ends the stream. Whether there was one.
    pub(super) fn close(&mut self) -> bool {
        matches!(std::mem::replace(&mut self.stage, Stage::Gone), Stage::Flowing(_))
    }
}

/// A time as NTP tells it: seconds since 1900 and their fraction, 32 bits each (RFC 5905 §6).
fn ntp(time: SystemTime) -> u64 {
    const SECONDS_TO_1970: u64 = 2_208_988_800;
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    let fraction = (u64::from(since.subsec_nanos()) << 32) / 1_000_000_000;
    (since.as_secs() + SECONDS_TO_1970) << 32 | fraction
}

impl Actor {
    /// Sends the 200. What follows is [`super::Signal::Answered`].
    pub(super) fn answer(&mut self) {
        match self.media.description() {
            Some(sdp) => {
                if let Some(dialog) = self.dialog() {
                    self.services.signalling.accept(dialog, sdp);
                }
            }
            None => self.pending.push_back(Input::MediaFailed { status: 500 }),
        }
    }

    /// The 200 is on the wire: audio flows from now on, unless the offer was ours.
    pub(super) fn on_answered(&mut self) {
        self.media.start(self.handle.mailbox());
        self.pending.push_back(Input::AnswerSent);
    }

    /// The ACK came.
    pub(super) fn take_confirmation(&mut self, answered: Option<Bytes>) {
        if let Some(local) = self.media.offered.take() {
            let agreed =
                answered.ok_or(SdpError::AnswerMismatch).and_then(|sdp| offer::accept_answer(&sdp, &local));
            match agreed {
                Ok(agreed) => self.adopt(agreed),
                Err(error) => {
                    tracing::info!(call = %self.call, %error, "the answer in the ACK can't be used");
                    self.pending.push_back(Input::MediaFailed { status: error.status() });
                    return;
                }
            }
        }
        self.pending.push_back(Input::Acked);
    }

    /// A re-INVITE or UPDATE (RFC 3261 §14, RFC 3311): hold, resume, another address or codec, or
    /// a mere refresh. What can't be agreed leaves the session as it was.
    pub(super) fn take_offer(&mut self, method: OfferMethod, offered: Option<Bytes>) {
        let answer = match (offered, method) {
            (Some(sdp), _) => match answer::negotiate(&sdp, &self.media.local) {
                Ok(agreed) => {
                    let sdp = agreed.sdp.clone();
                    self.adopt(agreed);
                    Ok(Some(sdp))
                }
                Err(error) => {
                    tracing::info!(call = %self.call, %error, "the new offer can't be used");
                    Err(StatusCode::new(error.status()).unwrap_or(StatusCode::NOT_ACCEPTABLE_HERE))
                }
            },
            (None, OfferMethod::Update | OfferMethod::Prack) => Ok(None),
            (None, OfferMethod::Invite) => {
                offer::build(&self.media.local).map_err(|_| StatusCode::SERVER_INTERNAL_ERROR).map(|built| {
                    self.media.local.origin = built.origin;
                    self.media.offered = Some(self.media.local.clone());
                    Some(built.sdp)
                })
            }
        };
        if let Some(dialog) = self.dialog() {
            self.services.signalling.answer_offer(dialog, answer);
        }
    }

    fn adopt(&mut self, agreed: Negotiated) {
        self.media.local.origin = agreed.origin.clone();
        let held = agreed.held;
        match &mut self.media.stage {
            Stage::Flowing(stream) => {
                stream.update(Agreement::from(&agreed));
                self.pending.push_back(if held { Input::Held } else { Input::Resumed });
            }
            Stage::Waiting { agreed: slot, .. } => {
                *slot = Some(Box::new(agreed));
                self.media.start(self.handle.mailbox());
            }
            Stage::Gone => {}
        }
    }
}
