//! Sync options of objects on a real API server.

mod scene;

use anyhow::Result;
use e2e::Options;
use e2e::git::Repository;
use e2e::stack::Which;
use scene::{Scene, config_map, synced_and_healthy};
use serde_json::{Value, json};

const AUTOMATED: &str =
    "{automated: {prune: true, selfHeal: true}, syncOptions: [CreateNamespace=true]}";

async fn scene() -> Result<Scene> {
    Scene::set(Options::git_only(), &[Which::ArgoCdLite]).await
}

/// A Deployment with these labels of its pods, and more fields of its container.
fn deployment(name: &str, options: &str, label: &str, container: &str) -> String {
    format!(
        r"
apiVersion: apps/v1
kind: Deployment
metadata: {{name: {name}, annotations: {{argocd.argoproj.io/sync-options: '{options}'}}}}
spec:
  selector: {{matchLabels: {{app: {label}}}}}
  template:
    metadata: {{labels: {{app: {label}}}}}
    spec: {{containers: [{{name: c, image: 'demo/job:v1'{container}}}]}}
"
    )
}

fn service(port: u16) -> String {
    format!(
        "
apiVersion: v1
kind: Service
metadata: {{name: replaced, annotations: {{argocd.argoproj.io/sync-options: 'Replace=true'}}}}
spec: {{selector: {{app: x}}, ports: [{{port: {port}}}]}}
"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn what_upstream_applies_with_its_options_is_applied() -> Result<()> {
    let scene = scene().await?;
    let two_names =
        ", ports: [{name: a, containerPort: 80}, {name: b, containerPort: 80}]".to_owned();
    let (repository, _) = scene
        .follow(
            "options",
            AUTOMATED,
            &[
                (
                    "app/ports.yaml",
                    &deployment("ports", "", "ports", &two_names),
                ),
                (
                    "app/forced.yaml",
                    &deployment("forced", "Force=true", "one", ""),
                ),
                ("app/service.yaml", &service(80)),
                ("app/map.yaml", &config_map("m", "1", "")),
            ],
        )
        .await?;
    scene.until_synced("options").await?;
    let deployments = scene.api("apps/v1", "Deployment", "options").await?;
    let before = deployments.get("forced").await?.metadata.uid;
    let ports =
        deployments.get("ports").await?.data["spec"]["template"]["spec"]["containers"][0]["ports"]
            .clone();
    assert_eq!(ports.as_array().map(Vec::len), Some(2), "{ports}");

    // A selector cannot be changed, a port has its number as its key.
    let commit = repository
        .commit(
            &[
                (
                    "app/forced.yaml",
                    &deployment("forced", "Force=true", "two", ""),
                ),
                ("app/service.yaml", &service(81)),
            ],
            "second",
        )
        .await?;
    scene.refresh("options", "normal").await?;
    scene
        .until_application("options", "at the second commit", |app| {
            synced_and_healthy(app) && app["status"]["sync"]["revision"] == json!(commit)
        })
        .await?;
    assert_ne!(deployments.get("forced").await?.metadata.uid, before);
    let services = scene.api("v1", "Service", "options").await?;
    let ports = services.get("replaced").await?.data["spec"]["ports"].clone();
    assert_eq!(ports.as_array().map(Vec::len), Some(1), "{ports}");
    assert_eq!(ports[0]["port"], json!(81));

    unknown_fields(&scene, &repository).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_that_was_changed_by_hand_is_healed() -> Result<()> {
    let scene = scene().await?;
    let service = "
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: x}, ports: [{name: http, port: 80, targetPort: 8080}, {name: https, port: 443}]}
";
    scene
        .follow("port", AUTOMATED, &[("app/service.yaml", service)])
        .await?;
    scene.until_synced("port").await?;
    let services = scene.api("v1", "Service", "port").await?;
    let ports = |service: &Value| -> Vec<(String, u64)> {
        let ports = service["spec"]["ports"].as_array();
        let port = |port: &Value| {
            let name = port["name"].as_str().unwrap_or_default();
            (name.to_owned(), port["port"].as_u64().unwrap_or_default())
        };
        ports.into_iter().flatten().map(port).collect()
    };
    let wanted = [("http".to_owned(), 80), ("https".to_owned(), 443)];
    // As `kubectl edit` does: the number is the key of the list, so the edit makes another port of it.
    let edit = json!({"spec": {"ports": [
        {"name": "http", "port": 81, "targetPort": 8080}, {"name": "https", "port": 443},
    ]}});
    let by_hand = kube::api::PatchParams {
        field_manager: Some("kubectl-edit".to_owned()),
        ..kube::api::PatchParams::default()
    };
    let edited = services
        .patch("web", &by_hand, &kube::api::Patch::Merge(edit))
        .await?;
    assert_ne!(ports(&edited.data), wanted);
    scene
        .until_any("v1", "Service", "port", "web", "healed", |service| {
            ports(service) == wanted
        })
        .await?;
    scene.until_synced("port").await?;
    Ok(())
}

async fn unknown_fields(scene: &Scene, repository: &Repository) -> Result<()> {
    let unknown = ", imaginary: true";
    // A field that does not exist is refused, and says which one; with Validate=false it is left out.
    let bad = deployment("unknown", "", "unknown", unknown);
    repository
        .commit(&[("app/unknown.yaml", &bad)], "third")
        .await?;
    scene.refresh("options", "normal").await?;
    scene
        .until_application("options", "a refusal", |app| {
            app["status"]["operationState"]["message"]
                .as_str()
                .is_some_and(|text| text.contains("imaginary"))
        })
        .await?;
    let fine = deployment("unknown", "Validate=false", "unknown", unknown);
    let commit = repository
        .commit(&[("app/unknown.yaml", &fine)], "fourth")
        .await?;
    scene.refresh("options", "normal").await?;
    scene
        .until_application("options", "applied at the fourth commit", |app| {
            let state = &app["status"]["operationState"];
            state["phase"] == "Succeeded" && state["syncResult"]["revision"] == json!(commit)
        })
        .await?;
    let deployments = scene.api("apps/v1", "Deployment", "options").await?;
    let found: Value = deployments.get("unknown").await?.data;
    assert_eq!(found["spec"]["selector"]["matchLabels"]["app"], "unknown");
    Ok(())
}
