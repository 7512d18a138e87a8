//! Malformed objects of each kind: each gets a condition that names the field, and the others are reconciled.
//!
//! The CRDs are installed without schemas here, so that the API server lets everything through: the operators must
//! cope with what upstream's Events CRDs, which have no schemas, let through anyway.

#![allow(
    clippy::too_many_lines,
    reason = "a scenario reads from top to bottom, with its manifests"
)]

#[path = "malformed/events.rs"]
mod events;
mod scene;

use anyhow::Result;
use e2e::Options;
use e2e::stack::{Setup, Which};
use scene::{ARGO, Scene, application, config_map};
use serde_json::{Value, json};

/// The kinds with their plurals and whether they have the status subresource.
const KINDS: [(&str, &str, &str, bool); 11] = [
    ("Application", "applications", "Namespaced", false),
    ("AppProject", "appprojects", "Namespaced", false),
    ("ApplicationSet", "applicationsets", "Namespaced", true),
    ("EventBus", "eventbus", "Namespaced", true),
    ("EventSource", "eventsources", "Namespaced", true),
    ("Sensor", "sensors", "Namespaced", true),
    ("Rollout", "rollouts", "Namespaced", true),
    ("AnalysisTemplate", "analysistemplates", "Namespaced", false),
    (
        "ClusterAnalysisTemplate",
        "clusteranalysistemplates",
        "Cluster",
        false,
    ),
    ("AnalysisRun", "analysisruns", "Namespaced", false),
    // The original defines Experiments without the status endpoint.
    ("Experiment", "experiments", "Namespaced", false),
];

/// CRDs that say nothing about the form of an object, as somebody else's installation may have left them.
fn shapeless_crds() -> Vec<Value> {
    let open = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    KINDS
        .iter()
        .map(|(kind, plural, scope, status)| {
            let mut version = json!({
                "name": "v1alpha1", "served": true, "storage": true,
                "schema": {"openAPIV3Schema": open},
            });
            if *status {
                version["subresources"] = json!({"status": {}});
            }
            json!({
                "apiVersion": "apiextensions.k8s.io/v1",
                "kind": "CustomResourceDefinition",
                "metadata": {"name": format!("{plural}.argoproj.io")},
                "spec": {
                    "group": "argoproj.io",
                    "scope": scope,
                    "names": {"kind": kind, "plural": plural, "singular": kind.to_lowercase(), "listKind": format!("{kind}List")},
                    "versions": [version],
                },
            })
        })
        .collect()
}

/// An operator on CRDs without schemas.
async fn on_foreign_crds(options: Options, which: Which) -> Result<Scene> {
    let mut scene = Scene::set(options, &[]).await?;
    for crd in shapeless_crds() {
        scene.bed.cluster()?.apply("", &crd.to_string()).await?;
    }
    let values = match which {
        Which::Rollouts => "installCRDs=false",
        Which::Events | Which::ArgoCdLite => "crds.install=false",
    };
    scene
        .add(
            which,
            &Setup {
                values: vec![values.into()],
                ..Setup::default()
            },
        )
        .await?;
    Ok(scene)
}

/// Waits until a condition of an object contains these words.
async fn until_says(
    scene: &Scene,
    kind: &str,
    namespace: &str,
    name: &str,
    words: &[&str],
) -> Result<()> {
    let says = |object: &Value| {
        let conditions = object["status"]["conditions"].as_array();
        conditions.into_iter().flatten().any(|condition| {
            let message = condition["message"].as_str().unwrap_or_default();
            words.iter().all(|word| message.contains(word))
        })
    };
    let what = format!("a condition with {words:?}");
    scene.until(kind, namespace, name, &what, says).await?;
    Ok(())
}

/// An object of a kind that is not served yet gets a condition that says so.
async fn until_reported_unserved(scene: &Scene, kind: &str, namespace: &str) -> Result<()> {
    let object =
        format!("apiVersion: {ARGO}\nkind: {kind}\nmetadata: {{name: later}}\nspec: {{}}\n");
    scene.apply(namespace, &object).await?;
    until_says(scene, kind, namespace, "later", &["not supported yet"]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn rollouts_names_the_field_and_reconciles_other_rollouts_without_our_schema() -> Result<()> {
    let options = Options {
        nats: false,
        git: false,
        prometheus: false,
        sample: false,
        ..Options::default()
    };
    let scene = on_foreign_crds(options, Which::Rollouts).await?;
    let good = r"
apiVersion: argoproj.io/v1alpha1
kind: Rollout
metadata: {name: good}
spec:
  replicas: 2
  selector: {matchLabels: {app: good}}
  strategy: {canary: {steps: [{setWeight: 50}, {pause: {duration: 1s}}]}}
  template:
    metadata: {labels: {app: good}}
    spec: {containers: [{name: web, image: 'web:v1'}]}
";
    let steps = "{canary: {steps: [{setWeight: 50}, {pause: {duration: 1s}}]}}";
    for kind in ["AnalysisTemplate", "ClusterAnalysisTemplate"] {
        let template = format!(
            "apiVersion: {ARGO}\nkind: {kind}\nmetadata: {{name: types}}\nspec: {{metrics: [{{name: a, count: [], provider: {{prometheus: {{query: up}}}}}}]}}\n"
        );
        scene.apply("default", &template).await?;
    }
    let pause = "{pause: {duration: 1s}}";
    let bad: [(&str, &str, &str, &[&str]); 7] = [
        (
            "template",
            pause,
            "{analysis: {templates: [{templateName: types}]}}",
            &["AnalysisTemplate 'types'", "metrics[0].count"],
        ),
        (
            "cluster-template",
            pause,
            "{analysis: {templates: [{templateName: types, clusterScope: true}]}}",
            &["ClusterAnalysisTemplate 'types'", "metrics[0].count"],
        ),
        (
            "types",
            "setWeight: 50",
            "setWeight: half",
            &["steps[0].setWeight"],
        ),
        ("absurd", "setWeight: 50", "setWeight: 500", &["setWeight"]),
        (
            "both",
            steps,
            "{canary: {}, blueGreen: {activeService: x}}",
            &["Multiple Strategies"],
        ),
        (
            "unknown",
            "{canary: {",
            "{canary: {canaryService: nowhere, stableService: nowhere-else, ",
            &["nowhere"],
        ),
        (
            "routed",
            "{canary: {",
            "{canary: {trafficRouting: {nginx: {stableIngress: x}}, ",
            &["canaryService"],
        ),
    ];
    for (name, from, to, _) in bad {
        let manifest = good.replace("good", name).replace(from, to);
        scene.apply("default", &manifest).await?;
    }
    scene.apply("default", good).await?;
    for (name, _, _, words) in bad {
        until_says(&scene, "Rollout", "default", name, words).await?;
    }
    scene
        .until("Rollout", "default", "good", "Healthy", |ro| {
            ro["status"]["phase"] == "Healthy"
        })
        .await?;
    // The whole slice works on CRDs that are not ours.
    scene
        .apply("default", &good.replace("web:v1", "web:v2"))
        .await?;
    scene
        .until("Rollout", "default", "good", "Healthy on v2", |ro| {
            scene::observed(ro)
                && ro["status"]["phase"] == "Healthy"
                && ro["status"]["currentStepIndex"] == 2
                && ro["status"]["updatedReplicas"] == 2
        })
        .await?;
    let run = |name: &str, metrics: &str| {
        format!(
            "apiVersion: {ARGO}\nkind: AnalysisRun\nmetadata: {{name: {name}}}\nspec: {{metrics: {metrics}}}\n"
        )
    };
    scene
        .apply(
            "default",
            &run(
                "types",
                "[{name: a, count: [], provider: {prometheus: {query: up}}}]",
            ),
        )
        .await?;
    scene
        .apply(
            "default",
            &run("provider", "[{name: a, provider: {datadog: {query: up}}}]"),
        )
        .await?;
    let experiment = |name: &str, spec: &str| {
        format!("apiVersion: {ARGO}\nkind: Experiment\nmetadata: {{name: {name}}}\nspec: {spec}\n")
    };
    for (name, spec, words) in [
        ("types", "{templates: 7}", "spec.templates"),
        ("empty", "{templates: []}", "spec.templates: Required value"),
    ] {
        scene.apply("default", &experiment(name, spec)).await?;
        until_says(&scene, "Experiment", "default", name, &[words]).await?;
    }
    for (name, word) in [("types", "metrics[0].count"), ("provider", "datadog")] {
        scene
            .until(
                "AnalysisRun",
                "default",
                name,
                "phase Error with the field",
                |run| {
                    run["status"]["phase"] == "Error"
                        && run["status"]["message"]
                            .as_str()
                            .is_some_and(|text| text.contains(word))
                },
            )
            .await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn argo_cd_lite_names_the_field_and_reconciles_other_applications_without_our_schema()
-> Result<()> {
    let options = Options::git_only();
    let scene = on_foreign_crds(options, Which::ArgoCdLite).await?;
    let repository = scene.bed.git()?.repository("good").await?;
    repository
        .commit(
            &[
                ("app/a.yaml", &config_map("a", "1", "")),
                (
                    "broken/a.yaml",
                    "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: [\n",
                ),
                (
                    "unknown/a.yaml",
                    "apiVersion: example.com/v1\nkind: Nothing\nmetadata: {name: a}\n",
                ),
            ],
            "files",
        )
        .await?;
    let policy = "{automated: {prune: true, selfHeal: true}, syncOptions: [CreateNamespace=true]}";
    let good = application("good", &repository.url, "app", "good", policy);
    let project = format!(
        "apiVersion: {ARGO}\nkind: AppProject\nmetadata: {{name: types}}\nspec: {{sourceRepos: 7}}\n"
    );
    scene.apply("argocd", &project).await?;
    let bad: [(&str, &str, &str, &[&str]); 9] = [
        ("types", "project: default", "project: [1]", &["project"]),
        (
            "bad-project",
            "project: default",
            "project: types",
            &["sourceRepos"],
        ),
        ("nopath", ", path: app", "", &["path"]),
        (
            "nobranch",
            "targetRevision: main",
            "targetRevision: nowhere",
            &["nowhere"],
        ),
        ("nofolder", "path: app", "path: nowhere", &["nowhere"]),
        (
            "escape",
            "path: app",
            "path: ../..",
            &["outside of the repository"],
        ),
        ("broken", "path: app", "path: broken", &["a.yaml"]),
        (
            "helm",
            "path: app",
            "path: app, helm: {releaseName: x}",
            &["spec.source.path", "Chart.yaml"],
        ),
        (
            "noproject",
            "project: default",
            "project: nowhere",
            &["nowhere"],
        ),
    ];
    for (name, from, to, _) in bad {
        let manifest = good
            .replace("name: good", &format!("name: {name}"))
            .replace("namespace: good", &format!("namespace: {name}"))
            .replace(from, to);
        scene.apply("argocd", &manifest).await?;
    }
    scene.apply("argocd", &good).await?;
    for (name, _, _, words) in bad {
        until_says(&scene, "Application", "argocd", name, words).await?;
    }
    scene.until_synced("good").await?;
    until_reported_unserved(&scene, "ApplicationSet", "argocd").await
}
