//! The tasks of the trunks, and what happens to them when the configuration is loaded anew: on
//! SIGHUP, or through the control socket.

use std::collections::HashMap;
use std::sync::Arc;

use serde::Serialize;
use sip::endpoint::policy::PolicyId;
use tokio::signal::unix::Signal;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;

use super::outward::{Outward, Reachable};
use super::stop::stopped;
use super::{peer, registrar, transports};
use crate::config::{self, Config, ConfigError, Loaded, Mode, Service};
use crate::ids::TrunkName;
use crate::net::dns::Resolver;
use crate::net::signalling::SignallingHandle;
use crate::net::tls::Tls;
use crate::trunk::{Changes, Trunk, Trunks, peer_policy};

/// Reads the configuration again, as it was read at start.
pub type Loader = Arc<dyn Fn() -> Result<Loaded, ConfigError> + Send + Sync>;

/// What came of a reload.
#[derive(Debug, Clone, Default, Serialize)]
pub(super) struct Outcome {
    /// Why everything is as it was, when the new configuration can't be used.
    pub error: Option<String>,
    /// What is questionable about it.
    pub warnings: Vec<String>,
    /// What is different from now on.
    pub applied: Vec<String>,
    /// Keys that changed and count from the next start on.
    pub restart: Vec<&'static str>,
}

/// Asks for a reload.
pub(super) type Request = oneshot::Sender<Outcome>;

/// Owns the trunks' tasks.
pub(super) struct Keeper {
    config: Config,
    load: Loader,
    lines: Lines,
    tasks: HashMap<TrunkName, Kept>,
}

/// The trunks, and what leads to them.
pub(super) struct Lines {
    pub trunks: Arc<Trunks>,
    pub signalling: SignallingHandle,
    pub reachable: Reachable,
    pub resolver: Arc<Resolver>,
    /// What TLS is done with, when there was any at start.
    pub tls: Option<Arc<Tls>>,
}

/// What became of TLS.
enum Reloaded {
    /// There is none.
    None,
    /// Its files were read again.
    Read,
    /// There was none at start, and a trunk wants it now.
    NeedsRestart,
}

/// A trunk's task.
struct Kept {
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Keeper {
    /// A keeper whose trunks don't run yet. `load` reads the configuration anew.
    pub fn new(config: Config, load: Loader, lines: Lines) -> Self {
        Self { config, load, lines, tasks: HashMap::new() }
    }

    /// Runs the trunks until `stop` turns true, and gives them time to un-register then.
    pub async fn run(
        mut self,
        mut hang_up: Signal,
        mut requests: mpsc::Receiver<Request>,
        mut stop: watch::Receiver<bool>,
    ) {
        for trunk in self.lines.trunks.list().iter() {
            self.start(Arc::clone(trunk), None);
        }
        loop {
            tokio::select! {
                () = stopped(&mut stop) => break,
                _ = hang_up.recv() => drop(self.reload().await),
                Some(request) = requests.recv() => {
                    let outcome = self.reload().await;
                    // The asker may have gone.
                    let _ = request.send(outcome);
                }
            }
        }
        for kept in self.tasks.values() {
            kept.stop.send_replace(true);
        }
        for (_, kept) in self.tasks {
            // A task that panicked has said so.
            let _ = kept.task.await;
        }
    }

    async fn reload(&mut self) -> Outcome {
        let load = Arc::clone(&self.load);
        // Files may lie on a disk that is slow.
        let outcome = match tokio::task::spawn_blocking(move || load()).await {
            Ok(Ok(loaded)) => self.apply(loaded).await,
            Ok(Err(error)) => Outcome { error: Some(error.to_string()), ..Outcome::default() },
            Err(error) => Outcome { error: Some(error.to_string()), ..Outcome::default() },
        };
        outcome.log();
        outcome
    }

    async fn apply(&mut self, loaded: Loaded) -> Outcome {
        let Loaded { config, warnings } = loaded;
        let mut outcome = Outcome {
            warnings: warnings.iter().map(ToString::to_string).collect(),
            restart: needs_restart(&self.config, &config),
            ..Outcome::default()
        };
        match self.reload_tls(&config).await {
            Ok(Reloaded::Read) => outcome.applied.push("the files of TLS".to_owned()),
            Ok(Reloaded::NeedsRestart) => outcome.restart.push("transport"),
            Ok(Reloaded::None) => {}
            Err(error) => return Outcome { error: Some(error), ..Outcome::default() },
        }
        if config.defence != self.config.defence {
            outcome.applied.push("[defence]".to_owned());
        }
        if config.overload != self.config.overload {
            outcome.applied.push("[overload]".to_owned());
        }
        self.lines.signalling.defend(Arc::new(config.defence.clone()), config.overload);
        // First what is agreed, then who it is agreed with: nobody is listened to in between
        // without the password that the trunk asks for.
        let agreed =
            |trunk: &config::Trunk| (PolicyId(self.lines.trunks.id_of(&trunk.name).0), peer_policy(trunk));
        self.lines.signalling.agree(config.trunks.iter().map(agreed).collect()).await;
        let changes = self.lines.trunks.replace(&config.trunks);
        outcome.applied.extend(told(&changes));
        self.follow(&changes);
        // What needs a restart stays in the list until there is one.
        let (service, trace) = (self.config.service.clone(), self.config.trace.clone());
        let retry_after = self.config.overload.retry_after;
        self.config = config;
        (self.config.service, self.config.trace) = (service, trace);
        self.config.overload.retry_after = retry_after;
        outcome
    }

    /// Reads certificates, keys and authorities again, and takes what trunks say of theirs.
    async fn reload_tls(&self, config: &Config) -> Result<Reloaded, String> {
        // What concerns our listeners counts from the next start on, as their addresses do.
        let settings =
            transports::settings(&self.config.service, &config.trunks, |name| self.lines.trunks.id_of(name));
        let Some(tls) = self.lines.tls.clone() else {
            let needed = transports::is_needed(&settings);
            return Ok(if needed { Reloaded::NeedsRestart } else { Reloaded::None });
        };
        // Files are read, the whole store of the system's authorities among them.
        match tokio::task::spawn_blocking(move || tls.replace(settings)).await {
            Ok(Ok(())) => {
                tracing::info!("certificates, keys and authorities were read again");
                Ok(Reloaded::Read)
            }
            Ok(Err(error)) => Err(error.to_string()),
            Err(error) => Err(error.to_string()),
        }
    }

    fn follow(&mut self, changes: &Changes) {
        for name in changes.removed.iter().chain(&changes.reconnected) {
            if let Some(kept) = self.tasks.get(name) {
                kept.stop.send_replace(true);
            }
        }
        let removed = |name: &TrunkName| changes.removed.contains(name);
        // Their tasks end by themselves once they have un-registered.
        self.tasks.retain(|name, _| !removed(name));
        for trunk in self.lines.trunks.list().iter() {
            let name = &trunk.config.name;
            if changes.added.contains(name) || changes.reconnected.contains(name) {
                let before = self.tasks.remove(name).map(|kept| kept.task);
                self.start(Arc::clone(trunk), before);
            }
        }
    }

    /// Starts a trunk's task, once the one of before has ended: an un-REGISTER that comes after
    /// the new REGISTER would undo it.
    fn start(&mut self, trunk: Arc<Trunk>, before: Option<JoinHandle<()>>) {
        let (stop, stopping) = watch::channel(false);
        let name = trunk.config.name.clone();
        let out = Outward {
            trunk,
            signalling: self.lines.signalling.clone(),
            reachable: self.lines.reachable.clone(),
            resolver: Arc::clone(&self.lines.resolver),
        };
        let task = tokio::spawn(async move {
            if let Some(before) = before {
                let _ = before.await;
            }
            match out.trunk.config.mode.clone() {
                Mode::Register(registrar) => registrar::run(out, registrar, stopping).await,
                Mode::Peer { address, .. } => peer::run(out, address, stopping).await,
                Mode::Open => {}
            }
        });
        self.tasks.insert(name, Kept { stop, task });
    }
}

impl Outcome {
    fn log(&self) {
        if let Some(error) = &self.error {
            tracing::error!("the configuration is kept as it was: {error}");
            return;
        }
        for warning in &self.warnings {
            tracing::warn!("{warning}");
        }
        let (applied, restart) = (self.applied.join(", "), self.restart.join(", "));
        if self.restart.is_empty() {
            tracing::info!(applied, "configuration loaded");
        } else {
            tracing::warn!(applied, restart, "configuration loaded; some keys count from the next start on");
        }
    }
}

fn told(changes: &Changes) -> Vec<String> {
    let list = |what: &str, names: &[TrunkName]| {
        names.iter().map(|name| format!("trunk {name} {what}")).collect::<Vec<_>>()
    };
    [
        list("added", &changes.added),
        list("removed", &changes.removed),
        list("changed", &changes.changed),
        list("connected anew", &changes.reconnected),
    ]
    .concat()
}

/// The keys that differ and that only a start reads.
fn needs_restart(before: &Config, after: &Config) -> Vec<&'static str> {
    // By name, so that a key that is added is thought of here.
    let Service {
        sip,
        sip_also,
        tls,
        connections,
        dns_servers,
        http,
        data,
        drain,
        advertised_address,
        rtp_ports,
        workers,
        log_format,
        recording_key,
    } = &before.service;
    let now = &after.service;
    let differs = [
        ("sip", *sip != now.sip || *sip_also != now.sip_also),
        ("sips", tls.listen != now.tls.listen),
        ("tls_certificate", tls.certificates != now.tls.certificates),
        ("tls_client_ca", tls.clients != now.tls.clients),
        ("max_connections", connections.in_all != now.connections.in_all),
        ("max_connections_per_source", connections.per_source != now.connections.per_source),
        ("dns_servers", *dns_servers != now.dns_servers),
        ("http", *http != now.http),
        ("data", *data != now.data),
        ("drain_seconds", *drain != now.drain),
        ("advertised_address", *advertised_address != now.advertised_address),
        ("rtp_ports", *rtp_ports != now.rtp_ports),
        ("service_workers", workers.service != now.workers.service),
        ("media_workers", workers.media != now.workers.media),
        ("log_format", *log_format != now.log_format),
        ("recording_key_file", *recording_key != now.recording_key),
        ("[trace]", before.trace != after.trace),
        ("retry_after_seconds", before.overload.retry_after != after.overload.retry_after),
    ];
    differs.into_iter().filter(|(_, differs)| *differs).map(|(key, _)| key).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Overrides;

    fn config(text: &str) -> Config {
        Config::from_toml(text, None, &Overrides::default(), &|_| None).unwrap().config
    }

    #[test]
    fn what_only_a_start_reads_is_named() {
        let before = config("");
        assert!(needs_restart(&before, &config("[defence]\nban_seconds = 1\n")).is_empty());
        assert_eq!(
            needs_restart(
                &before,
                &config(
                    "[service]\nsip = \"127.0.0.1:5070\"\nmedia_workers = 2\n[overload]\nretry_after_seconds = 9\n"
                )
            ),
            ["sip", "media_workers", "retry_after_seconds"]
        );
    }
}
