//! Rook, Longhorn, Velero, VolSync and other storage.

use crate::health::{
    Code::{Degraded, Healthy, Progressing, Suspended},
    Health, Subject,
    rule::{Rule, Step, field, no, rule, run, when, yes},
};

const NOT_REPORTED: &str = "Waiting for status to be reported";

/// Most of Rook's kinds have one phase.
const ROOK: Step = field(
    "status.phase",
    &[
        ("Ready|Created|Connected", Healthy, "{kind} is {value}"),
        ("Failure|Error", Degraded, "{kind} is {value}"),
        ("*", Progressing, "{kind} is {value}"),
    ],
);

/// Velero's kinds share phases.
const VELERO: Step = field(
    "status.phase",
    &[
        ("Completed", Healthy, "{kind} completed"),
        (
            "FailedValidation|Failed|PartiallyFailed|WaitingForPluginOperationsPartiallyFailed|FinalizingPartiallyFailed",
            Degraded,
            "{status.failureReason|value}",
        ),
        ("*", Progressing, "{value}"),
    ],
);

pub(super) const RULES: &[Rule] = &[
    rule("ceph.rook.io", "CephCluster", &[run(ceph_cluster)]).waiting(NOT_REPORTED),
    rule("ceph.rook.io", "CephObjectStore", &[run(object_store)]).waiting(NOT_REPORTED),
    rule(
        "ceph.rook.io",
        "CephBlockPool|CephFilesystem|CephNFS|CephObjectStoreUser|CephClient|CephRBDMirror|CephFilesystemSubVolumeGroup|CephBlockPoolRadosNamespace|CephObjectRealm|CephObjectZone|CephObjectZoneGroup",
        &[ROOK],
    )
    .waiting(NOT_REPORTED),
    rule("objectbucket.io", "ObjectBucketClaim", &[field("status.phase", &[
        ("Bound", Healthy, ""),
        ("Failed", Degraded, ""),
        ("*", Progressing, "{value}"),
    ])])
    .waiting("Waiting for the bucket"),
    rule("velero.io", "Backup|Restore", &[VELERO]).waiting("Waiting for {kind} to be processed"),
    rule("velero.io", "Schedule", &[
        field("spec.paused", &[("true", Suspended, "Schedule is paused")]),
        field("status.phase", &[
            ("Enabled", Healthy, "Schedule is enabled"),
            ("FailedValidation", Degraded, "Schedule failed validation"),
        ]),
    ])
    .waiting("Waiting for Schedule to be validated"),
    rule("velero.io", "BackupStorageLocation", &[field("status.phase", &[
        ("Available", Healthy, "{status.message}"),
        ("Unavailable", Degraded, "{status.message}"),
    ])])
    .waiting("Waiting for BackupStorageLocation"),
    rule("velero.io", "BackupRepository", &[field("status.phase", &[
        ("Ready", Healthy, ""),
        ("NotReady", Degraded, "{status.message}"),
    ])])
    .waiting("Waiting for BackupRepository"),
    rule("volsync.backube", "ReplicationSource|ReplicationDestination", &[
        field("status.latestMoverStatus.result", &[
            ("Failed", Degraded, "The last synchronisation failed"),
            ("Successful", Healthy, "The last synchronisation succeeded"),
        ]),
        when(&[no("Synchronizing", Healthy).because("WaitingForSchedule|WaitingForManual")]),
    ])
    .waiting("Waiting for {kind}"),
    rule("longhorn.io", "Volume", &[field("status.robustness", &[
        ("healthy", Healthy, ""),
        ("degraded|faulted", Degraded, "Volume is {value}"),
        ("unknown", Healthy, "Volume is not attached"),
    ])])
    .waiting("Waiting for Volume"),
    rule("k8up.io", "Backup|Restore|Check|Prune|Archive", &[when(&[
        yes("Completed", Healthy).because("Succeeded"),
        yes("Completed", Degraded).because("Failed"),
        yes("Progressing", Progressing),
    ])])
    .waiting("Waiting for {kind}"),
    rule("k8up.io", "Schedule", &[when(&[no("Ready", Degraded), yes("Ready", Healthy)])])
        .otherwise(Healthy, ""),
    rule("trident.netapp.io", "TridentBackend|TridentBackendConfig|TridentOrchestrator", &[
        field("status.lastOperationStatus", &[
            ("Success", Healthy, "{status.message}"),
            ("Failed", Degraded, "{status.message}"),
        ]),
        field("status.status", &[
            ("Installed", Healthy, "{status.message}"),
            ("Failed|Error", Degraded, "{status.message}"),
            ("*", Progressing, "{status.message}"),
        ]),
        field("state", &[
            ("online", Healthy, "Backend is online"),
            ("*", Degraded, "Backend is {value}"),
        ]),
    ])
    .waiting("Waiting for {kind}"),
];

/// Ceph's own health first, then the state of the cluster; the message joins everything that was said.
fn ceph_cluster(subject: &Subject<'_>) -> Option<Health> {
    if subject.at("status").is_null() {
        return None;
    }
    let mut parts = Vec::new();
    let mut code = Progressing;
    if let Some(health) = subject.at("status.ceph.health").as_str() {
        code = match health {
            "HEALTH_OK" => Healthy,
            "HEALTH_WARN" | "HEALTH_ERR" => Degraded,
            _ => Progressing,
        };
        // The map is sorted by name.
        let details: Vec<&str> = subject
            .at("status.ceph.details")
            .as_object()
            .into_iter()
            .flat_map(serde_json::Map::values)
            .filter_map(|detail| detail["message"].as_str())
            .collect();
        parts.push(if details.is_empty() {
            format!("Ceph health is {health}")
        } else {
            format!("Ceph health is {health} ({})", details.join("; "))
        });
    }
    if let (Some(state), Healthy) = (subject.at("status.state").as_str(), code) {
        parts.push(format!("Ceph cluster state is {state}"));
        code = match state {
            "Created" | "Connected" => Healthy,
            "Error" => Degraded,
            _ => Progressing,
        };
    }
    let message = subject.text("status.message");
    if !message.is_empty() {
        parts.push(message.to_owned());
    }
    Some(Health::new(code, parts.join(" - ")))
}

fn object_store(subject: &Subject<'_>) -> Option<Health> {
    let phase = subject.at("status.phase").as_str();
    let endpoint = subject.text("status.info.endpoint");
    let code = match phase {
        Some("Ready") => Healthy,
        Some("Failure") => Degraded,
        _ => Progressing,
    };
    let mut message = match phase {
        Some(phase) => format!("Ceph object store phase is {phase}"),
        None => NOT_REPORTED.to_owned(),
    };
    if !endpoint.is_empty() {
        message = format!("{message} - endpoint: {endpoint}");
    }
    Some(Health::new(code, message))
}
