//! `resource.customizations`: what is different for single kinds.
//!
//! Two forms, which may be mixed; where both speak of one thing, the second wins:
//!
//! ```text
//! resource.customizations: |            one YAML map; kinds may be globs
//!   "*.crossplane.io/*":
//!     health.lua: ...
//! resource.customizations.health.cert-manager.io_Certificate: ...      a key for each kind
//! resource.customizations.ignoreDifferences.all: ...                   `all` is every kind
//! ```

mod parse;

use std::collections::BTreeMap;

use expressions::glob::Glob;
use serde::Deserialize;

use crate::api::IgnoreDifference;

/// Every kind, in the form of the keys.
const ALL: &str = "*/*";

/// Customisations by kind.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Customizations {
    /// By `group/Kind`, `Kind` for the core group, or a glob over both.
    by_kind: BTreeMap<String, Customization>,
    /// The globs, longest first.
    globs: Vec<String>,
}

/// What is different for a kind.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Customization {
    /// The health check.
    pub health: Option<LuaText>,
    /// Actions.
    pub actions: Option<ActionSet>,
    /// Fields that comparisons leave out.
    pub ignore_differences: Option<IgnoredFields>,
    /// Fields whose change starts no comparison.
    pub ignore_resource_updates: Option<IgnoredFields>,
    /// Fields that are of a type of Kubernetes.
    pub known_type_fields: Vec<KnownTypeField>,
}

/// A script from the settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LuaText {
    /// Its place in the settings, for messages.
    pub key: String,
    /// The source.
    pub source: String,
    /// The string and math libraries are in reach.
    pub open_libraries: bool,
}

/// Actions of a kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ActionSet {
    /// Their place in the settings, for messages.
    pub key: String,
    /// The built-in actions stay.
    pub merge_built_in: bool,
    /// Gives a table of action names.
    pub discovery: String,
    /// What each of them does.
    pub definitions: Vec<ActionDefinition>,
}

/// One action.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct ActionDefinition {
    /// Its name.
    pub name: String,
    /// Gives the changed object, or a list of objects with operations.
    #[serde(rename = "action.lua", default)]
    pub action: String,
}

/// Fields that do not count.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct IgnoredFields {
    /// JSON pointers.
    pub json_pointers: Vec<String>,
    /// jq expressions.
    pub jq_path_expressions: Vec<String>,
    /// Field managers whose fields do not count.
    pub managed_fields_managers: Vec<String>,
}

/// A field that is of a type of Kubernetes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct KnownTypeField {
    /// Path with dots.
    pub field: String,
    /// Such as `core/v1/PodSpec`.
    #[serde(rename = "type")]
    pub type_: String,
}

impl Customizations {
    /// The first answer for a kind: of its own entry, else of the globs that fit, the longest first.
    pub fn find<'a, T>(
        &'a self,
        group: &str,
        kind: &str,
        part: impl Fn(&'a Customization) -> Option<T>,
    ) -> Option<T> {
        if self.by_kind.is_empty() {
            return None;
        }
        let key = match group {
            "" => kind.to_owned(),
            group => format!("{group}/{kind}"),
        };
        let own = self.by_kind.get(&key).and_then(&part);
        own.or_else(|| {
            let fitting = self.globs.iter().filter(|pattern| {
                pattern.as_str() == ALL
                    || Glob::new(pattern, &[]).is_ok_and(|glob| glob.answer(&key).allows())
            });
            fitting
                .filter_map(|pattern| self.by_kind.get(pattern))
                .find_map(part)
        })
    }

    /// The health check of a kind.
    pub fn health(&self, group: &str, kind: &str) -> Option<&LuaText> {
        self.find(group, kind, |one| one.health.as_ref())
    }

    /// The actions of a kind. Globs have none, as upstream.
    pub fn actions(&self, group: &str, kind: &str) -> Option<&ActionSet> {
        let key = match group {
            "" => kind.to_owned(),
            group => format!("{group}/{kind}"),
        };
        self.by_kind.get(&key)?.actions.as_ref()
    }

    /// Everything that comparisons of a kind leave out, that for all kinds included.
    pub fn ignored_differences(&self, group: &str, kind: &str) -> Vec<&IgnoredFields> {
        self.both(group, kind, |one| one.ignore_differences.as_ref())
    }

    /// Fields that comparisons leave out, as rules with globs for groups and kinds.
    pub fn ignore_rules(&self) -> Vec<IgnoreDifference> {
        let rules = self.by_kind.iter().filter_map(|(pattern, one)| {
            let fields = one.ignore_differences.as_ref()?;
            let (group, kind) = pattern.rsplit_once('/').unwrap_or(("", pattern));
            Some(IgnoreDifference {
                group: group.to_owned(),
                kind: kind.to_owned(),
                json_pointers: fields.json_pointers.clone(),
                jq_path_expressions: fields.jq_path_expressions.clone(),
                managed_fields_managers: fields.managed_fields_managers.clone(),
                ..IgnoreDifference::default()
            })
        });
        rules.collect()
    }

    /// Everything whose change starts no comparison, that for all kinds included.
    pub fn ignored_updates(&self, group: &str, kind: &str) -> Vec<&IgnoredFields> {
        self.both(group, kind, |one| one.ignore_resource_updates.as_ref())
    }

    fn both<'a>(
        &'a self,
        group: &str,
        kind: &str,
        part: impl Fn(&'a Customization) -> Option<&'a IgnoredFields>,
    ) -> Vec<&'a IgnoredFields> {
        let all = self.by_kind.get(ALL).and_then(&part);
        let own = self.find(group, kind, part);
        match (all, own) {
            (Some(all), Some(own)) if std::ptr::eq(all, own) => vec![all],
            (all, own) => all.into_iter().chain(own).collect(),
        }
    }
}
