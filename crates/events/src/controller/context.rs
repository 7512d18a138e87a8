//! What the three controllers share: indexes, queues, connections, the data plane.

use std::collections::BTreeSet;

use kube::{Client, api::ApiResource};
use reconcile_core::{
    apply::{FinalizerChange, add_finalizer, remove_finalizer, resource_of},
    egress::EgressPolicy,
    object::{Kind, ObjectKey, Root},
    reconcile::Queue,
    shards::Authority,
    watch::Index,
};
use serde::Deserialize;
use serde_json::Value;

use super::{
    ReconcileError,
    dedicated::{Dedicated, PodWish, TAG},
};
use crate::{
    api::{DEFAULT_BUS, EventBus, EventSource, Sensor},
    bus::BusPool,
    source::hook,
    trigger::secrets::Secrets,
    worker::DataPlane,
};

/// Who writes, for the API server's field ownership.
pub const MANAGER: &str = "argo-events";

/// `ControllerContext` by the controllers. Cloning shares everything.
#[derive(Clone)]
pub struct ControllerContext {
    /// The client of this process: for reads, and for what only the leader writes.
    pub client: Client,
    /// For which EventSources and Sensors this process acts.
    pub authority: Authority,
    /// The buses.
    pub buses: Index<Root<EventBus>>,
    /// EventSources, tagged by the bus that they use and the ports that they name.
    pub sources: Index<Root<EventSource>>,
    /// Sensors, tagged by the bus that they use.
    pub sensors: Index<Root<Sensor>>,
    /// Buses that want a pass.
    pub bus_queue: Queue,
    /// EventSources that want a pass.
    pub source_queue: Queue,
    /// Sensors that want a pass.
    pub sensor_queue: Queue,
    /// Connections.
    pub pool: BusPool,
    /// Which addresses a bus may have.
    pub egress: EgressPolicy,
    /// Secrets and ConfigMaps.
    pub secrets: Secrets,
    /// What runs.
    pub plane: DataPlane,
    /// Which objects are left to pods of their own.
    pub dedicated: Dedicated,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Uses {
    event_bus_name: Option<String>,
}

/// An index of a kind that uses a bus, tagged by the bus and by whether the object asks for a pod of its own.
pub fn index_by_bus<K: Kind>() -> Index<Root<K>> {
    Index::new(|root: &Root<K>| {
        let pod = dedicated_tag(root).into_iter();
        pod.chain([bus_of(root).to_string()]).collect()
    })
}

/// An index of EventSources, tagged by the ports that they name too.
pub fn index_of_sources() -> Index<Root<EventSource>> {
    Index::new(|root: &Root<EventSource>| {
        let ports = ports_of(root).into_iter().map(port_tag);
        let ports = ports.chain(dedicated_tag(root));
        ports.chain([bus_of(root).to_string()]).collect()
    })
}

fn dedicated_tag<K: Kind>(root: &Root<K>) -> Option<String> {
    PodWish::of(root).map(|_| TAG.to_owned())
}

fn port_tag(port: u16) -> String {
    format!("port {port}")
}

/// The ports that the endpoints of an EventSource name, also of an invalid one.
pub fn ports_of(root: &Root<EventSource>) -> BTreeSet<u16> {
    let spec = root.spec_value();
    let events = |key: &str| {
        let events = spec.get(key).and_then(Value::as_object);
        events.into_iter().flat_map(|events| events.values())
    };
    let port = |endpoint: &Value| {
        let port = endpoint.get("port")?;
        let text = port.as_str().map(str::to_owned);
        text.unwrap_or_else(|| port.to_string()).trim().parse().ok()
    };
    let hooks = hook::ALL.iter().flat_map(|kind| events(kind.key));
    let endpoints = events("webhook").chain(hooks.filter_map(|event| event.get("webhook")));
    endpoints.filter_map(port).collect()
}

/// The bus that an object uses; the default one when its spec cannot be read.
pub fn bus_of<K: Kind>(root: &Root<K>) -> ObjectKey {
    let uses: Uses = root
        .spec
        .as_deref()
        .and_then(|spec| serde_json::from_str(spec.get()).ok())
        .unwrap_or_default();
    let name = uses.event_bus_name.filter(|name| !name.is_empty());
    ObjectKey::new(
        root.key().namespace,
        name.unwrap_or_else(|| DEFAULT_BUS.to_owned()),
    )
}

impl ControllerContext {
    /// Names of the EventSources and Sensors that use a bus.
    pub fn users(&self, bus: &ObjectKey) -> Vec<String> {
        let tag = bus.to_string();
        let sources = self.sources.tagged(&tag);
        let sensors = self.sensors.tagged(&tag);
        let sources = sources
            .iter()
            .map(|(key, _)| format!("EventSource {}", key.name));
        sources
            .chain(
                sensors
                    .iter()
                    .map(|(key, _)| format!("Sensor {}", key.name)),
            )
            .collect()
    }

    /// EventSources of other namespaces that name `port`.
    pub fn foreign_sources(&self, namespace: &str, port: u16) -> Vec<ObjectKey> {
        let all = self.sources.tagged(&port_tag(port));
        let keys = all.into_iter().map(|(key, _)| key);
        keys.filter(|key| key.namespace != namespace).collect()
    }

    /// Something about a bus changed: it and everything that uses it wants a pass.
    pub fn bus_changed(&self, bus: &ObjectKey) {
        self.bus_queue.add(bus.clone());
        let tag = bus.to_string();
        for (key, _) in self.sources.tagged(&tag) {
            self.source_queue.add(key);
        }
        for (key, _) in self.sensors.tagged(&tag) {
            self.sensor_queue.add(key);
        }
    }

    /// The client for what is written for an EventSource or a Sensor; `None` when another process acts for it.
    pub(super) fn writer(&self, key: &ObjectKey) -> Option<Client> {
        let claim = self.authority.claim_of(key)?;
        Some(claim.role().client().clone())
    }

    /// Adds or removes a finalizer.
    pub(super) async fn set_finalizer<K: Kind>(
        &self,
        client: &Client,
        root: &ObjectMeta,
        finalizer: &str,
        present: bool,
    ) -> Result<(), ReconcileError> {
        let resource = resource::<K>();
        let change = FinalizerChange {
            finalizer,
            present: &root.finalizers,
            version: &root.version,
            manager: MANAGER,
        };
        if present {
            add_finalizer(client, &resource, &root.key, &change).await?;
        } else {
            remove_finalizer(client, &resource, &root.key, &change).await?;
        }
        Ok(())
    }
}

/// What a plan needs to know of an object's metadata.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ObjectMeta {
    /// Namespace and name.
    pub key: ObjectKey,
    /// uid.
    pub uid: String,
    /// Generation.
    pub generation: i64,
    /// resourceVersion.
    pub version: String,
    /// Finalizers.
    pub finalizers: Vec<String>,
    /// Deletion was requested.
    pub deleting: bool,
}

impl ObjectMeta {
    /// Reads them from an object.
    pub fn of<K: Kind>(root: &Root<K>) -> Self {
        Self {
            key: root.key(),
            uid: root.uid().to_owned(),
            generation: root.generation(),
            version: root.metadata.resource_version.clone().unwrap_or_default(),
            finalizers: root.metadata.finalizers.clone().unwrap_or_default(),
            deleting: root.is_deleting(),
        }
    }

    /// True when the object carries the finalizer.
    pub fn has(&self, finalizer: &str) -> bool {
        self.finalizers.iter().any(|name| name == finalizer)
    }
}

fn resource<K: Kind>() -> ApiResource {
    let gvk = kube::core::GroupVersionKind::gvk(K::GROUP, K::VERSION, K::KIND);
    resource_of(&gvk, K::PLURAL)
}
