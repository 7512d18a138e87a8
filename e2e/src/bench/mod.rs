//! Measurements: the operators, or any other process in their place, under a fixed load on a real control plane.
//!
//! ```text
//!   bench (program) ──► run(Plan)
//!                         for every scenario, for every engine: a fresh bed
//!                           subject    the engine's processes, with its chart's rights
//!                           sampler    memory and CPU of the process tree, every 100 ms
//!                           scenario   the load: gitops, scale, monorepo, rollouts, events ...
//!                           waiting    one watch and a counter, no polling
//!                           requests   what was asked of the API server
//!                         book ──► JSON ──► page (Markdown, with goals beside the results)
//! ```

pub mod book;
pub mod engine;
pub mod fetching;
mod goals;
mod latency;
mod load;
pub mod machine;
mod page;
mod requests;
mod sampler;
pub mod scenario;
mod subject;
mod waiting;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result};

use crate::bed::{Control, Options};
use crate::stack::Which;
use crate::tools::Tool;
use crate::{Bed, tools};
use book::{Book, Measurement, Run};
use engine::Engine;
use scenario::{Scenario, Session};

/// What one call of the bench measures.
#[derive(Debug, Clone)]
pub struct Plan {
    /// What to measure, in this order; nothing writes only the page.
    pub scenarios: Vec<Scenario>,
    /// Whom to measure, one after another under the same load.
    pub engines: Vec<Engine>,
    /// Cargo's profile of our binaries: the folder below `target`.
    pub profile: String,
    /// Objects instead of the scenario's own number.
    pub count: Option<usize>,
    /// Events per second at the fixed rate.
    pub rate: u32,
    /// Manifests applied before an engine starts; foreign engines then get no CRDs of our charts.
    pub crds: Vec<PathBuf>,
    /// Longest time one load may take.
    pub deadline: Duration,
    /// Keeps the beds' folders (logs) for a look.
    pub keep: bool,
    /// The Markdown page.
    pub page: PathBuf,
    /// The same as JSON; results of scenarios that are not run again stay in it.
    pub json: PathBuf,
    /// The command line, to be printed on the page.
    pub command: String,
    /// Replaces the remark on the page.
    pub remark: Option<String>,
}

/// Runs the plan. After every scenario the JSON and the page are written, so that a later failure loses nothing.
/// An engine that fails is noted, and the others continue; the error at the end names the failures.
pub async fn run(plan: &Plan) -> Result<()> {
    if let Some(remark) = &plan.remark {
        let mut book = Book::read(&plan.json)?;
        book.remark.clone_from(remark);
        book.write(&plan.json)?;
    }
    if plan.scenarios.is_empty() {
        return write_page(plan, &Book::read(&plan.json)?);
    }
    let binaries = tokio::task::spawn_blocking(|| {
        tools::ensure(&[
            Tool::KubeApiserver,
            Tool::KubeControllerManager,
            Tool::KubeScheduler,
            Tool::Etcd,
            Tool::Kwok,
            Tool::NatsServer,
            Tool::Helm,
            Tool::Kustomize,
        ])
    })
    .await
    .context("building the tools")??;
    let versions = machine::versions(&binaries).await;
    let mut failures = Vec::new();
    for scenario in &plan.scenarios {
        let machine = machine::facts()?;
        let mut measurements = Vec::new();
        for engine in &plan.engines {
            tracing::info!(
                scenario = scenario.name(),
                engine = engine.name(),
                "starting"
            );
            match Box::pin(measure(plan, *scenario, engine)).await {
                Ok(found) => measurements.extend(found),
                Err(error) => {
                    tracing::error!(
                        scenario = scenario.name(),
                        engine = engine.name(),
                        "{error:#}"
                    );
                    failures.push(format!(
                        "{} with {}: {error:#}",
                        scenario.name(),
                        engine.name()
                    ));
                }
            }
        }
        if !measurements.is_empty() {
            let run = Run {
                date: machine::date(),
                command: plan.command.clone(),
                commit: machine::commit().await,
                profile: plan.profile.clone(),
                machine,
                versions: versions.clone(),
                measurements,
            };
            keep(plan, *scenario, run)?;
        }
    }
    anyhow::ensure!(failures.is_empty(), "not measured: {}", failures.join("; "));
    Ok(())
}

fn keep(plan: &Plan, scenario: Scenario, run: Run) -> Result<()> {
    let mut book = Book::read(&plan.json)?;
    book.runs.insert(scenario.name().to_owned(), run);
    book.write(&plan.json)?;
    write_page(plan, &book)
}

fn write_page(plan: &Plan, book: &Book) -> Result<()> {
    std::fs::write(&plan.page, page::render(book))
        .with_context(|| format!("writing {}", plan.page.display()))
}

/// Nodes that hold the pods of so many objects.
fn nodes_for(objects: usize) -> usize {
    /// Pods of one object at its peak: the old and the new one of an update, and one that is still being removed.
    const PODS: usize = 3;
    let usual = Options::default();
    let room = usize::try_from(usual.pods_per_node).unwrap_or(usize::MAX);
    (objects * PODS).div_ceil(room.max(1)).max(usual.nodes)
}

async fn measure(plan: &Plan, scenario: Scenario, engine: &Engine) -> Result<Vec<Measurement>> {
    let options = Options {
        control: Control::Own,
        nats: scenario.which() == Which::Events,
        git: scenario.needs_git(),
        prometheus: false,
        sample: false,
        keep_dir: plan.keep,
        nodes: nodes_for(
            plan.count
                .filter(|_| scenario.has_pods())
                .unwrap_or_default(),
        ),
        ..Options::default()
    };
    let bed = Bed::up(options).await.context("starting the bed")?;
    if plan.keep {
        tracing::info!(dir = %bed.dir().display(), "the bed's folder");
    }
    let session = Session {
        bed: &bed,
        engine,
        plan,
    };
    let outcome = scenario.run(&session).await;
    bed.down();
    outcome
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_hold_all_pods_of_an_update() {
        assert_eq!(nodes_for(0), Options::default().nodes);
        assert_eq!(nodes_for(500), 10);
        assert_eq!(nodes_for(5_000), 15);
    }
}
