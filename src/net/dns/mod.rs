//! From a domain to its servers (RFC 3263): [`sip::locate`] says what to ask, name servers are
//! asked here, and their answers kept.

mod lookup;

use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use sip::endpoint::flow::{Hop, Transport};
use sip::locate::cache::{Cache, Known};
use sip::locate::{Answer, Families, LocateError, Query, Question, Step, locate};
use tokio::time::timeout;

use self::lookup::NameServers;

/// The whole of a look-up, however many questions it takes.
const LIMIT: Duration = Duration::from_secs(4);
/// One round of questions, of which there are three at most. Longer than a second try at the
/// name server takes.
const ROUND: Duration = Duration::from_millis(1_300);

/// Why a name gave no address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DnsError {
    /// It leads nowhere.
    #[error("{host} can't be reached: {error}; check the name, and the name servers")]
    NotLocated {
        /// The name.
        host: String,
        /// Why.
        error: LocateError,
    },
    /// No answer in time.
    #[error("no answer about {0} within 4 s: check the name servers")]
    TimedOut(String),
}

/// Looks names up.
pub struct Resolver {
    servers: NameServers,
    families: Families,
    cache: Mutex<Cache>,
}

impl Resolver {
    /// A resolver by `/etc/resolv.conf` and `/etc/hosts`, for addresses of these families. Must
    /// be called within a tokio runtime.
    #[must_use]
    pub fn from_system(families: Families) -> Self {
        Self::new(NameServers::from_system(), families)
    }

    /// A resolver that asks these name servers, over UDP and, when an answer is too long for
    /// that, over TCP. Must be called within a tokio runtime.
    #[must_use]
    pub fn with_servers(servers: &[SocketAddr], families: Families) -> Self {
        Self::new(NameServers::at(servers), families)
    }

    fn new(servers: NameServers, families: Families) -> Self {
        Self { servers, families, cache: Mutex::new(Cache::default()) }
    }

    /// The ways to reach a host, best first and at least one. Servers of one priority take turns
    /// by chance.
    ///
    /// # Errors
    /// When there is none, or no answer within 4 s.
    pub async fn locate(
        &self,
        host: &str,
        port: Option<u16>,
        transport: Option<Transport>,
        sips: bool,
    ) -> Result<Vec<Hop>, DnsError> {
        self.locate_seeded(host, port, transport, sips, rand::random()).await
    }

    /// As [`Resolver::locate`]; the same seed chooses the same way, so that the copies of one
    /// request go to one server.
    ///
    /// # Errors
    /// As [`Resolver::locate`].
    pub async fn locate_seeded(
        &self,
        host: &str,
        port: Option<u16>,
        transport: Option<Transport>,
        sips: bool,
        seed: [u8; 32],
    ) -> Result<Vec<Hop>, DnsError> {
        let query = Query { host: host.to_owned(), port, transport, sips, families: self.families };
        match timeout(LIMIT, self.walk(locate(query, seed))).await {
            Ok(Ok(hops)) => Ok(hops),
            Ok(Err(error)) => Err(DnsError::NotLocated { host: host.to_owned(), error }),
            Err(_) => Err(DnsError::TimedOut(host.to_owned())),
        }
    }

    async fn walk(&self, mut step: Step) -> Result<Vec<Hop>, LocateError> {
        loop {
            match step {
                Step::Done(result) => return result,
                Step::Ask(pending) => {
                    let answers = join_all(pending.questions().iter().map(|q| self.answer(q))).await;
                    step = pending.answered(answers);
                }
            }
        }
    }

    async fn answer(&self, question: &Question) -> Answer {
        // Read at once: the lock isn't held while the name server is asked.
        let known = self.cache().get(question, Instant::now());
        let stale = match known {
            Known::Fresh(answer) => return answer,
            Known::Stale(answer) => Some(answer),
            Known::Not => None,
        };
        let asked = timeout(ROUND, self.servers.ask(question)).await;
        let (answer, ttl) = asked.unwrap_or((Answer::Failed, Duration::ZERO));
        let now = Instant::now();
        match (answer, stale) {
            (Answer::Failed, Some(stale)) => {
                tracing::info!(name = question.name(), "no name server answers; its last answer is used");
                self.cache().postpone(question, now);
                stale
            }
            (answer, _) => {
                self.cache().put(question.clone(), answer.clone(), ttl, now);
                answer
            }
        }
    }

    /// Every step on the cache is whole, so that a panic elsewhere can't have left it half done.
    fn cache(&self) -> MutexGuard<'_, Cache> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
