//! What a renderer is, and what it works with.

use std::sync::atomic::{AtomicBool, Ordering};

use serde::{Deserialize, Serialize};

use super::{
    AppFacts, ClusterFacts, Remotes, RenderError, Tools,
    environment::{Environment, Uses},
    facts::{LOGIN_FACT, PERMISSIONS_FACT},
    remotes::RemoteRefusal,
    tools::Tool,
};
use crate::{api::ApplicationSource, repo::SourceTree, settings::KustomizeSettings};

/// How a source becomes manifests, as `status.sourceType` says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub enum SourceType {
    /// A Helm chart.
    Helm,
    /// A kustomization.
    Kustomize,
    /// Plain manifests.
    Directory,
}

impl SourceType {
    /// The word that the API uses.
    pub fn word(self) -> &'static str {
        match self {
            Self::Helm => "Helm",
            Self::Kustomize => "Kustomize",
            Self::Directory => "Directory",
        }
    }
}

/// Turns a source into manifests. Calls block and may start other programs.
pub(super) trait Renderer: Sync {
    /// What it renders.
    fn source_type(&self) -> SourceType;
    /// True when the source has options of this renderer.
    fn chosen(&self, source: &ApplicationSource) -> bool;
    /// True when a file of this name makes a folder a source of this renderer.
    fn owns(&self, file_name: &str) -> bool;
    /// True when it starts another program.
    fn runs_tool(&self) -> bool;
    /// The manifests of a source.
    fn render(&self, job: &Job<'_>) -> Result<Vec<ManifestFile>, RenderError>;
}

/// Text with manifests.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub(super) struct ManifestFile {
    /// Path below the source folder, or the program that wrote it.
    pub(super) path: String,
    /// Each document has to be an object: a program wrote it.
    pub(super) strict: bool,
    /// YAML or JSON.
    #[serde(skip)]
    pub(super) content: Vec<u8>,
}

/// A source and all that its renderer may look at.
pub(super) struct Job<'a> {
    pub(super) source: &'a ApplicationSource,
    pub(super) tree: &'a SourceTree,
    /// The other sources, by the names under which their files are known.
    pub(super) references: &'a [(String, &'a SourceTree)],
    pub(super) app: &'a AppFacts,
    pub(super) cluster: &'a ClusterFacts,
    pub(super) environment: Environment<'a>,
    pub(super) tools: &'a Tools,
    /// Charts that a chart depends on; without it none is downloaded.
    pub(super) remotes: Option<&'a Remotes>,
    /// Programs and flags of kustomize.
    pub(super) kustomize: &'a KustomizeSettings,
    pub(super) uses: &'a Uses,
    /// Notes for people.
    pub(super) remarks: &'a std::cell::RefCell<Vec<String>>,
    /// Set when the result is no longer needed.
    pub(super) interrupt: &'a AtomicBool,
}

impl Job<'_> {
    /// Fails when the result is no longer needed.
    pub(super) fn check_interrupt(&self) -> Result<(), RenderError> {
        if self.interrupt.load(Ordering::Relaxed) {
            return Err(RenderError::Interrupted);
        }
        Ok(())
    }

    /// Why a repository is not read; `None` when it is. The result depends from now on on what the project permits and
    /// on who logs in.
    pub(super) fn refusal(&self, remotes: &Remotes, url: &str) -> Option<RemoteRefusal> {
        self.uses.note(PERMISSIONS_FACT, remotes.permissions());
        let login = format!("{LOGIN_FACT}{url}");
        self.uses.note(&login, remotes.login(url));
        remotes.refusal(url)
    }

    /// Notes that the result depends on a program.
    pub(super) fn note_tool(&self, tool: &Tool) {
        self.uses.note(tool.fact(), tool.identity());
    }

    /// The tree that `$name` stands for.
    pub(super) fn reference(&self, name: &str) -> Option<&SourceTree> {
        let found = self.references.iter().find(|(known, _)| known == name);
        found.map(|(_, tree)| *tree)
    }
}
