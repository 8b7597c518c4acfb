//! The task that owns one call: it feeds the machine and carries out its effects.
//!
//! Everything that happens to the call comes through one bounded mailbox, through the agent's
//! event channel, or as a timer. When the mailbox is full, whoever couldn't deliver marks the
//! call as overrun through its [`CallHandle`], and the call ends itself.

mod effects;
mod mail;
mod media;
mod outgoing;
mod tones;

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use ::media::recording::sealed::SealingKey;
use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use sip::dialog::DialogId;
use tokio::sync::mpsc;

pub use self::mail::{CallHandle, Mail, Signal, Stop};
pub use self::media::{Media, Terms};
pub use self::outgoing::{Answer, Outgoing};
use super::machine::{CallSpec, Effect, Input, Machine, TimerKind};
use super::ports::{CallRecordingSpec, CallTrace, MediaPorts, RecordSink, Signalling};
use super::transfer::AttemptId;
use crate::agent::provider::WallClock;
use crate::agent::{AgentEvent, AgentSession, Provider, ProviderError};
use crate::ids::CallId;
use crate::tool::{Registry, ToolAnswer, ToolCallId, ToolContext, ToolRequest};

/// How much mail a call holds unread. A call in full swing gets a few pieces a second.
pub const MAILBOX: usize = 64;

/// What every call uses.
pub struct Services {
    /// The SIP side.
    pub signalling: Arc<dyn Signalling>,
    /// RTP ports.
    pub media: Arc<dyn MediaPorts>,
    /// The journal.
    pub records: Arc<dyn RecordSink>,
    /// The signalling as it was seen.
    pub trace: Arc<dyn CallTrace>,
    /// The tools.
    pub tools: Arc<Registry>,
    /// Wall-clock time.
    pub clock: WallClock,
    /// Where messages and recordings are kept.
    pub data: PathBuf,
    /// The key that recordings are sealed with, if they are.
    pub recording_key: Option<SealingKey>,
}

impl Services {
    fn recording_of(&self, call: CallId) -> CallRecordingSpec {
        let ending = if self.recording_key.is_some() { "wav.sealed" } else { "wav" };
        let path = self.data.join(format!("recordings/{call}.{ending}"));
        CallRecordingSpec { path, key: self.recording_key.clone() }
    }
}

/// One call, ready to run.
pub struct Actor {
    services: Arc<Services>,
    line: Line,
    call: CallId,
    handle: CallHandle,
    mailbox: mpsc::Receiver<Mail>,
    /// Mail that came while something else was waited for.
    set_aside: VecDeque<Mail>,
    provider: Arc<dyn Provider>,
    machine: Machine,
    tool_context: ToolContext,
    locale: String,
    media: Media,
    agent: Agent,
    running_tools: FuturesUnordered<BoxFuture<'static, (ToolCallId, ToolAnswer)>>,
    timers: Vec<(TimerKind, Instant)>,
    pending: VecDeque<Input>,
    attempt: Option<AttemptId>,
    refer_form: ReferForm,
    /// A telephone-event has been seen: INFO would tell the same keys again.
    events_seen: bool,
    tones_played: u64,
    /// Kept while the call runs; given back when it is dropped.
    _permit: Box<dyn Send>,
}

/// The way to the other side.
pub enum Line {
    /// They called us, in this dialog.
    Inbound(DialogId),
    /// We call them.
    Outbound(Box<Outgoing>),
}

/// How the trunk wants `Refer-To`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReferForm {
    /// As the destination has it.
    AsIs,
    /// `tel:` as a SIP URI at this host, with `user=phone` (RFC 3261 §19.1.6).
    SipAt(String),
}

/// What an actor is made of.
pub struct Start {
    /// The way to the other side.
    pub line: Line,
    /// What the machine begins with.
    pub spec: CallSpec,
    /// The agent's provider.
    pub provider: Arc<dyn Provider>,
    /// Media, with the offer negotiated.
    pub media: Media,
    /// How `Refer-To` is written.
    pub refer_form: ReferForm,
    /// The first inputs, in order.
    pub first: Vec<Input>,
    /// Held for the length of the call.
    pub permit: Box<dyn Send>,
    /// Where the call's mail comes in.
    pub mailbox: mpsc::Receiver<Mail>,
    /// The other end of it.
    pub handle: CallHandle,
}

enum Agent {
    None,
    Connecting(BoxFuture<'static, Result<AgentSession, ProviderError>>),
    Session(AgentSession),
}

/// What came first.
enum Happening {
    Mail(Mail),
    MailboxClosed,
    Agent(Option<AgentEvent>),
    Connected(Result<AgentSession, ProviderError>),
    Tool(ToolCallId, ToolAnswer),
    Timer(TimerKind),
}

impl Actor {
    /// Prepares a call.
    #[must_use]
    pub fn new(services: Arc<Services>, start: Start) -> Self {
        let call = start.spec.record.call_id;
        let tenant = Arc::clone(&start.spec.tenant);
        let locale = start.spec.locale.clone();
        let at = start.spec.record.started_at;
        let now = Instant::now();
        let mut mailbox = start.mailbox;
        // What came while the tenant was looked up. A caller who gave up meanwhile was told so by
        // the SIP side already: whatever was decided about the call, that is how it ended.
        let early: VecDeque<Mail> = std::iter::from_fn(|| mailbox.try_recv().ok()).collect();
        let machine = match &start.line {
            Line::Inbound(_) => Machine::new(start.spec, now),
            Line::Outbound(outgoing) => Machine::outbound(start.spec, outgoing.ring(), now),
        };
        let mut media = start.media;
        if tenant.voice.recording {
            media.record(services.recording_of(call));
        }
        let gone = early.iter().any(|mail| matches!(mail, Mail::Signal(Signal::Cancelled)));
        let first = if gone { vec![Input::Cancelled] } else { start.first };
        Self {
            services,
            line: start.line,
            call,
            handle: start.handle,
            mailbox,
            set_aside: early,
            provider: start.provider,
            machine,
            tool_context: ToolContext { call, tenant, at },
            locale,
            media,
            agent: Agent::None,
            running_tools: FuturesUnordered::new(),
            timers: Vec::new(),
            pending: first.into(),
            attempt: None,
            refer_form: start.refer_form,
            events_seen: false,
            tones_played: 0,
            _permit: start.permit,
        }
    }

    /// Runs the call to its end. Boxed, because a task is as large as everything that it holds
    /// across a wait, twice where it was handed in by value.
    pub async fn run(mut self: Box<Self>) {
        loop {
            self.work_off().await;
            if self.machine.is_ended() {
                return;
            }
            if self.handle.is_overrun() {
                tracing::error!(call = %self.call, "the call's mailbox overran; the call is ended");
                self.pending.push_back(Input::KillNow);
                self.handle.clear_overrun();
                continue;
            }
            let happening = self.next().await;
            self.take(happening);
        }
    }

    /// The dialog, once there is one.
    fn dialog(&self) -> Option<DialogId> {
        match &self.line {
            Line::Inbound(dialog) => Some(*dialog),
            Line::Outbound(outgoing) => outgoing.dialog(),
        }
    }

    async fn next(&mut self) -> Happening {
        if let Some(mail) = self.set_aside.pop_front() {
            return Happening::Mail(mail);
        }
        let due = self.timers.iter().min_by_key(|(_, at)| *at).copied();
        let timer = async {
            match due {
                Some((kind, at)) => {
                    tokio::time::sleep_until(at.into()).await;
                    kind
                }
                None => std::future::pending().await,
            }
        };
        let agent = &mut self.agent;
        let agent = async {
            match agent {
                Agent::None => std::future::pending().await,
                Agent::Connecting(connecting) => Happening::Connected(connecting.await),
                Agent::Session(session) => Happening::Agent(session.events.recv().await),
            }
        };
        let running_tools = &mut self.running_tools;
        let mailbox = &mut self.mailbox;
        let tool = async {
            match running_tools.next().await {
                Some((id, answer)) => Happening::Tool(id, answer),
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            mail = mailbox.recv() => mail.map_or(Happening::MailboxClosed, Happening::Mail),
            happening = agent => happening,
            happening = tool => happening,
            kind = timer => Happening::Timer(kind),
        }
    }

    fn take(&mut self, happening: Happening) {
        match happening {
            Happening::Mail(mail) => self.take_mail(mail),
            // The registry is gone: the process is ending.
            Happening::MailboxClosed => self.pending.push_back(Input::KillNow),
            Happening::Connected(Ok(session)) => {
                self.agent = Agent::Session(session);
                self.pending.push_back(Input::AgentReady);
            }
            Happening::Connected(Err(error)) => {
                tracing::warn!(call = %self.call, %error, "the agent can't take the call");
                self.agent = Agent::None;
                self.pending.push_back(Input::AgentFailed);
            }
            Happening::Agent(event) => self.take_agent_event(event),
            Happening::Tool(call, answer) => self.take_tool_answer(call, answer),
            Happening::Timer(kind) => {
                self.timers.retain(|(known, _)| *known != kind);
                self.pending.push_back(Input::Timer(kind));
            }
        }
    }

    fn take_agent_event(&mut self, event: Option<AgentEvent>) {
        let input = match event {
            Some(AgentEvent::Speaking { utterance, .. }) => Input::Speaking { utterance },
            Some(AgentEvent::Spoken { utterance }) => Input::Spoken { utterance },
            Some(AgentEvent::SayFailed { utterance, error }) => {
                tracing::warn!(call = %self.call, %error, "a sentence can't be spoken");
                Input::SayFailed { utterance }
            }
            Some(AgentEvent::ToolCall { id, name, arguments }) => {
                self.run_tool(ToolRequest { id, name, arguments });
                return;
            }
            Some(AgentEvent::Fault(error)) => {
                tracing::warn!(call = %self.call, %error, "the agent reports a fault");
                return;
            }
            Some(AgentEvent::Ended) | None => {
                self.agent = Agent::None;
                Input::AgentFailed
            }
        };
        self.pending.push_back(input);
    }

    fn run_tool(&mut self, request: ToolRequest) {
        let tools = Arc::clone(&self.services.tools);
        let context = ToolContext { at: (self.services.clock)(), ..self.tool_context.clone() };
        let id = request.id.clone();
        self.running_tools.push(Box::pin(async move {
            let answer = tools.run(&context, request).await;
            (id, answer)
        }));
    }

    fn take_tool_answer(&mut self, call: ToolCallId, answer: ToolAnswer) {
        match answer {
            ToolAnswer::Outcome(outcome) => {
                self.tell_agent(crate::agent::AgentInput::ToolResult { call, outcome });
            }
            ToolAnswer::Command(command) => self.pending.push_back(Input::Tool { call, command }),
            ToolAnswer::Note(text) => self.pending.push_back(Input::Note { call, text }),
        }
    }

    /// Feeds the machine until it has nothing more to do.
    async fn work_off(&mut self) {
        let mut effects: Vec<Effect> = Vec::new();
        while let Some(input) = self.pending.pop_front() {
            self.machine.handle(input, Instant::now(), (self.services.clock)(), &mut effects);
            for effect in effects.drain(..) {
                self.carry_out(effect).await;
            }
        }
    }
}
