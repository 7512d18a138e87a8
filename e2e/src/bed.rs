//! A running bed: what it is made of, how it starts, what it offers to tests.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;

use anyhow::{Context as _, Result};
use kube::Client;

use crate::cluster::Cluster;
use crate::control_plane::{ControlPlane, client_from};
use crate::git::GitServer;
use crate::isolated;
use crate::keeper::Keeper;
use crate::ports::Port;
use crate::process::{Part, Program};
use crate::sample::{SAMPLE_PORT, Sample};
use crate::services::{Nats, Prometheus};
use crate::simulation::Nodes;
use crate::targets::Targets;
use crate::tools::{self, Binaries, Tool};

/// Whose cluster a bed uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Control {
    /// A control plane of its own, with simulated nodes.
    Own,
    /// The current kube context (`CLUSTER=current`).
    Current,
    /// None: only the services.
    None,
}

/// What a bed consists of.
#[derive(Debug, Clone)]
#[allow(
    clippy::struct_excessive_bools,
    reason = "each one names a part that may be left out"
)]
pub struct Options {
    /// The cluster.
    pub control: Control,
    /// nats-server with `JetStream`.
    pub nats: bool,
    /// Prometheus.
    pub prometheus: bool,
    /// The Git server.
    pub git: bool,
    /// The sample application; only an isolated bed can reach it under the addresses of pods.
    pub sample: bool,
    /// The folder; by default a new one in the system's temporary folder.
    pub dir: Option<PathBuf>,
    /// Leaves the folder (logs, data) behind.
    pub keep_dir: bool,
    /// Simulated nodes.
    pub nodes: usize,
    /// Pods each node takes.
    pub pods_per_node: u32,
    /// From binding to running containers; a pod's annotation `bed/start-after` overrides it.
    pub start_after: Duration,
    /// From running containers to readiness; a pod's annotation `bed/ready-after` overrides it.
    pub ready_after: Duration,
}

impl Default for Options {
    /// Everything, on a cluster of its own unless `CLUSTER=current` is set.
    fn default() -> Self {
        let current = std::env::var("CLUSTER").is_ok_and(|value| value == "current");
        Self {
            control: if current {
                Control::Current
            } else {
                Control::Own
            },
            nats: true,
            prometheus: true,
            git: true,
            sample: isolated::inside(),
            dir: None,
            keep_dir: false,
            nodes: 10,
            pods_per_node: 1000,
            start_after: Duration::from_millis(50),
            ready_after: Duration::from_millis(200),
        }
    }
}

impl Options {
    /// Only a cluster: no bus, metrics store or Git server.
    pub fn cluster_only() -> Self {
        Self {
            nats: false,
            prometheus: false,
            git: false,
            sample: false,
            ..Self::default()
        }
    }

    /// A cluster and a Git server.
    pub fn git_only() -> Self {
        Self {
            git: true,
            ..Self::cluster_only()
        }
    }

    /// The tools these options need.
    pub fn tools(&self) -> Vec<Tool> {
        let mut tools = Vec::new();
        if self.control == Control::Own {
            tools.extend([
                Tool::KubeApiserver,
                Tool::KubeControllerManager,
                Tool::KubeScheduler,
                Tool::Etcd,
                Tool::Kwok,
            ]);
        }
        if self.nats {
            tools.push(Tool::NatsServer);
        }
        if self.prometheus {
            tools.push(Tool::Prometheus);
        }
        tools
    }
}

/// A running bed. Dropping it stops every process and removes its folder.
#[derive(Debug)]
pub struct Bed {
    // Fields are dropped in this order: our own tasks first, the keeper (which kills the rest) last.
    /// The sample application, when it runs.
    pub sample: Option<Sample>,
    targets: Option<Targets>,
    cluster: Option<Cluster>,
    control_plane: Option<ControlPlane>,
    nats: Option<Nats>,
    prometheus: Option<Prometheus>,
    git: Option<GitServer>,
    dir: PathBuf,
    ports: Mutex<Vec<Port>>,
    keeper: Keeper,
}

impl Bed {
    /// Builds what is missing and starts everything. An error tells which part failed and shows its log.
    pub async fn up(options: Options) -> Result<Self> {
        // On the heap: the state of every starting part is large, and callers hold it across their own awaits.
        Box::pin(Self::start(options)).await
    }

    async fn start(options: Options) -> Result<Self> {
        crate::init_tls();
        isolated::prepare()?;
        let wanted = options.tools();
        let binaries = tokio::task::spawn_blocking(move || tools::ensure(&wanted))
            .await
            .context("building the tools")??;
        let dir = folder(&options)?;
        let keeper = Keeper::start(&dir, options.keep_dir)?;
        let started = start(&options, &dir, keeper.group(), &binaries).await;
        let Started {
            control_plane,
            nats,
            prometheus,
            git,
        } = match started {
            Ok(started) => started,
            Err(error) => return Err(error),
        };
        let cluster = cluster(&options, control_plane.as_ref(), &dir).await?;
        let mut bed = Self {
            sample: None,
            targets: None,
            cluster,
            control_plane,
            nats,
            prometheus,
            git,
            dir,
            ports: Mutex::default(),
            keeper,
        };
        bed.start_sample(&options)?;
        Ok(bed)
    }

    fn start_sample(&mut self, options: &Options) -> Result<()> {
        let Some(cluster) = &self.cluster else {
            return Ok(());
        };
        if options.sample {
            self.sample = Some(Sample::start(cluster.client(), SAMPLE_PORT)?);
        }
        if let (Some(prometheus), true) = (&self.prometheus, options.sample) {
            self.targets = Some(Targets::start(cluster.client(), prometheus.targets.clone()));
        }
        Ok(())
    }

    /// Stops everything and removes the folder. The same as dropping, for readers of the code.
    pub fn down(self) {
        drop(self);
    }

    /// The bed's folder: logs, kubeconfigs, data.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The cluster. An error when the bed has none.
    pub fn cluster(&self) -> Result<&Cluster> {
        self.cluster.as_ref().context("this bed has no cluster")
    }

    /// An administrator's client. An error when the bed has no cluster.
    pub fn client(&self) -> Result<Client> {
        Ok(self.cluster()?.client())
    }

    /// The control plane's parts. An error with `CLUSTER=current`.
    pub fn control_plane(&self) -> Result<&ControlPlane> {
        self.control_plane
            .as_ref()
            .context("this bed has no control plane of its own")
    }

    /// The bus.
    pub fn nats(&self) -> Result<&Nats> {
        self.nats.as_ref().context("this bed has no NATS")
    }

    /// The metrics store.
    pub fn prometheus(&self) -> Result<&Prometheus> {
        self.prometheus
            .as_ref()
            .context("this bed has no Prometheus")
    }

    /// The Git server.
    pub fn git(&self) -> Result<&GitServer> {
        self.git.as_ref().context("this bed has no Git server")
    }

    /// A port nobody else takes as long as the bed lives.
    pub fn free_port(&self) -> Result<u16> {
        let port = Port::claim()?;
        let number = port.number();
        self.ports
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .push(port);
        Ok(number)
    }

    /// A process that belongs to the bed, not started yet: it ends with the bed, and its output is in `logs/`.
    pub fn part(&self, program: Program) -> Result<Part> {
        Part::new(program, &self.dir, self.keeper.group())
    }

    /// The processes of the bed itself.
    pub fn parts(&self) -> Vec<&Part> {
        let mut parts: Vec<&Part> = Vec::new();
        if let Some(plane) = &self.control_plane {
            parts.extend(plane.parts());
        }
        parts.extend(self.nats.as_ref().map(|nats| &nats.part));
        parts.extend(self.prometheus.as_ref().map(|prometheus| &prometheus.part));
        parts
    }

    /// The variables that tell other programs where everything is.
    pub fn env(&self) -> BTreeMap<String, String> {
        let mut env = BTreeMap::from([("BED_DIR".to_owned(), self.dir.display().to_string())]);
        let mut set = |key: &str, value: &str| env.insert(key.to_owned(), value.to_owned());
        if let Some(cluster) = &self.cluster {
            set("KUBECONFIG", &cluster.kubeconfig().display().to_string());
        }
        if let Some(nats) = &self.nats {
            set("NATS_URL", &nats.url);
        }
        if let Some(prometheus) = &self.prometheus {
            set("PROMETHEUS_URL", &prometheus.url);
        }
        if let Some(git) = &self.git {
            set("GIT_URL", git.url());
        }
        if self.sample.is_some() {
            set("SAMPLE_PORT", &SAMPLE_PORT.to_string());
        }
        env
    }
}

struct Started {
    control_plane: Option<ControlPlane>,
    nats: Option<Nats>,
    prometheus: Option<Prometheus>,
    git: Option<GitServer>,
}

/// Everything at once; the slowest part is the control plane.
async fn start(options: &Options, dir: &Path, group: i32, binaries: &Binaries) -> Result<Started> {
    let nodes = Nodes {
        count: options.nodes,
        pods_per_node: options.pods_per_node,
        start_after: options.start_after,
        ready_after: options.ready_after,
    };
    let (control_plane, nats, prometheus, git) = tokio::try_join!(
        when(
            options.control == Control::Own,
            ControlPlane::start(dir, group, binaries, &nodes)
        ),
        when(options.nats, Nats::start(dir, group, binaries)),
        when(options.prometheus, Prometheus::start(dir, group, binaries)),
        when(options.git, GitServer::start_in(dir)),
    )?;
    Ok(Started {
        control_plane,
        nats,
        prometheus,
        git,
    })
}

async fn when<T>(wanted: bool, start: impl Future<Output = Result<T>>) -> Result<Option<T>> {
    if wanted {
        start.await.map(Some)
    } else {
        Ok(None)
    }
}

async fn cluster(
    options: &Options,
    control_plane: Option<&ControlPlane>,
    dir: &Path,
) -> Result<Option<Cluster>> {
    if let Some(plane) = control_plane {
        let kubeconfig = plane.certificates.kubeconfig.clone();
        return Ok(Some(Cluster::new(plane.client.clone(), kubeconfig, dir)));
    }
    if options.control == Control::None {
        return Ok(None);
    }
    // A copy, so that a later change of the user's context does not move the bed to another cluster.
    let current = kube::config::Kubeconfig::read().context("CLUSTER=current needs a kubeconfig")?;
    let path = dir.join("kubeconfig");
    std::fs::write(&path, serde_json::to_vec_pretty(&current)?)?;
    Ok(Some(Cluster::new(client_from(&path).await?, path, dir)))
}

fn folder(options: &Options) -> Result<PathBuf> {
    let Some(dir) = &options.dir else {
        let dir = tempfile::Builder::new()
            .prefix("bed-")
            .tempdir()
            .context("the bed's folder")?;
        // From here on the keeper removes it.
        return Ok(dir.keep());
    };
    std::fs::create_dir_all(dir).with_context(|| format!("creating {}", dir.display()))?;
    std::path::absolute(dir).context("the bed's folder")
}
