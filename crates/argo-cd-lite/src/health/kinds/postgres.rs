//! Operators of PostgreSQL: CloudNativePG, Zalando, CrunchyData, Percona, StackGres.

use crate::health::{
    Code::{Degraded, Healthy, Progressing, Suspended, Unknown},
    Health, Subject,
    rule::{Rule, absent, field, no, rule, run, when, yes},
};

pub(super) const RULES: &[Rule] = &[
    rule("postgresql.cnpg.io", "Cluster", &[
        run(reconciliation_is_off),
        when(&[
            yes("cnpg.io/hibernation", Suspended),
            no("cnpg.io/hibernation", Degraded),
        ]),
        absent("status.conditions", Progressing, "{status.phaseReason}"),
        field("status.phase", &[
            ("Cluster in healthy state", Healthy, "{status.phaseReason}"),
            (
                "Setting up primary|Creating a new replica|Upgrading cluster|Waiting for the instances to become active|Promoting to primary cluster",
                Progressing,
                "{status.phaseReason}",
            ),
            (
                "Switchover in progress|Failing over|Upgrading Postgres major version|Cluster upgrade delayed|Waiting for user action|Primary instance is being restarted in-place|Primary instance is being restarted without a switchover|Cluster cannot execute instance online upgrade due to missing architecture binary|Online upgrade in progress|Applying configuration",
                Degraded,
                "{status.phaseReason}",
            ),
            (
                "Unable to create required cluster objects|Cluster cannot proceed to reconciliation due to an unknown plugin being required|Cluster has incomplete or invalid image catalog|Cluster is unrecoverable and needs manual intervention",
                Suspended,
                "{status.phaseReason}",
            ),
        ]),
    ])
    .otherwise(Unknown, "{status.phaseReason}"),
    rule("postgresql.cnpg.io", "Backup", &[field("status.phase", &[
        ("completed", Healthy, "Backup completed"),
        (
            "failed|walArchivingFailing|invalid backup definition",
            Degraded,
            "{status.error|value}",
        ),
        ("*", Progressing, "{value}"),
    ])])
    .waiting("Waiting for backup to be processed"),
    rule("postgresql.cnpg.io", "Database|Publication|Subscription", &[run(applied)])
        .waiting("{status.message|Waiting to be applied}"),
    rule("postgresql.cnpg.io", "Pooler|ScheduledBackup|ImageCatalog|ClusterImageCatalog", &[])
        .otherwise(Healthy, ""),
    rule("acid.zalan.do", "postgresql", &[field("status.PostgresClusterStatus", &[
        ("Running", Healthy, "{value}"),
        ("Creating|Updating", Progressing, "{value}"),
        ("*", Degraded, "{value}"),
    ])])
    .waiting("Waiting for postgres cluster status..."),
    rule("postgres-operator.crunchydata.com", "PostgresCluster", &[run(crunchy)])
        .waiting("Waiting for the cluster status"),
    rule("postgres-operator.crunchydata.com", "PGUpgrade", &[when(&[
        yes("Succeeded", Healthy),
        no("Succeeded", Degraded),
        yes("Progressing", Progressing),
    ])])
    .waiting("Waiting for the upgrade"),
    rule("postgres-operator.crunchydata.com", "PGAdmin", &[when(&[
        no("PersistentVolumeResizing", Progressing),
    ])])
    .otherwise(Healthy, ""),
    rule("pgv2.percona.com", "PerconaPGCluster", &[field("status.state", &[
        ("ready", Healthy, ""),
        ("paused|stopping", Suspended, "{value}"),
        ("error", Degraded, "{value}"),
        ("*", Progressing, "{value}"),
    ])])
    .waiting("Waiting for the cluster status"),
    rule("stackgres.io", "SGCluster", &[when(&[
        yes("Failed", Degraded),
        yes("PendingRestart|PendingUpgrade", Progressing),
        yes("Bootstrapped", Healthy),
    ])])
    .waiting("Waiting for the cluster status"),
];

fn reconciliation_is_off(subject: &Subject<'_>) -> Option<Health> {
    let off = ["cnpg.io/reconciliationLoop", "cnpg.io/reconciliation"]
        .into_iter()
        .any(|key| subject.annotation(key) == Some("disabled"));
    off.then(|| Health::new(Suspended, "Cluster reconciliation is suspended"))
}

/// Only a result for this spec counts: the first tries fail while the owner role is missing.
fn applied(subject: &Subject<'_>) -> Option<Health> {
    let message = subject.text("status.message");
    let observed = subject.at("status.observedGeneration").as_i64();
    if subject.metadata.generation.is_some() && observed != subject.metadata.generation {
        return None;
    }
    let applied = subject.at("status.applied").as_bool()?;
    Some(Health::new(
        if applied { Healthy } else { Degraded },
        message,
    ))
}

/// All instances ready in every set, and the backup repository usable.
fn crunchy(subject: &Subject<'_>) -> Option<Health> {
    if subject.at("spec.shutdown").as_bool() == Some(true) {
        return Some(Health::new(Suspended, "PostgresCluster is shut down"));
    }
    if subject.is_behind() {
        return Some(Health::new(
            Progressing,
            "Waiting for the latest spec to be observed",
        ));
    }
    let sets = subject.list("status.instances");
    if sets.is_empty() {
        return None;
    }
    let failed = subject.conditions().iter().find(|condition| {
        condition["status"] == "False"
            && matches!(
                condition["type"].as_str(),
                Some(
                    "PGBackRestRepoHostReady"
                        | "PGBackRestReplicaRepoReady"
                        | "PostgresDataInitialized"
                )
            )
    });
    if let Some(condition) = failed {
        let message = condition["message"].as_str().unwrap_or_default();
        return Some(Health::new(Progressing, message));
    }
    let behind = sets.iter().find(|set| {
        let count = |name: &str| set[name].as_i64().unwrap_or_default();
        let wanted = count("replicas");
        count("readyReplicas") < wanted || count("updatedReplicas") < wanted
    });
    Some(match behind {
        None => Health::new(Healthy, "All instances are ready"),
        Some(set) => Health::new(
            Progressing,
            format!(
                "Waiting for instance set {:?}: {} of {} instances are ready",
                set["name"].as_str().unwrap_or_default(),
                set["readyReplicas"].as_i64().unwrap_or_default(),
                set["replicas"].as_i64().unwrap_or_default()
            ),
        ),
    })
}
