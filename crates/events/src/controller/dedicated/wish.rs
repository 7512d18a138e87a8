//! Whether an object asks for a pod of its own.

use reconcile_core::{
    fields::Finding,
    object::{Kind, Root},
};
use serde::Deserialize;
use serde_json::{Map, Value};

/// Annotation: `true` asks for a pod, `false` keeps the object with the others whatever its template says.
pub const DEDICATED: &str = "events.argoproj.io/dedicated";

/// Fields of `spec.template` that a pod of its own takes over, which ask for one.
const HEEDED: [&str; 4] = [
    "spec.template.nodeSelector",
    "spec.template.tolerations",
    "spec.template.affinity",
    "spec.template.container.resources",
];

/// Where a pod is placed and what it may use, as the manifest says.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PodWish {
    /// Labels of nodes.
    pub node_selector: Option<Map<String, Value>>,
    /// Taints that it tolerates.
    pub tolerations: Option<Vec<Value>>,
    /// Nodes and pods that it is drawn to.
    pub affinity: Option<Map<String, Value>>,
    container: Container,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
struct Container {
    resources: Option<Map<String, Value>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Spec {
    template: Option<PodWish>,
}

impl PodWish {
    /// What the object asks for; `None` when it asks for no pod, or in a form that nobody can read.
    pub fn of<K: Kind>(root: &Root<K>) -> Option<Self> {
        let asked = root.annotation(DEDICATED);
        if asked == Some("false") {
            return None;
        }
        let spec = root.spec.as_deref()?;
        let spec: Spec = serde_json::from_str(spec.get()).ok()?;
        let wish = spec.template.unwrap_or_default();
        (asked == Some("true") || !wish.is_empty()).then_some(wish)
    }

    /// Requests and limits.
    pub fn resources(&self) -> Option<&Map<String, Value>> {
        self.container
            .resources
            .as_ref()
            .filter(|map| !map.is_empty())
    }

    fn is_empty(&self) -> bool {
        self.node_selector.as_ref().is_none_or(Map::is_empty)
            && self.tolerations.as_ref().is_none_or(Vec::is_empty)
            && self.affinity.as_ref().is_none_or(Map::is_empty)
            && self.resources().is_none()
    }
}

/// True for a field that has an effect in a pod of its own.
pub(in crate::controller) fn is_heeded(finding: &Finding) -> bool {
    HEEDED.iter().any(|field| {
        let rest = finding.path.strip_prefix(*field);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
    })
}
