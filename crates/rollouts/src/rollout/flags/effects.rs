//! Reads and writes of ConfigMaps with flags.

use std::collections::{BTreeMap, BTreeSet, btree_map::Entry};

use kube::api::{ApiResource, DynamicObject};
use reconcile_core::{
    apply,
    object::{FieldError, ObjectKey},
};
use serde_json::{Map, Value, json};

use super::{
    FlagEdit, FlagKey, FlagState, Flags, Holder, edited_by_status,
    saved::{ANNOTATION, Entries, entry},
};
use crate::{
    api::rollout::Rollout,
    rollout::{
        effects::Effects,
        error::RolloutError,
        observed::{CheckedSpec, Observed, Step},
        resources::{MANAGER, resource},
        validate, workload,
    },
};

fn config_maps() -> ApiResource {
    resource("", "v1", "ConfigMap", "configmaps")
}

impl Effects {
    /// Reads the flags that the steps name, and those that an update edited before. Nothing is read for a
    /// Rollout without such steps.
    pub(in crate::rollout) async fn observe_flags(
        &self,
        observed: &mut Observed,
    ) -> Result<(), RolloutError> {
        if observed.root.is_deleting() {
            return Ok(());
        }
        let mut flags = Flags::new();
        let mut maps: BTreeMap<String, Option<DynamicObject>> = BTreeMap::new();
        let formers = super::edited_config_maps(&observed.status);
        let named = steps_of(observed).map(|(_, at)| at.config_map.clone());
        for name in named.chain(formers) {
            if let Entry::Vacant(place) = maps.entry(name) {
                let key = ObjectKey::new(&observed.root.key().namespace, place.key());
                place.insert(apply::get(&self.client, &config_maps(), &key).await?);
            }
        }
        for (name, map) in &maps {
            if let Some(map) = map {
                self.saved_flags(observed, name, map, &mut flags)?;
            }
        }
        for (path, at) in steps_of(observed) {
            let state = named_flag(&path, at, maps.get(&at.config_map).and_then(Option::as_ref))?;
            let known = flags.entry(at.clone()).or_insert(state);
            if let Some(saved) = known
                .saved
                .as_ref()
                .filter(|saved| saved.holder == Holder::Other)
            {
                let message = format!("Rollout {} edits flag {} already", saved.rollout, at.flag);
                return Err(FieldError::new(format!("{path}.flag"), message).into());
            }
        }
        observed.flags = Some(flags);
        Ok(())
    }

    /// Flags with an entry. One whose text or flag is gone has nothing to restore.
    fn saved_flags(
        &self,
        observed: &Observed,
        name: &str,
        map: &DynamicObject,
        flags: &mut Flags,
    ) -> Result<(), RolloutError> {
        let root = &observed.root;
        for (entry_name, mut saved) in entries(name, map)? {
            let Some((key, flag)) = split(map, &entry_name) else {
                continue;
            };
            saved.holder = if saved.uid == root.uid() {
                Holder::Own
            } else {
                let owner = ObjectKey::new(&root.key().namespace, &saved.rollout);
                let alive = self.sources.roots.get(&owner);
                if alive.is_some_and(|alive| alive.uid() == saved.uid) {
                    Holder::Other
                } else {
                    Holder::Gone
                }
            };
            let at = FlagKey {
                config_map: name.to_owned(),
                key,
                flag,
            };
            if let Ok(state) = named_flag(name, &at, Some(map)) {
                let saved = Some(saved);
                flags.insert(at, FlagState { saved, ..state });
            }
        }
        Ok(())
    }

    /// Writes edits of one ConfigMap: text and annotation in one patch, which is refused when somebody
    /// changed the ConfigMap meanwhile. The Rollout is read once more before: its ReplicaSets go with it, and a
    /// pass that hears of them first would take the update for complete and forget the former definitions.
    pub(in crate::rollout) async fn set_flags(
        &self,
        observed: &Observed,
        config_map: &str,
        edits: &[FlagEdit],
    ) -> Result<(), RolloutError> {
        let key = ObjectKey::new(&observed.root.key().namespace, config_map);
        self.confirm_rollout(observed).await?;
        let Some(map) = apply::get(&self.client, &config_maps(), &key).await? else {
            return Err(RolloutError::Stale);
        };
        let mut entries = entries(config_map, &map)?;
        let mut texts: BTreeMap<String, Value> = BTreeMap::new();
        for edit in edits {
            let at = &edit.at;
            let known = observed.flags.as_ref().and_then(|flags| flags.get(at));
            let now = named_flag(config_map, at, Some(&map))?;
            let before = entries
                .get(&entry(&at.key, &at.flag))
                .map(|saved| &saved.before);
            let same_before = known
                .and_then(|known| known.saved.as_ref())
                .map(|saved| &saved.before);
            if known.map(|known| &known.definition) != Some(&now.definition)
                || before != same_before
            {
                return Err(RolloutError::Stale);
            }
            let mut text = match texts.remove(&at.key) {
                Some(text) => text,
                None => parsed(config_map, &map, &at.key)?,
            };
            text["flags"][at.flag.as_str()] = edit.definition.clone();
            texts.insert(at.key.clone(), text);
            match &edit.saved {
                Some(saved) => drop(entries.insert(entry(&at.key, &at.flag), saved.clone())),
                None => drop(entries.remove(&entry(&at.key, &at.flag))),
            }
        }
        self.write_flags(&key, &map, &texts, &entries).await?;
        // The Rollout may be gone since this pass began, and its flags restored before this write.
        let root = &observed.root;
        let current = self.sources.roots.get(&root.key());
        if current.is_none_or(|current| current.uid() != root.uid()) {
            self.give_flags_back(root).await;
        }
        Ok(())
    }

    /// Gives back the flags that a deleted Rollout edited: they get the definitions that stood before. A flag
    /// that is gone is left alone.
    pub(in crate::rollout) async fn restore_flags(
        &self,
        former: &Rollout,
    ) -> Result<(), RolloutError> {
        for name in edited_by(former) {
            let key = ObjectKey::new(&former.key().namespace, &name);
            let Some(map) = apply::get(&self.client, &config_maps(), &key).await? else {
                continue;
            };
            let (own, others): (Entries, Entries) = entries(&name, &map)?
                .into_iter()
                .partition(|(_, saved)| saved.uid == former.uid());
            if own.is_empty() {
                continue;
            }
            let mut texts: BTreeMap<String, Value> = BTreeMap::new();
            for (entry_name, saved) in own {
                let Some((key, flag)) = split(&map, &entry_name) else {
                    continue;
                };
                let mut text = match texts.remove(&key) {
                    Some(text) => text,
                    None => parsed(&name, &map, &key)?,
                };
                if text["flags"][flag.as_str()].is_object() {
                    text["flags"][flag.as_str()] = saved.before;
                }
                texts.insert(key, text);
            }
            tracing::info!(rollout = %former.key(), config_map = %name, "the Rollout is gone; its feature flags get their former definitions back");
            self.write_flags(&key, &map, &texts, &others).await?;
        }
        Ok(())
    }

    /// Writes texts and entries of a ConfigMap, unless somebody changed it since it was read.
    async fn write_flags(
        &self,
        key: &ObjectKey,
        map: &DynamicObject,
        texts: &BTreeMap<String, Value>,
        entries: &Entries,
    ) -> Result<(), RolloutError> {
        let pretty = |text: &Value| serde_json::to_string_pretty(text).unwrap_or_default() + "\n";
        let data: Map<String, Value> = texts
            .iter()
            .map(|(key, text)| (key.clone(), pretty(text).into()))
            .collect();
        let kept = (!entries.is_empty()).then(|| json!(entries).to_string());
        let body = json!({
            "metadata": {
                "resourceVersion": map.metadata.resource_version,
                "annotations": { ANNOTATION: kept },
            },
            "data": data,
        });
        apply::merge_patch(&self.client, &config_maps(), key, &body, MANAGER).await?;
        Ok(())
    }
}

/// ConfigMaps with flags that a Rollout may have edited, as its status and its steps name them.
fn edited_by(former: &Rollout) -> BTreeSet<String> {
    let spec = former
        .parse_spec()
        .map(workload::assume)
        .map(validate::check);
    let steps = match spec
        .as_ref()
        .map(|spec| spec.as_ref().map(CheckedSpec::canary))
    {
        Ok(Ok(Some(canary))) => canary.steps.as_slice(),
        _ => &[],
    };
    let named = steps.iter().filter_map(|step| match step {
        Step::FeatureFlag(step) => Some(step.at.config_map.clone()),
        _ => None,
    });
    named.chain(edited_by_status(former)).collect()
}

/// The flags that steps edit, with the path of the step.
fn steps_of(observed: &Observed) -> impl Iterator<Item = (String, &FlagKey)> {
    let steps = observed.spec.canary().map(|canary| canary.steps.iter());
    let all = steps.into_iter().flatten().enumerate();
    all.filter_map(|(index, step)| match step {
        Step::FeatureFlag(step) => {
            let path = format!("spec.strategy.canary.steps[{index}].plugin.config");
            Some((path, &step.at))
        }
        _ => None,
    })
}

/// Key and flag of an entry. Both may have slashes, so the key is the one that exists.
fn split(map: &DynamicObject, name: &str) -> Option<(String, String)> {
    let data = map.data["data"].as_object()?;
    let key = data.keys().find(|key| {
        let rest = name.strip_prefix(key.as_str());
        rest.is_some_and(|rest| rest.starts_with('/'))
    })?;
    Some((key.clone(), name[key.len() + 1..].to_owned()))
}

fn entries(name: &str, map: &DynamicObject) -> Result<Entries, FieldError> {
    let annotations = map.metadata.annotations.as_ref();
    let Some(text) = annotations.and_then(|all| all.get(ANNOTATION)) else {
        return Ok(Entries::new());
    };
    serde_json::from_str(text).map_err(|error| {
        let path = format!("ConfigMap {name} metadata.annotations[{ANNOTATION}]");
        FieldError::new(path, format!("cannot be read: {error}"))
    })
}

fn parsed(path: &str, map: &DynamicObject, key: &str) -> Result<Value, FieldError> {
    let wrong = |message: String| FieldError::new(format!("{path}.key"), message);
    let text = map.data["data"][key].as_str();
    let text = text.ok_or_else(|| {
        let name = map.metadata.name.as_deref().unwrap_or_default();
        wrong(format!(
            "Invalid value: \"{key}\": ConfigMap {name} has no such key"
        ))
    })?;
    serde_json::from_str(text).map_err(|error| {
        wrong(format!(
            "Invalid value: \"{key}\": the text is not JSON: {error}"
        ))
    })
}

/// The flag that a step names.
fn named_flag(
    path: &str,
    at: &FlagKey,
    map: Option<&DynamicObject>,
) -> Result<FlagState, FieldError> {
    let Some(map) = map else {
        let message = format!("Invalid value: \"{}\": ConfigMap not found", at.config_map);
        return Err(FieldError::new(format!("{path}.configMap"), message));
    };
    let text = parsed(path, map, &at.key)?;
    let definition = &text["flags"][at.flag.as_str()];
    if !definition["variants"].is_object() || !definition["defaultVariant"].is_string() {
        let message = format!(
            "Invalid value: \"{}\": there is no such flag with variants and a defaultVariant",
            at.flag
        );
        return Err(FieldError::new(format!("{path}.flag"), message));
    }
    Ok(FlagState {
        definition: definition.clone(),
        saved: None,
    })
}
