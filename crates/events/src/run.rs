//! `events controller` and `events worker`: puts the parts together.

use std::{net::IpAddr, sync::Arc, time::Duration};

use reconcile_core::{
    args::LeaderArgs,
    egress::EgressPolicy,
    error::error_chain,
    object::Root,
    operator::{ClaimError, EndError, Identity, Operator, Part, StartError},
    reconcile::{Driver, DriverConfig, Queue},
    shards::{Authority, ShardConfig, weights_of},
    watch::Index,
};
use thiserror::Error;

use crate::{
    api::{EventBus, EventSource, Sensor},
    args::ControllerArgs,
    bus::BusPool,
    controller::{
        ControllerContext,
        context::{index_by_bus, index_of_sources},
        eventbus::{BusDefaults, EventBusController, deployment::config::ConfigError},
        eventsource::{EventSourceController, Slices},
        sensor::SensorController,
    },
    http_client::{ALLOW_LINK_LOCAL, HttpClients},
    metrics::Metrics,
    replicas::{self, Replica, ReplicaIdentity, Standby},
    source::{Listeners, files::WatchedFolders},
    trigger::{Executor, NatsClients, secrets::Secrets},
    worker::{DataPlane, Parts},
};

/// The leases of shards begin with this.
const SHARDS: &str = "argo-events-shard";
/// Pause between tries to read what earlier processes published.
const ADOPT_PAUSE: Duration = Duration::from_secs(2);

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
    #[error("events worker needs --shards of 2 or more, the same number as that of the controller")]
    Unsharded,
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
    let part = Part::of_controller(args.shards);
    run(args, part).await
}

/// Works on shards until SIGTERM.
pub async fn worker(args: ControllerArgs) -> Result<(), RunError> {
    if args.shards < 2 {
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
    let settings = Settings {
        shards: (part != Part::Leader).then_some(args.shards),
        reserved_ports: [metrics_port, health_port],
        allow_link_local: args.allow_link_local,
        folders: WatchedFolders::new(args.watched_folders),
    };
    let context = parts(&operator, &settings)?;
    let plane = context.plane.clone();
    let address = advertise_address
        .filter(|text| !text.is_empty())
        .and_then(|text| {
            let parsed = text.parse().ok();
            if parsed.is_none() {
                tracing::warn!(
                    text,
                    "not an IP address; Services of EventSources get no endpoints"
                );
            }
            parsed
        });
    let scope = namespaced.then(|| {
        managed_namespace
            .or(own_namespace)
            .unwrap_or_else(|| operator.namespace.clone())
    });
    let pod = leader.pod_name.as_deref().filter(|name| !name.is_empty());
    let replica = Replica::claim(&operator.claims, replica_identity(&leader, pod))?;
    let serving = Serving {
        replica: replica.clone(),
        address,
        slices: Slices::default(),
        defaults,
    };
    adopt_endpoints(&operator, &context, scope.as_deref(), &serving).await;
    run_controllers(&operator, &context, scope.as_deref(), &serving);
    serve_endpoints(&operator, &context, &serving);
    look_after_replicas(&operator, &leader, scope.clone(), &replica);
    let stop = operator.shutdown.clone();
    operator.spawn_drained(async move {
        stop.cancelled().await;
        replica.withdraw(scope.as_deref()).await;
        plane.stop().await;
    });
    operator.run().await?;
    Ok(())
}

/// How callers reach this process.
struct Serving {
    replica: Replica,
    address: Option<IpAddr>,
    slices: Slices,
    /// Defaults of buses.
    defaults: Arc<BusDefaults>,
}

/// Learns what earlier processes published under the address of this one: callers may still come in by these ports,
/// so nobody else gets them.
async fn adopt_endpoints(
    operator: &Operator,
    context: &ControllerContext,
    scope: Option<&str>,
    serving: &Serving,
) {
    let mut reported = String::new();
    let all = loop {
        let error = match replicas::published(&operator.serving, scope).await {
            Ok(all) => break all,
            Err(error) => error,
        };
        let reason = error_chain(&error);
        if reported != reason {
            tracing::warn!(reason, "cannot read the EndpointSlices of event sources");
            reported = reason;
        }
        tokio::select! {
            () = operator.shutdown.cancelled() => return,
            () = tokio::time::sleep(ADOPT_PAUSE) => {}
        }
    };
    for slice in all {
        if slice.replica.as_deref() == Some(serving.replica.id()) {
            serving.slices.doubt(&slice.source);
        }
        if serving
            .address
            .is_some_and(|own| slice.addresses.contains(&own))
        {
            context.plane.published(&slice.source, &slice.ports);
        }
    }
}

/// Publishes all endpoints whenever the lease of this replica is won: others may have removed them.
fn serve_endpoints(operator: &Operator, context: &ControllerContext, serving: &Serving) {
    let mut held = serving.replica.held();
    let (slices, sources) = (serving.slices.clone(), context.sources.clone());
    let queue = context.source_queue.clone();
    operator.spawn("endpoints of this replica", async move {
        while held.wait_for(|held| *held).await.is_ok() {
            slices.doubt_all();
            for key in sources.keys() {
                queue.add(key);
            }
            if held.wait_for(|held| !*held).await.is_err() {
                break;
            }
        }
        // The elections have ended: so does the process.
        std::future::pending::<()>().await;
    });
}

/// Removes the endpoints of replicas that are gone.
fn look_after_replicas(
    operator: &Operator,
    leader: &LeaderArgs,
    scope: Option<String>,
    replica: &Replica,
) {
    let standby = Standby {
        claims: operator.claims.clone(),
        client: operator.serving.clone(),
        namespace: leader
            .namespace
            .clone()
            .unwrap_or_else(|| operator.namespace.clone()),
        scope,
        own: replica.clone(),
    };
    let (mut leads, client) = (operator.leader(), operator.client.clone());
    let elects = leader.enabled;
    operator.spawn("endpoints of other replicas", async move {
        let orphans = async {
            // An error is the end of the process.
            drop(leads.wait_for(|leads| *leads).await);
            match standby.remove_orphans(&client).await {
                Ok(0) => {}
                Ok(count) => tracing::info!(count, "removed endpoints of earlier processes"),
                Err(error) => tracing::warn!(
                    error = error_chain(&error),
                    "cannot remove endpoints of earlier processes"
                ),
            }
        };
        if elects {
            futures::join!(orphans, standby.run());
        } else {
            orphans.await;
            std::future::pending::<()>().await;
        }
    });
}

/// Settings of the data plane.
struct Settings {
    /// Number of shards; `None` when the leader acts for all objects.
    shards: Option<u32>,
    /// Ports of the admin server.
    reserved_ports: [u16; 2],
    allow_link_local: bool,
    folders: WatchedFolders,
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
    let pool = settings
        .shards
        .map(|count| pool_of(count, &sources, &sensors));
    let authority = Authority::start(operator, pool)?;
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
    })
}

/// The pool of shards, weighed by the number of their objects.
fn pool_of(
    count: u32,
    sources: &Index<Root<EventSource>>,
    sensors: &Index<Root<Sensor>>,
) -> ShardConfig {
    let (sources, sensors) = (sources.clone(), sensors.clone());
    let weigh = move || weights_of(sources.keys().into_iter().chain(sensors.keys()), count);
    ShardConfig {
        prefix: SHARDS.to_owned(),
        count,
        weigh: Some(Arc::new(weigh)),
    }
}

fn run_controllers(
    operator: &Operator,
    context: &ControllerContext,
    scope: Option<&str>,
    serving: &Serving,
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
    let watch = buses
        .watch_roots(operator.api::<EventBus>(scope))
        .ready(ready("eventbus"));
    operator.spawn("watch of EventBuses", watch.run());
    let watch = sources
        .watch_roots(operator.api::<EventSource>(scope))
        .ready(ready("eventsources"));
    operator.spawn("watch of EventSources", watch.run());
    let watch = sensors
        .watch_roots(operator.api::<Sensor>(scope))
        .ready(ready("sensors"));
    operator.spawn("watch of Sensors", watch.run());
    operator.spawn_drained(buses.run());
    operator.spawn_drained(sources.run());
    operator.spawn_drained(sensors.run());
}
