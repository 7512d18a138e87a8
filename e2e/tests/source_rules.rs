//! Sources with rules: Jsonnet, bases of other repositories, commits that must be signed, and syncs with the rights of an
//! account, on a real API server.

mod scene;

use std::{os::unix::fs::PermissionsExt, path::Path, process::Command};

use anyhow::{Context as _, Result, ensure};
use e2e::Options;
use e2e::git::Repository;
use e2e::stack::{Setup, Which};
use e2e::tools::{self, Tool};
use reconcile_core::testkit::skip_where;
use scene::{ARGO, Scene, application, config_map, synced_and_healthy};
use serde_json::{Value, json};

const AUTOMATED: &str = "{automated: {prune: true}, syncOptions: [CreateNamespace=true]}";

async fn scene(cache: &Path) -> Result<Scene> {
    e2e::init_tls();
    let mut scene = Scene::set(Options::git_only(), &[]).await?;
    let programs = tokio::task::spawn_blocking(|| tools::ensure(&[Tool::Kustomize])).await??;
    let kustomize = programs.path(Tool::Kustomize)?;
    let setup = Setup {
        args: vec![
            format!("--cache-dir={}", cache.display()),
            format!("--kustomize-binary={}", kustomize.display()),
        ],
        ..Setup::default()
    };
    scene.add(Which::ArgoCdLite, &setup).await?;
    Ok(scene)
}

async fn value(scene: &Scene, namespace: &str, name: &str) -> Result<Value> {
    let found = scene.bed.cluster()?.get("v1", "ConfigMap", namespace, name);
    let found = found.await?.context("the ConfigMap")?;
    Ok(found.data["data"]["value"].clone())
}

async fn jsonnet_is_evaluated(scene: &Scene) -> Result<()> {
    let main = "local names = import 'names.libsonnet';\n\
        function(value) [{apiVersion: 'v1', kind: 'ConfigMap', metadata: {name: names.map}, \
        data: {value: value + std.extVar('more')}}]\n";
    let files = [
        ("app/main.jsonnet", main),
        ("lib/names.libsonnet", "{map: 'from-jsonnet'}"),
    ];
    let repository = scene.bed.git()?.repository("jsonnet").await?;
    repository.commit(&files, "first").await?;
    let manifest = application("jsonnet", &repository.url, "app", "jsonnet", AUTOMATED);
    scene.apply("argocd", &manifest).await?;
    let jsonnet = json!({
        "tlas": [{"name": "value", "value": "one"}],
        "extVars": [{"name": "more", "value": "'-two'", "code": true}],
        "libs": ["lib"],
    });
    let patch = json!({"spec": {"source": {"directory": {"jsonnet": jsonnet}}}});
    scene
        .patch("Application", "argocd", "jsonnet", patch)
        .await?;
    scene.until_synced("jsonnet").await?;
    assert_eq!(value(scene, "jsonnet", "from-jsonnet").await?, "one-two");
    Ok(())
}

async fn a_base_comes_from_another_repository(scene: &Scene) -> Result<()> {
    let base = scene.bed.git()?.repository("base").await?;
    let map = config_map("map", "of the base", "");
    let files = [
        ("app/kustomization.yaml", "resources: [map.yaml]\n"),
        ("app/map.yaml", &*map),
    ];
    base.commit(&files, "first").await?;
    let address = format!("{}//app?ref=main", base.url);
    let overlay = format!("namePrefix: own-\nresources: ['{address}']\n");
    let files = [("app/kustomization.yaml", &*overlay)];
    let (repository, _) = scene.follow("overlay", AUTOMATED, &files).await?;
    scene.until_synced("overlay").await?;
    assert_eq!(value(scene, "overlay", "own-map").await?, "of the base");

    // A project that does not permit the repository of the base.
    let project = json!({
        "apiVersion": ARGO, "kind": "AppProject", "metadata": {"name": "narrow"},
        "spec": {
            "sourceRepos": [repository.url],
            "destinations": [{"server": "*", "namespace": "*"}],
            "clusterResourceWhitelist": [{"group": "*", "kind": "*"}],
        },
    });
    scene.bed.cluster()?.apply_one("argocd", &project).await?;
    let patch = json!({"spec": {"project": "narrow", "source": {"path": "./app"}}});
    scene
        .patch("Application", "argocd", "overlay", patch)
        .await?;
    scene
        .until_application("overlay", "a ComparisonError", |app| {
            let conditions = app["status"]["conditions"].to_string();
            conditions.contains("ComparisonError") && conditions.contains("does not permit")
        })
        .await?;
    assert_eq!(value(scene, "overlay", "own-map").await?, "of the base");
    Ok(())
}

/// A home of gpg with one key.
struct Gpg {
    home: tempfile::TempDir,
    key: String,
    public: String,
}

impl Gpg {
    /// `None` without the programs; the test counts as skipped then.
    fn new() -> Result<Option<Self>> {
        let there = |name: &str| {
            let output = Command::new(name).arg("--version").output();
            output.is_ok_and(|output| output.status.success())
        };
        if !there("gpg") || !there("gpgv") {
            skip_where(&["ALLOW_SKIPS"], "no gpg or gpgv: apt-get install gpg gpgv");
            return Ok(None);
        }
        let mut gpg = Self {
            home: tempfile::tempdir()?,
            key: String::new(),
            public: String::new(),
        };
        let name = "bed@example.com";
        gpg.run(&["--quick-generate-key", name, "ed25519", "sign", "never"])?;
        let listed = gpg.run(&["--with-colons", "--list-keys", name])?;
        let line = listed.lines().find(|line| line.starts_with("fpr:"));
        let fingerprint = line.and_then(|line| line.split(':').nth(9));
        let fingerprint = fingerprint.context("a fingerprint")?;
        fingerprint[fingerprint.len() - 16..].clone_into(&mut gpg.key);
        gpg.public = gpg.run(&["--armor", "--export", name])?;
        Ok(Some(gpg))
    }

    fn run(&self, arguments: &[&str]) -> Result<String> {
        let output = Command::new("gpg")
            .args(["--batch", "--pinentry-mode", "loopback", "--passphrase", ""])
            .args(arguments)
            .env("GNUPGHOME", self.home.path())
            .output()?;
        let errors = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "gpg {arguments:?}: {errors}");
        Ok(String::from_utf8(output.stdout)?)
    }

    /// Signs a commit with these files and pushes it.
    async fn commit(&self, repository: &Repository, files: &[(&str, &str)]) -> Result<()> {
        for (path, text) in files {
            repository.write(path, text).await?;
        }
        let program = self.home.path().join("sign.sh");
        let home = self.home.path().display();
        let script = format!(
            "#!/bin/sh\nGNUPGHOME='{home}' exec gpg --batch --pinentry-mode loopback --passphrase '' \"$@\"\n"
        );
        std::fs::write(&program, script)?;
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755))?;
        let program = format!("gpg.program={}", program.display());
        let signer = format!("user.signingkey={}", self.key);
        repository.git(&["add", "--all"]).await?;
        let settings = ["-c", &*program, "-c", &*signer];
        let commit = ["commit", "--quiet", "-S", "--message", "signed"];
        repository.git(&[&settings[..], &commit].concat()).await?;
        repository.push().await
    }
}

async fn only_signed_commits_are_synced(scene: &Scene) -> Result<()> {
    let Some(gpg) = Gpg::new()? else {
        return Ok(());
    };
    let cluster = scene.bed.cluster()?;
    let keys = json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "argocd-gpg-keys-cm"},
        "data": {&*gpg.key: gpg.public},
    });
    cluster.apply_one("argocd", &keys).await?;
    let policy = json!({"repos": [{"url": "*"}], "gpg": {"mode": "head", "keys": [gpg.key]}});
    let project = json!({
        "apiVersion": ARGO, "kind": "AppProject", "metadata": {"name": "signed"},
        "spec": {
            "sourceRepos": ["*"],
            "destinations": [{"server": "*", "namespace": "*"}],
            "clusterResourceWhitelist": [{"group": "*", "kind": "*"}],
            "sourceIntegrity": {"git": {"policies": [policy]}},
        },
    });
    cluster.apply_one("argocd", &project).await?;
    let repository = scene.bed.git()?.repository("signed").await?;
    let map = config_map("map", "1", "");
    repository
        .commit(&[("app/map.yaml", &map)], "not signed")
        .await?;
    let manifest = application("signed", &repository.url, "app", "signed", AUTOMATED);
    let manifest = manifest.replace("project: default", "project: signed");
    scene.apply("argocd", &manifest).await?;
    scene
        .until_application("signed", "a ComparisonError", |app| {
            let conditions = app["status"]["conditions"].to_string();
            conditions.contains("ComparisonError") && conditions.contains("signed")
        })
        .await?;
    let found = cluster.get("v1", "ConfigMap", "signed", "map").await?;
    assert_eq!(found, None, "nothing is applied");
    let map = config_map("map", "2", "");
    gpg.commit(&repository, &[("app/map.yaml", &map)]).await?;
    scene.refresh("signed", "normal").await?;
    scene.until_synced("signed").await?;
    assert_eq!(value(scene, "signed", "map").await?, "2");
    Ok(())
}

const LIMITED: &str = "
apiVersion: v1
kind: Namespace
metadata: {name: limited}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: deployer, namespace: limited}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: deployer, namespace: limited}
rules: [{apiGroups: [''], resources: [configmaps], verbs: ['*']}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: deployer, namespace: limited}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: deployer}
subjects: [{kind: ServiceAccount, name: deployer, namespace: limited}]
";

async fn a_sync_has_the_rights_of_its_account(scene: &Scene) -> Result<()> {
    let cluster = scene.bed.cluster()?;
    let settings = json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "argocd-cm"},
        "data": {"application.sync.impersonation.enabled": "true"},
    });
    cluster.apply_one("argocd", &settings).await?;
    cluster.apply("limited", LIMITED).await?;
    let account =
        json!({"server": "*", "namespace": "limited", "defaultServiceAccount": "deployer"});
    let project = json!({
        "apiVersion": ARGO, "kind": "AppProject", "metadata": {"name": "limited"},
        "spec": {
            "sourceRepos": ["*"],
            "destinations": [{"server": "*", "namespace": "*"}],
            "destinationServiceAccounts": [account],
        },
    });
    cluster.apply_one("argocd", &project).await?;
    let repository = scene.bed.git()?.repository("limited").await?;
    let map = config_map("map", "1", "");
    repository
        .commit(&[("app/map.yaml", &map)], "a map")
        .await?;
    let manifest = application(
        "limited",
        &repository.url,
        "app",
        "limited",
        "{automated: {}}",
    );
    let manifest = manifest.replace("project: default", "project: limited");
    scene.apply("argocd", &manifest).await?;
    scene
        .until_application("limited", "synced", synced_and_healthy)
        .await?;
    assert_eq!(value(scene, "limited", "map").await?, "1");

    let service =
        "apiVersion: v1\nkind: Service\nmetadata: {name: web}\nspec: {ports: [{port: 80}]}\n";
    repository
        .commit(&[("app/service.yaml", service)], "a Service")
        .await?;
    scene.refresh("limited", "normal").await?;
    // It fails for good once its retries are spent, which takes minutes.
    scene
        .until_application("limited", "a sync that the account may not do", |app| {
            let state = app["status"]["operationState"].to_string();
            state.contains("system:serviceaccount:limited:deployer")
        })
        .await?;
    assert_eq!(cluster.get("v1", "Service", "limited", "web").await?, None);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn sources_follow_the_rules_of_projects_and_settings() -> Result<()> {
    let cache = tempfile::tempdir()?;
    let scene = scene(cache.path()).await?;
    jsonnet_is_evaluated(&scene).await?;
    a_base_comes_from_another_repository(&scene).await?;
    only_signed_commits_are_synced(&scene).await?;
    a_sync_has_the_rights_of_its_account(&scene).await
}
