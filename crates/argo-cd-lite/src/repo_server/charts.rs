//! Charts and artifacts of repositories.

use reconcile_core::yaml;
use serde_json::Value;

use super::{
    error::CallError,
    messages::{
        ChartDetails, HelmChart, HelmChartsRequest, HelmChartsResponse, OciMetadata,
        RepoServerRevisionChartDetailsRequest,
    },
    reach::{Age, Offered, Repositories},
};
use crate::api::ApplicationSource;

/// Bytes of the description of a chart.
const MAX_CHART: u64 = 1 << 20;

impl Repositories {
    /// The charts of a Helm repository with their versions.
    pub(super) async fn helm_charts(
        &self,
        request: HelmChartsRequest,
    ) -> Result<HelmChartsResponse, CallError> {
        let repo = request.repo.ok_or_else(|| CallError::missing("repo"))?;
        let reach = self.reach(&[&repo], Offered::default()).await?;
        let index = reach.charts.index(&repo.repo, false).await?;
        let items = index.charts().map(|(name, versions)| HelmChart {
            name: name.to_owned(),
            versions: versions.map(str::to_owned).collect(),
        });
        Ok(HelmChartsResponse {
            items: items.collect(),
        })
    }

    /// Description, home and maintainers of a chart.
    pub(super) async fn chart_details(
        &self,
        request: RepoServerRevisionChartDetailsRequest,
    ) -> Result<ChartDetails, CallError> {
        let repo = request.repo.ok_or_else(|| CallError::missing("repo"))?;
        if request.name.is_empty() {
            return Err(CallError::missing("name"));
        }
        let reach = self.reach(&[&repo], Offered::default()).await?;
        let source = ApplicationSource {
            repo_url: repo.repo,
            chart: request.name,
            target_revision: request.revision,
            ..ApplicationSource::default()
        };
        let open = reach.open(&source, "", Age::Recent).await?;
        let read = move |_: &_| open.files.tree()?.file("Chart.yaml", MAX_CHART);
        let text = reach.hub.read(read).await??.unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let chart = yaml::value(&text).map_err(|error| CallError::Invalid(error.to_string()))?;
        Ok(described(&chart))
    }

    /// What the author of an artifact says of it.
    pub(super) async fn oci_metadata(
        &self,
        request: RepoServerRevisionChartDetailsRequest,
    ) -> Result<OciMetadata, CallError> {
        let repo = request.repo.ok_or_else(|| CallError::missing("repo"))?;
        if request.revision.is_empty() {
            return Err(CallError::missing("revision"));
        }
        let reach = self.reach(&[&repo], Offered::default()).await?;
        let annotations = reach.charts.annotations(&repo.repo, &request.revision);
        let mut annotations = annotations.await?;
        let mut take = |name: &str| {
            let name = format!("org.opencontainers.image.{name}");
            annotations.remove(&name).unwrap_or_default()
        };
        Ok(OciMetadata {
            created_at: take("created"),
            authors: take("authors"),
            docs_url: take("documentation"),
            source_url: take("source"),
            version: take("version"),
            description: take("description"),
        })
    }
}

fn described(chart: &Value) -> ChartDetails {
    let text = |value: &Value| value.as_str().unwrap_or_default().trim().to_owned();
    let maintainers = chart["maintainers"].as_array().into_iter().flatten();
    let maintainers = maintainers.map(|one| match (text(&one["name"]), text(&one["email"])) {
        (name, email) if email.is_empty() => name,
        (name, email) => format!("{name} <{email}>"),
    });
    ChartDetails {
        description: text(&chart["description"]),
        home: text(&chart["home"]),
        maintainers: maintainers.collect(),
    }
}
