//! The state of a cluster.

use serde_json::{Value, json};

use crate::{
    app::{Context, destination_of},
    clusters::ConnectionState,
};

/// What is known of the cluster with this URL; `None` when there is no such cluster.
pub(super) fn info(context: &Context, server: &str) -> Option<Value> {
    let reports = context.clusters.reports();
    let report = reports
        .into_iter()
        .find(|report| &*report.destination.server == server)?;
    let now = context
        .clock
        .now()
        .strftime("%Y-%m-%dT%H:%M:%SZ")
        .to_string();
    let (status, message, version) = match &report.connection {
        None => (
            "Unknown",
            "Cluster has no applications and is not being monitored.",
            "",
        ),
        Some(ConnectionState::Connecting) => ("Unknown", "the cluster has not answered yet", ""),
        Some(ConnectionState::Connected { version }) => ("Successful", "", version.as_str()),
        Some(ConnectionState::Failed { message }) => ("Failed", message.as_str(), ""),
    };
    let mut applications = 0;
    context.roots.each(|_, root| {
        if context.clusters.server_of(&destination_of(root)) == server {
            applications += 1;
        }
    });
    let open = context.clusters.get(&report.destination).ok();
    let versions = open.map(|cluster| cluster.discovery.api_versions());
    let mut info = json!({
        "connectionState": {"status": status, "message": message, "attemptedAt": now},
        "cacheInfo": {"resourcesCount": report.objects, "apisCount": report.kinds},
        "applicationsCount": applications,
    });
    if !version.is_empty() {
        info["serverVersion"] = version.trim_start_matches('v').into();
        // The watches keep it as it is now.
        info["cacheInfo"]["lastCacheSyncTime"] = now.into();
    }
    if let Some(versions) = versions.filter(|versions| !versions.is_empty()) {
        info["apiVersions"] = versions.into();
    }
    Some(info)
}
