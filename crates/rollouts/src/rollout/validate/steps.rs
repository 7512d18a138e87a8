//! Steps of a canary.

use jiff::SignedDuration;
use reconcile_core::kube_types::{GoDuration, IntOrString};
use serde_json::Value;

use super::{Checked, seconds, wrong};
use crate::{
    api::rollout::{CanaryStep, PauseStep},
    rollout::{
        experiment_step, flags,
        observed::{CanaryScale, Step},
        plan::replicas,
        traffic::{self, RouteStep, Routing},
    },
};

pub(super) fn check(at: &str, step: &CanaryStep, routing: Option<&Routing>) -> Checked<Step> {
    if let Some(checked) = added_step(at, step, routing) {
        return checked;
    }
    if let Some(checked) = routing_step(at, step, routing) {
        return checked;
    }
    let most = routing.map_or(traffic::FULL_WEIGHT, |routing| routing.max_weight);
    match (&step.set_weight, &step.pause, &step.analysis) {
        (Some(weight), None, None) if (0..=most).contains(weight) => Ok(Step::SetWeight(*weight)),
        (Some(weight), None, None) => wrong(
            format!("{at}.setWeight"),
            format!("Invalid value: {weight}: SetWeight needs to be between 0 and {most}"),
        ),
        (None, Some(given), None) => pause(&format!("{at}.pause.duration"), given).map(Step::Pause),
        (None, None, Some(analysis)) if analysis.templates.is_empty() => {
            wrong(format!("{at}.analysis.templates"), "Required value")
        }
        (None, None, Some(analysis)) => Ok(Step::Analysis(analysis.clone())),
        _ => wrong(at, ONE_MEMBER),
    }
}

/// An Experiment or a plugin, when the step is one.
fn added_step(at: &str, step: &CanaryStep, routing: Option<&Routing>) -> Option<Checked<Step>> {
    let is_alone = step.set_weight.is_none() && step.pause.is_none() && step.analysis.is_none();
    match (&step.experiment, &step.plugin) {
        (None, None) => None,
        (Some(experiment), None) if is_alone => {
            let checked = experiment_step::check(&format!("{at}.experiment"), experiment, routing);
            Some(checked.map(|step| Step::Experiment(Box::new(step))))
        }
        (None, Some(plugin)) if is_alone => {
            let checked = flags::check(&format!("{at}.plugin"), plugin);
            Some(checked.map(|step| Step::FeatureFlag(Box::new(step))))
        }
        _ => Some(wrong(at, ONE_MEMBER)),
    }
}

/// The steps that need traffic routing; none when the step is another one.
fn routing_step(at: &str, step: &CanaryStep, routing: Option<&Routing>) -> Option<Checked<Step>> {
    let given = [
        ("setCanaryScale", &step.set_canary_scale),
        ("setHeaderRoute", &step.set_header_route),
        ("setMirrorRoute", &step.set_mirror_route),
    ];
    let mut given = given
        .into_iter()
        .filter_map(|(name, value)| Some((name, value.as_ref()?)));
    let (name, value) = given.next()?;
    let alone = given.next().is_none()
        && step.set_weight.is_none()
        && step.pause.is_none()
        && step.analysis.is_none();
    if !alone {
        let message = "Invalid value: a step does one thing; make several steps of it";
        return Some(wrong(at, message));
    }
    let at = format!("{at}.{name}");
    let Some(routing) = routing else {
        let message = format!("Invalid value: {name} can only be used with traffic routing");
        return Some(wrong(at, message));
    };
    Some(match name {
        "setCanaryScale" => canary_scale(&at, value, routing).map(Step::SetCanaryScale),
        "setHeaderRoute" => traffic::header_step(&at, value)
            .and_then(|step| route_step(&at, step, routing))
            .map(Step::Route),
        _ => traffic::mirror_step(&at, value)
            .and_then(|step| route_step(&at, step, routing))
            .map(Step::Route),
    })
}

fn route_step(at: &str, step: RouteStep, routing: &Routing) -> Checked<RouteStep> {
    if !routing.managed.iter().any(|name| name == step.name()) {
        let message = format!(
            "Invalid value: \"{}\": must be in trafficRouting.managedRoutes",
            step.name()
        );
        return wrong(format!("{at}.name"), message);
    }
    if let RouteStep::Set(route) = &step {
        routing.takes(at, route)?;
    }
    Ok(step)
}

fn canary_scale(at: &str, value: &Value, routing: &Routing) -> Checked<CanaryScale> {
    let number = |name: &str, most: i32| -> Checked<Option<i32>> {
        let Some(value) = value.get(name).filter(|value| !value.is_null()) else {
            return Ok(None);
        };
        let number = value.as_i64().and_then(|number| i32::try_from(number).ok());
        match number.filter(|number| (0..=most).contains(number)) {
            Some(number) => Ok(Some(number)),
            None => wrong(
                format!("{at}.{name}"),
                format!("Invalid value: {value}: needs to be between 0 and {most}"),
            ),
        }
    };
    let replicas = number("replicas", replicas::MOST_PODS)?;
    let weight = number("weight", routing.max_weight)?;
    let matches = value.get("matchTrafficWeight").and_then(Value::as_bool) == Some(true);
    match (replicas, weight, matches) {
        (None, None, true) => Ok(CanaryScale::MatchTrafficWeight),
        (Some(replicas), None, false) => Ok(CanaryScale::Replicas(replicas)),
        (None, Some(weight), false) => Ok(CanaryScale::Weight(weight)),
        _ => wrong(
            at,
            "Invalid value: set one of replicas, weight and matchTrafficWeight",
        ),
    }
}

/// Any number is seconds; a text is seconds too, or a Go duration.
fn pause(at: &str, pause: &PauseStep) -> Checked<Option<SignedDuration>> {
    let Some(duration) = &pause.duration else {
        return Ok(None);
    };
    let length = match duration {
        IntOrString::Int(number) => Some(seconds(*number)),
        IntOrString::String(text) => GoDuration::parse_or_seconds(text)
            .ok()
            .map(|duration| SignedDuration::from_nanos(duration.as_nanos())),
    };
    match length {
        Some(length) if length >= SignedDuration::ZERO => Ok(Some(length)),
        Some(_) => wrong(
            at,
            format!("Invalid value: {duration}: Duration needs to be greater than 0"),
        ),
        None => wrong(
            at,
            format!(
                "Invalid value: \"{duration}\": not a number of seconds or a duration such as 5m"
            ),
        ),
    }
}

const ONE_MEMBER: &str = "Invalid value: Step must have one of the following set: experiment, setWeight, setCanaryScale or pause";
