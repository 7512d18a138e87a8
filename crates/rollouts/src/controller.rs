//! `rollouts controller`.

use anyhow::Context;
use reconcile_core::operator::{Identity, Operator};

use crate::{
    analysis::{AnalysisConfig, ProviderConfig},
    args::ControllerArgs,
    rollout::{self, RolloutConfig},
};

/// Name of the lease; the same as upstream's, so that the two never act at the same time.
const LEASE: &str = "argo-rollouts-controller-lock";

/// Runs until SIGTERM, or until leadership is lost.
pub async fn run(args: ControllerArgs) -> anyhow::Result<()> {
    let ControllerArgs {
        kube,
        log: _,
        leader,
        admin,
        namespaced,
        namespace,
        instance_id,
        metrics_port,
        healthz_port,
        rollout_threads,
        analysis_threads,
        prometheus_address,
        analysis_allow_link_local,
        aws_verify_target_group,
        alb_tag_key_resource_id,
        experiment_threads,
        qps: _,
        burst: _,
    } = args;
    let lease = if instance_id.is_empty() {
        LEASE.to_owned()
    } else {
        format!("{LEASE}-{instance_id}")
    };
    let mut ports = vec![metrics_port, healthz_port];
    // Port 0 is another one each time.
    ports.dedup_by(|one, other| one == other && *one != 0);
    let identity = Identity {
        name: "rollouts",
        lease,
        address: admin.metrics_address,
        ports,
    };
    let operator = Operator::start(identity, &kube, &leader)
        .await
        .context("starting")?;
    let namespace = namespaced.then(|| namespace.unwrap_or_else(|| operator.namespace.clone()));
    let analysis = AnalysisConfig {
        namespace: namespace.clone(),
        instance_id: instance_id.clone(),
        workers: analysis_threads,
        providers: ProviderConfig {
            prometheus_address,
            namespace: operator.namespace.clone(),
            allow_link_local: analysis_allow_link_local,
        },
    };
    let config = RolloutConfig {
        namespace,
        instance_id,
        workers: rollout_threads,
        experiment_workers: experiment_threads,
        verify_target_groups: aws_verify_target_group.then_some(alb_tag_key_resource_id),
        analysis,
    };
    rollout::start(&operator, &config).context("registering metrics")?;
    operator.run().await?;
    Ok(())
}
