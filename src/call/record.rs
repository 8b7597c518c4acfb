//! The record of a call: what is kept of it for good. The call owns it while it runs, the
//! journal makes it durable, the store keeps it.

mod end;
mod event;
mod keys;
mod party;
mod quality;
mod transcript;
mod transfer;

use std::fmt;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::ids::{CallId, TenantId, TrunkName};

pub use end::{CallStatus, Direction, EndReason, EndSide};
pub use event::CallEvent;
pub use keys::Keys;
pub use party::{CustomHeader, Party, RawText};
pub use quality::{MediaStats, Usage};
pub use transcript::{AgentFault, Entity, FollowUp, MessageLeft, Recording, Speaker, TranscriptTurn};
pub use transfer::{ReferNotify, TransferAttempt, TransferOutcome};

/// The most custom headers kept with one call.
pub const MAX_CUSTOM_HEADERS: usize = 32;
/// The most bytes of one custom header's value that are kept.
pub const MAX_CUSTOM_HEADER_BYTES: usize = 1024;

/// Everything kept about one call. Fields that nothing has filled yet are absent from its JSON,
/// and fields that this version doesn't know are ignored when it is read.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct CallRecord {
    /// The call.
    pub call_id: CallId,
    /// The tenant it belongs to.
    pub tenant_id: TenantId,
    /// How often the record has been written; [`CallRecord::started`] and its sisters count it
    /// up. Of two states of one call the one with the higher revision is kept.
    #[serde(default)]
    pub revision: u32,
    /// When the record last changed.
    pub updated_at: DateTime<Utc>,
    /// The lead that the caller was recognised as.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lead_id: Option<String>,
    /// Who called whom.
    pub direction: Direction,
    /// The calling party.
    pub from: Party,
    /// The called party; its number is the dialed one.
    pub to: Party,
    /// The trunk it came in or went out on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trunk: Option<TrunkName>,
    /// The dialog's Call-ID (RFC 3261 §20.8), byte for byte.
    pub sip_call_id: RawText,
    /// The final status of the first INVITE, as sent or as received.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sip_status: Option<u16>,
    /// `X-` headers and `Diversion` of the first INVITE; see [`CallRecord::keep_header`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub custom_headers: Vec<CustomHeader>,
    /// The agent's provider.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    /// The prompt version used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompt_version: Option<String>,
    /// Where the call stands, or how it went.
    pub status: CallStatus,
    /// When the INVITE came in or went out.
    pub started_at: DateTime<Utc>,
    /// When the 200 was sent or received.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answered_at: Option<DateTime<Utc>>,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<DateTime<Utc>>,
    /// Milliseconds from answer to end; 0 for a call never answered, absent while it runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<u64>,
    /// Which side ended it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end_side: Option<EndSide>,
    /// Why it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end_reason: Option<EndReason>,
    /// Turns of conversation.
    #[serde(default)]
    pub turns: u32,
    /// Whether the agent dealt with it without a person.
    #[serde(default)]
    pub ai_handled: bool,
    /// Whether it went to a person.
    #[serde(default)]
    pub escalated_to_human: bool,
    /// Why it went to a person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub escalation_reason: Option<String>,
    /// Every attempt to hand the caller over, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub transfers: Vec<TransferAttempt>,
    /// Keys the caller pressed.
    #[serde(default, skip_serializing_if = "Keys::is_empty")]
    pub keys: Keys,
    /// Recordings of the whole call.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub recordings: Vec<Recording>,
    /// Messages the caller left.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub messages: Vec<MessageLeft>,
    /// What was said.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub transcript: Vec<TranscriptTurn>,
    /// What went wrong with the agent, the first of it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub agent_faults: Vec<AgentFault>,
    /// Whether parts were left out to keep the record within the journal's bound.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub abridged: bool,
    /// A few sentences on the call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub summary: Option<String>,
    /// The caller's mood.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sentiment: Option<String>,
    /// What the caller wanted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub intents: Vec<String>,
    /// Names, dates and the like that were mentioned.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub entities: Vec<Entity>,
    /// What came of it for the business.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<String>,
    /// What is left to do, and by when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub follow_up: Option<FollowUp>,
    /// Media quality.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media: Option<MediaStats>,
    /// The capture of its signalling, relative to the data directory, where one is stored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace: Option<String>,
    /// What the call consumed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<Usage>,
}

impl CallRecord {
    /// A record in progress of a call that started at `at`, with nothing else known yet.
    #[must_use]
    pub fn new(
        call_id: CallId,
        tenant_id: TenantId,
        direction: Direction,
        sip_call_id: RawText,
        at: DateTime<Utc>,
    ) -> Self {
        Self {
            call_id,
            tenant_id,
            revision: 0,
            updated_at: at,
            lead_id: None,
            direction,
            from: Party::default(),
            to: Party::default(),
            trunk: None,
            sip_call_id,
            sip_status: None,
            custom_headers: Vec::new(),
            provider: None,
            prompt_version: None,
            status: CallStatus::InProgress,
            started_at: at,
            answered_at: None,
            ended_at: None,
            duration_ms: None,
            end_side: None,
            end_reason: None,
            turns: 0,
            ai_handled: false,
            escalated_to_human: false,
            escalation_reason: None,
            transfers: Vec::new(),
            keys: Keys::default(),
            recordings: Vec::new(),
            messages: Vec::new(),
            transcript: Vec::new(),
            agent_faults: Vec::new(),
            abridged: false,
            summary: None,
            sentiment: None,
            intents: Vec::new(),
            entities: Vec::new(),
            outcome: None,
            follow_up: None,
            media: None,
            trace: None,
            usage: None,
        }
    }

    /// Keeps one custom header, byte for byte up to [`MAX_CUSTOM_HEADER_BYTES`]; the ones beyond
    /// [`MAX_CUSTOM_HEADERS`] are left out and the record says so.
    pub fn keep_header(&mut self, name: &[u8], value: &[u8]) {
        if self.custom_headers.len() >= MAX_CUSTOM_HEADERS {
            self.abridged = true;
            return;
        }
        let kept = value.get(..MAX_CUSTOM_HEADER_BYTES).unwrap_or(value);
        let name_kept = name.get(..MAX_CUSTOM_HEADER_BYTES).unwrap_or(name);
        self.abridged |= kept.len() < value.len() || name_kept.len() < name.len();
        self.custom_headers.push(CustomHeader { name: RawText::new(name_kept), value: RawText::new(kept) });
    }

    /// Marks the call answered.
    pub fn answer(&mut self, at: DateTime<Utc>) {
        self.answered_at.get_or_insert(at);
    }

    /// Ends the call: end, duration, side, reason, and the status that follows from the reason.
    /// A call ends once; a second end changes nothing.
    pub fn end(&mut self, side: EndSide, reason: EndReason, at: DateTime<Utc>) {
        if self.ended_at.is_some() {
            return;
        }
        let at = at.max(self.started_at);
        let answered = self.answered_at.map(|answered| (at - answered).num_milliseconds());
        self.duration_ms = Some(answered.and_then(|ms| u64::try_from(ms).ok()).unwrap_or(0));
        self.ended_at = Some(at);
        self.end_side = Some(side);
        self.status = reason.status(self.direction, self.answered_at.is_some());
        self.end_reason = Some(reason);
    }

    /// The event that opens the record in the journal.
    #[must_use]
    pub fn started(&mut self, at: DateTime<Utc>) -> CallEvent {
        CallEvent::Started(self.next_revision(at))
    }

    /// The event of a change worth keeping should the process die.
    #[must_use]
    pub fn updated(&mut self, at: DateTime<Utc>) -> CallEvent {
        CallEvent::Updated(self.next_revision(at))
    }

    /// The event that closes the record; call [`CallRecord::end`] before.
    #[must_use]
    pub fn ended(&mut self, at: DateTime<Utc>) -> CallEvent {
        CallEvent::Ended(self.next_revision(at))
    }

    /// Leaves out the parts that can grow without end. Those that say who, when and why stay.
    pub fn abridge(&mut self) {
        self.transcript = Vec::new();
        self.custom_headers = Vec::new();
        self.entities = Vec::new();
        self.intents.truncate(16);
        self.transfers.truncate(32);
        self.recordings.truncate(32);
        self.messages.truncate(32);
        for text in [
            &mut self.summary,
            &mut self.sentiment,
            &mut self.outcome,
            &mut self.escalation_reason,
            &mut self.lead_id,
        ] {
            text.take_if(|text| text.len() > 2048);
        }
        self.abridged = true;
    }

    fn next_revision(&mut self, at: DateTime<Utc>) -> Box<CallRecord> {
        self.revision = self.revision.saturating_add(1);
        self.updated_at = at.max(self.updated_at);
        Box::new(self.clone())
    }
}

impl fmt::Debug for CallRecord {
    /// What a log may hold: no words of the conversation, parties and keys masked.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CallRecord")
            .field("call_id", &self.call_id)
            .field("tenant_id", &self.tenant_id)
            .field("revision", &self.revision)
            .field("direction", &self.direction)
            .field("from", &self.from)
            .field("to", &self.to)
            .field("status", &self.status)
            .field("started_at", &self.started_at)
            .field("ended_at", &self.ended_at)
            .field("end_reason", &self.end_reason)
            .field("keys", &self.keys)
            .field("transfers", &self.transfers)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> CallRecord {
        let at = DateTime::from_timestamp(1_760_000_000, 250_000_000).unwrap();
        let mut record = CallRecord::new(
            CallId::generate(),
            TenantId::new("tenant-demo-1").unwrap(),
            Direction::Inbound,
            RawText::new(b"a84b4c76e66710@pc33"),
            at,
        );
        record.from = Party::new(b"sip:+33612345678@example.org");
        record
    }

    #[test]
    fn a_record_comes_back_from_its_json_as_it_was() {
        let mut record = record();
        record.keep_header(b"X-Name", b"Andr\xe9");
        record.keys.press('4', 1200);
        record.answer(record.started_at);
        record.end(EndSide::Caller, EndReason::CallerHangup, record.started_at);
        let json = serde_json::to_vec(&record).unwrap();
        assert_eq!(serde_json::from_slice::<CallRecord>(&json).unwrap(), record);
    }

    #[test]
    fn an_open_record_holds_only_what_is_known() {
        let json = serde_json::to_value(record()).unwrap();
        assert!(json.get("ended_at").is_none() && json.get("transfers").is_none());
        assert_eq!(json["status"], "in_progress");
    }

    #[test]
    fn fields_of_a_later_version_are_passed_over() {
        let mut json = serde_json::to_value(record()).unwrap();
        json["from_the_future"] = 1.into();
        json["end_reason"] = "abducted".into();
        let read: CallRecord = serde_json::from_value(json).unwrap();
        assert_eq!(read.end_reason, Some(EndReason::Unrecognised));
    }

    #[test]
    fn duration_counts_from_the_answer_and_a_second_end_changes_nothing() {
        let mut record = record();
        let start = record.started_at;
        record.answer(start + chrono::TimeDelta::seconds(2));
        record.end(EndSide::Caller, EndReason::CallerHangup, start + chrono::TimeDelta::seconds(5));
        record.end(EndSide::Us, EndReason::Fault, start + chrono::TimeDelta::seconds(9));
        assert_eq!(record.duration_ms, Some(3000));
        assert_eq!(record.status, CallStatus::Completed);
    }

    #[test]
    fn each_event_carries_a_higher_revision_than_the_one_before() {
        let mut record = record();
        let at = record.started_at;
        let first = record.started(at);
        let second = record.updated(at);
        assert!(second.record().revision > first.record().revision);
    }

    #[test]
    fn debug_output_shows_no_number_no_name_and_no_digit() {
        let mut record = record();
        record.from.display_name = Some(RawText::new(b"Madame Dupont"));
        record.summary = Some("Madame Dupont wants her money back".to_owned());
        record.keys.press('7', 10);
        let shown = format!("{record:?}");
        assert!(!shown.contains("612345678") && !shown.contains("Dupont"));
        assert!(shown.contains("Digits(1 pressed)"));
    }

    #[test]
    fn headers_beyond_the_bound_are_left_out_and_the_record_says_so() {
        let mut record = record();
        for _ in 0..=MAX_CUSTOM_HEADERS {
            record.keep_header(b"X-A", b"b");
        }
        assert_eq!(record.custom_headers.len(), MAX_CUSTOM_HEADERS);
        assert!(record.abridged);
    }
}
