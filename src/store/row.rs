//! Documents as they are stored.

use super::{NewNumber, NewTenant, NumberRow};
use crate::tenant::{NumberMapping, Status, Tenant};

impl From<&Tenant> for NewTenant {
    fn from(tenant: &Tenant) -> Self {
        Self {
            tenant_id: tenant.tenant_id.clone(),
            client_id: tenant.client_id.clone(),
            display_name: tenant.display_name.clone(),
            slug: tenant.slug.as_ref().map(|slug| slug.as_str().to_owned()),
            active: tenant.status == Status::Active,
            json: tenant.to_json().to_owned(),
        }
    }
}

impl From<&NumberMapping> for NewNumber {
    fn from(mapping: &NumberMapping) -> Self {
        Self {
            phone_number: mapping.phone_number.clone(),
            active: mapping.is_active,
            json: mapping.to_json().to_owned(),
        }
    }
}

impl From<&NumberMapping> for NumberRow {
    fn from(mapping: &NumberMapping) -> Self {
        Self { tenant_id: mapping.tenant_id.clone(), number: mapping.into() }
    }
}
