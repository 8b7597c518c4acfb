//! What was said on both sides: utterances on their way to the caller, how far each was heard,
//! and the words, for the transcript and for a session that has to be opened anew.

use std::collections::VecDeque;

use media::playout::UtteranceId;

use super::connection::Said;

/// Utterances under way at most; playout reports each.
const MAX_UTTERANCES: usize = 64;
/// What a new session is told of the conversation at most.
const MAX_HISTORY: usize = 20;
/// And in bytes, all together.
const MAX_HISTORY_BYTES: usize = 8 << 10;
/// A codeword lasts 1/8 ms.
const BYTES_PER_MS: u64 = 8;

/// Why a response was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Purpose {
    /// The first words.
    Greeting,
    /// An answer of the conversation.
    Reply,
    /// A sentence of the call machine.
    Announcement { utterance: UtteranceId, text: String },
    /// A short word while a tool runs.
    Filler,
    /// Whether somebody is there.
    Reprompt,
    /// The last words; the call ends after them.
    Goodbye,
}

impl Purpose {
    /// What comes back with the response.
    pub(super) fn tag(&self) -> String {
        match self {
            Self::Greeting => "greeting".to_owned(),
            Self::Reply => "reply".to_owned(),
            Self::Announcement { utterance, .. } => format!("announcement-{}", utterance.0),
            Self::Filler => "filler".to_owned(),
            Self::Reprompt => "reprompt".to_owned(),
            Self::Goodbye => "goodbye".to_owned(),
        }
    }

    /// Whether it stays out of the conversation that the model remembers.
    pub(super) fn apart(&self) -> bool {
        matches!(self, Self::Announcement { .. } | Self::Filler)
    }
}

/// An utterance on its way to the caller.
#[derive(Debug)]
pub(super) struct Utterance {
    pub(super) id: UtteranceId,
    /// The server's item; `None` for what is spoken without it.
    pub(super) item: Option<Box<str>>,
    pub(super) purpose: Purpose,
    pub(super) text: String,
    /// Audio received of it, in codewords.
    pub(super) received: u64,
    /// Its end was handed to playout.
    pub(super) ended: bool,
    /// It was cut: what still arrives isn't played.
    pub(super) cut: bool,
}

impl Utterance {
    pub(super) fn received_ms(&self) -> u64 {
        self.received / BYTES_PER_MS
    }
}

/// What becomes of the model's memory when an utterance wasn't heard to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Forget {
    /// Nothing: all of it was heard.
    Nothing,
    /// What is beyond this.
    After { item: Box<str>, audio_end_ms: u64 },
    /// All of it.
    All { item: Box<str> },
}

/// What was said.
#[derive(Debug, Default)]
pub(super) struct Talk {
    utterances: VecDeque<Utterance>,
    history: VecDeque<Said>,
    /// How often something was added to the history.
    remembered: u64,
    spoken: u64,
}

impl Talk {
    /// Changes when something was said.
    pub(super) fn remembered(&self) -> u64 {
        self.remembered
    }

    /// The utterance of an item, begun if it isn't known. The second value: it was begun.
    pub(super) fn of_item(
        &mut self,
        item: &str,
        purpose: impl FnOnce() -> Purpose,
    ) -> (&mut Utterance, bool) {
        let known = self.utterances.iter().position(|one| one.item.as_deref() == Some(item));
        let begun = known.is_none();
        let at = known.unwrap_or_else(|| {
            let purpose = purpose();
            self.begin(Some(item.into()), purpose)
        });
        let last = self.utterances.len().saturating_sub(1);
        // `begin` pushed one at least.
        #[expect(clippy::indexing_slicing, reason = "the position was found, or is that of the one pushed")]
        let utterance = &mut self.utterances[at.min(last)];
        (utterance, begun)
    }

    /// Begins an utterance. Returns where it is.
    pub(super) fn begin(&mut self, item: Option<Box<str>>, purpose: Purpose) -> usize {
        if self.utterances.len() >= MAX_UTTERANCES {
            self.utterances.pop_front();
        }
        let id = match &purpose {
            Purpose::Announcement { utterance, .. } if self.find(*utterance).is_none() => *utterance,
            _ => {
                self.spoken = self.spoken.saturating_add(1);
                UtteranceId(self.spoken.saturating_mul(2))
            }
        };
        let text = String::new();
        self.utterances.push_back(Utterance {
            id,
            item,
            purpose,
            text,
            received: 0,
            ended: false,
            cut: false,
        });
        self.utterances.len() - 1
    }

    /// The utterance of an item, if there is one.
    pub(super) fn known(&mut self, item: &str) -> Option<&mut Utterance> {
        self.utterances.iter_mut().find(|one| one.item.as_deref() == Some(item))
    }

    pub(super) fn find(&mut self, id: UtteranceId) -> Option<&mut Utterance> {
        self.utterances.iter_mut().find(|one| one.id == id)
    }

    /// All that the caller hasn't heard to the end.
    pub(super) fn under_way(&mut self) -> impl Iterator<Item = &mut Utterance> {
        self.utterances.iter_mut()
    }

    /// Whether the caller hears something, or is going to.
    pub(super) fn is_quiet(&self) -> bool {
        self.utterances.is_empty()
    }

    /// Playout is done with an utterance. Gives it back with what the model has to forget.
    pub(super) fn played(&mut self, id: UtteranceId, sent_ms: u64) -> Option<(Utterance, Forget)> {
        let at = self.utterances.iter().position(|one| one.id == id)?;
        let mut utterance = self.utterances.remove(at)?;
        let received_ms = utterance.received_ms();
        let whole = utterance.ended && !utterance.cut && sent_ms >= received_ms.saturating_sub(20);
        let forget = match &utterance.item {
            _ if whole || utterance.purpose.apart() => Forget::Nothing,
            None => Forget::Nothing,
            Some(item) if sent_ms == 0 => Forget::All { item: item.clone() },
            Some(item) => Forget::After { item: item.clone(), audio_end_ms: sent_ms.min(received_ms) },
        };
        if !whole {
            utterance.text = heard_part(&utterance.text, sent_ms, received_ms).to_owned();
        }
        if !utterance.text.is_empty() {
            self.remember(Said::Agent(utterance.text.clone()));
        }
        Some((utterance, forget))
    }

    /// Keeps what was said for a session that has to be opened anew.
    pub(super) fn remember(&mut self, said: Said) {
        self.remembered += 1;
        self.history.push_back(said);
        let size = |said: &Said| match said {
            Said::Caller(text) | Said::Agent(text) | Said::Note(text) => text.len(),
        };
        while self.history.len() > MAX_HISTORY
            || (self.history.len() > 1 && self.history.iter().map(size).sum::<usize>() > MAX_HISTORY_BYTES)
        {
            self.history.pop_front();
        }
    }

    /// The conversation so far.
    pub(super) fn history(&self) -> Vec<Said> {
        self.history.iter().cloned().collect()
    }
}

/// The words that were heard, by the share of the audio; cut between words.
fn heard_part(text: &str, sent_ms: u64, received_ms: u64) -> &str {
    if received_ms == 0 || sent_ms >= received_ms {
        return if sent_ms == 0 { "" } else { text };
    }
    let length = u64::try_from(text.len()).unwrap_or(u64::MAX);
    let share = usize::try_from(length.saturating_mul(sent_ms) / received_ms).unwrap_or(0);
    let cut = (0..=share.min(text.len())).rev().find(|at| {
        text.is_char_boundary(*at) && (*at == 0 || text.as_bytes().get(*at).is_some_and(|b| *b == b' '))
    });
    text.get(..cut.unwrap_or(0)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn talk(received_ms: u64, ended: bool) -> (Talk, UtteranceId) {
        let mut talk = Talk::default();
        let (utterance, begun) = talk.of_item("item_1", || Purpose::Reply);
        assert!(begun);
        utterance.received = received_ms * BYTES_PER_MS;
        utterance.ended = ended;
        utterance.text = "We are open from nine to five on weekdays".to_owned();
        let id = utterance.id;
        (talk, id)
    }

    #[test]
    fn what_was_heard_to_its_end_is_remembered_whole() {
        let (mut talk, id) = talk(1_000, true);
        let (_, forget) = talk.played(id, 1_000).unwrap();
        assert_eq!(forget, Forget::Nothing);
        assert_eq!(talk.history().len(), 1);
        assert!(talk.is_quiet() && talk.played(id, 1_000).is_none());
    }

    #[test]
    fn the_model_forgets_what_was_never_sent_and_never_more_than_there_is() {
        for (sent, expected) in [
            (400, Forget::After { item: "item_1".into(), audio_end_ms: 400 }),
            (0, Forget::All { item: "item_1".into() }),
            (1_020, Forget::After { item: "item_1".into(), audio_end_ms: 1_000 }),
        ] {
            let (mut talk, id) = talk(1_000, false);
            let (utterance, forget) = talk.played(id, sent).unwrap();
            assert_eq!(forget, expected);
            assert_eq!(utterance.text.is_empty(), sent == 0);
        }
        let (mut talk, id) = talk(1_000, false);
        let (utterance, _) = talk.played(id, 500).unwrap();
        assert_eq!(utterance.text, "We are open from");
    }

    #[test]
    fn a_new_session_is_told_the_last_of_a_long_conversation() {
        let mut talk = Talk::default();
        for turn in 0..100 {
            talk.remember(Said::Caller(format!("turn {turn}")));
        }
        assert_eq!(talk.history().len(), MAX_HISTORY);
        assert_eq!(talk.history().last(), Some(&Said::Caller("turn 99".to_owned())));
        talk.remember(Said::Caller("x".repeat(2 * MAX_HISTORY_BYTES)));
        assert_eq!(talk.history().len(), 1);
    }
}
