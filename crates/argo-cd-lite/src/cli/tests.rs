//! The verbs on files, as a person runs them.

mod bases;

use std::{fs, path::Path};

use clap::Parser;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::*;
use crate::{
    args::{Cli, Command},
    repo::tests::Origin,
};

/// Runs a command line: exit code and answer, or the error.
fn run_line(words: &[&str]) -> Result<(u8, String), String> {
    let line = ["argo-cd-lite"].iter().chain(words);
    let Command::Verb(verb) = Cli::try_parse_from(line).expect("a verb").command else {
        panic!("{words:?} is no verb");
    };
    let mut out = Vec::new();
    let code = answer(&verb, &mut out).map_err(|error| error.to_string())?;
    Ok((code, String::from_utf8(out).expect("text")))
}

fn lines(words: &[&str]) -> Vec<Value> {
    let (code, text) = run_line(words).expect("an answer");
    assert_eq!(code, 0);
    let parse = |line| serde_json::from_str(line).expect("JSON");
    text.lines().map(parse).collect()
}

fn folder(files: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, text) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
        fs::write(path, text).expect("a file");
    }
    folder
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a path")
}

const OBJECTS: &str = "apiVersion: v1
kind: List
items:
- apiVersion: apps/v1
  kind: Deployment
  metadata: {name: web, namespace: shop, generation: 2}
  spec: {paused: true}
- apiVersion: v1
  kind: ConfigMap
  metadata: {name: plain, namespace: shop}
---
apiVersion: example.com/v1
kind: Widget
metadata: {name: w}
status: {conditions: [{type: Ready, status: 'True', message: fine}]}
";

#[test]
fn health_is_a_line_for_each_object() {
    let folder = folder(&[("deep/objects.yaml", OBJECTS), ("notes.txt", "no YAML: [")]);
    let found = lines(&["health", "-f", text(folder.path())]);
    assert_eq!(
        found[0],
        json!({"group": "apps", "version": "v1", "kind": "Deployment", "namespace": "shop", "name": "web",
            "status": "Suspended", "message": "Deployment is paused"})
    );
    assert_eq!(found[1]["status"], Value::Null);
    assert_eq!(found[1]["message"], Value::Null);
    assert_eq!(found[2]["status"], Value::Null);
    let found = lines(&["health", "--standard-conditions", "-f", text(folder.path())]);
    assert_eq!(found[2]["status"], "Healthy");
    assert_eq!(found[2]["message"], "fine");
}

#[test]
fn health_by_the_settings() {
    let settings = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: argocd-cm}\ndata:\n  resource.customizations.health.example.com_Widget: |\n    return {status = \"Degraded\", message = obj.metadata.name}\n";
    let folder = folder(&[("objects.yaml", OBJECTS), ("argocd-cm.yaml", settings)]);
    let (objects, settings) = (
        folder.path().join("objects.yaml"),
        folder.path().join("argocd-cm.yaml"),
    );
    let found = lines(&[
        "health",
        "-f",
        text(&objects),
        "--settings",
        text(&settings),
    ]);
    assert_eq!(found[2]["status"], "Degraded");
    assert_eq!(found[2]["message"], "w");
    let error = run_line(&["health", "-f", text(&objects), "--settings", text(&objects)]);
    assert!(error.is_err_and(|text| text.contains("there is no ConfigMap argocd-cm")));
}

#[test]
fn what_cannot_be_read_names_file_and_place() {
    let folder = folder(&[
        ("broken.yaml", "a: [\n"),
        (
            "values.yaml",
            "---\nkind: Secret\nmetadata: {name: s}\ndata: {password: c2VjcmV0}\n",
        ),
    ]);
    let error = |name: &str| {
        let path = folder.path().join(name);
        run_line(&["health", "-f", text(&path)]).expect_err("an error")
    };
    assert!(error("broken.yaml").contains("broken.yaml: "));
    let incomplete = error("values.yaml");
    assert!(incomplete.contains("has no apiVersion"), "{incomplete}");
    assert!(!incomplete.contains("c2VjcmV0"));
    assert!(error("absent.yaml").contains("absent.yaml: No such file"));
}

#[test]
fn actions_are_listed_and_tried() {
    let deployment = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web, namespace: shop}\nspec: {replicas: 1}\n";
    let folder = folder(&[("web.yaml", deployment)]);
    let file = folder.path().join("web.yaml");
    let names: Vec<Value> = lines(&["actions", "list", "-f", text(&file)])
        .into_iter()
        .map(|line| line["name"].clone())
        .collect();
    assert_eq!(names, ["pause", "restart", "resume", "scale"]);
    assert_eq!(
        lines(&["actions", "run", "scale", "-f", text(&file), "replicas=3"]),
        [json!({"operation": "patch", "patch": {"spec": {"replicas": 3}}})]
    );
    let error = run_line(&[
        "actions",
        "run",
        "scale",
        "-f",
        text(&file),
        "replicas=many",
    ]);
    assert!(error.is_err_and(|text| text.starts_with("parameter replicas: ")));
}

const APP: &str = "apiVersion: argoproj.io/v1alpha1
kind: Application
metadata: {name: shop, namespace: argocd}
spec:
  source: {repoURL: 'https://git.example.com/shop.git', path: app}
  destination: {namespace: shop, name: in-cluster}
  ignoreDifferences:
  - {group: apps, kind: Deployment, jsonPointers: [/spec/replicas]}
";

const HOOK: &str = "apiVersion: batch/v1\nkind: Job\nmetadata: {name: migrate, annotations: {argocd.argoproj.io/hook: PreSync}}\n";

fn config(name: &str, value: &str) -> String {
    format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}}}\ndata: {{key: {value}}}\n")
}

#[test]
fn an_application_is_rendered_from_a_folder_with_its_marks() {
    let folder = folder(&[
        ("app.yaml", APP),
        ("repo/app/config.yaml", &config("settings", "one")),
        ("repo/elsewhere/config.yaml", &config("other", "two")),
    ]);
    let app = folder.path().join("app.yaml");
    let replace = format!(
        "https://git.example.com/shop={}",
        folder.path().join("repo").display()
    );
    let (_, yaml) =
        run_line(&["render", "-f", text(&app), "--repo-override", &replace]).expect("YAML");
    let objects = reconcile_core::yaml::values(&yaml).expect("YAML");
    assert_eq!(objects.len(), 1);
    assert_eq!(objects[0]["metadata"]["namespace"], "shop");
    assert_eq!(
        objects[0]["metadata"]["annotations"]["argocd.argoproj.io/tracking-id"],
        "shop:/ConfigMap:shop/settings"
    );
    let error = run_line(&["render", "-f", text(&app), "--repo-override", "nonsense"]);
    assert!(error.is_err_and(|text| text.contains("write it as URL=PATH")));
}

#[test]
fn a_link_out_of_the_repository_is_refused() {
    let folder = folder(&[
        ("app.yaml", APP),
        ("outside.yaml", &config("outside", "x")),
        ("repo/app/config.yaml", &config("settings", "one")),
    ]);
    let link = folder.path().join("repo/app/link.yaml");
    std::os::unix::fs::symlink(folder.path().join("outside.yaml"), link).expect("a link");
    let app = folder.path().join("app.yaml");
    let replace = format!(
        "https://git.example.com/shop={}",
        folder.path().join("repo").display()
    );
    let error = run_line(&["render", "-f", text(&app), "--repo-override", &replace]);
    assert!(error.is_err_and(|text| text.contains("outside of the repository")));
}

#[test]
fn a_plan_shows_hooks_waves_and_prunes_in_order() {
    let wave = "apiVersion: v1\nkind: Service\nmetadata: {name: late, annotations: {argocd.argoproj.io/sync-wave: '2'}}\n";
    let old = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: old, namespace: shop, uid: u, annotations: {argocd.argoproj.io/tracking-id: 'shop:/ConfigMap:shop/old'}}\n";
    let folder = folder(&[
        ("app.yaml", APP),
        ("live/old.yaml", old),
        ("repo/app/a.yaml", wave),
        ("repo/app/b.yaml", &config("settings", "one")),
        ("repo/app/c.yaml", HOOK),
    ]);
    let app = folder.path().join("app.yaml");
    let live = folder.path().join("live");
    let replace = format!(
        "https://git.example.com/shop={}",
        folder.path().join("repo").display()
    );
    let found = lines(&[
        "plan",
        "-f",
        text(&app),
        "--live",
        text(&live),
        "--repo-override",
        &replace,
    ]);
    let short: Vec<String> = found
        .iter()
        .map(|line| {
            let word = |name: &str| line[name].as_str().unwrap_or_default().to_owned();
            format!(
                "{} {} {} {}",
                word("phase"),
                line["wave"],
                word("action"),
                word("name")
            )
        })
        .collect();
    assert_eq!(
        short,
        [
            "PreSync 0 apply migrate",
            "Sync 0 prune old",
            "Sync 0 apply settings",
            "Sync 2 apply late"
        ]
    );
    assert_eq!(found[0]["hook"], true);
    assert_eq!(found[0]["group"], "batch");
}

const LIVE: &str = "apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop, uid: u, resourceVersion: '9', generation: 4}
spec:
  replicas: 5
  revisionHistoryLimit: 10
  template:
    spec:
      containers:
      - {name: web, image: 'web:1', imagePullPolicy: IfNotPresent, ports: [{containerPort: 80, protocol: TCP}]}
status: {replicas: 5}
";

const TARGET: &str = "apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 2
  template:
    spec:
      containers:
      - {name: web, image: 'web:1', ports: [{containerPort: 80}]}
";

#[test]
fn defaults_and_ignored_fields_are_no_difference() {
    let newer = TARGET.replace("web:1", "web:2");
    let folder = folder(&[
        ("app.yaml", APP),
        ("live.yaml", LIVE),
        ("target.yaml", TARGET),
        ("newer.yaml", &newer),
    ]);
    let path = |name: &str| folder.path().join(name).display().to_string();
    let (live, target, newer, app) = (
        path("live.yaml"),
        path("target.yaml"),
        path("newer.yaml"),
        path("app.yaml"),
    );
    let same = run_line(&["diff", "--live", &live, "--target", &target, "--app", &app]);
    assert_eq!(same, Ok((0, String::new())));
    let (code, text) =
        run_line(&["diff", "--live", &live, "--target", &newer, "--app", &app]).expect("a diff");
    assert_eq!(code, 1);
    let changed: Vec<&str> = text
        .lines()
        .filter(|line| line.starts_with(['+', '-']))
        .map(str::trim_end)
        .collect();
    assert_eq!(changed[0], "--- live/apps_Deployment_shop_web.yaml");
    assert_eq!(changed[1], "+++ target/apps_Deployment_shop_web.yaml");
    assert_eq!(changed.len(), 4, "{text}");
    assert!(
        changed[2].ends_with("web:1") && changed[3].ends_with("web:2"),
        "{text}"
    );
}

#[test]
fn values_of_secrets_are_never_shown() {
    let secret = |value: &str| {
        format!(
            "apiVersion: v1\nkind: Secret\nmetadata: {{name: db, namespace: shop}}\ndata: {{password: {value}, user: cm9vdA==}}\n"
        )
    };
    let plain = "apiVersion: v1\nkind: Secret\nmetadata: {name: db, namespace: shop}\nstringData: {password: one, user: root}\n";
    let folder = folder(&[
        ("live.yaml", &secret("b25l")),
        ("target.yaml", &secret("dHdv")),
        ("plain.yaml", plain),
    ]);
    let path = |name: &str| folder.path().join(name).display().to_string();
    let (live, target) = (path("live.yaml"), path("target.yaml"));
    let (code, text) = run_line(&["diff", "--live", &live, "--target", &target]).expect("a diff");
    assert_eq!(code, 1);
    for hidden in ["b25l", "dHdv", "cm9vdA"] {
        assert!(!text.contains(hidden), "{text}");
    }
    assert_eq!(
        text.lines()
            .filter(|line| line.starts_with("-  password"))
            .count(),
        1,
        "{text}"
    );
    let same = run_line(&["diff", "--live", &live, "--target", &path("plain.yaml")]);
    assert_eq!(same, Ok((0, String::new())));
}

#[test]
fn revisions_of_an_application_are_compared() {
    let origin = Origin::new();
    let old = origin
        .write("app/config.yaml", &config("settings", "one"))
        .commit("one");
    let new = origin
        .write("app/config.yaml", &config("settings", "two"))
        .commit("two");
    let app = APP.replace("https://git.example.com/shop.git", &origin.url());
    let folder = folder(&[("app.yaml", &app)]);
    let app = folder.path().join("app.yaml");
    let words =
        |from: &str, to: &str| run_line(&["diff", "-f", text(&app), "--from", from, "--to", to]);
    let (code, text) = words(&old, &new).expect("a diff");
    assert_eq!(code, 1);
    assert!(
        text.contains("-  key: one") && text.contains("+  key: two"),
        "{text}"
    );
    assert_eq!(words(&new, &new), Ok((0, String::new())));
    assert!(
        words(&old, "no-such-branch")
            .is_err_and(|text| text.starts_with("Application argocd/shop: "))
    );
}
