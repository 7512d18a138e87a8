//! Tells Prometheus which pods to scrape: a `file_sd` file, written again whenever pods come or go.

use std::path::{Path, PathBuf};

use anyhow::Result;
use kube::Client;
use serde_json::{Value, json};
use tokio_util::task::AbortOnDropHandle;

use crate::pods::{self, Directory};

/// The task that keeps the file; it ends when this is dropped.
#[derive(Debug)]
pub struct Targets {
    _watch: AbortOnDropHandle<()>,
    _writer: AbortOnDropHandle<()>,
}

impl Targets {
    /// Follows the pods and writes `file`.
    pub(crate) fn start(client: Client, file: PathBuf) -> Self {
        let (mut pods, watch) = pods::follow(client);
        let writer = tokio::spawn(async move {
            let mut written = Value::Null;
            loop {
                let wanted = render(&pods.borrow_and_update());
                if wanted != written {
                    match write(&file, &wanted).await {
                        Ok(()) => written = wanted,
                        Err(error) => tracing::warn!(%error, "Prometheus' targets"),
                    }
                }
                if pods.changed().await.is_err() {
                    return;
                }
            }
        });
        Self {
            _watch: watch,
            _writer: AbortOnDropHandle::new(writer),
        }
    }
}

fn render(pods: &Directory) -> Value {
    let mut groups: Vec<(&std::net::IpAddr, Value)> = pods
        .iter()
        .map(|(address, pod)| {
            let labels = json!({
                "namespace": pod.namespace,
                "pod": pod.name,
                "app": pod.app,
                "pod_template_hash": pod.hash,
                "rollouts_pod_template_hash": pod.hash,
            });
            (
                address,
                json!({"targets": [format!("{address}:{}", pod.port)], "labels": labels}),
            )
        })
        .collect();
    groups.sort_by_key(|(address, _)| **address);
    groups.into_iter().map(|(_, group)| group).collect()
}

/// Prometheus may read at any moment: the file is replaced, never half written.
async fn write(file: &Path, targets: &Value) -> Result<()> {
    let partial = file.with_extension("partial");
    tokio::fs::write(&partial, serde_json::to_vec_pretty(targets)?).await?;
    tokio::fs::rename(&partial, file).await?;
    Ok(())
}
