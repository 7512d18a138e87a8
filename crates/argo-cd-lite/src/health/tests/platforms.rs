//! The table: clusters, machines, serving, storage and operators.
#![expect(clippy::too_many_lines, reason = "tables of json!() literals")]

use serde_json::json;

use super::{
    super::Code::{Degraded, Healthy, Progressing, Suspended},
    kinds::{check, conditions, status},
};

#[test]
fn clusters_machines_and_virtual_machines() {
    let cluster = "cluster.x-k8s.io/v1beta1/Cluster";
    check(
        cluster,
        &json!({"spec": {"paused": true}}),
        Suspended,
        "Cluster is paused",
    );
    check(
        cluster,
        &status(json!({"phase": "Provisioned"})),
        Healthy,
        "Cluster is running",
    );
    check(
        cluster,
        &json!({"status": {"phase": "Provisioned", "conditions": [{"type": "Ready", "status": "False", "message": "m"}]}}),
        Degraded,
        "m",
    );
    check(
        "cluster.x-k8s.io/v1beta1/Machine",
        &status(json!({"phase": "Provisioning"})),
        Progressing,
        "Condition is unknown",
    );
    let deployment = "cluster.x-k8s.io/v1beta1/MachineDeployment";
    let replicas = |ready: u64| {
        status(
            json!({"phase": "Running", "replicas": 2, "updatedReplicas": 2, "readyReplicas": ready}),
        )
    };
    check(
        deployment,
        &replicas(2),
        Healthy,
        "Machines are running under this deployment",
    );
    check(
        deployment,
        &replicas(1),
        Progressing,
        "Waiting for machines",
    );
    let plane = "controlplane.cluster.x-k8s.io/v1beta1/KubeadmControlPlane";
    check(
        plane,
        &status(json!({"replicas": 3, "updatedReplicas": 3, "readyReplicas": 2})),
        Progressing,
        "2/3 ready",
    );
    let machine = "kubevirt.io/v1/VirtualMachine";
    check(machine, &conditions(&["Ready=False"]), Suspended, "Stopped");
    check(
        machine,
        &json!({"status": {"printableStatus": "Running", "conditions": [{"type": "Ready", "status": "True"}]}}),
        Healthy,
        "Running",
    );
    check(
        "karpenter.sh/v1/NodePool",
        &conditions(&["Ready=False//no class"]),
        Degraded,
        "no class",
    );
}

#[test]
fn serving_storage_runs_and_operators() {
    let service = "serving.knative.dev/v1/Service";
    check(
        service,
        &conditions(&["ConfigurationsReady=True", "Ready=True", "RoutesReady=True"]),
        Healthy,
        "Knative Service is healthy.",
    );
    check(
        service,
        &conditions(&["Ready=False/RevisionFailed/crash"]),
        Degraded,
        "Ready is False, since RevisionFailed. crash\n",
    );
    check(
        "operator.knative.dev/v1beta1/KnativeServing",
        &conditions(&["Ready=Unknown"]),
        Progressing,
        "1: Ready | Unknown\n",
    );
    let ceph = "ceph.rook.io/v1/CephCluster";
    check(
        ceph,
        &status(json!({"ceph": {"health": "HEALTH_OK"}, "state": "Created", "message": "fine"})),
        Healthy,
        "Ceph health is HEALTH_OK - Ceph cluster state is Created - fine",
    );
    check(
        ceph,
        &status(
            json!({"ceph": {"health": "HEALTH_WARN", "details": {"B": {"message": "b"}, "A": {"message": "a"}}}, "state": "Created"}),
        ),
        Degraded,
        "Ceph health is HEALTH_WARN (a; b)",
    );
    check(
        "velero.io/v1/Backup",
        &status(json!({"phase": "PartiallyFailed"})),
        Degraded,
        "PartiallyFailed",
    );
    check(
        "tekton.dev/v1/PipelineRun",
        &conditions(&["Succeeded=Unknown/Running"]),
        Progressing,
        "Running",
    );
    check(
        "snapshot.storage.k8s.io/v1/VolumeSnapshot",
        &status(json!({"readyToUse": true})),
        Healthy,
        "Ready to use",
    );
    check(
        "monitoring.coreos.com/v1/Prometheus",
        &conditions(&["Available=False/SomePodsNotReady/1 of 2"]),
        Progressing,
        "1 of 2",
    );
    check(
        "monitoring.coreos.com/v1/ServiceMonitor",
        &json!({}),
        Healthy,
        "",
    );
    let subscription = "operators.coreos.com/v1alpha1/Subscription";
    check(
        subscription,
        &conditions(&["CatalogSourcesUnhealthy=False"]),
        Healthy,
        "1: CatalogSourcesUnhealthy | False\n",
    );
    check(
        subscription,
        &conditions(&["InstallPlanPending=True"]),
        Progressing,
        "An install plan for a subscription is pending installation",
    );
    check(
        "apps.kruise.io/v1alpha1/CloneSet",
        &json!({}),
        Progressing,
        "Waiting for initialization",
    );
}
