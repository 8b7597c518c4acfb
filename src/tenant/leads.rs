//! The `leads` section: how callers become leads, and what follows.

use std::time::Duration;

use super::reader::{Object, words};

words! {
    /// What a step of a sequence does.
    StepAction {
        /// A WhatsApp message.
        Whatsapp = "whatsapp",
        /// An SMS.
        Sms = "sms",
        /// An e-mail.
        Email = "email",
        /// A person calls.
        HumanCall = "human_call",
        /// The agent calls.
        AiCall = "ai_call",
        /// Something for a person to decide.
        Review = "review",
    } default Email
}

/// Lead qualification and follow-up.
#[derive(Debug, Clone, PartialEq)]
pub struct Leads {
    /// How much each signal counts.
    pub weights: Weights,
    /// Further things to find out, in words for the model.
    pub criteria: Vec<String>,
    /// From this score on a lead is hot.
    pub hot_threshold: f64,
    /// From this score on a lead is warm.
    pub warm_threshold: f64,
    /// Who owns new leads.
    pub owner: Option<String>,
    /// Which team they belong to.
    pub team: Option<String>,
    /// What follows for hot leads.
    pub hot_sequence: Vec<SequenceStep>,
    /// What follows for warm leads.
    pub warm_sequence: Vec<SequenceStep>,
    /// What follows for cold leads.
    pub cold_sequence: Vec<SequenceStep>,
}

/// The weights of the qualification signals, each 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Weights {
    /// A budget was mentioned.
    pub budget: f64,
    /// The caller decides.
    pub decision_maker: f64,
    /// The need is clear.
    pub clear_need: f64,
    /// It is urgent.
    pub urgent_timeline: f64,
    /// The caller takes part.
    pub engagement: f64,
}

/// One step of a follow-up sequence.
#[derive(Debug, Clone, PartialEq)]
pub struct SequenceStep {
    /// Time since the sequence started.
    pub after: Duration,
    /// What is done then, all of it.
    pub actions: Vec<StepAction>,
    /// What it is about.
    pub title: String,
}

impl Default for Weights {
    fn default() -> Self {
        Self { budget: 0.25, decision_maker: 0.20, clear_need: 0.25, urgent_timeline: 0.20, engagement: 0.10 }
    }
}

impl Default for Leads {
    fn default() -> Self {
        use StepAction::{AiCall, Email, HumanCall, Review, Sms, Whatsapp};
        Self {
            weights: Weights::default(),
            criteria: Vec::new(),
            hot_threshold: 0.75,
            warm_threshold: 0.45,
            owner: None,
            team: None,
            hot_sequence: vec![
                step(0, &[Whatsapp], "confirmation"),
                step(1, &[HumanCall], "call"),
                step(24, &[Email, Sms], "reminder"),
                step(48, &[AiCall], "check-in"),
                step(7 * 24, &[HumanCall], "final attempt"),
            ],
            warm_sequence: vec![
                step(0, &[Email], "summary"),
                step(24, &[AiCall], "nurture call"),
                step(3 * 24, &[Email], "value content"),
                step(7 * 24, &[Email], "case study"),
                step(14 * 24, &[Email], "special offer"),
            ],
            cold_sequence: vec![
                step(0, &[Email], "thanks"),
                step(7 * 24, &[Email], "newsletter"),
                step(30 * 24, &[Email], "re-engagement"),
                step(60 * 24, &[Email], "survey"),
                step(90 * 24, &[Review], "archive or wake"),
            ],
        }
    }
}

fn step(hours: u64, actions: &[StepAction], title: &str) -> SequenceStep {
    SequenceStep {
        after: Duration::from_secs(hours * 3600),
        actions: actions.to_vec(),
        title: title.to_owned(),
    }
}

impl Leads {
    pub(crate) fn read(object: &Object<'_>) -> Self {
        let own = Self::default();
        let hot = object.field("hot_threshold");
        let leads = Self {
            weights: object.field("weights").section(Weights::read),
            criteria: object.field("criteria").texts(),
            hot_threshold: hot.number(0.0..=1.0).unwrap_or(own.hot_threshold),
            warm_threshold: object.field("warm_threshold").number(0.0..=1.0).unwrap_or(own.warm_threshold),
            owner: object.field("owner").text_up_to(200),
            team: object.field("team").text_up_to(200),
            hot_sequence: sequence(object, "hot_sequence").unwrap_or(own.hot_sequence),
            warm_sequence: sequence(object, "warm_sequence").unwrap_or(own.warm_sequence),
            cold_sequence: sequence(object, "cold_sequence").unwrap_or(own.cold_sequence),
        };
        if leads.hot_threshold < leads.warm_threshold {
            hot.problem("is below warm_threshold: write a higher one");
        }
        leads
    }
}

impl Weights {
    fn read(object: &Object<'_>) -> Self {
        let own = Self::default();
        let weight = |name: &str, own: f64| object.field(name).number(0.0..=1.0).unwrap_or(own);
        Self {
            budget: weight("budget", own.budget),
            decision_maker: weight("decision_maker", own.decision_maker),
            clear_need: weight("clear_need", own.clear_need),
            urgent_timeline: weight("urgent_timeline", own.urgent_timeline),
            engagement: weight("engagement", own.engagement),
        }
    }
}

fn sequence(object: &Object<'_>, name: &str) -> Option<Vec<SequenceStep>> {
    let field = object.field(name);
    field.is_present().then(|| {
        field.objects(|entry| {
            let after = entry.field("after_minutes");
            if !after.is_present() {
                after.missing("minutes since the sequence started, 0 for at once");
            }
            Some(SequenceStep {
                after: Duration::from_secs(after.whole(0..=1_000_000_u64)? * 60),
                actions: entry.field("actions").list_of(|action| action.choice(StepAction::WORDS)),
                title: entry.field("title").text_up_to(200).unwrap_or_default(),
            })
        })
    })
}
