//! `offhook reload`: the running service reads its configuration anew.

use serde_json::Value;

use super::{Common, control};

pub(crate) fn run(common: &Common) -> Result<(), String> {
    let data = super::serve::data_directory(common)?;
    let answer = control::ask(&data, "reload")?;
    if let Some(error) = answer.get("error").and_then(Value::as_str) {
        return Err(format!("the configuration is kept as it was:\n{error}"));
    }
    let list = |name: &str| {
        let list = answer.get(name).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        list.iter().filter_map(Value::as_str).map(str::to_owned).collect::<Vec<_>>()
    };
    for warning in list("warnings") {
        println!("warning: {warning}");
    }
    let applied = list("applied");
    if applied.is_empty() {
        println!("Loaded; nothing changed.");
    } else {
        println!("Loaded: {}.", applied.join(", "));
    }
    let restart = list("restart");
    if !restart.is_empty() {
        println!("Changed, and counting from the next start on: {}.", restart.join(", "));
    }
    Ok(())
}
