//! The story that `make demo` tells: from a commit to a promoted release, a bad release that is rolled back, and a
//! hand-made change that is healed.
//!
//! ```text
//!   git push ─► webhook EventSource ─► JetStream ─► Sensor ─► refreshes the Application
//!                                                              │
//!   Rollout  20 % ─► analysis (Prometheus) ─► 60 % ─► 100 % ◄── sync: PreSync Job, waves
//! ```
//! Every chapter waits for what it promises, with a deadline, and fails with the reason when it does not happen.

mod accounts;
mod chapters;
mod follow;
mod kills;
mod manifests;
mod narrator;

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use tokio_util::task::AbortOnDropHandle;

use crate::bed::{Bed, Options};
use crate::git::{Repository, Webhook};
use crate::load::Load;
use crate::stack::{self, Deployed, Setup, Which};
use crate::usage::mib;
use narrator::Narrator;

/// Requests per second to the shop: enough for a rate over a few seconds, little for the machine.
const LOAD: u32 = 60;

/// Everything the chapters need.
struct Stage {
    bed: Bed,
    narrator: Narrator,
    operators: Arc<Vec<Deployed>>,
    repository: Repository,
}

/// Options of the demo.
#[derive(Debug, Clone, Copy)]
pub struct Telling {
    /// Cargo's folder of the binaries: `release` or `debug`.
    pub profile: &'static str,
    /// Everything is left running until Ctrl-C.
    pub keep: bool,
    /// Each binary is killed once, at a random moment, and started again.
    pub kills: bool,
}

/// Tells the story. An error says which step did not happen.
pub async fn run(telling: Telling) -> Result<()> {
    let narrator = Narrator::new();
    let mut stage = set(narrator, telling).await?;
    let outcome = play(&mut stage, telling.kills).await;
    if let Err(error) = &outcome {
        stage.narrator.failure(error);
        chapters::show_logs(&stage);
    }
    if telling.keep {
        stage.narrator.commands(&stage.bed, &stage.repository.url);
        tokio::signal::ctrl_c().await?;
    }
    outcome
}

/// Starts the bed and the operators and connects them.
async fn set(mut narrator: Narrator, telling: Telling) -> Result<Stage> {
    narrator.chapter("The stage: a control plane, a bus, a metrics store and a Git server");
    let options = Options {
        ready_after: Duration::from_millis(800),
        ..Options::default()
    };
    let bed = Bed::up(options).await.context("starting the test bed")?;
    narrator.say("etcd, kube-apiserver, kube-controller-manager, kube-scheduler, kwok, nats-server, Prometheus and git answer");
    let mut operators = Vec::new();
    for which in Which::ALL {
        let binary = stack::binary(which, telling.profile)?;
        // Polling is off for the length of the story: what moves, moves because of an event.
        let mut args = match which {
            Which::ArgoCdLite => vec!["--app-resync=3600".to_owned()],
            Which::Events | Which::Rollouts => Vec::new(),
        };
        if telling.kills {
            args.extend(stack::quick_lease());
        }
        let deployed = stack::deploy(
            &bed,
            which,
            &binary,
            &Setup {
                args,
                ..Setup::default()
            },
        )
        .await
        .with_context(|| format!("starting {}", which.name()))?;
        let memory = deployed.resident_kib().await.unwrap_or_default();
        narrator.say(&format!(
            "{} is ready with the rights of its chart ({:.1} MiB)",
            which.name(),
            mib(memory)
        ));
        operators.push(deployed);
    }
    let repository = bed.git()?.repository("shop").await?;
    Ok(Stage {
        bed,
        narrator,
        operators: Arc::new(operators),
        repository,
    })
}

async fn play(stage: &mut Stage, kills: bool) -> Result<()> {
    let hook = stage.bed.free_port()?;
    chapters::connect(stage, hook).await?;
    stage
        .bed
        .git()?
        .add_webhook(Webhook {
            url: format!("http://127.0.0.1:{hook}/push"),
            secret: None,
        })
        .await;
    let hooks = accounts::HookRuns::start(stage.bed.client()?);
    let kills = kills.then(|| {
        let kills = kills::each_once(stage.operators.clone(), stage.narrator.voice());
        AbortOnDropHandle::new(tokio::spawn(kills))
    });
    chapters::first_sync(stage).await?;
    let load = Load::start(stage.bed.client()?, manifests::NAMESPACE, "shop", LOAD)?;
    let rollout = follow::Follower::start(stage.bed.client()?, manifests::NAMESPACE, "shop");
    chapters::promotion(stage, &rollout).await?;
    chapters::rollback(stage, &rollout, &load).await?;
    chapters::healing(stage).await?;
    if let Some(kills) = kills {
        kills.await.context("killing")??;
        // Whoever was killed last has nothing left to do, and says so.
        chapters::settled(stage).await?;
    }
    accounts::balance(stage, &hooks).await?;
    stage.narrator.timeline();
    let mut memory = Vec::new();
    for deployed in stage.operators.iter() {
        let usage = deployed
            .operator
            .part
            .usage()
            .await
            .context("an operator has ended")?;
        memory.push((deployed.which.name(), usage));
    }
    stage.narrator.memory(&memory);
    Ok(())
}
