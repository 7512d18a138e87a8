//! What works on files instead of a cluster, with the same planner.

pub mod analyze;
pub use reconcile_core::manifests as files;
pub mod lint;
pub mod plan;
pub mod simulate;

use kube::api::ObjectMeta;
use reconcile_core::object::{ObjectKey, Root};
use serde_json::Value;

pub use plan::explain;

use crate::{analysis::RunView, rollout::Sources};

/// The object with a namespace; objects of files often have none.
fn placed(mut object: Value) -> Value {
    let cluster_wide = object["kind"] == "ClusterAnalysisTemplate";
    if !cluster_wide
        && object["metadata"]["namespace"]
            .as_str()
            .is_none_or(str::is_empty)
    {
        object["metadata"]["namespace"] = "default".into();
    }
    object
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
