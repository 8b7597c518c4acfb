//! `offhook prompt`: the prompts in the database.

use std::path::PathBuf;

use chrono::{DateTime, Utc};
use clap::{Args, Subcommand};

use super::Common;
use super::tenant::{say, unknown};
use crate::ids::TenantId;
use crate::store::{Expected, Store, StoreError, TenantStore};
use crate::tenant::Tenant;
use crate::tenant::prompt::diff::{self, Side};
use crate::tenant::prompt::variables::{CallContext, VARIABLES, Values};
use crate::tenant::prompt::{Candidate, NewPrompt, Pointer, PromptVersion, Purpose, Template};

/// Versions listed.
const LISTED: u32 = 50;

/// What can be done with prompts. New calls of a running service get the change within a second.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List the versions of a prompt, and which is used.
    List(Which),
    /// Print a version.
    Show {
        #[command(flatten)]
        which: Which,
        /// The version [default: the one that is used].
        #[arg(value_name = "VERSION")]
        version: Option<u64>,
    },
    /// Keep a file as a new version. The first is used at once, others when they are activated.
    Save {
        #[command(flatten)]
        which: Which,
        /// The file.
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// What is different in it.
        #[arg(long, default_value = "", value_name = "TEXT")]
        note: String,
        /// Use it from now on.
        #[arg(long)]
        activate: bool,
    },
    /// Use a version from now on.
    Activate {
        #[command(flatten)]
        which: Which,
        /// The version.
        #[arg(value_name = "VERSION")]
        version: u64,
    },
    /// Give a part of the calls another version; 0 ends that.
    Try {
        #[command(flatten)]
        which: Which,
        /// The version.
        #[arg(value_name = "VERSION")]
        version: u64,
        /// How many of a hundred calls get it.
        #[arg(value_name = "PERCENT", value_parser = clap::value_parser!(u8).range(0..=100))]
        percent: u8,
    },
    /// Go back to the version that was used before.
    Rollback(Which),
    /// Show what differs between two versions.
    Diff {
        #[command(flatten)]
        which: Which,
        /// The older version.
        #[arg(value_name = "FROM")]
        from: u64,
        /// The newer version.
        #[arg(value_name = "TO")]
        to: u64,
    },
    /// Print the prompt that a call would get.
    Preview {
        #[command(flatten)]
        which: Which,
        /// The version [default: the one that is used].
        #[arg(long, value_name = "VERSION")]
        version: Option<u64>,
        /// When the call is, such as 2026-11-20T09:00:00Z [default: now].
        #[arg(long, value_name = "TIME")]
        at: Option<DateTime<Utc>>,
        /// The caller's number.
        #[arg(long, default_value = "", value_name = "NUMBER")]
        caller: String,
    },
    /// List the variables that prompts may use.
    Variables,
}

/// Which prompt.
#[derive(Debug, Args)]
pub(crate) struct Which {
    /// The tenant.
    #[arg(value_name = "ID")]
    tenant: TenantId,
    /// conversation, qualification, scheduling, summary or chat.
    #[arg(value_name = "PURPOSE")]
    purpose: Purpose,
}

fn told(error: StoreError) -> String {
    match error {
        StoreError::Refused { .. } => "there is no such version: `offhook prompt list` shows them".to_owned(),
        other => other.to_string(),
    }
}

pub(crate) fn run(common: &Common, command: &Command) -> Result<(), String> {
    match command {
        Command::List(which) => super::stored::reading(common, async |store| list(store, which).await),
        Command::Show { which, version } => super::stored::reading(common, async |store| {
            say(&one(store, which, *version).await?.template);
            Ok(())
        }),
        Command::Save { which, file, note, activate } => {
            let text =
                std::fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?;
            let template = Template::new(&text).map_err(|error| format!("{}: {error}", file.display()))?;
            super::stored::writing(common, async |store| save(store, which, template, note, *activate).await)
        }
        Command::Activate { which, version } => {
            change(common, which, |pointer| Some(pointer.moved(*version)))
        }
        Command::Try { which, version, percent } => change(common, which, |pointer| {
            let candidate = Candidate { version: *version, percent: *percent };
            Some(Pointer { candidate: (*percent > 0).then_some(candidate), ..pointer })
        }),
        Command::Rollback(which) => change(common, which, Pointer::rolled_back),
        Command::Diff { which, from, to } => super::stored::reading(common, async |store| {
            let (from, to) = (one(store, which, Some(*from)).await?, one(store, which, Some(*to)).await?);
            for line in diff::lines(&from.template, &to.template) {
                let sign = match line.side {
                    Side::Both => ' ',
                    Side::Removed => '-',
                    Side::Added => '+',
                };
                say(&format!("{sign}{}", line.text));
            }
            Ok(())
        }),
        Command::Preview { which, version, at, caller } => super::stored::reading(common, async |store| {
            preview(store, which, *version, at.unwrap_or_else(Utc::now), caller).await
        }),
        Command::Variables => {
            VARIABLES.iter().for_each(|(name, holds)| say(&format!("{name:<24} {holds}")));
            Ok(())
        }
    }
}

async fn list(store: &dyn Store, which: &Which) -> Result<(), String> {
    let scope = store.tenant(&which.tenant);
    let (pointer, _) = pointer(scope.as_ref(), which).await?;
    for version in scope.prompt_versions(which.purpose, None, LISTED).await.map_err(told)? {
        let share = match pointer.candidate {
            _ if version.version == pointer.active => "used".to_owned(),
            Some(candidate) if candidate.version == version.version => format!("{} %", candidate.percent),
            _ => String::new(),
        };
        let made = version.created_at.format("%Y-%m-%d %H:%M");
        say(&format!("{:>5} {share:<5} {made} {:<16} {}", version.version, version.author, version.note));
    }
    Ok(())
}

async fn pointer(scope: &dyn TenantStore, which: &Which) -> Result<(Pointer, u64), String> {
    let found = scope.prompt_pointer(which.purpose).await.map_err(told)?;
    let (tenant, purpose) = (&which.tenant, which.purpose.as_str());
    found.ok_or_else(|| {
        format!("{tenant} has no prompt for {purpose}: `offhook prompt save {tenant} {purpose} FILE`")
    })
}

async fn one(store: &dyn Store, which: &Which, version: Option<u64>) -> Result<PromptVersion, String> {
    let scope = store.tenant(&which.tenant);
    let version = match version {
        Some(version) => version,
        None => pointer(scope.as_ref(), which).await?.0.active,
    };
    let found = scope.prompt(which.purpose, version).await.map_err(told)?;
    found.ok_or_else(|| format!("there is no version {version}: `offhook prompt list` shows them"))
}

async fn save(
    store: &dyn Store,
    which: &Which,
    template: Template,
    note: &str,
    activate: bool,
) -> Result<(), String> {
    let scope = store.tenant(&which.tenant);
    if scope.document().await.map_err(told)?.is_none() {
        return Err(unknown(&which.tenant));
    }
    let prompt = NewPrompt {
        purpose: which.purpose,
        template,
        note: note.to_owned(),
        author: "command line".to_owned(),
        created_at: Utc::now(),
    };
    let version = scope.add_prompt(&prompt).await.map_err(told)?;
    let (pointer, revision) = pointer(scope.as_ref(), which).await?;
    let used = activate || pointer.active == version;
    if activate {
        let moved = pointer.moved(version);
        scope.set_prompt_pointer(which.purpose, &moved, Expected::Version(revision)).await.map_err(told)?;
    }
    say(&format!("version {version}{}", if used { ", used from now on" } else { "" }));
    Ok(())
}

fn change(
    common: &Common,
    which: &Which,
    how: impl FnOnce(Pointer) -> Option<Pointer>,
) -> Result<(), String> {
    super::stored::writing(common, async |store| {
        let scope = store.tenant(&which.tenant);
        let (pointer, revision) = pointer(scope.as_ref(), which).await?;
        let pointer = how(pointer).ok_or("no version was used before this one")?;
        scope.set_prompt_pointer(which.purpose, &pointer, Expected::Version(revision)).await.map_err(told)?;
        say(&match pointer.candidate {
            None => format!("version {} is used", pointer.active),
            Some(trial) => {
                format!(
                    "version {} is used, {} for {} % of the calls",
                    pointer.active, trial.version, trial.percent
                )
            }
        });
        Ok(())
    })
}

async fn preview(
    store: &dyn Store,
    which: &Which,
    version: Option<u64>,
    at: DateTime<Utc>,
    caller: &str,
) -> Result<(), String> {
    let found = store.tenant(&which.tenant).document().await.map_err(told)?;
    let found = found.ok_or_else(|| unknown(&which.tenant))?;
    let tenant = Tenant::from_json(found.json.as_bytes()).map_err(|errors| errors.to_string())?;
    let version = one(store, which, version).await?;
    let template = Template::new(&version.template).map_err(|error| error.to_string())?;
    let call = CallContext {
        language: tenant.voice.language().to_owned(),
        caller_number: caller.to_owned(),
        ..CallContext::default()
    };
    say(&template.render(&Values::of(&tenant, &call, at)).map_err(|error| error.to_string())?);
    Ok(())
}
