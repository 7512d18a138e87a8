//! Keeps the Deployments of objects with pods of their own.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
};

use k8s_openapi::api::core::v1::ObjectReference;
use kube::{
    Api, Client,
    api::{ApiResource, DynamicObject, PropagationPolicy},
    core::GroupVersionKind,
};
use reconcile_core::{
    apply::{self, EventSink, apply_forced, resource_of},
    clock::Clock,
    error::error_chain,
    event::EventNote,
    object::{Kind, ObjectKey, Root},
    watch::{Guarded, Index, Watch, WatchConfig},
};
use serde_json::{Value, json};
use tokio::sync::Notify;

use super::{
    DedicatedObject, DedicatedTemplate, LiveDeployment, PodWish, TAG,
    deployment::{HASH, LABEL, OBJECT},
    leases,
};
use crate::api::{EventSource, Sensor};

/// Who reports Kubernetes Events.
const REPORTER: &str = "dedicated-controller";
/// Everything is compared this often, although nothing seems to have changed.
const PERIOD: Duration = Duration::from_secs(30);
/// Shortest pause between comparisons.
const SHORTEST_PAUSE: Duration = Duration::from_millis(200);
/// Pods of their own in one namespace: they are of the operator's account and count against its namespace, so that no
/// tenant gets all of it.
const MOST_PER_NAMESPACE: usize = 20;

/// Keeps the Deployments while this process leads.
pub struct Keeper {
    /// From what they are made.
    pub template: DedicatedTemplate,
    /// Their namespace.
    pub namespace: String,
    /// The client of the leader.
    pub client: Client,
    /// The Deployments.
    pub live: Index<LiveDeployment>,
    /// EventSources.
    pub sources: Index<Root<EventSource>>,
    /// Sensors.
    pub sensors: Index<Root<Sensor>>,
    /// Kubernetes Events about the objects.
    pub events: EventSink,
    /// Who writes, for the API server's field ownership.
    pub manager: &'static str,
    /// Something has changed.
    pub wake: Arc<Notify>,
    /// Tells which leases have expired.
    pub clock: Clock,
}

/// A Deployment that should be there.
struct Wanted {
    object: DedicatedObject,
    about: ObjectReference,
    made: Value,
}

impl Keeper {
    /// Runs until it is dropped. This process must lead.
    pub async fn run(&self) {
        let mut reported = HashMap::new();
        // A predecessor may have deleted Deployments whose leases are still there.
        let mut leases_are_left = true;
        loop {
            leases_are_left |= self.look(&mut reported).await;
            if leases_are_left {
                leases_are_left = self.delete_leases().await;
            }
            tokio::time::sleep(SHORTEST_PAUSE).await;
            drop(tokio::time::timeout(PERIOD, self.wake.notified()).await);
        }
    }

    /// Compares once; `reported` has the failures that were reported, by Deployment. True when one was deleted.
    async fn look(&self, reported: &mut HashMap<String, String>) -> bool {
        let mut wanted = self.wanted();
        let mut is_deleted = false;
        let mut live = Vec::new();
        self.live
            .each(|key, one| live.push((key.clone(), one.clone())));
        for (key, one) in live {
            if !wanted.contains_key(&key.name) {
                let deleted = self.delete(&key, &one).await;
                is_deleted |= deleted.is_ok();
                report(reported, &key.name, deleted.err(), |_| {});
            }
        }
        wanted.retain(|name, one| {
            let live = self.live.get(&ObjectKey::new(&self.namespace, name));
            live.is_none_or(|live| one.made["metadata"]["annotations"][HASH] != live.hash)
        });
        for (name, one) in wanted {
            let applied = self.apply(&name, &one.made).await;
            let tell = |reason: &str| {
                let note = format!(
                    "cannot apply Deployment {}/{name}: {reason}",
                    self.namespace
                );
                let note = EventNote::warning("DedicatedPodFailed", note);
                self.events.emit(REPORTER, one.about.clone(), note);
            };
            if applied.is_ok() {
                tracing::info!(object = %one.object, deployment = name, "applied the Deployment of an object with a pod of its own");
            }
            report(reported, &name, applied.err(), tell);
        }
        is_deleted
    }

    /// Deletes leases of pods that are gone. True when some are left, which did not expire yet.
    async fn delete_leases(&self) -> bool {
        let mut kept: BTreeSet<String> = self.wanted().into_keys().collect();
        self.live.each(|key, _| {
            kept.insert(key.name.clone());
        });
        let now = self.clock.now();
        let deleted = leases::delete_unneeded(&self.client, &self.namespace, &kept, now).await;
        deleted.unwrap_or_else(|error| {
            tracing::warn!(reason = %error_chain(&error), "cannot delete leases of pods that are gone");
            true
        })
    }

    /// The Deployments that should be there, by name.
    fn wanted(&self) -> BTreeMap<String, Wanted> {
        let mut all = BTreeMap::new();
        let mut counts: HashMap<String, usize> = HashMap::new();
        self.collect(&self.sources, &mut counts, &mut all);
        self.collect(&self.sensors, &mut counts, &mut all);
        all
    }

    fn collect<K: Kind>(
        &self,
        index: &Index<Root<K>>,
        counts: &mut HashMap<String, usize>,
        all: &mut BTreeMap<String, Wanted>,
    ) {
        for (key, root) in index.tagged(TAG) {
            let Some(wish) = PodWish::of(&*root).filter(|_| !root.is_deleting()) else {
                continue;
            };
            let count = counts.entry(key.namespace.clone()).or_default();
            *count += 1;
            if *count > MOST_PER_NAMESPACE {
                continue;
            }
            let object = DedicatedObject::of(&*root);
            let mut made = self.template.deployment(&object, &wish, &self.namespace);
            if key.namespace == self.namespace {
                // Owners are of the same namespace only; the others are removed here.
                made["metadata"]["ownerReferences"] = json!([root.controller_reference()]);
            }
            let about = root.object_reference();
            all.insert(
                object.deployment(),
                Wanted {
                    object,
                    about,
                    made,
                },
            );
        }
    }

    async fn apply(&self, name: &str, made: &Value) -> Result<(), apply::ApplyError> {
        let key = ObjectKey::new(&self.namespace, name);
        let live = apply_forced(&self.client, &deployments(), &key, made, self.manager).await?;
        let meta = live.metadata.clone();
        if let Some(live) = live_deployment(&live) {
            self.live.written(&meta, live);
        }
        Ok(())
    }

    async fn delete(
        &self,
        key: &ObjectKey,
        live: &LiveDeployment,
    ) -> Result<(), apply::ApplyError> {
        let background = PropagationPolicy::Background;
        apply::delete(
            &self.client,
            &deployments(),
            key,
            Some(&live.uid),
            background,
        )
        .await?;
        tracing::info!(object = %live.object, deployment = key.name, "deleted the Deployment of an object without a pod of its own");
        Ok(())
    }
}

/// Logs a failure, and tells of it, when it is another one than before.
fn report(
    reported: &mut HashMap<String, String>,
    name: &str,
    error: Option<apply::ApplyError>,
    tell: impl FnOnce(&str),
) {
    let Some(error) = error else {
        reported.remove(name);
        return;
    };
    let reason = error_chain(&error);
    if reported.get(name) != Some(&reason) {
        tracing::warn!(
            deployment = name,
            reason,
            "cannot keep the Deployment of an object with a pod of its own"
        );
        tell(&reason);
        reported.insert(name.to_owned(), reason);
    }
}

fn deployments() -> ApiResource {
    resource_of(
        &GroupVersionKind::gvk("apps", "v1", "Deployment"),
        "deployments",
    )
}

fn live_deployment(object: &DynamicObject) -> Option<LiveDeployment> {
    let annotations = object.metadata.annotations.as_ref()?;
    let available = object.data["status"]["availableReplicas"].as_u64();
    Some(LiveDeployment {
        object: annotations.get(OBJECT)?.parse().ok()?,
        hash: annotations.get(HASH).cloned().unwrap_or_default(),
        available: available.unwrap_or(0) > 0,
        uid: object.metadata.uid.clone().unwrap_or_default(),
    })
}

/// The watch of the Deployments in `namespace`; those of one object are tagged by it.
pub fn watch_of_deployments(
    client: Client,
    namespace: &str,
    index: Index<LiveDeployment>,
) -> Watch<DynamicObject, LiveDeployment> {
    let api = Api::<Guarded<DynamicObject>>::namespaced_with(client, namespace, &deployments());
    let config = WatchConfig {
        labels: Some(LABEL.to_owned()),
        fields: None,
    };
    let convert = |object: DynamicObject| live_deployment(&object);
    Watch::named("deployments", api, index, convert).config(config)
}
