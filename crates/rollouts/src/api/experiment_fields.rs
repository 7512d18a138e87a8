//! Which fields of an Experiment have an effect.

use reconcile_core::fields::{Field, Ledger, reported, supported, supported_note};

const FIELDS: &[Field] = &[
    supported("spec.templates[].name"),
    supported("spec.templates[].replicas"),
    supported("spec.templates[].minReadySeconds"),
    supported("spec.templates[].selector.**"),
    supported_note("spec.templates[].template.**", "copied as it is"),
    supported_note(
        "spec.templates[].service.name",
        "without container ports there is no Service, as upstream",
    ),
    supported_note(
        "spec.templates[].service",
        "{} takes the name of the ReplicaSet",
    ),
    supported("spec.duration"),
    supported("spec.progressDeadlineSeconds"),
    supported("spec.terminate"),
    supported("spec.analyses[].name"),
    supported("spec.analyses[].templateName"),
    supported("spec.analyses[].clusterScope"),
    supported("spec.analyses[].requiredForCompletion"),
    supported("spec.analyses[].args[].name"),
    supported_note(
        "spec.analyses[].args[].value",
        "templates.NAME.podTemplateHash, templates.NAME.replicaset.name, experiment.availableAt and experiment.finishedAt in double braces",
    ),
    supported("spec.analyses[].args[].valueFrom.secretKeyRef.name"),
    supported("spec.analyses[].args[].valueFrom.secretKeyRef.key"),
    reported(
        "spec.analyses[].args[].valueFrom.fieldRef.fieldPath",
        "upstream reads it from a Rollout's own arguments only",
    ),
    supported("spec.scaleDownDelaySeconds"),
    supported("spec.dryRun[].metricName"),
    supported("spec.measurementRetention[].metricName"),
    supported("spec.measurementRetention[].limit"),
    supported("spec.analysisRunMetadata.**"),
];

/// The table of Experiment.
pub const EXPERIMENT: Ledger = Ledger {
    kind: "Experiment",
    tables: &[FIELDS],
};
