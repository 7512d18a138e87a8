//! Files of values: which ones, in which order, from which source.

use std::{collections::HashSet, path::PathBuf};

use expressions::glob::{Answer, Glob, GlobError, WorkBudget};
use reconcile_core::credentials::redact_url;

use super::super::{RenderError, renderer::Job, sandbox::Sandbox};
use crate::{
    api::HelmSource,
    repo::{FileQuery, SourceTree, clean, join},
};

/// Bytes of a file of values.
const MAX_BYTES: u64 = 8 * 1024 * 1024;
/// Files of values of one source, what globs find included.
const MAX_FILES: usize = 500;

/// A file of values that the program can read.
pub(super) struct ValueFile {
    /// Where it is.
    pub(super) path: PathBuf,
    /// The name that the source gives it.
    pub(super) shown: String,
    pub(super) content: Vec<u8>,
}

/// A file whose content is a value.
pub(super) struct ParameterFile {
    /// Path of the value.
    pub(super) name: String,
    /// Where the file is.
    pub(super) path: PathBuf,
}

/// Name of the file of values at `index`, in the sandbox.
pub(super) fn name(index: usize) -> String {
    format!("values/{index}.yaml")
}

/// Where an entry of `valueFiles` leads.
enum Origin<'a> {
    /// Into a source.
    Tree(Place<'a>),
    /// To a server.
    Url(String),
}

/// Where a path of the source leads.
struct Place<'a> {
    tree: &'a SourceTree,
    /// Which tree, so that equal paths of different ones differ.
    name: String,
    /// Path below the root of the tree.
    path: String,
}

/// Writes the files of `valueFiles` to the sandbox.
pub(super) fn write(
    job: &Job<'_>,
    helm: &HelmSource,
    chart: &str,
    sandbox: &Sandbox,
) -> Result<Vec<ValueFile>, RenderError> {
    const FIELD: &str = "helm.valueFiles";
    let mut origins = Vec::new();
    for text in &helm.value_files {
        origins.push((text, origin(job, text, chart)?));
    }
    // A file that is listed by its name keeps its place among those that globs find.
    let mut taken: HashSet<(String, String)> = origins
        .iter()
        .filter_map(|(_, origin)| match origin {
            Origin::Tree(place) if !is_glob(&place.path) => {
                Some((place.name.clone(), place.path.clone()))
            }
            _ => None,
        })
        .collect();
    let mut files: Vec<ValueFile> = Vec::new();
    let mut written = HashSet::new();
    for (text, origin) in origins {
        let place = match origin {
            Origin::Tree(place) => place,
            Origin::Url(url) => {
                let content = download(job, FIELD, &url)?;
                files.push(ValueFile {
                    path: sandbox.write(&name(files.len()), &content)?,
                    shown: shown(&url),
                    content,
                });
                continue;
            }
        };
        let found = if is_glob(&place.path) {
            let mut found = matches(place.tree, &place.path)?;
            found.retain(|path| taken.insert((place.name.clone(), path.clone())));
            found
        } else if written.insert((place.name.clone(), place.path.clone())) {
            vec![place.path.clone()]
        } else {
            continue;
        };
        let mut any = false;
        for path in found {
            let Some(content) = place.tree.file(&path, MAX_BYTES)? else {
                continue;
            };
            any = true;
            if files.len() >= MAX_FILES {
                let reason = format!("there are more than {MAX_FILES} files");
                return Err(RenderError::field(FIELD, reason));
            }
            files.push(ValueFile {
                path: sandbox.write(&name(files.len()), &content)?,
                shown: text.clone(),
                content,
            });
        }
        // A glob whose files are all listed by name is no mistake.
        if !any && !helm.ignore_missing_value_files && !is_glob(&place.path) {
            let reason = format!("{text:?} does not exist in the repository");
            return Err(RenderError::field(FIELD, reason));
        }
        if !any && !helm.ignore_missing_value_files && matches(place.tree, &place.path)?.is_empty()
        {
            let reason = format!("no file matches {text:?}");
            return Err(RenderError::field(FIELD, reason));
        }
    }
    Ok(files)
}

/// Writes the files of `fileParameters` to the sandbox.
pub(super) fn parameter_files(
    job: &Job<'_>,
    helm: &HelmSource,
    chart: &str,
    sandbox: &Sandbox,
) -> Result<Vec<ParameterFile>, RenderError> {
    const FIELD: &str = "helm.fileParameters";
    let mut files: Vec<ParameterFile> = Vec::new();
    for (index, parameter) in helm.file_parameters.iter().enumerate() {
        let content = match origin(job, &parameter.path, chart)? {
            Origin::Tree(place) => place.tree.file(&place.path, MAX_BYTES)?,
            Origin::Url(url) => Some(download(job, FIELD, &url)?),
        };
        let content = content.ok_or_else(|| {
            let reason = format!("{:?} does not exist in the repository", parameter.path);
            RenderError::field(FIELD, reason)
        })?;
        // The last one of a name counts.
        files.retain(|other| other.name != parameter.name);
        files.push(ParameterFile {
            name: parameter.name.clone(),
            path: sandbox.write(&format!("files/{index}"), &content)?,
        });
    }
    Ok(files)
}

/// The content of a URL, when it is one that may be asked for.
fn download(job: &Job<'_>, field: &'static str, url: &str) -> Result<Vec<u8>, RenderError> {
    let (scheme, _) = url.split_once("://").unwrap_or_default();
    let put = "put the file into a repository and name it by $ref/path";
    let Some(remotes) = job.remotes else {
        let reason = format!("files are not downloaded here by {scheme}: {put}");
        return Err(RenderError::field(field, reason));
    };
    if let Some(problem) = remotes.scheme_problem(scheme) {
        return Err(RenderError::field(field, format!("{problem}: {put}")));
    }
    remotes.values(url).map_err(|error| RenderError::Download {
        what: "a file of values".to_owned(),
        url: shown(url),
        error: Box::new(error),
    })
}

/// A URL without what may be a credential.
fn shown(url: &str) -> String {
    let end = url.find(['?', '#']).unwrap_or(url.len());
    redact_url(&url[..end])
}

/// Finds where an entry leads. A path that leaves its repository is an error.
fn origin<'a>(job: &'a Job<'_>, text: &str, chart: &str) -> Result<Origin<'a>, RenderError> {
    let first = text.split('/').next().unwrap_or_default();
    if let Some(tree) = first.strip_prefix('$').and_then(|name| job.reference(name)) {
        let rest = job.environment.substitute(&text[first.len()..]);
        return Ok(Origin::Tree(Place {
            tree,
            name: first.to_owned(),
            path: clean(&rest)?,
        }));
    }
    let text = job.environment.substitute(text);
    if text.contains("://") {
        return Ok(Origin::Url(text));
    }
    // An absolute path begins at the root of the repository.
    let path = if text.starts_with('/') {
        clean(&text)?
    } else {
        clean(&join(chart, &text))?
    };
    Ok(Origin::Tree(Place {
        tree: job.tree,
        name: String::new(),
        path,
    }))
}

fn is_glob(path: &str) -> bool {
    path.contains(['*', '?', '[', '{'])
}

/// The files that a glob matches, in lexical order.
fn matches(tree: &SourceTree, pattern: &str) -> Result<Vec<String>, RenderError> {
    const FIELD: &str = "helm.valueFiles";
    let glob = Glob::doublestar(pattern).map_err(|error| RenderError::Pattern {
        field: FIELD,
        error,
    })?;
    let fixed: Vec<&str> = pattern
        .split('/')
        .take_while(|part| !is_glob(part))
        .collect();
    let base = fixed.join("/");
    let Some(folder) = tree.look(&base)?.filter(crate::repo::Found::is_folder) else {
        return Ok(Vec::new());
    };
    let undecided = std::cell::RefCell::new(None::<GlobError>);
    let budget = WorkBudget::default();
    let wanted = |path: &str| match glob.answer_within(&join(&base, path), &budget) {
        Answer::Match => true,
        Answer::NoMatch => false,
        Answer::Undecided(error) => {
            undecided.borrow_mut().get_or_insert(error);
            false
        }
    };
    let query = FileQuery {
        recurse: true,
        linked_folders: false,
        max_bytes: MAX_BYTES,
        wanted: &wanted,
    };
    let files = tree.files(&folder, &query)?;
    if let Some(error) = undecided.into_inner() {
        return Err(RenderError::Pattern {
            field: FIELD,
            error,
        });
    }
    Ok(files
        .into_iter()
        .map(|file| join(&base, &file.path))
        .collect())
}
