//! What has been handed on to be said and isn't known to be heard yet, in order.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use media::playout::UtteranceId;

/// How long after its calculated end an utterance counts as heard without being reported so.
const REPORT_GRACE: Duration = Duration::from_secs(10);

/// Whether a key may cut an utterance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cut {
    /// Any key cuts it.
    Freely,
    /// The disclosure of a tenant who must have it heard: keys wait.
    Never,
    /// The call machine's: keys wait, for the machine may have other plans for the call.
    NotOurs,
}

#[derive(Debug)]
struct Utterance {
    id: UtteranceId,
    cut: Cut,
    /// When its last sample should reach the caller, once its length is known.
    ends_at: Option<Instant>,
}

/// The queue.
#[derive(Debug, Default)]
pub(super) struct Speaking {
    queue: VecDeque<Utterance>,
}

impl Speaking {
    pub(super) fn push(&mut self, id: UtteranceId, cut: Cut) {
        self.queue.push_back(Utterance { id, cut, ends_at: None });
    }

    /// Everything was cleared.
    pub(super) fn clear(&mut self) {
        self.queue.clear();
    }

    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Whether the caller is hearing one that no key may cut.
    pub(super) fn hears_uncuttable(&self) -> bool {
        self.queue.front().is_some_and(|first| first.cut == Cut::Never)
    }

    /// Whether one of this kind is still to be heard, or being heard.
    pub(super) fn any(&self, cut: Cut) -> bool {
        self.queue.iter().any(|one| one.cut == cut)
    }

    /// Takes out the utterance and those before it. Gives how each could be cut; nothing for one
    /// that isn't here, for it was cleared before.
    pub(super) fn heard(&mut self, id: UtteranceId) -> impl Iterator<Item = Cut> {
        let count = self.queue.iter().position(|one| one.id == id).map_or(0, |at| at + 1);
        self.queue.drain(..count).map(|one| one.cut)
    }

    /// The utterance has been handed over completely and lasts this long.
    pub(super) fn lasts(&mut self, id: UtteranceId, length: Duration, now: Instant) {
        let mut starts_at = now;
        for one in &mut self.queue {
            if one.id == id {
                one.ends_at = Some(starts_at + length);
                return;
            }
            starts_at = one.ends_at.map_or(starts_at, |end| end.max(starts_at));
        }
    }

    /// When the first one counts as heard whatever is reported.
    pub(super) fn overdue_at(&self) -> Option<Instant> {
        Some(self.queue.front()?.ends_at? + REPORT_GRACE)
    }

    /// The first one.
    pub(super) fn first(&self) -> Option<UtteranceId> {
        self.queue.front().map(|one| one.id)
    }
}
