//! Asking one question.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{LookupIpStrategy, NameServerConfig, ResolverConfig, ResolverOpts};
use hickory_resolver::name_server::TokioConnectionProvider;
use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::{Name, RData, RecordType};
use hickory_resolver::proto::xfer::Protocol;
use hickory_resolver::proto::{ProtoError, ProtoErrorKind};
use hickory_resolver::{ResolveError, lookup::Lookup};
use sip::locate::{Answer, Naptr, Question, Srv};

/// A name server that is silent is asked a second time after this.
const TRY: Duration = Duration::from_millis(600);
/// For answers that don't say how long they hold.
const UNSTATED: Duration = Duration::from_secs(30);

/// The name servers.
pub(super) struct NameServers {
    /// Without one (no readable resolver configuration) the C library is asked.
    hickory: Option<TokioResolver>,
}

impl NameServers {
    pub(super) fn from_system() -> Self {
        let hickory = match TokioResolver::builder_tokio() {
            Ok(mut builder) => {
                adjust(builder.options_mut());
                Some(builder.build())
            }
            Err(error) => {
                tracing::warn!(%error, "no SRV lookups: resolver configuration not readable; set dns_servers");
                None
            }
        };
        Self { hickory }
    }

    pub(super) fn at(servers: &[SocketAddr]) -> Self {
        let config = |protocol| {
            servers.iter().map(move |address| {
                let mut config = NameServerConfig::new(*address, protocol);
                // What they say isn't there isn't looked for elsewhere.
                config.trust_negative_responses = true;
                config
            })
        };
        let servers: Vec<NameServerConfig> = config(Protocol::Udp).chain(config(Protocol::Tcp)).collect();
        let config = ResolverConfig::from_parts(None, Vec::new(), servers);
        let provider = TokioConnectionProvider::default();
        let mut builder = TokioResolver::builder_with_config(config, provider);
        adjust(builder.options_mut());
        Self { hickory: Some(builder.build()) }
    }

    /// The answer, and for how long it holds.
    pub(super) async fn ask(&self, question: &Question) -> (Answer, Duration) {
        let Some(hickory) = &self.hickory else { return without_hickory(question).await };
        let result = match question {
            Question::Addresses(name) => {
                // The search list of the system is for hosts; /etc/hosts is looked at as well.
                hickory.lookup_ip(name.as_str()).await.map(|found| {
                    let addresses: Vec<IpAddr> = found.iter().collect();
                    (Answer::Addresses(addresses), remaining(found.valid_until()))
                })
            }
            Question::Srv(name) => {
                hickory.lookup(name.as_str(), RecordType::SRV).await.map(|found| services(&found))
            }
            Question::Naptr(name) => {
                hickory.lookup(name.as_str(), RecordType::NAPTR).await.map(|found| rules(&found))
            }
        };
        result.unwrap_or_else(|error| nothing(question, &error))
    }
}

/// One question never takes longer than a round; answers are kept by us.
fn adjust(options: &mut ResolverOpts) {
    options.timeout = TRY;
    options.attempts = 1;
    options.cache_size = 0;
    options.ip_strategy = LookupIpStrategy::Ipv4AndIpv6;
    options.try_tcp_on_error = true;
}

fn services(found: &Lookup) -> (Answer, Duration) {
    let records = found.iter().filter_map(|data| match data {
        RData::SRV(record) => Some(Srv {
            priority: record.priority(),
            weight: record.weight(),
            port: record.port(),
            target: target(record.target()),
        }),
        _ => None,
    });
    let records: Vec<Srv> = records.collect();
    let answer = if records.is_empty() { Answer::Nothing } else { Answer::Srv(records) };
    (answer, remaining(found.valid_until()))
}

fn rules(found: &Lookup) -> (Answer, Duration) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let records = found.iter().filter_map(|data| match data {
        RData::NAPTR(record) => Some(Naptr {
            order: record.order(),
            preference: record.preference(),
            flags: text(record.flags()),
            services: text(record.services()),
            rewrites: !record.regexp().is_empty(),
            replacement: target(record.replacement()),
        }),
        _ => None,
    });
    let records: Vec<Naptr> = records.collect();
    let answer = if records.is_empty() { Answer::Nothing } else { Answer::Naptr(records) };
    (answer, remaining(found.valid_until()))
}

/// With its dot at the end, so that no search list is applied to it.
fn target(name: &Name) -> String {
    if name.is_root() { ".".to_owned() } else { format!("{}.", name.to_ascii().trim_end_matches('.')) }
}

fn remaining(until: Instant) -> Duration {
    until.saturating_duration_since(Instant::now())
}

/// What a question without answer means: the record isn't there, or nobody knows.
fn nothing(question: &Question, error: &ResolveError) -> (Answer, Duration) {
    match error.proto().map(ProtoError::kind) {
        Some(ProtoErrorKind::NoRecordsFound {
            response_code: ResponseCode::NXDomain | ResponseCode::NoError,
            negative_ttl,
            ..
        }) => {
            let ttl = negative_ttl.map_or(UNSTATED, |seconds| Duration::from_secs(seconds.into()));
            (Answer::Nothing, ttl)
        }
        _ => {
            tracing::debug!(%error, name = question.name(), "no answer from the name servers");
            (Answer::Failed, Duration::ZERO)
        }
    }
}

/// The C library knows hosts only, and doesn't tell the reasons of its failures apart.
async fn without_hickory(question: &Question) -> (Answer, Duration) {
    let Question::Addresses(name) = question else { return (Answer::Nothing, Duration::ZERO) };
    match tokio::net::lookup_host((name.as_str(), 0)).await {
        Ok(found) => (Answer::Addresses(found.map(|address| address.ip()).collect()), UNSTATED),
        Err(error) => {
            tracing::debug!(%error, name, "no address from the system");
            (Answer::Failed, Duration::ZERO)
        }
    }
}
