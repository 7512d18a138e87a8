//! What kustomizations name by address: fetched by the controller, by its own rules, and put beside the other files.

use std::collections::BTreeSet;

use reconcile_core::credentials::redact_url;
use sha2::{Digest, Sha256};

use super::{
    super::{Remotes, RenderError, large_files::too_many_rounds, renderer::Job, sandbox::Sandbox},
    address::{Address, RemoteFolder},
};
use crate::repo::{Commit, RepoError, SourceTree, join};

/// Folders and files by address that one source may lead to.
const MAX_REMOTE: usize = 50;
/// Folder of the sandbox for repositories beside that of the source.
const FOLDER: &str = "remote";

/// Addresses that were met, and the repositories behind them.
pub(super) struct RemotePlaces<'a> {
    job: &'a Job<'a>,
    repositories: Vec<Repository>,
    seen: BTreeSet<Address>,
    pending: Vec<(usize, String)>,
}

struct Repository {
    url: String,
    revision: String,
    commit: Commit,
}

/// A folder of another repository.
pub(super) struct Base {
    repository: usize,
    /// Folder of the sandbox with the files of the repository.
    pub(super) prefix: String,
    /// Path in the repository.
    pub(super) path: String,
}

fn unreadable(repository: &str, error: &RepoError) -> RenderError {
    RenderError::Base {
        url: redact_url(repository),
        transient: error.is_transient(),
        reason: error.to_string(),
    }
}

/// Where an address stands in a kustomization.
pub(super) struct Place<'a> {
    /// The file that names it.
    pub(super) file: &'a str,
    /// The field.
    pub(super) field: &'a str,
    /// Path of the folder of the file below the sandbox.
    pub(super) folder: &'a str,
}

impl Place<'_> {
    fn refused(&self, address: &str, reason: &str) -> RenderError {
        RenderError::File {
            path: self.file.to_owned(),
            reason: format!("{}: {:?} {reason}", self.field, shown(address)),
        }
    }
}

impl<'a> RemotePlaces<'a> {
    pub(super) fn new(job: &'a Job<'a>) -> Self {
        Self {
            job,
            repositories: Vec::new(),
            seen: BTreeSet::new(),
            pending: Vec::new(),
        }
    }

    /// Fetches what is at an address, and gives the text that stands for it in the kustomization.
    pub(super) fn fetch(
        &mut self,
        sandbox: &Sandbox,
        place: &Place<'_>,
        text: &str,
    ) -> Result<String, RenderError> {
        let Some(remotes) = self.job.remotes else {
            return Err(place.refused(
                text,
                "is remote, and remote files are not fetched here: put them into the repository",
            ));
        };
        let address = Address::parse(text).ok_or_else(|| {
            place.refused(text, "is neither a path nor an address of a repository")
        })?;
        let is_new = self.seen.insert(address.clone());
        if self.seen.len() > MAX_REMOTE {
            return Err(place.refused(
                text,
                &format!("is one of more than {MAX_REMOTE} remote places"),
            ));
        }
        match address {
            Address::File(url) => file(remotes, sandbox, place, &url),
            Address::Folder(folder) => {
                let index = self.repository(remotes, place, text, &folder)?;
                if is_new {
                    self.pending.push((index, folder.path.clone()));
                }
                let up = "../".repeat(place.folder.split('/').count());
                Ok(format!("{up}{}", join(&prefix(index), &folder.path)))
            }
        }
    }

    /// The index of the repository of a folder.
    fn repository(
        &mut self,
        remotes: &Remotes,
        place: &Place<'_>,
        text: &str,
        folder: &RemoteFolder,
    ) -> Result<usize, RenderError> {
        let known = self
            .repositories
            .iter()
            .position(|known| known.url == folder.repository && known.revision == folder.revision);
        if let Some(known) = known {
            return Ok(known);
        }
        if let Some(refusal) = self.job.refusal(remotes, &folder.repository) {
            return Err(place.refused(text, &format!("is in another repository: {refusal}")));
        }
        let commit = remotes
            .commit(&folder.repository, &folder.revision)
            .map_err(|error| unreadable(&folder.repository, &error))?;
        self.repositories.push(Repository {
            url: folder.repository.clone(),
            revision: folder.revision.clone(),
            commit,
        });
        Ok(self.repositories.len() - 1)
    }

    /// The next folder to copy.
    pub(super) fn take_next(&mut self) -> Option<Base> {
        let (index, path) = self.pending.pop()?;
        Some(Base {
            repository: index,
            prefix: prefix(index),
            path,
        })
    }

    /// The files of a folder's repository.
    pub(super) fn tree(&self, base: &Base) -> Result<SourceTree, RenderError> {
        Ok(self.repositories[base.repository].commit.tree()?)
    }

    /// Downloads what was read of a folder's repository and is only a pointer of Git LFS.
    pub(super) fn complete(&self, base: &Base) -> Result<(), RenderError> {
        let repository = &self.repositories[base.repository];
        let Some(remotes) = self.job.remotes else {
            return Ok(());
        };
        let completed = remotes.complete(&repository.commit);
        completed.map_err(|error| unreadable(&repository.url, &error))
    }

    /// A folder whose downloads lead to more downloads without end.
    pub(super) fn endless(&self, base: &Base) -> RenderError {
        unreadable(&self.repositories[base.repository].url, &too_many_rounds())
    }
}

/// An address for messages: what follows the path may be a token.
fn shown(address: &str) -> String {
    redact_url(address.split('?').next().unwrap_or_default())
}

fn prefix(index: usize) -> String {
    format!("{FOLDER}/{index}")
}

/// Downloads a file into the folder of the kustomization: the program reads no file outside of it.
fn file(
    remotes: &Remotes,
    sandbox: &Sandbox,
    place: &Place<'_>,
    url: &str,
) -> Result<String, RenderError> {
    let content = remotes.values(url).map_err(|error| RenderError::Download {
        what: format!("a file of {}", place.field),
        url: shown(url),
        error: Box::new(error),
    })?;
    let name = format!(".remote-{}.yaml", hex::encode(&Sha256::digest(url)[..8]));
    sandbox.write(&join(place.folder, &name), &content)?;
    Ok(name)
}
