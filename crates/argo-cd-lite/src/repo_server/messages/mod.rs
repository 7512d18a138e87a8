//! The messages of the protocol, with the fields that matter; others are skipped when a message is read.

#![expect(
    missing_docs,
    clippy::struct_excessive_bools,
    reason = "the fields are those of the API, under its names"
)]

mod repository;
mod requests;
mod responses;
mod source;

pub use repository::{RefTarget, RepoCreds, Repository};
pub use requests::{
    Application, ApplicationSpec, Empty, GitDirectoriesRequest, GitFilesRequest,
    HealthCheckRequest, HelmChartsRequest, ListAppsRequest, ListRefsRequest, ManifestFileChunk,
    ManifestFileMetadata, ManifestRequest, ManifestRequestWithFiles, OciDirectoriesRequest,
    OciFilesRequest, RepoServerAppDetailsQuery, RepoServerRevisionChartDetailsRequest,
    RepoServerRevisionMetadataRequest, ResolveRevisionRequest, TestRepositoryRequest,
    UpdateRevisionForPathsRequest,
};
pub use responses::{
    AppList, ChartDetails, DirectoryAppSpec, GitDirectoriesResponse, GitFilesResponse,
    HealthCheckResponse, HelmAppSpec, HelmChart, HelmChartsResponse, KustomizeAppSpec,
    ManifestResponse, OciDirectoriesResponse, OciFilesResponse, OciMetadata, PluginInfo,
    PluginList, Refs, RepoAppDetailsResponse, ResolveRevisionResponse, RevisionMetadata,
    TestRepositoryResponse, Time, UpdateRevisionForPathsResponse,
};
pub use source::{
    ApplicationSource, ApplicationSourceDirectory, ApplicationSourceHelm, ApplicationSourceJsonnet,
    ApplicationSourceKustomize, ApplicationSourcePlugin, HelmFileParameter, HelmParameter,
    IntOrString, JsonnetVar, KustomizeGvk, KustomizePatch, KustomizeReplica, KustomizeResId,
    KustomizeSelector, RawExtension,
};
