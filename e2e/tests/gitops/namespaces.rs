//! Applications in other namespaces than that of the control plane.

use super::*;

fn project(name: &str, namespaces: &str) -> String {
    format!(
        r"
apiVersion: argoproj.io/v1alpha1
kind: AppProject
metadata: {{name: {name}, namespace: argocd}}
spec:
  sourceRepos: ['*']
  sourceNamespaces: [{namespaces}]
  destinations: [{{server: '*', namespace: '*'}}]
  clusterResourceWhitelist: [{{group: '*', kind: Namespace}}]
"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn applications_of_permitted_namespaces_are_reconciled_and_others_left_alone() -> Result<()> {
    let mut scene = Scene::set(options(), &[]).await?;
    let setup = Setup {
        values: vec!["configs.params.application\\.namespaces=team-*".to_owned()],
        ..Setup::default()
    };
    scene.add(Which::ArgoCdLite, &setup).await?;
    let cluster = scene.bed.cluster()?;
    for namespace in ["team-a", "team-b", "elsewhere"] {
        cluster.apply_namespace(namespace).await?;
    }
    scene.apply("argocd", &project("shared", "team-a")).await?;
    let repository = scene.bed.git()?.repository("tenants").await?;
    let commit = repository
        .commit(&[("app/a.yaml", &config_map("a", "1", ""))], "first")
        .await?;
    for namespace in ["argocd", "team-a", "team-b", "elsewhere"] {
        let target = format!("to-{namespace}");
        let manifest = scene::application("web", &repository.url, "app", &target, AUTOMATED);
        let manifest = manifest
            .replace("namespace: argocd", &format!("namespace: {namespace}"))
            .replace("project: default", "project: shared");
        scene.apply(namespace, &manifest).await?;
    }

    // The same name twice: two Applications with objects of their own.
    for (namespace, mark) in [
        ("argocd", "web:/ConfigMap:to-argocd/a"),
        ("team-a", "team-a_web:/ConfigMap:to-team-a/a"),
    ] {
        scene
            .until("Application", namespace, "web", "Synced", |app| {
                synced_and_healthy(app) && app["status"]["sync"]["revision"] == json!(commit)
            })
            .await?;
        let api = scene
            .api("v1", "ConfigMap", &format!("to-{namespace}"))
            .await?;
        let marks = api.get("a").await?.metadata.annotations.unwrap_or_default();
        let found = marks.get("argocd.argoproj.io/tracking-id");
        assert_eq!(found.map(String::as_str), Some(mark));
    }
    // The project does not name this one.
    scene
        .until("Application", "team-b", "web", "refused", |app| {
            let conditions = app["status"]["conditions"].to_string();
            conditions.contains("InvalidSpecError") && conditions.contains("team-b")
        })
        .await?;
    assert_eq!(value(&scene, "to-team-b", "a").await?, None);
    // The controller does not look at this one, so it has nothing of it by the time that the others are done.
    let unseen = scene.api(scene::ARGO, "Application", "elsewhere").await?;
    assert_eq!(unseen.get("web").await?.data.get("status"), None);
    assert_eq!(value(&scene, "to-elsewhere", "a").await?, None);

    // A change in Git and a deletion reach the one in another namespace, too.
    repository
        .commit(&[("app/a.yaml", &config_map("a", "2", ""))], "second")
        .await?;
    let refresh = json!({"metadata": {"annotations": {"argocd.argoproj.io/refresh": "normal"}}});
    scene.patch("Application", "team-a", "web", refresh).await?;
    scene
        .until_any("v1", "ConfigMap", "to-team-a", "a", "changed", |map| {
            map["data"]["value"] == "2"
        })
        .await?;
    let tenant = scene.api(scene::ARGO, "Application", "team-a").await?;
    tenant
        .delete("web", &kube::api::DeleteParams::default())
        .await?;
    scene
        .until_gone("v1", "ConfigMap", "to-team-a", "a")
        .await?;
    assert!(value(&scene, "to-argocd", "a").await?.is_some());
    Ok(())
}
