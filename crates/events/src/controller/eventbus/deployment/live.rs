//! What exists of a bus that the controller deploys.

use std::collections::BTreeMap;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use kube::{
    Client,
    api::{ApiResource, DynamicObject, PropagationPolicy},
    core::GroupVersionKind,
};
use reconcile_core::{
    apply::{ApplyError, delete, get, list, resource_of},
    object::ObjectKey,
    secret::Secret,
};
use serde_json::Value;

use super::{
    Managed, ManagedKind, Names,
    objects::HASH,
    secrets::{AUTHORITY, CLIENT_AUTH, ENCRYPTION, ENCRYPTS, SERVER_KEYS},
    server::EncryptionKey,
};

/// Whether the credentials of a bus exist.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretsState {
    /// Everything is there.
    Complete,
    /// The clients' Secret, made by upstream, lacks this certificate authority.
    NoAuthority(String),
    /// One of them is missing or incomplete.
    Missing,
}

/// What was read.
#[derive(Clone, Debug, PartialEq)]
pub struct Live {
    /// The reference to the EventBus.
    pub owner: Value,
    /// The Secrets.
    pub secrets: SecretsState,
    /// What encrypts the stored messages.
    pub encryption: EncryptionKey,
    /// The key in the servers' Secret, in base64: new credentials keep it, or nothing that is stored could be read.
    pub key: Option<Secret>,
    /// The hashes of the objects that exist.
    pub hashes: BTreeMap<ManagedKind, String>,
    /// Servers that are ready.
    pub ready: u64,
    /// An object that has the name of one of the bus and belongs to somebody else.
    pub foreign: Option<String>,
}

impl Live {
    /// True when the object is as it should be.
    pub fn has(&self, object: &Managed) -> bool {
        self.hashes.get(&object.kind) == Some(&object.hash)
    }
}

/// How the API server knows Secrets.
pub fn secrets_resource() -> ApiResource {
    resource_of(&GroupVersionKind::gvk("", "v1", "Secret"), "secrets")
}

/// Reads what exists in `namespace`; `owner` is the reference to the EventBus.
pub async fn look(
    client: &Client,
    names: &Names,
    namespace: &str,
    owner: Value,
) -> Result<Live, ApplyError> {
    let found = |resource: ApiResource, name: String| async move {
        get(client, &resource, &ObjectKey::new(namespace, name)).await
    };
    let (map, service, set, server, clients) = futures::try_join!(
        found(ManagedKind::ConfigMap.resource(), names.config_map()),
        found(ManagedKind::Service.resource(), names.service()),
        found(ManagedKind::StatefulSet.resource(), names.stateful_set()),
        found(secrets_resource(), names.server_secret()),
        found(secrets_resource(), names.client_secret()),
    )?;
    let uid = owner["uid"].as_str().unwrap_or_default().to_owned();
    let all = [&map, &service, &set, &server, &clients];
    let foreign = all
        .into_iter()
        .flatten()
        .find(|object| !is_owned(object, &uid))
        .map(|object| {
            let kind = object.types.as_ref().map(|types| types.kind.as_str());
            let name = object.metadata.name.as_deref().unwrap_or_default();
            format!("{} {namespace}/{name}", kind.unwrap_or("object"))
        });
    let hashes = [
        (ManagedKind::ConfigMap, &map),
        (ManagedKind::Service, &service),
        (ManagedKind::StatefulSet, &set),
    ];
    let ready = set
        .as_ref()
        .and_then(|set| set.data.pointer("/status/readyReplicas")?.as_u64());
    Ok(Live {
        owner,
        secrets: secrets_state(server.as_ref(), clients.as_ref()),
        encryption: encryption(server.as_ref()),
        key: server
            .as_ref()
            .and_then(|secret| secret.data["data"][ENCRYPTION].as_str())
            .map(Secret::from),
        hashes: hashes
            .into_iter()
            .filter_map(|(kind, object)| Some((kind, annotation(object.as_ref()?, HASH)?)))
            .collect(),
        ready: ready.unwrap_or(0),
        foreign,
    })
}

fn is_owned(object: &DynamicObject, uid: &str) -> bool {
    let owners = object.metadata.owner_references.as_deref();
    owners
        .unwrap_or_default()
        .iter()
        .any(|owner| owner.uid == uid)
}

fn annotation(object: &DynamicObject, name: &str) -> Option<String> {
    object.metadata.annotations.as_ref()?.get(name).cloned()
}

fn encryption(server: Option<&DynamicObject>) -> EncryptionKey {
    match server {
        Some(secret) if annotation(secret, ENCRYPTS).is_none() => EncryptionKey::Upstream,
        _ => EncryptionKey::Secret,
    }
}

fn secrets_state(server: Option<&DynamicObject>, clients: Option<&DynamicObject>) -> SecretsState {
    let (Some(server), Some(clients)) = (server, clients) else {
        return SecretsState::Missing;
    };
    let (server, clients) = (&server.data["data"], &clients.data["data"]);
    let complete = SERVER_KEYS.iter().all(|key| server[*key].is_string());
    if !complete || !clients[CLIENT_AUTH].is_string() {
        return SecretsState::Missing;
    }
    if clients[AUTHORITY].is_string() {
        return SecretsState::Complete;
    }
    let authority = server[AUTHORITY].as_str().unwrap_or_default();
    let authority = STANDARD.decode(authority).unwrap_or_default();
    SecretsState::NoAuthority(String::from_utf8_lossy(&authority).into_owned())
}

/// Deletes the volume claims of a bus, which its StatefulSet leaves behind.
pub async fn delete_volumes(
    client: &Client,
    names: &Names,
    namespace: &str,
) -> Result<(), ApplyError> {
    let gvk = GroupVersionKind::gvk("", "v1", "PersistentVolumeClaim");
    let claims = resource_of(&gvk, "persistentvolumeclaims");
    for claim in list(client, &claims, namespace, &names.selector()).await? {
        let name = claim.metadata.name.unwrap_or_default();
        let key = ObjectKey::new(namespace, name);
        let uid = claim.metadata.uid.as_deref();
        delete(client, &claims, &key, uid, PropagationPolicy::Background).await?;
    }
    Ok(())
}
