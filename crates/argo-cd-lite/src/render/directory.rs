//! A folder of plain manifests: which files count.

use expressions::glob::{Answer, Glob, GlobError, WorkBudget};

use super::{
    MAX_MANIFEST_BYTES, RenderError, SourceType,
    document::is_skipped,
    jsonnet,
    renderer::{Job, ManifestFile, Renderer},
};
use crate::{
    api::{ApplicationSource, DirectorySource},
    repo::{FileQuery, join},
};

/// Renders folders of plain manifests.
pub(super) struct Directory;

impl Renderer for Directory {
    fn source_type(&self) -> SourceType {
        SourceType::Directory
    }

    fn chosen(&self, source: &ApplicationSource) -> bool {
        source.directory.is_some()
    }

    fn owns(&self, _file_name: &str) -> bool {
        false
    }

    fn runs_tool(&self) -> bool {
        false
    }

    fn render(&self, job: &Job<'_>) -> Result<Vec<ManifestFile>, RenderError> {
        let filter = DirectoryFilter::new(job.source.directory.as_ref());
        let folder = job.tree.folder(&job.source.path)?;
        let query = FileQuery {
            recurse: filter.recurse(),
            linked_folders: false,
            max_bytes: MAX_MANIFEST_BYTES,
            wanted: &|path| filter.is_manifest(path),
        };
        let files = job.tree.files(&folder, &query)?;
        let mut manifests = Vec::new();
        for file in files {
            filter.check(&file.path)?;
            if is_jsonnet(&file.path) {
                if !is_skipped(&file.content) {
                    let path = join(&folder.path, &file.path);
                    manifests.push(jsonnet::manifests(job, &folder.path, &path, file.content)?);
                }
                continue;
            }
            manifests.push(ManifestFile {
                path: file.path,
                strict: false,
                content: file.content,
            });
        }
        Ok(manifests)
    }
}

/// Which files of a folder are manifests.
#[derive(Debug)]
struct DirectoryFilter {
    directory: DirectorySource,
    /// The patterns, compiled; none where the field is empty.
    include: Option<Result<Glob, GlobError>>,
    exclude: Option<Result<Glob, GlobError>>,
    /// For all files together.
    budget: WorkBudget,
}

/// Extensions of manifests.
const EXTENSIONS: &[&str] = &["yaml", "yml", "json", "jsonnet"];

impl DirectoryFilter {
    /// The filter of a source.
    fn new(directory: Option<&DirectorySource>) -> Self {
        let directory = directory.cloned().unwrap_or_default();
        let compile = |pattern: &str| (!pattern.is_empty()).then(|| Glob::new(pattern, &[]));
        Self {
            include: compile(&directory.include),
            exclude: compile(&directory.exclude),
            budget: WorkBudget::default(),
            directory,
        }
    }

    /// True when sub-folders are read too.
    fn recurse(&self) -> bool {
        self.directory.recurse
    }

    fn is_manifest(&self, path: &str) -> bool {
        let name = path.rsplit('/').next().unwrap_or(path);
        let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension);
        if !self.directory.disable_extension_filter && !EXTENSIONS.contains(&extension) {
            return false;
        }
        // A file about which a pattern is undecided stays, so that `render` refuses the source.
        !self.is_excluded(path)
            && !matches!(
                self.answer(self.include.as_ref(), path),
                Some(Answer::NoMatch)
            )
    }

    fn is_excluded(&self, path: &str) -> bool {
        self.answer(self.exclude.as_ref(), path)
            .is_some_and(|answer| answer.allows())
    }

    /// Fails when a pattern has no answer for a file.
    fn check(&self, path: &str) -> Result<(), RenderError> {
        for (field, pattern) in [
            ("directory.include", &self.include),
            ("directory.exclude", &self.exclude),
        ] {
            if let Some(Answer::Undecided(error)) = self.answer(pattern.as_ref(), path) {
                return Err(RenderError::Pattern { field, error });
            }
        }
        Ok(())
    }

    /// What a pattern says about a path; `None` without a pattern.
    fn answer(&self, pattern: Option<&Result<Glob, GlobError>>, path: &str) -> Option<Answer> {
        Some(match pattern? {
            Ok(glob) => glob.answer_within(path, &self.budget),
            Err(error) => Answer::Undecided(error.clone()),
        })
    }
}

/// True for a file that is evaluated.
pub(super) fn is_jsonnet(path: &str) -> bool {
    path.rsplit_once('.')
        .is_some_and(|(_, extension)| extension == "jsonnet")
}
