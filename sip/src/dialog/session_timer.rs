//! How long a session lives without a sign of life, and who gives it (RFC 4028): what is agreed,
//! as either side, and when it falls due.

use std::time::{Duration, Instant};

use crate::endpoint::policy::SessionTimer;
use crate::message::{HeaderName, Headers, Refresher, StatusCode};

/// No interval is shorter (§5), in seconds.
const FLOOR: u32 = 90;
/// None is kept longer: a week without a word is as good as for ever.
const LONGEST: u32 = 7 * 86_400;
/// How long before its end a session that wasn't refreshed is ended, at most (§10).
const MARGIN: Duration = Duration::from_secs(32);

/// One of the two ends of a dialog.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Us,
    Them,
}

/// What was agreed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Agreed {
    pub seconds: u32,
    pub refresher: Side,
}

/// An answer to a request that may have asked for a session timer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Answer {
    pub agreed: Agreed,
    /// Whether the far end speaks the extension, so that the response may demand it.
    pub understood: bool,
}

/// The interval asked for is shorter than ours may be (§6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TooSmall(u32);

impl TooSmall {
    /// What goes with the 422.
    pub fn header(self) -> (HeaderName, String) {
        (HeaderName::MinSe, self.0.to_string())
    }
}

impl Answer {
    /// The value of `Session-Expires` in the response.
    pub fn value(&self) -> String {
        let refresher = match self.agreed.refresher {
            Side::Us => "uas",
            Side::Them => "uac",
        };
        format!("{};refresher={refresher}", self.agreed.seconds)
    }
}

/// An agreed timer that runs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Running {
    pub agreed: Agreed,
    /// The shortest interval that the far end takes, if it has said so.
    pub min_se: u32,
    /// When we refresh; `None` while it is the far end's to do, or ours is under way.
    pub refresh_at: Option<Instant>,
    /// When the call is ended unless it has been refreshed.
    pub ends_at: Instant,
    /// What the last try to refresh met with.
    pub refused: Option<StatusCode>,
}

impl Running {
    /// Begins anew, now.
    pub fn start(agreed: Agreed, min_se: u32, now: Instant) -> Self {
        let interval = Duration::from_secs(u64::from(agreed.seconds));
        let (refresh_at, ends_at) = match agreed.refresher {
            // Half the interval leaves time for a second try (§7.2, §9).
            Side::Us => (Some(now + interval / 2), now + interval),
            // §10: slightly before the end.
            Side::Them => (None, now + (interval - MARGIN.min(interval / 3))),
        };
        Self { agreed, min_se, refresh_at, ends_at, refused: None }
    }

    /// When something is to be done next.
    pub fn next_at(&self) -> Instant {
        self.refresh_at.map_or(self.ends_at, |at| at.min(self.ends_at))
    }

    /// The value of `Session-Expires` in a request of ours. Who refreshes stays as it is (§7.4).
    pub fn value(&self) -> String {
        let refresher = match self.agreed.refresher {
            Side::Us => "uac",
            Side::Them => "uas",
        };
        format!("{};refresher={refresher}", self.agreed.seconds)
    }
}

/// The shortest interval that we take; `None` where the extension isn't spoken.
fn shortest(policy: SessionTimer) -> Option<u32> {
    match policy {
        SessionTimer::Off => None,
        SessionTimer::Accept { min_se } | SessionTimer::Request { min_se, .. } => {
            Some(whole(min_se).max(FLOOR))
        }
    }
}

fn whole(duration: Duration) -> u32 {
    u32::try_from(duration.as_secs()).unwrap_or(u32::MAX)
}

/// Whether a list of option tags among `Supported` and `Require` has this one.
pub(crate) fn names(headers: &Headers, tag: &str) -> bool {
    let mut tags = headers.list(HeaderName::Supported).chain(headers.list(HeaderName::Require));
    tags.any(|one| one.eq_ignore_ascii_case(tag.as_bytes()))
}

/// Refuses an interval that is too short. One who doesn't speak the extension wouldn't understand
/// a 422, and didn't ask: a proxy did (§8.1, §9).
pub(crate) fn check(policy: SessionTimer, headers: &Headers) -> Result<(), TooSmall> {
    let Some(shortest) = shortest(policy) else { return Ok(()) };
    match headers.session_expires() {
        Ok(Some(asked)) if asked.seconds < shortest && names(headers, "timer") => Err(TooSmall(shortest)),
        _ => Ok(()),
    }
}

/// Answers as the UAS (§9). `current` is who refreshes now, which stays so unless the request says
/// otherwise.
pub(crate) fn answer(policy: SessionTimer, headers: &Headers, current: Option<Side>) -> Option<Answer> {
    let shortest = shortest(policy)?;
    let asked = headers.session_expires().ok().flatten();
    let theirs = headers.min_se().ok().flatten().unwrap_or(FLOOR);
    let seconds = match (policy, asked) {
        (SessionTimer::Request { expires, .. }, None) => whole(expires).max(theirs),
        // Ours may be shorter than what was asked for, not than what they take (§9).
        (SessionTimer::Request { expires, .. }, Some(asked)) => asked.seconds.min(whole(expires).max(theirs)),
        (SessionTimer::Accept { .. }, Some(asked)) => asked.seconds,
        (SessionTimer::Accept { .. }, None) | (SessionTimer::Off, _) => return None,
    };
    let understood = names(headers, "timer");
    // Table 2 of §9.
    let refresher = match (understood, asked.and_then(|asked| asked.refresher)) {
        (false, _) | (true, Some(Refresher::Uas)) => Side::Us,
        (true, Some(Refresher::Uac)) => Side::Them,
        // Whoever speaks of it can be trusted to do it.
        (true, None) => current.unwrap_or(Side::Them),
    };
    let agreed = Agreed { seconds: seconds.clamp(shortest, LONGEST.max(shortest)), refresher };
    Some(Answer { agreed, understood })
}

/// What the 2xx to a request of ours agrees to, that asked for `seconds` (§7.2). Without
/// `Session-Expires` in it there is no agreement; where our policy wants one all the same, we
/// refresh.
pub(crate) fn taken(policy: SessionTimer, headers: &Headers, seconds: Option<u32>) -> Option<Agreed> {
    shortest(policy)?;
    if let Ok(Some(answered)) = headers.session_expires() {
        let refresher = match answered.refresher {
            Some(Refresher::Uas) => Side::Them,
            Some(Refresher::Uac) | None => Side::Us,
        };
        return Some(Agreed { seconds: answered.seconds.clamp(FLOOR, LONGEST), refresher });
    }
    match policy {
        SessionTimer::Request { expires, min_se } => {
            let seconds = seconds.unwrap_or_else(|| whole(expires).max(whole(min_se)));
            Some(Agreed { seconds: seconds.clamp(FLOOR, LONGEST), refresher: Side::Us })
        }
        SessionTimer::Off | SessionTimer::Accept { .. } => None,
    }
}

#[cfg(test)]
#[path = "session_timer_tests.rs"]
mod tests;
