//! From a host name to addresses (RFC 3263 §4.2): literals at once, SRV where no port is given,
//! then A and AAAA.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use hickory_resolver::TokioResolver;
use hickory_resolver::proto::rr::rdata::SRV;
use rand::Rng;
use sip::endpoint::flow::Transport;
use tokio::time::timeout;

/// The port of SIP where nothing names another (RFC 3261 §19.1.2).
const SIP_PORT: u16 = 5060;
/// The whole of a resolution, however many questions it takes.
const LIMIT: Duration = Duration::from_secs(4);
/// Hosts looked at of one SRV answer, and addresses given: a list to fail over on, no more.
const MAX_TARGETS: usize = 8;
const MAX_ADDRESSES: usize = 16;

/// Why a name gave no address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DnsError {
    /// There is no such name, or it has no address.
    #[error("{0} has no address: check the name and the system's resolver")]
    NoAddress(String),
    /// No answer in time.
    #[error("no answer about {0} within 4 s: check the system's resolver")]
    TimedOut(String),
}

/// Looks names up as the system is configured to.
pub struct Resolver {
    /// Without one (no readable resolver configuration) the C library is asked.
    hickory: Option<TokioResolver>,
}

impl Resolver {
    /// A resolver by `/etc/resolv.conf` and `/etc/hosts`. Must be called within a tokio runtime.
    #[must_use]
    pub fn from_system() -> Self {
        let hickory = match TokioResolver::builder_tokio() {
            Ok(builder) => Some(builder.build()),
            Err(error) => {
                tracing::warn!(%error, "no SRV lookups: resolver configuration not readable");
                None
            }
        };
        Self { hickory }
    }

    /// The addresses of a host, best first and at least one; a port in the URI turns SRV off.
    ///
    /// # Errors
    /// When there is none, or no answer within 4 s.
    pub async fn resolve(
        &self,
        host: &str,
        port: Option<u16>,
        transport: Transport,
    ) -> Result<Vec<SocketAddr>, DnsError> {
        if let Some(address) = literal(host) {
            return Ok(vec![SocketAddr::new(address, port.unwrap_or(SIP_PORT))]);
        }
        match timeout(LIMIT, self.look_up(host, port, transport)).await {
            Ok(addresses) if addresses.is_empty() => Err(DnsError::NoAddress(host.to_owned())),
            Ok(addresses) => Ok(addresses),
            Err(_) => Err(DnsError::TimedOut(host.to_owned())),
        }
    }

    async fn look_up(&self, host: &str, port: Option<u16>, transport: Transport) -> Vec<SocketAddr> {
        let mut found = Vec::new();
        if port.is_none() {
            for service in self.services(host, transport).await {
                let target = service.target().to_utf8();
                found.extend(self.addresses(&target, service.port()).await);
                if found.len() >= MAX_ADDRESSES {
                    break;
                }
            }
        }
        if found.is_empty() {
            found = self.addresses(host, port.unwrap_or(SIP_PORT)).await;
        }
        found.truncate(MAX_ADDRESSES);
        found
    }

    async fn services(&self, host: &str, transport: Transport) -> Vec<SRV> {
        let Some(hickory) = &self.hickory else { return Vec::new() };
        let protocol = match transport {
            Transport::Udp => "_sip._udp",
            Transport::Tcp => "_sip._tcp",
            Transport::Tls => "_sips._tcp",
        };
        // The dot at the end keeps the system's search domains out.
        let name = format!("{protocol}.{}.", host.trim_end_matches('.'));
        let answer = match hickory.srv_lookup(name).await {
            Ok(answer) => answer,
            Err(error) => {
                tracing::debug!(%error, host, "no SRV records");
                return Vec::new();
            }
        };
        let mut services: Vec<SRV> = answer.iter().cloned().collect();
        // A single target "." says that the service is not offered (RFC 2782).
        services.retain(|service| !service.target().is_root());
        let mut services = in_order(services, &mut rand::rng());
        services.truncate(MAX_TARGETS);
        services
    }

    async fn addresses(&self, host: &str, port: u16) -> Vec<SocketAddr> {
        let Some(hickory) = &self.hickory else {
            return tokio::net::lookup_host((host, port)).await.map(Iterator::collect).unwrap_or_default();
        };
        match hickory.lookup_ip(host).await {
            Ok(answer) => answer.iter().map(|address| SocketAddr::new(address, port)).collect(),
            Err(error) => {
                tracing::debug!(%error, host, "no addresses");
                Vec::new()
            }
        }
    }
}

fn literal(host: &str) -> Option<IpAddr> {
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    bare.parse().ok()
}

/// The order in which to try: by priority, and within one by chance in proportion to the
/// weights (RFC 2782).
fn in_order(mut services: Vec<SRV>, random: &mut impl Rng) -> Vec<SRV> {
    // Weight 0 first, so that the running sum gives it its small chance.
    services.sort_by_key(|service| (service.priority(), service.weight()));
    let mut ordered = Vec::with_capacity(services.len());
    while let Some(priority) = services.first().map(SRV::priority) {
        let same = services.iter().take_while(|service| service.priority() == priority);
        let total: u32 = same.map(|service| u32::from(service.weight())).sum();
        let drawn = random.random_range(0..=total);
        let mut sum = 0;
        let chosen = services.iter().position(|service| {
            sum += u32::from(service.weight());
            sum >= drawn
        });
        ordered.push(services.remove(chosen.unwrap_or(0)));
    }
    ordered
}

#[cfg(test)]
mod tests {
    use super::*;
    use hickory_resolver::Name;
    use hickory_resolver::config::{NameServerConfig, ResolverConfig};
    use hickory_resolver::name_server::TokioConnectionProvider;
    use hickory_resolver::proto::op::{Message, MessageType, ResponseCode};
    use hickory_resolver::proto::rr::rdata::A;
    use hickory_resolver::proto::rr::{RData, Record, RecordType};
    use hickory_resolver::proto::xfer::Protocol;
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    fn service(priority: u16, weight: u16, port: u16) -> SRV {
        SRV::new(priority, weight, port, Name::from_ascii("a.example.").unwrap())
    }

    /// A name server on loopback that knows two SIP hosts of `example.test`.
    async fn resolver() -> Resolver {
        let socket = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        tokio::spawn(async move {
            let mut packet = [0; 4096];
            loop {
                let (length, source) = socket.recv_from(&mut packet).await.unwrap();
                let query = Message::from_vec(&packet[..length]).unwrap();
                socket.send_to(&answer(&query).to_vec().unwrap(), source).await.unwrap();
            }
        });
        let server = NameServerConfig::new(address, Protocol::Udp);
        let config = ResolverConfig::from_parts(None, vec![], vec![server]);
        let provider = TokioConnectionProvider::default();
        Resolver { hickory: Some(TokioResolver::builder_with_config(config, provider).build()) }
    }

    fn answer(query: &Message) -> Message {
        let mut reply = Message::new();
        reply.set_id(query.id()).set_message_type(MessageType::Response);
        reply.add_queries(query.queries().to_vec());
        let asked = query.queries()[0].clone();
        let data = match (asked.name().to_ascii().as_str(), asked.query_type()) {
            ("_sip._udp.example.test.", RecordType::SRV) => vec![
                RData::SRV(SRV::new(20, 0, 5070, Name::from_ascii("b.example.test.").unwrap())),
                RData::SRV(SRV::new(10, 0, 5060, Name::from_ascii("a.example.test.").unwrap())),
            ],
            ("a.example.test.", RecordType::A) => vec![RData::A(A::new(192, 0, 2, 1))],
            ("b.example.test.", RecordType::A) => vec![RData::A(A::new(192, 0, 2, 2))],
            _ => vec![],
        };
        if data.is_empty() {
            reply.set_response_code(ResponseCode::NXDomain);
        }
        for data in data {
            reply.add_answer(Record::from_rdata(asked.name().clone(), 60, data));
        }
        reply
    }

    fn addresses(texts: &[&str]) -> Vec<SocketAddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[tokio::test]
    async fn literals_need_no_name_server() {
        let resolver = Resolver { hickory: None };
        let udp = Transport::Udp;
        let got = resolver.resolve("192.0.2.1", None, udp).await.unwrap();
        assert_eq!(got, addresses(&["192.0.2.1:5060"]));
        let got = resolver.resolve("[2001:db8::1]", Some(5080), udp).await.unwrap();
        assert_eq!(got, addresses(&["[2001:db8::1]:5080"]));
    }

    #[tokio::test]
    async fn a_domain_leads_to_its_servers_by_priority() {
        let got = resolver().await.resolve("example.test", None, Transport::Udp).await.unwrap();
        assert_eq!(got, addresses(&["192.0.2.1:5060", "192.0.2.2:5070"]));
    }

    #[tokio::test]
    async fn a_port_or_the_lack_of_srv_leads_to_the_host_itself() {
        let resolver = resolver().await;
        let got = resolver.resolve("b.example.test", Some(5090), Transport::Udp).await.unwrap();
        assert_eq!(got, addresses(&["192.0.2.2:5090"]));
        let got = resolver.resolve("a.example.test", None, Transport::Tcp).await.unwrap();
        assert_eq!(got, addresses(&["192.0.2.1:5060"]));
    }

    #[tokio::test]
    async fn an_unknown_name_is_an_error_that_names_it() {
        let error = resolver().await.resolve("no.example.test", None, Transport::Udp).await;
        assert_eq!(error, Err(DnsError::NoAddress("no.example.test".to_owned())));
    }

    #[test]
    fn weights_share_the_load_within_a_priority() {
        let mut random = StdRng::seed_from_u64(7);
        let services = [service(1, 1, 1), service(0, 30, 2), service(0, 10, 3), service(0, 0, 4)];
        let mut first = [0_u32; 5];
        for _ in 0..4_000 {
            let ordered = in_order(services.to_vec(), &mut random);
            assert_eq!(ordered.len(), 4);
            assert_eq!(ordered[3].port(), 1, "a worse priority comes last");
            first[usize::from(ordered[0].port())] += 1;
        }
        assert!((2_800..3_050).contains(&first[2]), "seed 7: {first:?}");
        assert!((1..300).contains(&first[4]), "seed 7: {first:?}");
    }
}
