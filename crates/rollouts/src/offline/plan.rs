//! `rollouts plan`: what the controller would do next. The planner is the one that runs in the cluster.

use std::{collections::BTreeMap, io::Write, path::PathBuf};

use anyhow::bail;
use clap::Args;
use jiff::Timestamp;
use reconcile_core::object::{Kind, ObjectKey, Root};
use serde_json::{Value, json};

use super::{files, placed};
use crate::{
    api::{
        experiment::{Experiment, ExperimentKind},
        rollout::{Rollout, RolloutKind},
    },
    rollout::offline::Snapshot,
};

/// Flags of `rollouts plan`.
#[derive(Args, Clone, Debug)]
pub struct PlanArgs {
    /// Files and directories with Rollouts and Experiments and, as far as they exist, their `ReplicaSets`,
    /// Services, templates and `AnalysisRuns`, for example the output of `kubectl get
    /// rollouts,experiments,replicasets,services -o yaml`; `-` reads standard input. Of two manifests of the
    /// same object the later one is what is wanted and the earlier one is what is there.
    #[arg(long = "filename", short = 'f', required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
}

/// The plans of some Rollouts and Experiments.
#[derive(Debug)]
pub struct Explanation {
    /// The plans as text.
    pub text: String,
    /// True when one is refused.
    pub refused: bool,
}

/// Reads the files and writes the plans of all Rollouts and Experiments in them to `out`. False when one is refused.
pub fn run(args: &PlanArgs, now: Timestamp, out: &mut impl Write) -> anyhow::Result<bool> {
    let manifests = files::read(&args.files)?;
    let objects = manifests.into_iter().map(|manifest| manifest.object);
    let Explanation { text, refused } = explain(objects.collect(), now)?;
    out.write_all(text.as_bytes())?;
    Ok(!refused)
}

/// The plans of all Rollouts and Experiments among `objects`.
pub fn explain(objects: Vec<Value>, now: Timestamp) -> anyhow::Result<Explanation> {
    let (mut rollouts, mut experiments) = (Manifests::default(), Manifests::default());
    let mut snapshot = Snapshot::default();
    for object in objects.into_iter().map(placed) {
        match object["kind"].as_str().unwrap_or_default() {
            RolloutKind::KIND => rollouts.add(object),
            ExperimentKind::KIND => {
                snapshot.add(&object)?;
                experiments.add(object);
            }
            _ => snapshot.add(&object)?,
        }
    }
    if rollouts.0.is_empty() && experiments.0.is_empty() {
        bail!("there is no Rollout or Experiment in the files");
    }
    let (mut text, mut refused) = (String::new(), false);
    for rollout in rollouts.with_uids(RolloutKind::KIND, &snapshot) {
        let root: Rollout = Root::from_value(&rollout)?;
        // The explanation comes first: it lists what it takes as given.
        text.push_str(&snapshot.explain(&root, now));
        refused |= snapshot.refusal(&root).is_some();
    }
    for experiment in experiments.with_uids(ExperimentKind::KIND, &snapshot) {
        let root: Experiment = Root::from_value(&experiment)?;
        let (plan, is_refused) = snapshot.explain_experiment(&root, now);
        text.push_str(&plan);
        refused |= is_refused;
    }
    Ok(Explanation { text, refused })
}

/// Manifests of one kind. Of two of one object the later one is wanted and the earlier one is there.
#[derive(Default)]
struct Manifests(BTreeMap<ObjectKey, Value>);

impl Manifests {
    fn add(&mut self, object: Value) {
        let key = key_of(&object);
        let wanted = match self.0.remove(&key) {
            Some(there) => succeed(&there, object),
            None => object,
        };
        self.0.insert(key, wanted);
    }

    /// The manifests; one without a uid has that by which its ReplicaSets know it.
    fn with_uids(self, kind: &str, snapshot: &Snapshot) -> impl Iterator<Item = Value> {
        self.0.into_iter().map(move |(key, mut object)| {
            let uid = object["metadata"]["uid"].as_str();
            if uid.is_none_or(str::is_empty) {
                let uid = snapshot.owner_uid(kind, &key);
                object["metadata"]["uid"] = uid.unwrap_or_else(|| format!("offline {key}")).into();
            }
            object
        })
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
