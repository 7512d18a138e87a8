//! Objects with pods of their own: the watch of their Deployments, and who keeps these.

use std::{path::PathBuf, sync::Arc, time::Duration};

use reconcile_core::{args::LeaderArgs, operator::Operator, watch::Index};
use tokio::sync::Notify;

use crate::controller::{
    ControllerContext,
    context::MANAGER,
    dedicated::{
        Dedicated, DedicatedObject, DedicatedTemplate, Keeper, LiveDeployment, TAG,
        watch_of_deployments,
    },
};

/// A pod of one object looks so often whether the template is there.
const PERIOD: Duration = Duration::from_secs(10);

/// What this process has to do with pods of single objects: it is the one of `only`, or leaves objects to them when there is
/// a template for such pods.
pub(super) fn role(
    only: Option<&DedicatedObject>,
    template: Option<&DedicatedTemplate>,
) -> Dedicated {
    match (only, template) {
        (Some(_), _) => Dedicated::Only,
        (None, Some(_)) => Dedicated::Shared(Index::new(|live: &LiveDeployment| {
            vec![live.object.to_string()]
        })),
        (None, None) => Dedicated::Off,
    }
}

/// Watches the Deployments, which are where the leases are, and keeps them while this process leads. A pod of one object
/// ends when the file of the template is gone.
pub(super) fn run(
    operator: &Operator,
    context: &ControllerContext,
    leader: &LeaderArgs,
    (template, file): (Option<DedicatedTemplate>, PathBuf),
) {
    if matches!(context.dedicated, Dedicated::Only) {
        return end_without_template(operator, file);
    }
    let (Dedicated::Shared(live), Some(template)) = (&context.dedicated, template) else {
        return;
    };
    let namespace = leader.namespace.as_ref().unwrap_or(&operator.namespace);
    let wake = Arc::new(Notify::new());
    let woken = wake.clone();
    context.sources.on_change(move |_| woken.notify_one());
    let woken = wake.clone();
    context.sensors.on_change(move |_| woken.notify_one());
    let (shared, woken) = (context.clone(), wake.clone());
    let watch = watch_of_deployments(operator.serving.clone(), namespace, live.clone());
    let watch = watch
        .on_change(move |_| {
            woken.notify_one();
            // There are few of them, and they say whether their pods are available.
            for (key, _) in shared.sources.tagged(TAG) {
                shared.source_queue.add(key);
            }
            for (key, _) in shared.sensors.tagged(TAG) {
                shared.sensor_queue.add(key);
            }
        })
        .ready(operator.readiness.register("deployments"));
    operator.spawn("watch of Deployments", watch.run());
    let keeper = Keeper {
        template,
        namespace: namespace.clone(),
        client: operator.client.clone(),
        live: live.clone(),
        sources: context.sources.clone(),
        sensors: context.sensors.clone(),
        events: operator.events.clone(),
        manager: MANAGER,
        wake,
        clock: operator.clock.clone(),
    };
    let (mut leads, readiness) = (operator.leader(), operator.readiness.clone());
    operator.spawn("Deployments of objects", async move {
        // From half a list it would delete what is needed.
        readiness.wait().await;
        if leads.wait_for(|leads| *leads).await.is_ok() {
            keeper.run().await;
        }
        // The election has ended: so does the process.
        std::future::pending::<()>().await;
    });
}

/// Without the template no object has a pod of its own: the shared processes act for this one, and nobody deletes its
/// Deployment.
fn end_without_template(operator: &Operator, file: PathBuf) {
    operator.spawn("template of dedicated pods", async move {
        while file.is_file() {
            tokio::time::sleep(PERIOD).await;
        }
        let file = file.display();
        tracing::error!(%file, "the template is gone: no object has a pod of its own any more");
    });
}
