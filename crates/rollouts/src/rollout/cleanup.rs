//! Gives back what a Rollout changed: when it is deleted or names other routes, those that it named lead to
//! the stable version only; when it is deleted, feature flags get the definitions that stood before.

use std::{sync::Arc, time::Duration};

use reconcile_core::{
    apply::ApplyError,
    error::{Classify, ErrorClass},
};
use tokio::sync::{mpsc, watch};

use super::{
    Effects,
    flags::{self, PLUGIN},
    observed::{Canary, CheckedStrategy},
    traffic::{RouteContext, Router, RouterError},
    validate, workload,
};
use crate::api::rollout::Rollout;

/// Rollouts that may wait.
const WAITING: usize = 1024;
/// Pauses between tries while the API server does not answer.
const PAUSES: [Duration; 3] = [
    Duration::from_secs(1),
    Duration::from_secs(5),
    Duration::from_secs(30),
];

/// The task.
pub(super) struct Cleanup {
    pub(super) effects: Effects,
    pub(super) leader: watch::Receiver<bool>,
    former: mpsc::Receiver<Arc<Rollout>>,
}

impl Cleanup {
    /// The task, and where it takes Rollouts from as they were before they changed or went.
    pub(super) fn new(
        effects: Effects,
        leader: watch::Receiver<bool>,
    ) -> (Self, mpsc::Sender<Arc<Rollout>>) {
        let (sender, former) = mpsc::channel(WAITING);
        let task = Self {
            effects,
            leader,
            former,
        };
        (task, sender)
    }

    /// Gives back until the process ends.
    pub(super) async fn run(mut self) {
        while let Some(former) = self.former.recv().await {
            if self.leader.wait_for(|leads| *leads).await.is_err() {
                return;
            }
            let current = self.effects.sources.roots.get(&former.key());
            let current = current.filter(|root| root.uid() == former.uid());
            self.give_routes_back(&former, current.as_deref()).await;
            if current.is_none() {
                self.effects.give_flags_back(&former).await;
            }
        }
    }

    async fn give_routes_back(&self, former: &Rollout, current: Option<&Rollout>) {
        let Some(canary) = routed(former) else {
            return;
        };
        // A manifest that cannot be read names nothing; traffic must not move because of a typing mistake.
        let kept = match current {
            None => Vec::new(),
            Some(root)
                if root
                    .parse_spec()
                    .map(workload::assume)
                    .map(validate::check)
                    .is_ok_and(|spec| spec.is_ok()) =>
            {
                routed(root).map_or_else(Vec::new, |canary| routes(&canary))
            }
            Some(_) => return,
        };
        let Some(routing) = &canary.routing else {
            return;
        };
        let experiments = self.effects.sources.experiments.tagged(former.uid());
        let experiments: Vec<String> = experiments
            .iter()
            .flat_map(|(_, view)| view.services.iter().map(|(_, service, _)| service.clone()))
            .collect();
        let context = RouteContext {
            client: &self.effects.client,
            rollout: former.key(),
            owner: former.controller_reference(),
            canary: canary.canary_service.as_deref().unwrap_or_default(),
            stable: canary.stable_service.as_deref().unwrap_or_default(),
            max_weight: routing.max_weight,
            managed: &routing.managed,
            experiments: &experiments,
            aws: None,
        };
        for router in &routing.routers {
            if router.routes().iter().any(|route| kept.contains(route)) {
                continue;
            }
            if let Err(error) = clear(&**router, &context).await {
                tracing::warn!(rollout = %former.key(), routes = ?router.routes(), %error, "cannot restore routes");
            }
        }
    }
}

impl Effects {
    /// Gives back the flags of a Rollout that is gone. Tried again until nothing is left to try: no later pass does it.
    pub(super) async fn give_flags_back(&self, former: &Rollout) {
        let mut retries = Retries::default();
        while let Err(error) = self.restore_flags(former).await {
            let permanent = error.class() == ErrorClass::Invalid;
            if permanent || !retries.wait().await {
                tracing::warn!(rollout = %former.key(), %error, "cannot restore feature flags");
                return;
            }
        }
    }
}

async fn clear(router: &dyn Router, context: &RouteContext<'_>) -> Result<(), RouterError> {
    let mut retries = Retries::default();
    loop {
        match router.clear(context).await {
            Err(RouterError::Api(error)) if is_gone(&error) => return Ok(()),
            Err(error) => {
                let permanent = matches!(error, RouterError::Invalid(_));
                if permanent || !retries.wait().await {
                    return Err(error);
                }
                tracing::debug!(%error, class = ?error.class(), "restoring routes again");
            }
            Ok(()) => return Ok(()),
        }
    }
}

/// Tries that are left.
struct Retries(std::array::IntoIter<Duration, 3>);

impl Default for Retries {
    fn default() -> Self {
        Self(PAUSES.into_iter())
    }
}

impl Retries {
    /// Waits before the next try; false when none is left.
    async fn wait(&mut self) -> bool {
        match self.0.next() {
            Some(pause) => {
                tokio::time::sleep(pause).await;
                true
            }
            None => false,
        }
    }
}

fn is_gone(error: &ApplyError) -> bool {
    error.code() == Some(404)
}

/// The canary of a Rollout with traffic routing.
fn routed(root: &Rollout) -> Option<Canary> {
    let spec = validate::check(workload::assume(root.parse_spec().ok()?)).ok()?;
    match spec.strategy {
        CheckedStrategy::Canary(mut canary) if canary.routing.is_some() => {
            canary.assign_services(&root.parse_status().ok()?);
            Some(canary)
        }
        _ => None,
    }
}

fn routes(canary: &Canary) -> Vec<String> {
    let routers = canary.routing.iter().flat_map(|routing| &routing.routers);
    routers.flat_map(|router| router.routes()).collect()
}

/// True when a Rollout may have something to give back: one with traffic routing that is gone or has
/// another spec, or one with feature flags that is gone.
pub(super) fn is_former(old: &Rollout, new: Option<&Rollout>) -> bool {
    let names = |key: &str| {
        let spec = old.spec.as_ref();
        spec.is_some_and(|spec| spec.get().contains(key))
    };
    match new {
        Some(new) => new.generation() != old.generation() && names("\"trafficRouting\""),
        None => {
            names("\"trafficRouting\"")
                || names(PLUGIN)
                || flags::edited_by_status(old).next().is_some()
        }
    }
}

#[cfg(test)]
mod tests {
    use reconcile_core::{
        object::Root,
        testkit::{FakeApi, Fault},
    };
    use serde_json::json;

    use super::*;
    use crate::rollout::observe::Sources;

    /// After a conflict no pass comes again: the Rollout is gone.
    #[tokio::test(start_paused = true)]
    async fn flags_are_given_back_although_others_write_the_config_map() {
        reconcile_core::operator::install_tls();
        let api = FakeApi::new();
        let before = json!({"variants": {"on": true, "off": false}, "defaultVariant": "off"});
        let after = json!({"variants": {"on": true, "off": false}, "defaultVariant": "on"});
        let saved =
            json!({"a.json/f": {"rollout": "web", "uid": "u", "hash": "h", "before": before}});
        api.put(&json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {
                "namespace": "ns", "name": "flags",
                "annotations": {"rollouts.argoproj.io/feature-flags": saved.to_string()},
            },
            "data": {"a.json": json!({"flags": {"f": after}}).to_string()},
        }));
        api.fail(Fault::status("patch", "configmaps", 409, "Conflict").times(2));
        let step = json!({"plugin": {
            "name": "feature-flag",
            "config": {"configMap": "flags", "key": "a.json", "flag": "f", "variant": "on", "percentage": 50},
        }});
        let former: Root<_> = serde_json::from_value(json!({
            "metadata": {"namespace": "ns", "name": "web", "uid": "u"},
            "spec": {
                "selector": {"matchLabels": {"app": "web"}},
                "template": {
                    "metadata": {"labels": {"app": "web"}},
                    "spec": {"containers": [{"name": "web", "image": "web:1"}]},
                },
                "strategy": {"canary": {"steps": [step]}},
            },
        }))
        .expect("a Rollout");
        let effects = Effects {
            client: api.client(),
            sources: Sources::default(),
            instance_id: String::new(),
            aws: None,
        };
        effects.give_flags_back(&former).await;
        let map = api.get("configmaps", "ns", "flags").expect("it is there");
        let text = map["data"]["a.json"].as_str().expect("a text");
        let flags: serde_json::Value = serde_json::from_str(text).expect("JSON");
        assert_eq!(flags["flags"]["f"], before);
        assert!(
            map["metadata"]["annotations"].is_null()
                || map["metadata"]["annotations"]
                    .as_object()
                    .is_some_and(serde_json::Map::is_empty)
        );
    }
}
