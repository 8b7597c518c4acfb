//! What the endpoint is told once.

use std::time::Duration;

use crate::transaction::timer::Settings;

/// Settings of an endpoint.
#[derive(Debug, Clone)]
pub struct Config {
    /// T1, T2 and T4.
    pub timers: Settings,
    /// The value of `Server` and `User-Agent`.
    pub product: String,
    /// Host (and port) that stand in `Via` and `Contact` instead of the socket's own, behind a
    /// NAT. IPv6 addresses in brackets.
    pub advertised: Option<(String, Option<u16>)>,
    /// Most server transactions at a time; a new request over that gets `503`.
    pub max_transactions: usize,
    /// Most dialogs at a time, those that end included; a new INVITE over that gets `503`.
    pub max_dialogs: usize,
    /// `Retry-After` of a `503`, in whole seconds.
    pub retry_after: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            timers: Settings::default(),
            product: concat!("offhook/", env!("CARGO_PKG_VERSION")).to_owned(),
            advertised: None,
            max_transactions: 500_000,
            max_dialogs: 100_000,
            retry_after: Duration::from_secs(5),
        }
    }
}
