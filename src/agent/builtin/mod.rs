//! The agent that needs nothing but this process: it greets, offers the tenant's destinations by
//! key, takes messages and says what the call machine gives it. No network, no model, no key.

mod menu;
mod script;
mod session;
mod speaking;
#[cfg(test)]
mod testing;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::sync::mpsc;

use super::provider::{
    AgentSession, AudioFormat, Capabilities, EVENT_CAPACITY, INPUT_CAPACITY, Provider, ProviderError,
    SessionSpec,
};
use super::speech::Speech;
pub use script::sentences;

/// The provider `builtin`.
#[derive(Debug, Clone)]
pub struct Builtin {
    speech: Speech,
}

impl Builtin {
    /// Speaks with `speech`.
    #[must_use]
    pub fn new(speech: Speech) -> Self {
        Self { speech }
    }
}

impl Provider for Builtin {
    fn name(&self) -> &'static str {
        "builtin"
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            hears: &[],
            speaks: &[AudioFormat::Pcm16 { rate_hz: 8_000 }],
            server_vad: false,
            truncation: false,
        }
    }

    fn connect(&self, spec: SessionSpec) -> BoxFuture<'static, Result<AgentSession, ProviderError>> {
        let speech = self.speech.clone();
        async move {
            let (input, inputs) = mpsc::channel(INPUT_CAPACITY);
            let (events_in, events) = mpsc::channel(EVENT_CAPACITY);
            // The task ends when `input` is dropped; see the provider module.
            tokio::spawn(session::Session::new(spec, speech, inputs, events_in).run());
            Ok(AgentSession { input, events })
        }
        .boxed()
    }
}
