//! Reading the keys of `argocd-cm`.

use std::collections::BTreeMap;

use expressions::{glob::Glob, lua};
use reconcile_core::yaml;
use serde::Deserialize;
use serde_json::Value;

use super::{
    super::{CUSTOMIZATIONS, SettingProblem},
    ALL, ActionDefinition, ActionSet, Customization, Customizations, IgnoredFields, KnownTypeField,
    LuaText,
};
use crate::diff::jq_problem;

impl Customizations {
    /// Reads all keys of the ConfigMap that begin with `resource.customizations`.
    pub(in super::super) fn parse(
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
