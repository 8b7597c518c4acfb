//! What the terminal says once calls can be taken.

use std::io::Write;

use super::Running;
use crate::store::DirectoryStore;
use crate::tenant::{NumberMapping, Tenant};

/// The most numbers that are listed.
const LISTED: u32 = 8;

pub(super) async fn print(running: &Running) {
    let text = text(running).await;
    // Who started us may not listen: a service outlives its terminal.
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

async fn text(running: &Running) -> String {
    let host = match running.local {
        address if address.ip().is_unspecified() => format!("127.0.0.1:{}", address.port()),
        address => address.to_string(),
    };
    let mut lines = vec![
        format!("offhook {} takes calls.", env!("CARGO_PKG_VERSION")),
        format!("  SIP   {} (UDP and TCP)", running.local),
        format!("  HTTP  http://{}/health", running.http_address),
        format!("  data  {}", running.config.service.data.display()),
    ];
    let others = running.also.iter().map(|also| format!("  SIP   {also} (UDP and TCP)"));
    let secure = running.secure.iter().map(|secure| format!("  SIPS  {secure} (TLS)"));
    lines.splice(2..2, others.chain(secure));
    let registering =
        running.trunks.list().iter().filter(|trunk| trunk.config.mode.as_str() == "register").count();
    if registering > 0 {
        lines.push(format!("  {registering} trunk(s) register: see `offhook trunks`"));
    }
    lines.push(String::new());
    lines.push("Dial one of these from a softphone, and press keys when you are asked to:".to_owned());
    match numbers(running.store.directory()).await {
        Ok(numbers) if numbers.is_empty() => lines.push("  (no number is mapped yet)".to_owned()),
        Ok(numbers) => {
            lines.extend(numbers.into_iter().map(|(number, name)| format!("  sip:{number}@{host}   {name}")));
        }
        Err(error) => lines.push(format!("  (the numbers can't be read: {error})")),
    }
    lines.push(String::new());
    lines.push("Then try:  offhook calls            the records of your calls".to_owned());
    lines.push("           offhook trunks           where calls may come from".to_owned());
    lines.push("           docs/first-call.md       softphones, step by step".to_owned());
    lines.push(String::new());
    lines.join("\n")
}

async fn numbers(directory: &dyn DirectoryStore) -> Result<Vec<(String, String)>, crate::store::StoreError> {
    let mut lines = Vec::new();
    for row in directory.numbers(None, LISTED).await? {
        let Ok(mapping) = NumberMapping::from_json(row.number.json.as_bytes()) else { continue };
        let document = directory.load_tenant(&row.tenant_id).await?;
        let tenant = document.and_then(|document| Tenant::from_json(document.json.as_bytes()).ok());
        let name = tenant
            .map_or_else(String::new, |tenant| format!("{} ({})", tenant.display_name, mapping.language()));
        lines.push((mapping.phone_number.as_str().to_owned(), name));
    }
    Ok(lines)
}
