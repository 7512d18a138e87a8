//! Sources of an Application: a place, a revision, and how manifests are made of what is there.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A Git repository, a revision and a folder; or a chart of a Helm repository.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ApplicationSource {
    /// URL of the repository.
    #[serde(rename = "repoURL")]
    pub repo_url: String,
    /// Folder below the root of the repository.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub path: String,
    /// Branch, tag, commit or version constraint; empty means `HEAD`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub target_revision: String,
    /// Prefix of tags that a version constraint looks at.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub tag_prefix: String,
    /// Chart of a Helm repository.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub chart: String,
    /// Name under which other sources read files of this one, as `$ref/path`.
    #[serde(rename = "ref", skip_serializing_if = "String::is_empty")]
    pub reference: String,
    /// Name of the source in a multi-source Application; without effect on a single one.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Options of plain manifests.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub directory: Option<DirectorySource>,
    /// Options of a Helm chart.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub helm: Option<HelmSource>,
    /// Options of a kustomization.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kustomize: Option<KustomizeSource>,
    /// A config management plugin; reported, and kept for `comparedTo`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plugin: Option<Value>,
}

impl ApplicationSource {
    /// The source for an archive that holds it: the root of a chart's archive is the chart, whatever `path` says.
    #[must_use]
    pub fn unpacked(&self) -> Self {
        let mut source = self.clone();
        if !source.chart.is_empty() {
            source.path.clear();
        }
        source
    }

    /// True when the source brings manifests, not only files for other sources.
    pub fn renders(&self) -> bool {
        self.reference.is_empty() || !self.path.is_empty() || !self.chart.is_empty()
    }
}

/// Options of a folder of plain manifests.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct DirectorySource {
    /// Also read sub-folders.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub recurse: bool,
    /// Glob of files to leave out; wins over `include`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub exclude: String,
    /// Glob of files to take.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub include: String,
    /// Read files whatever they are called.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub disable_extension_filter: bool,
    /// Jsonnet options.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jsonnet: Option<JsonnetSource>,
}

/// Options of Jsonnet files.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct JsonnetSource {
    /// External variables.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ext_vars: Vec<JsonnetVar>,
    /// Top-level arguments.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tlas: Vec<JsonnetVar>,
    /// Folders of libraries, below the root of the repository.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub libs: Vec<String>,
}

/// A variable of Jsonnet.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Deserialize, Serialize)]
#[serde(default)]
pub struct JsonnetVar {
    /// Name.
    pub name: String,
    /// Text, or an expression when `code` is set.
    pub value: String,
    /// The value is an expression.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub code: bool,
}

/// Options of a Helm chart.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
#[expect(clippy::struct_excessive_bools, reason = "the fields that the API has")]
pub struct HelmSource {
    /// Files of values, below the chart or, with `$ref/`, in another source.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub value_files: Vec<String>,
    /// Single values.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub parameters: Vec<HelmParameter>,
    /// Name of the release; that of the Application when empty.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub release_name: String,
    /// Values as YAML text.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub values: String,
    /// Single values that are the content of files.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub file_parameters: Vec<HelmFileParameter>,
    /// Major version of Helm; without effect.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub version: String,
    /// Send credentials to other hosts than that of the repository.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub pass_credentials: bool,
    /// Leave out files of values that do not exist.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub ignore_missing_value_files: bool,
    /// Leave out the definitions in the chart's `crds` folder.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub skip_crds: bool,
    /// Values as an object; counts instead of `values`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub values_object: Option<Value>,
    /// Namespace of the release; that of the destination when empty.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub namespace: String,
    /// Version of Kubernetes that the chart sees.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub kube_version: String,
    /// API versions that the chart sees.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub api_versions: Vec<String>,
    /// Do not check values by the chart's schema.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub skip_schema_validation: bool,
    /// Leave out the chart's tests.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub skip_tests: bool,
}

/// A single value.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct HelmParameter {
    /// Path of the value.
    pub name: String,
    /// The value.
    pub value: String,
    /// It is text, whatever it looks like.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub force_string: bool,
}

/// A single value that is the content of a file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default)]
pub struct HelmFileParameter {
    /// Path of the value.
    pub name: String,
    /// The file, as in `valueFiles`.
    pub path: String,
}

/// Options of a kustomization.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
#[expect(clippy::struct_excessive_bools, reason = "the fields that the API has")]
pub struct KustomizeSource {
    /// Prefix of all names.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name_prefix: String,
    /// Suffix of all names.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name_suffix: String,
    /// Images in place of others, as `[old=]new[:tag|@digest]`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub images: Vec<String>,
    /// Labels of all objects.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub common_labels: BTreeMap<String, String>,
    /// Name of a registered version of Kustomize.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub version: String,
    /// Annotations of all objects.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub common_annotations: BTreeMap<String, String>,
    /// Replace labels that are there already.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub force_common_labels: bool,
    /// Replace annotations that are there already.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub force_common_annotations: bool,
    /// Namespace of all objects.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub namespace: String,
    /// Substitute variables in annotations.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub common_annotations_envsubst: bool,
    /// Replicas of workloads.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub replicas: Vec<KustomizeReplica>,
    /// Patches.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub patches: Vec<KustomizePatch>,
    /// Components, relative to the kustomization.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub components: Vec<String>,
    /// Leave out components that do not exist.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub ignore_missing_components: bool,
    /// Do not add labels to selectors and templates.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub label_without_selector: bool,
    /// Add labels to templates although not to selectors.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub label_include_templates: bool,
    /// Version of Kubernetes for charts inside of kustomizations.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub kube_version: String,
    /// API versions for charts inside of kustomizations.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub api_versions: Vec<String>,
}

/// Replicas of workloads of one name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default)]
pub struct KustomizeReplica {
    /// Name of the workloads.
    pub name: String,
    /// A number, or a text that is one.
    pub count: Value,
}

/// A patch.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default)]
pub struct KustomizePatch {
    /// File of the patch.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub path: String,
    /// The patch itself.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub patch: String,
    /// The objects to patch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<Value>,
    /// Options of the patch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub options: Option<Value>,
}

/// What a sync or a comparison was about: one revision, or one for each of several sources.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Revisions {
    /// Of the only source.
    One(String),
    /// Of all sources, in their order.
    Several(Vec<String>),
}

impl Revisions {
    /// From the two fields of the API.
    pub fn of_fields(revision: &str, revisions: &[String]) -> Self {
        if revisions.is_empty() {
            Self::One(revision.to_owned())
        } else {
            Self::Several(revisions.to_vec())
        }
    }

    /// The revision of the only source; empty for several.
    pub fn one(&self) -> String {
        match self {
            Self::One(revision) => revision.clone(),
            Self::Several(_) => String::new(),
        }
    }

    /// The revisions of several sources; empty for one.
    pub fn several(&self) -> Vec<String> {
        match self {
            Self::One(_) => Vec::new(),
            Self::Several(revisions) => revisions.clone(),
        }
    }

    /// The revision of the source at `index`.
    pub fn get(&self, index: usize) -> Option<&str> {
        let revision = match self {
            Self::One(revision) => (index == 0).then_some(revision)?,
            Self::Several(revisions) => revisions.get(index)?,
        };
        (!revision.is_empty()).then_some(revision)
    }

    /// True when no revision is named.
    pub fn is_empty(&self) -> bool {
        match self {
            Self::One(revision) => revision.is_empty(),
            Self::Several(revisions) => revisions.iter().all(String::is_empty),
        }
    }
}

impl std::fmt::Display for Revisions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::One(revision) => f.write_str(revision),
            Self::Several(revisions) => f.write_str(&revisions.join(", ")),
        }
    }
}
