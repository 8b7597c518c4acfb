//! What the terminal says once calls can be taken.

use super::Running;
use crate::store::{DirectoryStore, Store};
use crate::tenant::{NumberMapping, Tenant};

/// The most numbers that are listed.
const LISTED: u32 = 8;

pub(super) async fn print(running: &Running) {
    let host = match running.local {
        address if address.ip().is_unspecified() => format!("127.0.0.1:{}", address.port()),
        address => address.to_string(),
    };
    println!("offhook {} takes calls.", env!("CARGO_PKG_VERSION"));
    println!("  SIP   {} (UDP and TCP)", running.local);
    println!("  HTTP  http://{}/health", running.http_address);
    println!("  data  {}", running.config.service.data.display());
    let registering = running.trunks.iter().filter(|trunk| trunk.config.mode.as_str() == "register").count();
    if registering > 0 {
        println!("  {registering} trunk(s) register: see `offhook trunks`");
    }
    println!();
    println!("Dial one of these from a softphone, and press keys when you are asked to:");
    match numbers(running.store.directory()).await {
        Ok(numbers) if numbers.is_empty() => println!("  (no number is mapped yet)"),
        Ok(numbers) => {
            for (number, name) in numbers {
                println!("  sip:{number}@{host}   {name}");
            }
        }
        Err(error) => println!("  (the numbers can't be read: {error})"),
    }
    println!();
    println!("Then try:  offhook calls            the records of your calls");
    println!("           offhook trunks           where calls may come from");
    println!("           docs/first-call.md       softphones, step by step");
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
