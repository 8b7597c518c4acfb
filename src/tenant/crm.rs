//! The `crm` section: where leads and calls are written to.

use super::reader::{Object, words};

words! {
    /// Which system.
    CrmKind {
        /// None.
        None = "none",
        /// Odoo.
        Odoo = "odoo",
        /// A signed webhook.
        Webhook = "webhook",
    } default None
}

/// The tenant's CRM. Its keys live in the vault, never here.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Crm {
    /// Which system.
    pub kind: CrmKind,
    /// Its address.
    pub url: Option<String>,
    /// Odoo's database.
    pub database: Option<String>,
    /// Odoo's user.
    pub username: Option<String>,
    /// Our field → theirs, in the document's order.
    pub field_mapping: Vec<(String, String)>,
}

impl Crm {
    pub(crate) fn read(object: &Object<'_>) -> Self {
        let kind = object.field("kind").choice(CrmKind::WORDS).unwrap_or_default();
        let url = object.field("url");
        if kind != CrmKind::None && !url.is_present() {
            url.missing("the system's address, such as \"https://odoo.example.com\"");
        }
        let mapping = object.field("field_mapping").object();
        Self {
            kind,
            url: url.parsed("an address that starts with https://", |text| {
                let fits =
                    (text.starts_with("https://") || text.starts_with("http://")) && text.len() <= 2_000;
                let clean = !text.contains(|c: char| c.is_whitespace() || c.is_control());
                if fits && clean { Ok(text.to_owned()) } else { Err("is no web address") }
            }),
            database: object.field("database").text_up_to(200),
            username: object.field("username").text_up_to(200),
            field_mapping: mapping.map_or_else(Vec::new, |mapping| {
                let pairs = mapping.entries();
                pairs.filter_map(|(ours, theirs)| Some((ours.to_owned(), theirs.text_up_to(200)?))).collect()
            }),
        }
    }
}
