//! The task of one call: it waits for whatever comes first from the server, the caller, the call
//! or the clock, and never for one of them alone.
//!
//! Nothing stops the socket from being read: audio that playout has no room for yet is kept as
//! the codewords that came, up to [`MOST_UNPLAYED`]. What isn't written yet waits in the socket's
//! buffer, which is bounded too; when it overflows the connection is given up for dead.

mod act;
mod hear;
mod link;
mod renewal;

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use futures_util::future::BoxFuture;
use futures_util::{Sink, Stream};
use media::playout::{PlayoutCommand, UtteranceId};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::sync::oneshot;
use tokio::time::Sleep;
use tokio_tungstenite::tungstenite::{Error, Message, Utf8Bytes};

use self::link::{Link, Outage};
use self::renewal::Renewal;
use super::talk::{Purpose, Talk};
use super::wire::{Append, ClientEvent, SessionSettings, TurnDetection};
use super::{NAME, Shared, instructions};
use crate::agent::caller_audio::{CallerAudio, FRAME};
use crate::agent::provider::{
    AgentEvent, AgentInput, AgentSession, EVENT_CAPACITY, INPUT_CAPACITY, ProviderError, SessionSpec,
};
use crate::agent::speech::{Audio, SpeechError};
use crate::agent::turn::{self, Settings, TurnClock, Turns};
use crate::ids::CallId;
use crate::tenant::document::Tenant;
use crate::tool::ToolCallId;

/// Audio kept for playout, in codewords: ten minutes. The most a model says at once is less.
const MOST_UNPLAYED: usize = 10 * 60 * 8_000;
/// Messages handled before others get their turn.
const MESSAGES_AT_ONCE: usize = 32;

/// Opens a session, tells who waits for it, and runs it to its end.
pub(super) async fn run(
    shared: Arc<Shared>,
    spec: SessionSpec,
    within: Duration,
    opened: oneshot::Sender<Result<AgentSession, ProviderError>>,
) {
    let (input, inputs) = channel(INPUT_CAPACITY);
    let (events_in, events) = channel(EVENT_CAPACITY);
    let session = match open(&shared, spec, within, inputs, events_in).await {
        Ok(session) => session,
        Err(error) => {
            let _ = opened.send(Err(error));
            return;
        }
    };
    if opened.send(Ok(AgentSession { input, events })).is_ok() {
        shared.counters.sessions.fetch_add(1, Ordering::Relaxed);
        shared.counters.opened.fetch_add(1, Ordering::Relaxed);
        session.run().await;
        shared.counters.sessions.fetch_sub(1, Ordering::Relaxed);
    }
}

async fn open(
    shared: &Arc<Shared>,
    spec: SessionSpec,
    within: Duration,
    inputs: Receiver<AgentInput>,
    events: Sender<AgentEvent>,
) -> Result<Box<Session>, ProviderError> {
    let Some(audio) = spec.audio else { return Err(ProviderError::NoCommonFormat { provider: NAME }) };
    let model = spec.tenant.voice.model.as_deref().unwrap_or(&shared.config.model);
    let connector = shared.connector(model)?;
    let settings = settings(shared, &spec.tenant, &spec.locale, (spec.clock)(), &audio, &spec.tools);
    let settings = Arc::new(settings);
    let socket = Arc::clone(&connector).open(Arc::clone(&settings), Vec::new(), within).await?;
    let turns = Turns::new(Settings::of(&spec.tenant, &spec.locale));
    Ok(Box::new(Session {
        shared: Arc::clone(shared),
        connector,
        settings,
        call: spec.call,
        tenant: spec.tenant,
        locale: spec.locale,
        takes_over: spec.takes_over,
        link: Link::Up(socket),
        unflushed: false,
        audio,
        codewords: Vec::new(),
        append: Append::default(),
        decoded: BytesMut::new(),
        inputs,
        events,
        playout: spec.playout,
        to_play: VecDeque::new(),
        unplayed: 0,
        to_tell: VecDeque::new(),
        talk: Talk::default(),
        turns,
        orders: Vec::new(),
        clock: TurnClock::default(),
        response: Response::None,
        queue: VecDeque::new(),
        tools: Vec::new(),
        called: VecDeque::new(),
        garbled: 0,
        caller: Caller::Awaited,
        keys_due: None,
        outage: None,
        renewal: Renewal::new(Instant::now()),
        local: None,
        timer: Box::pin(tokio::time::sleep(Duration::ZERO)),
        over: false,
    }))
}

fn settings(
    shared: &Shared,
    tenant: &Tenant,
    locale: &str,
    now: chrono::DateTime<chrono::Utc>,
    audio: &CallerAudio,
    tools: &[crate::tool::ToolSpec],
) -> SessionSettings {
    let voice = &tenant.voice;
    let millis = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    SessionSettings {
        instructions: instructions::of_session(tenant, locale, now),
        law: audio.law(),
        voice: voice.voice_id.clone().or_else(|| shared.config.voice.clone()),
        speed: voice.speaking_rate,
        transcription: shared.config.transcription.clone(),
        language: locale.split(['-', '_']).next().filter(|tag| tag.len() == 2).map(str::to_owned),
        turns: TurnDetection {
            threshold: voice.turn_taking.vad_threshold,
            prefix_padding_ms: millis(voice.turn_taking.prefix_padding),
            silence_ms: millis(voice.turn_taking.end_silence),
        },
        tools: tools.iter().map(|t| (t.name, t.description.to_owned(), t.schema.clone())).collect(),
        temperature: voice.temperature,
    }
}

/// The task's state.
pub(super) struct Session {
    shared: Arc<Shared>,
    connector: Arc<super::Connector>,
    settings: Arc<SessionSettings>,
    call: CallId,
    tenant: Arc<Tenant>,
    locale: String,
    takes_over: bool,
    link: Link,
    /// Something was given to the socket that it hasn't written.
    unflushed: bool,
    audio: CallerAudio,
    codewords: Vec<u8>,
    append: Append,
    decoded: BytesMut,
    inputs: Receiver<AgentInput>,
    events: Sender<AgentEvent>,
    playout: Sender<PlayoutCommand>,
    /// What playout had no room for yet, and how many codewords that is.
    to_play: VecDeque<PlayoutCommand>,
    unplayed: usize,
    to_tell: VecDeque<AgentEvent>,
    talk: Talk,
    turns: Turns,
    orders: Vec<turn::Output>,
    clock: TurnClock,
    response: Response,
    /// What is to be said when the response under way is over.
    queue: VecDeque<Purpose>,
    /// Tools that run, and those called last, so that none runs twice.
    tools: Vec<ToolCallId>,
    called: VecDeque<ToolCallId>,
    /// Messages in a row that couldn't be used.
    garbled: u32,
    caller: Caller,
    /// When keys that were pressed are to be answered.
    keys_due: Option<Instant>,
    outage: Option<Outage>,
    renewal: Renewal,
    /// A sentence that is being spoken without the server.
    local: Option<Local>,
    timer: Pin<Box<Sleep>>,
    over: bool,
}

/// What the model is doing.
#[derive(Debug)]
enum Response {
    None,
    /// It was asked to, and has said nothing of it yet.
    Asked {
        purpose: Purpose,
        since: Instant,
        cancelled: bool,
        reassured: bool,
    },
    /// It is at it; `heard_of` is when its last event came.
    Running {
        id: Box<str>,
        purpose: Purpose,
        cancelled: bool,
        heard_of: Instant,
        audible: bool,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Caller {
    /// The line is ringing.
    Awaited,
    /// The caller is ours.
    Here,
    /// The call has the caller: a transfer, a message.
    Away,
}

struct Local {
    utterance: UtteranceId,
    text: String,
    rendering: BoxFuture<'static, Result<Audio, SpeechError>>,
}

enum Next {
    Input(Option<AgentInput>),
    Message(Option<Result<Message, Error>>),
    Opened(Result<Box<super::connection::Socket>, ProviderError>),
    Renewed(Result<Box<super::connection::Socket>, ProviderError>),
    Frames,
    Rendered(Result<Audio, SpeechError>),
    Room,
    Expired,
}

impl Session {
    /// Runs until the input closes, nobody takes the events any more, or the server is lost.
    async fn run(mut self: Box<Self>) {
        let mut handled = 0;
        while !self.over && !self.events.is_closed() {
            self.hand_over();
            match self.next().await {
                Next::Input(None | Some(AgentInput::Close)) => break,
                Next::Input(Some(input)) => self.take_input(input),
                Next::Message(message) => {
                    self.take_message(message);
                    handled += 1;
                    if handled % MESSAGES_AT_ONCE == 0 {
                        tokio::task::yield_now().await;
                    }
                }
                Next::Opened(result) => self.opened_anew(result),
                Next::Renewed(result) => self.renewed(result),
                Next::Frames => self.send_frames(),
                Next::Rendered(result) => self.rendered(result),
                Next::Room => {}
                Next::Expired => self.expired(),
            }
        }
        self.shared.counters.frames_dropped.fetch_add(self.audio.dropped(), Ordering::Relaxed);
        self.hand_over();
        // Best effort: who closed the input knows.
        let _ = self.events.try_send(AgentEvent::Ended);
        self.close().await;
    }

    async fn next(&mut self) -> Next {
        let deadline = self.deadline();
        // Most rounds are a frame, and change nothing: the timer is set when its time changes.
        if let Some(deadline) = deadline
            && self.timer.deadline() != deadline.into()
        {
            self.timer.as_mut().reset(deadline.into());
        }
        let Self {
            timer,
            renewal,
            inputs,
            events,
            playout,
            to_tell,
            to_play,
            audio,
            link,
            unflushed,
            local,
            ..
        } = self;
        let audio = &*audio;
        tokio::select! {
            biased;
            input = inputs.recv(), if to_tell.len() < EVENT_CAPACITY => Next::Input(input),
            next = std::future::poll_fn(|context| link.poll(context, unflushed)) => next,
            () = std::future::poll_fn(|context| audio.poll_ready(context)) => Next::Frames,
            _ = events.reserve(), if !to_tell.is_empty() => Next::Room,
            _ = playout.reserve(), if !to_play.is_empty() => Next::Room,
            result = async { match local {
                Some(local) => (&mut local.rendering).await,
                None => std::future::pending().await,
            } } => Next::Rendered(result),
            result = std::future::poll_fn(|context| renewal.poll(context)) => Next::Renewed(result),
            () = timer.as_mut(), if deadline.is_some() => Next::Expired,
        }
    }

    /// Sends the caller's audio that waits, as one message.
    fn send_frames(&mut self) {
        let mut frame = [0; FRAME];
        self.codewords.clear();
        while self.audio.take(&mut frame) {
            self.codewords.extend_from_slice(&frame);
        }
        let frames = self.shared.frames();
        self.audio.wake_at(frames);
        self.shared.beat.wakes(&self.audio, frames > 1);
        let Link::Up(_) = &self.link else { return };
        if self.caller != Caller::Here || self.codewords.is_empty() {
            return;
        }
        let event = self.append.event(&self.codewords);
        // Base64 within ASCII.
        if let Ok(text) = Utf8Bytes::try_from(event) {
            self.write(Message::Text(text));
        }
    }

    fn send(&mut self, event: &ClientEvent<'_>) {
        if let Link::Up(_) = &self.link {
            self.write(Message::text(event.to_text(self.shared.config.dialect)));
        }
    }

    fn write(&mut self, message: Message) {
        let Link::Up(socket) = &mut self.link else { return };
        match std::pin::Pin::new(&mut **socket).start_send(message) {
            Ok(()) => self.unflushed = true,
            Err(error) => self.lose(super::connection::fault(&error)),
        }
    }

    fn play(&mut self, command: PlayoutCommand) {
        if let PlayoutCommand::Audio { chunk, .. } = &command {
            self.unplayed += chunk.samples();
        }
        self.to_play.push_back(command);
    }

    fn tell(&mut self, event: AgentEvent) {
        self.to_tell.push_back(event);
    }

    /// Hands over what there is room for.
    fn hand_over(&mut self) {
        while let Some(command) = self.to_play.pop_front() {
            let samples = match &command {
                PlayoutCommand::Audio { chunk, .. } => chunk.samples(),
                _ => 0,
            };
            match self.playout.try_send(command) {
                Ok(()) => self.unplayed = self.unplayed.saturating_sub(samples),
                Err(TrySendError::Full(command)) => {
                    self.to_play.push_front(command);
                    break;
                }
                // The media path is gone, so nobody hears it; the call will close the input.
                Err(TrySendError::Closed(_)) => {
                    self.to_play.clear();
                    self.unplayed = 0;
                }
            }
        }
        while let Some(event) = self.to_tell.pop_front() {
            if let Err(TrySendError::Full(event)) = self.events.try_send(event) {
                self.to_tell.push_front(event);
                break;
            }
        }
    }

    async fn close(&mut self) {
        if let Link::Up(socket) = &mut self.link {
            // The server may be slow to say goodbye; nobody waits for it.
            let _ = tokio::time::timeout(Duration::from_millis(500), socket.close(None)).await;
        }
    }
}
