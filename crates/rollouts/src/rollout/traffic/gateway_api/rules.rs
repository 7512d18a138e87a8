//! The rules of a route: what they say, and the patch that makes them say something else.

use kube::api::DynamicObject;
use reconcile_core::object::FieldError;
use serde_json::{Value, json};

use super::{FoundRoute, IN_PROGRESS, experiments, managed};
use crate::rollout::traffic::{
    extra::of_all_weights,
    managed::ManagedRoute,
    router::RouteContext,
    state::{RouteGoal, RouteState},
};

/// The index of a backend with this name.
pub(super) fn backend(rule: &Value, service: &str) -> Option<usize> {
    let backends = rule.get("backendRefs")?.as_array()?;
    backends.iter().position(|backend| {
        let kind = backend.get("kind").and_then(Value::as_str);
        backend["name"] == service && kind.is_none_or(|kind| kind == "Service")
    })
}

/// The rules that split traffic between both versions, as indexes of the rule and its two backends.
pub(super) fn rules_of<'r>(
    route: &'r DynamicObject,
    context: &'r RouteContext<'_>,
) -> impl Iterator<Item = (usize, usize, usize)> + 'r {
    let rules = route.data.pointer("/spec/rules").and_then(Value::as_array);
    rules
        .into_iter()
        .flatten()
        .enumerate()
        .filter_map(|(index, rule)| {
            let canary = backend(rule, context.canary)?;
            Some((index, canary, backend(rule, context.stable)?))
        })
}

/// The weight of a backend; the API's default is 1.
fn weight_of(route: &DynamicObject, rule: usize, backend: usize) -> i64 {
    let path = format!("/spec/rules/{rule}/backendRefs/{backend}/weight");
    let weight = route.data.pointer(&path).and_then(Value::as_i64);
    weight.unwrap_or(1)
}

pub(super) fn state(found: &FoundRoute, context: &RouteContext<'_>) -> RouteState {
    let route = &found.route;
    let states = rules_of(route, context).map(|(rule, canary, stable)| {
        of_all_weights(
            weight_of(route, rule, canary),
            weight_of(route, rule, stable),
            experiments::present(&route.data["spec"]["rules"][rule], context),
        )
    });
    RouteState {
        in_effect: in_effect(route),
        managed: managed::present(route, context),
        ..RouteState::together(states)
    }
}

/// Whether every Gateway that takes the route has accepted this generation of it.
fn in_effect(route: &DynamicObject) -> Option<bool> {
    let parents = route.data.pointer("/status/parents")?.as_array()?;
    if parents.is_empty() {
        return None;
    }
    let generation = route.metadata.generation.unwrap_or_default();
    Some(parents.iter().all(|parent| {
        let mut conditions = parent["conditions"].as_array().into_iter().flatten();
        let accepted = conditions.find(|condition| condition["type"] == "Accepted");
        accepted.is_some_and(|condition| {
            let seen = condition["observedGeneration"].as_i64();
            condition["status"] == "True" && seen.is_none_or(|seen| seen >= generation)
        })
    }))
}

/// The patch that makes a route say what `goal` says; none when it does already. Lists are replaced as a
/// whole, so the patch is guarded by the version that was read.
pub(super) fn patch(
    found: &FoundRoute,
    context: &RouteContext<'_>,
    goal: &RouteGoal,
) -> Result<Option<Value>, FieldError> {
    let route = &found.route;
    let old = route.data.pointer("/spec/rules").and_then(Value::as_array);
    let old = old.map(Vec::as_slice).unwrap_or_default();
    let weight = i64::from(goal.weight);
    let mut own: Vec<Value> = old
        .iter()
        .filter(|rule| managed::name_of(rule, context.managed).is_none())
        .cloned()
        .collect();
    for rule in &mut own {
        let canary = backend(rule, context.canary);
        if let (Some(canary), Some(stable)) = (canary, backend(rule, context.stable)) {
            rule["backendRefs"][canary]["weight"] = weight.into();
            rule["backendRefs"][stable]["weight"] = goal.stable_weight().into();
            experiments::set(rule, context, goal);
        }
    }
    let routes: &[ManagedRoute] = if found.kind.takes_managed() {
        &goal.managed
    } else {
        &[]
    };
    let rules = managed::with_managed(found.kind, own, routes, context)?;
    let label = (weight > 0).then_some("in-progress");
    let labels = route.metadata.labels.as_ref();
    let known = labels.and_then(|labels| labels.get(IN_PROGRESS));
    let same_label = known.map(String::as_str) == label;
    let same_rules = old == rules;
    if same_label && same_rules {
        return Ok(None);
    }
    let mut body = json!({ "metadata": { "resourceVersion": route.metadata.resource_version } });
    if !same_label {
        body["metadata"]["labels"] = json!({ IN_PROGRESS: label });
    }
    if !same_rules {
        body["spec"] = json!({ "rules": rules });
    }
    Ok(Some(body))
}
