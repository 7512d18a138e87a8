//! AnalysisRuns: many that measure at the same time, and the runs of a day one after the other.

use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use axum::Router;
use axum::extract::{Path, State};
use axum::routing::get;
use kube::api::{DeleteParams, ListParams};
use kube::{Api, Client, ResourceExt as _};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

use super::super::book::{Measurement, Memory};
use super::super::load;
use super::super::sampler::Sampler;
use super::super::subject::Subject;
use super::super::waiting::{Seen, statuses, until_all};
use super::{Case, Outcome, Scenario, Session};

/// Runs at the same time, when nothing else is asked for.
const COUNT: usize = 500;
/// How long they are observed: six measurements of each.
const WINDOW: Duration = Duration::from_mins(1);
/// Seconds between two measurements of a run.
const INTERVAL: u64 = 10;
/// Measurements of each run within the window, at least.
const MEASURED: u64 = 5;
/// Runs of the day: one a minute.
const DAY: usize = 1440;
/// Runs of the day that exist at the same time.
const AT_A_TIME: usize = 60;
/// Rounds of the day after which its memory is first read.
const FIRST: usize = 2;
const NAMESPACE: &str = "bench";

/// What is read of an AnalysisRun.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(default)]
struct Status {
    phase: String,
}

/// A service that is measured; it counts the requests of each run.
struct Measured {
    url: String,
    hits: Hits,
    _server: AbortOnDropHandle<()>,
}

type Hits = Arc<Mutex<HashMap<String, u64>>>;

async fn hit(State(hits): State<Hits>, Path(name): Path<String>) -> axum::Json<Value> {
    let mut hits = hits.lock().unwrap_or_else(PoisonError::into_inner);
    *hits.entry(name).or_default() += 1;
    axum::Json(json!({"value": 1}))
}

impl Measured {
    async fn start() -> Result<Self> {
        let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let url = format!("http://{}", listener.local_addr()?);
        let hits = Hits::default();
        let app = Router::new()
            .route("/{name}", get(hit))
            .with_state(Arc::clone(&hits));
        let server = tokio::spawn(async move {
            if let Err(error) = axum::serve(listener, app).await {
                tracing::error!(%error, "the measured service ended");
            }
        });
        Ok(Self {
            url,
            hits,
            _server: AbortOnDropHandle::new(server),
        })
    }

    /// Forgets all requests.
    fn begin(&self) {
        self.hits
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
    }

    /// Runs that have sent at least so many requests.
    fn with(&self, requests: u64) -> usize {
        let hits = self.hits.lock().unwrap_or_else(PoisonError::into_inner);
        hits.values().filter(|count| **count >= requests).count()
    }
}

pub(super) async fn run(session: &Session<'_>) -> Result<Vec<Measurement>> {
    let (subject, idle) = session.subject(Scenario::Analyses, vec![]).await?;
    let cluster = session.bed.cluster()?;
    cluster.apply_namespace(NAMESPACE).await?;
    let service = Measured::start().await?;
    let steady = steady(session, &subject, idle, &service).await?;
    let day = day(session, &subject, &service).await?;
    Ok(vec![steady, day])
}

async fn steady(
    session: &Session<'_>,
    subject: &Subject,
    idle: Memory,
    service: &Measured,
) -> Result<Measurement> {
    let count = session.plan.count.unwrap_or(COUNT);
    let cluster = session.bed.cluster()?;
    let api = cluster
        .api("argoproj.io/v1alpha1", "AnalysisRun", NAMESPACE)
        .await?;
    let metric = json!({"interval": format!("{INTERVAL}s"), "count": 1000});
    let runs = (0..count).map(|index| analysis(&format!("steady-{index:05}"), service, &metric));
    load::create(&api, runs.collect()).await?;
    let end = Instant::now() + session.plan.deadline;
    while service.with(1) < count {
        ensure!(Instant::now() < end, "not every run measures");
        subject.check().await?;
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let case = Case {
        id: "analyses-steady",
        title: format!(
            "{count} AnalysisRuns that ask a web service every 10 s, observed for {} s: all measure",
            WINDOW.as_secs()
        ),
        objects: count,
        own_requests: 0,
    };
    let load = async {
        service.begin();
        tokio::time::sleep(WINDOW).await;
        Ok(Outcome {
            done: service.with(MEASURED),
            took: WINDOW,
            ..Outcome::default()
        })
    };
    let mut measured = session.case(subject, idle, case, load).await?;
    api.delete_collection(&DeleteParams::default(), &ListParams::default())
        .await?;
    measured.bare_cpu_seconds = Some(bare(session, count, service).await?);
    Ok(measured)
}

/// CPU seconds of a process that only sends the requests of `count` runs for the same time.
async fn bare(session: &Session<'_>, count: usize, service: &Measured) -> Result<f64> {
    let mut client = tokio::process::Command::new(std::env::current_exe()?)
        .args(["--fetch", &service.url])
        .args(["--count", &count.to_string()])
        .args(["--fetch-every", &INTERVAL.to_string()])
        .kill_on_drop(true)
        .spawn()?;
    let pid = client.id().context("the bare client has ended")?;
    service.begin();
    let end = Instant::now() + session.plan.deadline;
    while service.with(1) < count {
        ensure!(Instant::now() < end, "the bare client does not send");
        ensure!(client.try_wait()?.is_none(), "the bare client has ended");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let sampler = Sampler::start(&[pid])?;
    tokio::time::sleep(WINDOW).await;
    let series = sampler.finish()?;
    client.kill().await?;
    Ok(series.cpu_seconds)
}

/// The runs of a day in quick succession. Its memory before is that after the first of them.
async fn day(session: &Session<'_>, subject: &Subject, service: &Measured) -> Result<Measurement> {
    let rounds = DAY / AT_A_TIME;
    for round in 0..FIRST {
        one_round(session, subject, service, round).await?;
    }
    let before = subject.settled().await?.memory;
    let rest = (rounds - FIRST) * AT_A_TIME;
    let case = Case {
        id: "analyses-day",
        title: format!(
            "{rest} AnalysisRuns, {AT_A_TIME} at a time, made, ended and deleted, after {} others (idle: memory after these)",
            FIRST * AT_A_TIME
        ),
        objects: rest,
        own_requests: rest + rounds,
    };
    let load = async {
        let start = Instant::now();
        let mut done = 0;
        for round in FIRST..rounds {
            done += one_round(session, subject, service, round).await?;
        }
        Ok(Outcome {
            done,
            took: start.elapsed(),
            ..Outcome::default()
        })
    };
    session.case(subject, before, case, load).await
}

/// Makes the runs of a round, waits until all are successful, and deletes them. Returns how many were.
async fn one_round(
    session: &Session<'_>,
    subject: &Subject,
    service: &Measured,
    round: usize,
) -> Result<usize> {
    let cluster = session.bed.cluster()?;
    let api = cluster
        .api("argoproj.io/v1alpha1", "AnalysisRun", NAMESPACE)
        .await?;
    let watched = watched(cluster.client());
    let prefix = format!("day-{round:02}-");
    let metric = json!({"count": 1});
    let runs =
        (0..AT_A_TIME).map(|index| analysis(&format!("{prefix}{index:02}"), service, &metric));
    let ended = |run: &Seen<Status>| {
        run.name_any().starts_with(&prefix)
            && run
                .status
                .as_ref()
                .is_some_and(|status| status.phase == "Successful")
    };
    let wait = until_all(
        watched,
        AT_A_TIME,
        Instant::now(),
        session.plan.deadline,
        subject,
        ended,
    );
    let (_, reached) = tokio::try_join!(load::create(&api, runs.collect()), wait)?;
    api.delete_collection(&DeleteParams::default(), &ListParams::default())
        .await?;
    Ok(reached.at.len())
}

fn watched(client: Client) -> Api<Seen<Status>> {
    statuses::<Status>(client, NAMESPACE, "AnalysisRun", "analysisruns")
}

fn analysis(name: &str, service: &Measured, metric: &Value) -> Value {
    let mut metric = metric.clone();
    metric["name"] = "value".into();
    metric["successCondition"] = "result == 1".into();
    metric["provider"] = json!({
        "web": {"url": format!("{}/{name}", service.url), "jsonPath": "{$.value}"},
    });
    json!({
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "AnalysisRun",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {"metrics": [metric]},
    })
}
