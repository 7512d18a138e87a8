//! What is in the ConfigMaps of the target namespace, as a watch shows it.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use futures::{StreamExt as _, TryStreamExt as _};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Api, Client, ResourceExt as _};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

/// The key that is watched.
pub(super) const KEY: &str = "payload";
/// Changes that may wait to be read.
const WAITING: usize = 1024;

struct Change {
    name: String,
    value: String,
    at: Instant,
}

/// Changes from the moment at which this was made.
pub(super) struct Contents {
    changes: mpsc::Receiver<Change>,
    _watch: AbortOnDropHandle<()>,
}

impl Contents {
    /// Begins to watch a namespace. Returns when the list before the watch was read.
    pub(super) async fn of(client: Client, namespace: &str) -> Result<Self> {
        let api: Api<ConfigMap> = Api::namespaced(client, namespace);
        let (send, changes) = mpsc::channel(WAITING);
        let (listed, ready) = tokio::sync::oneshot::channel();
        let watch = tokio::spawn(async move {
            let mut events = watcher(api, watcher::Config::default())
                .default_backoff()
                .boxed();
            let mut listed = Some(listed);
            loop {
                match events.try_next().await {
                    Ok(Some(watcher::Event::Apply(map))) => {
                        let change = Change {
                            name: map.name_any(),
                            value: value(map),
                            at: Instant::now(),
                        };
                        if send.send(change).await.is_err() {
                            return;
                        }
                    }
                    Ok(Some(watcher::Event::InitDone)) => {
                        let _heard = listed.take().map(|listed| listed.send(()));
                    }
                    Ok(Some(_)) => {}
                    Ok(None) => return,
                    Err(error) => tracing::warn!(%error, "watching ConfigMaps"),
                }
            }
        });
        let watch = AbortOnDropHandle::new(watch);
        ready.await.context("the watch of ConfigMaps ended")?;
        Ok(Self {
            changes,
            _watch: watch,
        })
    }

    /// When a ConfigMap was shown with this value; `None` when it was not within `most`. Changes that were shown before
    /// it are forgotten.
    pub(super) async fn until(
        &mut self,
        name: &str,
        value: &str,
        most: Duration,
    ) -> Result<Option<Instant>> {
        let end = Instant::now() + most;
        loop {
            match tokio::time::timeout_at(end, self.changes.recv()).await {
                Err(_) => return Ok(None),
                Ok(None) => bail!("the watch of ConfigMaps ended"),
                Ok(Some(change)) if change.name == name && change.value == value => {
                    return Ok(Some(change.at));
                }
                Ok(Some(_)) => {}
            }
        }
    }
}

fn value(map: ConfigMap) -> String {
    let mut data = map.data.unwrap_or_default();
    data.remove(KEY).unwrap_or_default()
}
