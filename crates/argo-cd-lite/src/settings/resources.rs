//! Which kinds are managed, and how they are compared.

use expressions::glob::Glob;
use reconcile_core::yaml;
use serde::Deserialize;
use serde_json::Value;

use super::SettingProblem;

/// Kinds that are never managed: they come and go by the second and are nobody's wish.
const NEVER: &[(&str, &str)] = &[
    ("events.k8s.io", "*"),
    ("metrics.k8s.io", "*"),
    ("", "Event"),
    ("coordination.k8s.io", "Lease"),
];

/// Exclusions and inclusions.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct KindFilter {
    /// Kinds that are left out.
    pub exclusions: Vec<KindSelector>,
    /// When there are any, all other kinds are left out.
    pub inclusions: Vec<KindSelector>,
}

impl KindFilter {
    /// True for kinds that are not managed on the cluster with this address.
    pub fn excludes(&self, group: &str, kind: &str, server: &str) -> bool {
        let fits = |selector: &KindSelector| selector.selects(group, kind, server);
        NEVER
            .iter()
            .any(|(never, which)| *never == group && (*which == "*" || *which == kind))
            || self.exclusions.iter().any(fits)
            || (!self.inclusions.is_empty() && !self.inclusions.iter().any(fits))
    }
}

/// Kinds by globs. An empty list selects everything.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct KindSelector {
    /// Groups; the core group is the empty text.
    pub api_groups: Vec<String>,
    /// Kinds.
    pub kinds: Vec<String>,
    /// Addresses of clusters.
    pub clusters: Vec<String>,
}

impl KindSelector {
    fn selects(&self, group: &str, kind: &str, server: &str) -> bool {
        let any = |patterns: &[String], text: &str| {
            let hit = |pattern: &String| {
                Glob::new(pattern, &[]).is_ok_and(|glob| glob.answer(text).allows())
            };
            patterns.is_empty() || patterns.iter().any(hit)
        };
        any(&self.api_groups, group) && any(&self.kinds, kind) && any(&self.clusters, server)
    }
}

/// `resource.compareoptions`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CompareOptions {
    /// The rules of aggregated roles do not count.
    pub ignore_aggregated_roles: bool,
    /// Whose `status` does not count.
    pub ignore_status: IgnoreStatus,
    /// Fields that are ignored in comparisons are ignored in updates too.
    pub ignore_differences_on_updates: bool,
}

impl Default for CompareOptions {
    fn default() -> Self {
        Self {
            ignore_aggregated_roles: false,
            ignore_status: IgnoreStatus::All,
            ignore_differences_on_updates: true,
        }
    }
}

/// Objects whose `status` does not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IgnoreStatus {
    /// All.
    All,
    /// `CustomResourceDefinition`s.
    Definitions,
    /// None.
    None,
}

pub(super) fn selectors(key: &str, text: &str) -> Result<Vec<KindSelector>, SettingProblem> {
    let value = yaml::value(text).map_err(|error| SettingProblem::new(key, error.to_string()))?;
    let selectors: Option<Vec<KindSelector>> = serde_json::from_value(value).map_err(|error| {
        SettingProblem::new(
            key,
            format!("{error}; expected a list of apiGroups, kinds and clusters"),
        )
    })?;
    let selectors = selectors.unwrap_or_default();
    let patterns = selectors
        .iter()
        .flat_map(|one| one.api_groups.iter().chain(&one.kinds).chain(&one.clusters));
    for pattern in patterns {
        if let Err(error) = Glob::new(pattern, &[]) {
            return Err(SettingProblem::new(key, error.to_string()));
        }
    }
    Ok(selectors)
}

pub(super) fn compare_options(key: &str, text: &str) -> Result<CompareOptions, SettingProblem> {
    let value = yaml::value(text).map_err(|error| SettingProblem::new(key, error.to_string()))?;
    let default = CompareOptions::default();
    let flag = |name: &str, default: bool| match &value[name] {
        Value::Null => Ok(default),
        Value::Bool(flag) => Ok(*flag),
        other => Err(SettingProblem::new(
            key,
            format!("{name}: {other} is neither true nor false"),
        )),
    };
    // YAML reads a bare `off` as false.
    let ignore_status = match &value["ignoreResourceStatusField"] {
        Value::Null => default.ignore_status,
        Value::Bool(false) => IgnoreStatus::None,
        Value::String(word) => match word.as_str() {
            "all" | "" => IgnoreStatus::All,
            "crd" => IgnoreStatus::Definitions,
            "none" | "off" | "false" => IgnoreStatus::None,
            other => {
                return Err(SettingProblem::new(
                    key,
                    format!("ignoreResourceStatusField: {other:?} is not one of all, crd, none"),
                ));
            }
        },
        other => {
            return Err(SettingProblem::new(
                key,
                format!("ignoreResourceStatusField: {other} is not one of all, crd, none"),
            ));
        }
    };
    Ok(CompareOptions {
        ignore_aggregated_roles: flag("ignoreAggregatedRoles", default.ignore_aggregated_roles)?,
        ignore_status,
        ignore_differences_on_updates: flag(
            "ignoreDifferencesOnResourceUpdates",
            default.ignore_differences_on_updates,
        )?,
    })
}
