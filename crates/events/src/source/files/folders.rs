//! Which folders of this machine sources may watch: none, unless a flag says so.

use std::{
    fmt,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
    str::FromStr,
    sync::Arc,
};

use rustix::{
    fs::{CWD, Mode, OFlags, ResolveFlags, openat, openat2},
    io::Errno,
};
use thiserror::Error;

use super::has_parents;

/// The flag that names them.
const FLAG: &str = "--watched-folders";

/// A folder that EventSources of a namespace may watch, with all that is below.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WatchedFolder {
    /// Of all namespaces when absent.
    namespace: Option<String>,
    path: PathBuf,
}

/// The text is not `NAMESPACE=PATH`.
#[derive(Debug, Error)]
#[error("must be NAMESPACE=PATH with an absolute path without ..; NAMESPACE is * for all")]
pub struct WatchedFolderError;

impl FromStr for WatchedFolder {
    type Err = WatchedFolderError;

    fn from_str(text: &str) -> Result<Self, WatchedFolderError> {
        let (namespace, path) = text.split_once('=').ok_or(WatchedFolderError)?;
        let path = PathBuf::from(path);
        if namespace.is_empty() || !path.is_absolute() || has_parents(&path) {
            return Err(WatchedFolderError);
        }
        let namespace = (namespace != "*").then(|| namespace.to_owned());
        Ok(Self { namespace, path })
    }
}

/// All of them. Clones share the list.
#[derive(Clone, Debug)]
pub struct WatchedFolders(Arc<[WatchedFolder]>);

impl Default for WatchedFolders {
    fn default() -> Self {
        Self::new(Vec::new())
    }
}

/// A folder that is not watched.
#[derive(Debug, Error)]
pub(super) enum FolderError {
    #[error("namespace {0} may not watch it: {FLAG} of the controller names no such folder")]
    Refused(String),
    #[error(
        "there is no such folder in the pod of the controller: mount it there (chart: controller.volumes and \
         controller.volumeMounts)"
    )]
    Absent,
    #[error("a symbolic link leads out of {}", .0.display())]
    Outside(PathBuf),
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

impl WatchedFolders {
    /// These.
    pub fn new(folders: Vec<WatchedFolder>) -> Self {
        Self(folders.into())
    }

    /// Opens a folder for a namespace. What links inside lead to outside of the permitted folder is not opened.
    pub(super) fn open(&self, namespace: &str, directory: &Path) -> Result<OwnedFd, FolderError> {
        let permitted = self.0.iter().filter(|folder| {
            let for_it = folder.namespace.as_deref();
            for_it.is_none_or(|name| name == namespace) && directory.starts_with(&folder.path)
        });
        let root = permitted.max_by_key(|folder| folder.path.as_os_str().len());
        let refused = || FolderError::Refused(namespace.to_owned());
        let root = &root.ok_or_else(refused)?.path;
        let below = directory.strip_prefix(root).map_err(|_| refused())?;
        let below = if below.as_os_str().is_empty() {
            Path::new(".")
        } else {
            below
        };
        let failed = |error: Errno| match error {
            Errno::NOENT => FolderError::Absent,
            Errno::XDEV | Errno::LOOP => FolderError::Outside(root.clone()),
            error => FolderError::Io(error.into()),
        };
        let flags = OFlags::DIRECTORY | OFlags::CLOEXEC;
        let top = openat(CWD, root, flags | OFlags::PATH, Mode::empty()).map_err(failed)?;
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
        openat2(top, below, flags | OFlags::RDONLY, Mode::empty(), resolve).map_err(failed)
    }
}

impl fmt::Display for WatchedFolder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let namespace = self.namespace.as_deref().unwrap_or("*");
        write!(f, "{namespace}={}", self.path.display())
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::symlink};

    use super::*;

    #[test]
    fn only_what_the_flag_names_is_opened_and_links_lead_nowhere_else() {
        let place = tempfile::tempdir().expect("a folder");
        let path = place.path();
        for name in ["shop/in", "other"] {
            fs::create_dir_all(path.join(name)).expect("made");
        }
        symlink(path.join("other"), path.join("shop/out")).expect("linked");
        symlink("in", path.join("shop/alias")).expect("linked");
        let flag = format!("shop={}", path.join("shop").display());
        let folders = WatchedFolders::new(vec![flag.parse().expect("good")]);
        let open = |namespace: &str, name: &str| {
            let opened = folders.open(namespace, &path.join(name));
            opened.err().map(|error| error.to_string())
        };
        assert_eq!(open("shop", "shop"), None);
        assert_eq!(open("shop", "shop/in"), None);
        assert_eq!(open("shop", "shop/alias"), None);
        let refused = |error: Option<String>, part: &str| {
            assert!(error.is_some_and(|error| error.contains(part)), "{part}");
        };
        refused(open("shop", "shop/out"), "leads out");
        refused(open("shop", "other"), "may not watch");
        refused(open("shop", "shop-2"), "may not watch");
        refused(open("evil", "shop"), "may not watch");
        refused(open("shop", "shop/none"), "mount it");
        let all: WatchedFolder = format!("*={}", path.display()).parse().expect("good");
        assert_eq!(all.to_string(), format!("*={}", path.display()));
        let folders = WatchedFolders::new(vec![all]);
        assert!(folders.open("any", &path.join("other")).is_ok());
    }

    #[test]
    fn the_flag_is_checked() {
        for text in ["", "/data", "=/data", "shop=data", "shop=/data/../etc"] {
            assert!(text.parse::<WatchedFolder>().is_err(), "{text}");
        }
    }
}
