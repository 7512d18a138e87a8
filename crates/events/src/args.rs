//! The command line, in upstream's spelling.

use std::{path::PathBuf, sync::Arc};

use crate::{
    controller::dedicated::DedicatedObject,
    offline::{lint::LintArgs, simulate::SimulateArgs},
    operate::{dlq::DlqArgs, explain::ExplainArgs, publish::PublishArgs, tail::TailArgs},
    source::files::WatchedFolder,
};
use clap::{Args, Parser, Subcommand};
use reconcile_core::{
    args::{AdminArgs, KubeArgs, LeaderArgs, LogArgs},
    aws::Environment,
};

/// EventBus, EventSource and Sensor: events cross JetStream and trigger actions, without loss.
#[derive(Debug, Parser)]
#[command(name = "events", version)]
pub struct Cli {
    /// What to run.
    #[command(subcommand)]
    pub command: Command,
}

/// The roles of this program.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the controllers and, in the same process, everything that event sources and sensors do.
    Controller(Box<ControllerArgs>),
    /// Run what event sources and sensors of some shards do, beside a controller with the same --shards.
    Worker(Box<ControllerArgs>),
    /// Check manifests as the controller would, without a cluster.
    Lint(LintArgs),
    /// Show what a Sensor does with events, without a cluster.
    Simulate(SimulateArgs),
    /// Publish an event, as a source would.
    Publish(PublishArgs),
    /// Show the events of a bus as they come.
    Tail(TailArgs),
    /// Show dead letters, or give their events to the triggers again.
    Dlq(DlqArgs),
    /// Say why a Sensor did or did not fire.
    Explain(ExplainArgs),
}

/// Flags of `events controller` and `events worker`.
#[derive(Args, Clone, Debug)]
pub struct ControllerArgs {
    /// Connection to the API server.
    #[command(flatten)]
    pub kube: KubeArgs,
    /// The log.
    #[command(flatten)]
    pub log: LogArgs,
    /// Leader election.
    #[command(flatten)]
    pub leader: LeaderArgs,
    /// Metrics and probes.
    #[command(flatten)]
    pub admin: AdminArgs,
    /// Watch one namespace only.
    #[arg(long)]
    pub namespaced: bool,
    /// The namespace to watch with --namespaced; the own one when absent.
    #[arg(long, value_name = "NAMESPACE")]
    pub managed_namespace: Option<String>,
    /// Namespace of this process, for its lease.
    #[arg(
        long = "own-namespace",
        env = "NAMESPACE",
        value_name = "NAMESPACE",
        hide = true
    )]
    pub own_namespace: Option<String>,
    /// File with the versions of NATS and the defaults of buses that the controller deploys; built-in ones without it.
    #[arg(
        long,
        value_name = "FILE",
        default_value = "/etc/argo-events/controller-config.yaml"
    )]
    pub controller_config: PathBuf,
    /// Number of shards that all controllers and workers share: each process acts for the EventSources and Sensors of
    /// its shards. With 1 the leader acts for all. The same number for all processes; several per process divide the
    /// work more evenly.
    #[arg(long, value_name = "COUNT", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=256))]
    pub shards: u32,
    /// Deployment of `events worker` in YAML, from which those of EventSources and Sensors are made that ask for a pod of
    /// their own (spec.template, or the annotation events.argoproj.io/dedicated); without the file none gets one.
    #[arg(
        long,
        value_name = "FILE",
        default_value = "/etc/argo-events/dedicated.yaml"
    )]
    pub dedicated_template: PathBuf,
    /// Of a worker: act for this object alone, EventSource/NAMESPACE/NAME or Sensor/NAMESPACE/NAME, in a pod of its own.
    #[arg(long, value_name = "OBJECT")]
    pub only: Option<DedicatedObject>,
    /// Port of /metrics.
    #[arg(long, default_value_t = 7777)]
    pub metrics_port: u16,
    /// Port of /healthz and /readyz.
    #[arg(long, default_value_t = 8081)]
    pub health_port: u16,
    /// Address under which pods reach the listeners of event sources; Services lead there.
    #[arg(long, env = "POD_IP", value_name = "IP")]
    pub advertise_address: Option<String>,
    /// Let triggers, sources and buses call link-local addresses, where clouds serve the credentials of a machine.
    #[arg(long)]
    pub allow_link_local: bool,
    /// Folders of this pod that `file` event sources may watch, with all that is below, and of which namespace; `*` for
    /// all namespaces. None by default.
    #[arg(long, value_name = "NAMESPACE=PATH", value_delimiter = ',')]
    pub watched_folders: Vec<WatchedFolder>,
    /// Accepted for compatibility; the Kubernetes client logs with everything else.
    #[arg(long = "klog-level", hide = true)]
    pub klog_level: Option<String>,
}

/// The variables of the process, which say where STS is.
pub fn environment() -> Environment {
    Arc::new(|name: &str| std::env::var(name).ok())
}
