//! Many EventSources and Sensors in one process: what a small installation needs while it runs and while nothing
//! happens, and how fast many objects become ready.

use std::time::Duration;

use anyhow::{Result, ensure};
use kube::ResourceExt as _;
use kube::api::{DeleteParams, ListParams};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::super::book::{Measurement, Memory};
use super::super::load;
use super::super::subject::Subject;
use super::super::waiting::{Seen, statuses, until_all};
use super::stream::{self, Call, Deployed, Status, is_deployed};
use super::{Case, Outcome, Scenario, Session};
use crate::stack::Which;

/// A small installation.
const SMALL: Fleet = Fleet {
    prefix: "small",
    sources: 50,
    sensors: 200,
};
/// Sensors that are added at once.
const ADDED: Fleet = Fleet {
    prefix: "added",
    sources: 0,
    sensors: 1000,
};
/// A large installation, when nothing else is asked for.
const LARGE: usize = 5000;
/// How long a small installation is observed while nothing happens.
const WINDOW: Duration = Duration::from_mins(1);

/// Objects of a load.
#[derive(Clone, Copy)]
struct Fleet {
    prefix: &'static str,
    sources: usize,
    sensors: usize,
}

impl Fleet {
    fn objects(self) -> usize {
        self.sources + self.sensors
    }

    /// EventSources with an endpoint each on one port.
    fn event_sources(self, port: u16) -> Vec<Value> {
        (0..self.sources)
            .map(|index| {
                let name = format!("{}-{index:05}", self.prefix);
                let webhook = json!({"event": stream::endpoint(port, &name)});
                stream::object("EventSource", &name, &json!({"webhook": webhook}))
            })
            .collect()
    }

    /// Sensors that read the sources in turn, or the first of a small installation, and call the target.
    fn sensors(self, sink: &str) -> Vec<Value> {
        let (prefix, sources) = if self.sources > 0 {
            (self.prefix, self.sources)
        } else {
            (SMALL.prefix, SMALL.sources)
        };
        (0..self.sensors)
            .map(|index| {
                let source = format!("{prefix}-{:05}", index % sources.max(1));
                let call = Call {
                    source: &source,
                    events: &["event"],
                    sink,
                    at_least_once: false,
                };
                stream::sensor(&format!("{}-{index:05}", self.prefix), &call)
            })
            .collect()
    }
}

pub(super) async fn run(session: &Session<'_>) -> Result<Vec<Measurement>> {
    let deployed =
        Deployed::start(session, Scenario::Fleet, |nats, _, _| [stream::bus(nats)]).await?;
    let idle = deployed.idle;
    let small = created(session, &deployed, idle, "fleet-small", SMALL).await?;
    let quiet = observed(session, &deployed.subject, small.after).await?;
    let added = created(session, &deployed, small.after, "fleet-created", ADDED).await?;
    remove_all(session).await?;
    let sensors = session.plan.count.unwrap_or(LARGE);
    let large = Fleet {
        prefix: "large",
        sources: sensors / 5,
        sensors,
    };
    let empty = deployed.subject.settled().await?.memory;
    let large = created(session, &deployed, empty, "fleet-large", large).await?;
    Ok(vec![small, quiet, added, large])
}

/// Creates the objects, and waits until all are deployed.
async fn created(
    session: &Session<'_>,
    deployed: &Deployed,
    before: Memory,
    id: &'static str,
    fleet: Fleet,
) -> Result<Measurement> {
    let Fleet {
        sources, sensors, ..
    } = fleet;
    let case = Case {
        id,
        title: format!("{sources} EventSources and {sensors} Sensors created: all deployed"),
        objects: fleet.objects(),
        own_requests: fleet.objects(),
    };
    let load = async {
        let start = Instant::now();
        let webhooks = fleet.event_sources(deployed.port);
        let (first, second) = tokio::try_join!(
            ready(session, &deployed.subject, fleet, "EventSource", webhooks),
            ready(
                session,
                &deployed.subject,
                fleet,
                "Sensor",
                fleet.sensors(&deployed.sink.url),
            ),
        )?;
        Ok(Outcome {
            done: first + second,
            took: start.elapsed(),
            ..Outcome::default()
        })
    };
    session.case(&deployed.subject, before, case, load).await
}

/// Creates objects of one kind. Returns how many were deployed in time.
async fn ready(
    session: &Session<'_>,
    subject: &Subject,
    fleet: Fleet,
    kind: &str,
    objects: Vec<Value>,
) -> Result<usize> {
    if objects.is_empty() {
        return Ok(0);
    }
    let cluster = session.bed.cluster()?;
    let namespace = Which::Events.namespace();
    let api = cluster.api("argoproj.io/v1alpha1", kind, namespace).await?;
    let plural = format!("{}s", kind.to_lowercase());
    let watched = statuses::<Status>(cluster.client(), namespace, kind, &plural);
    let ours =
        |object: &Seen<Status>| object.name_any().starts_with(fleet.prefix) && is_deployed(object);
    let (start, deadline) = (Instant::now(), session.plan.deadline);
    let wait = until_all(watched, objects.len(), start, deadline, subject, ours);
    let (_, reached) = tokio::try_join!(load::create(&api, objects), wait)?;
    Ok(reached.at.len())
}

/// A small installation while nothing happens.
async fn observed(session: &Session<'_>, subject: &Subject, before: Memory) -> Result<Measurement> {
    let case = Case {
        id: "fleet-idle",
        title: format!(
            "{} EventSources and {} Sensors while nothing happens for {} s",
            SMALL.sources,
            SMALL.sensors,
            WINDOW.as_secs()
        ),
        objects: SMALL.objects(),
        own_requests: 0,
    };
    let load = async {
        tokio::time::sleep(WINDOW).await;
        Ok(Outcome {
            done: SMALL.objects(),
            took: WINDOW,
            ..Outcome::default()
        })
    };
    session.case(subject, before, case, load).await
}

/// Deletes all EventSources and Sensors, and waits until they are gone.
async fn remove_all(session: &Session<'_>) -> Result<()> {
    let cluster = session.bed.cluster()?;
    let end = Instant::now() + session.plan.deadline;
    for kind in ["Sensor", "EventSource"] {
        let api = cluster
            .api("argoproj.io/v1alpha1", kind, Which::Events.namespace())
            .await?;
        api.delete_collection(&DeleteParams::default(), &ListParams::default())
            .await?;
        while !api
            .list_metadata(&ListParams::default())
            .await?
            .items
            .is_empty()
        {
            ensure!(Instant::now() < end, "some {kind}s are not deleted");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
    Ok(())
}
