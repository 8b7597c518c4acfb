//! What an INVITE of ours says about extensions: reliable provisional responses (RFC 3262 §4) and
//! the session timer (RFC 4028 §7.1).

use std::time::Duration;

use crate::endpoint::policy::{PeerPolicy, SessionTimer};
use crate::message::HeaderName;

/// No session interval is shorter (RFC 4028 §5), in seconds.
const FLOOR: u32 = 90;

/// The headers of an INVITE outside any dialog.
pub(super) fn extensions(policy: &PeerPolicy) -> Vec<(HeaderName, String)> {
    let mut headers = Vec::new();
    let tags = tags(policy);
    if !tags.is_empty() {
        headers.push((HeaderName::Supported, tags.join(", ")));
    }
    headers.extend(ask(policy.session_timer, None));
    headers
}

/// What of the extensions that an INVITE can use this peer is offered.
pub(super) fn tags(policy: &PeerPolicy) -> Vec<&'static str> {
    let reliable = policy.reliable_provisional.then_some("100rel");
    let timer = (policy.session_timer != SessionTimer::Off).then_some("timer");
    reliable.into_iter().chain(timer).collect()
}

/// The session interval asked for; `raised` is the `Min-SE` of a 422 that came before (§7.3).
pub(super) fn ask(policy: SessionTimer, raised: Option<u32>) -> Vec<(HeaderName, String)> {
    let (expires, min_se) = match (policy, raised) {
        (SessionTimer::Off, _) | (SessionTimer::Accept { .. }, None) => return Vec::new(),
        // A proxy has put its own interval in, and found it too short for the next one.
        (SessionTimer::Accept { min_se }, Some(_)) => (0, whole(min_se)),
        (SessionTimer::Request { expires, min_se }, _) => (whole(expires), whole(min_se)),
    };
    let shortest = min_se.max(FLOOR).max(raised.unwrap_or(0));
    let mut headers = vec![(HeaderName::SessionExpires, expires.max(shortest).to_string())];
    if shortest > FLOOR {
        headers.push((HeaderName::MinSe, shortest.to_string()));
    }
    headers
}

fn whole(duration: Duration) -> u32 {
    u32::try_from(duration.as_secs()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(session_timer: SessionTimer, reliable_provisional: bool) -> PeerPolicy {
        PeerPolicy { session_timer, reliable_provisional, ..PeerPolicy::default() }
    }

    fn text(headers: &[(HeaderName, String)]) -> String {
        headers.iter().map(|(name, value)| format!("{name}: {value}\n")).collect()
    }

    #[test]
    fn an_invite_names_what_the_policy_lets_it_use() {
        let secs = Duration::from_secs;
        assert_eq!(text(&extensions(&policy(SessionTimer::Off, false))), "");
        assert_eq!(text(&extensions(&policy(SessionTimer::Off, true))), "Supported: 100rel\n");
        let accept = SessionTimer::Accept { min_se: secs(90) };
        assert_eq!(text(&extensions(&policy(accept, false))), "Supported: timer\n");
        let request = SessionTimer::Request { expires: secs(1_800), min_se: secs(90) };
        assert_eq!(
            text(&extensions(&policy(request, true))),
            "Supported: 100rel, timer\nSession-Expires: 1800\n"
        );
        let longer = SessionTimer::Request { expires: secs(100), min_se: secs(300) };
        assert_eq!(
            text(&extensions(&policy(longer, false))),
            "Supported: timer\nSession-Expires: 300\nMin-SE: 300\n"
        );
        assert_eq!(text(&ask(request, Some(3_600))), "Session-Expires: 3600\nMin-SE: 3600\n");
        assert_eq!(text(&ask(accept, Some(600))), "Session-Expires: 600\nMin-SE: 600\n");
        assert_eq!(text(&ask(SessionTimer::Off, Some(600))), "");
    }
}
