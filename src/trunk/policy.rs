//! What the endpoint is told of a trunk.

use sip::endpoint::policy::{Authentication, PeerPolicy, SessionTimer};

use crate::config::{self, SessionTimerPolicy};

/// What is agreed with the trunk's peer. A call of it never takes the place of another: nobody
/// would end that one.
#[must_use]
pub fn peer_policy(trunk: &config::Trunk) -> PeerPolicy {
    let timer = trunk.session_timer;
    PeerPolicy {
        session_timer: match timer.policy {
            SessionTimerPolicy::Off => SessionTimer::Off,
            SessionTimerPolicy::Accept => SessionTimer::Accept { min_se: timer.min_se },
            SessionTimerPolicy::Request => {
                SessionTimer::Request { expires: timer.expires, min_se: timer.min_se }
            }
        },
        reliable_provisional: trunk.reliable_provisional,
        authentication: trunk
            .authentication
            .as_ref()
            .map(|asked| Authentication { realm: asked.realm.clone(), users: asked.users.clone() }),
        accept_replaces: false,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::config::{Config, Overrides};

    fn policy(keys: &str) -> PeerPolicy {
        let text = format!("[[trunk]]\nname = \"t\"\nmode = \"open\"\nsources = [\"192.0.2.1\"]\n{keys}");
        let environment = |_: &str| Some("secret".to_owned());
        peer_policy(
            &Config::from_toml(&text, None, &Overrides::default(), &environment).unwrap().config.trunks[0],
        )
    }

    #[test]
    fn a_trunk_without_a_word_trusts_addresses_and_asks_for_session_timers() {
        let policy = policy("");
        let expected =
            SessionTimer::Request { expires: Duration::from_secs(1800), min_se: Duration::from_secs(90) };
        assert_eq!(policy.session_timer, expected);
        assert!(policy.authentication.is_none() && !policy.reliable_provisional && !policy.accept_replaces);
    }

    #[test]
    fn what_the_trunk_says_is_agreed() {
        assert_eq!(policy("session_timer = \"off\"\n").session_timer, SessionTimer::Off);
        let policy = policy(
            "session_timer = \"accept\"\nmin_se = 120\nreliable_provisional = true\nauth_realm = \"r\"\n\
             [[trunk.auth_inbound]]\nusername = \"u\"\npassword_env = \"P\"\n",
        );
        assert_eq!(policy.session_timer, SessionTimer::Accept { min_se: Duration::from_secs(120) });
        assert!(policy.reliable_provisional);
        let asked = policy.authentication.unwrap();
        assert_eq!((asked.realm.as_str(), asked.users[0].username.as_str()), ("r", "u"));
    }
}
