//! Reads `[[trunk.auth_inbound]]`: who may call with a password.

use sip::ua::digest::Credentials;

use super::problem::{ProblemKind, Sink};
use super::reader::Table;
use super::secret::{self, Surroundings};
use super::trunk::Authentication;
use super::value::Line;

const DEFAULT_REALM: &str = "offhook";

/// Reads the users and the realm. `None` when there is none; what is wrong has been reported.
pub(super) fn read(
    table: &mut Table<'_>,
    around: &Surroundings<'_>,
    sink: &mut Sink<'_>,
) -> Option<Authentication> {
    let realm = table.take::<Line>("auth_realm", sink).map(|l| l.value.0);
    let entries = table.tables("auth_inbound", sink);
    if entries.is_empty() {
        // Nobody who writes it means that no password is asked for.
        if let Some(span) = table.key_span("auth_inbound") {
            sink.problem(Some(span), table.subject("auth_inbound"), ProblemKind::EmptyList);
        }
        if let Some(span) = table.key_span("auth_realm") {
            let kind = ProblemKind::NotHere("it goes with users: add a [[trunk.auth_inbound]] for each");
            sink.problem(Some(span), table.subject("auth_realm"), kind);
        }
        return None;
    }
    let realm = realm.unwrap_or_else(|| DEFAULT_REALM.to_owned());
    let mut users: Vec<Credentials> = Vec::with_capacity(entries.len());
    for mut entry in entries {
        let user = user(&mut entry, &realm, &users, around, sink);
        entry.finish(sink);
        users.extend(user);
    }
    Some(Authentication { realm, users })
}

fn user(
    table: &mut Table<'_>,
    realm: &str,
    before: &[Credentials],
    around: &Surroundings<'_>,
    sink: &mut Sink<'_>,
) -> Option<Credentials> {
    let name = table.take::<Line>("username", sink);
    let password = secret::read(table, around, sink);
    if !table.has("username") {
        let kind = ProblemKind::Missing("write the user's name, such as username = \"office\"");
        sink.problem(Some(table.span()), table.subject("username"), kind);
    }
    if !["password_file", "password_env", "password"].iter().any(|key| table.has(key)) {
        let kind = ProblemKind::Missing("say where the password is: `password_file` or `password_env`");
        sink.problem(Some(table.span()), table.subject("password_file"), kind);
    }
    let name = name?;
    let Line(username) = name.value;
    if before.iter().any(|user| user.username == username) {
        sink.problem(Some(name.span), table.subject("username"), ProblemKind::SameUser(username));
        return None;
    }
    Some(Credentials { username, password: password?, realm: Some(realm.to_owned()) })
}
