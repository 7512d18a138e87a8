//! `events controller` and `events worker`: puts the parts together.

mod dedicated;
mod endpoints;

use std::{net::IpAddr, sync::Arc};

use reconcile_core::{
    args::LeaderArgs,
    egress::EgressPolicy,
    object::{Kind, Root},
    operator::{ClaimError, EndError, Identity, Operator, Part, StartError},
    reconcile::{Driver, DriverConfig, Queue},
    shards::{Authority, ShardConfig, weights_of},
    watch::{Index, WatchConfig},
};
use thiserror::Error;

use self::endpoints::{Serving, adopt_endpoints, look_after_replicas, serve_endpoints};
use crate::{
    api::{EventBus, EventSource, Sensor},
    args::ControllerArgs,
    bus::BusPool,
    controller::{
        ControllerContext,
        context::{index_by_bus, index_of_sources},
        dedicated::{Dedicated, DedicatedObject, DedicatedTemplate, TemplateError},
        eventbus::{BusDefaults, EventBusController, deployment::config::ConfigError},
        eventsource::{EventSourceController, Removals, Slices},
        sensor::SensorController,
    },
    http_client::{ALLOW_LINK_LOCAL, HttpClients},
    metrics::Metrics,
    replicas::{Replica, ReplicaIdentity},
    source::{Listeners, files::WatchedFolders},
    trigger::{Executor, NatsClients, secrets::Secrets},
    worker::{DataPlane, Parts},
};

/// The leases of shards begin with this.
const SHARDS: &str = "argo-events-shard";

/// The process could not start, or had to end.
#[derive(Debug, Error)]
pub enum RunError {
    /// Not started.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The lease of this replica could not be claimed.
    #[error(transparent)]
    Claim(#[from] ClaimError),
    /// A metric could not be registered.
    #[error("cannot register a metric: {0}")]
    Metrics(#[from] prometheus::Error),
    /// The configuration of the controller cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A worker that does not know how the work is divided.
    #[error(
        "events worker needs --shards of 2 or more, the same number as that of the controller, or --only"
    )]
    Unsharded,
    /// A controller acts for all objects.
    #[error("--only is for events worker")]
    Only,
    /// The Deployments of objects cannot be made.
    #[error(transparent)]
    Template(#[from] TemplateError),
    /// Another process leads, or a part of this one ended.
    #[error(transparent)]
    End(#[from] EndError),
}

fn replica_identity<'p>(leader: &LeaderArgs, pod: Option<&'p str>) -> ReplicaIdentity<'p> {
    if !leader.enabled {
        return ReplicaIdentity::Only;
    }
    pod.map_or(ReplicaIdentity::Process, ReplicaIdentity::Pod)
}

/// Runs until SIGTERM or until leadership is lost.
pub async fn controller(args: ControllerArgs) -> Result<(), RunError> {
    if args.only.is_some() {
        return Err(RunError::Only);
    }
    let part = Part::of_controller(args.shards);
    run(args, part).await
}

/// Works on shards until SIGTERM.
pub async fn worker(args: ControllerArgs) -> Result<(), RunError> {
    if args.shards < 2 && args.only.is_none() {
        return Err(RunError::Unsharded);
    }
    run(args, Part::Shards).await
}

async fn run(args: ControllerArgs, part: Part) -> Result<(), RunError> {
    let ControllerArgs {
        kube,
        mut leader,
        admin,
        namespaced,
        managed_namespace,
        controller_config,
        own_namespace,
        metrics_port,
        health_port,
        advertise_address,
        dedicated_template,
        only,
        ..
    } = args;
    leader.namespace = leader.namespace.or_else(|| own_namespace.clone());
    let defaults = Arc::new(BusDefaults::read(&controller_config)?);
    let identity = Identity {
        name: "events",
        lease: "argo-events-controller".to_owned(),
        address: admin.metrics_address,
        ports: vec![metrics_port, health_port],
    };
    let operator = Operator::start_as(part, identity, &kube, &leader).await?;
    let template = DedicatedTemplate::read(&dedicated_template)?;
    let settings = Settings {
        pool: Pool::of(only.as_ref(), args.shards, part),
        dedicated: dedicated::role(only.as_ref(), template.as_ref()),
        reserved_ports: [metrics_port, health_port],
        allow_link_local: args.allow_link_local,
        folders: WatchedFolders::new(args.watched_folders),
    };
    let context = parts(&operator, &settings)?;
    let scope = match &only {
        Some(object) => Some(object.key.namespace.clone()),
        None => namespaced.then(|| {
            managed_namespace
                .or(own_namespace)
                .unwrap_or_else(|| operator.namespace.clone())
        }),
    };
    let pod = leader.pod_name.as_deref().filter(|name| !name.is_empty());
    let replica = Replica::claim(&operator.claims, replica_identity(&leader, pod))?;
    let serving = Serving {
        replica: replica.clone(),
        address: address_of(advertise_address),
        slices: Slices::default(),
        defaults,
    };
    adopt_endpoints(&operator, &context, scope.as_deref(), &serving).await;
    run_controllers(
        &operator,
        &context,
        scope.as_deref(),
        &serving,
        only.as_ref(),
    );
    serve_endpoints(&operator, &context, &serving);
    if only.is_none() {
        look_after_replicas(&operator, &leader, scope.clone(), &replica);
    }
    dedicated::run(&operator, &context, &leader, (template, dedicated_template));
    end_with(&operator, replica, scope, context.plane.clone());
    operator.run().await?;
    Ok(())
}

/// When the process stops: callers go elsewhere first, then what was begun is finished.
fn end_with(operator: &Operator, replica: Replica, scope: Option<String>, plane: DataPlane) {
    let stop = operator.shutdown.clone();
    operator.spawn_drained(async move {
        stop.cancelled().await;
        replica.withdraw(scope.as_deref()).await;
        plane.stop().await;
    });
}

/// Settings of the data plane.
struct Settings {
    /// How objects are shared out.
    pool: Pool,
    /// Which objects are left to pods of their own.
    dedicated: Dedicated,
    /// Ports of the admin server.
    reserved_ports: [u16; 2],
    allow_link_local: bool,
    folders: WatchedFolders,
}

/// The processes among which objects are shared out.
struct Pool {
    /// Names of their leases begin with this.
    prefix: String,
    /// Number of shards.
    shards: u32,
    /// The leader acts for all objects.
    by_leader: bool,
}

impl Pool {
    fn of(only: Option<&DedicatedObject>, shards: u32, part: Part) -> Self {
        match only {
            Some(object) => Self {
                prefix: object.deployment(),
                shards: 1,
                by_leader: false,
            },
            None => Self {
                prefix: SHARDS.to_owned(),
                shards,
                by_leader: part == Part::Leader,
            },
        }
    }
}

/// The address of this process for pods.
fn address_of(text: Option<String>) -> Option<IpAddr> {
    let text = text.filter(|text| !text.is_empty())?;
    let parsed = text.parse().ok();
    if parsed.is_none() {
        tracing::warn!(
            text,
            "not an IP address; Services of EventSources get no endpoints"
        );
    }
    parsed
}

/// Indexes, connections and the data plane.
fn parts(operator: &Operator, settings: &Settings) -> Result<ControllerContext, RunError> {
    let secrets = Secrets::new(operator.client.clone());
    let mut executor = Executor::new(operator, secrets.clone());
    let egress = EgressPolicy::of_flag(ALLOW_LINK_LOCAL, settings.allow_link_local);
    executor.http = HttpClients::new(egress);
    executor.nats = NatsClients::new(egress);
    let (bus_queue, source_queue, sensor_queue) = (Queue::new(), Queue::new(), Queue::new());
    let (sources, sensors) = (index_of_sources(), index_by_bus());
    let pool = pool_of(operator, &settings.pool, &sources, &sensors);
    let authority = Authority::start(operator, Some(pool))?;
    let plane = DataPlane::new(Parts {
        executor,
        config: operator.config.clone(),
        listeners: Listeners::new(settings.reserved_ports, operator.listeners.clone()),
        metrics: Metrics::register(&operator.registry)?,
        clock: operator.clock.clone(),
        authority: authority.clone(),
        events: operator.events.clone(),
        source_queue: source_queue.clone(),
        sensor_queue: sensor_queue.clone(),
        has_source: {
            let sources = sources.clone();
            Arc::new(move |key| sources.get(key).is_some())
        },
        egress,
        folders: settings.folders.clone(),
    });
    Ok(ControllerContext {
        client: operator.client.clone(),
        authority,
        buses: Index::default(),
        sources,
        sensors,
        bus_queue,
        source_queue,
        sensor_queue,
        pool: BusPool::default(),
        egress,
        secrets,
        plane,
        dedicated: settings.dedicated.clone(),
    })
}

/// The pool of shards, weighed by the number of their objects. What a leader acts for is a shard too: so it never acts
/// beside processes that share out the objects.
fn pool_of(
    operator: &Operator,
    pool: &Pool,
    sources: &Index<Root<EventSource>>,
    sensors: &Index<Root<Sensor>>,
) -> ShardConfig {
    let (sources, sensors, count) = (sources.clone(), sensors.clone(), pool.shards);
    let weigh = move || weights_of(sources.keys().into_iter().chain(sensors.keys()), count);
    ShardConfig {
        prefix: pool.prefix.clone(),
        count,
        weigh: Some(Arc::new(weigh)),
        role: pool.by_leader.then(|| operator.leader_role().clone()),
    }
}

fn run_controllers(
    operator: &Operator,
    context: &ControllerContext,
    scope: Option<&str>,
    serving: &Serving,
    only: Option<&DedicatedObject>,
) {
    let config = DriverConfig::default;
    let in_shards = || DriverConfig {
        authority: Some(context.authority.clone()),
        ..DriverConfig::default()
    };
    let buses = Driver::with_queue(
        EventBusController {
            context: context.clone(),
            defaults: serving.defaults.clone(),
            clock: operator.clock.clone(),
        },
        operator,
        config(),
        context.bus_queue.clone(),
        context.buses.clone(),
    );
    let sources = Driver::with_queue(
        EventSourceController {
            context: context.clone(),
            address: serving.address,
            replica: serving.replica.clone(),
            services: Arc::default(),
            slices: serving.slices.clone(),
            removals: Removals::default(),
            ports: Arc::default(),
        },
        operator,
        in_shards(),
        context.source_queue.clone(),
        context.sources.clone(),
    );
    let sensors = Driver::with_queue(
        SensorController {
            context: context.clone(),
        },
        operator,
        in_shards(),
        context.sensor_queue.clone(),
        context.sensors.clone(),
    );
    let ready = |name: &str| operator.readiness.register(name);
    // A pod of one object acts for that one; its namespace is watched as far as filters and buses need it.
    let runs = |kind: &str| only.is_none_or(|only| only.kind == kind);
    let narrowed = |kind: &str| {
        let name = only.filter(|only| only.kind == kind);
        WatchConfig {
            labels: None,
            fields: name.map(|only| format!("metadata.name={}", only.key.name)),
        }
    };
    let watch = buses
        .watch_roots(operator.api::<EventBus>(scope))
        .ready(ready("eventbus"));
    operator.spawn("watch of EventBuses", watch.run());
    let watch = sources
        .watch_roots(operator.api::<EventSource>(scope))
        .config(narrowed(EventSource::KIND))
        .ready(ready("eventsources"));
    operator.spawn("watch of EventSources", watch.run());
    let watch = sensors
        .watch_roots(operator.api::<Sensor>(scope))
        .config(narrowed(Sensor::KIND))
        .ready(ready("sensors"));
    operator.spawn("watch of Sensors", watch.run());
    operator.spawn_drained(buses.run());
    if runs(EventSource::KIND) {
        operator.spawn_drained(sources.run());
    }
    if runs(Sensor::KIND) {
        operator.spawn_drained(sensors.run());
    }
}
