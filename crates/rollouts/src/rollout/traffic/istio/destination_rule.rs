//! What the subsets of a DestinationRule select.

use kube::api::DynamicObject;
use reconcile_core::object::FieldError;
use serde_json::{Value, json};

use super::{
    super::{objects::unfit, router::RouteContext, state::RouteHashes},
    DESTINATION_RULE, Subsets,
};
use crate::api::rollout::{HASH_LABEL, MANAGED_BY};

impl Subsets {
    /// The hashes that both subsets select.
    pub(super) fn hashes(&self, at: &str, rule: &DynamicObject) -> Result<RouteHashes, FieldError> {
        let (canary, stable) = self.find(at, rule)?;
        let subsets = &rule.data["spec"]["subsets"];
        let hash = |index: usize| {
            let label = &subsets[index]["labels"][HASH_LABEL];
            label
                .as_str()
                .filter(|hash| !hash.is_empty())
                .map(str::to_owned)
        };
        Ok(RouteHashes {
            canary: hash(canary),
            stable: hash(stable),
        })
    }

    fn find(&self, at: &str, rule: &DynamicObject) -> Result<(usize, usize), FieldError> {
        let subsets = rule.data["spec"]["subsets"].as_array();
        let place = |name: &str| subsets?.iter().position(|subset| subset["name"] == name);
        place(&self.canary_subset_name)
            .zip(place(&self.stable_subset_name))
            .ok_or_else(|| {
                let what = format!(
                    "has no subsets {} and {}",
                    self.canary_subset_name, self.stable_subset_name
                );
                unfit(at, DESTINATION_RULE, &self.name, &what)
            })
    }

    /// The patch that lets the subsets select `hashes`, or gives the rule back when there are none. Other
    /// subsets stay.
    pub(super) fn patch(
        &self,
        at: &str,
        rule: &DynamicObject,
        context: &RouteContext<'_>,
        hashes: Option<&RouteHashes>,
    ) -> Result<Option<Value>, FieldError> {
        let (canary, stable) = self.find(at, rule)?;
        let old = &rule.data["spec"]["subsets"];
        let mut subsets = old.clone();
        let wanted = hashes.cloned().unwrap_or_default();
        for (index, hash) in [(canary, wanted.canary), (stable, wanted.stable)] {
            match hash {
                Some(hash) => subsets[index]["labels"][HASH_LABEL] = hash.into(),
                None if hashes.is_none() => {
                    if let Some(labels) = subsets[index]["labels"].as_object_mut() {
                        labels.remove(HASH_LABEL);
                    }
                }
                None => {}
            }
        }
        let annotations = rule.metadata.annotations.as_ref();
        let owner = annotations
            .and_then(|all| all.get(MANAGED_BY))
            .map(String::as_str);
        let wanted_owner = hashes.map(|_| context.rollout.name.as_str());
        if subsets == *old && owner == wanted_owner {
            return Ok(None);
        }
        let mut body = json!({ "metadata": {
            "resourceVersion": rule.metadata.resource_version,
            "annotations": { MANAGED_BY: wanted_owner },
        } });
        if subsets != *old {
            body["spec"] = json!({ "subsets": subsets });
        }
        Ok(Some(body))
    }
}
