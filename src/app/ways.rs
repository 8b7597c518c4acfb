//! Where the trunks are, for calls of ours.

use std::net::SocketAddr;
use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use sip::endpoint::flow::Hop;
use sip::endpoint::policy::PolicyId;

use super::registrar::{self, Reachable};
use crate::call::ports::{Way, Ways};
use crate::net::dns::Resolver;
use crate::trunk::Trunk;

/// Looks trunks up.
pub(super) struct LookedUp {
    pub reachable: Reachable,
    pub resolver: Arc<Resolver>,
}

impl Ways for LookedUp {
    fn to<'a>(&'a self, trunk: &'a Trunk) -> BoxFuture<'a, Result<Way, String>> {
        async move {
            let found = registrar::resolve(&trunk.config, &self.resolver, rand::random()).await?;
            let peer = self.reachable.peers.get(&trunk.config.name).copied();
            let hops: Vec<Hop> = found.into_iter().map(|hop| Hop { peer, ..hop }).collect();
            let first = hops.first().ok_or_else(|| "it has no address".to_owned())?;
            let local = registrar::local_towards(&self.reachable, first)
                .ok_or_else(|| "nothing is listened on".to_owned())?;
            let advertised = SocketAddr::new(self.reachable.advertised.unwrap_or(local.ip()), local.port());
            Ok(Way { hops, local, advertised, routes: Vec::new(), policy: PolicyId::default() })
        }
        .boxed()
    }
}
