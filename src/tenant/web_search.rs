//! The `web_search` section.

use super::reader::{Field, Object};

/// Whether and where the agent may search the web.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebSearch {
    /// Whether it may.
    pub enabled: bool,
    /// Only these domains, when there are any.
    pub include_domains: Vec<String>,
    /// Never these.
    pub exclude_domains: Vec<String>,
    /// How many queries run at the same time.
    pub max_parallel_queries: u32,
}

impl Default for WebSearch {
    fn default() -> Self {
        Self {
            enabled: false,
            include_domains: Vec::new(),
            exclude_domains: Vec::new(),
            max_parallel_queries: 3,
        }
    }
}

impl WebSearch {
    pub(crate) fn read(object: &Object<'_>) -> Self {
        let own = Self::default();
        Self {
            enabled: object.field("enabled").boolean(own.enabled),
            include_domains: object.field("include_domains").list_of(domain),
            exclude_domains: object.field("exclude_domains").list_of(domain),
            max_parallel_queries: object
                .field("max_parallel_queries")
                .whole(1..=20)
                .unwrap_or(own.max_parallel_queries),
        }
    }
}

fn domain(field: &Field<'_>) -> Option<String> {
    field.parsed("a domain such as \"example.com\"", |text| {
        let label =
            |label: &str| !label.is_empty() && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        let fits = text.len() <= 253 && text.contains('.') && text.split('.').all(label);
        if fits { Ok(text.to_ascii_lowercase()) } else { Err("is no domain") }
    })
}
