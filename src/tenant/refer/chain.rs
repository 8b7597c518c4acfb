//! Which destination a call really goes to: the one asked for, or who stands in after hours.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::{Destination, Refer};
use crate::ids::DestinationId;
use crate::tenant::hours::HoursAnswer;

/// Where a transfer goes at an instant, with every step looked at on the way.
#[derive(Debug, Clone, PartialEq)]
pub enum Route {
    /// Somebody can be reached.
    Open {
        /// Whom.
        destination: Arc<Destination>,
        /// The steps; the last one is `destination`.
        chain: Vec<ChainStep>,
    },
    /// Nobody can.
    Closed {
        /// The steps.
        chain: Vec<ChainStep>,
    },
}

/// One destination looked at.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ChainStep {
    /// Which one.
    pub destination_id: DestinationId,
    /// What was found.
    pub outcome: StepOutcome,
}

/// What was found at a step.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "snake_case", tag = "outcome", content = "hours")]
pub enum StepOutcome {
    /// Open: the chain ends here.
    Open(HoursAnswer),
    /// Closed: the chain goes on to its after-hours destination.
    Closed(HoursAnswer),
    /// Switched off; its after-hours destination stands in.
    Disabled,
    /// The tenant has no such destination.
    Unknown,
    /// The tenant's transfers are switched off.
    TransfersOff,
}

impl Route {
    /// Whom to transfer to.
    #[must_use]
    pub fn destination(&self) -> Option<&Arc<Destination>> {
        match self {
            Self::Open { destination, .. } => Some(destination),
            Self::Closed { .. } => None,
        }
    }

    /// The steps looked at.
    #[must_use]
    pub fn chain(&self) -> &[ChainStep] {
        match self {
            Self::Open { chain, .. } | Self::Closed { chain } => chain,
        }
    }
}

impl ChainStep {
    /// The step in an English sentence, for `offhook route` and the console.
    #[must_use]
    pub fn explanation(&self) -> String {
        let id = &self.destination_id;
        match &self.outcome {
            StepOutcome::Open(hours) | StepOutcome::Closed(hours) => format!("{id}: {}", hours.explanation),
            StepOutcome::Disabled => format!("{id}: disabled"),
            StepOutcome::Unknown => format!("{id}: no destination of this tenant"),
            StepOutcome::TransfersOff => format!("{id}: this tenant's transfers are switched off"),
        }
    }
}

impl Refer {
    /// Follows the after-hours chain from `id` to the first destination that is open.
    #[must_use]
    pub fn resolve(&self, id: &DestinationId, at: DateTime<Utc>) -> Route {
        let mut chain = Vec::new();
        let mut next = Some(id);
        // Documents with circles aren't taken, so the chain ends by itself; the bound only
        // keeps that from being a matter of life and death.
        while let Some(id) = next.filter(|_| chain.len() <= self.destinations().len()) {
            let step = |outcome| ChainStep { destination_id: id.clone(), outcome };
            if !self.enabled {
                chain.push(step(StepOutcome::TransfersOff));
                break;
            }
            let Some(destination) = self.destination(id) else {
                chain.push(step(StepOutcome::Unknown));
                break;
            };
            if destination.enabled {
                let hours = destination.is_open(at);
                if hours.open {
                    chain.push(step(StepOutcome::Open(hours)));
                    return Route::Open { destination: Arc::clone(destination), chain };
                }
                chain.push(step(StepOutcome::Closed(hours)));
            } else {
                chain.push(step(StepOutcome::Disabled));
            }
            next = destination.after_hours_destination_id.as_ref();
        }
        Route::Closed { chain }
    }
}
