//! Feature flags: a canary step edits a flag definition in a ConfigMap, in the format that flagd reads.
//!
//! What stood there before is kept in an annotation of the ConfigMap, which is written together with the
//! edit. So an abort finds it whatever happened to the process in between.

mod definition;
mod effects;
mod saved;

pub use definition::{FlagChange, FlagStep, Segment, SegmentTest, edited};
pub use saved::{Holder, SavedFlag};

use std::collections::BTreeMap;

use reconcile_core::object::{FieldError, parse_at};
use serde::Deserialize;
use serde_json::Value;

use crate::api::rollout::{Rollout, RolloutStatus};

/// Name of the step plugin.
pub const PLUGIN: &str = "feature-flag";

/// A flag: ConfigMap, key of its data, name of the flag.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct FlagKey {
    /// The ConfigMap.
    pub config_map: String,
    /// The key of its data.
    pub key: String,
    /// The flag.
    pub flag: String,
}

/// A flag as a pass sees it.
#[derive(Clone, Debug, PartialEq)]
pub struct FlagState {
    /// Its definition.
    pub definition: Value,
    /// What stood there before a Rollout edited it, and which Rollout that was.
    pub saved: Option<SavedFlag>,
}

/// Flags by their place.
pub type Flags = BTreeMap<FlagKey, FlagState>;

/// What a flag becomes.
#[derive(Clone, Debug, PartialEq)]
pub struct FlagEdit {
    /// The flag.
    pub at: FlagKey,
    /// Its definition.
    pub definition: Value,
    /// What is kept of the former definition; none when there is nothing to restore any more.
    pub saved: Option<SavedFlag>,
}

/// ConfigMaps with flags that the status says a Rollout has edited.
pub(super) fn edited_by_status(root: &Rollout) -> impl Iterator<Item = String> + use<> {
    let status = root.parse_status().unwrap_or_default();
    edited_config_maps(&status).into_iter()
}

/// ConfigMaps with flags that the status says a Rollout has edited.
pub(super) fn edited_config_maps(status: &RolloutStatus) -> Vec<String> {
    let statuses = status.canary.step_plugin_statuses.as_ref();
    let all = statuses.and_then(Value::as_array).into_iter().flatten();
    all.filter(|status| status["name"] == PLUGIN)
        .filter_map(|status| status["status"]["configMap"].as_str())
        .map(str::to_owned)
        .collect()
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct FlagConfig {
    config_map: String,
    key: String,
    flag: String,
    variant: String,
    percentage: Option<i32>,
    segments: Option<Vec<SegmentConfig>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct SegmentConfig {
    attribute: String,
    values: Option<Vec<Value>>,
    starts_with: Option<String>,
    ends_with: Option<String>,
}

/// Checks the `plugin` of a step.
pub(super) fn check(at: &str, plugin: &Value) -> Result<FlagStep, FieldError> {
    let name = plugin["name"].as_str().unwrap_or_default();
    if name != PLUGIN {
        let message =
            format!("Invalid value: \"{name}\": step plugins are not loaded; {PLUGIN} is built in");
        return Err(FieldError::new(format!("{at}.name"), message));
    }
    let at = format!("{at}.config");
    let config: FlagConfig = parse_at(&at, &plugin["config"].to_string())?;
    for (field, text) in [
        ("configMap", &config.config_map),
        ("key", &config.key),
        ("flag", &config.flag),
        ("variant", &config.variant),
    ] {
        if text.is_empty() {
            return Err(FieldError::new(format!("{at}.{field}"), "Required value"));
        }
    }
    let change = match (config.percentage, config.segments) {
        (Some(percent @ 0..=100), None) => FlagChange::Percentage(percent),
        (Some(percent), None) => {
            let message = format!("Invalid value: {percent}: must be between 0 and 100");
            return Err(FieldError::new(format!("{at}.percentage"), message));
        }
        (None, Some(segments)) if !segments.is_empty() => FlagChange::Segments(
            segments
                .into_iter()
                .enumerate()
                .map(|(index, segment)| check_segment(&format!("{at}.segments[{index}]"), segment))
                .collect::<Result<_, _>>()?,
        ),
        _ => {
            let message = "Invalid value: set one of percentage and segments";
            return Err(FieldError::new(at, message));
        }
    };
    Ok(FlagStep {
        at: FlagKey {
            config_map: config.config_map,
            key: config.key,
            flag: config.flag,
        },
        variant: config.variant,
        change,
    })
}

fn check_segment(at: &str, segment: SegmentConfig) -> Result<Segment, FieldError> {
    let test = match (segment.values, segment.starts_with, segment.ends_with) {
        (Some(values), None, None) => SegmentTest::Values(values),
        (None, Some(text), None) => SegmentTest::StartsWith(text),
        (None, None, Some(text)) => SegmentTest::EndsWith(text),
        _ => {
            let message = "Invalid value: set one of values, startsWith and endsWith";
            return Err(FieldError::new(at, message));
        }
    };
    if segment.attribute.is_empty() {
        return Err(FieldError::new(format!("{at}.attribute"), "Required value"));
    }
    Ok(Segment {
        attribute: segment.attribute,
        test,
    })
}
