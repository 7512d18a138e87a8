//! Whether AWS has the weights of an Ingress.

use kube::api::DynamicObject;

use super::super::{
    aws::{self, Forwarding},
    router::{FULL_WEIGHT, RouteContext},
    state::RouteState,
};

/// Asks AWS whether what an Ingress says is in effect, where the controller may and the pass needs it.
pub(super) async fn verify(
    context: &RouteContext<'_>,
    ports: &[i64],
    ingress: &DynamicObject,
    state: &mut RouteState,
) {
    let (Some(asking), Some(weight)) = (context.aws, state.weight) else {
        return;
    };
    let extra = state.extra.iter();
    let extra: Vec<(&str, i32)> = extra
        .map(|(service, weight)| (&**service, *weight))
        .collect();
    let rest = FULL_WEIGHT - weight - extra.iter().map(|(_, weight)| weight).sum::<i32>();
    let own = [(context.canary, weight), (context.stable, rest)];
    let forwarding = Forwarding {
        namespace: &context.rollout.namespace,
        ports,
        canary: context.canary,
        stable: context.stable,
        weights: own.into_iter().chain(extra).collect(),
    };
    // At the end of an update every pass looks, because nothing else says that the old pods may go.
    let asking = aws::Asking {
        verify: asking.verify || asking.is_update && weight == FULL_WEIGHT,
        ..asking
    };
    if !asking.verify && asking.is_known {
        return;
    }
    let found = aws::verify(asking, &forwarding, ingress).await;
    state.balancers.extend(found.balancer);
    if asking.verify {
        state.in_effect = Some(found.in_effect);
        state.findings = found.findings;
    }
}
