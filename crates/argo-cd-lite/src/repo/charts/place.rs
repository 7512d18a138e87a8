//! Where charts are: a Helm repository or an OCI registry.

use super::ChartError;
use crate::{
    api::ApplicationSource,
    repo::{RepositoryKind, ambiguity, host_and_path, normalize, registry_url::oci_url},
};

/// The repository of a chart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// Helm or OCI.
    pub(super) kind: RepositoryKind,
    /// URL of the repository, without its user; of a registry as `oci://host/path`.
    pub(super) url: String,
    /// The chart, which has a list of versions of its own in a registry; empty for a repository with an index.
    pub(super) chart: String,
}

impl Place {
    /// The place of `chart` in the repository `url`.
    pub(super) fn of(url: &str, chart: &str) -> Result<Self, ChartError> {
        let refused = || ChartError::Url(reconcile_core::credentials::redact_url(url));
        if ambiguity(url).is_some() {
            return Err(refused());
        }
        let is_http = |url: &str| {
            let url = url.to_ascii_lowercase();
            url.starts_with("http://") || url.starts_with("https://")
        };
        if is_http(url.trim()) {
            return Ok(Self {
                kind: RepositoryKind::Helm,
                url: url.trim().trim_end_matches('/').to_owned(),
                chart: String::new(),
            });
        }
        let registry = oci_url(url).ok_or_else(refused)?;
        let named = |part: &str| {
            let fine = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
            !part.is_empty() && part.chars().all(fine) && part != ".."
        };
        if !chart.split('/').all(named) {
            return Err(ChartError::NoChart(chart.to_owned()));
        }
        Ok(Self {
            kind: RepositoryKind::Oci,
            url: registry,
            chart: chart.to_owned(),
        })
    }

    /// The place of an artifact whose files are a source.
    pub(super) fn of_artifact(url: &str) -> Result<Self, ChartError> {
        let refused = || ChartError::Url(reconcile_core::credentials::redact_url(url));
        if ambiguity(url).is_some() {
            return Err(refused());
        }
        let url = oci_url(url).filter(|url| url.matches('/').count() > 2);
        Ok(Self {
            kind: RepositoryKind::Oci,
            url: url.ok_or_else(refused)?,
            chart: String::new(),
        })
    }

    /// True for the place of an artifact, which is no chart by its name.
    pub(super) fn is_artifact(&self) -> bool {
        self.kind == RepositoryKind::Oci && self.chart.is_empty()
    }

    /// Equal for spellings of one place.
    pub(super) fn key(&self) -> String {
        format!("{} {}", normalize(&self.url), self.chart)
    }

    /// The repository of the registry that has the chart's versions.
    pub(super) fn oci_repository(&self) -> String {
        if self.is_artifact() {
            return self.url.clone();
        }
        format!("{}/{}", self.url, self.chart)
    }
}

/// Host and path of the repository in which a registry has a chart; `None` for a chart of a Helm repository.
pub fn chart_repository(url: &str, chart: &str) -> Option<String> {
    let place = Place::of(url, chart).ok()?;
    (place.kind == RepositoryKind::Oci).then(|| host_and_path(&place.oci_repository()))
}

/// True for a source whose files are an archive of a Helm repository or a registry.
pub fn is_packed(source: &ApplicationSource) -> bool {
    !source.chart.is_empty() || is_artifact_url(&source.repo_url)
}

/// True for the URL of an artifact, when no chart is named.
fn is_artifact_url(url: &str) -> bool {
    let scheme = url.trim().split_once("://").map(|(scheme, _)| scheme);
    scheme.is_some_and(|scheme| scheme.eq_ignore_ascii_case("oci"))
}

/// What is wrong with the place of a chart or artifact; `None` when it can be asked.
pub fn packed_problem(source: &ApplicationSource) -> Option<String> {
    if source.target_revision.trim().is_empty() {
        return Some(
            "spec.source.targetRevision is required with charts and artifacts: a version, a tag or a constraint"
                .to_owned(),
        );
    }
    if !source.reference.is_empty() {
        return Some(
            "spec.source.ref has no meaning with charts and artifacts: values come from Git repositories"
                .to_owned(),
        );
    }
    let place = if source.chart.is_empty() {
        if source.path.is_empty() {
            return Some("spec.source.path is required; . is the root of the artifact".to_owned());
        }
        Place::of_artifact(&source.repo_url)
    } else {
        Place::of(&source.repo_url, &source.chart)
    };
    place
        .err()
        .map(|error| format!("spec.source.repoURL: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chart_has_a_place_when_its_name_is_plain() {
        for chart in ["../x", "a//b", "", "a?b"] {
            assert!(
                Place::of("registry.example.com/charts", chart).is_err(),
                "{chart}"
            );
        }
        let place = Place::of("https://charts.example.com/stable/", "web").expect("a place");
        assert_eq!(place.url, "https://charts.example.com/stable");
        assert_eq!(place.kind, RepositoryKind::Helm);
        assert_eq!(
            chart_repository("https://charts.example.com/stable", "web"),
            None
        );
        let of_registry = chart_repository("Registry.example.com/charts/", "web");
        assert_eq!(
            of_registry.as_deref(),
            Some("registry.example.com/charts/web")
        );
    }
}
