//! What callers ask for.

use std::collections::BTreeMap;

use super::{ApplicationSource, RefTarget, RepoCreds, Repository};

/// Nothing.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Empty {}

/// Asks whether a service is served.
#[derive(Clone, PartialEq, prost::Message)]
pub struct HealthCheckRequest {
    /// Name of the service; empty for all.
    #[prost(string, tag = "1")]
    pub service: String,
}

/// A source to render.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ManifestRequest {
    #[prost(message, optional, tag = "1")]
    pub repo: Option<Repository>,
    #[prost(string, tag = "2")]
    pub revision: String,
    #[prost(bool, tag = "3")]
    pub no_cache: bool,
    #[prost(string, tag = "5")]
    pub app_name: String,
    #[prost(string, tag = "8")]
    pub namespace: String,
    #[prost(message, optional, tag = "10")]
    pub application_source: Option<ApplicationSource>,
    #[prost(message, repeated, tag = "11")]
    pub repos: Vec<Repository>,
    #[prost(string, tag = "14")]
    pub kube_version: String,
    #[prost(string, repeated, tag = "15")]
    pub api_versions: Vec<String>,
    #[prost(bool, tag = "16")]
    pub verify_signature: bool,
    #[prost(message, repeated, tag = "17")]
    pub helm_repo_creds: Vec<RepoCreds>,
    #[prost(bool, tag = "18")]
    pub no_revision_cache: bool,
    #[prost(bool, tag = "22")]
    pub has_multiple_sources: bool,
    #[prost(btree_map = "string, message", tag = "23")]
    pub ref_sources: BTreeMap<String, RefTarget>,
    #[prost(string, tag = "25")]
    pub project_name: String,
}

/// One part of a source to render whose files are sent along: first the request, then the checksum, then the archive.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ManifestRequestWithFiles {
    #[prost(message, optional, tag = "1")]
    pub request: Option<ManifestRequest>,
    #[prost(message, optional, tag = "2")]
    pub metadata: Option<ManifestFileMetadata>,
    #[prost(message, optional, tag = "3")]
    pub chunk: Option<ManifestFileChunk>,
}

/// What the archive is.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ManifestFileMetadata {
    /// SHA-256 in hexadecimal digits.
    #[prost(string, tag = "1")]
    pub checksum: String,
}

/// A piece of the archive.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ManifestFileChunk {
    #[prost(bytes = "vec", tag = "1")]
    pub chunk: Vec<u8>,
}

/// A repository to reach.
#[derive(Clone, PartialEq, prost::Message)]
pub struct TestRepositoryRequest {
    #[prost(message, optional, tag = "1")]
    pub repo: Option<Repository>,
}

/// A revision to resolve.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ResolveRevisionRequest {
    #[prost(message, optional, tag = "1")]
    pub repo: Option<Repository>,
    #[prost(message, optional, tag = "2")]
    pub app: Option<Application>,
    #[prost(string, tag = "3")]
    pub ambiguous_revision: String,
    #[prost(int64, tag = "4")]
    pub source_index: i64,
    #[prost(bool, tag = "5")]
    pub no_revision_cache: bool,
}

/// An Application, as far as it matters here.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Application {
    #[prost(message, optional, tag = "2")]
    pub spec: Option<ApplicationSpec>,
}

/// The spec of an Application, as far as it matters here.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ApplicationSpec {
    #[prost(message, optional, tag = "1")]
    pub source: Option<ApplicationSource>,
    #[prost(string, tag = "3")]
    pub project: String,
    #[prost(message, repeated, tag = "8")]
    pub sources: Vec<ApplicationSource>,
}

/// Asks for the branches and tags of a repository.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ListRefsRequest {
    #[prost(message, optional, tag = "1")]
    pub repo: Option<Repository>,
}

/// Asks for the folders of a repository that hold charts or kustomizations.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ListAppsRequest {
    #[prost(message, optional, tag = "1")]
    pub repo: Option<Repository>,
    #[prost(string, tag = "2")]
    pub revision: String,
    #[prost(btree_map = "string, bool", tag = "3")]
    pub enabled_source_types: BTreeMap<String, bool>,
}

/// Asks for the options of a source.
#[derive(Clone, PartialEq, prost::Message)]
pub struct RepoServerAppDetailsQuery {
    #[prost(message, optional, tag = "1")]
    pub repo: Option<Repository>,
    #[prost(message, optional, tag = "2")]
    pub source: Option<ApplicationSource>,
    #[prost(message, repeated, tag = "3")]
    pub repos: Vec<Repository>,
    #[prost(string, tag = "5")]
    pub app_name: String,
    #[prost(bool, tag = "6")]
    pub no_cache: bool,
    #[prost(bool, tag = "7")]
    pub no_revision_cache: bool,
    #[prost(btree_map = "string, message", tag = "11")]
    pub ref_sources: BTreeMap<String, RefTarget>,
}

/// Asks for author, date and message of a commit.
#[derive(Clone, PartialEq, prost::Message)]
pub struct RepoServerRevisionMetadataRequest {
    #[prost(message, optional, tag = "1")]
    pub repo: Option<Repository>,
    #[prost(string, tag = "2")]
    pub revision: String,
    #[prost(bool, tag = "3")]
    pub check_signature: bool,
}

/// Asks for the description of a chart.
#[derive(Clone, PartialEq, prost::Message)]
pub struct RepoServerRevisionChartDetailsRequest {
    #[prost(message, optional, tag = "1")]
    pub repo: Option<Repository>,
    #[prost(string, tag = "2")]
    pub name: String,
    #[prost(string, tag = "3")]
    pub revision: String,
}

/// Asks for the charts of a repository.
#[derive(Clone, PartialEq, prost::Message)]
pub struct HelmChartsRequest {
    #[prost(message, optional, tag = "1")]
    pub repo: Option<Repository>,
}

/// Asks for the files that a pattern matches.
#[derive(Clone, PartialEq, prost::Message)]
pub struct GitFilesRequest {
    #[prost(message, optional, tag = "1")]
    pub repo: Option<Repository>,
    #[prost(bool, tag = "2")]
    pub submodule_enabled: bool,
    #[prost(string, tag = "3")]
    pub revision: String,
    #[prost(string, tag = "4")]
    pub path: String,
    #[prost(bool, tag = "5")]
    pub new_git_file_globbing_enabled: bool,
    #[prost(bool, tag = "6")]
    pub no_revision_cache: bool,
    #[prost(bool, tag = "7")]
    pub verify_commit: bool,
}

/// Asks for the folders of a repository.
#[derive(Clone, PartialEq, prost::Message)]
pub struct GitDirectoriesRequest {
    #[prost(message, optional, tag = "1")]
    pub repo: Option<Repository>,
    #[prost(bool, tag = "2")]
    pub submodule_enabled: bool,
    #[prost(string, tag = "3")]
    pub revision: String,
    #[prost(bool, tag = "4")]
    pub no_revision_cache: bool,
    #[prost(bool, tag = "5")]
    pub verify_commit: bool,
}

/// Asks for the files of an artifact.
#[derive(Clone, PartialEq, prost::Message)]
pub struct OciFilesRequest {
    #[prost(message, optional, tag = "1")]
    pub repo: Option<Repository>,
    #[prost(string, tag = "2")]
    pub revision: String,
    #[prost(string, tag = "3")]
    pub glob: String,
    #[prost(bool, tag = "4")]
    pub no_revision_cache: bool,
}

/// Asks for the folders of an artifact.
#[derive(Clone, PartialEq, prost::Message)]
pub struct OciDirectoriesRequest {
    #[prost(message, optional, tag = "1")]
    pub repo: Option<Repository>,
    #[prost(string, tag = "2")]
    pub revision: String,
    #[prost(bool, tag = "3")]
    pub no_revision_cache: bool,
}

/// Asks whether paths changed between two revisions.
#[derive(Clone, PartialEq, prost::Message)]
pub struct UpdateRevisionForPathsRequest {
    #[prost(message, optional, tag = "1")]
    pub repo: Option<Repository>,
    #[prost(message, optional, tag = "5")]
    pub application_source: Option<ApplicationSource>,
    #[prost(btree_map = "string, message", tag = "7")]
    pub ref_sources: BTreeMap<String, RefTarget>,
    #[prost(bool, tag = "10")]
    pub has_multiple_sources: bool,
    #[prost(string, tag = "11")]
    pub synced_revision: String,
    #[prost(string, tag = "12")]
    pub revision: String,
    #[prost(string, repeated, tag = "13")]
    pub paths: Vec<String>,
    #[prost(bool, tag = "14")]
    pub no_revision_cache: bool,
}
