//! From the raw spec of a run to what may be measured, with all defaults filled in.
//!
//! Arguments are filled in first, because they may be anywhere in a metric, in its name and counts
//! too. Values of Secrets are not known here: a placeholder replaces them, and what comes out is only
//! used for the rules of a metric. The measurement fills in the real values.

use std::collections::HashSet;

use expressions::{
    arguments::{ArgumentError, substitute_args},
    pattern::compile_pattern,
};
use jiff::SignedDuration;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use reconcile_core::{
    kube_types::{GoDuration, go_duration::GoDurationError},
    object::{FieldError, parse_at},
};
use thiserror::Error;

use super::provider::{self, SECRET_STAND_IN};
use crate::api::analysis::{AnalysisRunSpec, AnalysisTemplateSpec, Argument, Metric};

/// Measurements of a metric that are kept where no rule says otherwise.
const DEFAULT_RETENTION: usize = 10;
/// Errors in a row that are tolerated where the metric says nothing.
const DEFAULT_ERROR_LIMIT: i32 = 4;
/// Shortest pause between measurements. Upstream takes an interval of zero literally and measures
/// without end as fast as it can.
const SHORTEST_INTERVAL: SignedDuration = SignedDuration::from_secs(1);

/// A run whose spec makes sense.
#[derive(Clone, Debug, PartialEq)]
pub struct Checked {
    /// The metrics in the order of the spec.
    pub metrics: Vec<CheckedMetric>,
}

/// The rules of one metric.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckedMetric {
    /// Position in the spec.
    pub index: usize,
    /// Name, after arguments were filled in.
    pub name: String,
    /// Number of measurements that give a verdict; `None` means until the run is terminated.
    pub count: Option<i32>,
    /// Pause between measurements.
    pub interval: Option<SignedDuration>,
    /// Delay of the first one.
    pub initial_delay: Option<SignedDuration>,
    /// Failed measurements that are tolerated; `None` means any number.
    pub failure_limit: Option<i32>,
    /// Inconclusive measurements that are tolerated.
    pub inconclusive_limit: i32,
    /// Errors in a row that are tolerated.
    pub error_limit: i32,
    /// Successful measurements in a row that are enough.
    pub success_limit: Option<i32>,
    /// True when the metric has no influence on the verdict.
    pub dry_run: bool,
    /// Measurements that are kept, at least one.
    pub retention: usize,
    /// True when a measurement leaves something behind that must be ended: a Job.
    pub lasting: bool,
}

/// Why a run cannot be carried out at all.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum InvalidRun {
    /// A metric refers to an argument that has no value.
    #[error("Unable to resolve metric arguments: {0}")]
    Arguments(String),
    /// The rules of a metric make no sense.
    #[error("Analysis spec invalid: {0}")]
    Spec(String),
}

/// Why the arguments do not fill in a metric.
#[derive(Debug, Error)]
pub(super) enum FillError {
    /// The metric names an argument that has no value.
    #[error(transparent)]
    Argument(#[from] ArgumentError),
    /// With the values, the metric is not one.
    #[error(transparent)]
    Form(#[from] FieldError),
    /// The metric cannot be written as JSON.
    #[error(transparent)]
    Json(#[from] serde_json::Error),
}

/// Why the rules of a metric make no sense.
#[derive(Debug, Error)]
enum RuleError {
    #[error("interval must be specified when count > 1")]
    NoInterval,
    #[error("invalid {field} string: {source}")]
    Duration {
        field: &'static str,
        source: GoDurationError,
    },
    /// In the words of upstream.
    #[error("{0}")]
    Limits(&'static str),
    #[error(
        "count ({count}) must be >= failureLimit + consecutiveSuccessLimit ({failure} + {success}) if both >= 0"
    )]
    CountBelowSum {
        count: i32,
        failure: i32,
        success: i32,
    },
}

/// Checks a run.
pub(super) fn check(spec: &AnalysisRunSpec) -> Result<Checked, InvalidRun> {
    if spec.metrics.is_empty() {
        return Err(InvalidRun::Spec("no metrics specified".to_owned()));
    }
    let stand_ins: Vec<Argument> = spec.args.iter().map(stand_in).collect();
    let mut metrics = Vec::with_capacity(spec.metrics.len());
    let mut names = HashSet::new();
    for (index, raw) in spec.metrics.iter().enumerate() {
        let metric =
            fill_in(raw, &stand_ins).map_err(|error| InvalidRun::Arguments(error.to_string()))?;
        let at = |message: String| InvalidRun::Spec(format!("metrics[{index}]: {message}"));
        if !names.insert(metric.name.clone()) {
            return Err(at(format!("duplicate name '{}'", metric.name)));
        }
        let mut checked = rules(index, &metric).map_err(|error| at(error.to_string()))?;
        let facts = provider::check(&metric.provider).map_err(|error| {
            at(match error.path.as_str() {
                "provider" => error.message,
                _ => error.to_string(),
            })
        })?;
        checked.lasting = facts.is_lasting;
        metrics.push(checked);
    }
    apply_rules(
        "dryRun",
        &spec.dry_run,
        |rule| &rule.metric_name,
        &mut metrics,
        |metric, _| {
            metric.dry_run = true;
        },
    )?;
    let retention = &spec.measurement_retention;
    apply_rules(
        "measurementRetention",
        retention,
        |rule| &rule.metric_name,
        &mut metrics,
        |metric, rule| {
            if let Some(limit) = usize::try_from(rule.limit).ok().filter(|limit| *limit > 0) {
                metric.retention = limit;
            }
        },
    )?;
    Ok(Checked { metrics })
}

/// Everything that is wrong with the metrics of a template, by field. What depends on arguments without a
/// value is not judged.
pub(crate) fn lint(spec: &AnalysisTemplateSpec) -> Vec<FieldError> {
    let mut errors = Vec::new();
    if spec.metrics.is_empty() && spec.templates.is_empty() {
        errors.push(FieldError::new("spec.metrics", "no metrics specified"));
    }
    let stand_ins: Vec<Argument> = spec
        .args
        .iter()
        .map(|argument| Argument {
            name: argument.name.clone(),
            value: argument.value.clone().or(Some(SECRET_STAND_IN.to_owned())),
            value_from: None,
        })
        .collect();
    let mut names = HashSet::new();
    for (index, raw) in spec.metrics.iter().enumerate() {
        let at = format!("spec.metrics[{index}]");
        if !names.insert(&raw.name) {
            let message = format!("duplicate name '{}'", raw.name);
            errors.push(FieldError::new(format!("{at}.name"), message));
        }
        match fill_in(raw, &stand_ins) {
            Ok(metric) => errors.extend(lint_metric(&at, &metric)),
            Err(error) => errors.push(FieldError::new(at, error.to_string())),
        }
    }
    errors.retain(|error| !error.message.contains(SECRET_STAND_IN));
    errors
}

fn lint_metric(at: &str, metric: &Metric) -> Vec<FieldError> {
    let mut errors = Vec::new();
    if let Err(error) = rules(0, metric) {
        errors.push(FieldError::new(at, error.to_string()));
    }
    if let Err(error) = provider::check(&metric.provider) {
        errors.push(FieldError::new(
            format!("{at}.{}", error.path),
            error.message,
        ));
    }
    for (field, condition) in [
        ("successCondition", &metric.success_condition),
        ("failureCondition", &metric.failure_condition),
    ] {
        let condition = condition.as_deref().filter(|text| !text.is_empty());
        let given = condition.filter(|text| !text.contains(SECRET_STAND_IN));
        if let Some(Err(error)) = given.map(expressions::analysis::validate) {
            errors.push(FieldError::new(format!("{at}.{field}"), error.to_string()));
        }
    }
    errors
}

fn stand_in(argument: &Argument) -> Argument {
    let secret = argument
        .value_from
        .as_ref()
        .is_some_and(|from| from.secret_key_ref.is_some());
    let value = if secret {
        Some(SECRET_STAND_IN.to_owned())
    } else {
        argument.value.clone()
    };
    Argument {
        name: argument.name.clone(),
        value,
        value_from: None,
    }
}

/// The metric with `{{args.x}}` replaced everywhere by the values of `arguments`.
pub(super) fn fill_in(metric: &Metric, arguments: &[Argument]) -> Result<Metric, FillError> {
    let text = serde_json::to_string(metric)?;
    if !text.contains("{{") {
        return Ok(metric.clone());
    }
    let value_of = |name: &str| {
        arguments
            .iter()
            .find(|argument| argument.name == name)?
            .value
            .as_deref()
    };
    let filled = substitute_args(&text, value_of)?;
    Ok(parse_at("metric", &filled)?)
}

fn rules(index: usize, metric: &Metric) -> Result<CheckedMetric, RuleError> {
    let limits = Limits::of(metric);
    let interval = duration("interval", metric.interval.as_deref())?;
    let initial_delay = duration("startDelay", metric.initial_delay.as_deref())?;
    limits.check()?;
    let Limits {
        count,
        failure,
        inconclusive,
        error,
        success,
    } = limits;
    if count > 1 && interval.is_none() {
        return Err(RuleError::NoInterval);
    }
    Ok(CheckedMetric {
        index,
        name: metric.name.clone(),
        count: match (count, interval) {
            (1.., _) => Some(count),
            (_, None) => Some(1),
            (_, Some(_)) => None,
        },
        interval: interval.map(|interval| interval.max(SHORTEST_INTERVAL)),
        initial_delay,
        failure_limit: (failure >= 0).then_some(failure),
        inconclusive_limit: inconclusive,
        error_limit: error,
        success_limit: (success > 0).then_some(success),
        dry_run: false,
        retention: DEFAULT_RETENTION,
        lasting: false,
    })
}

/// Numbers that end a metric.
struct Limits {
    count: i32,
    /// Failed measurements that are tolerated; -1 for any number.
    failure: i32,
    inconclusive: i32,
    /// Errors in a row that are tolerated.
    error: i32,
    /// Successes in a row that are enough; 0 for no such rule.
    success: i32,
}

impl Limits {
    fn of(metric: &Metric) -> Self {
        let given = |field: &Option<IntOrString>| number(field.as_ref());
        Self {
            count: given(&metric.count).unwrap_or(0),
            failure: given(&metric.failure_limit).unwrap_or(0),
            inconclusive: given(&metric.inconclusive_limit).unwrap_or(0),
            error: given(&metric.consecutive_error_limit).unwrap_or(DEFAULT_ERROR_LIMIT),
            success: given(&metric.consecutive_success_limit).unwrap_or(0),
        }
    }

    /// Whether the limits fit each other, in the order of upstream.
    fn check(&self) -> Result<(), RuleError> {
        let Self {
            count,
            failure,
            inconclusive,
            error,
            success,
        } = *self;
        let problem = if success < 0 {
            "consecutiveSuccessLimit must be >= 0"
        } else if failure < -1 {
            "failureLimit must be >= 0, or -1 to be disabled"
        } else if success == 0 && failure == -1 {
            "failureLimit and consecutiveSuccessLimit cannot both be disabled"
        } else if inconclusive < 0 {
            "inconclusiveLimit must be >= 0"
        } else if error < 0 {
            "consecutiveErrorLimit must be >= 0"
        } else if count > 0
            && failure >= 0
            && i64::from(count) < i64::from(failure) + i64::from(success)
        {
            return Err(RuleError::CountBelowSum {
                count,
                failure,
                success,
            });
        } else if count > 0 && failure < 0 && count < success {
            "count must be >= consecutiveSuccessLimit"
        } else if count > 0 && count < inconclusive {
            "count must be >= inconclusiveLimit"
        } else {
            return Ok(());
        };
        Err(RuleError::Limits(problem))
    }
}

/// The number in a field that takes a number or a text; a text that is no number counts as 0, as in Go.
fn number(field: Option<&IntOrString>) -> Option<i32> {
    field.map(|field| match field {
        IntOrString::Int(number) => *number,
        IntOrString::String(text) => text.parse().unwrap_or(0),
    })
}

fn duration(field: &'static str, text: Option<&str>) -> Result<Option<SignedDuration>, RuleError> {
    match text {
        None | Some("") => Ok(None),
        Some(text) => match text.parse::<GoDuration>() {
            Ok(duration) => Ok(Some(duration.to_signed())),
            Err(source) => Err(RuleError::Duration { field, source }),
        },
    }
}

/// Applies each rule to the metrics whose name it matches somewhere. A rule that matches nothing is an
/// error; so is one that is no regular expression, which upstream reports the same way.
fn apply_rules<R>(
    field: &str,
    rules: &[R],
    pattern: impl Fn(&R) -> &String,
    metrics: &mut [CheckedMetric],
    apply: impl Fn(&mut CheckedMetric, &R),
) -> Result<(), InvalidRun> {
    for (index, rule) in rules.iter().enumerate() {
        let wanted = compile_pattern(pattern(rule)).ok();
        let mut matched = false;
        for metric in metrics.iter_mut() {
            if wanted
                .as_ref()
                .is_some_and(|regex| regex.is_match(&metric.name))
            {
                apply(metric, rule);
                matched = true;
            }
        }
        if !matched {
            let message = format!("{field}[{index}]: Rule didn't match any metric name(s)");
            return Err(InvalidRun::Spec(message));
        }
    }
    Ok(())
}
