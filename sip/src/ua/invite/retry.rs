//! INVITEs that are made again because of how they were refused: with a longer session interval
//! (RFC 4028 §7.3), without or with an extension (RFC 3261 §8.1.3.5, §21.4.16).

use std::time::Instant;

use super::session;
use crate::endpoint::{Endpoint, InviteId};
use crate::message::{HeaderName, Response, StatusCode};
use crate::random::Key;
use crate::ua::reissue::Changes;

/// Refusals that are taken as a wish, for one call: each may raise the interval, or change the
/// extensions, and a far end that is never content gets no more.
const MOST: u8 = 3;

/// What was changed so far.
#[derive(Debug, Default)]
pub(super) struct Retries {
    made: u8,
    /// The longest `Min-SE` of a 422.
    min_se: u32,
    dropped: Vec<&'static str>,
    added: Vec<&'static str>,
}

impl Endpoint {
    /// Sends the INVITE again in the form that its refusal asks for. False when there is none.
    pub(super) fn invite_changed(
        &mut self,
        id: InviteId,
        key: Key,
        response: &Response,
        now: Instant,
    ) -> bool {
        let Some(changes) = self.changes_for(id, response) else { return false };
        let Some(outgoing) = self.outgoing_mut(id) else { return false };
        outgoing.retries.made += 1;
        self.send_again(key, changes, now)
    }

    fn changes_for(&mut self, id: InviteId, response: &Response) -> Option<Changes> {
        let policy = self.policy(self.outgoing(id)?.policy);
        let outgoing = self.outgoing_mut(id)?;
        let retries = &mut outgoing.retries;
        if retries.made >= MOST {
            return None;
        }
        let headers = response.headers();
        let known = ["100rel", "timer"].into_iter();
        match response.status() {
            StatusCode::SESSION_INTERVAL_TOO_SMALL => {
                let least = headers.min_se().ok().flatten().filter(|least| *least > retries.min_se)?;
                retries.min_se = least;
                let asked = session::ask(policy.session_timer, Some(least));
                let named = |name| asked.iter().find(|(n, _)| *n == name).map(|(_, value)| value.clone());
                let (expires, min_se) = (named(HeaderName::SessionExpires)?, named(HeaderName::MinSe));
                let headers = vec![(HeaderName::SessionExpires, Some(expires)), (HeaderName::MinSe, min_se)];
                Some(Changes { headers, ..Changes::default() })
            }
            StatusCode::BAD_EXTENSION => {
                let refused = headers.unsupported().ok()?;
                let named: Vec<&str> =
                    known.filter(|tag| refused.contains(tag) && !retries.dropped.contains(tag)).collect();
                let any = !named.is_empty();
                retries.dropped.extend(named);
                any.then(|| retries.changes(session::tags(&policy)))
            }
            // Only what we understand can be offered.
            StatusCode::EXTENSION_REQUIRED => {
                let demanded = headers.require().ok().filter(|demanded| !demanded.is_empty())?;
                let met: Vec<&str> = known.filter(|tag| demanded.contains(tag)).collect();
                if met.len() < demanded.len() || met.iter().all(|tag| retries.added.contains(tag)) {
                    return None;
                }
                retries.added.extend(met);
                Some(retries.changes(session::tags(&policy)))
            }
            _ => None,
        }
    }
}

impl Retries {
    /// The extensions named from now on.
    fn changes(&self, tags: Vec<&'static str>) -> Changes {
        let mut tags: Vec<&str> = tags.into_iter().filter(|tag| !self.dropped.contains(tag)).collect();
        for tag in &self.added {
            if !tags.contains(tag) {
                tags.push(tag);
            }
        }
        let supported = (!tags.is_empty()).then(|| tags.join(", "));
        let mut headers = vec![(HeaderName::Supported, supported)];
        // Without the extension its headers mean nothing.
        if self.dropped.contains(&"timer") {
            headers.extend([(HeaderName::SessionExpires, None), (HeaderName::MinSe, None)]);
        }
        Changes { headers, ..Changes::default() }
    }
}
