//! The command line, in upstream's spelling.

use clap::{Args, Parser, Subcommand};
use reconcile_core::args::{AdminArgs, KubeArgs, LeaderArgs, LogArgs};

/// Progressive delivery for Kubernetes.
#[derive(Debug, Parser)]
#[command(name = "rollouts", version, about)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the controller of Rollouts and AnalysisRuns.
    Controller(Box<ControllerArgs>),
    /// Print what the controller would do next and why, from files; needs no cluster.
    Plan(crate::offline::plan::PlanArgs),
    /// Say what the controller would refuse in files; needs no cluster.
    Lint(crate::offline::lint::LintArgs),
    /// Run the analysis of a template now, against the real providers.
    Analyze(Box<crate::offline::analyze::AnalyzeArgs>),
    /// Print the whole update of a Rollout as it would happen; needs no cluster.
    Simulate(crate::offline::simulate::SimulateArgs),
}

/// Flags of `rollouts controller`.
#[derive(Args, Clone, Debug)]
pub struct ControllerArgs {
    /// The connection to the API server.
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
    /// Work in one namespace only; cluster-wide analysis templates are not available then.
    #[arg(long)]
    pub namespaced: bool,
    /// The namespace of `--namespaced`; the controller's own when absent.
    #[arg(
        id = "work_namespace",
        long = "namespace",
        short = 'n',
        value_name = "NAMESPACE"
    )]
    pub namespace: Option<String>,
    /// Handle only objects with this value of the label `argo-rollouts.argoproj.io/controller-instance-id`.
    #[arg(long = "instance-id", default_value = "", value_name = "ID")]
    pub instance_id: String,
    /// Port of the metrics.
    #[arg(
        long = "metricsPort",
        visible_alias = "metricsport",
        default_value_t = 8090
    )]
    pub metrics_port: u16,
    /// Port of the probes.
    #[arg(
        long = "healthzPort",
        visible_alias = "healthzport",
        default_value_t = 8080
    )]
    pub healthz_port: u16,
    /// Passes over Rollouts at the same time.
    #[arg(long = "rollout-threads", default_value_t = 16)]
    pub rollout_threads: usize,
    /// Passes over AnalysisRuns at the same time.
    #[arg(long = "analysis-threads", default_value_t = 30)]
    pub analysis_threads: usize,
    /// Address of Prometheus for metrics that name none.
    #[arg(long, env = "ARGO_ROLLOUTS_PROMETHEUS_ADDRESS", value_name = "URL")]
    pub prometheus_address: Option<String>,
    /// Let metrics call link-local and instance metadata addresses. Whoever may create an `AnalysisRun`
    /// can then read the credentials of the node.
    #[arg(long)]
    pub analysis_allow_link_local: bool,
    /// Go on with a step, and let old pods go, only when AWS says that its load balancers follow: their weights, and the
    /// pods behind a Service that was switched. Needs `elasticloadbalancing:Describe*` and a region.
    #[arg(long = "aws-verify-target-group", visible_alias = "alb-verify-weight")]
    pub aws_verify_target_group: bool,
    /// Tag of target groups that says which Service of which Ingress they belong to.
    #[arg(
        long = "alb-tag-key-resource-id",
        default_value = "ingress.k8s.aws/resource",
        value_name = "KEY"
    )]
    pub alb_tag_key_resource_id: String,
    /// Passes over Experiments at the same time.
    #[arg(long = "experiment-threads", default_value_t = 10)]
    pub experiment_threads: usize,
    /// Accepted and without effect: requests are not throttled here; the API server does that.
    #[arg(long)]
    pub qps: Option<f64>,
    /// Accepted and without effect, as `--qps`.
    #[arg(long)]
    pub burst: Option<u32>,
}

/// A variable of the process's environment, such as the address of a metric server; `None` when it is not set.
pub(crate) fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_flags_do_not_contradict_one_another() {
        Cli::command().debug_assert();
    }

    #[test]
    fn flags_of_upstream_are_understood() {
        let given = "rollouts controller --loglevel debug --klogLevel 2 --instance-id x --qps 40 --alb-ingress-classes=a --metricsPort 0 --leader-elect=false --traefik-version v3";
        let words = given.split(' ').map(std::ffi::OsString::from);
        let (cli, dropped) =
            reconcile_core::args::parse::<Cli>(words, "controller").expect("a start");
        assert_eq!(
            dropped,
            ["--klogLevel", "--alb-ingress-classes", "--traefik-version"]
        );
        let Command::Controller(args) = cli.command else {
            panic!("another command");
        };
        assert_eq!(
            (
                args.instance_id.as_str(),
                args.metrics_port,
                args.leader.enabled
            ),
            ("x", 0, false)
        );
    }
}
