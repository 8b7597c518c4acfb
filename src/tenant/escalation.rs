//! The `escalation` section: when a person takes over, and which.

use super::reader::{Field, Object};
use super::voice::language;
use crate::ids::E164;

/// When a person takes over.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Escalation {
    /// What triggers it.
    pub triggers: Triggers,
    /// The tenant's own words that trigger it.
    pub keywords: Vec<String>,
    /// The people.
    pub human_agents: Vec<HumanAgent>,
}

/// The triggers, each of which can be switched and tuned.
#[derive(Debug, Clone, PartialEq)]
pub struct Triggers {
    /// The caller asks for a person.
    pub human_requested: bool,
    /// The caller's mood is below this, -1 to 1. `None`: off.
    pub sentiment_below: Option<f64>,
    /// The agent is unsure. `None`: off.
    pub low_confidence: Option<LowConfidence>,
    /// A legal or compliance question.
    pub legal_or_compliance: bool,
    /// A question about competitors' prices.
    pub competitor_pricing: bool,
    /// Words of an emergency.
    pub emergency_words: bool,
    /// The conversation reached its most turns.
    pub max_turns_reached: bool,
}

/// Confidence below `below` for `turns` turns in a row.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LowConfidence {
    /// 0 to 1.
    pub below: f64,
    /// Turns in a row.
    pub turns: u32,
}

/// A person who takes calls over.
#[derive(Debug, Clone, PartialEq)]
pub struct HumanAgent {
    /// As introduced to the caller.
    pub name: String,
    /// Where summaries go.
    pub email: Option<String>,
    /// Where calls go.
    pub phone: Option<E164>,
    /// Whether they take calls at all.
    pub available: bool,
    /// Calls at the same time.
    pub max_concurrent_calls: u32,
    /// What they know.
    pub skills: Vec<String>,
    /// What they speak (BCP 47).
    pub languages: Vec<String>,
    /// Higher is asked first.
    pub priority: i32,
}

impl Default for Triggers {
    fn default() -> Self {
        Self {
            human_requested: true,
            sentiment_below: Some(-0.5),
            low_confidence: Some(LowConfidence { below: 0.6, turns: 3 }),
            legal_or_compliance: true,
            competitor_pricing: true,
            emergency_words: true,
            max_turns_reached: true,
        }
    }
}

impl Escalation {
    pub(crate) fn read(object: &Object<'_>) -> Self {
        Self {
            triggers: object.field("triggers").section(Triggers::read),
            keywords: object.field("keywords").texts(),
            human_agents: object.field("human_agents").objects(HumanAgent::read),
        }
    }
}

impl Triggers {
    fn read(object: &Object<'_>) -> Self {
        let own = Self::default();
        let switch = |name: &str, own: bool| object.field(name).boolean(own);
        Self {
            human_requested: switch("human_requested", own.human_requested),
            sentiment_below: tuned(&object.field("sentiment_below"), own.sentiment_below, |f| {
                f.number(-1.0..=1.0)
            }),
            low_confidence: tuned(&object.field("low_confidence"), own.low_confidence, |field| {
                let object = field.object()?;
                let below = object.field("below").number(0.0..=1.0).unwrap_or(0.6);
                let turns = object.field("turns").whole(1..=100).unwrap_or(3);
                Some(LowConfidence { below, turns })
            }),
            legal_or_compliance: switch("legal_or_compliance", own.legal_or_compliance),
            competitor_pricing: switch("competitor_pricing", own.competitor_pricing),
            emergency_words: switch("emergency_words", own.emergency_words),
            max_turns_reached: switch("max_turns_reached", own.max_turns_reached),
        }
    }
}

/// `true`: as by default; `false`: off; anything else: its own setting.
fn tuned<T>(field: &Field<'_>, own: Option<T>, read: impl FnOnce(&Field<'_>) -> Option<T>) -> Option<T> {
    match field.value() {
        None | Some(serde_json::Value::Bool(true)) => own,
        Some(serde_json::Value::Bool(false)) => None,
        Some(_) => read(field),
    }
}

impl HumanAgent {
    fn read(object: &Object<'_>) -> Option<Self> {
        let name = object.field("name").required_text("the person's name");
        Some(Self {
            email: object.field("email").email(),
            phone: object.field("phone").parsed("a number such as \"+33199000001\"", E164::new),
            available: object.field("available").boolean(true),
            max_concurrent_calls: object.field("max_concurrent_calls").whole(1..=1_000).unwrap_or(3),
            skills: object.field("skills").texts(),
            languages: object.field("languages").list_of(language),
            priority: object.field("priority").whole(-1_000_000..=1_000_000).unwrap_or(0),
            name: name?,
        })
    }
}
