//! The providers that there are, and which of them a tenant gets.

use std::sync::Arc;

use super::Provider;
use crate::tenant::voice::{ProviderKind, Voice};

/// The providers of the process.
#[derive(Clone)]
pub struct Providers {
    builtin: Arc<dyn Provider>,
    openai: Option<Arc<dyn Provider>>,
}

/// Who speaks on a call.
#[derive(Clone)]
pub struct Chosen {
    /// Who begins.
    pub first: Arc<dyn Provider>,
    /// Who takes over when the first fails.
    pub second: Option<Arc<dyn Provider>>,
}

impl Providers {
    /// With the one that needs nothing but this process.
    #[must_use]
    pub fn new(builtin: Arc<dyn Provider>) -> Self {
        Self { builtin, openai: None }
    }

    /// And with OpenAI's Realtime API.
    #[must_use]
    pub fn with_openai(mut self, openai: Arc<dyn Provider>) -> Self {
        self.openai = Some(openai);
        self
    }

    /// The tenant's provider and its fallback. Whatever isn't configured is stood in for: a call
    /// is answered in any case.
    #[must_use]
    pub fn choose(&self, voice: &Voice) -> Chosen {
        let first = self.get(voice.provider);
        let second = voice.fallback_provider.and_then(|kind| self.get(kind));
        if first.is_none() {
            tracing::warn!(provider = ?voice.provider, "a tenant's provider isn't configured; another speaks");
        }
        let builtin = || Arc::clone(&self.builtin);
        match (first, second) {
            (Some(first), second) => {
                let second = second.unwrap_or_else(builtin);
                let differs = !Arc::ptr_eq(&first, &second);
                Chosen { first, second: differs.then_some(second) }
            }
            (None, Some(second)) => {
                let differs = !Arc::ptr_eq(&second, &self.builtin);
                Chosen { first: second, second: differs.then(builtin) }
            }
            (None, None) => Chosen { first: builtin(), second: None },
        }
    }

    fn get(&self, kind: ProviderKind) -> Option<Arc<dyn Provider>> {
        match kind {
            ProviderKind::Builtin => Some(Arc::clone(&self.builtin)),
            ProviderKind::Openai => self.openai.clone(),
            ProviderKind::Azure
            | ProviderKind::Ultravox
            | ProviderKind::Cascade
            | ProviderKind::Simulator => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::{Builtin, Speech, SpeechConfig};

    fn provider() -> Arc<dyn Provider> {
        Arc::new(Builtin::new(Speech::new(SpeechConfig { espeak: None, ..SpeechConfig::detect() })))
    }

    fn voice(provider: ProviderKind, fallback_provider: Option<ProviderKind>) -> Voice {
        Voice { provider, fallback_provider, ..Voice::default() }
    }

    #[test]
    fn a_call_is_answered_whatever_is_configured() {
        let (builtin, openai) = (provider(), provider());
        let bare = Providers::new(Arc::clone(&builtin));
        let full = bare.clone().with_openai(Arc::clone(&openai));
        let is = |one: &Arc<dyn Provider>, other: &Arc<dyn Provider>| Arc::ptr_eq(one, other);

        let chosen = full.choose(&voice(ProviderKind::Openai, None));
        assert!(is(&chosen.first, &openai) && is(&chosen.second.unwrap(), &builtin));
        let chosen = full.choose(&voice(ProviderKind::Builtin, None));
        assert!(is(&chosen.first, &builtin) && chosen.second.is_none());
        let chosen = full.choose(&voice(ProviderKind::Azure, Some(ProviderKind::Openai)));
        assert!(is(&chosen.first, &openai) && is(&chosen.second.unwrap(), &builtin));
        let chosen = bare.choose(&voice(ProviderKind::Openai, None));
        assert!(is(&chosen.first, &builtin) && chosen.second.is_none());
    }
}
