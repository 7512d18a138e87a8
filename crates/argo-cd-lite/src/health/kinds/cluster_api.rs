//! Cluster API and node provisioning.

use crate::health::{
    Code::{Degraded, Healthy, Progressing, Suspended},
    Health, Subject,
    rule::{Rule, behind, field, no, on, rule, run, when, yes},
};

const READY: crate::health::rule::Step = when(&[no("Ready", Degraded), yes("Ready", Healthy)]);

pub(super) const RULES: &[Rule] = &[
    rule(
        "cluster.x-k8s.io",
        "Cluster",
        &[
            field("spec.paused", &[("true", Suspended, "Cluster is paused")]),
            when(&[no("Ready", Degraded)]),
            field(
                "status.phase",
                &[
                    ("Provisioned", Healthy, "Cluster is running"),
                    ("Failed", Degraded, ""),
                ],
            ),
        ],
    )
    .waiting("Waiting for clusters"),
    rule(
        "cluster.x-k8s.io",
        "Machine",
        &[
            field(
                "status.phase",
                &[("Running", Healthy, "Machine is running")],
            ),
            run(machine),
        ],
    ),
    rule(
        "cluster.x-k8s.io",
        "MachineDeployment",
        &[
            field(
                "spec.paused",
                &[("true", Suspended, "MachineDeployment is paused")],
            ),
            run(machines_are_ready),
            field(
                "status.phase",
                &[
                    ("ScalingUp", Progressing, "Cluster is spawning machines"),
                    ("ScalingDown", Progressing, "Cluster is stopping machines"),
                    ("Failed", Degraded, "MachineDeployment is failed"),
                ],
            ),
        ],
    )
    .waiting("Waiting for machines"),
    rule("cluster.x-k8s.io", "MachinePool", &[run(machine_pool)]),
    rule(
        "cluster.x-k8s.io",
        "MachineHealthCheck",
        &[run(machine_health_check)],
    )
    .waiting(""),
    rule(
        "cluster.x-k8s.io",
        "ClusterClass",
        &[when(&[no(
            "RefVersionsUpToDate|VariablesReconciled",
            Degraded,
        )])],
    )
    .otherwise(Healthy, ""),
    rule(
        "addons.cluster.x-k8s.io",
        "ClusterResourceSet",
        &[when(&[
            yes("ResourcesApplied", Healthy).say("cluster resource set is applied"),
            no("ResourcesApplied", Degraded),
        ])],
    )
    .waiting("Initializing cluster resource set"),
    rule(
        "addons.cluster.x-k8s.io",
        "HelmChartProxy|HelmReleaseProxy",
        &[READY],
    )
    .waiting("Waiting for the release"),
    rule(
        "controlplane.cluster.x-k8s.io",
        "KubeadmControlPlane",
        &[
            when(&[on("EtcdClusterHealthy", "!True", Degraded).say("Etcd cluster is unhealthy")]),
            run(next_conditions),
            when(&[on("ControlPlaneComponentsHealthy", "!True", Progressing)
                .say("Control plane components unhealthy")]),
            run(control_plane_replicas),
        ],
    )
    .waiting("Waiting for KubeadmControlPlane status"),
    rule(
        "controlplane.cluster.x-k8s.io",
        "AWSManagedControlPlane",
        &[run(eks)],
    )
    .waiting("Provisioning..."),
    rule(
        "karpenter.sh",
        "NodePool",
        &[READY, when(&[no("NodeClassReady", Degraded)])],
    )
    .waiting("Waiting for NodePool to be ready"),
    rule(
        "karpenter.sh",
        "NodeClaim",
        &[
            behind(Progressing, "Waiting for NodeClaim spec to be reconciled"),
            when(&[yes("Disrupting", Suspended)]),
            READY,
            when(&[yes("Initialized", Progressing).say("Node initialized, waiting for Ready")]),
            when(&[
                yes("Registered", Progressing).say("Node registered, waiting for initialization")
            ]),
            when(&[yes("Launched", Progressing).say("Node launched, waiting for registration")]),
        ],
    )
    .waiting("Waiting for NodeClaim to be launched"),
    rule(
        "karpenter.k8s.aws",
        "EC2NodeClass",
        &[
            when(&[
                no("Ready", Degraded),
                yes("Ready", Healthy).say("EC2NodeClass is ready"),
            ]),
            when(&[no(
                "SubnetsReady|SecurityGroupsReady|ValidationSucceeded",
                Degraded,
            )]),
        ],
    )
    .waiting("Waiting for EC2NodeClass to be ready"),
];

fn machine(subject: &Subject<'_>) -> Option<Health> {
    let failed = subject.text("status.phase") == "Failed";
    let not_ready = subject
        .conditions()
        .iter()
        .find(|condition| condition["type"] == "Ready" && condition["status"] == "False");
    let message = not_ready.map_or("Condition is unknown", |condition| {
        condition["message"].as_str().unwrap_or_default()
    });
    Some(Health::new(
        if failed { Degraded } else { Progressing },
        message,
    ))
}

fn machines_are_ready(subject: &Subject<'_>) -> Option<Health> {
    let count = |name: &str| {
        subject
            .at("status")
            .get(name)
            .and_then(serde_json::Value::as_i64)
    };
    let replicas = count("replicas");
    let done = subject.text("status.phase") == "Running"
        && replicas == count("updatedReplicas")
        && replicas == count("readyReplicas");
    done.then(|| Health::new(Healthy, "Machines are running under this deployment"))
}

fn machine_pool(subject: &Subject<'_>) -> Option<Health> {
    let phase = subject.text("status.phase");
    let code = match phase {
        "Running" | "Scaling" => Healthy,
        "Failed" | "Unknown" => Degraded,
        _ => Progressing,
    };
    let mut message = match phase {
        "" => String::new(),
        phase => format!("MachinePool is {phase}"),
    };
    let wrong: Vec<String> = subject
        .conditions()
        .iter()
        .filter(|condition| condition["status"] == "False")
        .filter_map(|condition| {
            let type_ = condition["type"].as_str()?;
            Some(match condition["reason"].as_str() {
                Some(reason) => format!("Not {type_} ({reason})"),
                None => format!("Not {type_}"),
            })
        })
        .collect();
    if !wrong.is_empty() {
        message = format!("{message}: {}", wrong.join(", "));
    }
    Some(Health::new(code, message))
}

fn machine_health_check(subject: &Subject<'_>) -> Option<Health> {
    let healthy = subject.at("status.currentHealthy").as_i64()?;
    let all = subject.at("status.expectedMachines").as_i64() == Some(healthy);
    let code = if all { Healthy } else { Degraded };
    Some(Health::of(code))
}

/// Conditions in the form of the next API version.
fn next_conditions(subject: &Subject<'_>) -> Option<Health> {
    let conditions = subject.list("status.v1beta2.conditions");
    let status = |type_: &str| {
        let condition = conditions
            .iter()
            .find(|condition| condition["type"] == type_)?;
        condition["status"].as_str()
    };
    let not_true = |type_: &str| status(type_).is_some_and(|status| status != "True");
    let message = if not_true("MachinesReady") {
        "Machines not ready"
    } else if not_true("MachinesUpToDate") {
        "Updating machines"
    } else if status("RollingOut") == Some("True") {
        "Rolling out"
    } else {
        return None;
    };
    Some(Health::new(Progressing, message))
}

fn control_plane_replicas(subject: &Subject<'_>) -> Option<Health> {
    if subject.at("status").is_null() {
        return None;
    }
    let all = subject.int("status.replicas");
    let updated = subject.int("status.updatedReplicas");
    let ready = subject.int("status.readyReplicas");
    Some(if updated < all {
        Health::new(
            Progressing,
            format!("Updating: {updated}/{all} updated, {ready} ready"),
        )
    } else if ready == all {
        Health::new(Healthy, "Control plane is healthy")
    } else {
        Health::new(Progressing, format!("{ready}/{all} ready"))
    })
}

fn eks(subject: &Subject<'_>) -> Option<Health> {
    if subject.at("status.conditions").is_null() {
        return None;
    }
    let mut errors = String::new();
    for condition in subject.conditions() {
        if condition["type"] == "Ready" && condition["status"] == "True" {
            return Some(Health::new(Healthy, "Control plane is ready"));
        }
        if condition["status"] == "False" && condition["severity"] == "Error" {
            errors.push_str(condition["message"].as_str().unwrap_or_default());
            errors.push(' ');
        }
    }
    if !errors.is_empty() {
        return Some(Health::new(Degraded, errors));
    }
    let said = subject.at("status.ready").as_bool() == Some(false);
    Some(Health::new(
        Progressing,
        if said {
            "Control plane is not ready (.status.ready is false)"
        } else {
            "Control plane is not ready"
        },
    ))
}
