//! Looks for a running application controller of Argo CD.

use std::{collections::BTreeSet, sync::Arc};

use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use parking_lot::Mutex;
use reconcile_core::{
    object::Root,
    operator::Operator,
    reconcile::Queue,
    watch::{Change, Guarded, Index, Watch, WatchConfig},
};

use crate::{
    api::Application,
    app::{Context, original_refusal},
};

/// The label that upstream's manifests and its chart give to the pods.
const LABELS: &str = "app.kubernetes.io/name=argocd-application-controller";
/// What readiness calls it.
const PART: &str = "application controller of Argo CD";

/// A pod that may be at work: its containers were started and have not ended. One that is not ready, or that is being
/// deleted, still acts.
fn works(pod: &Pod) -> bool {
    let phase = pod
        .status
        .as_ref()
        .and_then(|status| status.phase.as_deref());
    phase == Some("Running")
}

/// Keeps in mind whether one runs in the namespace of the control plane, and looks at every Application when that
/// changes. While one runs, the process is not ready.
pub(super) fn watch_original(
    operator: &Operator,
    context: &Context,
    roots: &Index<Root<Application>>,
    queue: &Queue,
) {
    if context.settings.take_over {
        return;
    }
    let api: Api<Guarded<Pod>> =
        Api::namespaced(operator.client.clone(), &context.settings.control_plane);
    let watch = Watch::new(api, Index::default(), |pod: Pod| works(&pod).then_some(())).config(
        WatchConfig {
            labels: Some(LABELS.to_owned()),
            fields: None,
        },
    );
    let running: Mutex<BTreeSet<String>> = Mutex::default();
    let (original, readiness) = (context.original.clone(), operator.readiness.clone());
    let (roots, queue) = (roots.clone(), queue.clone());
    let watch = watch.on_change(move |change: Change<()>| {
        let pod: Option<Arc<str>> = {
            let mut running = running.lock();
            match change.new {
                Some(_) => running.insert(change.key.name),
                None => running.remove(&change.key.name),
            };
            running.first().map(|name| name.as_str().into())
        };
        if !original.set(pod.clone()) {
            return;
        }
        if let Some(pod) = &pod {
            tracing::warn!("no Application is changed: {}", original_refusal(pod));
        } else {
            tracing::info!("the application controller of Argo CD is gone; reconciling");
        }
        readiness.hold(PART, pod.map(|pod| original_refusal(&pod)));
        roots.each(|key, _| queue.add(key.clone()));
    });
    let ready = operator.readiness.register(PART);
    operator.spawn(PART, watch.ready(ready).run());
}
