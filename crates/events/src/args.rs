//! The command line, in upstream's spelling.

use std::ffi::OsString;

use clap::{Args, Parser, Subcommand};
use reconcile_core::args::{KubeArgs, LeaderArgs, LogArgs};

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
    Controller(ControllerArgs),
}

/// Flags of `events controller`.
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
    /// Port of /metrics.
    #[arg(long, default_value_t = 7777)]
    pub metrics_port: u16,
    /// Port of /healthz and /readyz.
    #[arg(long, default_value_t = 8081)]
    pub health_port: u16,
    /// Address under which pods reach the listeners of event sources; Services lead there.
    #[arg(long, env = "POD_IP", value_name = "IP")]
    pub advertise_address: Option<String>,
    /// Accepted for compatibility; the Kubernetes client logs with everything else.
    #[arg(long = "klog-level", hide = true)]
    pub klog_level: Option<String>,
}

/// Splits off flags that this program does not know, which upstream's manifests may carry: they are
/// named in a warning instead of stopping the start.
pub fn parse(
    arguments: impl IntoIterator<Item = OsString>,
) -> Result<(Cli, Vec<String>), clap::Error> {
    let mut arguments: Vec<OsString> = arguments.into_iter().collect();
    let mut unknown = Vec::new();
    loop {
        let error = match Cli::try_parse_from(&arguments) {
            Ok(cli) => return Ok((cli, unknown)),
            Err(error) => error,
        };
        let flag = match error.get(clap::error::ContextKind::InvalidArg) {
            Some(clap::error::ContextValue::String(flag))
                if error.kind() == clap::error::ErrorKind::UnknownArgument
                    && flag.starts_with("--") =>
            {
                flag.split('=').next().unwrap_or(flag).to_owned()
            }
            _ => return Err(error),
        };
        let is_flag = |argument: &OsString| {
            argument
                .to_str()
                .is_some_and(|text| text == flag || text.starts_with(&format!("{flag}=")))
        };
        let Some(at) = arguments.iter().position(is_flag) else {
            return Err(error);
        };
        let separate = arguments[at].to_str() == Some(flag.as_str());
        arguments.remove(at);
        if separate
            && arguments
                .get(at)
                .and_then(|next| next.to_str())
                .is_some_and(|next| !next.starts_with('-'))
        {
            arguments.remove(at);
        }
        unknown.push(flag);
    }
}
