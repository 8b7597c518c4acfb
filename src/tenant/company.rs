//! The `company` section: what every prompt of the tenant says about it, on the line and in chat.

use super::reader::Object;

/// Who the tenant is.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Company {
    /// The company's name as spoken; the tenant's display name when absent.
    pub name: Option<String>,
    /// Its line of business.
    pub industry: Option<String>,
    /// What it mainly sells.
    pub primary_product: Option<String>,
    /// Its services.
    pub services: Vec<String>,
    /// What conversations are about.
    pub topics: Vec<String>,
    /// Words of its trade, for recognition and wording.
    pub terminology_examples: Vec<String>,
    /// What to know about competitors.
    pub competitor_context: Option<String>,
    /// The part the assistant plays.
    pub assistant_role: Option<String>,
    /// How it speaks.
    pub tone: Option<String>,
}

impl Company {
    pub(crate) fn read(object: &Object<'_>) -> Self {
        Self {
            name: object.field("name").text_up_to(200),
            industry: object.field("industry").text(),
            primary_product: object.field("primary_product").text(),
            services: object.field("services").texts(),
            topics: object.field("topics").texts(),
            terminology_examples: object.field("terminology_examples").texts(),
            competitor_context: object.field("competitor_context").text(),
            assistant_role: object.field("assistant_role").text(),
            tone: object.field("tone").text(),
        }
    }
}
