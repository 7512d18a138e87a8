//! What the manifest asks of pods beside their number: restarts, metadata for a time, and distance between versions.

use jiff::Timestamp;
use reconcile_core::{kube_types::IntOrString, object::FieldError};
use serde_json::Value;

use super::plan::replicas;
use crate::api::rollout::{HASH_LABEL, PodMetadata, RolloutSpec};

/// The checked rules.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PodRules {
    /// Pods that are older than this are restarted.
    pub restart_at: Option<Timestamp>,
    /// Pods that a restart may make unavailable at the same time; at least 1.
    pub restart_limit: i32,
    /// Labels and annotations of the newest version while it is not the stable one.
    pub newest: PodMetadata,
    /// Labels and annotations of the stable version.
    pub stable: PodMetadata,
    /// How the newest version keeps away from nodes of the stable one.
    pub anti_affinity: Option<AntiAffinity>,
}

/// How strongly pods of the newest version avoid nodes with pods of the stable one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AntiAffinity {
    /// They are not scheduled there.
    Required,
    /// Other nodes score higher, with this weight from 1 to 100.
    Preferred(i32),
}

impl PodRules {
    /// Reads the rules of a spec for `replicas` pods.
    pub(super) fn of(spec: &RolloutSpec, replicas: i32) -> Result<Self, FieldError> {
        let share = IntOrString::from(replicas::DEFAULT_SHARE);
        let none = IntOrString::Int(0);
        let strategy = &spec.strategy;
        let (at, newest, stable, distance, (surge, unavailable)) =
            match (&strategy.canary, &strategy.blue_green) {
                (Some(canary), _) => (
                    "spec.strategy.canary",
                    ("canaryMetadata", &canary.canary_metadata),
                    ("stableMetadata", &canary.stable_metadata),
                    &canary.anti_affinity,
                    (
                        canary.max_surge.as_ref().unwrap_or(&share),
                        canary.max_unavailable.as_ref().unwrap_or(&share),
                    ),
                ),
                (None, Some(rules)) => (
                    "spec.strategy.blueGreen",
                    ("previewMetadata", &rules.preview_metadata),
                    ("activeMetadata", &rules.active_metadata),
                    &rules.anti_affinity,
                    (&none, rules.max_unavailable.as_ref().unwrap_or(&none)),
                ),
                (None, None) => return Ok(Self::default()),
            };
        let selected: Vec<&String> = spec
            .selector
            .iter()
            .flat_map(|selector| selector.match_labels.keys())
            .collect();
        let checked = |(field, metadata): (&str, &Option<PodMetadata>)| {
            let metadata = metadata.clone().unwrap_or_default();
            let taken = metadata
                .labels
                .keys()
                .find(|key| key.as_str() == HASH_LABEL || selected.contains(key));
            match taken {
                Some(key) => Err(FieldError::new(
                    format!("{at}.{field}.labels"),
                    format!(
                        "Invalid value: \"{key}\": the label is part of the selector; use another one"
                    ),
                )),
                None => Ok(metadata),
            }
        };
        Ok(Self {
            restart_at: spec.restart_at.as_ref().map(|at| at.0),
            restart_limit: replicas::bounds(replicas, surge, unavailable).1.max(1),
            newest: checked(newest)?,
            stable: checked(stable)?,
            anti_affinity: anti_affinity(&format!("{at}.antiAffinity"), distance.as_ref())?,
        })
    }

    /// True when a version gets labels or annotations of its own.
    pub(super) fn has_metadata(&self) -> bool {
        self.newest != PodMetadata::default() || self.stable != PodMetadata::default()
    }
}

fn anti_affinity(at: &str, given: Option<&Value>) -> Result<Option<AntiAffinity>, FieldError> {
    const REQUIRED: &str = "requiredDuringSchedulingIgnoredDuringExecution";
    const PREFERRED: &str = "preferredDuringSchedulingIgnoredDuringExecution";
    let Some(given) = given.filter(|given| !given.is_null()) else {
        return Ok(None);
    };
    let member = |name: &str| given.get(name).filter(|value| !value.is_null());
    match (member(REQUIRED), member(PREFERRED)) {
        (Some(_), None) => Ok(Some(AntiAffinity::Required)),
        (None, Some(preferred)) => {
            let weight = preferred["weight"]
                .as_i64()
                .and_then(|weight| i32::try_from(weight).ok());
            match weight.filter(|weight| (1..=100).contains(weight)) {
                Some(weight) => Ok(Some(AntiAffinity::Preferred(weight))),
                None => Err(FieldError::new(
                    format!("{at}.{PREFERRED}.weight"),
                    format!(
                        "Invalid value: {}: must be in the range 1-100",
                        preferred["weight"]
                    ),
                )),
            }
        }
        (None, None) => Ok(None),
        (Some(_), Some(_)) => Err(FieldError::new(
            at,
            "Invalid value: set one of the two kinds of anti-affinity",
        )),
    }
}
