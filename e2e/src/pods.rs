//! Which pod has which address: the pods that want to be scraped (`prometheus.io/scrape: "true"`), kept up to date
//! by one watch.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use futures::{StreamExt as _, TryStreamExt as _};
use k8s_openapi::api::core::v1::Pod;
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Api, Client, ResourceExt as _};
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

/// The annotation of pods that serve metrics, as most Prometheus installations know it.
pub(crate) const SCRAPE: &str = "prometheus.io/scrape";
/// The port on which the sample application answers inside an isolated bed, where every port is free.
pub const SAMPLE_PORT: u16 = 8080;
/// The label by which Rollouts tell versions apart.
const ROLLOUT_HASH: &str = "rollouts-pod-template-hash";

/// What the bed knows about one pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PodInfo {
    pub(crate) uid: String,
    pub(crate) namespace: String,
    pub(crate) name: String,
    /// The tag of the first container's image.
    pub(crate) version: String,
    /// The label `app` or `app.kubernetes.io/name`.
    pub(crate) app: String,
    /// The pod template's hash, of a Rollout or a Deployment.
    pub(crate) hash: String,
    pub(crate) port: u16,
    pub(crate) annotations: HashMap<String, String>,
}

/// Pods by address.
pub(crate) type Directory = Arc<HashMap<IpAddr, PodInfo>>;

/// Follows the cluster's pods; the receiver shows the newest state.
pub(crate) fn follow(client: Client) -> (watch::Receiver<Directory>, AbortOnDropHandle<()>) {
    let (sender, receiver) = watch::channel(Directory::default());
    let task = tokio::spawn(async move {
        let api: Api<Pod> = Api::all(client);
        let mut events = watcher(api, watcher::Config::default())
            .default_backoff()
            .boxed();
        let mut pods = HashMap::new();
        let mut fresh = HashMap::new();
        loop {
            match events.try_next().await {
                Ok(Some(event)) => {
                    if note(event, &mut pods, &mut fresh) {
                        sender.send_replace(Arc::new(pods.clone()));
                    }
                }
                Ok(None) => return,
                Err(error) => tracing::debug!(%error, "watching pods"),
            }
        }
    });
    (receiver, AbortOnDropHandle::new(task))
}

/// Takes one event in; true when `pods` may have changed. `fresh` collects a new list until it is complete.
fn note(
    event: watcher::Event<Pod>,
    pods: &mut HashMap<IpAddr, PodInfo>,
    fresh: &mut HashMap<IpAddr, PodInfo>,
) -> bool {
    match event {
        watcher::Event::Init => fresh.clear(),
        watcher::Event::InitApply(pod) => fresh.extend(read(&pod)),
        watcher::Event::InitDone => *pods = std::mem::take(fresh),
        watcher::Event::Apply(pod) => match read(&pod) {
            Some((address, info)) => {
                pods.insert(address, info);
            }
            None => forget(pods, &pod),
        },
        watcher::Event::Delete(pod) => forget(pods, &pod),
    }
    true
}

fn forget(pods: &mut HashMap<IpAddr, PodInfo>, pod: &Pod) {
    let uid = pod.uid().unwrap_or_default();
    pods.retain(|_, info| info.uid != uid);
}

/// None for a pod that serves nothing (yet, or any more).
fn read(pod: &Pod) -> Option<(IpAddr, PodInfo)> {
    let status = pod.status.as_ref()?;
    let annotations = pod.annotations();
    if annotations.get(SCRAPE).map(String::as_str) != Some("true")
        || status.phase.as_deref() != Some("Running")
        || pod.metadata.deletion_timestamp.is_some()
    {
        return None;
    }
    let address = status.pod_ip.as_ref()?.parse().ok()?;
    let image = pod
        .spec
        .as_ref()?
        .containers
        .first()?
        .image
        .clone()
        .unwrap_or_default();
    let labels = pod.labels();
    let label = |names: &[&str]| {
        names
            .iter()
            .find_map(|name| labels.get(*name))
            .cloned()
            .unwrap_or_default()
    };
    let info = PodInfo {
        uid: pod.uid()?,
        namespace: pod.namespace()?,
        name: pod.name_any(),
        version: tag(&image).to_owned(),
        app: label(&["app", "app.kubernetes.io/name"]),
        hash: label(&[ROLLOUT_HASH, "pod-template-hash"]),
        port: annotations
            .get("prometheus.io/port")
            .and_then(|port| port.parse().ok())
            .unwrap_or(SAMPLE_PORT),
        annotations: annotations.clone().into_iter().collect(),
    };
    Some((address, info))
}

/// `registry:5000/shop:1.2@sha256:...` has the tag `1.2`; without a tag it is `latest`.
fn tag(image: &str) -> &str {
    let image = image.split('@').next().unwrap_or(image);
    match image.rsplit_once(':') {
        Some((_, tag)) if !tag.contains('/') => tag,
        _ => "latest",
    }
}

#[cfg(test)]
mod tests {
    use super::tag;

    #[test]
    fn tags_of_images() {
        assert_eq!(tag("shop:1.0"), "1.0");
        assert_eq!(tag("localhost:5000/shop"), "latest");
        assert_eq!(tag("localhost:5000/shop:bad@sha256:00"), "bad");
    }
}
