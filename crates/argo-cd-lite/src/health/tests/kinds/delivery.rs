//! What deploys other things.

use super::*;

#[test]
fn the_argo_family() {
    let run = "argoproj.io/v1alpha1/AnalysisRun";
    check(
        run,
        &status(json!({"phase": "Pending"})),
        Progressing,
        "Analysis run is running",
    );
    check(
        run,
        &status(json!({"phase": "Failed", "message": "p99"})),
        Degraded,
        "p99",
    );
    check(
        run,
        &status(json!({"phase": "Error"})),
        Degraded,
        "Analysis run had an error",
    );
    check(
        run,
        &status(json!({"phase": "Inconclusive"})),
        Unknown,
        "Analysis run was inconclusive",
    );
    check(
        run,
        &json!({}),
        Progressing,
        "Waiting for analysis run to finish: status has not been reconciled.",
    );
    let experiment = "argoproj.io/v1alpha1/Experiment";
    check(
        experiment,
        &status(json!({"phase": "Successful"})),
        Healthy,
        "Experiment is successful",
    );
    let set = "argoproj.io/v1alpha1/ApplicationSet";
    check(
        set,
        &conditions(&[
            "ResourcesUpToDate=True//same",
            "ErrorOccurred=True//bad generator",
        ]),
        Degraded,
        "bad generator",
    );
    check(
        set,
        &conditions(&[
            "ResourcesUpToDate=True//same",
            "RolloutProgressing=True//step 2",
        ]),
        Progressing,
        "step 2",
    );
    check(
        set,
        &json!({}),
        Progressing,
        "Waiting for the status to be reported",
    );
    check(
        "argoproj.io/v1alpha1/EventBus",
        &conditions(&["Deployed=False/NoPods"]),
        Degraded,
        "NoPods",
    );
    let source = "argoproj.io/v1alpha1/EventSource";
    check(
        source,
        &conditions(&["SourcesProvided=True", "Deployed=True"]),
        Healthy,
        "Deployed",
    );
    check(
        "argoproj.io/v1alpha1/Sensor",
        &conditions(&["Deployed=True", "TriggersProvided=False/Bad/no url"]),
        Degraded,
        "no url",
    );
    check(
        "argoproj.io/v1alpha1/CronWorkflow",
        &json!({}),
        Healthy,
        "CronWorkflow is healthy.",
    );
    assert_eq!(health("argoproj.io/v1alpha1/Application", &json!({})), None);
}

#[test]
fn flux() {
    let kustomization = "kustomize.toolkit.fluxcd.io/v1/Kustomization";
    check(
        kustomization,
        &json!({"spec": {"suspend": true}}),
        Suspended,
        "Kustomization is suspended",
    );
    check(kustomization, &json!({}), Progressing, "Status unknown");
    check(
        kustomization,
        &conditions(&["Ready=True/Applied"]),
        Healthy,
        "Applied",
    );
    check(
        kustomization,
        &conditions(&["Reconciling=True/Progressing", "Ready=Unknown/Progressing"]),
        Progressing,
        "Progressing",
    );
    check(
        kustomization,
        &conditions(&["Ready=False/BuildFailed"]),
        Degraded,
        "BuildFailed",
    );
    let release = "helm.toolkit.fluxcd.io/v2/HelmRelease";
    check(
        release,
        &conditions(&["Ready=True/UpgradeSucceeded", "Released=True"]),
        Healthy,
        "UpgradeSucceeded",
    );
    check(
        release,
        &conditions(&["Ready=True/UpgradeSucceeded"]),
        Degraded,
        "UpgradeSucceeded",
    );
    let repository = "source.toolkit.fluxcd.io/v1/GitRepository";
    check(
        repository,
        &conditions(&["Ready=True/Succeeded", "ArtifactInStorage=True"]),
        Healthy,
        "Succeeded",
    );
    check(
        "image.toolkit.fluxcd.io/v1/ImageRepository",
        &conditions(&["Ready=False/x", "Reconciling=True/Scanning"]),
        Progressing,
        "x",
    );
}
