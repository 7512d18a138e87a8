//! From sources to text with manifests, and what that depended on.
//!
//! ```text
//!   source + .argocd-source files ──► renderer ──► manifests
//!                                        └──► inputs: paths with ids, facts
//! ```

use std::{
    cell::RefCell,
    collections::BTreeMap,
    path::PathBuf,
    sync::{Arc, atomic::AtomicBool},
};

use reconcile_core::yaml;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    AppFacts, ClusterFacts, Remotes, RenderError, SourceType, Tools,
    directory::is_jsonnet,
    environment::{Environment, Uses, revision_fact},
    facts::{CLUSTER_FACT, KUSTOMIZE_FACT, LOGIN_FACT, PERMISSIONS_FACT, digest},
    registry::{owner_of, renderer_of},
    renderer::{Job, ManifestFile},
};
use crate::{
    api::ApplicationSource,
    repo::{
        ArchiveFile, Commit, FolderReader, GitError, GitLimits, Interrupt, Record, SourceTree, join,
    },
    settings::KustomizeSettings,
};

/// Bytes of a file that overrides parameters.
const MAX_OVERRIDES: u64 = 1024 * 1024;
/// The file that overrides the parameters of every Application of a folder.
const OVERRIDES: &str = ".argocd-source.yaml";

/// Where the files of a source are.
#[derive(Clone)]
pub enum Files {
    /// In a commit.
    Commit(Commit),
    /// In a folder that is read as it is.
    Folder(PathBuf),
    /// In an archive, which is a chart or an artifact.
    Archive(ArchiveFile),
}

impl Files {
    /// The files as a tree.
    pub fn tree(&self) -> Result<SourceTree, GitError> {
        match self {
            Self::Commit(commit) => commit.tree(),
            Self::Archive(archive) => Ok(archive.tree()),
            Self::Folder(path) => {
                let reader = FolderReader::open(path)?;
                Ok(SourceTree::new(Box::new(reader), GitLimits::default()))
            }
        }
    }

    /// True when everything in `record` is as it was when it was read.
    fn matches(&self, record: &Record, interrupt: &Interrupt) -> bool {
        if let Self::Archive(archive) = self
            && archive.is_of(record)
        {
            return true;
        }
        let tree = self.tree();
        tree.is_ok_and(|tree| tree.interruptible(interrupt).matches(record))
    }
}

/// A source whose files are there.
#[derive(Clone)]
pub struct OpenSource {
    /// The source as the spec has it.
    pub source: ApplicationSource,
    /// Its files.
    pub files: Files,
    /// The commit.
    pub revision: String,
}

/// Sources to render together.
#[derive(Clone)]
pub struct RenderRequest {
    /// For whom.
    pub app: AppFacts,
    /// The sources, in their order.
    pub sources: Vec<OpenSource>,
    /// The cluster.
    pub cluster: ClusterFacts,
    /// Charts that charts depend on; without it none is downloaded.
    pub remotes: Option<Remotes>,
    /// Programs and flags of kustomize.
    pub kustomize: Arc<KustomizeSettings>,
}

impl RenderRequest {
    /// Identifies everything but the files and the facts.
    pub(super) fn key(&self) -> String {
        let sources: Vec<&ApplicationSource> =
            self.sources.iter().map(|open| &open.source).collect();
        digest(&(&self.app, sources))
    }

    /// True when another program will be started, as far as the folders show.
    pub(super) fn runs_tool(&self, interrupt: &Interrupt) -> bool {
        self.sources.iter().any(|open| {
            let detected = || {
                let tree = open.files.tree().ok()?.interruptible(interrupt);
                let folder = tree.folder(&open.source.path).ok()?;
                let entries = tree.entries(&folder).ok()?;
                let decides = |name: &str| {
                    name.starts_with(".argocd-source")
                        || is_jsonnet(name)
                        || owner_of(name).is_some()
                };
                Some(entries.iter().any(|(name, _)| decides(name)))
            };
            // An archive is not inflated to find out.
            matches!(open.files, Files::Archive(_))
                || open.source.helm.is_some()
                || open.source.kustomize.is_some()
                || (open.source.renders() && detected().unwrap_or(false))
        })
    }

    /// True when the inputs are what they were.
    pub(super) fn matches(&self, inputs: &Inputs, tools: &Tools, interrupt: &Interrupt) -> bool {
        inputs.trees.len() == self.sources.len()
            && inputs.facts.iter().all(|(name, value)| {
                self.fact(name, tools)
                    .is_some_and(|current| current == *value)
            })
            && self
                .sources
                .iter()
                .zip(&inputs.trees)
                .all(|(open, record)| record.is_empty() || open.files.matches(record, interrupt))
    }

    fn fact(&self, name: &str, tools: &Tools) -> Option<String> {
        if name == CLUSTER_FACT {
            return Some(self.cluster.digest());
        }
        if name == KUSTOMIZE_FACT {
            return Some(digest(&self.kustomize));
        }
        if name == PERMISSIONS_FACT {
            return self.remotes.as_ref().map(Remotes::permissions);
        }
        if let Some(url) = name.strip_prefix(LOGIN_FACT) {
            return self.remotes.as_ref().map(|remotes| remotes.login(url));
        }
        let revision = self.sources.iter().enumerate();
        let revision = revision.map(|(index, open)| (revision_fact(index), &open.revision));
        if let Some((_, revision)) = revision.into_iter().find(|(fact, _)| fact == name) {
            return Some(revision.clone());
        }
        tools.fact(name)
    }
}

/// What a render depended on, beside its key.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub(super) struct Inputs {
    /// Of each source, path and id of what was read.
    pub(super) trees: Vec<Record>,
    /// Facts by name.
    pub(super) facts: BTreeMap<String, String>,
}

/// Text with manifests, of all sources.
#[derive(Clone, Debug, Default)]
pub(super) struct Generated {
    pub(super) manifests: Vec<ManifestFile>,
    pub(super) types: Vec<SourceType>,
    pub(super) remarks: Vec<String>,
}

/// Renders all sources. The inputs are those of a failure, too.
pub(super) fn generate(
    request: &RenderRequest,
    tools: &Tools,
    interrupt: &Interrupt,
) -> (Inputs, Result<Generated, RenderError>) {
    let trees: Result<Vec<SourceTree>, GitError> = (request.sources.iter())
        .map(|open| Ok(open.files.tree()?.interruptible(interrupt)))
        .collect();
    let trees = match trees {
        Ok(trees) => trees,
        Err(error) => return (Inputs::default(), Err(error.into())),
    };
    let uses = Uses::default();
    let mut result = generate_all(request, &trees, &uses, tools, interrupt);
    if trees.iter().any(SourceTree::lacks_files) {
        // Whatever it is, it was made of pointers.
        result = Err(GitError::LargeFiles.into());
    }
    let inputs = Inputs {
        trees: trees.iter().map(SourceTree::record).collect(),
        facts: uses.all(),
    };
    (inputs, result)
}

fn generate_all(
    request: &RenderRequest,
    trees: &[SourceTree],
    uses: &Uses,
    tools: &Tools,
    interrupt: &AtomicBool,
) -> Result<Generated, RenderError> {
    let references: Vec<(String, &SourceTree)> = request
        .sources
        .iter()
        .zip(trees)
        .filter(|(open, _)| !open.source.reference.is_empty())
        .map(|(open, tree)| (open.source.reference.clone(), tree))
        .collect();
    let mut generated = Generated::default();
    let remarks = RefCell::default();
    for (index, (open, tree)) in request.sources.iter().zip(trees).enumerate() {
        if !open.source.renders() {
            // The status has a type for each source.
            generated.types.push(SourceType::Directory);
            continue;
        }
        let source = overridden(&open.source, &request.app, tree)?;
        let renderer = renderer_of(&source, tree)?;
        generated.types.push(renderer.source_type());
        let job = Job {
            source: &source,
            tree,
            references: &references,
            app: &request.app,
            cluster: &request.cluster,
            environment: Environment {
                app: &request.app.instance,
                namespace: &request.app.namespace,
                project: &request.app.project,
                repo_url: &source.repo_url,
                path: &source.path,
                target_revision: &source.target_revision,
                revision: &open.revision,
                index,
                uses,
            },
            tools,
            remotes: request.remotes.as_ref(),
            kustomize: &request.kustomize,
            uses,
            remarks: &remarks,
            interrupt,
        };
        generated.manifests.extend(renderer.render(&job)?);
    }
    generated.remarks = remarks.into_inner();
    Ok(generated)
}

/// The source with what the files `.argocd-source*.yaml` of its folder say. They cannot lead elsewhere.
fn overridden(
    source: &ApplicationSource,
    app: &AppFacts,
    tree: &SourceTree,
) -> Result<ApplicationSource, RenderError> {
    let folder = tree.folder(&source.path)?;
    let entries = tree.entries(&folder)?;
    let own = format!(".argocd-source-{}.yaml", app.instance);
    let mut merged: Option<Value> = None;
    for name in [OVERRIDES, own.as_str()] {
        if !entries.iter().any(|(entry, _)| entry == name) {
            continue;
        }
        let failed = |reason: String| RenderError::File {
            path: name.to_owned(),
            reason,
        };
        let Some(text) = tree.file(&join(&folder.path, name), MAX_OVERRIDES)? else {
            continue;
        };
        let text =
            String::from_utf8(text).map_err(|_| failed("it is not UTF-8 text".to_owned()))?;
        let patch = yaml::value(&text).map_err(|error| failed(error.to_string()))?;
        let value = merged.get_or_insert_with(|| serde_json::to_value(source).unwrap_or_default());
        merge(value, patch);
    }
    let Some(merged) = merged else {
        return Ok(source.clone());
    };
    let merged: ApplicationSource =
        serde_json::from_value(merged).map_err(|error| RenderError::File {
            path: OVERRIDES.to_owned(),
            reason: error.to_string(),
        })?;
    Ok(ApplicationSource {
        repo_url: source.repo_url.clone(),
        path: source.path.clone(),
        chart: source.chart.clone(),
        target_revision: source.target_revision.clone(),
        reference: source.reference.clone(),
        ..merged
    })
}

/// JSON merge patch (RFC 7386). The depth is that of the patch, which the YAML reader bounds.
fn merge(value: &mut Value, patch: Value) {
    let Value::Object(patch) = patch else {
        *value = patch;
        return;
    };
    if !value.is_object() {
        *value = Value::Object(serde_json::Map::new());
    }
    for (key, patch) in patch {
        if let Some(fields) = value.as_object_mut() {
            if patch.is_null() {
                fields.remove(&key);
            } else {
                merge(fields.entry(key).or_insert(Value::Null), patch);
            }
        }
    }
}
