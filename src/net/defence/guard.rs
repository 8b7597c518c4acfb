//! The guard itself: origin, bans, limits, in this order.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Serialize;

use super::bans::{Ban, Bans, Lengths, Reason};
use super::bucket::{Bucket, Limit};
use super::origins::Origins;
use super::peek::{Kind, Peek, Scanners, peek};
use super::sources::{SourceKey, Table};
use crate::config::Defence;
use crate::trunk::{Origin, Trunks};

/// Lines about bans a second, so that a flood from forged addresses can't fill the disk.
const BANS_TOLD: Limit = Limit::per_second(20);

/// What becomes of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It goes on.
    Take(Taken),
    /// It ends here, without an answer.
    Drop(Dropped),
}

/// A message that goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Taken {
    /// Whom it is from.
    pub origin: Origin,
    /// What it is.
    pub kind: Kind,
    /// Whether it belongs to a call that is there, or says so.
    pub in_dialog: bool,
    /// Its source has more new calls than it may: answer 503.
    pub too_many: bool,
}

/// Why a message goes no further.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Dropped {
    /// Its source is banned.
    Banned,
    /// A request outside dialogs from a source of no trunk.
    Unlisted,
    /// Its source sends more than it may.
    TooMany,
    /// It is no SIP.
    NoSip,
}

/// Something that the endpoint found in what a source sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Offence {
    /// A wrong password.
    WrongPassword,
    /// A message that breaks the rules.
    Malformed,
    /// A request for nothing that is there, or of a method that isn't.
    Stray,
}

/// What was counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct GuardCounters {
    /// Messages dropped, by [`Dropped`].
    pub dropped: [u64; 4],
    /// INVITEs among those from sources of no trunk.
    pub unlisted_invites: u64,
    /// INVITEs turned away because their source has too many.
    pub invites_over: u64,
    /// Wrong passwords.
    pub wrong_passwords: u64,
    /// Bans, by [`Reason`].
    pub bans: [u64; 4],
    /// Bans in force.
    pub banned: u64,
    /// Sources remembered.
    pub sources: u64,
}

/// A ban as `offhook bans` shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BanShown {
    /// An address, or the /64 of one.
    pub source: String,
    /// Why.
    pub reason: &'static str,
    /// Seconds that are left.
    pub seconds_left: u64,
    /// How many bans there were of late, this one included.
    pub times: u32,
    /// Messages dropped for it.
    pub dropped: u64,
}

/// Looks at every message that comes.
pub struct Guard {
    settings: Settings,
    origins: Origins,
    sources: Table<Source>,
    bans: Bans,
    epoch: Instant,
    told: Bucket,
    counters: GuardCounters,
}

/// The settings as they are used.
struct Settings {
    messages: Limit,
    invites: Limit,
    requests: Limit,
    passwords: Limit,
    probes: Limit,
    malformed: Limit,
    lengths: Lengths,
    scanners: Scanners,
    defence: Arc<Defence>,
}

/// What is left of each limit.
struct Source {
    messages: Bucket,
    invites: Bucket,
    requests: Bucket,
    passwords: Bucket,
    probes: Bucket,
    malformed: Bucket,
}

impl Guard {
    /// A guard that has seen nothing.
    #[must_use]
    pub fn new(defence: Arc<Defence>, trunks: Arc<Trunks>, now: Instant) -> Self {
        Self {
            origins: Origins::new(trunks),
            sources: Table::new(room(&defence)),
            settings: Settings::new(defence),
            bans: Bans::default(),
            epoch: now,
            told: Bucket::new(BANS_TOLD, 0),
            counters: GuardCounters::default(),
        }
    }

    /// Other settings from now on. Bans in force stay.
    pub fn set(&mut self, defence: Arc<Defence>) {
        self.sources.set_room(room(&defence));
        self.settings = Settings::new(defence);
    }

    /// Says what becomes of a message.
    pub fn inspect(&mut self, peer: SocketAddr, local: SocketAddr, message: &[u8], now: Instant) -> Verdict {
        let origin = self.origins.of(peer.ip(), local.ip());
        let seen = peek(message);
        let verdict = if self.is_limited(origin, peer.ip()) {
            self.limit(origin, peer.ip(), &seen, now)
        } else {
            Ok(taken(origin, &seen, false))
        };
        match verdict {
            Ok(taken) => {
                self.counters.invites_over += u64::from(taken.too_many);
                Verdict::Take(taken)
            }
            Err(dropped) => {
                if let Some(count) = self.counters.dropped.get_mut(dropped as usize) {
                    *count += 1;
                }
                Verdict::Drop(dropped)
            }
        }
    }

    /// Takes note of what the endpoint found. `local` is where the message came in.
    pub fn note(&mut self, peer: SocketAddr, local: SocketAddr, offence: Offence, now: Instant) {
        self.counters.wrong_passwords += u64::from(offence == Offence::WrongPassword);
        let origin = self.origins.of(peer.ip(), local.ip());
        if !self.is_limited(origin, peer.ip()) {
            return;
        }
        let (key, ms) = (SourceKey::of(peer.ip()), self.millis(now));
        let Self { sources, settings, .. } = self;
        let source = sources.entry(key, || Source::new(settings, ms));
        let (within, reason) = match offence {
            Offence::WrongPassword => (source.passwords.take(settings.passwords, ms), Reason::Passwords),
            Offence::Malformed => (source.malformed.take(settings.malformed, ms), Reason::Malformed),
            // Whom a trunk names may ask for calls that were lost here, and register in vain.
            Offence::Stray if origin != Origin::Unlisted => (true, Reason::Probing),
            Offence::Stray => (source.probes.take(settings.probes, ms), Reason::Probing),
        };
        if !within {
            self.ban(key, reason, now);
        }
    }

    /// The bans in force.
    #[must_use]
    pub fn bans(&self, now: Instant) -> Vec<BanShown> {
        let now = self.since(now);
        let shown = |(key, ban): (SourceKey, Ban)| BanShown {
            source: key.to_string(),
            reason: ban.reason.as_str(),
            seconds_left: ban.until.saturating_sub(now).as_secs().max(1),
            times: ban.times,
            dropped: ban.dropped,
        };
        self.bans.in_force(now).into_iter().map(shown).collect()
    }

    /// Lifts the ban of an address and forgets it; whether there was one.
    pub fn unban(&mut self, address: IpAddr, now: Instant) -> bool {
        let now = self.since(now);
        self.bans.lift(SourceKey::of(address), now)
    }

    /// What was counted.
    #[must_use]
    pub fn counters(&self, now: Instant) -> GuardCounters {
        GuardCounters {
            banned: self.bans.count(self.since(now)) as u64,
            sources: self.sources.len() as u64,
            ..self.counters
        }
    }

    fn is_limited(&self, origin: Origin, source: IpAddr) -> bool {
        let defence = &self.settings.defence;
        (defence.limit_trusted || !matches!(origin, Origin::Peer(_)))
            && !defence.exempt.iter().any(|network| network.contains(source))
    }

    fn limit(
        &mut self,
        origin: Origin,
        address: IpAddr,
        seen: &Peek<'_>,
        now: Instant,
    ) -> Result<Taken, Dropped> {
        let (key, ms) = (SourceKey::of(address), self.millis(now));
        let of_call = seen.in_dialog || seen.kind == Kind::Response;
        // A listed source may have a call up that has nothing to do with why it is banned.
        let spared = of_call && origin != Origin::Unlisted;
        let at = self.since(now);
        if self.bans.holds(key, at) && !spared {
            return Err(Dropped::Banned);
        }
        let Self { sources, settings, .. } = self;
        let source = sources.entry(key, || Source::new(settings, ms));
        if !source.messages.take(settings.messages, ms) {
            return Err(Dropped::TooMany);
        }
        match seen.kind {
            Kind::Response => return Ok(taken(origin, seen, false)),
            Kind::KeepAlive => return Err(Dropped::NoSip),
            Kind::Other => {
                if !source.malformed.take(settings.malformed, ms) {
                    self.ban(key, Reason::Malformed, now);
                }
                return Err(Dropped::NoSip);
            }
            _ if seen.in_dialog => return Ok(taken(origin, seen, false)),
            Kind::Invite | Kind::Ack | Kind::Cancel | Kind::Request => {}
        }
        if origin == Origin::Unlisted && matches!(seen.kind, Kind::Ack | Kind::Cancel) {
            // They may belong to an INVITE that was taken before the trunks changed.
            return Ok(taken(origin, seen, false));
        }
        let is_scanner = || seen.user_agent.is_some_and(|agent| settings.scanners.hold(agent));
        if settings.defence.ban_scanners && is_scanner() {
            self.ban(key, Reason::Scanner, now);
            return Err(Dropped::Banned);
        }
        if origin == Origin::Unlisted {
            let within = source.probes.take(settings.probes, ms);
            self.counters.unlisted_invites += u64::from(seen.kind == Kind::Invite);
            if !within {
                self.ban(key, Reason::Probing, now);
            }
            return Err(Dropped::Unlisted);
        }
        match seen.kind {
            Kind::Invite => {
                let within = source.invites.take(settings.invites, ms);
                Ok(taken(origin, seen, !within))
            }
            Kind::Request if !source.requests.take(settings.requests, ms) => Err(Dropped::TooMany),
            _ => Ok(taken(origin, seen, false)),
        }
    }

    fn ban(&mut self, key: SourceKey, reason: Reason, now: Instant) {
        let (at, ms) = (self.since(now), self.millis(now));
        let Some(ban) = self.bans.add(key, reason, self.settings.lengths, at) else { return };
        if let Some(count) = self.counters.bans.get_mut(reason as usize) {
            *count += 1;
        }
        if self.told.take(BANS_TOLD, ms) {
            // The fail2ban filter in config/fail2ban reads this line: a test holds the two together.
            tracing::warn!(
                source = %key,
                reason = reason.as_str(),
                seconds = ban.until.saturating_sub(at).as_secs(),
                times = ban.times,
                "source banned"
            );
        }
    }

    fn since(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.epoch)
    }

    #[allow(clippy::cast_possible_truncation, reason = "buckets reckon with a clock that wraps")]
    fn millis(&self, now: Instant) -> u32 {
        self.since(now).as_millis() as u32
    }
}

fn taken(origin: Origin, seen: &Peek<'_>, too_many: bool) -> Taken {
    Taken { origin, kind: seen.kind, in_dialog: seen.in_dialog, too_many }
}

fn room(defence: &Defence) -> usize {
    usize::try_from(defence.remembered_sources).unwrap_or(usize::MAX)
}

impl Settings {
    fn new(defence: Arc<Defence>) -> Self {
        Self {
            messages: Limit::per_second(defence.messages_per_second),
            invites: Limit::per_second(defence.invites_per_second),
            requests: Limit::per_second(defence.requests_per_second),
            passwords: Limit::per_minute(defence.wrong_passwords_per_minute),
            probes: Limit::per_minute(defence.probes_per_minute),
            malformed: Limit::per_minute(defence.malformed_per_minute),
            lengths: Lengths { first: defence.ban, most: defence.ban_most },
            scanners: Scanners::new(&defence.scanner_user_agents),
            defence,
        }
    }
}

impl Source {
    fn new(settings: &Settings, now: u32) -> Self {
        Self {
            messages: Bucket::new(settings.messages, now),
            invites: Bucket::new(settings.invites, now),
            requests: Bucket::new(settings.requests, now),
            passwords: Bucket::new(settings.passwords, now),
            probes: Bucket::new(settings.probes, now),
            malformed: Bucket::new(settings.malformed, now),
        }
    }
}

impl Dropped {
    /// All of them, in the order of [`GuardCounters::dropped`].
    pub const ALL: [Self; 4] = [Self::Banned, Self::Unlisted, Self::TooMany, Self::NoSip];

    /// The word for metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Banned => "banned",
            Self::Unlisted => "unlisted",
            Self::TooMany => "too_many",
            Self::NoSip => "no_sip",
        }
    }
}

#[cfg(test)]
#[path = "guard_tests.rs"]
mod tests;
