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

use std::collections::BTreeMap;

use expressions::{glob::Glob, lua};
use reconcile_core::yaml;
use serde::Deserialize;
use serde_json::Value;

use super::{CUSTOMIZATIONS, SettingProblem};
use crate::{api::IgnoreDifference, diff::jq_problem};

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
    /// Reads all keys of the ConfigMap that begin with `resource.customizations`.
    pub(super) fn parse(
        data: &BTreeMap<String, String>,
        problems: &mut Vec<SettingProblem>,
    ) -> Self {
        let mut parser = Parser {
            by_kind: BTreeMap::new(),
            problems,
        };
        if let Some(text) = data.get(CUSTOMIZATIONS) {
            parser.whole(text);
        }
        let keys = data.iter().filter_map(|(key, text)| {
            let rest = key.strip_prefix(CUSTOMIZATIONS)?.strip_prefix('.')?;
            Some((key, rest, text))
        });
        // The script has to be there before it is given libraries.
        let (libraries, others): (Vec<_>, Vec<_>) =
            keys.partition(|(_, rest, _)| rest.starts_with("useOpenLibs."));
        for (key, rest, text) in others.into_iter().chain(libraries) {
            parser.single(key, rest, text);
        }
        let by_kind = parser.by_kind;
        let mut globs: Vec<String> = by_kind
            .keys()
            .filter(|pattern| pattern.contains(['*', '?', '[', '{']))
            .cloned()
            .collect();
        globs.sort_by_key(|pattern| std::cmp::Reverse(pattern.len()));
        Self { by_kind, globs }
    }

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

struct Parser<'p> {
    by_kind: BTreeMap<String, Customization>,
    problems: &'p mut Vec<SettingProblem>,
}

/// The old form of one kind.
#[derive(Default, Deserialize)]
#[serde(default)]
struct OldForm {
    #[serde(rename = "health.lua")]
    health: String,
    #[serde(rename = "health.lua.useOpenLibs")]
    open_libraries: bool,
    actions: String,
    #[serde(rename = "ignoreDifferences")]
    ignore_differences: String,
    #[serde(rename = "ignoreResourceUpdates")]
    ignore_resource_updates: String,
    #[serde(rename = "knownTypeFields")]
    known_type_fields: Vec<KnownTypeField>,
}

impl Parser<'_> {
    fn problem(&mut self, key: &str, reason: impl Into<String>) {
        self.problems.push(SettingProblem::new(key, reason));
    }

    /// The value, or a problem.
    fn checked<T>(&mut self, key: &str, result: Result<T, String>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(reason) => {
                self.problem(key, reason);
                None
            }
        }
    }

    fn whole(&mut self, text: &str) {
        let kinds = match yaml::value(text) {
            Ok(Value::Object(kinds)) => kinds,
            Ok(Value::Null) => return,
            Ok(_) => return self.problem(CUSTOMIZATIONS, "expected a map of group/Kind"),
            Err(error) => return self.problem(CUSTOMIZATIONS, error.to_string()),
        };
        for (kind, value) in kinds {
            let key = format!("{CUSTOMIZATIONS}[{kind}]");
            let form = serde_json::from_value::<OldForm>(value);
            let Some(form) = self.checked(&key, form.map_err(|error| error.to_string())) else {
                continue;
            };
            if let Err(error) = Glob::new(&kind, &[]) {
                self.problem(&key, error.to_string());
                continue;
            }
            let mut one = Customization {
                known_type_fields: form.known_type_fields,
                ..Customization::default()
            };
            if !form.health.is_empty() {
                let key = format!("{key}.health.lua");
                one.health = Some(self.script(LuaText {
                    key,
                    source: form.health,
                    open_libraries: form.open_libraries,
                }));
            }
            if !form.actions.is_empty() {
                let key = format!("{key}.actions");
                one.actions = self.checked(&key, actions(&key, &form.actions));
            }
            if !form.ignore_differences.is_empty() {
                let fields = ignored(&form.ignore_differences);
                one.ignore_differences = self.checked(&format!("{key}.ignoreDifferences"), fields);
            }
            if !form.ignore_resource_updates.is_empty() {
                let fields = ignored(&form.ignore_resource_updates);
                one.ignore_resource_updates =
                    self.checked(&format!("{key}.ignoreResourceUpdates"), fields);
            }
            self.by_kind.insert(kind, one);
        }
    }

    /// `rest` is `<type>.<group>_<Kind>`.
    fn single(&mut self, key: &str, rest: &str, text: &str) {
        let Some((type_, name)) = rest.split_once('.') else {
            return self.problem(
                key,
                "expected resource.customizations.<type>.<group>_<Kind>",
            );
        };
        let fields = matches!(type_, "ignoreDifferences" | "ignoreResourceUpdates");
        let kind = match name.split('_').collect::<Vec<_>>()[..] {
            ["all"] if fields => ALL.to_owned(),
            [kind] if !kind.is_empty() => kind.to_owned(),
            [group, kind] if !group.is_empty() && !kind.is_empty() => format!("{group}/{kind}"),
            _ => {
                return self.problem(
                    key,
                    format!("{name:?} is no kind: write group_Kind, or Kind for the core group"),
                );
            }
        };
        match type_ {
            "health" => {
                let script = self.script(LuaText {
                    key: key.to_owned(),
                    source: text.to_owned(),
                    open_libraries: false,
                });
                self.by_kind.entry(kind).or_default().health = Some(script);
            }
            "useOpenLibs" => match (text.trim(), self.by_kind.get_mut(&kind)) {
                ("true", Some(Customization { health: Some(health), .. })) => {
                    health.open_libraries = true;
                }
                ("true" | "false" | "", _) => {}
                (other, _) => {
                    self.problem(key, format!("{other:?} is neither true nor false"));
                }
            },
            "actions" => {
                let set = self.checked(key, actions(key, text));
                self.by_kind.entry(kind).or_default().actions = set;
            }
            "ignoreDifferences" => {
                let fields = self.checked(key, ignored(text));
                self.by_kind.entry(kind).or_default().ignore_differences = fields;
            }
            "ignoreResourceUpdates" => {
                let fields = self.checked(key, ignored(text));
                self.by_kind.entry(kind).or_default().ignore_resource_updates = fields;
            }
            "knownTypeFields" => {
                let fields = self.checked(key, parsed::<Vec<KnownTypeField>>(text));
                self.by_kind.entry(kind).or_default().known_type_fields = fields.unwrap_or_default();
            }
            other => self.problem(
                key,
                format!(
                    "{other:?} is not one of health, useOpenLibs, actions, ignoreDifferences, ignoreResourceUpdates, knownTypeFields"
                ),
            ),
        }
    }

    /// A script that is no Lua is kept: objects of the kind are then unknown and say why, instead of being
    /// judged by a rule that somebody wanted to replace.
    fn script(&mut self, script: LuaText) -> LuaText {
        if let Err(error) = lua::check(&script.source) {
            self.problem(&script.key, error.to_string());
        }
        script
    }
}

fn parsed<T: serde::de::DeserializeOwned>(text: &str) -> Result<T, String> {
    let value = yaml::value(text).map_err(|error| error.to_string())?;
    serde_json::from_value(value).map_err(|error| error.to_string())
}

fn ignored(text: &str) -> Result<IgnoredFields, String> {
    let fields: Option<IgnoredFields> = parsed(text)?;
    let fields = fields.unwrap_or_default();
    match jq_problem(&fields.jq_path_expressions) {
        Some(error) => Err(error.to_string()),
        None => Ok(fields),
    }
}

fn actions(key: &str, text: &str) -> Result<ActionSet, String> {
    #[derive(Deserialize)]
    struct Form {
        #[serde(rename = "discovery.lua", default)]
        discovery: String,
        #[serde(default)]
        definitions: Vec<ActionDefinition>,
        #[serde(rename = "mergeBuiltinActions", default)]
        merge: bool,
    }
    let form: Form = parsed(text)?;
    lua::check(&form.discovery).map_err(|error| format!("discovery.lua: {error}"))?;
    for definition in &form.definitions {
        lua::check(&definition.action)
            .map_err(|error| format!("action.lua of {}: {error}", definition.name))?;
    }
    Ok(ActionSet {
        key: key.to_owned(),
        merge_built_in: form.merge,
        discovery: form.discovery,
        definitions: form.definitions,
    })
}
