//! Sensor.

use std::collections::BTreeMap;

use reconcile_core::object::Kind;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The kind Sensor.
#[derive(Clone, Copy, Debug)]
pub enum Sensor {}

impl Kind for Sensor {
    const GROUP: &'static str = "argoproj.io";
    const VERSION: &'static str = "v1alpha1";
    const KIND: &'static str = "Sensor";
    const PLURAL: &'static str = "sensors";
    type Scope = kube::core::NamespaceResourceScope;
    type Spec = SensorSpec;
    type Status = Value;
}

/// `spec` of a Sensor. Dependencies and triggers are kept as JSON, so that one malformed trigger does
/// not take the others along.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SensorSpec {
    /// The bus; `default` when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event_bus_name: Option<String>,
    /// The events that the sensor waits for.
    pub dependencies: Vec<Value>,
    /// What it does.
    pub triggers: Vec<Value>,
    /// Fields of the log lines about its events.
    #[serde(rename = "loggingFields", skip_serializing_if = "BTreeMap::is_empty")]
    pub logging_fields: BTreeMap<String, Value>,
    /// Pod settings; only the service account has a meaning here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub template: Option<Value>,
    /// Everything else.
    #[serde(flatten)]
    pub other: BTreeMap<String, Value>,
}

/// One event that the sensor waits for.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Dependency {
    /// Name, used in conditions and parameters.
    pub name: String,
    /// Name of the EventSource.
    pub event_source_name: String,
    /// Name of the event inside it.
    pub event_name: String,
    /// Which events count.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub filters: Option<Filters>,
    /// How the kinds of filters are combined: `and` (default) or `or`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub filters_logical_operator: Option<String>,
    /// A change of the event before the filters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transform: Option<Transform>,
}

/// A change of an event; `jq` wins.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Transform {
    /// A jq program.
    pub jq: String,
    /// A Lua script.
    pub script: String,
}

/// Filters of a dependency.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Filters {
    /// By time of day.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time: Option<TimeFilter>,
    /// By exact context attributes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub context: Option<ContextFilter>,
    /// By values in the payload.
    pub data: Vec<DataFilter>,
    /// By expressions over values of the payload.
    pub exprs: Vec<ExprFilter>,
    /// `and` (default) or `or`, among the data filters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data_logical_operator: Option<String>,
    /// `and` (default) or `or`, among the expressions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expr_logical_operator: Option<String>,
    /// A Lua script.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub script: Option<String>,
}

/// A window of the day.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TimeFilter {
    /// `HH:MM:SS`, inclusive.
    pub start: String,
    /// `HH:MM:SS`, exclusive; earlier than `start` means the next day.
    pub stop: String,
    /// IANA name; UTC when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timezone: Option<String>,
}

/// Attributes that must be equal when they are not empty.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ContextFilter {
    /// Type of the event.
    #[serde(rename = "type")]
    pub type_: String,
    /// Subject of the event.
    pub subject: String,
    /// Source of the event.
    pub source: String,
    /// Media type of the payload.
    pub datacontenttype: String,
}

/// A condition on one value of the payload.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct DataFilter {
    /// gjson path.
    pub path: String,
    /// `bool`, `number` or `string`.
    #[serde(rename = "type")]
    pub type_: String,
    /// Any of these.
    pub value: Vec<String>,
    /// `>=`, `>`, `=`, `!=`, `<` or `<=`.
    pub comparator: String,
    /// Go template whose output is compared instead of the value.
    pub template: String,
}

/// A boolean expression over named values of the payload.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ExprFilter {
    /// The expression.
    pub expr: String,
    /// The values it speaks of.
    pub fields: Vec<PayloadField>,
}

/// A named value of the payload.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct PayloadField {
    /// gjson path.
    pub path: String,
    /// Name in the expression.
    pub name: String,
}
