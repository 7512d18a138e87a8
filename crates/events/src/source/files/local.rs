//! `file`: changes in a folder of the pod of this process. What happens while nobody watches is not seen.

use std::{io, os::fd::OwnedFd, path::PathBuf, sync::Arc, time::Duration};

use futures::{FutureExt, future::BoxFuture};
use reconcile_core::object::FieldError;
use rustix::fs::{AtFlags, Dir, fstat, statat};
use serde::Deserialize;

use super::{
    Op, WatchPathConfig, Watched,
    folders::FolderError,
    listing::{Listing, MOST, Seen, changes},
    notifications::{Notice, Notifications},
};
use crate::source::kind::{Input, Source, SourceContext, SourceError, SourceKind};

pub(in crate::source) const KIND: SourceKind = SourceKind {
    key: "file",
    check: |input| Ok(Arc::new(check(input)?)),
};

/// How often files are compared with `polling`.
const POLL: Duration = Duration::from_secs(1);

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Settings {
    event_type: String,
    watch_path_config: WatchPathConfig,
    polling: bool,
}

#[derive(Debug)]
struct Local {
    watched: Watched,
    polling: bool,
}

fn check(input: &Input<'_>) -> Result<Local, FieldError> {
    let settings: Settings = input.decode()?;
    Ok(Local {
        watched: Watched::check(
            input,
            &Op::ALL,
            &settings.event_type,
            settings.watch_path_config,
        )?,
        polling: settings.polling,
    })
}

impl Source for Local {
    fn run<'s>(&'s self, context: &'s SourceContext) -> BoxFuture<'s, Result<(), SourceError>> {
        self.follow(context).boxed()
    }
}

impl Local {
    async fn follow(&self, context: &SourceContext) -> Result<(), SourceError> {
        let (folders, namespace) = (
            context.folders.clone(),
            context.emitter.key.namespace.clone(),
        );
        let directory = PathBuf::from(&self.watched.directory);
        // A folder of a file server may take long.
        let opened = blocking(move || folders.open(&namespace, &directory));
        let folder = opened.await.map_err(|error| self.failed(&error))?;
        if self.polling {
            return self.poll(context, folder).await;
        }
        let notifications = Notifications::of(&folder);
        // The kernel says that a folder is gone once nobody has it open.
        drop(folder);
        let notifications = notifications.map_err(|error| self.failed(&error.into()))?;
        context.report(None);
        loop {
            let notices = notifications.next().await;
            for notice in notices.map_err(|error| self.failed(&error.into()))? {
                match notice {
                    Notice::Changed(change) => {
                        if self.watched.wants(change.op, &change.name) {
                            // Notifications have the path of the file, comparisons its name.
                            let directory = self.watched.directory.trim_end_matches('/');
                            let path = format!("{directory}/{}", change.name);
                            self.watched.pass_on(context, &path).await;
                        }
                    }
                    Notice::Overflow => {
                        context.refused();
                        tracing::warn!(eventsource = %context.emitter.key, event = context.event(), "changes of files dropped: more came in than the bus took");
                    }
                    Notice::Gone => return Err(self.failed(&FolderError::Absent)),
                }
            }
        }
    }

    /// Compares the folder from time to time, for file systems that notify nobody.
    async fn poll(&self, context: &SourceContext, folder: OwnedFd) -> Result<(), SourceError> {
        let folder = Arc::new(folder);
        let look = || {
            let folder = folder.clone();
            blocking(move || listing(&folder))
        };
        let mut known = look().await.map_err(|error| self.failed(&error))?;
        context.report(None);
        loop {
            tokio::time::sleep(POLL).await;
            let found = look().await.map_err(|error| self.failed(&error))?;
            for change in changes(&known, &found) {
                if self.watched.wants(change.op, &change.name) {
                    self.watched.pass_on(context, &change.name).await;
                }
            }
            known = found;
        }
    }

    fn failed(&self, error: &FolderError) -> SourceError {
        SourceError::Server {
            server: self.watched.directory.clone(),
            reason: error.to_string(),
        }
    }
}

async fn blocking<R: Send + 'static>(
    work: impl FnOnce() -> Result<R, FolderError> + Send + 'static,
) -> Result<R, FolderError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|error| Err(io::Error::other(error).into()))
}

/// What is in a folder.
fn listing(folder: &OwnedFd) -> Result<Listing, FolderError> {
    if fstat(folder).map_err(io::Error::from)?.st_nlink == 0 {
        return Err(FolderError::Absent);
    }
    let mut found = Listing::new();
    for entry in Dir::read_from(folder).map_err(io::Error::from)? {
        let entry = entry.map_err(io::Error::from)?;
        let name = entry.file_name();
        if matches!(name.to_bytes(), b"." | b"..") {
            continue;
        }
        // One that is gone meanwhile is not there.
        let Ok(stat) = statat(folder, name, AtFlags::SYMLINK_NOFOLLOW) else {
            continue;
        };
        if found.len() >= MOST {
            let reason = format!("the folder has more than {MOST} files");
            return Err(io::Error::other(reason).into());
        }
        let seconds = i128::from(stat.st_mtime) * 1_000_000_000;
        let modified = seconds + i128::from(stat.st_mtime_nsec);
        let seen = Seen {
            size: u64::try_from(stat.st_size).unwrap_or_default(),
            modified: i64::try_from(modified).unwrap_or_default(),
            mode: stat.st_mode,
            number: stat.st_ino,
        };
        found.insert(name.to_string_lossy().into_owned(), seen);
    }
    Ok(found)
}
