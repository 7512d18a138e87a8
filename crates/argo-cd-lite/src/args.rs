//! The command line, in upstream's spelling. Flags of upstream that have no meaning here are accepted.

mod upstream;

use std::{ffi::OsString, net::IpAddr, path::PathBuf, time::Duration};

use clap::{Args, Parser, Subcommand};
use reconcile_core::{
    args::{AdminArgs, KubeArgs, LeaderArgs, LogArgs},
    kube_types::{GoDuration, Quantity},
};

use crate::{cli::Verb, render::ToolPaths};
pub use upstream::UpstreamArgs;

/// The command line.
#[derive(Debug, Parser)]
#[command(
    name = "argo-cd-lite",
    version,
    about = "Syncs a cluster with Git repositories"
)]
pub struct Cli {
    /// What to run.
    #[command(subcommand)]
    pub command: Command,
}

/// What to run.
#[derive(Debug, Subcommand)]
#[expect(clippy::large_enum_variant, reason = "made once, at the start")]
pub enum Command {
    /// Run the controller.
    Controller(Box<ControllerArgs>),
    /// Evaluate Jsonnet; the controller starts this.
    #[command(hide = true)]
    Jsonnet {
        /// File with the request.
        request: PathBuf,
    },
    /// Answer without a cluster.
    #[command(flatten)]
    Verb(Verb),
}

impl Cli {
    /// The command line with the word `controller` where it has no verb: the operator is what runs by default.
    pub fn with_default(arguments: impl IntoIterator<Item = OsString>) -> Vec<OsString> {
        let mut arguments: Vec<OsString> = arguments.into_iter().collect();
        let asks = ["-h", "--help", "-V", "--version"];
        let verb = arguments.get(1).map(|first| first.to_string_lossy());
        let has_verb = verb
            .is_some_and(|first| !first.starts_with('-') || asks.iter().any(|flag| *flag == first));
        if !has_verb {
            let at = arguments.len().min(1);
            arguments.insert(at, "controller".into());
        }
        arguments
    }
}

/// Flags of the controller.
#[derive(Args, Clone, Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "switches of a command line are independent of each other"
)]
#[command(
    mut_arg("level", |arg| arg.env("ARGOCD_APPLICATION_CONTROLLER_LOGLEVEL")),
    mut_arg("format", |arg| arg.env("ARGOCD_APPLICATION_CONTROLLER_LOGFORMAT"))
)]
pub struct ControllerArgs {
    /// The connection to the API server.
    #[command(flatten)]
    pub kube: KubeArgs,
    /// Leader election.
    #[command(flatten)]
    pub leader: LeaderArgs,
    /// Metrics and probes.
    #[command(flatten)]
    pub admin: AdminArgs,
    /// Namespace of the control plane: projects, settings and Applications.
    #[arg(
        id = "control-plane",
        long = "namespace",
        short = 'n',
        env = "ARGOCD_NAMESPACE",
        value_name = "NAMESPACE"
    )]
    pub namespace: Option<String>,
    /// Namespace of the pod; the control plane is there unless --namespace says otherwise.
    #[arg(long, env = "POD_NAMESPACE", hide = true)]
    pub pod_namespace: Option<String>,
    /// Globs of other namespaces whose Applications are reconciled.
    #[arg(
        long,
        env = "ARGOCD_APPLICATION_NAMESPACES",
        value_delimiter = ',',
        value_name = "GLOBS"
    )]
    pub application_namespaces: Vec<String>,
    /// Seconds between two polls of a repository; 0 turns the poll off.
    #[arg(long, env = "ARGOCD_RECONCILIATION_TIMEOUT", default_value = "120", value_parser = seconds, value_name = "SECONDS")]
    pub app_resync: Duration,
    /// Most seconds that a poll is put off at random.
    #[arg(long, env = "ARGOCD_RECONCILIATION_JITTER", default_value = "60", value_parser = seconds, value_name = "SECONDS")]
    pub app_resync_jitter: Duration,
    /// Seconds for which a repository may fail before its Applications say so.
    #[arg(long, env = "ARGOCD_REPO_ERROR_GRACE_PERIOD_SECONDS", default_value = "180", value_parser = seconds, value_name = "SECONDS")]
    pub repo_error_grace_period_seconds: Duration,
    /// Applications that are reconciled at the same time.
    #[arg(
        long,
        env = "ARGOCD_APPLICATION_CONTROLLER_STATUS_PROCESSORS",
        default_value_t = 20,
        value_name = "NUMBER"
    )]
    pub status_processors: usize,
    /// Number of shards that all replicas share: each process acts for the Applications of its shards and watches what
    /// these need. With 1 the leader acts for all. The same number for all replicas; several per replica divide the work
    /// more evenly. Excludes --redis-port.
    #[arg(long, env = "ARGOCD_LITE_SHARDS", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=256), value_name = "NUMBER")]
    pub shards: u32,
    /// Accepted; syncs run within the passes of --status-processors.
    #[arg(
        long,
        env = "ARGOCD_APPLICATION_CONTROLLER_OPERATION_PROCESSORS",
        default_value_t = 10,
        value_name = "NUMBER"
    )]
    pub operation_processors: usize,
    /// Pause after each wave. When absent, the pause is left out wherever the status of the objects
    /// proves that it is fresh.
    #[arg(long, env = "ARGOCD_SYNC_WAVE_DELAY", value_parser = seconds, value_name = "SECONDS")]
    pub sync_wave_delay: Option<Duration>,
    /// The log.
    #[command(flatten)]
    pub log: LogArgs,
    /// Port of metrics and probes.
    #[arg(
        long,
        env = "ARGOCD_APPLICATION_CONTROLLER_METRICS_PORT",
        default_value_t = 8082,
        value_name = "PORT"
    )]
    pub metrics_port: u16,
    /// IP address that the webhook server listens on; all addresses when absent.
    #[arg(long, env = "ARGOCD_SERVER_LISTEN_ADDRESS", value_name = "IP")]
    pub address: Option<IpAddr>,
    /// Port of the webhook; 0 takes a free one.
    #[arg(
        long,
        env = "ARGOCD_SERVER_PORT",
        default_value_t = 8080,
        value_name = "PORT"
    )]
    pub port: u16,
    /// Ports for Argo CD's own server.
    #[command(flatten)]
    pub upstream: UpstreamArgs,
    /// Programs that render.
    #[command(flatten)]
    pub tools: ToolArgs,
    /// Folder of the Git stores and of what was rendered; a folder below the one for temporary files when absent.
    #[arg(long, env = "ARGOCD_LITE_CACHE", value_name = "FOLDER")]
    pub cache_dir: Option<PathBuf>,
    /// Accept `file://` repositories. Whoever may write an Application reads with them what this process can read.
    #[arg(long, env = "ARGOCD_LITE_ALLOW_FILE_REPOSITORIES")]
    pub allow_file_repositories: bool,
    /// Let repositories be at link-local and instance metadata addresses. Whoever may write an Application chooses
    /// the address.
    #[arg(long, env = "ARGOCD_LITE_REPOSITORIES_ALLOW_LINK_LOCAL")]
    pub repositories_allow_link_local: bool,
    /// Let cluster Secrets name loopback, link-local and instance metadata addresses as their server.
    #[arg(long, env = "ARGOCD_LITE_ALLOW_LOCAL_CLUSTERS")]
    pub allow_local_clusters: bool,
    /// Labels of Applications that become labels of the metric `argocd_app_labels`.
    #[arg(long, value_delimiter = ',', value_name = "LABELS")]
    pub metrics_application_labels: Vec<String>,
    /// Sync although an application controller of Argo CD runs in the namespace of the control plane. Without it no
    /// Application is changed while one runs.
    #[arg(long, env = "ARGOCD_LITE_TAKE_OVER")]
    pub take_over: bool,
    /// Space that Git stores, charts and kept renders may take, for example 4Gi. The least recently used ones are deleted beyond it.
    #[arg(long, env = "ARGOCD_LITE_CACHE_SIZE", default_value = "4Gi", value_parser = bytes, value_name = "QUANTITY")]
    pub cache_size: u64,
}

/// Programs that render.
#[derive(Args, Clone, Debug, Default)]
pub struct ToolArgs {
    /// Path of helm; searched for in PATH when absent.
    #[arg(long, env = "ARGOCD_LITE_HELM", value_name = "FILE")]
    pub helm_binary: Option<PathBuf>,
    /// Path of kustomize; searched for in PATH when absent.
    #[arg(long, env = "ARGOCD_LITE_KUSTOMIZE", value_name = "FILE")]
    pub kustomize_binary: Option<PathBuf>,
}

impl ToolArgs {
    /// The paths, with PATH of this process for those that are not given.
    pub fn paths(self) -> ToolPaths {
        ToolPaths {
            helm: self.helm_binary,
            kustomize: self.kustomize_binary,
            own: std::env::current_exe().ok(),
            search: std::env::var_os("PATH"),
        }
    }
}

/// A variable of the process's environment, such as one that says where credentials are; `None` when it is not set.
pub fn environment_variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// Bytes as a Kubernetes quantity.
fn bytes(text: &str) -> Result<u64, String> {
    let quantity: Quantity = text.parse().map_err(|error| format!("{error}"))?;
    u64::try_from(quantity.value()).map_err(|_| "the size must not be negative".to_owned())
}

/// Seconds as a bare number, or a Go duration.
fn seconds(text: &str) -> Result<Duration, String> {
    GoDuration::parse_or_seconds(text)
        .map(GoDuration::to_std)
        .map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;
    use crate::repo::DEFAULT_DISK_BUDGET;

    fn parse(flags: &[&str]) -> ControllerArgs {
        let line = ["argo-cd-lite", "controller"].iter().chain(flags).copied();
        match Cli::try_parse_from(line).expect("flags that parse").command {
            Command::Controller(args) => *args,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn numbers_are_seconds_and_durations_are_understood() {
        let args = parse(&[
            "--app-resync",
            "30",
            "--app-resync-jitter=1m",
            "--sync-wave-delay",
            "2",
        ]);
        assert_eq!(args.app_resync, Duration::from_secs(30));
        assert_eq!(args.app_resync_jitter, Duration::from_secs(60));
        assert_eq!(args.sync_wave_delay, Some(Duration::from_secs(2)));
        assert_eq!(args.cache_size, DEFAULT_DISK_BUDGET);
        assert_eq!(parse(&["--cache-size=512Mi"]).cache_size, 512 << 20);
    }

    #[test]
    fn the_log_is_set_by_the_names_of_upstream() {
        let args = parse(&["--loglevel", "debug", "--logformat=json"]);
        assert_eq!(args.log.level, "debug");
        assert_eq!(args.log.format, reconcile_core::telemetry::LogFormat::Json);
        let mut command = Cli::command();
        command.build();
        let controller = command.find_subcommand("controller").expect("the command");
        let of = |id: &str| {
            let arg = controller.get_arguments().find(|arg| arg.get_id() == id);
            arg.and_then(clap::Arg::get_env)
        };
        assert_eq!(
            (of("level"), of("format")),
            (
                Some("ARGOCD_APPLICATION_CONTROLLER_LOGLEVEL".as_ref()),
                Some("ARGOCD_APPLICATION_CONTROLLER_LOGFORMAT".as_ref())
            )
        );
    }

    #[test]
    fn the_operator_is_what_runs_without_a_verb() {
        let line = |text: &str| Cli::with_default(text.split(' ').map(OsString::from));
        assert_eq!(line("argo-cd-lite"), ["argo-cd-lite", "controller"]);
        assert_eq!(
            line("argo-cd-lite --port 0"),
            ["argo-cd-lite", "controller", "--port", "0"]
        );
        for kept in [
            "argo-cd-lite controller --port 0",
            "argo-cd-lite health -f -",
            "argo-cd-lite --help",
        ] {
            assert_eq!(line(kept).len(), kept.split(' ').count(), "{kept}");
        }
    }

    #[test]
    fn flags_of_upstream_without_meaning_here_are_logged_and_hide_no_other() {
        let line =
            "argo-cd-lite controller --repo-server argocd-repo-server:8081 --redis=x --port 0";
        let words = line.split(' ').map(std::ffi::OsString::from);
        let (cli, unknown) =
            reconcile_core::args::parse::<Cli>(words, "controller").expect("a start");
        let Command::Controller(args) = cli.command else {
            panic!("{cli:?}");
        };
        assert_eq!(args.port, 0);
        assert_eq!(unknown, ["--repo-server", "--redis"]);
    }
}
