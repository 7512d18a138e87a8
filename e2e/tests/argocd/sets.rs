//! The ApplicationSet controller, with generators that read a Git repository.

use anyhow::{Result, ensure};

use super::components;
use super::on_stage;
use super::scene::config_map;

#[tokio::test(flavor = "multi_thread")]
async fn folders_and_files_of_a_repository_make_applications() -> Result<()> {
    let Some(program) = components::PROGRAM.find() else {
        return Ok(());
    };
    let (scene, argocd) = on_stage(program).await?;
    let repository = scene.bed.git()?.repository("teams").await?;
    let one = |team: &str| config_map(&format!("team-{team}"), team, "");
    let (red, blue, green) = (one("red"), one("blue"), one("green"));
    let files = [
        ("teams/red/all.yaml", red.as_str()),
        ("teams/blue/all.yaml", &blue),
        ("shared/green/all.yaml", &green),
        (
            "settings/green.json",
            r#"{"team": "green", "folder": "shared/green"}"#,
        ),
    ];
    repository.commit(&files, "teams").await?;
    let _controller = argocd.application_sets(&scene).await?;

    let manifest = argocd.home().join("set.yaml");
    std::fs::write(&manifest, set(&repository.url))?;
    let manifest = manifest.display().to_string();
    argocd.run(&["appset", "create", &manifest]).await?;
    for name in ["folder-red", "folder-blue", "file-green"] {
        scene.until_synced(name).await?;
    }
    let listed = argocd.run(&["appset", "get", "teams"]).await?;
    ensure!(listed.contains("teams"), "{listed}");

    // One more folder, one less.
    let yellow = one("yellow");
    repository.remove("teams/blue/all.yaml").await?;
    repository
        .commit(&[("teams/yellow/all.yaml", &yellow)], "others")
        .await?;
    let refresh = serde_json::json!({"metadata": {"annotations": {
        "argocd.argoproj.io/application-set-refresh": "true",
    }}});
    scene
        .patch("ApplicationSet", "argocd", "teams", refresh)
        .await?;
    scene.until_synced("folder-yellow").await?;
    scene
        .until_gone(super::scene::ARGO, "Application", "argocd", "folder-blue")
        .await?;
    Ok(())
}

/// An ApplicationSet of the folders below `teams` and of the files below `settings`.
fn set(url: &str) -> String {
    format!(
        r"
apiVersion: argoproj.io/v1alpha1
kind: ApplicationSet
metadata: {{name: teams, namespace: argocd}}
spec:
  goTemplate: true
  goTemplateOptions: [missingkey=error]
  generators:
    - git:
        repoURL: {url}
        revision: main
        directories: [{{path: 'teams/*'}}]
        values: {{name: 'folder-{{{{ .path.basename }}}}', folder: '{{{{ .path.path }}}}'}}
    - git:
        repoURL: {url}
        revision: main
        files: [{{path: 'settings/*.json'}}]
        values: {{name: 'file-{{{{ .team }}}}', folder: '{{{{ .folder }}}}'}}
  template:
    metadata: {{name: '{{{{ .values.name }}}}'}}
    spec:
      project: default
      source: {{repoURL: '{url}', targetRevision: main, path: '{{{{ .values.folder }}}}'}}
      destination: {{server: 'https://kubernetes.default.svc', namespace: default}}
      syncPolicy: {{automated: {{prune: true}}}}
"
    )
}
