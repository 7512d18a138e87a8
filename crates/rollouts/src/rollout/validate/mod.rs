//! From the raw spec to one with defaults filled in and every rule checked. An error names the path of the
//! field.

mod blue_green;
mod steps;
mod template;

use jiff::SignedDuration;
use reconcile_core::{kube_types::IntOrString, object::FieldError};
use serde_json::Value;

use super::{
    experiment_step,
    observed::{Canary, CheckedSpec, CheckedStrategy, PingPong, Step, Threshold},
    plan::{
        hash::{ComparedTemplate, step_hash},
        replicas,
    },
    pod_rules::PodRules,
    traffic::{self, Routing},
};
use crate::api::rollout::{CanaryStrategy, ProgressThreshold, RolloutSpec, Strategy};

const DEFAULT_HISTORY: i32 = 10;
const DEFAULT_DEADLINE: i32 = 600;
const DEFAULT_RUNS: i32 = 5;
/// How long the old version of a blue-green update stays.
const DEFAULT_DELAY: i32 = 30;
const CANARY: &str = "spec.strategy.canary";

type Checked<T> = Result<T, FieldError>;

fn wrong<T>(path: impl Into<String>, message: impl Into<String>) -> Checked<T> {
    Err(FieldError::new(path, message))
}

/// Checks a spec.
pub fn check(spec: RolloutSpec) -> Checked<CheckedSpec> {
    if spec.workload_ref.is_some() {
        return wrong(
            "spec.workloadRef",
            "the pod template of the workload is not read yet",
        );
    }
    let Some(selector) = spec.selector.clone() else {
        return wrong(
            "spec.selector",
            "Required value: Rollout has missing field '.spec.selector'",
        );
    };
    template::check(&spec.template, &selector)?;
    let replicas = spec.replicas.unwrap_or(1);
    let min_ready = spec.min_ready_seconds.unwrap_or_default();
    not_negative("spec.replicas", replicas)?;
    if replicas > replicas::MOST_PODS {
        return wrong(
            "spec.replicas",
            format!(
                "Invalid value: {replicas}: must be at most {}",
                replicas::MOST_PODS
            ),
        );
    }
    not_negative("spec.minReadySeconds", min_ready)?;
    let deadline = spec.progress_deadline_seconds.unwrap_or(DEFAULT_DEADLINE);
    if deadline <= min_ready {
        return wrong(
            "spec.progressDeadlineSeconds",
            format!("Invalid value: {deadline}: must be greater than minReadySeconds"),
        );
    }
    let history = spec.revision_history_limit.unwrap_or(DEFAULT_HISTORY);
    not_negative("spec.revisionHistoryLimit", history)?;
    let pods = PodRules::of(&spec, replicas)?;
    let runs = spec.analysis.unwrap_or_default();
    let limit =
        |given: Option<i32>| usize::try_from(given.unwrap_or(DEFAULT_RUNS)).unwrap_or_default();
    let strategy = check_strategy(spec.strategy, replicas, history)?;
    Ok(CheckedSpec {
        replicas,
        replicas_unset: spec.replicas.is_none(),
        compared: ComparedTemplate::new(&spec.template),
        template: spec.template,
        selector,
        min_ready,
        history_limit: usize::try_from(history).unwrap_or_default(),
        pods,
        paused: spec.paused.unwrap_or_default(),
        deadline: seconds(deadline),
        deadline_abort: spec.progress_deadline_abort.unwrap_or_default(),
        rollback_window: spec.rollback_window.and_then(|window| window.revisions),
        successful_runs: limit(runs.successful_run_history_limit),
        unsuccessful_runs: limit(runs.unsuccessful_run_history_limit),
        strategy,
    })
}

fn check_strategy(strategy: Strategy, replicas: i32, history: i32) -> Checked<CheckedStrategy> {
    match (strategy.canary, strategy.blue_green) {
        (Some(canary), None) => check_canary(canary, replicas).map(CheckedStrategy::Canary),
        (None, Some(rules)) => blue_green::check(rules, history).map(CheckedStrategy::BlueGreen),
        (None, None) => wrong(
            "spec.strategy",
            "Required value: Rollout has missing field '.spec.strategy.canary' or '.spec.strategy.blueGreen'",
        ),
        (Some(_), Some(_)) => wrong(
            "spec.strategy",
            "Invalid value: Multiple Strategies can not be listed",
        ),
    }
}

fn seconds(number: i32) -> SignedDuration {
    SignedDuration::from_secs(i64::from(number))
}

fn not_negative(path: &str, number: i32) -> Checked<()> {
    if number < 0 {
        return wrong(
            path,
            format!("Invalid value: {number}: must be greater than or equal to 0"),
        );
    }
    Ok(())
}

/// What traffic routing needs, and what needs traffic routing.
fn check_routing(canary: &CanaryStrategy) -> Checked<Option<Routing>> {
    let routing = canary
        .traffic_routing
        .as_ref()
        .map(traffic::check)
        .transpose()?;
    if canary.dynamic_stable_scale == Some(true) {
        let message = match (&routing, canary.scale_down_delay_seconds) {
            (None, _) => {
                "Invalid value: true: Canary dynamicStableScale can only be used with traffic routing"
            }
            (Some(_), Some(_)) => {
                "Invalid value: true: Canary dynamicStableScale cannot be used with scaleDownDelaySeconds"
            }
            (Some(_), None) => "",
        };
        if !message.is_empty() {
            return wrong(format!("{CANARY}.dynamicStableScale"), message);
        }
    }
    for (name, service) in [
        ("canaryService", &canary.canary_service),
        ("stableService", &canary.stable_service),
    ] {
        let routed = routing.as_ref().is_some_and(Routing::needs_services);
        let needed = routed && canary.ping_pong.is_none();
        if needed && service.as_deref().is_none_or(str::is_empty) {
            return wrong(
                format!("{CANARY}.{name}"),
                "Required value: traffic routing needs a canary and a stable Service",
            );
        }
    }
    for (name, number) in [
        ("scaleDownDelaySeconds", canary.scale_down_delay_seconds),
        (
            "scaleDownDelayRevisionLimit",
            canary.scale_down_delay_revision_limit,
        ),
        (
            "abortScaleDownDelaySeconds",
            canary.abort_scale_down_delay_seconds,
        ),
        ("minPodsPerReplicaSet", canary.min_pods_per_replica_set),
    ] {
        not_negative(&format!("{CANARY}.{name}"), number.unwrap_or_default())?;
    }
    if let (None, Some(seconds)) = (&routing, canary.scale_down_delay_seconds) {
        return wrong(
            format!("{CANARY}.scaleDownDelaySeconds"),
            format!(
                "Invalid value: {seconds}: Canary scaleDownDelaySeconds can only be used with traffic routing"
            ),
        );
    }
    Ok(routing)
}

fn check_canary(canary: CanaryStrategy, count: i32) -> Checked<Canary> {
    const AT: &str = CANARY;
    let routing = check_routing(&canary)?;
    let ping_pong = check_ping_pong(canary.ping_pong.as_ref(), routing.as_ref())?;
    let same = canary.canary_service.is_some() && canary.canary_service == canary.stable_service;
    if same {
        let name = canary.stable_service.unwrap_or_default();
        return wrong(
            format!("{AT}.stableService"),
            format!(
                "Invalid value: \"{name}\": This rollout uses the same service for the stable and canary services, but two different services are required."
            ),
        );
    }
    let steps = canary
        .steps
        .iter()
        .enumerate()
        .map(|(index, step)| steps::check(&format!("{AT}.steps[{index}]"), step, routing.as_ref()))
        .collect::<Checked<Vec<Step>>>()?;
    experiment_step::check_totals(&format!("{AT}.steps"), &steps)?;
    let share = IntOrString::from(replicas::DEFAULT_SHARE);
    let surge = canary.max_surge.as_ref().unwrap_or(&share);
    let unavailable = canary.max_unavailable.as_ref().unwrap_or(&share);
    check_share(&format!("{AT}.maxSurge"), surge)?;
    check_share(&format!("{AT}.maxUnavailable"), unavailable)?;
    if is_zero(surge) && is_zero(unavailable) {
        return wrong(
            format!("{AT}.maxUnavailable"),
            format!(
                "Invalid value: \"{unavailable}\": MaxSurge and MaxUnavailable both can not be zero"
            ),
        );
    }
    let (surge, unavailable) = replicas::bounds(count, surge, unavailable);
    let threshold = check_threshold(
        &format!("{AT}.replicaProgressThreshold"),
        canary.replica_progress_threshold,
    )?;
    let abort_delay = canary
        .abort_scale_down_delay_seconds
        .unwrap_or(DEFAULT_DELAY);
    Ok(Canary {
        routing,
        scale_down_delay: seconds(canary.scale_down_delay_seconds.unwrap_or(DEFAULT_DELAY)),
        scale_down_limit: canary.scale_down_delay_revision_limit,
        abort_delay: (abort_delay > 0).then(|| seconds(abort_delay)),
        abort_delay_set: canary.abort_scale_down_delay_seconds.is_some(),
        dynamic_stable: canary.dynamic_stable_scale.unwrap_or_default(),
        ping_pong,
        min_pods: canary.min_pods_per_replica_set.unwrap_or_default(),
        step_hash: step_hash(&canary.steps),
        canary_service: canary.canary_service.filter(|name| !name.is_empty()),
        stable_service: canary.stable_service.filter(|name| !name.is_empty()),
        surge,
        unavailable,
        threshold,
        // Without templates there is nothing to judge by; without steps there is no step to wait for.
        analysis: canary
            .analysis
            .filter(|background| !background.analysis.templates.is_empty())
            .map(|background| {
                let first = background.starting_step.filter(|_| !steps.is_empty());
                (background.analysis, first.unwrap_or_default())
            }),
        steps,
    })
}

fn check_threshold(at: &str, threshold: Option<ProgressThreshold>) -> Checked<Threshold> {
    let Some(ProgressThreshold { kind, value }) = threshold else {
        return Ok(Threshold::All);
    };
    match kind.as_str() {
        "Percent" if (1..=100).contains(&value) => Ok(Threshold::Percent(value)),
        "Pods" if value > 0 => Ok(Threshold::Pods(value)),
        _ => wrong(
            at,
            format!("Invalid value: {kind} {value}: use Percent from 1 to 100 or a number of Pods"),
        ),
    }
}

fn check_share(path: &str, share: &IntOrString) -> Checked<()> {
    use reconcile_core::kube_types::int_or_percent::Round;
    match share.resolve(100, Round::Up) {
        Ok(number) if number >= 0 => Ok(()),
        Ok(_) => wrong(
            path,
            format!("Invalid value: {share}: must be greater than or equal to 0"),
        ),
        Err(error) => wrong(path, format!("Invalid value: \"{share}\": {error}")),
    }
}

fn is_zero(share: &IntOrString) -> bool {
    matches!(share, IntOrString::Int(0))
        || matches!(share, IntOrString::String(text) if text.trim_end_matches('%') == "0")
}

fn check_ping_pong(value: Option<&Value>, routing: Option<&Routing>) -> Checked<Option<PingPong>> {
    const AT: &str = "spec.strategy.canary.pingPong";
    let Some(value) = value.filter(|value| !value.is_null()) else {
        return Ok(None);
    };
    let Some(routing) = routing else {
        return wrong(
            AT,
            "Invalid value: pingPong can only be used with traffic routing",
        );
    };
    routing.check_ping_pong(AT)?;
    let name = |field: &str| {
        let name = value.get(field).and_then(Value::as_str).unwrap_or_default();
        if name.is_empty() {
            return wrong(format!("{AT}.{field}"), "Required value");
        }
        Ok(name.to_owned())
    };
    let (ping, pong) = (name("pingService")?, name("pongService")?);
    if ping == pong {
        let message = format!("Invalid value: \"{ping}\": two different Services are required");
        return wrong(format!("{AT}.pongService"), message);
    }
    Ok(Some(PingPong { ping, pong }))
}
