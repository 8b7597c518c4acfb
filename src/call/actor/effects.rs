//! Carrying out what the machine asks for.

use std::time::Instant;

use futures_util::FutureExt;
use media::playout::{PlayoutCommand, UtteranceId};
use sip::dialog::DialogId;
use sip::message::StatusCode;

use super::{Actor, Agent, Mail, ReferForm, tones};
use crate::agent::{AgentInput, SessionSpec};
use crate::call::machine::{Effect, Input, Sound};
use crate::call::ports::{RecordError, RecordingSpec, Signalling};
use crate::call::record::{CallEvent, CallStatus};
use crate::tenant::refer::TargetUri;

/// How long the record waits for what was measured on the media path, and for the recording's end.
const MEASUREMENTS: std::time::Duration = std::time::Duration::from_millis(200);

impl Actor {
    pub(super) async fn carry_out(&mut self, effect: Effect) {
        match effect {
            Effect::Ring => self.signal(|signalling, dialog| signalling.ring(dialog)),
            Effect::Dial => self.dial(),
            Effect::GiveUp => self.services.signalling.give_up(self.call),
            Effect::ConnectAgent => self.connect_agent(),
            Effect::Answer => self.answer(),
            Effect::Reject { status, retry_after } => {
                let status = StatusCode::new(status).unwrap_or(StatusCode::SERVER_INTERNAL_ERROR);
                self.signal(|signalling, dialog| signalling.reject(dialog, status, retry_after));
            }
            Effect::SendBye { reason } => {
                self.signal(|signalling, dialog| signalling.bye(dialog, reason.header()));
            }
            Effect::SendRefer { target, attempt } => {
                self.attempt = Some(attempt);
                let target = refer_to(&target, &self.refer_form);
                self.signal(|signalling, dialog| signalling.refer(dialog, target));
            }
            Effect::Agent(input) => self.tell_agent(input),
            Effect::WrapUp { left } => {
                tracing::debug!(call = %self.call, ?left, "the call nears its longest duration");
            }
            Effect::Playout(sound) => self.play(sound),
            Effect::StartRecording { max, silence, .. } => self.start_recording(max, silence),
            Effect::StopRecording => self.media.stop_recording(),
            Effect::DiscardRecording => self.discard_recording().await,
            Effect::StartTimer { kind, after } => {
                self.timers.retain(|(known, _)| *known != kind);
                self.timers.push((kind, Instant::now() + after));
            }
            Effect::CancelTimer(kind) => self.timers.retain(|(known, _)| *known != kind),
            Effect::Record(event) => self.write(event).await,
            Effect::Note { text } => {
                // Kept in the record's transcript once conversations are written; until then it
                // is in the log, so that it isn't lost.
                tracing::info!(call = %self.call, bytes = text.len(), "the agent keeps a note");
            }
            Effect::Forget => self.signal(|signalling, dialog| signalling.forget(dialog)),
        }
    }

    /// Says something in the dialog, if there is one.
    fn signal(&self, say: impl FnOnce(&dyn Signalling, DialogId)) {
        if let Some(dialog) = self.dialog() {
            say(&*self.services.signalling, dialog);
        }
    }

    fn connect_agent(&mut self) {
        let spec = SessionSpec {
            call: self.call,
            tenant: std::sync::Arc::clone(&self.tool_context.tenant),
            locale: self.locale.clone(),
            started_at: self.tool_context.at,
            clock: std::sync::Arc::clone(&self.services.clock),
            playout: self.media.playout(),
            audio: None,
        };
        let mut connecting = self.provider.connect(spec);
        match (&mut connecting).now_or_never() {
            Some(result) => self.take(super::Happening::Connected(result)),
            None => self.agent = Agent::Connecting(connecting),
        }
    }

    pub(super) fn tell_agent(&mut self, input: AgentInput) {
        let Agent::Session(session) = &self.agent else { return };
        let closing = matches!(input, AgentInput::Close);
        // A session that doesn't take a handful of edges is stuck: see the provider's contract.
        let taken = session.input.try_send(input).is_ok();
        if closing {
            self.agent = Agent::None;
        } else if !taken {
            tracing::warn!(call = %self.call, "the agent takes no input; it is given up");
            self.agent = Agent::None;
            self.pending.push_back(Input::AgentFailed);
        }
    }

    fn play(&mut self, sound: Sound) {
        let chunk = match sound {
            Sound::Clear | Sound::RingbackStop => return self.media.play(PlayoutCommand::Clear),
            Sound::Beep => tones::beep(),
            Sound::RingbackStart => tones::ringback(&self.locale),
        };
        // A new one each time: what playout has cut it doesn't play again under the same name. Odd,
        // so that it isn't taken for the agent's, and from the top, where the machine never gets.
        let utterance = UtteranceId(u64::MAX - 2 * self.tones_played);
        self.tones_played += 1;
        self.media.play(PlayoutCommand::Audio { utterance, chunk });
        self.media.play(PlayoutCommand::End { utterance });
    }

    fn start_recording(&mut self, max: std::time::Duration, silence: std::time::Duration) {
        let file = format!("messages/{}.wav", self.call);
        let path = self.services.data.join(&file);
        self.media.start_recording(RecordingSpec { path, max, silence });
    }

    async fn discard_recording(&mut self) {
        let path = self.services.data.join(format!("messages/{}.wav", self.call));
        if let Err(error) = tokio::fs::remove_file(&path).await
            && error.kind() != std::io::ErrorKind::NotFound
        {
            tracing::warn!(call = %self.call, %error, "an empty recording can't be deleted");
        }
    }

    /// Ends the stream and waits a moment for what was measured on it.
    async fn close_media(&mut self) {
        if !self.media.close() {
            return;
        }
        let deadline = tokio::time::Instant::now() + MEASUREMENTS;
        while !self.media.is_complete()
            && let Ok(Some(mail)) = tokio::time::timeout_at(deadline, self.mailbox.recv()).await
        {
            match mail {
                Mail::MediaEnded(stats) => self.media.keep_stats(stats),
                Mail::CallRecorded(recording) => self.media.keep_recording(recording),
                // Bounded by the mailbox: nobody sends much in this time.
                mail => self.set_aside.push_back(mail),
            }
        }
    }

    async fn write(&mut self, mut event: CallEvent) {
        let closing = matches!(event, CallEvent::Ended(_));
        if let CallEvent::Ended(record) = &mut event {
            self.close_media().await;
            record.media = self.media.stats();
            record.recordings.extend(self.media.take_recording());
            let failed = matches!(record.status, CallStatus::Failed | CallStatus::Rejected);
            record.trace = self.services.trace.ended(self.call, failed);
        }
        let result = self.services.records.append(&event).await;
        if let Err(error) = &result {
            tracing::error!(call = %self.call, %error, "the record isn't durable yet");
        }
        // A call that there is no room to record isn't begun: whoever calls again in a moment
        // is served better than one whose call may be lost.
        if matches!(event, CallEvent::Started(_)) && matches!(result, Err(RecordError::NotTaken(_))) {
            self.pending.push_back(Input::MediaFailed { status: 503 });
        }
        if closing {
            self.pending.push_back(match result {
                Ok(()) => Input::JournalWritten,
                Err(_) => Input::JournalFailed,
            });
        }
    }
}

/// The value of `Refer-To` without brackets.
fn refer_to(target: &TargetUri, form: &ReferForm) -> String {
    // `Display` masks.
    let text = target.as_str();
    match (text.strip_prefix("tel:"), form) {
        (Some(number), ReferForm::SipAt(host)) => format!("sip:{number}@{host};user=phone"),
        _ => text.to_owned(),
    }
}
