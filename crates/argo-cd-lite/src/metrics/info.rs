//! `argocd_app_info`.

use std::collections::HashMap;

use super::OwnApplications;
use crate::clusters::Clusters;
use prometheus::{
    Opts,
    core::{Collector, Desc},
    proto::MetricFamily,
};

const INFO_LABELS: &[&str] = &[
    "namespace",
    "name",
    "project",
    "autosync_enabled",
    "repo",
    "dest_server",
    "dest_namespace",
    "sync_status",
    "health_status",
    "operation",
];

/// `argocd_app_info`, read from the Applications at each scrape.
pub struct AppInfo {
    apps: OwnApplications,
    clusters: Clusters,
    desc: Desc,
}

impl AppInfo {
    /// A collector over `apps`.
    pub fn new(apps: OwnApplications, clusters: Clusters) -> Result<Self, prometheus::Error> {
        let labels = INFO_LABELS.iter().map(ToString::to_string).collect();
        let desc = Desc::new(
            "argocd_app_info".to_owned(),
            "Information about application.".to_owned(),
            labels,
            HashMap::new(),
        )?;
        Ok(Self {
            apps,
            clusters,
            desc,
        })
    }
}

impl Collector for AppInfo {
    fn desc(&self) -> Vec<&Desc> {
        vec![&self.desc]
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let Ok(gauge) = prometheus::IntGaugeVec::new(
            Opts::new("argocd_app_info", "Information about application."),
            INFO_LABELS,
        ) else {
            return Vec::new();
        };
        self.apps.each(|key, root| {
            let spec = root.parse_spec().unwrap_or_default();
            let status = root.parse_status().unwrap_or_default();
            let sync = status
                .sync
                .map_or_else(|| "Unknown".to_owned(), |sync| sync.status);
            let health = status
                .health
                .map_or_else(|| "Unknown".to_owned(), |health| health.status);
            let operation = match (root.is_deleting(), root.request.is_some()) {
                (true, _) => "delete",
                (_, true) => "sync",
                _ => "",
            };
            let repo = spec
                .sources()
                .first()
                .map(|source| crate::repo::normalize(&source.repo_url))
                .unwrap_or_default();
            let server = self.clusters.server_of(&spec.destination);
            let auto = if spec.automated().is_some() {
                "true"
            } else {
                "false"
            };
            gauge
                .with_label_values(&[
                    key.namespace.as_str(),
                    key.name.as_str(),
                    spec.project_name(),
                    auto,
                    repo.as_str(),
                    server.as_str(),
                    spec.destination.namespace.as_str(),
                    sync.as_str(),
                    health.as_str(),
                    operation,
                ])
                .set(1);
        });
        gauge.collect()
    }
}
