//! REFER as the sender, and the NOTIFYs that follow it (RFC 3515).

use std::time::Instant;

use super::uac::Draft;
use crate::dialog::{Dialog, DialogId, Phase, ReferSubscription};
use crate::endpoint::{Endpoint, Event, ReferProgress, User};
use crate::message::{HeaderName, Method, NameAddr, Request, StatusCode, Uri};

/// Why a REFER can't be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ReferError {
    /// There is no established dialog of this id.
    #[error("the call is not up")]
    NotEstablished,
    /// The target isn't a URI.
    #[error("the target is not a SIP or telephone URI")]
    BadTarget,
    /// The call to be replaced isn't up, or its target can't carry the header that says so: only
    /// SIP URIs can.
    #[error("the call to be replaced is not up, or its target is no SIP URI")]
    BadReplaces,
}

/// What the far end is asked to do.
#[derive(Debug, Clone, Copy, Default)]
pub struct Referral<'a> {
    /// Whom to call. Without one, whom `replaces` talks to.
    pub target: Option<&'a str>,
    /// The dialog of ours whose place the new call takes (RFC 3891): the second leg of an attended
    /// transfer (RFC 5589 §7).
    pub replaces: Option<DialogId>,
    /// Who asks for it, as a URI (RFC 3892); our side of the dialog without one.
    pub referred_by: Option<&'a str>,
}

impl Endpoint {
    /// Asks the far end to call `target` instead of us (RFC 3515 §2.1). What comes of it is told
    /// by [`Event::Refer`]. A REFER that went before in this dialog and hasn't come to its end is
    /// given up: nothing more is told of it, and its NOTIFYs, told apart by their `id`, are refused
    /// (RFC 6665 §4.1.3).
    ///
    /// # Errors
    /// When the dialog isn't up, or the target is no URI.
    pub fn refer(&mut self, id: DialogId, target: &str, now: Instant) -> Result<(), ReferError> {
        self.refer_to(id, &Referral { target: Some(target), ..Referral::default() }, now)
    }

    /// As [`Endpoint::refer`], with everything that can be said.
    ///
    /// # Errors
    /// When a dialog isn't up, or something isn't the URI that it should be.
    pub fn refer_to(
        &mut self,
        id: DialogId,
        referral: &Referral<'_>,
        now: Instant,
    ) -> Result<(), ReferError> {
        let target = self.refer_target(referral)?;
        let by = referral.referred_by.map(|by| Uri::parse(by.as_bytes())).transpose();
        let by = by.map_err(|_| ReferError::BadTarget)?;
        let dialog = self.dialog_mut(id).ok_or(ReferError::NotEstablished)?;
        if dialog.phase != Phase::Established || dialog.unacknowledged.is_some() {
            return Err(ReferError::NotEstablished);
        }
        let referred_by = match &by {
            Some(uri) => [b"<", uri.as_bytes(), b">"].concat(),
            None => referred_by(&dialog.local),
        };
        // The one that `send_in_dialog` gives it.
        let cseq = dialog.local_cseq.wrapping_add(1) & 0x7fff_ffff;
        dialog.refer = Some(ReferSubscription { cseq });
        let refer_to = [b"<", target.as_bytes(), b">"].concat();
        let headers = vec![(HeaderName::ReferTo, refer_to), (HeaderName::ReferredBy, referred_by)];
        let draft = Draft { headers, body: None };
        self.send_in_dialog(id, Method::Refer, draft, |cseq| User::Refer(id, cseq), now);
        Ok(())
    }

    fn refer_target(&self, referral: &Referral<'_>) -> Result<Uri, ReferError> {
        let given = referral.target.map(|target| Uri::parse(target.as_bytes())).transpose();
        let given = given.map_err(|_| ReferError::BadTarget)?;
        let Some(replaced) = referral.replaces else { return given.ok_or(ReferError::BadTarget) };
        let replaced = self.dialog(replaced).filter(|dialog| dialog.phase == Phase::Established);
        let replaced = replaced.ok_or(ReferError::BadReplaces)?;
        let target = given.unwrap_or_else(|| replaced.remote_target.clone());
        let value = replaces(replaced).filter(|_| target.is_sip()).ok_or(ReferError::BadReplaces)?;
        let target = target.with_header("Replaces", &value);
        // What is too long for a URI isn't put into it.
        if target.header("Replaces").is_some() { Ok(target) } else { Err(ReferError::BadReplaces) }
    }

    /// A REFER was answered, or, without a status, it wasn't.
    pub(crate) fn refer_answered(&mut self, id: DialogId, cseq: u32, status: Option<StatusCode>) {
        // A last NOTIFY may have come before, and another REFER after it.
        let Some(dialog) = self.dialog_mut(id) else { return };
        if dialog.refer.as_ref().is_none_or(|refer| refer.cseq != cseq) {
            return;
        }
        if !status.is_some_and(StatusCode::is_success) {
            dialog.refer = None;
        }
        let progress = status.map_or(ReferProgress::Unanswered, ReferProgress::Answered);
        self.emit(Event::Refer { dialog: id, progress });
    }
}

/// The value of a `Replaces` that names this dialog to its far end (RFC 3891 §3): `to-tag` is that
/// of whoever reads it.
fn replaces(dialog: &Dialog) -> Option<String> {
    let remote = NameAddr::parse(&dialog.remote)?;
    let (call_id, theirs) =
        (std::str::from_utf8(&dialog.call_id).ok()?, std::str::from_utf8(remote.tag()?).ok()?);
    Some(format!("{call_id};to-tag={theirs};from-tag={}", dialog.local_tag))
}

/// Our own address without its tag (RFC 3892 §2.1).
fn referred_by(local: &[u8]) -> Vec<u8> {
    let start = memchr::memchr(b'<', local);
    let end = memchr::memchr(b'>', local);
    match (start, end) {
        (Some(start), Some(end)) => local.get(start..=end).unwrap_or_default().to_vec(),
        _ => [b"<", local.split(|b| *b == b';').next().unwrap_or_default(), b">"].concat(),
    }
}

/// Reads a NOTIFY against the subscription that the REFER with CSeq `subscribed` made.
///
/// # Errors
/// The status to answer with: `489` for another event, `481` when there is no subscription, `400`
/// without `Event` or `Subscription-State` (RFC 6665 §4.1.3).
pub(crate) fn read_notify(request: &Request, subscribed: Option<u32>) -> Result<ReferProgress, StatusCode> {
    let headers = request.headers();
    let event = headers.get(HeaderName::Event).ok_or(StatusCode::BAD_REQUEST)?;
    let mut parts = event.split(|b| *b == b';').map(<[u8]>::trim_ascii);
    if !parts.next().is_some_and(|package| package.eq_ignore_ascii_case(b"refer")) {
        return Err(StatusCode::BAD_EVENT);
    }
    let subscribed = subscribed.ok_or(StatusCode::CALL_DOES_NOT_EXIST)?;
    let id = parts.find_map(|param| {
        let (name, value) = param.split_at_checked(3)?;
        name.eq_ignore_ascii_case(b"id=").then_some(value)
    });
    if let Some(id) = id
        && std::str::from_utf8(id).ok().and_then(|id| id.parse().ok()) != Some(subscribed)
    {
        return Err(StatusCode::CALL_DOES_NOT_EXIST);
    }
    let state = headers.get(HeaderName::SubscriptionState).ok_or(StatusCode::BAD_REQUEST)?;
    let state = state.split(|b| *b == b';').next().unwrap_or_default().trim_ascii();
    Ok(ReferProgress::Notified {
        status: sipfrag_status(request.body()),
        terminated: state.eq_ignore_ascii_case(b"terminated"),
    })
}

/// The status of the status line that a `message/sipfrag` body begins with (RFC 3515 §2.4.5).
fn sipfrag_status(body: &[u8]) -> Option<StatusCode> {
    let line = body.split(|b| *b == b'\n').find(|line| !line.trim_ascii().is_empty())?;
    let mut words = line.trim_ascii().split(|b| *b == b' ').filter(|word| !word.is_empty());
    if !words.next()?.eq_ignore_ascii_case(b"SIP/2.0") {
        return None;
    }
    let code = words.next().filter(|code| code.len() == 3)?;
    StatusCode::new(std::str::from_utf8(code).ok()?.parse().ok()?)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::message::{RequestBuilder, Uri};

    fn notify(event: &str, state: &str, body: &'static str) -> Request {
        RequestBuilder::new(Method::Notify, &Uri::parse(b"sip:a@b").unwrap())
            .header(HeaderName::Event, event)
            .header(HeaderName::SubscriptionState, state)
            .body("message/sipfrag;version=2.0", Bytes::from_static(body.as_bytes()))
            .build()
    }

    #[test]
    fn the_status_of_the_far_call_is_read_from_the_fragment() {
        let read = read_notify(
            &notify("refer;id=7", "terminated;reason=noresource", "SIP/2.0 486 Busy Here\r\n"),
            Some(7),
        );
        assert_eq!(read, Ok(ReferProgress::Notified { status: StatusCode::new(486), terminated: true }));
        let read = read_notify(&notify("refer", "active;expires=60", "\r\nSIP/2.0  180 Ringing"), Some(7));
        assert_eq!(read, Ok(ReferProgress::Notified { status: StatusCode::new(180), terminated: false }));
    }

    #[test]
    fn an_unreadable_fragment_is_a_notify_without_status() {
        for body in ["", "hello", "SIP/2.0 2000 OK", "SIP/2.0", "SIP/2.0 abc x"] {
            let read = read_notify(&notify("refer", "active", body), Some(1));
            assert_eq!(read, Ok(ReferProgress::Notified { status: None, terminated: false }), "{body:?}");
        }
    }

    #[test]
    fn notifies_of_other_events_and_subscriptions_are_refused() {
        assert_eq!(read_notify(&notify("dialog", "active", ""), Some(1)), Err(StatusCode::BAD_EVENT));
        let none = StatusCode::CALL_DOES_NOT_EXIST;
        assert_eq!(read_notify(&notify("refer", "active", ""), None), Err(none));
        assert_eq!(read_notify(&notify("refer;id=2", "active", ""), Some(1)), Err(none));
    }

    #[test]
    fn referred_by_carries_no_tag() {
        assert_eq!(referred_by(b"\"A\" <sip:a@b;x=y>;tag=1"), b"<sip:a@b;x=y>");
        assert_eq!(referred_by(b"sip:a@b;tag=1"), b"<sip:a@b>");
    }
}
