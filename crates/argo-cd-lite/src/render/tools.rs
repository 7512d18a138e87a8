//! The programs that renderers start: where they are, in which version, what a run may cost, and how one fails.

use std::{
    collections::BTreeMap,
    env,
    ffi::OsString,
    path::{Path, PathBuf},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, UNIX_EPOCH},
};

use parking_lot::Mutex;
use thiserror::Error;

/// Before the path of a program that the settings name, in names of facts.
const VERSION_FACT: &str = "kustomize ";

/// A program that did not do its work.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum ToolError {
    /// It is not installed.
    #[error("{tool} is not installed: give its path with {flag}, or put it in PATH")]
    Missing {
        /// The program.
        tool: &'static str,
        /// The flag that names it.
        flag: &'static str,
    },
    /// It ended with an error.
    #[error("{tool}: {message}")]
    Failed {
        /// The program.
        tool: &'static str,
        /// What it wrote, without secrets.
        message: String,
    },
    /// It did not end in time.
    #[error("{tool} did not end within {} s and was killed", .limit.as_secs())]
    Late {
        /// The program.
        tool: &'static str,
        /// The deadline.
        limit: Duration,
    },
    /// It wrote too much.
    #[error("{tool} wrote more than {limit} bytes and was killed")]
    TooMuch {
        /// The program.
        tool: &'static str,
        /// The limit.
        limit: u64,
    },
    /// It was not needed any more.
    #[error("{0} was interrupted")]
    Interrupted(&'static str),
    /// It cannot be started or watched.
    #[error("cannot run {tool}: {reason}")]
    Run {
        /// The program.
        tool: &'static str,
        /// What is wrong.
        reason: String,
    },
}

impl ToolError {
    pub(super) fn is_transient(&self) -> bool {
        matches!(self, Self::Interrupted(_) | Self::Run { .. })
    }
}

/// What a run may cost.
#[derive(Clone, Debug)]
pub(super) struct ProcessLimits {
    /// Time until it is killed.
    pub(super) deadline: Duration,
    /// Bytes that it may write to standard output.
    pub(super) output: u64,
    /// Bytes of memory.
    pub(super) memory: u64,
}

impl Default for ProcessLimits {
    fn default() -> Self {
        Self {
            deadline: Duration::from_secs(60),
            output: 32 * 1024 * 1024,
            memory: 512 * 1024 * 1024,
        }
    }
}

/// Where programs are.
#[derive(Clone, Debug, Default)]
pub struct ToolPaths {
    /// Path of `helm`; searched for in `search` when absent.
    pub helm: Option<PathBuf>,
    /// Path of `kustomize`; searched for in `search` when absent.
    pub kustomize: Option<PathBuf>,
    /// Our own program, which evaluates Jsonnet.
    pub own: Option<PathBuf>,
    /// Folders in the form of the environment variable PATH.
    pub search: Option<OsString>,
}

/// A program.
#[derive(Debug)]
pub(super) struct Tool {
    pub(super) name: &'static str,
    flag: &'static str,
    /// Name of the fact that is its identity.
    fact: String,
    configured: Option<PathBuf>,
    search: Option<OsString>,
    found: OnceLock<Option<Found>>,
    runs: AtomicU64,
}

#[derive(Debug)]
struct Found {
    path: PathBuf,
    identity: String,
}

impl Tool {
    fn new(
        name: &'static str,
        flag: &'static str,
        configured: Option<PathBuf>,
        search: Option<OsString>,
    ) -> Self {
        Self {
            name,
            flag,
            fact: name.to_owned(),
            configured,
            search,
            found: OnceLock::new(),
            runs: AtomicU64::new(0),
        }
    }

    fn find(&self) -> Option<&Found> {
        let find = || {
            let path = match &self.configured {
                Some(path) => path.clone(),
                None => env::split_paths(self.search.as_ref()?)
                    .map(|folder| folder.join(self.name))
                    .find(|path| path.is_file())?,
            };
            let path = path.canonicalize().ok()?;
            let identity = identity(&path)?;
            Some(Found { path, identity })
        };
        self.found.get_or_init(find).as_ref()
    }

    /// Where it is.
    pub(super) fn path(&self) -> Result<&Path, ToolError> {
        match self.find() {
            Some(found) => Ok(&found.path),
            None => Err(ToolError::Missing {
                tool: self.name,
                flag: self.flag,
            }),
        }
    }

    /// Name of the fact that is its identity.
    pub(super) fn fact(&self) -> &str {
        &self.fact
    }

    /// Changes with the program; empty when there is none.
    pub(super) fn identity(&self) -> String {
        self.find()
            .map(|found| found.identity.clone())
            .unwrap_or_default()
    }

    /// Notes that it was started.
    pub(super) fn started(&self) {
        self.runs.fetch_add(1, Ordering::Relaxed);
    }
}

/// Size and time of the file: no process is needed to know that the program is still the same.
fn identity(path: &Path) -> Option<String> {
    let data = path.metadata().ok()?;
    let modified = data.modified().ok()?.duration_since(UNIX_EPOCH).ok()?;
    Some(format!("{} {}", data.len(), modified.as_nanos()))
}

/// All programs. Cloning shares them.
#[derive(Clone, Debug)]
pub struct Tools(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    helm: Tool,
    kustomize: Arc<Tool>,
    /// Other versions of kustomize by path.
    versions: Mutex<BTreeMap<PathBuf, Arc<Tool>>>,
    jsonnet: Tool,
    sandboxes: PathBuf,
    limits: ProcessLimits,
}

impl Tools {
    /// Programs at these paths, whose files go below the folder `sandboxes`.
    pub fn new(paths: ToolPaths, sandboxes: PathBuf) -> Self {
        Self::with_limits(paths, sandboxes, ProcessLimits::default())
    }

    pub(super) fn with_limits(paths: ToolPaths, sandboxes: PathBuf, limits: ProcessLimits) -> Self {
        Self(Arc::new(Inner {
            helm: Tool::new("helm", "--helm-binary", paths.helm, paths.search.clone()),
            kustomize: Arc::new(Tool::new(
                "kustomize",
                "--kustomize-binary",
                paths.kustomize,
                paths.search,
            )),
            versions: Mutex::default(),
            jsonnet: Tool::new("jsonnet", "the installation", paths.own, None),
            sandboxes,
            limits,
        }))
    }

    pub(super) fn helm(&self) -> &Tool {
        &self.0.helm
    }

    pub(super) fn kustomize(&self) -> Arc<Tool> {
        self.0.kustomize.clone()
    }

    /// The kustomize at a path that the settings name.
    pub(super) fn kustomize_at(&self, path: &Path) -> Arc<Tool> {
        let make = || {
            let flag = "kustomize.path.VERSION of argocd-cm";
            let mut tool = Tool::new("kustomize", flag, Some(path.to_owned()), None);
            tool.fact = format!("{VERSION_FACT}{}", path.display());
            Arc::new(tool)
        };
        let mut versions = self.0.versions.lock();
        versions.entry(path.to_owned()).or_insert_with(make).clone()
    }

    pub(super) fn jsonnet(&self) -> &Tool {
        &self.0.jsonnet
    }

    /// Folder of the private folders.
    pub(super) fn sandboxes(&self) -> &Path {
        &self.0.sandboxes
    }

    /// What a run may cost.
    pub(super) fn limits(&self) -> &ProcessLimits {
        &self.0.limits
    }

    /// How often programs were started.
    pub fn runs(&self) -> u64 {
        let versions = self.0.versions.lock();
        [self.helm(), &*self.0.kustomize, self.jsonnet()]
            .into_iter()
            .chain(versions.values().map(|tool| &**tool))
            .map(|tool| tool.runs.load(Ordering::Relaxed))
            .sum()
    }

    /// The current value of a fact about a program.
    pub(super) fn fact(&self, name: &str) -> Option<String> {
        if let Some(path) = name.strip_prefix(VERSION_FACT) {
            return Some(self.kustomize_at(Path::new(path)).identity());
        }
        [self.helm(), &*self.0.kustomize, self.jsonnet()]
            .into_iter()
            .find(|tool| tool.name == name)
            .map(Tool::identity)
    }
}
