//! `features.refer`: the people and services that a caller can be handed to.

mod chain;
mod target;

use std::collections::HashMap;
use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::hours::{BusinessHours, HoursAnswer};
use super::reader::Object;
use crate::ids::DestinationId;

pub use self::chain::{ChainStep, Route, StepOutcome};
pub use self::target::{TargetUri, TargetUriError, is_emergency_number};

/// The most destinations one tenant has.
const MAX_DESTINATIONS: usize = 200;
/// How many destinations a keypad menu offers: 9 and 0 are kept for the menu's own use.
pub const MENU_SIZE: usize = 8;

/// Call transfer, as one tenant configures it.
#[derive(Debug, Clone, PartialEq)]
pub struct Refer {
    /// Whether calls are transferred at all.
    pub enabled: bool,
    /// Whether the caller has to say yes, or press a key, before a transfer starts.
    pub require_confirmation: bool,
    /// Spoken before the transfer, instead of the standard sentence in the tenant's locale.
    pub handoff_phrase: Option<String>,
    /// In priority order: the lowest number first, then as the document lists them.
    destinations: Vec<Arc<Destination>>,
}

/// One destination.
#[derive(Debug, Clone, PartialEq)]
pub struct Destination {
    /// Its name within the tenant.
    pub destination_id: DestinationId,
    /// What is said aloud: "Mme Gogny", "le service planning".
    pub label: String,
    /// Where the call goes.
    pub target_uri: TargetUri,
    /// Tells the model when to choose it.
    pub description_for_model: String,
    /// Whether it is in use.
    pub enabled: bool,
    /// Lower comes first.
    pub priority: i32,
    /// When it can be reached; `None`: always.
    pub business_hours: Option<BusinessHours>,
    /// Who is tried outside of its hours.
    pub after_hours_destination_id: Option<DestinationId>,
}

/// One line of the keypad menu.
#[derive(Debug, Clone, PartialEq)]
pub struct MenuItem {
    /// The key: `'1'` to `'8'`, by the place among the enabled destinations. The same whatever
    /// is open, so that a regular caller's finger finds it.
    pub key: char,
    /// What it leads to.
    pub destination: Arc<Destination>,
    /// Whether the destination itself is open.
    pub open: bool,
}

impl Default for Refer {
    fn default() -> Self {
        Self { enabled: false, require_confirmation: true, handoff_phrase: None, destinations: Vec::new() }
    }
}

impl Destination {
    /// Whether the destination's own hours are open, and why.
    #[must_use]
    pub fn is_open(&self, at: DateTime<Utc>) -> HoursAnswer {
        self.business_hours.as_ref().map_or_else(HoursAnswer::always_open, |hours| hours.is_open(at))
    }

    fn read(object: &Object<'_>) -> Option<Self> {
        let id = |text: &str| DestinationId::new(text);
        let label = object.field("label");
        if !label.is_present() {
            label.missing("what is said aloud, such as \"le service planning\"");
        }
        let hours = object.field("business_hours");
        let business_hours = hours.object().as_ref().map(BusinessHours::read);
        let destination_id = object.field("destination_id").required("an id such as \"planning\"", id);
        let label = label.text_up_to(120);
        let target_uri = object.field("target_uri").required(TargetUri::EXAMPLE, str::parse);
        let after = object.field("after_hours_destination_id");
        Some(Self {
            description_for_model: object.field("description_for_model").text().unwrap_or_default(),
            enabled: object.field("enabled").boolean(true),
            priority: object.field("priority").whole(-1_000_000..=1_000_000_i32).unwrap_or(0),
            after_hours_destination_id: after.parsed("another destination's id", id),
            destination_id: destination_id?,
            label: label?,
            target_uri: target_uri?,
            // Hours that can't be read have been reported: the document isn't taken.
            business_hours: business_hours.flatten(),
        })
    }
}

impl Refer {
    pub(crate) fn read(object: &Object<'_>) -> Self {
        let list = object.field("destinations");
        let mut read = Vec::new();
        for entry in list.list_up_to(MAX_DESTINATIONS) {
            let Some(entry) = entry.object() else { continue };
            if let Some(destination) = Destination::read(&entry) {
                read.push((entry, Arc::new(destination)));
            }
        }
        check_ids(&read);
        let mut destinations: Vec<_> = read.into_iter().map(|(_, destination)| destination).collect();
        // Stable: equal priorities stay in the document's order.
        destinations.sort_by_key(|destination| destination.priority);
        Self {
            enabled: object.field("enabled").boolean(false),
            require_confirmation: object.field("require_confirmation").boolean(true),
            handoff_phrase: object.field("handoff_phrase").text_up_to(500),
            destinations,
        }
    }

    /// All destinations, in priority order.
    #[must_use]
    pub fn destinations(&self) -> &[Arc<Destination>] {
        &self.destinations
    }

    /// The destination of that name, enabled or not.
    #[must_use]
    pub fn destination(&self, id: &DestinationId) -> Option<&Arc<Destination>> {
        self.destinations.iter().find(|destination| destination.destination_id == *id)
    }

    /// The keypad menu: the first eight enabled destinations, open or not. Empty when transfers
    /// are off.
    #[must_use]
    pub fn menu(&self, at: DateTime<Utc>) -> Vec<MenuItem> {
        let enabled = self.destinations.iter().filter(|destination| self.enabled && destination.enabled);
        ('1'..='8')
            .zip(enabled.take(MENU_SIZE))
            .map(|(key, destination)| MenuItem {
                key,
                destination: Arc::clone(destination),
                open: destination.is_open(at).open,
            })
            .collect()
    }
}

/// Destination ids are unique, after-hours links lead somewhere, and never in a circle.
fn check_ids(read: &[(Object<'_>, Arc<Destination>)]) {
    let mut by_id: HashMap<&DestinationId, &Destination> = HashMap::new();
    for (entry, destination) in read {
        if by_id.insert(&destination.destination_id, destination).is_some() {
            let field = entry.field("destination_id");
            field.problem(format!(
                "{:?} is used twice: give each its own",
                destination.destination_id.as_str()
            ));
        }
    }
    let mut reported: Vec<&DestinationId> = Vec::new();
    for (entry, destination) in read {
        let field = entry.field("after_hours_destination_id");
        let Some(next) = &destination.after_hours_destination_id else { continue };
        if !by_id.contains_key(next) {
            field.problem(format!(
                "{:?} is none of this tenant's destinations: write one of their ids",
                next.as_str()
            ));
            continue;
        }
        if let Some(circle) = circle_from(&destination.destination_id, &by_id) {
            if !reported.contains(&&destination.destination_id) {
                let names: Vec<_> = circle.iter().map(|id| id.as_str()).collect();
                let first = destination.destination_id.as_str();
                field.problem(format!(
                    "leads back to where it started ({} → {first}): remove one of these links",
                    names.join(" → ")
                ));
            }
            reported.extend(circle);
        }
    }
}

/// The chain that starts at `start`, when it comes back to `start`.
fn circle_from<'a>(
    start: &'a DestinationId,
    by_id: &HashMap<&'a DestinationId, &'a Destination>,
) -> Option<Vec<&'a DestinationId>> {
    let mut walked = vec![start];
    loop {
        let last = walked.last().and_then(|last| by_id.get(*last))?;
        let next = last.after_hours_destination_id.as_ref()?;
        if next == start {
            return Some(walked);
        }
        // A circle further on is reported by its own members.
        if walked.contains(&next) {
            return None;
        }
        walked.push(next);
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
