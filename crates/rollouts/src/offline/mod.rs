//! What works on files instead of a cluster, with the same planner.

pub mod analyze;
pub use reconcile_core::manifests as files;
pub(crate) mod explanation;
pub mod lint;
pub mod plan;
pub mod simulate;

use serde_json::Value;

pub use plan::explain;

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
