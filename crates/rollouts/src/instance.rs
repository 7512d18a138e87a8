//! Which objects are those of this controller, where several share a cluster (`--instance-id`).

use reconcile_core::watch::WatchConfig;

use crate::api::rollout::INSTANCE_ID;

/// The objects of an instance: those with its label, or those without the label when `instance_id` is empty.
pub(crate) fn objects(instance_id: &str) -> WatchConfig {
    let labels = if instance_id.is_empty() {
        format!("!{INSTANCE_ID}")
    } else {
        format!("{INSTANCE_ID}={instance_id}")
    };
    WatchConfig {
        labels: Some(labels),
        fields: None,
    }
}
