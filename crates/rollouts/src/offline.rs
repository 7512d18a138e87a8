//! `rollouts plan`: what the controller would do next, from files instead of a cluster. Nothing is sent
//! anywhere; the planner is the one that runs in the cluster.

use std::{
    collections::BTreeMap,
    io::{Read, Write},
    path::PathBuf,
};

use anyhow::{Context, bail};
use clap::Args;
use jiff::Timestamp;
use kube::api::ObjectMeta;
use reconcile_core::{
    object::{Kind, ObjectKey, Root},
    yaml,
};
use serde_json::{Value, json};

use crate::{
    analysis::RunView,
    api::rollout::{Rollout, RolloutKind},
    rollout::{Sources, offline::Snapshot},
};

/// Flags of `rollouts plan`.
#[derive(Args, Clone, Debug)]
pub struct PlanArgs {
    /// Files with the Rollout and, as far as they exist, its `ReplicaSets`, Services, templates and
    /// `AnalysisRuns`, for example the output of `kubectl get rollouts,replicasets,services -o yaml`;
    /// `-` reads standard input. Of two manifests of the same Rollout the later one is what is wanted
    /// and the earlier one is what is there.
    #[arg(long = "filename", short = 'f', required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
}

/// Reads the files and writes the plans of all Rollouts in them to `out`.
pub fn run(args: &PlanArgs, now: Timestamp, out: &mut impl Write) -> anyhow::Result<()> {
    let mut objects = Vec::new();
    for file in &args.files {
        let mut text = String::new();
        if file.as_os_str() == "-" {
            std::io::stdin()
                .read_to_string(&mut text)
                .context("reading standard input")?;
        } else {
            text = std::fs::read_to_string(file)
                .with_context(|| format!("reading {}", file.display()))?;
        }
        let values = yaml::values(&text).with_context(|| format!("in {}", file.display()))?;
        for value in values {
            flatten(value, &mut objects);
        }
    }
    out.write_all(explain(objects, now)?.as_bytes())?;
    Ok(())
}

fn flatten(value: Value, objects: &mut Vec<Value>) {
    match value.get("items").and_then(Value::as_array) {
        Some(items) => items.iter().for_each(|item| flatten(item.clone(), objects)),
        None => objects.push(value),
    }
}

/// The plans of all Rollouts among `objects`, as text.
pub fn explain(objects: Vec<Value>, now: Timestamp) -> anyhow::Result<String> {
    let mut rollouts: BTreeMap<ObjectKey, Value> = BTreeMap::new();
    let mut snapshot = Snapshot::default();
    for mut object in objects {
        place(&mut object);
        match object["kind"].as_str().unwrap_or_default() {
            RolloutKind::KIND => {
                let key = key_of(&object);
                let wanted = match rollouts.remove(&key) {
                    Some(there) => succeed(&there, object),
                    None => object,
                };
                rollouts.insert(key, wanted);
            }
            _ => snapshot.add(&object)?,
        }
    }
    if rollouts.is_empty() {
        bail!("there is no Rollout in the files");
    }
    let mut text = String::new();
    for (key, mut rollout) in rollouts {
        if rollout["metadata"]["uid"]
            .as_str()
            .is_none_or(str::is_empty)
        {
            let uid = snapshot
                .owner_uid(&key)
                .unwrap_or_else(|| format!("offline {key}"));
            rollout["metadata"]["uid"] = uid.into();
        }
        let root: Rollout = Root::from_value(&rollout)?;
        text.push_str(&snapshot.explain(&root, now));
    }
    Ok(text)
}

/// Objects of files often have no namespace.
fn place(object: &mut Value) {
    let cluster_wide = object["kind"] == "ClusterAnalysisTemplate";
    if !cluster_wide
        && object["metadata"]["namespace"]
            .as_str()
            .is_none_or(str::is_empty)
    {
        object["metadata"]["namespace"] = "default".into();
    }
}

fn key_of(object: &Value) -> ObjectKey {
    let text = |name: &str| object["metadata"][name].as_str().unwrap_or_default();
    ObjectKey::new(text("namespace"), text("name"))
}

/// The manifest that is wanted, with what the object in the cluster has reached.
fn succeed(there: &Value, mut wanted: Value) -> Value {
    wanted["status"] = there["status"].clone();
    wanted["metadata"]["uid"] = there["metadata"]["uid"].clone();
    let generation = there["metadata"]["generation"].as_i64().unwrap_or_default();
    let changed = i64::from(there["spec"] != wanted["spec"]);
    wanted["metadata"]["generation"] = json!(generation + changed);
    for (name, value) in there["metadata"]["annotations"]
        .as_object()
        .into_iter()
        .flatten()
    {
        if name.starts_with("rollout.argoproj.io/") {
            wanted["metadata"]["annotations"][name.as_str()] = value.clone();
        }
    }
    wanted
}

/// Metadata under which a view is put into an index.
pub(crate) fn index_meta(key: &ObjectKey, uid: &str) -> ObjectMeta {
    ObjectMeta {
        name: Some(key.name.clone()),
        namespace: (!key.namespace.is_empty()).then(|| key.namespace.clone()),
        uid: Some(uid.to_owned()),
        ..ObjectMeta::default()
    }
}

/// Puts an object of an analysis kind into the indexes; false when it is of another kind.
pub(crate) fn add_analysis(sources: &Sources, object: &Value) -> anyhow::Result<bool> {
    match object["kind"].as_str().unwrap_or_default() {
        "AnalysisTemplate" => {
            let root = Root::from_value(object)?;
            let meta = index_meta(&root.key(), root.uid());
            drop(sources.analysis.templates.namespaced.written(&meta, root));
        }
        "ClusterAnalysisTemplate" => {
            let root = Root::from_value(object)?;
            let meta = index_meta(&root.key(), root.uid());
            drop(sources.analysis.templates.cluster.written(&meta, root));
        }
        "AnalysisRun" => sources
            .analysis
            .remember(RunView::of(&Root::from_value(object)?)),
        _ => return Ok(false),
    }
    Ok(true)
}
