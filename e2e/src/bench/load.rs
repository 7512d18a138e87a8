//! Many objects at once, as fast as the API server takes them.

use std::collections::HashMap;

use anyhow::{Context as _, Result};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use kube::api::{DynamicObject, Patch, PatchParams, PostParams};
use kube::{Api, ResourceExt as _};
use serde_json::Value;
use tokio::time::Instant;

/// Requests under way at once: enough to keep two cores busy, too few to fill the API server's queue.
const AT_ONCE: usize = 16;

/// When each object's request was sent, by name.
pub(crate) type Sent = HashMap<String, Instant>;

/// Creates all of them.
pub(crate) async fn create(api: &Api<DynamicObject>, objects: Vec<Value>) -> Result<Sent> {
    stream::iter(objects)
        .map(|object| async move {
            let object: DynamicObject = serde_json::from_value(object)?;
            let sent = Instant::now();
            api.create(&PostParams::default(), &object)
                .await
                .context("creating the load")?;
            Ok((object.name_any(), sent))
        })
        .buffer_unordered(AT_ONCE)
        .try_collect()
        .await
}

/// Sends the same merge patch to all of them.
pub(crate) async fn patch(
    api: &Api<DynamicObject>,
    names: &[String],
    body: &Value,
) -> Result<Sent> {
    stream::iter(names)
        .map(|name| async move {
            let sent = Instant::now();
            api.patch(name, &PatchParams::default(), &Patch::Merge(body))
                .await
                .with_context(|| format!("changing {name}"))?;
            Ok((name.clone(), sent))
        })
        .buffer_unordered(AT_ONCE)
        .try_collect()
        .await
}
