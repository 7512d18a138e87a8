//! `rollouts plan`: what the controller would do next. The planner is the one that runs in the cluster.

use std::{collections::BTreeMap, io::Write, path::PathBuf};

use anyhow::bail;
use clap::Args;
use jiff::Timestamp;
use reconcile_core::object::{Kind, ObjectKey, Root};
use serde_json::{Value, json};

use super::{files, placed};
use crate::{
    api::rollout::{Rollout, RolloutKind},
    rollout::offline::Snapshot,
};

/// Flags of `rollouts plan`.
#[derive(Args, Clone, Debug)]
pub struct PlanArgs {
    /// Files and directories with the Rollout and, as far as they exist, its `ReplicaSets`, Services,
    /// templates and `AnalysisRuns`, for example the output of `kubectl get rollouts,replicasets,services
    /// -o yaml`; `-` reads standard input. Of two manifests of the same Rollout the later one is what is
    /// wanted and the earlier one is what is there.
    #[arg(long = "filename", short = 'f', required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
}

/// The plans of some Rollouts.
#[derive(Debug)]
pub struct Explanation {
    /// The plans as text.
    pub text: String,
    /// True when a Rollout is refused.
    pub refused: bool,
}

/// Reads the files and writes the plans of all Rollouts in them to `out`. False when one is refused.
pub fn run(args: &PlanArgs, now: Timestamp, out: &mut impl Write) -> anyhow::Result<bool> {
    let manifests = files::read(&args.files)?;
    let objects = manifests.into_iter().map(|manifest| manifest.object);
    let Explanation { text, refused } = explain(objects.collect(), now)?;
    out.write_all(text.as_bytes())?;
    Ok(!refused)
}

/// The plans of all Rollouts among `objects`.
pub fn explain(objects: Vec<Value>, now: Timestamp) -> anyhow::Result<Explanation> {
    let mut rollouts: BTreeMap<ObjectKey, Value> = BTreeMap::new();
    let mut snapshot = Snapshot::default();
    for object in objects.into_iter().map(placed) {
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
    let (mut text, mut refused) = (String::new(), false);
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
        // The explanation comes first: it lists what it takes as given.
        text.push_str(&snapshot.explain(&root, now));
        refused |= snapshot.refusal(&root).is_some();
    }
    Ok(Explanation { text, refused })
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
