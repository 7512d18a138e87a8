//! Lists and watches a resource, and publishes what changed.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use futures::{StreamExt, stream};
use kube::{
    Api, Client, Error,
    api::{ListParams, WatchParams},
    core::{DynamicObject, TypeMeta, WatchEvent},
};
use serde::Serialize;
use serde_json::value::RawValue;

use super::{
    Change, Resource,
    position::{Known, Position},
};
use crate::source::{
    checkpoint::Checkpoint,
    kind::{SourceContext, SourceError},
};

/// Objects of one page of a list.
const PAGE: u32 = 100;
/// Changes that are published at the same time, before the position is written.
const AT_ONCE: usize = 64;

/// One change of one object.
struct Changed {
    change: Change,
    object: DynamicObject,
    json: Arc<str>,
    before: Option<Arc<str>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Payload<'p> {
    r#type: Change,
    body: &'p RawValue,
    old_body: Option<&'p RawValue>,
    group: &'p str,
    version: &'p str,
    resource: &'p str,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    metadata: &'p BTreeMap<String, String>,
}

/// What a source works on.
struct Run<'r> {
    context: &'r SourceContext,
    checkpoint: Checkpoint,
    position: Position,
    known: Known,
}

impl Resource {
    pub(super) async fn follow(&self, context: &SourceContext) -> Result<(), SourceError> {
        let mut checkpoint = context.checkpoint().await?;
        let now = context.emitter.clock.now();
        let what = format!("{:?} {:?} {}", self.watched, self.namespace, self.labels);
        let last = checkpoint.load::<Position>().await?;
        let position = last.filter(|last| last.what == what).unwrap_or(Position {
            what,
            since: now,
            version: None,
            at: now,
        });
        let mut run = Run {
            context,
            checkpoint,
            position,
            known: Known::default(),
        };
        // Beyond the first start, this list only shows what objects were before, for `oldBody`.
        let listed = self.list(&mut run, false).await?;
        if run.position.version.is_none() {
            run.reach(listed).await?;
        }
        context.report(None);
        loop {
            if !self.watch(&mut run).await? {
                let listed = self.list(&mut run, true).await?;
                run.reach(listed).await?;
            }
        }
    }

    /// Lists all objects and returns the version of the list. Publishes those that are new when the position is, and
    /// those that changed after it when there is a gap in the history.
    async fn list(&self, run: &mut Run<'_>, gap: bool) -> Result<String, SourceError> {
        let api = self.api(run.context).await?;
        let mut listed = BTreeSet::new();
        let mut page = ListParams::default().limit(PAGE);
        if !self.labels.is_empty() {
            page = page.labels(&self.labels);
        }
        loop {
            let list = api.list(&page).await.map_err(failed)?;
            let types = of_items(list.types);
            let mut changes = Vec::new();
            for mut object in list.items {
                object.types.get_or_insert_with(|| types.clone());
                let (uid, version) = (uid(&object), version(&object));
                let is_newer = run.position.is_before(&version);
                let change = if run.position.version.is_none() {
                    Some(Change::Add)
                } else if gap && is_newer {
                    let created = object.metadata.creation_timestamp.as_ref();
                    let is_new = created
                        .is_some_and(|time| time.0.as_second() >= run.position.at.as_second());
                    let is_new = is_new && !run.known.has(&uid);
                    Some(if is_new { Change::Add } else { Change::Update })
                } else {
                    None
                };
                let json = text(&object);
                // The watch that follows brings what is newer, and what that was before.
                let resumes = !gap && run.position.version.is_some();
                let before = if resumes && is_newer {
                    None
                } else {
                    run.known.replace(&uid, &version, &json)
                };
                listed.insert(uid);
                changes.extend(change.map(|change| Changed {
                    change,
                    object,
                    json,
                    before,
                }));
            }
            self.publish(run, changes).await;
            let Some(token) = list.metadata.continue_.filter(|token| !token.is_empty()) else {
                self.missing(run, &listed).await;
                return Ok(list.metadata.resource_version.unwrap_or_default());
            };
            page = page.continue_token(&token);
        }
    }

    /// Publishes the deletion of objects that a list no longer has.
    async fn missing(&self, run: &mut Run<'_>, listed: &BTreeSet<String>) {
        let gone = run.known.uids().filter(|uid| !listed.contains(*uid));
        let gone: Vec<String> = gone.cloned().collect();
        let changes = gone.iter().filter_map(|uid| {
            let json = run.known.remove(uid)?;
            let object = serde_json::from_str(&json).ok()?;
            Some(Changed {
                change: Change::Delete,
                object,
                json,
                before: None,
            })
        });
        let changes = changes.collect();
        self.publish(run, changes).await;
    }

    /// Follows changes from the position on. False when the API server no longer has its history.
    async fn watch(&self, run: &mut Run<'_>) -> Result<bool, SourceError> {
        // With a token that lives longer than the watch.
        let api = self.api(run.context).await?;
        let mut parameters = WatchParams::default();
        if !self.labels.is_empty() {
            parameters = parameters.labels(&self.labels);
        }
        let from = run.position.version.clone().unwrap_or_default();
        let events = match api.watch(&parameters, &from).await {
            Err(Error::Api(status)) if status.code == 410 => return Ok(false),
            events => events.map_err(failed)?,
        };
        let mut chunks = std::pin::pin!(events.ready_chunks(AT_ONCE));
        while let Some(chunk) = chunks.next().await {
            let mut changes = Vec::new();
            let mut reached = None;
            let mut outcome = Ok(None);
            for event in chunk {
                let (change, object) = match event {
                    Ok(WatchEvent::Added(object)) => (Change::Add, object),
                    Ok(WatchEvent::Modified(object)) => (Change::Update, object),
                    Ok(WatchEvent::Deleted(object)) => (Change::Delete, object),
                    Ok(WatchEvent::Bookmark(bookmark)) => {
                        reached = Some(bookmark.metadata.resource_version);
                        continue;
                    }
                    Ok(WatchEvent::Error(status)) if status.code == 410 => {
                        outcome = Ok(Some(false));
                        break;
                    }
                    Ok(WatchEvent::Error(status)) => {
                        outcome = Err(failed(Error::Api(status)));
                        break;
                    }
                    Err(error) => {
                        outcome = Err(failed(error));
                        break;
                    }
                };
                reached = Some(version(&object));
                changes.push(run.changed(change, object));
            }
            self.publish(run, changes).await;
            if let Some(version) = reached {
                run.reach(version).await?;
            }
            if let Some(followed) = outcome? {
                return Ok(followed);
            }
        }
        Ok(true)
    }

    /// Publishes changes, however long that takes.
    async fn publish(&self, run: &Run<'_>, changes: Vec<Changed>) {
        let wanted = changes.into_iter().filter(|changed| {
            let Changed {
                change,
                object,
                json,
                ..
            } = changed;
            self.changes.contains(change)
                && self.filter.wants(*change, object, json, run.position.since)
        });
        let mut published = stream::iter(wanted)
            .map(|changed| async move {
                let (Ok(body), Ok(before)) = (
                    serde_json::from_str::<&RawValue>(&changed.json),
                    changed
                        .before
                        .as_deref()
                        .map(serde_json::from_str)
                        .transpose(),
                ) else {
                    return;
                };
                let payload = Payload {
                    r#type: changed.change,
                    body,
                    old_body: before.filter(|_: &&RawValue| changed.change == Change::Update),
                    group: &self.watched.group,
                    version: &self.watched.version,
                    resource: &self.watched.plural,
                    metadata: run.context.metadata(),
                };
                let (uid, version) = (uid(&changed.object), version(&changed.object));
                let id = run
                    .context
                    .id(&format!("{uid}/{version}/{}", changed.change));
                run.context.emit_for_sure(id, &payload).await;
            })
            .buffered(AT_ONCE);
        while published.next().await.is_some() {}
    }

    async fn api(&self, context: &SourceContext) -> Result<Api<DynamicObject>, SourceError> {
        let client: Client = context.client().await?;
        Ok(match &self.namespace {
            Some(namespace) => Api::namespaced_with(client, namespace, &self.watched),
            None => Api::all_with(client, &self.watched),
        })
    }
}

impl Run<'_> {
    /// A change as it came in.
    fn changed(&mut self, change: Change, object: DynamicObject) -> Changed {
        let json = text(&object);
        let uid = uid(&object);
        let before = match change {
            Change::Delete => {
                self.known.remove(&uid);
                None
            }
            _ => self.known.replace(&uid, &version(&object), &json),
        };
        Changed {
            change,
            object,
            json,
            before,
        }
    }

    /// Everything up to this version is stored.
    async fn reach(&mut self, version: String) -> Result<(), SourceError> {
        if version.is_empty() || self.position.version.as_ref() == Some(&version) {
            return Ok(());
        }
        self.position.version = Some(version);
        self.position.at = self.context.emitter.clock.now();
        self.checkpoint.save(&self.position).await?;
        Ok(())
    }
}

fn uid(object: &DynamicObject) -> String {
    object.metadata.uid.clone().unwrap_or_default()
}

fn version(object: &DynamicObject) -> String {
    object.metadata.resource_version.clone().unwrap_or_default()
}

fn text(object: &DynamicObject) -> Arc<str> {
    let text = serde_json::to_string(object);
    text.expect("objects have string keys only").into()
}

/// `PodList` holds objects of kind `Pod`, which do not say so themselves.
fn of_items(list: TypeMeta) -> TypeMeta {
    let kind = list.kind.strip_suffix("List").unwrap_or(&list.kind);
    TypeMeta {
        kind: kind.to_owned(),
        api_version: list.api_version,
    }
}

fn failed(error: Error) -> SourceError {
    SourceError::Server {
        server: "API server".to_owned(),
        reason: match error {
            Error::Api(status) => status.message,
            other => other.to_string(),
        },
    }
}
