//! A Sensor with everything checked. What one dependency or trigger has wrong stops the triggers that
//! need it, and no others.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use expressions::{conditions::Condition, cron::CronError};
use jiff::Timestamp;
use reconcile_core::object::{FieldError, ObjectKey};
use serde_json::Value;

use super::{
    dependency::{Dependency, Turn},
    filter::Filters,
    rate_limit::Spacing,
    retry::Retry,
    transform::Transform,
};
use crate::{
    api::{
        DEFAULT_BUS, decode,
        sensor::{self, SensorSpec},
        trigger::{ConditionsReset, Parameter, Trigger},
    },
    bus,
    source::calendar::Cron,
    trigger::{SuccessPolicy, Task, decode_template},
};

/// A Sensor that can run.
#[derive(Clone, Debug, PartialEq)]
pub struct CheckedSensor {
    /// The object.
    pub key: ObjectKey,
    /// Its uid, part of the identity of each firing.
    pub uid: String,
    /// Name of its EventBus.
    pub bus: String,
    /// Served since this time, by this process or another one; `None` for a Sensor that is new or changed.
    pub served_since: Option<Timestamp>,
    /// The service account that its triggers act as.
    pub service_account: String,
    /// `loggingFields`, as `key=value` pairs for the log; `None` without any.
    pub logging_fields: Option<String>,
    /// The triggers that can run.
    pub triggers: Vec<Arc<CheckedTrigger>>,
    /// Names of all triggers in the manifest, also of those that cannot run.
    pub named: BTreeSet<String>,
}

/// A trigger that can run.
#[derive(Clone, Debug, PartialEq)]
pub struct CheckedTrigger {
    /// Name.
    pub name: String,
    /// The dependencies that its condition names.
    pub dependencies: Vec<Dependency>,
    /// When it fires.
    pub condition: Condition,
    /// When its saved events are forgotten.
    pub resets: Vec<Cron>,
    /// What it does.
    pub task: Task,
    /// Tries.
    pub retry: Retry,
    /// Least time between two actions.
    pub spacing: Option<Spacing>,
    /// One action at a time, in the order of the events.
    pub at_least_once: bool,
    /// What is done when all tries failed.
    pub dlq_trigger: Option<(Task, Retry)>,
}

impl CheckedTrigger {
    /// True when each event is acted on by itself.
    pub fn acts_per_event(&self) -> bool {
        !self.condition.requires_and_logic()
    }

    /// True when events are taken one after the other, in the order of the stream.
    pub fn is_ordered(&self) -> bool {
        self.at_least_once || !self.acts_per_event()
    }
}

/// What is wrong with a Sensor, in words that name the field.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Problems {
    /// About dependencies.
    pub dependencies: Vec<String>,
    /// About triggers.
    pub triggers: Vec<String>,
}

/// Checks a `spec`. An error means that nothing of it can run.
pub fn check(
    key: &ObjectKey,
    uid: &str,
    spec: &Value,
) -> Result<(CheckedSensor, Problems), FieldError> {
    let spec: SensorSpec = decode("spec", spec)?;
    let mut problems = Problems::default();
    if !bus::is_token(&key.name) {
        problems.triggers.push(format!(
            "metadata.name: {:?} cannot be used on the bus",
            key.name
        ));
    }
    let dependencies = check_dependencies(&spec, &mut problems);
    let triggers = check_triggers(&spec, &dependencies, &mut problems);
    let account = spec
        .template
        .as_ref()
        .and_then(|template| template.get("serviceAccountName"));
    let account = account
        .and_then(Value::as_str)
        .filter(|name| !name.is_empty());
    let named = spec
        .triggers
        .iter()
        .filter_map(|trigger| trigger.pointer("/template/name")?.as_str());
    let named = named.map(str::to_owned).collect();
    let bus = spec.event_bus_name.filter(|name| !name.is_empty());
    let sensor = CheckedSensor {
        key: key.clone(),
        uid: uid.to_owned(),
        served_since: None,
        named,
        bus: bus.unwrap_or_else(|| DEFAULT_BUS.to_owned()),
        service_account: account.unwrap_or("default").to_owned(),
        logging_fields: logging_fields(&spec.logging_fields),
        triggers: if bus::is_token(&key.name) {
            triggers
        } else {
            Vec::new()
        },
    };
    Ok((sensor, problems))
}

fn logging_fields(fields: &BTreeMap<String, Value>) -> Option<String> {
    let pair = |(key, value): (&String, &Value)| match value {
        Value::String(text) => format!("{key}={text}"),
        other => format!("{key}={other}"),
    };
    let pairs: Vec<String> = fields.iter().map(pair).collect();
    (!pairs.is_empty()).then(|| pairs.join(" "))
}

/// By name; a dependency with a problem is there without a value, so that a condition that names it gets
/// the right message.
type Dependencies = BTreeMap<String, Option<Dependency>>;

fn check_dependencies(spec: &SensorSpec, problems: &mut Problems) -> Dependencies {
    let mut all = Dependencies::new();
    if spec.dependencies.is_empty() {
        problems
            .dependencies
            .push("spec.dependencies: at least one is needed".into());
    }
    for (index, value) in spec.dependencies.iter().enumerate() {
        let path = format!("spec.dependencies[{index}]");
        let name = value
            .get("name")
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned();
        if all.contains_key(&name) && !name.is_empty() {
            problems
                .dependencies
                .push(format!("{path}.name: {name:?} is used twice"));
            continue;
        }
        let checked = check_dependency(&path, value);
        if let Err(problem) = &checked {
            problems.dependencies.push(problem.to_string());
        }
        if !name.is_empty() {
            all.insert(name, checked.ok());
        }
    }
    all
}

fn check_dependency(path: &str, value: &Value) -> Result<Dependency, FieldError> {
    let raw: sensor::Dependency = decode(path, value)?;
    if raw.name.is_empty() {
        return Err(FieldError::new(format!("{path}.name"), "must not be empty"));
    }
    for (field, name) in [
        ("eventSourceName", &raw.event_source_name),
        ("eventName", &raw.event_name),
    ] {
        if !bus::is_token(name) {
            let message = if name.is_empty() {
                "must not be empty".to_owned()
            } else {
                format!("{name:?} cannot be used on the bus: no dots, no spaces")
            };
            return Err(FieldError::new(format!("{path}.{field}"), message));
        }
    }
    let transform = raw.transform.unwrap_or_default();
    let transform = Transform::check(&format!("{path}.transform"), &transform)?;
    let operator = raw.filters_logical_operator.as_deref();
    let filters = raw
        .filters
        .as_ref()
        .map(|filters| Filters::check(&format!("{path}.filters"), filters, operator))
        .transpose()?;
    Ok(Dependency {
        name: raw.name,
        source: raw.event_source_name,
        event: raw.event_name,
        transform,
        filters: filters.map(Arc::new),
        turn: Turn::default(),
    })
}

fn check_triggers(
    spec: &SensorSpec,
    dependencies: &Dependencies,
    problems: &mut Problems,
) -> Vec<Arc<CheckedTrigger>> {
    let mut triggers: Vec<Arc<CheckedTrigger>> = Vec::new();
    if spec.triggers.is_empty() {
        problems
            .triggers
            .push("spec.triggers: at least one is needed".into());
    }
    for (index, value) in spec.triggers.iter().enumerate() {
        let path = format!("spec.triggers[{index}]");
        match check_trigger(&path, value, dependencies) {
            Ok(trigger) if triggers.iter().any(|other| other.name == trigger.name) => {
                let name = &trigger.name;
                problems
                    .triggers
                    .push(format!("{path}.template.name: {name:?} is used twice"));
            }
            Ok(trigger) => triggers.push(Arc::new(trigger)),
            Err(problem) => problems.triggers.push(problem.to_string()),
        }
    }
    triggers
}

fn check_trigger(
    path: &str,
    value: &Value,
    dependencies: &Dependencies,
) -> Result<CheckedTrigger, FieldError> {
    let raw: Trigger = decode(path, value)?;
    let at = |field: &str, message: String| FieldError::new(format!("{path}.{field}"), message);
    let name = raw
        .template
        .get("name")
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned();
    if name.is_empty() {
        return Err(at("template.name", "must not be empty".into()));
    }
    let text = raw
        .template
        .get("conditions")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let condition = if text.trim().is_empty() {
        Condition::all_of(dependencies.keys().map(String::as_str))
            .ok_or_else(|| at("template.conditions", "there are no dependencies".into()))?
    } else {
        Condition::parse(text).map_err(|error| at("template.conditions", error.to_string()))?
    };
    condition
        .check_names(|name| dependencies.contains_key(name))
        .map_err(|error| at("template.conditions", error.to_string()))?;
    let mut used = Vec::new();
    for name in condition.names() {
        let Some(dependency) = dependencies.get(name).and_then(Option::as_ref) else {
            let message = format!("waits for dependency {name:?}, which has a problem");
            return Err(at("template.conditions", message));
        };
        used.push(dependency.clone());
    }
    let task = check_task(path, &raw)?;
    let resets = check_resets(path, &raw)?;
    let dlq_trigger = match &raw.dlq_trigger {
        None => None,
        Some(value) => {
            let path = format!("{path}.dlqTrigger");
            let raw: Trigger = decode(&path, value)?;
            Some((check_task(&path, &raw)?, check_retry(&path, &raw)?))
        }
    };
    let limit = format!("{path}.rateLimit");
    let spacing = raw.rate_limit.as_ref();
    let spacing = spacing.map(|raw| Spacing::check(&limit, raw)).transpose();
    Ok(CheckedTrigger {
        name,
        dependencies: used,
        condition,
        resets,
        task,
        retry: check_retry(path, &raw)?,
        spacing: spacing?.flatten(),
        at_least_once: raw.at_least_once,
        dlq_trigger,
    })
}

fn check_resets(path: &str, raw: &Trigger) -> Result<Vec<Cron>, FieldError> {
    let path = format!("{path}.template.conditionsReset");
    let all = raw
        .template
        .get("conditionsReset")
        .cloned()
        .unwrap_or(Value::Array(Vec::new()));
    let all: Vec<ConditionsReset> = decode(&path, &all)?;
    let mut resets = Vec::with_capacity(all.len());
    for (index, reset) in all.iter().enumerate() {
        let path = format!("{path}[{index}].byTime");
        let Some(time) = &reset.by_time else {
            return Err(FieldError::new(path, "must not be empty"));
        };
        let zone = time.timezone.as_deref().unwrap_or_default();
        let cron = Cron::parse(&time.cron, zone);
        resets.push(cron.map_err(|error| {
            // A schedule that starts with `TZ=` names a zone of its own.
            let field = match &error {
                CronError::Zone { zone: unknown } if unknown == zone => "timezone",
                _ => "cron",
            };
            FieldError::new(format!("{path}.{field}"), error.to_string())
        })?);
    }
    Ok(resets)
}

fn check_retry(path: &str, raw: &Trigger) -> Result<Retry, FieldError> {
    match &raw.retry_strategy {
        None => Ok(Retry::default()),
        Some(strategy) => Retry::check(&format!("{path}.retryStrategy"), strategy),
    }
}

fn check_task(path: &str, raw: &Trigger) -> Result<Task, FieldError> {
    check_parameters(&format!("{path}.parameters"), &raw.parameters)?;
    // Decoded even when parameters will change it: what is missing from the start is better said now.
    let action = decode_template(&format!("{path}.template"), &raw.template)?;
    check_parameters(
        &format!("{path}.template.{}.parameters", action.key()),
        action.parameters(),
    )?;
    Ok(Task {
        template: raw.template.clone(),
        action,
        parameters: raw.parameters.clone(),
        success: SuccessPolicy::check(&format!("{path}.policy"), raw.policy.as_ref())?,
    })
}

fn check_parameters(path: &str, parameters: &[Parameter]) -> Result<(), FieldError> {
    for (index, parameter) in parameters.iter().enumerate() {
        let source = parameter.src.as_ref();
        if source.is_none_or(|source| source.dependency_name.is_empty()) {
            let path = format!("{path}[{index}].src.dependencyName");
            return Err(FieldError::new(path, "must not be empty"));
        }
        if parameter.dest.is_empty() {
            return Err(FieldError::new(
                format!("{path}[{index}].dest"),
                "must not be empty",
            ));
        }
        let operation = parameter.operation.as_deref().unwrap_or_default();
        if !["", "overwrite", "append", "prepend"].contains(&operation) {
            let message = format!("{operation:?} is not overwrite, append or prepend");
            return Err(FieldError::new(
                format!("{path}[{index}].operation"),
                message,
            ));
        }
    }
    Ok(())
}
