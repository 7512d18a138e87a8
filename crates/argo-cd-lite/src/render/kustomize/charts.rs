//! Charts inside of kustomizations. The controller puts them where the program looks before it would download them.

use reconcile_core::credentials::redact_url;
use serde_json::Value;

use super::super::{Remotes, RenderError, renderer::Job, sandbox::Sandbox};
use crate::repo::{ChartRef, Found, SourceTree, clean, join};

/// Charts of one kustomization.
const MAX_CHARTS: usize = 50;
/// Folder of the charts when the kustomization names none.
const HOME: &str = "charts";

/// A kustomization that may have charts.
pub(super) struct Charts<'a> {
    pub(super) job: &'a Job<'a>,
    pub(super) sandbox: &'a Sandbox,
    pub(super) tree: &'a SourceTree,
    /// Folder of the sandbox with the tree.
    pub(super) prefix: &'a str,
    /// Folder of the kustomization below the root of the tree.
    pub(super) folder: &'a str,
    /// The file.
    pub(super) file: &'a str,
}

struct Chart<'a> {
    name: &'a str,
    version: &'a str,
    repository: &'a str,
}

impl Charts<'_> {
    /// The folder of the charts, when the kustomization names one.
    pub(super) fn home(kustomization: &Value) -> Option<&str> {
        kustomization["helmGlobals"]["chartHome"]
            .as_str()
            .filter(|home| !home.is_empty())
    }

    /// Puts the charts of a kustomization in place that are not in the repository.
    pub(super) fn place(&self, kustomization: &Value) -> Result<(), RenderError> {
        let home = Self::home(kustomization).unwrap_or(HOME);
        if home.starts_with('/') {
            return Err(self.refused("helmGlobals.chartHome must be relative"));
        }
        let charts = kustomization["helmCharts"].as_array();
        let charts = charts.map(Vec::as_slice).unwrap_or_default();
        if charts.len() > MAX_CHARTS {
            return Err(self.refused(&format!("helmCharts has more than {MAX_CHARTS} charts")));
        }
        for chart in charts {
            let text = |field: &str| chart[field].as_str().unwrap_or_default();
            self.place_one(
                home,
                &Chart {
                    name: text("name"),
                    version: text("version"),
                    repository: text("repo"),
                },
            )?;
        }
        Ok(())
    }

    fn refused(&self, reason: &str) -> RenderError {
        RenderError::File {
            path: self.file.to_owned(),
            reason: reason.to_owned(),
        }
    }

    fn place_one(&self, home: &str, chart: &Chart<'_>) -> Result<(), RenderError> {
        let plain = |text: &str| {
            !text.starts_with('.')
                && text
                    .chars()
                    .all(|c| c.is_ascii_alphanumeric() || "-_.+".contains(c))
        };
        if chart.name.is_empty() || !plain(chart.name) {
            return Err(self.refused(&format!(
                "helmCharts: {:?} is no name of a chart",
                chart.name
            )));
        }
        if chart.repository.is_empty() {
            // It has to be in the repository, which the program checks.
            return Ok(());
        }
        if !plain(chart.version) {
            return Err(self.refused(&format!(
                "helmCharts: the version {:?} of {:?} must be an exact one",
                chart.version, chart.name
            )));
        }
        // Where the program looks before it downloads.
        let place = if chart.version.is_empty() {
            join(home, chart.name)
        } else {
            format!("{home}/{}-{}/{}", chart.name, chart.version, chart.name)
        };
        let place = clean(&join(self.folder, &place))?;
        if self
            .tree
            .look(&place)?
            .as_ref()
            .is_some_and(Found::is_folder)
        {
            return Ok(());
        }
        let shown = redact_url(chart.repository);
        let refused = |reason: &str| {
            Err(self.refused(&format!(
                "helmCharts: the chart {:?} of {shown:?}: {reason}",
                chart.name
            )))
        };
        let Some(remotes) = self.job.remotes else {
            return refused("charts are not downloaded here: put it into the repository");
        };
        if let Some(refusal) = self.job.refusal(remotes, chart.repository) {
            return refused(&refusal.to_string());
        }
        self.download(remotes, chart, &place)
    }

    fn download(
        &self,
        remotes: &Remotes,
        chart: &Chart<'_>,
        place: &str,
    ) -> Result<(), RenderError> {
        let wanted = ChartRef {
            url: chart.repository,
            chart: chart.name,
            revision: if chart.version.is_empty() {
                "*"
            } else {
                chart.version
            },
        };
        let archive = remotes
            .open(&wanted)
            .map_err(|error| RenderError::Download {
                what: format!("the chart {:?}", chart.name),
                url: redact_url(chart.repository),
                error: Box::new(error),
            })?;
        let tree = archive.tree();
        let target = join(self.prefix, place);
        self.sandbox.copy(&tree, &tree.folder("")?, &target)?;
        Ok(())
    }
}
