//! The `limits` section: how much a tenant may use.

use super::reader::{Field, Object};
use crate::ids::{DestinationId, E164};

/// Caps on a tenant's use; absent ones don't cap.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Limits {
    /// Calls at the same time.
    pub max_concurrent_calls: Option<u32>,
    /// New calls in any 60 seconds.
    pub calls_per_minute: Option<u32>,
    /// Minutes of calls per day, in the tenant's zone.
    pub minutes_per_day: Option<u32>,
    /// Minutes of calls per calendar month, in the tenant's zone.
    pub minutes_per_month: Option<u32>,
    /// Where outbound calls may go: prefixes of numbers, each with its `+`. Empty: nowhere.
    pub outbound_allowed_prefixes: Vec<String>,
    /// Spending per day.
    pub daily_spend: Option<DailySpend>,
    /// Who takes the calls beyond the caps; without it they are refused as busy.
    pub overflow_destination_id: Option<DestinationId>,
    /// Callers who aren't answered.
    pub blocked_callers: Vec<E164>,
}

/// A spending cap and the prices it is reckoned with.
#[derive(Debug, Clone, PartialEq)]
pub struct DailySpend {
    /// The most that is spent on one day.
    pub limit: f64,
    /// ISO 4217.
    pub currency: String,
    /// Prices; the longest matching prefix counts.
    pub prices: Vec<Price>,
}

/// What a minute to some numbers costs.
#[derive(Debug, Clone, PartialEq)]
pub struct Price {
    /// `+` and leading digits; `+` alone matches every number.
    pub prefix: String,
    /// In the cap's currency.
    pub per_minute: f64,
}

impl Limits {
    pub(crate) fn read(object: &Object<'_>) -> Self {
        let field = |name| object.field(name);
        Self {
            max_concurrent_calls: field("max_concurrent_calls").whole(0..=1_000_000),
            calls_per_minute: field("calls_per_minute").whole(0..=100_000),
            minutes_per_day: field("minutes_per_day").whole(0..=100_000_000),
            minutes_per_month: field("minutes_per_month").whole(0..=1_000_000_000),
            outbound_allowed_prefixes: field("outbound_allowed_prefixes").list_of(prefix),
            daily_spend: field("daily_spend").object().and_then(|object| DailySpend::read(&object)),
            overflow_destination_id: field("overflow_destination_id")
                .parsed("a destination's id", DestinationId::new),
            blocked_callers: field("blocked_callers")
                .list_of(|entry| entry.parsed("a number such as \"+33199000001\"", E164::new)),
        }
    }
}

impl DailySpend {
    fn read(object: &Object<'_>) -> Option<Self> {
        let limit = object.field("limit");
        if !limit.is_present() {
            limit.missing("the most that may be spent on a day");
        }
        let currency = object.field("currency").parsed("a code such as \"EUR\"", |text| {
            let fits = text.len() == 3 && text.bytes().all(|b| b.is_ascii_uppercase());
            if fits { Ok(text.to_owned()) } else { Err("is no currency code") }
        });
        let prices = object.field("prices").objects(|price| {
            let per_minute = price.field("per_minute").number(0.0..=1_000_000.0);
            Some(Price { prefix: prefix(&price.field("prefix"))?, per_minute: per_minute? })
        });
        Some(Self {
            limit: limit.number(0.0..=1_000_000_000.0)?,
            currency: currency.unwrap_or_else(|| "EUR".to_owned()),
            prices,
        })
    }
}

fn prefix(field: &Field<'_>) -> Option<String> {
    field.parsed("a prefix such as \"+33\"", |text| {
        let digits = text.strip_prefix('+').filter(|digits| digits.len() <= 15);
        match digits {
            Some(digits) if digits.bytes().all(|b| b.is_ascii_digit()) => Ok(text.to_owned()),
            _ => Err("is no number prefix"),
        }
    })
}
