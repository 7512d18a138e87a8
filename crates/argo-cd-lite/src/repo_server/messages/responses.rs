//! What callers are answered.

use std::collections::BTreeMap;

use super::{HelmFileParameter, HelmParameter};

/// A time.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub struct Time {
    /// Seconds since 1970.
    #[prost(int64, tag = "1")]
    pub seconds: i64,
    /// Nanoseconds.
    #[prost(int32, tag = "2")]
    pub nanos: i32,
}

/// Whether a service is served.
#[derive(Clone, PartialEq, prost::Message)]
pub struct HealthCheckResponse {
    /// 1 when it is.
    #[prost(int32, tag = "1")]
    pub status: i32,
}

/// Manifests as JSON texts.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ManifestResponse {
    #[prost(string, repeated, tag = "1")]
    pub manifests: Vec<String>,
    #[prost(string, tag = "2")]
    pub namespace: String,
    #[prost(string, tag = "3")]
    pub server: String,
    #[prost(string, tag = "4")]
    pub revision: String,
    #[prost(string, tag = "6")]
    pub source_type: String,
    #[prost(string, tag = "7")]
    pub verify_result: String,
    #[prost(string, repeated, tag = "8")]
    pub commands: Vec<String>,
}

/// The repository answers.
#[derive(Clone, PartialEq, prost::Message)]
pub struct TestRepositoryResponse {
    #[prost(bool, tag = "1")]
    pub verified_repository: bool,
}

/// A commit or version.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ResolveRevisionResponse {
    #[prost(string, tag = "1")]
    pub revision: String,
    #[prost(string, tag = "2")]
    pub ambiguous_revision: String,
}

/// Branches and tags.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Refs {
    #[prost(string, repeated, tag = "1")]
    pub branches: Vec<String>,
    #[prost(string, repeated, tag = "2")]
    pub tags: Vec<String>,
}

/// Types of sources by folder.
#[derive(Clone, PartialEq, prost::Message)]
pub struct AppList {
    #[prost(btree_map = "string, string", tag = "1")]
    pub apps: BTreeMap<String, String>,
}

/// Plugins; there are none.
#[derive(Clone, PartialEq, prost::Message)]
pub struct PluginList {
    #[prost(message, repeated, tag = "1")]
    pub items: Vec<PluginInfo>,
}

/// A plugin.
#[derive(Clone, PartialEq, prost::Message)]
pub struct PluginInfo {
    #[prost(string, tag = "1")]
    pub name: String,
}

/// The options of a source.
#[derive(Clone, PartialEq, prost::Message)]
pub struct RepoAppDetailsResponse {
    #[prost(string, tag = "1")]
    pub type_: String,
    #[prost(message, optional, tag = "3")]
    pub helm: Option<HelmAppSpec>,
    #[prost(message, optional, tag = "4")]
    pub kustomize: Option<KustomizeAppSpec>,
    #[prost(message, optional, tag = "5")]
    pub directory: Option<DirectoryAppSpec>,
}

/// Values and parameters of a chart.
#[derive(Clone, PartialEq, prost::Message)]
pub struct HelmAppSpec {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(string, repeated, tag = "3")]
    pub value_files: Vec<String>,
    #[prost(message, repeated, tag = "4")]
    pub parameters: Vec<HelmParameter>,
    #[prost(string, tag = "5")]
    pub values: String,
    #[prost(message, repeated, tag = "6")]
    pub file_parameters: Vec<HelmFileParameter>,
}

/// Images of a kustomization.
#[derive(Clone, PartialEq, prost::Message)]
pub struct KustomizeAppSpec {
    #[prost(string, repeated, tag = "3")]
    pub images: Vec<String>,
}

/// A folder of plain manifests has no options to choose from.
#[derive(Clone, PartialEq, prost::Message)]
pub struct DirectoryAppSpec {}

/// Author, date and message of a commit.
#[derive(Clone, PartialEq, prost::Message)]
pub struct RevisionMetadata {
    #[prost(string, tag = "1")]
    pub author: String,
    #[prost(message, optional, tag = "2")]
    pub date: Option<Time>,
    #[prost(string, repeated, tag = "3")]
    pub tags: Vec<String>,
    #[prost(string, tag = "4")]
    pub message: String,
    #[prost(string, tag = "5")]
    pub signature_info: String,
}

/// The description of a chart.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ChartDetails {
    #[prost(string, tag = "1")]
    pub description: String,
    #[prost(string, tag = "2")]
    pub home: String,
    #[prost(string, repeated, tag = "3")]
    pub maintainers: Vec<String>,
}

/// What the author of an artifact says of it.
#[derive(Clone, PartialEq, prost::Message)]
pub struct OciMetadata {
    #[prost(string, tag = "1")]
    pub created_at: String,
    #[prost(string, tag = "2")]
    pub authors: String,
    #[prost(string, tag = "4")]
    pub docs_url: String,
    #[prost(string, tag = "5")]
    pub source_url: String,
    #[prost(string, tag = "6")]
    pub version: String,
    #[prost(string, tag = "7")]
    pub description: String,
}

/// Charts of a repository.
#[derive(Clone, PartialEq, prost::Message)]
pub struct HelmChartsResponse {
    #[prost(message, repeated, tag = "1")]
    pub items: Vec<HelmChart>,
}

/// A chart and its versions.
#[derive(Clone, PartialEq, prost::Message)]
pub struct HelmChart {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(string, repeated, tag = "2")]
    pub versions: Vec<String>,
}

/// Contents by path.
#[derive(Clone, PartialEq, prost::Message)]
pub struct GitFilesResponse {
    #[prost(btree_map = "string, bytes", tag = "1")]
    pub map: BTreeMap<String, Vec<u8>>,
}

/// Folders.
#[derive(Clone, PartialEq, prost::Message)]
pub struct GitDirectoriesResponse {
    #[prost(string, repeated, tag = "1")]
    pub paths: Vec<String>,
}

/// Contents of an artifact by path.
#[derive(Clone, PartialEq, prost::Message)]
pub struct OciFilesResponse {
    #[prost(btree_map = "string, bytes", tag = "1")]
    pub files: BTreeMap<String, Vec<u8>>,
}

/// Folders of an artifact.
#[derive(Clone, PartialEq, prost::Message)]
pub struct OciDirectoriesResponse {
    #[prost(string, repeated, tag = "1")]
    pub paths: Vec<String>,
}

/// Whether paths changed, and the commit.
#[derive(Clone, PartialEq, prost::Message)]
pub struct UpdateRevisionForPathsResponse {
    #[prost(bool, tag = "1")]
    pub changes: bool,
    #[prost(string, tag = "2")]
    pub revision: String,
}
