//! `ignoreDifferences`: fields whose difference does not count.

use expressions::{
    glob,
    jq::{self, JqError, JqPaths, Step, removal_order},
};
use serde_json::{Map, Value, json};

use super::structure::{ITEM_KEYS, counterpart, managers};
use crate::{
    api::IgnoreDifference,
    clusters::{ResourceId, content_hash},
    settings::{ArgoSettings, CompareOptions, IgnoreStatus},
};

/// Whether what admission webhooks write into the answer of a dry run is a difference.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WebhookChanges {
    /// It is not.
    #[default]
    Ignore,
    /// It is: `IncludeMutationWebhook=true` among the compare options of the Application.
    Count,
}

/// The rules of one application.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct IgnoreRules {
    rules: Vec<Rule>,
    webhooks: WebhookChanges,
    compare: CompareOptions,
}

/// One rule, its expressions parsed.
#[derive(Clone, Debug, PartialEq)]
struct Rule {
    spec: IgnoreDifference,
    expressions: Vec<JqPaths>,
}

impl Rule {
    /// Expressions that cannot be parsed are reported where the rule is written, and left out here.
    fn new(spec: IgnoreDifference) -> Self {
        let parsed = |text: &String| JqPaths::parse(text).ok();
        Self {
            expressions: spec.jq_path_expressions.iter().filter_map(parsed).collect(),
            spec,
        }
    }

    /// Group and kind are globs; name and namespace are exact, and an empty one fits all.
    fn selects(&self, id: &ResourceId) -> bool {
        let Self { spec, .. } = self;
        glob::answer(&spec.group, &id.kind.group, &[]).allows()
            && glob::answer(&spec.kind, &id.kind.kind, &[]).allows()
            && (spec.name.is_empty() || *spec.name == *id.name)
            && (spec.namespace.is_empty() || *spec.namespace == *id.namespace)
    }
}

/// The first expression of a rule that cannot be used.
pub fn jq_problem(expressions: &[String]) -> Option<JqError> {
    expressions
        .iter()
        .find_map(|text| JqPaths::parse(text).err())
}

impl IgnoreRules {
    /// The rules of a spec.
    pub fn new(rules: &[IgnoreDifference], webhooks: WebhookChanges) -> Self {
        Self {
            rules: rules.iter().cloned().map(Rule::new).collect(),
            webhooks,
            compare: CompareOptions::default(),
        }
    }

    /// Whether changes by admission webhooks count.
    pub fn webhooks(&self) -> WebhookChanges {
        self.webhooks
    }

    /// These rules and those of the settings.
    #[must_use]
    pub fn with_settings(mut self, settings: &ArgoSettings) -> Self {
        let rules = settings.customizations.ignore_rules();
        self.rules.extend(rules.into_iter().map(Rule::new));
        self.compare = settings.compare.clone();
        self
    }

    /// What comparisons of an object leave out.
    pub fn for_object(&self, id: &ResourceId) -> IgnoredPlaces<'_> {
        let mut fields = IgnoredPlaces {
            status: match self.compare.ignore_status {
                IgnoreStatus::All => StatusField::Ignored,
                IgnoreStatus::Definitions if &*id.kind.kind == "CustomResourceDefinition" => {
                    StatusField::Ignored
                }
                IgnoreStatus::Definitions | IgnoreStatus::None => StatusField::Counts,
            },
            aggregated_rules: self.compare.ignore_aggregated_roles
                && id.kind.is("rbac.authorization.k8s.io", "ClusterRole"),
            ..IgnoredPlaces::default()
        };
        for rule in self.rules.iter().filter(|rule| rule.selects(id)) {
            fields
                .pointers
                .extend(rule.spec.json_pointers.iter().map(String::as_str));
            fields.expressions.extend(&rule.expressions);
            fields
                .managers
                .extend(rule.spec.managed_fields_managers.iter().map(String::as_str));
        }
        fields
    }

    /// A number that changes when the rules for an object do; 0 without rules.
    pub fn hash(&self, id: &ResourceId) -> u64 {
        let fields = self.for_object(id);
        let counted = u64::from(self.webhooks == WebhookChanges::Count);
        if fields == IgnoredPlaces::default() {
            return counted;
        }
        let expressions: Vec<&str> = fields.expressions.iter().map(|one| one.text()).collect();
        let text = json!([
            fields.pointers,
            expressions,
            fields.managers,
            fields.status == StatusField::Counts,
            fields.aggregated_rules,
        ]);
        content_hash(&text) ^ counted
    }
}

/// Whether a difference below `status` counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StatusField {
    /// It does not.
    #[default]
    Ignored,
    /// It does.
    Counts,
}

/// What comparisons of one object leave out.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct IgnoredPlaces<'r> {
    /// JSON pointers.
    pub pointers: Vec<&'r str>,
    expressions: Vec<&'r JqPaths>,
    managers: Vec<&'r str>,
    /// The `status` of the object.
    pub status: StatusField,
    aggregated_rules: bool,
}

impl<'r> IgnoredPlaces<'r> {
    /// Only these JSON pointers.
    pub fn at(pointers: &[&'r str]) -> Self {
        Self {
            pointers: pointers.to_vec(),
            ..Self::default()
        }
    }

    /// True when nothing but the `status` is left out.
    pub fn is_empty(&self) -> bool {
        self.pointers.is_empty()
            && self.expressions.is_empty()
            && self.managers.is_empty()
            && !self.aggregated_rules
    }

    /// Removes the fields from one side of a comparison. `live` says whose fields are whose.
    pub fn remove_from(&self, value: &mut Value, live: &Value) {
        if self.is_empty() {
            return;
        }
        for place in self.places(value, live) {
            jq::remove(value, &place);
        }
    }

    /// Gives `target` the fields of the live object, so that applying does not change them. What is not there is not
    /// applied either. The status is never copied.
    pub fn keep_live(&self, target: &mut Value, live: &Value) {
        let is_status = |place: &[Step]| place.first() == Some(&Step::Key("status".to_owned()));
        for place in self.places(target, live) {
            if !is_status(&place) {
                jq::remove(target, &place);
            }
        }
        let mut places = self.places(live, live);
        places.reverse();
        for place in places {
            if let Some(value) = jq::find(live, &place)
                && !is_status(&place)
            {
                copy(target, live, &place, value);
            }
        }
    }

    /// The places in `value`, the last item of a list first. An expression that does not fit is left out, as upstream.
    fn places(&self, value: &Value, live: &Value) -> Vec<Vec<Step>> {
        let mut places: Vec<Vec<Step>> = self
            .pointers
            .iter()
            .map(|pointer| steps(value, pointer))
            .collect();
        for expression in &self.expressions {
            match expression.places(value) {
                Ok(found) => places.extend(found),
                Err(error) => tracing::debug!(%error, "ignoreDifferences: expression left out"),
            }
        }
        let owned = managers(live).filter(|entry| {
            let name = entry.get("manager").and_then(Value::as_str);
            name.is_some_and(|name| self.managers.contains(&name))
        });
        for fields in owned.filter_map(|entry| entry.get("fieldsV1")) {
            owned_places(value, fields, &mut Vec::new(), &mut places);
        }
        if self.aggregated_rules
            && live
                .get("aggregationRule")
                .is_some_and(|rule| !rule.is_null())
        {
            places.push(vec![Step::Key("rules".to_owned())]);
        }
        removal_order(places)
    }
}

/// The steps of a JSON pointer in `value`.
fn steps(value: &Value, pointer: &str) -> Vec<Step> {
    let mut at = Some(value);
    let words = pointer.split('/').skip(1);
    words
        .map(|word| {
            let key = word.replace("~1", "/").replace("~0", "~");
            let index = key.parse().ok().filter(|_| at.is_some_and(Value::is_array));
            let step = index.map_or(Step::Key(key), Step::Index);
            at = at.and_then(|value| step.member(value));
            step
        })
        .collect()
}

/// Places in `value` that a tree of `fieldsV1` lists. Calls itself once per level of that tree, which the API server
/// bounds.
fn owned_places(value: &Value, fields: &Value, at: &mut Vec<Step>, places: &mut Vec<Vec<Step>>) {
    for (key, below) in fields.as_object().into_iter().flatten() {
        let step = match key.split_at_checked(2) {
            Some(("f:", name)) => Step::Key(name.to_owned()),
            Some(("k:", keys)) => match position(value, |item| has_keys(item, keys)) {
                Some(index) => Step::Index(index),
                None => continue,
            },
            Some(("v:", text)) => match position(value, |item| is_text_of(text, item)) {
                Some(index) => Step::Index(index),
                None => continue,
            },
            _ => continue,
        };
        let Some(found) = step.member(value) else {
            continue;
        };
        at.push(step);
        let whole = below.as_object().is_none_or(|below| {
            // A list item that the manager brought, or a field without structure.
            below.is_empty() || (key.starts_with("k:") && below.contains_key("."))
        });
        if whole {
            places.push(at.clone());
        } else {
            owned_places(found, below, at, places);
        }
        at.pop();
    }
}

fn position(list: &Value, fits: impl Fn(&Value) -> bool) -> Option<usize> {
    list.as_array()?.iter().position(fits)
}

fn is_text_of(text: &str, item: &Value) -> bool {
    serde_json::from_str::<Value>(text).is_ok_and(|value| value == *item)
}

fn has_keys(item: &Value, keys: &str) -> bool {
    serde_json::from_str::<Map<String, Value>>(keys)
        .is_ok_and(|keys| keys.iter().all(|(key, value)| item.get(key) == Some(value)))
}

/// Copies the value at a place of the live object into the target. Items of lists are found by what identifies them.
fn copy(target: &mut Value, live: &Value, place: &[Step], value: &Value) {
    let Some((step, rest)) = place.split_first() else {
        *target = value.clone();
        return;
    };
    let Some(below) = step.member(live) else {
        return;
    };
    match (target, step) {
        (Value::Object(fields), Step::Key(key)) => {
            let empty = || match rest.first() {
                Some(Step::Index(_)) => Value::Array(Vec::new()),
                _ => Value::Object(Map::new()),
            };
            copy(
                fields.entry(key.clone()).or_insert_with(empty),
                below,
                rest,
                value,
            );
        }
        (Value::Array(items), Step::Index(index)) => {
            let same = counterpart(below, items)
                .and_then(|found| items.iter().position(|item| std::ptr::eq(item, found)))
                // Items without an identity are the same ones at the same position.
                .or_else(|| {
                    let unnamed = ITEM_KEYS.iter().all(|key| below.get(key).is_none());
                    Some(*index).filter(|at| unnamed && !rest.is_empty() && *at < items.len())
                });
            match same {
                Some(index) => copy(&mut items[index], below, rest, value),
                None if rest.is_empty() => items.push(value.clone()),
                None => {}
            }
        }
        _ => {}
    }
}
