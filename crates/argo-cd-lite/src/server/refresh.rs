//! A push that reaches a replica that does not act for an Application, because it does not lead or does not hold the shard.
//! Who acts hears of it as of any other request: by the annotation that asks for a refresh, which it takes as a wish to
//! read the refs of the repository again. The annotation stays until somebody acts, so no push is lost while a lease
//! changes hands.

use std::collections::BTreeSet;

use futures::StreamExt;
use kube::{
    Api, Client,
    api::{DynamicObject, Patch, PatchParams},
    core::GroupVersionKind,
};
use reconcile_core::{
    apply::resource_of,
    clock::Clock,
    error::error_chain,
    object::{Kind, ObjectKey, Root},
    shards::Authority,
    watch::Index,
};
use serde_json::{Value, json};

use crate::{
    api::{ANNOTATION_REFRESH, ANNOTATION_REFRESH_TIMESTAMP, Application, FIELD_MANAGER},
    repo::{chart_repository, host_and_path},
};

/// Applications that are patched at the same time.
const AT_ONCE: usize = 8;

/// Requests refreshes of Applications that other processes act for.
#[derive(Clone)]
pub struct RefreshRequests {
    /// Needs no lease: every replica may ask.
    pub client: Client,
    /// The Applications.
    pub apps: Index<Root<Application>>,
    /// For which Applications this process acts.
    pub authority: Authority,
    /// The clock.
    pub clock: Clock,
}

impl RefreshRequests {
    /// Requests a refresh of every Application that uses one of the repositories and that another process acts for; gives
    /// how many there are.
    pub async fn request(&self, urls: &[String]) -> usize {
        let pushed: BTreeSet<String> = urls.iter().map(|url| host_and_path(url)).collect();
        let mut concerned = Vec::new();
        self.apps.each(|key, root| {
            if self.authority.claim_of(key).is_none() && uses(root, &pushed) {
                let hard = root.annotation(ANNOTATION_REFRESH) == Some("hard");
                concerned.push((key.clone(), hard));
            }
        });
        let count = concerned.len();
        futures::stream::iter(concerned)
            .for_each_concurrent(AT_ONCE, |(key, hard)| async move {
                if let Err(error) = self.annotate(&key, hard).await {
                    tracing::warn!(application = %key, error = error_chain(&error), "cannot request a refresh");
                }
            })
            .await;
        count
    }

    /// A request for a hard refresh that nobody has answered yet stays one.
    async fn annotate(&self, key: &ObjectKey, hard: bool) -> Result<(), kube::Error> {
        let gvk =
            GroupVersionKind::gvk(Application::GROUP, Application::VERSION, Application::KIND);
        let resource = resource_of(&gvk, Application::PLURAL);
        let api: Api<DynamicObject> =
            Api::namespaced_with(self.client.clone(), &key.namespace, &resource);
        let patch = json!({ "metadata": { "annotations": {
            ANNOTATION_REFRESH: if hard { "hard" } else { "normal" },
            ANNOTATION_REFRESH_TIMESTAMP: self.clock.now().to_string(),
        }}});
        let params = PatchParams {
            field_manager: Some(FIELD_MANAGER.to_owned()),
            ..PatchParams::default()
        };
        let patch = Patch::Merge(patch);
        api.patch_metadata(&key.name, &params, &patch)
            .await
            .map(drop)
    }
}

fn uses(root: &Root<Application>, pushed: &BTreeSet<String>) -> bool {
    let spec = root.spec_value();
    let sources = spec.get("sources").and_then(Value::as_array);
    spec.get("source")
        .into_iter()
        .chain(sources.into_iter().flatten())
        .flat_map(locations)
        .any(|location| pushed.contains(&location))
}

/// Where a source is: its repository, and in a registry that of its chart.
fn locations(source: &Value) -> impl Iterator<Item = String> {
    let text = |name: &str| source.get(name).and_then(Value::as_str);
    let url = text("repoURL").map(host_and_path);
    let chart = text("repoURL").zip(text("chart").filter(|chart| !chart.is_empty()));
    let chart = chart.and_then(|(url, chart)| chart_repository(url, chart));
    url.into_iter().chain(chart)
}
