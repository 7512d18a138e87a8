//! The files that a kustomization reads: its folder, and what its fields name outside of it.
//!
//! What they name by address is fetched by the controller and put beside the other files. The program itself reaches no
//! network.

use std::collections::BTreeSet;

use reconcile_core::yaml;
use serde_json::Value;

use super::{
    super::{RenderError, large_files::ROUNDS, renderer::Job, sandbox::Sandbox},
    charts::Charts,
    options::Build,
    places::{INLINE, is_remote, places},
    remote::{Base, Place, RemotePlaces},
};
use crate::{
    api::KustomizeSource,
    repo::{Found, SourceTree, clean, join},
};

/// Names of the file that makes a folder a kustomization.
pub(super) const FILES: &[&str] = &["kustomization.yaml", "kustomization.yml", "Kustomization"];
/// Bytes of a kustomization.
const MAX_BYTES: u64 = 1024 * 1024;
/// Kustomizations of one source, those of its bases included.
const MAX_KUSTOMIZATIONS: usize = 500;

/// The kustomization of the source.
pub(super) struct Root {
    /// Its folder below the root of the repository.
    pub(super) folder: String,
    /// Name of its file.
    pub(super) file: String,
}

/// Writes everything to the sandbox that the kustomization of the source reads.
pub(super) fn copy<'a>(
    job: &'a Job<'a>,
    sandbox: &Sandbox,
    build: &Build,
    options: &KustomizeSource,
) -> Result<Root, RenderError> {
    let tree = job.tree;
    let start = tree.folder(&job.source.path)?;
    let file = file_of(tree, &start)?.ok_or_else(|| {
        RenderError::field(
            "path",
            format!("there is no {} in {:?}", FILES[0], job.source.path),
        )
    })?;
    let root = Root {
        folder: start.path.clone(),
        file,
    };
    let mut remotes = RemotePlaces::new(job);
    let mut closure = Closure {
        job,
        tree,
        sandbox,
        prefix: "tree".to_owned(),
        helm: build.helm,
        remotes: &mut remotes,
        copied: BTreeSet::new(),
        seen: BTreeSet::new(),
        pending: vec![start.clone()],
    };
    for component in &options.components {
        closure.add(&start, component)?;
    }
    for patch in options
        .patches
        .iter()
        .filter(|patch| !patch.path.is_empty())
    {
        closure.add(&start, &patch.path)?;
    }
    closure.run()?;
    while let Some(base) = remotes.take_next() {
        copy_base(job, sandbox, build, &mut remotes, &base)?;
    }
    Ok(root)
}

/// Writes what a base of another repository reads. It begins again when that was in part a pointer of Git LFS.
fn copy_base<'a>(
    job: &'a Job<'a>,
    sandbox: &Sandbox,
    build: &Build,
    remotes: &mut RemotePlaces<'a>,
    base: &Base,
) -> Result<(), RenderError> {
    for _ in 0..ROUNDS {
        let tree = remotes.tree(base)?;
        let start = tree.folder(&base.path)?;
        let mut closure = Closure {
            job,
            tree: &tree,
            sandbox,
            prefix: base.prefix.clone(),
            helm: build.helm,
            remotes: &mut *remotes,
            copied: BTreeSet::new(),
            seen: BTreeSet::new(),
            // A link keeps its name: the program finds the folder where the kustomization says.
            pending: vec![Found {
                path: base.path.clone(),
                ..start
            }],
        };
        let copied = closure.run();
        if !tree.lacks_files() {
            return copied;
        }
        // Whatever it is, it was made of pointers.
        remotes.complete(base)?;
    }
    Err(remotes.endless(base))
}

/// The name of the kustomization of a folder.
fn file_of(tree: &SourceTree, folder: &Found) -> Result<Option<String>, RenderError> {
    let entries = tree.entries(folder)?;
    let name = FILES
        .iter()
        .find(|name| entries.iter().any(|(entry, _)| entry == *name));
    Ok(name.map(|name| (*name).to_owned()))
}

/// What a kustomization reads of one tree.
struct Closure<'a, 't> {
    job: &'a Job<'a>,
    tree: &'t SourceTree,
    sandbox: &'t Sandbox,
    /// Folder of the sandbox with the tree.
    prefix: String,
    /// Charts inside of kustomizations are rendered.
    helm: bool,
    remotes: &'t mut RemotePlaces<'a>,
    /// Folders in the sandbox, and files beside them.
    copied: BTreeSet<String>,
    /// Folders of kustomizations.
    seen: BTreeSet<String>,
    pending: Vec<Found>,
}

impl Closure<'_, '_> {
    fn run(&mut self) -> Result<(), RenderError> {
        while let Some(folder) = self.pending.pop() {
            self.job.check_interrupt()?;
            self.read(&folder)?;
        }
        Ok(())
    }

    /// Copies a folder and follows what its kustomization names.
    fn read(&mut self, folder: &Found) -> Result<(), RenderError> {
        if !self.seen.insert(folder.path.clone()) {
            return Ok(());
        }
        if self.seen.len() > MAX_KUSTOMIZATIONS {
            return Err(RenderError::field(
                "path",
                format!("it leads to more than {MAX_KUSTOMIZATIONS} kustomizations"),
            ));
        }
        self.copy_folder(folder)?;
        let Some(name) = file_of(self.tree, folder)? else {
            return Ok(());
        };
        let path = join(&folder.path, &name);
        let broken = |reason: String| RenderError::File {
            path: path.clone(),
            reason,
        };
        let content = self.tree.file(&path, MAX_BYTES)?.unwrap_or_default();
        let text = String::from_utf8(content).map_err(|_| broken("it is not UTF-8 text".into()))?;
        let mut kustomization = yaml::value(&text).map_err(|error| broken(error.to_string()))?;
        self.place_charts(folder, &path, &kustomization)?;
        let fetched = self.fetch_remotes(folder, &path, &mut kustomization)?;
        for (field, place) in places(&kustomization) {
            if !fetched.contains(place) {
                self.follow(folder, &path, field, place)?;
            }
        }
        if !fetched.is_empty() {
            let text = yaml::to_string(&kustomization);
            self.sandbox
                .write(&join(&self.prefix, &path), text.as_bytes())?;
        }
        Ok(())
    }

    /// Puts the charts of a kustomization where the program looks for them.
    fn place_charts(
        &mut self,
        folder: &Found,
        file: &str,
        kustomization: &Value,
    ) -> Result<(), RenderError> {
        let broken = |reason: &str| RenderError::File {
            path: file.to_owned(),
            reason: reason.to_owned(),
        };
        if kustomization.get("helmChartInflationGenerator").is_some() {
            return Err(broken(
                "helmChartInflationGenerator is not supported: write it as helmCharts",
            ));
        }
        if kustomization.get("helmCharts").is_none() {
            return Ok(());
        }
        if !self.helm {
            return Err(broken(
                "helmCharts needs --enable-helm in kustomize.buildOptions of argocd-cm; or make the chart a source of its own",
            ));
        }
        if let Some(home) = Charts::home(kustomization) {
            self.add(folder, home)?;
        }
        let charts = Charts {
            job: self.job,
            sandbox: self.sandbox,
            tree: self.tree,
            prefix: &self.prefix,
            folder: &folder.path,
            file,
        };
        charts.place(kustomization)
    }

    /// Fetches what resources and components name by address. Gives the texts that stand for them by now.
    fn fetch_remotes(
        &mut self,
        folder: &Found,
        file: &str,
        kustomization: &mut Value,
    ) -> Result<BTreeSet<String>, RenderError> {
        let mut fetched = BTreeSet::new();
        let whole = join(&self.prefix, &folder.path);
        let whole = whole.trim_end_matches('/');
        for field in ["resources", "bases", "components"] {
            let items = kustomization.get_mut(field).and_then(Value::as_array_mut);
            for item in items.into_iter().flatten() {
                let Some(text) = item.as_str().map(str::to_owned) else {
                    continue;
                };
                if !is_remote(&text) || self.add(folder, &text)? {
                    continue;
                }
                let place = Place {
                    file,
                    field,
                    folder: whole,
                };
                let here = self.remotes.fetch(self.sandbox, &place, &text)?;
                *item = Value::String(here.clone());
                fetched.insert(here);
            }
        }
        Ok(fetched)
    }

    /// Follows one item of a field.
    fn follow(
        &mut self,
        folder: &Found,
        file: &str,
        field: &str,
        place: &str,
    ) -> Result<(), RenderError> {
        if INLINE.contains(&field) && place.contains('\n') {
            return Ok(());
        }
        let broken = |reason: String| RenderError::File {
            path: file.to_owned(),
            reason,
        };
        if place.starts_with('/') {
            return Err(broken(format!("{field}: {place:?} must be relative")));
        }
        if self.add(folder, place)? {
            return Ok(());
        }
        let reason = if is_remote(place) {
            format!(
                "{field}: {:?} is remote, and only resources and components are fetched: put it into the repository",
                reconcile_core::credentials::redact_url(place)
            )
        } else {
            format!("{field}: {place:?} does not exist in the repository")
        };
        Err(broken(reason))
    }

    /// Adds what `place` names, relative to `folder`. False when there is nothing.
    fn add(&mut self, folder: &Found, place: &str) -> Result<bool, RenderError> {
        if place.contains("://") {
            return Ok(false);
        }
        let path = clean(&join(&folder.path, place))?;
        let Some(found) = self.tree.look(&path)? else {
            return Ok(false);
        };
        if found.is_folder() {
            // A link keeps its name: the program finds the folder where the kustomization says.
            self.pending.push(Found {
                path,
                node: found.node,
            });
        } else if !self.is_copied(&path) {
            if let Some(content) = self.tree.file(&path, MAX_BYTES)? {
                self.sandbox.write(&join(&self.prefix, &path), &content)?;
            }
            self.copied.insert(path);
        }
        Ok(true)
    }

    fn copy_folder(&mut self, folder: &Found) -> Result<(), RenderError> {
        if !self.is_copied(&folder.path) {
            self.sandbox
                .copy(self.tree, folder, &join(&self.prefix, &folder.path))?;
            self.copied.insert(folder.path.clone());
        }
        Ok(())
    }

    /// True when the path or a folder above it is in the sandbox.
    fn is_copied(&self, path: &str) -> bool {
        self.copied.contains("")
            || self.copied.contains(path)
            || path
                .match_indices('/')
                .any(|(end, _)| self.copied.contains(&path[..end]))
    }
}
