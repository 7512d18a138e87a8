//! Malformed objects of each kind: each gets a condition that names the field, and the others go on.
//!
//! The CRDs are installed without schemas here, so that the API server lets everything through: the operators must
//! cope with what upstream's Events CRDs, which have no schemas, let through anyway.

#![allow(
    clippy::too_many_lines,
    reason = "a scenario reads from top to bottom, with its manifests"
)]

mod scene;

use anyhow::Result;
use e2e::Options;
use e2e::stack::{Setup, Which};
use scene::{ARGO, Scene, application, config_map, synced_and_healthy};
use serde_json::{Value, json};

/// The kinds with their plurals and whether they have the status subresource.
const KINDS: [(&str, &str, &str, bool); 10] = [
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

fn says(object: &Value, words: &[&str]) -> bool {
    let conditions = object["status"]["conditions"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    conditions.iter().any(|condition| {
        let message = condition["message"].as_str().unwrap_or_default();
        words.iter().all(|word| message.contains(word))
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn rollouts_names_the_field_and_other_rollouts_go_on_without_our_schema() -> Result<()> {
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
    let bad = |name: &str, from: &str, to: &str| good.replace("good", name).replace(from, to);
    scene
        .apply("default", &bad("types", "setWeight: 50", "setWeight: half"))
        .await?;
    scene
        .apply("default", &bad("absurd", "setWeight: 50", "setWeight: 500"))
        .await?;
    scene
        .apply(
            "default",
            &bad(
                "both",
                "{canary: {steps: [{setWeight: 50}, {pause: {duration: 1s}}]}}",
                "{canary: {}, blueGreen: {activeService: x}}",
            ),
        )
        .await?;
    scene
        .apply(
            "default",
            &bad(
                "unknown",
                "{canary: {",
                "{canary: {canaryService: nowhere, stableService: nowhere-else, ",
            ),
        )
        .await?;
    scene
        .apply(
            "default",
            &bad(
                "routed",
                "{canary: {",
                "{canary: {trafficRouting: {nginx: {stableIngress: x}}, ",
            ),
        )
        .await?;
    scene.apply("default", good).await?;
    for (name, words) in [
        ("types", &["steps[0].setWeight"][..]),
        ("absurd", &["setWeight"]),
        ("both", &["Multiple Strategies"]),
        ("unknown", &["nowhere"]),
        ("routed", &["trafficRouting"]),
    ] {
        scene
            .until(
                "Rollout",
                "default",
                name,
                &format!("a condition with {words:?}"),
                |ro| says(ro, words),
            )
            .await?;
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
async fn argo_cd_lite_names_the_field_and_other_applications_go_on_without_our_schema() -> Result<()>
{
    let options = Options {
        nats: false,
        prometheus: false,
        sample: false,
        ..Options::default()
    };
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
    let bad = |name: &str, from: &str, to: &str| {
        good.replace("name: good", &format!("name: {name}"))
            .replace("namespace: good", &format!("namespace: {name}"))
            .replace(from, to)
    };
    scene
        .apply("argocd", &bad("types", "project: default", "project: [1]"))
        .await?;
    scene
        .apply("argocd", &bad("nopath", ", path: app", ""))
        .await?;
    scene
        .apply(
            "argocd",
            &bad(
                "nobranch",
                "targetRevision: main",
                "targetRevision: nowhere",
            ),
        )
        .await?;
    scene
        .apply("argocd", &bad("nofolder", "path: app", "path: nowhere"))
        .await?;
    scene
        .apply("argocd", &bad("escape", "path: app", "path: ../.."))
        .await?;
    scene
        .apply("argocd", &bad("broken", "path: app", "path: broken"))
        .await?;
    scene
        .apply(
            "argocd",
            &bad("helm", "path: app", "path: app, helm: {releaseName: x}"),
        )
        .await?;
    scene
        .apply(
            "argocd",
            &bad("noproject", "project: default", "project: nowhere"),
        )
        .await?;
    scene.apply("argocd", &good).await?;
    for (name, words) in [
        ("types", &["project"][..]),
        ("nopath", &["path"]),
        ("nobranch", &["nowhere"]),
        ("nofolder", &["nowhere"]),
        ("escape", &["outside of the repository"]),
        ("broken", &["a.yaml"]),
        ("helm", &["helm"]),
        ("noproject", &["nowhere"]),
    ] {
        scene
            .until(
                "Application",
                "argocd",
                name,
                &format!("a condition with {words:?}"),
                |app| says(app, words),
            )
            .await?;
    }
    scene
        .until(
            "Application",
            "argocd",
            "good",
            "Synced",
            synced_and_healthy,
        )
        .await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn events_names_the_field_and_other_sources_go_on_without_our_schema() -> Result<()> {
    let options = Options {
        git: false,
        prometheus: false,
        sample: false,
        ..Options::default()
    };
    let scene = on_foreign_crds(options, Which::Events).await?;
    let port = scene.bed.free_port()?;
    let nats = scene.bed.nats()?.url.clone();
    let object = |kind: &str, name: &str, spec: &str| {
        format!("apiVersion: {ARGO}\nkind: {kind}\nmetadata: {{name: {name}}}\nspec: {spec}\n")
    };
    scene
        .apply(
            "default",
            &object(
                "EventBus",
                "default",
                &format!("{{jetstreamExotic: {{url: '{nats}'}}}}"),
            ),
        )
        .await?;
    scene
        .apply(
            "default",
            &object("EventBus", "kafka", "{kafka: {url: 'x:9092'}}"),
        )
        .await?;
    scene
        .apply(
            "default",
            &object("EventBus", "types", "{jetstreamExotic: {url: 7}}"),
        )
        .await?;
    scene
        .apply(
            "default",
            &object(
                "EventSource",
                "types",
                "{webhook: {a: {port: [], endpoint: /a}}}",
            ),
        )
        .await?;
    scene
        .apply(
            "default",
            &object(
                "EventSource",
                "cron",
                "{calendar: {a: {schedule: '99 * * * *'}}}",
            ),
        )
        .await?;
    scene
        .apply(
            "default",
            &object(
                "EventSource",
                "kafka",
                "{kafka: {a: {url: 'x:9092', topic: t}}}",
            ),
        )
        .await?;
    scene
        .apply(
            "default",
            &object(
                "EventSource",
                "good",
                &format!("{{webhook: {{a: {{port: '{port}', endpoint: /a, method: POST}}}}}}"),
            ),
        )
        .await?;
    let sensor = |dependency: &str, trigger: &str| {
        format!(
            "{{dependencies: [{{name: a, eventSourceName: good, eventName: a{dependency}}}], triggers: [{{template: {{name: t, {trigger}}}}}]}}"
        )
    };
    scene
        .apply(
            "default",
            &object(
                "Sensor",
                "types",
                &sensor(
                    ", filters: {data: [{path: body.x, type: number, value: 7}]}",
                    "log: {}",
                ),
            ),
        )
        .await?;
    scene
        .apply(
            "default",
            &object(
                "Sensor",
                "names",
                &sensor("", "conditions: 'a && nowhere', log: {}"),
            ),
        )
        .await?;
    scene
        .apply(
            "default",
            &object("Sensor", "slack", &sensor("", "slack: {channel: x}")),
        )
        .await?;
    scene
        .apply(
            "default",
            &object("Sensor", "empty", "{dependencies: [], triggers: []}"),
        )
        .await?;
    scene
        .apply("default", &object("Sensor", "good", &sensor("", "log: {}")))
        .await?;
    for (kind, name, words) in [
        ("EventBus", "kafka", &["kafka"][..]),
        ("EventBus", "types", &["url"]),
        ("EventSource", "types", &["webhook.a.port"]),
        ("EventSource", "cron", &["99"]),
        ("EventSource", "kafka", &["kafka"]),
        ("Sensor", "types", &["value"]),
        ("Sensor", "names", &["nowhere"]),
        ("Sensor", "slack", &["slack"]),
        ("Sensor", "empty", &["dependenc"]),
    ] {
        scene
            .until(
                kind,
                "default",
                name,
                &format!("a condition with {words:?}"),
                |object| says(object, words),
            )
            .await?;
    }
    for (kind, name) in [
        ("EventBus", "default"),
        ("EventSource", "good"),
        ("Sensor", "good"),
    ] {
        scene
            .until(kind, "default", name, "Deployed", |object| {
                e2e::cluster::condition(object, "Deployed").as_deref() == Some("True")
            })
            .await?;
    }
    Ok(())
}
