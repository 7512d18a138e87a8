//! The charts of a repository and their versions.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::ChartError;
use crate::repo::semver::Constraint;

/// Bytes of an index. The largest public ones have some 30 MiB.
pub(super) const MAX_INDEX_BYTES: u64 = 64 * 1024 * 1024;
/// Events of the YAML parser for one index.
const MAX_EVENTS: usize = 20_000_000;

/// The charts of a repository.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct ChartIndex {
    entries: BTreeMap<String, Option<Vec<Option<ChartVersion>>>>,
}

/// A version of a chart.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct ChartVersion {
    /// The version as the chart spells it.
    pub version: String,
    /// Where the archive is; relative ones are relative to the repository.
    pub urls: Vec<String>,
    /// SHA-256 of the archive, with or without `sha256:` before it; empty when the index has none.
    pub digest: Option<String>,
}

impl ChartIndex {
    /// Reads an `index.yaml`. Blocks.
    pub fn parse(text: &[u8]) -> Result<Self, ChartError> {
        let malformed = |reason: String| ChartError::Malformed {
            what: "index.yaml",
            reason,
        };
        if text.starts_with(b"{") {
            return serde_json::from_slice(text).map_err(|error| malformed(error.to_string()));
        }
        let text =
            std::str::from_utf8(text).map_err(|_| malformed("it is not UTF-8 text".to_owned()))?;
        let options = serde_saphyr::options! {
            budget: serde_saphyr::budget! {
                max_events: MAX_EVENTS,
                max_nodes: MAX_EVENTS,
                max_total_scalar_bytes: usize::try_from(MAX_INDEX_BYTES).unwrap_or(usize::MAX),
                max_aliases: 0,
                max_anchors: 0,
            },
            with_snippet: false,
        };
        serde_saphyr::from_str_with_options(text, options)
            .map_err(|error| malformed(error.to_string().replace('\n', " ")))
    }

    /// An index with one chart and these versions.
    pub(super) fn of_versions(chart: &str, versions: impl Iterator<Item = String>) -> Self {
        let versions = versions.map(|version| {
            Some(ChartVersion {
                version,
                ..ChartVersion::default()
            })
        });
        Self {
            entries: BTreeMap::from([(chart.to_owned(), Some(versions.collect()))]),
        }
    }

    /// The charts with their versions, in the order of the index.
    pub fn charts(&self) -> impl Iterator<Item = (&str, impl Iterator<Item = &str>)> {
        self.entries.iter().map(|(name, versions)| {
            let versions = versions.iter().flatten().flatten();
            (name.as_str(), versions.map(|one| one.version.as_str()))
        })
    }

    /// The version of a chart that a revision means: the one of this text, else the highest that it allows as a
    /// constraint. `1.2` stands for the versions that begin so, as `helm` has it.
    pub fn select(&self, chart: &str, revision: &str) -> Result<&ChartVersion, ChartError> {
        let versions = self.entries.get(chart).and_then(Option::as_ref);
        let versions = versions.ok_or_else(|| ChartError::NoChart(chart.to_owned()))?;
        let versions = || versions.iter().flatten();
        if let Some(exact) = versions().find(|one| one.version == revision) {
            return Ok(exact);
        }
        let constraint =
            Constraint::parse(revision).or_else(|| Constraint::parse(&format!("={revision}")));
        let highest = constraint
            .as_ref()
            .and_then(|one| one.highest(versions().map(|version| version.version.as_str())));
        highest
            .and_then(|found| versions().find(|one| one.version == found))
            .ok_or_else(|| ChartError::NoVersion {
                chart: chart.to_owned(),
                version: revision.to_owned(),
            })
    }
}

/// True when a revision may mean another version tomorrow.
pub(super) fn moves(revision: &str) -> bool {
    let numbers = revision.split(['-', '+']).next().unwrap_or_default();
    Constraint::parse(revision).is_some() || numbers.split('.').count() < 3
}

#[cfg(test)]
mod tests {
    use super::*;

    const INDEX: &str = r#"
apiVersion: v1
entries:
  web:
  - {version: 1.3.0-rc.1, urls: [web-1.3.0-rc.1.tgz]}
  - {version: v1.2.9, urls: [web-1.2.9.tgz], digest: abc, dependencies: [{name: x}]}
  - {version: "1.2.10", urls: ["https://cdn/web-1.2.10.tgz"]}
  - {version: 1.10, urls: []}
  -
  none:
generated: "2026-01-01T00:00:00Z"
"#;

    #[test]
    fn a_revision_means_one_version() {
        let index = ChartIndex::parse(INDEX.as_bytes()).expect("an index");
        let found = |revision: &str| {
            let version = index.select("web", revision);
            version.map(|version| version.version.clone())
        };
        for (revision, expected) in [
            ("1.2.10", "1.2.10"),
            ("1.2.9", "v1.2.9"),
            ("1.2", "1.2.10"),
            ("~1.2.0", "1.2.10"),
            ("1.3.0-rc.1", "1.3.0-rc.1"),
            ("*", "1.10"),
            ("<1.2.10", "v1.2.9"),
        ] {
            assert_eq!(found(revision).as_deref(), Ok(expected), "{revision}");
        }
        for revision in ["2.x", "1.2.11", "latest", ""] {
            assert!(found(revision).is_err(), "{revision}");
        }
        let missing = index.select("none", "1.0.0").expect_err("no versions");
        assert_eq!(missing, ChartError::NoChart("none".to_owned()));
        assert!(moves("1.x") && moves("1.2") && moves("*"));
        assert!(!moves("1.2.3") && !moves("v1.2.3-rc.1"));
    }

    #[test]
    fn a_hostile_index_is_an_error() {
        let bomb = "a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\nentries: {}\n";
        let deep = format!("entries: {}", "[".repeat(100_000));
        for text in [bomb, &deep, "entries: 5", "entries: {web: [{version: [}]}"] {
            let error = ChartIndex::parse(text.as_bytes()).expect_err("malformed");
            assert!(error.to_string().len() < 600, "{error}");
        }
        assert!(ChartIndex::parse(br#"{"entries": {"a": [{"version": "1.0.0"}]}}"#).is_ok());
    }
}
