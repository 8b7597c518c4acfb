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
    /// The port that TLS is served on, where it isn't that of the address given with a request.
    pub tls_port: Option<u16>,
    /// How long one of several addresses is waited for before the next is tried (RFC 3263 §4.3).
    pub attempt: Duration,
    /// The longest request, in bytes, that goes over UDP by itself: a longer one is tried over TCP
    /// first, because the path may not carry it in one piece (RFC 3261 §18.1.1).
    pub max_udp_request: usize,
    /// Whether the `Via` of requests over streams asks the peer to use the connection for its own
    /// requests too (`alias`, RFC 5923 §5).
    pub connection_alias: bool,
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
            tls_port: None,
            attempt: Duration::from_secs(4),
            max_udp_request: 1_300,
            connection_alias: false,
            max_transactions: 500_000,
            max_dialogs: 100_000,
            retry_after: Duration::from_secs(5),
        }
    }
}
