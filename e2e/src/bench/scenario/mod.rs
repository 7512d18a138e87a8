//! The loads.

mod analyses;
mod contents;
mod drift;
mod events;
mod feed;
mod fleet;
mod gitops;
mod large;
mod monorepo;
mod ordered;
mod rendered;
mod restarted;
mod rollouts;
mod routes;
mod scale;
mod sink;
mod sources;
mod stream;
mod waves;

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use anyhow::{Context as _, Result};
use clap::ValueEnum;
use tokio::time::Instant;

use super::Plan;
use super::book::{Latency, Measurement, Memory, Stream};
use super::engine::Engine;
use super::requests::{self, Requests};
use super::sampler::Series;
use super::subject::{Subject, SubjectRequest};
use super::waiting::Reached;
use crate::bed::Bed;
use crate::stack::Which;
use crate::usage::Usage;

/// The name of this process among those whose CPU is counted.
const BENCH: &str = "bench";

/// A kind of load.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Scenario {
    /// Many Applications of one 2 KB ConfigMap each, synced automatically; then the process is killed and started again.
    Gitops,
    /// As many of them as one process holds; then nothing happens, and then only to objects that are no Application's.
    Scale,
    /// Many Applications of one repository: commits that touch one of them, and commits that touch none.
    Monorepo,
    /// Many Applications of one chart with different values; then the process is killed and started again.
    Helm,
    /// Many overlays of one base, likewise.
    Kustomize,
    /// Objects that are changed by hand, one after the other.
    Drift,
    /// One Application whose objects come in five waves.
    Waves,
    /// One Application of very many objects.
    Large,
    /// Many one-pod Rollouts, deployed and then updated.
    Rollouts,
    /// The same Rollouts with a route of the Gateway API each.
    Routes,
    /// Many AnalysisRuns that measure at the same time, and the runs of a day.
    Analyses,
    /// Events from a webhook to an http trigger, at a fixed rate and at full speed.
    Events,
    /// Events whose order matters: one action after the other, and pairs of two dependencies.
    Ordered,
    /// `EventSources` of one kind after the other that only wait.
    Sources,
    /// Many EventSources and Sensors in one process.
    Fleet,
}

impl Scenario {
    /// All of them.
    pub const ALL: [Self; 15] = [
        Self::Gitops,
        Self::Scale,
        Self::Monorepo,
        Self::Helm,
        Self::Kustomize,
        Self::Drift,
        Self::Waves,
        Self::Large,
        Self::Rollouts,
        Self::Routes,
        Self::Analyses,
        Self::Events,
        Self::Ordered,
        Self::Sources,
        Self::Fleet,
    ];

    /// The name on the command line and in the tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Gitops => "gitops",
            Self::Scale => "scale",
            Self::Monorepo => "monorepo",
            Self::Helm => "helm",
            Self::Kustomize => "kustomize",
            Self::Drift => "drift",
            Self::Waves => "waves",
            Self::Large => "large",
            Self::Rollouts => "rollouts",
            Self::Routes => "routes",
            Self::Analyses => "analyses",
            Self::Events => "events",
            Self::Ordered => "ordered",
            Self::Sources => "sources",
            Self::Fleet => "fleet",
        }
    }

    /// Our operator for it.
    pub(crate) fn which(self) -> Which {
        match self {
            Self::Gitops
            | Self::Scale
            | Self::Monorepo
            | Self::Helm
            | Self::Kustomize
            | Self::Drift
            | Self::Waves
            | Self::Large => Which::ArgoCdLite,
            Self::Rollouts | Self::Routes | Self::Analyses => Which::Rollouts,
            Self::Events | Self::Ordered | Self::Sources | Self::Fleet => Which::Events,
        }
    }

    /// Whether it needs the Git server.
    pub(crate) fn needs_git(self) -> bool {
        self.which() == Which::ArgoCdLite
    }

    /// Whether `count` objects of it have pods.
    pub(crate) fn has_pods(self) -> bool {
        self.which() == Which::Rollouts
    }

    /// Puts the load on one engine. An error when the engine cannot be started or ends under the load; an engine that
    /// is only too slow gives a measurement that says so.
    pub(crate) async fn run(self, session: &Session<'_>) -> Result<Vec<Measurement>> {
        match self {
            Self::Gitops => gitops::run(session).await,
            Self::Scale => scale::run(session).await,
            Self::Monorepo => monorepo::run(session).await,
            Self::Helm => rendered::run(session, &rendered::HELM).await,
            Self::Kustomize => rendered::run(session, &rendered::KUSTOMIZE).await,
            Self::Drift => drift::run(session).await,
            Self::Waves => waves::run(session).await,
            Self::Large => large::run(session).await,
            Self::Rollouts => rollouts::run(session).await,
            Self::Routes => routes::run(session).await,
            Self::Analyses => analyses::run(session).await,
            Self::Events => events::run(session).await,
            Self::Ordered => ordered::run(session).await,
            Self::Sources => sources::run(session).await,
            Self::Fleet => fleet::run(session).await,
        }
    }
}

/// One engine on one bed.
pub(crate) struct Session<'a> {
    pub(crate) bed: &'a Bed,
    pub(crate) engine: &'a Engine,
    pub(crate) plan: &'a Plan,
}

/// A load in words and numbers.
#[derive(Debug, Clone)]
pub(crate) struct Case {
    pub(crate) id: &'static str,
    pub(crate) title: String,
    pub(crate) objects: usize,
    /// Requests that the load itself makes, which are taken off the API server's count.
    pub(crate) own_requests: usize,
}

/// What became of a load.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) done: usize,
    pub(crate) took: Duration,
    pub(crate) latency: Option<Latency>,
    pub(crate) stream: Option<Stream>,
}

impl Outcome {
    /// Of objects that were waited for; `began` is when each of them was made or changed.
    pub(crate) fn of(reached: &Reached, began: &HashMap<String, Instant>, start: Instant) -> Self {
        let each = reached.at.iter().map(|(name, at)| {
            at.saturating_duration_since(began.get(name).copied().unwrap_or(start))
        });
        Self {
            done: reached.at.len(),
            took: reached.took,
            latency: Latency::of(each),
            stream: None,
        }
    }
}

/// Counters before a load; `None` where the engine has none, or has just been started.
struct Counts {
    own: Option<Requests>,
    renders: Option<u64>,
    server: Requests,
    cpu: BTreeMap<String, f64>,
}

/// Our counter of renders that took work.
const RENDERS: &str = r#"argocd_lite_renders_total{from="work""#;

impl Session<'_> {
    /// Starts the engine and waits until its memory has settled.
    pub(crate) async fn subject(
        &self,
        scenario: Scenario,
        env: Vec<(String, String)>,
    ) -> Result<(Subject, Memory)> {
        self.subject_with(scenario, env, vec![]).await
    }

    /// The same, with arguments for our operator.
    pub(crate) async fn subject_with(
        &self,
        scenario: Scenario,
        env: Vec<(String, String)>,
        args: Vec<String>,
    ) -> Result<(Subject, Memory)> {
        let wanted = SubjectRequest {
            which: scenario.which(),
            profile: &self.plan.profile,
            crds: &self.plan.crds,
            env,
            args,
        };
        let subject = Subject::start(self.bed, self.engine, &wanted)
            .await
            .with_context(|| format!("starting {}", self.engine.name()))?;
        let idle = subject.settled().await?.memory;
        tracing::info!(rss_kib = idle.rss_kib, pss_kib = idle.pss_kib, "idle");
        Ok((subject, idle))
    }

    /// Measures one load.
    pub(crate) async fn case(
        &self,
        subject: &Subject,
        idle: Memory,
        case: Case,
        load: impl Future<Output = Result<Outcome>>,
    ) -> Result<Measurement> {
        let before = self.counts(subject).await?;
        let sampler = subject.sample().await?;
        let outcome = load.await.with_context(|| case.title.clone())?;
        let series = sampler.finish()?;
        self.measured(subject, idle, case, &before, series, outcome)
            .await
    }

    /// What was counted so far.
    async fn counts(&self, subject: &Subject) -> Result<Counts> {
        Ok(Counts {
            own: subject.requests().await,
            renders: self.renders(subject).await,
            server: requests::of_apiserver(&self.bed.client()?).await?,
            cpu: self.cpu_of_parts().await,
        })
    }

    /// Renders that took work so far; only ours are counted.
    async fn renders(&self, subject: &Subject) -> Option<u64> {
        if !self.engine.is_ours() {
            return None;
        }
        subject.counter(RENDERS).await
    }

    /// The measurement of a load that is over.
    async fn measured(
        &self,
        subject: &Subject,
        idle: Memory,
        case: Case,
        before: &Counts,
        series: Series,
        outcome: Outcome,
    ) -> Result<Measurement> {
        let now = self.counts(subject).await?;
        let after = subject.settled().await?.memory;
        let own = now.own.map(|now| match &before.own {
            Some(before) => now.since(before),
            None => now,
        });
        let renders = now.renders.map(|now| now - before.renders.unwrap_or(0));
        let everybody = now.server.since(&before.server).total();
        let parts_cpu_seconds = since(&before.cpu, now.cpu);
        let measurement = Measurement {
            case: case.id.to_owned(),
            title: case.title,
            engine: self.engine.name().to_owned(),
            objects: as_u64(case.objects),
            done: as_u64(outcome.done),
            seconds: outcome.took.as_secs_f64(),
            idle,
            peak: series.peak,
            after,
            cpu_seconds: series.cpu_seconds,
            bare_cpu_seconds: None,
            program_cpu_seconds: series.program_cpu_seconds,
            renders,
            bed_cpu_seconds: of_control_plane(&parts_cpu_seconds),
            parts_cpu_seconds,
            requests: own,
            apiserver_requests: everybody.saturating_sub(as_u64(case.own_requests)),
            latency: outcome.latency,
            stream: outcome.stream,
        };
        announce(&measurement);
        Ok(measurement)
    }

    /// CPU seconds so far of each of the bed's processes, and of this one, which makes the load and is its target.
    async fn cpu_of_parts(&self) -> BTreeMap<String, f64> {
        let mut seconds = BTreeMap::new();
        for part in self.bed.parts() {
            if let Some(usage) = part.usage().await {
                seconds.insert(part.name().to_owned(), usage.cpu_seconds);
            }
        }
        if let Ok(usage) = Usage::of(std::process::id()) {
            seconds.insert(BENCH.to_owned(), usage.cpu_seconds);
        }
        seconds
    }
}

/// What each of them used since then.
fn since(before: &BTreeMap<String, f64>, now: BTreeMap<String, f64>) -> BTreeMap<String, f64> {
    let used = |(name, seconds): (String, f64)| {
        let earlier = before.get(&name).copied().unwrap_or_default();
        (name, seconds - earlier)
    };
    now.into_iter().map(used).collect()
}

/// CPU of the bed's own processes: everything but this one.
fn of_control_plane(parts: &BTreeMap<String, f64>) -> f64 {
    let own = |(name, _): &(&String, &f64)| name.as_str() != BENCH;
    parts.iter().filter(own).map(|(_, seconds)| seconds).sum()
}

/// One line per case, so that a long run shows what it has.
fn announce(measurement: &Measurement) {
    tracing::info!(
        "{} [{}]: {} of {} in {:.1} s, RSS {} -> {} -> {} KiB (idle, peak, after), {:.1} CPU s, {:.1} requests each",
        measurement.case,
        measurement.engine,
        measurement.done,
        measurement.objects,
        measurement.seconds,
        measurement.idle.rss_kib,
        measurement.peak.rss_kib,
        measurement.after.rss_kib,
        measurement.cpu_seconds,
        measurement
            .requests_per_object()
            .unwrap_or_else(|| measurement.apiserver_requests_per_object()),
    );
}

pub(crate) fn as_u64(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}
