//! What the actions of a pass do to the cluster.

use serde_json::json;

use super::Cluster;
use crate::rollout::{
    Applied,
    flags::FlagState,
    observed::{Observed, ReplicaSetView},
    plan::{Action, NewReplicaSet, hash::template_digest},
};

impl Cluster {
    pub(super) fn apply_action(&mut self, observed: &Observed, action: &Action) -> Applied {
        if let Action::Delete { name, .. } = action {
            let pods = self.pods.remove(name);
            assert!(
                pods.is_none_or(|pods| pods.is_empty()),
                "a set with pods was deleted"
            );
        }
        if let Some(applied) = self.objects.apply(observed, action) {
            let applied = applied.unwrap_or_else(|error| panic!("{action}: {error}"));
            if let (Action::Create(set), Applied::Done) = (action, &applied) {
                self.created(observed, set);
            }
            return applied;
        }
        match action {
            Action::ScaleWorkload(scale) => self.scale_workload(scale),
            Action::Evict(pod) => return self.evict(pod),
            Action::ChangePod(change) => self.change_pod(change),
            Action::SetFlags { edits, .. } => {
                for edit in edits {
                    let state = FlagState {
                        definition: edit.definition.clone(),
                        saved: edit.saved.clone(),
                    };
                    self.flags.insert(edit.at.clone(), state);
                }
            }
            other => panic!("nobody carries out: {other}"),
        }
        Applied::Done
    }

    pub(in crate::rollout::tests) fn set(&mut self, name: &str) -> &mut ReplicaSetView {
        self.replica_sets.get_mut(name).expect("the set exists")
    }

    fn created(&mut self, observed: &Observed, set: &NewReplicaSet) {
        let mut template = observed.spec.template.clone();
        let image = template["spec"]["containers"][0]["image"].as_str();
        let image = image.unwrap_or_default().to_owned();
        self.images.insert(set.name.clone(), image);
        if self.mutating {
            template["spec"]["tolerations"] = json!([{"operator": "Exists"}]);
            self.set(&set.name).template = template_digest(&template);
        }
    }
}
