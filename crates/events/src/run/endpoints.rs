//! The endpoints of this replica, and those of replicas that are gone.

use std::{net::IpAddr, sync::Arc, time::Duration};

use reconcile_core::{args::LeaderArgs, error::error_chain, operator::Operator};

use crate::{
    controller::{ControllerContext, eventbus::BusDefaults, eventsource::Slices},
    replicas::{self, Replica, Standby},
};

/// Pause between tries to read what earlier processes published.
const ADOPT_PAUSE: Duration = Duration::from_secs(2);

/// How callers reach this process.
pub(super) struct Serving {
    /// This process among those that serve.
    pub(super) replica: Replica,
    /// Its address.
    pub(super) address: Option<IpAddr>,
    /// What it has published.
    pub(super) slices: Slices,
    /// Defaults of buses.
    pub(super) defaults: Arc<BusDefaults>,
}

/// Learns what earlier processes published under the address of this one: callers may still come in by these ports,
/// so nobody else gets them.
pub(super) async fn adopt_endpoints(
    operator: &Operator,
    context: &ControllerContext,
    scope: Option<&str>,
    serving: &Serving,
) {
    let mut reported = String::new();
    let all = loop {
        let error = match replicas::published(&operator.serving, scope).await {
            Ok(all) => break all,
            Err(error) => error,
        };
        let reason = error_chain(&error);
        if reported != reason {
            tracing::warn!(reason, "cannot read the EndpointSlices of event sources");
            reported = reason;
        }
        tokio::select! {
            () = operator.shutdown.cancelled() => return,
            () = tokio::time::sleep(ADOPT_PAUSE) => {}
        }
    };
    for slice in all {
        if slice.replica.as_deref() == Some(serving.replica.id()) {
            serving.slices.doubt(&slice.source);
        }
        if serving
            .address
            .is_some_and(|own| slice.addresses.contains(&own))
        {
            context.plane.published(&slice.source, &slice.ports);
        }
    }
}

/// Publishes all endpoints whenever the lease of this replica is won: others may have removed them.
pub(super) fn serve_endpoints(operator: &Operator, context: &ControllerContext, serving: &Serving) {
    let mut held = serving.replica.held();
    let (slices, sources) = (serving.slices.clone(), context.sources.clone());
    let queue = context.source_queue.clone();
    operator.spawn("endpoints of this replica", async move {
        while held.wait_for(|held| *held).await.is_ok() {
            slices.doubt_all();
            for key in sources.keys() {
                queue.add(key);
            }
            if held.wait_for(|held| !*held).await.is_err() {
                break;
            }
        }
        // The elections have ended: so does the process.
        std::future::pending::<()>().await;
    });
}

/// Removes the endpoints of replicas that are gone.
pub(super) fn look_after_replicas(
    operator: &Operator,
    leader: &LeaderArgs,
    scope: Option<String>,
    replica: &Replica,
) {
    let standby = Standby {
        claims: operator.claims.clone(),
        client: operator.serving.clone(),
        namespace: leader
            .namespace
            .clone()
            .unwrap_or_else(|| operator.namespace.clone()),
        scope,
        own: replica.clone(),
    };
    let (mut leads, client) = (operator.leader(), operator.client.clone());
    let elects = leader.enabled;
    operator.spawn("endpoints of other replicas", async move {
        let orphans = async {
            // An error is the end of the process.
            drop(leads.wait_for(|leads| *leads).await);
            match standby.remove_orphans(&client).await {
                Ok(0) => {}
                Ok(count) => tracing::info!(count, "removed endpoints of earlier processes"),
                Err(error) => tracing::warn!(
                    error = error_chain(&error),
                    "cannot remove endpoints of earlier processes"
                ),
            }
        };
        if elects {
            futures::join!(orphans, standby.run());
        } else {
            orphans.await;
            std::future::pending::<()>().await;
        }
    });
}
