//! Where the trunks are, for calls of ours.

use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use sip::endpoint::policy::PolicyId;

use super::outward::{self, Reachable};
use crate::call::ports::{Way, Ways};
use crate::net::dns::Resolver;
use crate::trunk::Trunk;

/// The trunks' addresses: those that their tasks know, which are looked up when they know none yet.
pub(super) struct LookedUp {
    pub reachable: Reachable,
    pub resolver: Arc<Resolver>,
}

impl Ways for LookedUp {
    fn to<'a>(&'a self, trunk: &'a Trunk) -> BoxFuture<'a, Result<Way, String>> {
        async move {
            let mut hops = trunk.hops();
            if hops.is_empty() {
                hops = outward::look_up(trunk, &self.resolver, rand::random()).await?;
            }
            let first = hops.first().ok_or_else(|| "it has no address".to_owned())?;
            let local = self.reachable.local_towards(first);
            let local = local.ok_or_else(|| "nothing is listened on".to_owned())?;
            let advertised = self.reachable.advertised(local);
            // RFC 3608 §6: calls take the way that the registrar gave.
            let routes = trunk.registered().map(|held| held.service_route.clone()).unwrap_or_default();
            Ok(Way { hops, local, advertised, routes, policy: PolicyId(trunk.id.0) })
        }
        .boxed()
    }
}
