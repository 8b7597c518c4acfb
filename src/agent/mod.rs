//! Who talks with the caller. [`provider`] is the interface, one implementation is chosen per
//! tenant; [`builtin`] is the one that needs nothing but this process. [`speech`] turns text into
//! telephone audio and [`phrases`] holds the standard sentences, for the call machine too.

pub mod builtin;
pub mod caller_audio;
pub mod openai;
pub mod phrases;
pub mod provider;
pub mod providers;
pub mod shipped;
pub mod speech;
pub mod turn;

pub use builtin::Builtin;
pub use openai::{OpenAi, OpenAiConfig};
pub use provider::{
    AgentEvent, AgentInput, AgentSession, AudioFormat, Capabilities, Provider, ProviderError, SessionSpec,
};
pub use providers::{Chosen, Providers};
pub use speech::{Speech, SpeechConfig, SpeechError};
