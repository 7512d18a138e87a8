//! The manifests of an Application: from a folder on this machine, or from its repository.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::atomic::AtomicBool,
    time::Duration,
};

use prometheus::Registry;
use reconcile_core::{clock::Clock, operator::install_tls};

use super::{CliError, SourceArgs, application::FileApplication, scope};
use crate::{
    metrics::GitMetrics,
    render::{DirectoryFilter, MAX_MANIFEST_BYTES, RenderError, RenderRequest, TargetSet, render},
    repo::{
        Credentials, DEFAULT_DISK_BUDGET, FilesRequest, GitLimits, HubConfig, RepoHub, SourceFile,
        normalize,
    },
};

/// Deepest folder below a source folder.
const MAX_DEPTH: usize = 32;

/// The targets of an Application and the revision that they were read at; empty for a folder that is read as it is.
pub(super) struct Rendered {
    pub(super) revision: String,
    pub(super) set: TargetSet,
}

/// Renders. Without a revision a folder that takes the place of the repository is read as it is, uncommitted changes
/// included; with one, its Git history is.
pub(super) fn targets(
    app: &FileApplication,
    args: &SourceArgs,
    revision: Option<&str>,
) -> Result<Rendered, CliError> {
    let failed = |reason: String| CliError::Source {
        app: app.key.to_string(),
        reason,
    };
    let source = app.spec.source.as_ref().ok_or_else(|| {
        failed(
            "spec.source is missing; an Application with spec.sources is not rendered here".into(),
        )
    })?;
    if let Some(unsupported) = source.other.keys().next() {
        return Err(failed(format!(
            "spec.source.{unsupported} is not rendered here"
        )));
    }
    let filter = DirectoryFilter::new(source.directory.as_ref());
    let folder = overridden(args, &source.repo_url)?;
    let (revision, files) = match (folder, revision) {
        (Some(folder), None) => {
            let files = read_folder(&folder, &source.path, &filter).map_err(failed)?;
            (String::new(), files)
        }
        (folder, revision) => {
            let url = match &folder {
                Some(folder) => {
                    let folder = fs::canonicalize(folder)
                        .map_err(|error| failed(format!("{}: {error}", folder.display())))?;
                    format!("file://{}", folder.display())
                }
                None => source.repo_url.clone(),
            };
            let wanted = Wanted {
                url: &url,
                path: &source.path,
                revision: revision.unwrap_or(&source.target_revision),
                tag_prefix: &source.tag_prefix,
            };
            from_repository(&wanted, &filter).map_err(failed)?
        }
    };
    let explicit = source.directory.is_some();
    let request = RenderRequest {
        files,
        filter: &filter,
        explicit,
        placement: &app.placement,
        interrupt: &AtomicBool::new(false),
    };
    let set = render(request, scope::of).map_err(|error: RenderError| failed(error.to_string()))?;
    Ok(Rendered { revision, set })
}

/// The folder that takes the place of a repository.
fn overridden(args: &SourceArgs, url: &str) -> Result<Option<PathBuf>, CliError> {
    let Some(text) = &args.repo_override else {
        return Ok(None);
    };
    // A path has no equals sign more often than a URL.
    let (from, to) = text.rsplit_once('=').ok_or_else(|| {
        CliError::Usage(format!("--repo-override {text:?}: write it as URL=PATH"))
    })?;
    Ok((normalize(from) == normalize(url)).then(|| PathBuf::from(to)))
}

struct Wanted<'a> {
    url: &'a str,
    path: &'a str,
    revision: &'a str,
    tag_prefix: &'a str,
}

fn from_repository(
    wanted: &Wanted<'_>,
    filter: &DirectoryFilter,
) -> Result<(String, Vec<SourceFile>), String> {
    install_tls();
    let store = tempfile::tempdir().map_err(|error| format!("cannot make a folder: {error}"))?;
    let metrics = GitMetrics::register(&Registry::new()).map_err(|error| error.to_string())?;
    let hub = RepoHub::new(
        HubConfig {
            folder: store.path().to_owned(),
            disk_budget: DEFAULT_DISK_BUDGET,
            limits: GitLimits::default(),
            poll: Duration::ZERO,
            jitter: Duration::ZERO,
        },
        Credentials::default(),
        Clock::system(),
        metrics,
        |_| {},
    );
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .map_err(|error| error.to_string())?;
    runtime.block_on(async {
        let listed = hub
            .refs(wanted.url, None)
            .await
            .map_err(|error| error.to_string())?;
        let resolved = hub
            .resolve(wanted.url, &listed.refs, wanted.revision, wanted.tag_prefix)
            .await
            .map_err(|error| error.to_string())?;
        // The folder's id is asked for first: it brings the commit.
        hub.folder_id(wanted.url, &resolved, wanted.path)
            .await
            .map_err(|error| error.to_string())?;
        let wants = filter.clone();
        let request = FilesRequest {
            commit: resolved.commit.clone(),
            path: wanted.path.to_owned(),
            recurse: filter.recurse(),
            max_bytes: MAX_MANIFEST_BYTES,
            wanted: move |path: &str| wants.wants(path),
        };
        let files = hub
            .files(wanted.url, request)
            .await
            .map_err(|error| error.to_string())?;
        Ok((resolved.commit, files.files))
    })
}

/// The files below `root/path` that the filter wants. Links must not leave `root`.
fn read_folder(
    root: &Path,
    path: &str,
    filter: &DirectoryFilter,
) -> Result<Vec<SourceFile>, String> {
    let told = |path: &Path, error: &io::Error| format!("{}: {error}", path.display());
    let root = fs::canonicalize(root).map_err(|error| told(root, &error))?;
    let wanted = root.join(path.trim_start_matches('/'));
    let folder = fs::canonicalize(&wanted).map_err(|error| told(&wanted, &error))?;
    if !folder.starts_with(&root) {
        return Err(format!("spec.source.path {path:?} leaves the repository"));
    }
    let mut reader = FolderReader {
        root: &root,
        filter,
        files: Vec::new(),
        left: MAX_MANIFEST_BYTES,
    };
    reader.read(&folder, "", 0)?;
    Ok(reader.files)
}

struct FolderReader<'a> {
    root: &'a Path,
    filter: &'a DirectoryFilter,
    files: Vec<SourceFile>,
    left: u64,
}

impl FolderReader<'_> {
    fn read(&mut self, folder: &Path, below: &str, depth: usize) -> Result<(), String> {
        let told = |path: &Path, error: &io::Error| format!("{}: {error}", path.display());
        if depth > MAX_DEPTH {
            return Err(format!(
                "{}: folders are nested deeper than {MAX_DEPTH}",
                folder.display()
            ));
        }
        let entries = fs::read_dir(folder).and_then(Iterator::collect::<io::Result<Vec<_>>>);
        let mut entries = entries.map_err(|error| told(folder, &error))?;
        entries.sort_by_key(fs::DirEntry::file_name);
        for entry in entries {
            let name = entry.file_name().to_string_lossy().into_owned();
            let path = fs::canonicalize(entry.path());
            let path = path.map_err(|error| told(&entry.path(), &error))?;
            if !path.starts_with(self.root) {
                return Err(format!(
                    "{}: the link leaves the repository",
                    entry.path().display()
                ));
            }
            let relative = match below {
                "" => name.clone(),
                below => format!("{below}/{name}"),
            };
            if path.is_dir() {
                if self.filter.recurse() && name != ".git" {
                    self.read(&path, &relative, depth + 1)?;
                }
            } else if self.filter.wants(&relative) {
                let size = fs::metadata(&path)
                    .map_err(|error| told(&path, &error))?
                    .len();
                self.left = self.left.checked_sub(size).ok_or_else(|| {
                    format!("the manifests have more than {MAX_MANIFEST_BYTES} bytes")
                })?;
                let content = fs::read(&path).map_err(|error| told(&path, &error))?;
                self.files.push(SourceFile {
                    path: relative,
                    content,
                });
            }
        }
        Ok(())
    }
}
