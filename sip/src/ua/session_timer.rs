//! Sessions that run out (RFC 4028): what responses of ours agree to, refreshes by UPDATE or by
//! re-INVITE with the session description that the far end has already, and the end of a session
//! that wasn't refreshed.

use std::time::{Duration, Instant};

use super::offer::Purpose;
use crate::dialog::session_timer::{self, Agreed, Running, Side};
use crate::dialog::{DialogId, Phase};
use crate::endpoint::policy::SessionTimer;
use crate::endpoint::{Endpoint, Event, Expiry, OfferMethod};
use crate::message::{HeaderName, Headers, Response, ResponseBuilder, StatusCode};
use crate::random::Key;
use crate::transaction::timer::Timer;

/// How long a refresh waits while an offer of either side is under way.
const BUSY: Duration = Duration::from_secs(2);
/// The shortest wait before another try, where the far end hasn't said how long.
const SOON: Duration = Duration::from_secs(5);
/// The shortest interval of the RFC, which is what holds where no `Min-SE` is said (§5).
const DEFAULT_MIN_SE: u32 = 90;

impl Endpoint {
    /// Says in a 2xx to a request with these headers how long the session lives (§9), and lets the
    /// time run from now.
    pub(crate) fn with_session_timer(
        &mut self,
        id: DialogId,
        headers: &Headers,
        response: ResponseBuilder,
        now: Instant,
    ) -> ResponseBuilder {
        let Some(policy) = self.session_policy(id) else { return response };
        let Some(dialog) = self.dialog_mut(id) else { return response };
        let session = &mut dialog.session;
        if policy == SessionTimer::Off && session.timer.is_none() {
            return response;
        }
        note_allowed(&mut session.takes_update, headers);
        let current = session.timer.map(|timer| timer.agreed.refresher);
        let Some(answer) = session_timer::answer(policy, headers, current) else {
            dialog.stop_session_timer();
            return response;
        };
        self.run_session_timer(id, answer.agreed, headers, now);
        let response = response.header(HeaderName::SessionExpires, answer.value());
        // §9: must be there when the far end refreshes, should be when it is to watch.
        if answer.understood { response.header(HeaderName::Require, "timer") } else { response }
    }

    /// The INVITE of this transaction, ours, was answered: what its session begins with.
    pub(crate) fn begin_caller_session(
        &mut self,
        id: DialogId,
        invite: Key,
        response: &Response,
        now: Instant,
    ) {
        let offered = self.client(invite).map(|client| client.request.body().clone());
        if let Some(dialog) = self.dialog_mut(id)
            && dialog.session.local.is_none()
        {
            dialog.session.local = offered.filter(|sdp| !sdp.is_empty());
        }
        self.session_prolonged(id, response, now);
    }

    /// A 2xx to an INVITE or UPDATE of ours has come: the session lives on for as long as it says
    /// (§7.2).
    pub(crate) fn session_prolonged(&mut self, id: DialogId, response: &Response, now: Instant) {
        let Some(policy) = self.session_policy(id) else { return };
        let Some(dialog) = self.dialog_mut(id) else { return };
        if dialog.phase != Phase::Established {
            return;
        }
        let headers = response.headers();
        note_allowed(&mut dialog.session.takes_update, headers);
        let asked = dialog.session.timer.map(|timer| timer.agreed.seconds);
        match session_timer::taken(policy, headers, asked) {
            Some(agreed) => self.run_session_timer(id, agreed, headers, now),
            None => dialog.stop_session_timer(),
        }
    }

    fn session_policy(&self, id: DialogId) -> Option<SessionTimer> {
        self.dialog(id).map(|dialog| self.policy_of(dialog).session_timer)
    }

    fn run_session_timer(&mut self, id: DialogId, agreed: Agreed, headers: &Headers, now: Instant) {
        let Some(dialog) = self.dialog_mut(id) else { return };
        let known = dialog.session.timer.map_or(0, |timer| timer.min_se);
        let min_se = headers.min_se().ok().flatten().unwrap_or(0).max(known);
        dialog.session.timer = Some(Running::start(agreed, min_se, now));
        self.schedule_session_timer(id, now);
    }

    fn schedule_session_timer(&mut self, id: DialogId, now: Instant) {
        let step = now + Timer::Session.first(&self.timer_settings(), false);
        let due = self.dialog(id).and_then(|dialog| dialog.session.timer).map(|timer| timer.next_at());
        if let Some(due) = due {
            self.set_dialog_timer(id, Timer::Session, due.min(step));
        }
    }

    pub(crate) fn session_timer(&mut self, id: DialogId, now: Instant) {
        let Some(timer) = self.dialog(id).and_then(|dialog| dialog.session.timer) else { return };
        if now >= timer.ends_at {
            let expiry = match timer.agreed.refresher {
                Side::Us => Expiry::RefreshFailed(timer.refused.unwrap_or(StatusCode::REQUEST_TIMEOUT)),
                Side::Them => Expiry::NotRefreshed,
            };
            self.expire_session(id, expiry, now);
            return;
        }
        if timer.refresh_at.is_some_and(|at| now >= at) {
            self.refresh_session(id, now);
        }
        self.schedule_session_timer(id, now);
    }

    fn refresh_session(&mut self, id: DialogId, now: Instant) {
        let Some(dialog) = self.dialog_mut(id) else { return };
        let session = &mut dialog.session;
        let Some(timer) = session.timer.as_mut() else { return };
        timer.refresh_at = None;
        let sdp = session.local.clone().filter(|_| !session.takes_update);
        let mut headers = vec![
            (HeaderName::Supported, b"timer".to_vec()),
            (HeaderName::SessionExpires, timer.value().into_bytes()),
        ];
        if timer.min_se > DEFAULT_MIN_SE {
            headers.push((HeaderName::MinSe, timer.min_se.to_string().into_bytes()));
        }
        let method = if sdp.is_some() { OfferMethod::Invite } else { OfferMethod::Update };
        if self.offer_with(id, method, sdp, headers, Purpose::Refresh, now).is_err()
            && let Some(timer) = self.dialog_mut(id).and_then(|dialog| dialog.session.timer.as_mut())
        {
            // Another offer is under way.
            timer.refresh_at = Some(now + BUSY);
        }
    }

    /// A refresh of ours was refused, or got no answer. Only a 2xx prolongs the session: it ends
    /// when it would have ended (§10), unless another try comes in time.
    pub(crate) fn refresh_failed(
        &mut self,
        id: DialogId,
        method: OfferMethod,
        status: StatusCode,
        response: Option<&Response>,
        now: Instant,
    ) {
        let Some(dialog) = self.dialog_mut(id) else { return };
        if dialog.phase != Phase::Established {
            return;
        }
        // §10, RFC 3261 §12.2.1.2: there is nobody there, or nobody who knows of the call.
        if matches!(status, StatusCode::REQUEST_TIMEOUT | StatusCode::CALL_DOES_NOT_EXIST) {
            self.expire_session(id, Expiry::RefreshFailed(status), now);
            return;
        }
        let Some(timer) = dialog.session.timer.as_mut() else { return };
        timer.refused = Some(status);
        let headers = response.map(Response::headers);
        let min_se = headers.and_then(|headers| headers.min_se().ok().flatten()).unwrap_or(0);
        let retry_after = headers.and_then(|headers| headers.retry_after().ok().flatten());
        let half = timer.ends_at.saturating_duration_since(now) / 2;
        let wait = match (status, method) {
            // §7.4: the next try asks for what they take.
            (StatusCode::SESSION_INTERVAL_TOO_SMALL, _)
                if min_se > timer.min_se.max(timer.agreed.seconds) =>
            {
                timer.min_se = min_se;
                timer.agreed.seconds = min_se;
                Duration::ZERO
            }
            (StatusCode::SERVER_INTERNAL_ERROR | StatusCode::SERVICE_UNAVAILABLE, _) => retry_after
                .map_or(half, |after| {
                    Duration::from_secs(u64::from(after.seconds)).max(Duration::from_secs(1))
                }),
            // A peer that lists UPDATE and doesn't take it may take the other.
            (_, OfferMethod::Update) if dialog.session.local.is_some() => {
                dialog.session.takes_update = false;
                Duration::ZERO
            }
            // Not again and again (§10): each wait is half of what is left.
            _ => half,
        };
        if let Some(timer) = dialog.session.timer.as_mut() {
            timer.refresh_at = (wait.is_zero() || half >= SOON).then_some(now + wait);
        }
        self.schedule_session_timer(id, now);
    }

    fn expire_session(&mut self, id: DialogId, expiry: Expiry, now: Instant) {
        let Some(dialog) = self.dialog_mut(id) else { return };
        if dialog.phase != Phase::Established {
            return;
        }
        dialog.unacknowledged = None;
        dialog.timers.stop(Timer::Success);
        dialog.timers.stop(Timer::Ack);
        self.count_expired_session();
        let cause = match expiry {
            Expiry::RefreshFailed(StatusCode::CALL_DOES_NOT_EXIST) => 481,
            _ => 408,
        };
        let reason = format!("SIP;cause={cause};text=\"Session expired\"");
        self.emit(Event::SessionExpired { dialog: id, expiry });
        self.send_bye(id, reason.as_bytes(), now);
    }
}

/// Remembers whether the far end takes UPDATE, where it says so.
fn note_allowed(takes_update: &mut bool, headers: &Headers) {
    if headers.contains(HeaderName::Allow) {
        *takes_update = headers.list(HeaderName::Allow).any(|method| method == b"UPDATE");
    }
}
