//! Backends of Experiments in the rules that split traffic.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::super::{router::RouteContext, state::RouteGoal};

/// The weights of the backends that belong to Experiments of the Rollout, by Service.
pub(super) fn present(rule: &Value, context: &RouteContext<'_>) -> BTreeMap<String, i32> {
    let backends = rule["backendRefs"].as_array().into_iter().flatten();
    let own = backends.filter_map(|backend| {
        let name = service_of(backend, context)?;
        let weight = backend["weight"].as_i64().unwrap_or(1);
        Some((name.to_owned(), i32::try_from(weight).ok()?))
    });
    own.collect()
}

/// Sets the backends of Experiments: those of `goal`, and no other. They have the port of the new version.
pub(super) fn set(rule: &mut Value, context: &RouteContext<'_>, goal: &RouteGoal) {
    let Some(backends) = rule["backendRefs"].as_array_mut() else {
        return;
    };
    let port = backends
        .iter()
        .find(|backend| backend["name"] == context.canary)
        .map(|backend| backend["port"].clone());
    backends.retain(|backend| service_of(backend, context).is_none());
    backends.extend(goal.extra.iter().map(|extra| {
        json!({
            "group": "", "kind": "Service",
            "name": extra.service, "port": port, "weight": extra.weight,
        })
    }));
}

/// The Service of a backend that belongs to an Experiment of the Rollout.
fn service_of<'b>(backend: &'b Value, context: &RouteContext<'_>) -> Option<&'b str> {
    let name = backend["name"].as_str()?;
    let own = context.experiments.iter().any(|service| service == name);
    own.then_some(name)
}
