//! A started engine: its processes, where it counts its requests, and whether it still lives.

use anyhow::{Context as _, Result};

use super::engine::Engine;
use super::requests::{self, Requests};
use super::sampler::{self, Reading, Sampler};
use crate::bed::Bed;
use crate::charts;
use crate::operator::Operator;
use crate::process::Program;
use crate::stack::{self, Setup, Which};

/// The variable that tells a foreign engine where to listen for webhooks.
pub(crate) const WEBHOOK_PORT: &str = "WEBHOOK_PORT";

/// What is asked for when a subject is started.
#[derive(Debug, Clone)]
pub(crate) struct SubjectRequest<'a> {
    /// Our operator for the scenario; its chart gives the CRDs also to foreign engines.
    pub(crate) which: Which,
    /// Cargo's profile of our binary.
    pub(crate) profile: &'a str,
    /// Manifests applied first; a foreign engine then gets no CRDs of the chart.
    pub(crate) crds: &'a [std::path::PathBuf],
    /// More environment of a foreign engine, such as the port on which a webhook should listen.
    pub(crate) env: Vec<(String, String)>,
    /// Arguments of our operator after those of its chart.
    pub(crate) args: Vec<String>,
}

/// A running engine.
#[derive(Debug)]
pub(crate) struct Subject {
    operator: Operator,
    metrics: Vec<String>,
    webhook: Option<String>,
}

impl Subject {
    /// Starts an engine on a bed. Ours is ready when this returns; of a foreign one only its process is started.
    pub(crate) async fn start(
        bed: &Bed,
        engine: &Engine,
        wanted: &SubjectRequest<'_>,
    ) -> Result<Self> {
        for path in wanted.crds {
            let text = std::fs::read_to_string(path)
                .with_context(|| format!("reading {}", path.display()))?;
            let applied = bed.cluster()?.apply(wanted.which.namespace(), &text).await;
            applied.with_context(|| path.display().to_string())?;
        }
        match engine {
            Engine::Ours => Self::ours(bed, wanted).await,
            Engine::Foreign { name, command } => Self::foreign(bed, name, command, wanted).await,
        }
    }

    async fn ours(bed: &Bed, wanted: &SubjectRequest<'_>) -> Result<Self> {
        let binary = stack::binary(wanted.which, wanted.profile)?;
        let setup = Setup {
            args: wanted.args.clone(),
            // As its chart does: a process that is started again takes the lease of its pod at once.
            env: vec![("POD_NAME".to_owned(), format!("{}-0", wanted.which.name()))],
            ..Setup::default()
        };
        let deployed = stack::deploy(bed, wanted.which, &binary, &setup).await?;
        let metrics = vec![deployed.metrics()];
        let webhook = deployed.addresses.get(1);
        let webhook = webhook.map(|address| format!("{address}/api/webhook"));
        Ok(Self {
            operator: deployed.operator,
            metrics,
            webhook,
        })
    }

    async fn foreign(
        bed: &Bed,
        name: &str,
        command: &str,
        wanted: &SubjectRequest<'_>,
    ) -> Result<Self> {
        let cluster = bed.cluster()?;
        let namespace = wanted.which.namespace();
        cluster.apply_namespace(namespace).await?;
        if wanted.crds.is_empty() {
            let chart = charts::path(wanted.which.name());
            let objects = charts::template(&chart, wanted.which.name(), namespace, &[]).await?;
            for crd in objects
                .iter()
                .filter(|object| object["kind"] == "CustomResourceDefinition")
            {
                cluster.apply_one(namespace, crd).await?;
            }
        }
        let metrics_port = bed.free_port()?;
        let mut program = Program::new(name, "/bin/sh")
            .args(["-c", command])
            .env("NAMESPACE", namespace)
            .env("METRICS_PORT", metrics_port.to_string());
        for (key, value) in bed.env().into_iter().chain(wanted.env.iter().cloned()) {
            program = program.env(key, value);
        }
        let operator = Operator::new(bed, program, None)?;
        operator.start().await?;
        Ok(Self {
            operator,
            metrics: vec![format!("http://127.0.0.1:{metrics_port}/metrics")],
            webhook: (wanted.env.iter())
                .find(|(name, _)| name == WEBHOOK_PORT)
                .map(|(_, port)| format!("http://127.0.0.1:{port}/api/webhook")),
        })
    }

    /// Address for pushes, when it listens for them.
    pub(crate) fn webhook(&self) -> Option<&str> {
        self.webhook.as_deref()
    }

    /// Kills it and starts it again, without waiting until it is ready.
    pub(crate) async fn kill_and_start(&self) -> Result<()> {
        self.operator.part.kill().await?;
        self.operator.part.start().await
    }

    /// Returns when it says that it is ready.
    pub(crate) async fn until_ready(&self) -> Result<()> {
        self.operator.until_ready().await
    }

    /// The sum of a metric's series whose line begins with `series`; None when it does not answer.
    pub(crate) async fn counter(&self, series: &str) -> Option<u64> {
        requests::counter(&self.metrics, series).await
    }

    /// An error that shows the end of the log when a process has ended.
    pub(crate) async fn check(&self) -> Result<()> {
        self.operator.part.check().await
    }

    /// Its requests to the API server so far; None when it does not count them.
    pub(crate) async fn requests(&self) -> Option<Requests> {
        requests::of_engine(&self.metrics).await
    }

    /// Memory and CPU when memory has settled.
    pub(crate) async fn settled(&self) -> Result<Reading> {
        self.check().await?;
        sampler::settled(&self.pids().await?).await
    }

    /// Begins to read memory and CPU.
    pub(crate) async fn sample(&self) -> Result<Sampler> {
        Sampler::start(&self.pids().await?)
    }

    async fn pids(&self) -> Result<Vec<u32>> {
        Ok(vec![
            self.operator
                .part
                .pid()
                .await
                .context("the engine has ended")?,
        ])
    }
}
