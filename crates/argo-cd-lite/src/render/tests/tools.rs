//! Renders by programs, with scripts in their place: what the sandbox holds, and what a program cannot take.
//! The real programs are in the end-to-end tests.

mod programs;

use std::{
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    sync::Arc,
    time::Duration,
};

use serde_json::{Value, json};

use super::super::{
    generate::{Inputs, generate},
    tools::ProcessLimits,
};
use super::*;
use crate::{
    api::AppProjectSpec,
    project::{Project, default_spec},
    repo::{ChartHub, Interrupt},
    settings::KustomizeSettings,
};

/// A folder with a repository and scripts that stand for programs.
pub(super) struct Bench {
    pub(super) folder: tempfile::TempDir,
    limits: ProcessLimits,
    remotes: Option<Remotes>,
    pub(super) kustomize: KustomizeSettings,
}

impl Bench {
    /// Both programs run this script of the shell.
    pub(super) fn new(script: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let bench = Self {
            folder,
            limits: ProcessLimits::default(),
            remotes: None,
            kustomize: KustomizeSettings::default(),
        };
        for name in ["helm", "kustomize"] {
            let path = bench.folder.path().join(name);
            fs::write(&path, format!("#!/bin/sh\n{script}\n")).expect("a script");
            fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).expect("rights");
        }
        bench
    }

    pub(super) fn paths(&self) -> ToolPaths {
        ToolPaths {
            helm: Some(self.folder.path().join("helm")),
            kustomize: Some(self.folder.path().join("kustomize")),
            own: None,
            search: None,
        }
    }

    pub(super) fn write(&self, path: &str, content: &str) -> &Self {
        let path = self.folder.path().join("repository").join(path);
        fs::create_dir_all(path.parent().expect("a parent")).expect("folders");
        fs::write(path, content).expect("a file");
        self
    }

    pub(super) fn link(&self, name: &str, target: &str) -> &Self {
        let path = self.folder.path().join("repository").join(name);
        fs::create_dir_all(path.parent().expect("a parent")).expect("folders");
        symlink(target, path).expect("a link");
        self
    }

    pub(super) fn render(&self, source: Value) -> Result<TargetSet, RenderError> {
        let (request, tools) = (self.request(source), self.tools());
        let result = render_once(&request, &placement(), &tools, |_, _| Scope::Namespaced);
        let left = fs::read_dir(self.folder.path().join("sandboxes")).map_or(0, Iterator::count);
        assert_eq!(left, 0, "a private folder was left");
        result
    }

    /// Lets renders download, by these schemes of URLs, what a project may that permits these repositories.
    pub(super) fn permit(&mut self, charts: &ChartHub, repositories: &[&str], schemes: &[&str]) {
        let words = |list: &[&str]| list.iter().map(ToString::to_string).collect();
        let project = Project {
            name: "shop".to_owned(),
            spec: AppProjectSpec {
                source_repos: words(repositories),
                ..default_spec()
            },
        };
        self.remotes = Some(Remotes::new(
            charts.clone(),
            Arc::new(project),
            words(schemes),
        ));
    }

    /// Lets what is permitted be read with these credentials only.
    pub(super) fn log_in(&mut self, logins: Logins) {
        let remotes = self.remotes.take();
        self.remotes = remotes.map(|remotes| remotes.with_logins(logins));
    }

    /// What a render depended on.
    pub(super) fn inputs(&self, source: Value) -> Inputs {
        generate(&self.request(source), &self.tools(), &Interrupt::default()).0
    }

    /// True when a render with these inputs would serve now.
    pub(super) fn matches(&self, source: Value, inputs: &Inputs) -> bool {
        self.request(source)
            .matches(inputs, &self.tools(), &Interrupt::default())
    }

    fn request(&self, source: Value) -> RenderRequest {
        let mut request = request(
            vec![source],
            &Files::Folder(self.folder.path().join("repository")),
        );
        request.remotes.clone_from(&self.remotes);
        request.kustomize = Arc::new(self.kustomize.clone());
        request
    }

    fn tools(&self) -> Tools {
        let sandboxes = self.folder.path().join("sandboxes");
        Tools::with_limits(self.paths(), sandboxes, self.limits.clone())
    }

    pub(super) fn error(&self, source: Value) -> String {
        self.render(source).expect_err("an error").to_string()
    }
}

pub(super) fn placement() -> Placement {
    Placement {
        instance: "shop".into(),
        namespace: "prod".into(),
        ..Placement::default()
    }
}

pub(super) fn request(sources: Vec<Value>, files: &Files) -> RenderRequest {
    RenderRequest {
        app: AppFacts {
            name: "shop".into(),
            instance: "shop".into(),
            project: "default".into(),
            namespace: "prod".into(),
        },
        sources: sources
            .into_iter()
            .map(|source| OpenSource {
                source: serde_json::from_value(source).expect("a source"),
                files: files.clone(),
                revision: "1".repeat(40),
            })
            .collect(),
        cluster: ClusterFacts::default(),
        remotes: None,
        kustomize: Arc::default(),
    }
}

pub(super) const CHART: &str = "apiVersion: v2\nname: shop\nversion: 1.0.0\n";
/// Writes a ConfigMap whose data is the arguments, the environment and the files.
pub(super) const REPORT: &str = r#"
echo 'apiVersion: v1'
echo 'kind: ConfigMap'
echo 'metadata: {name: report}'
echo 'data:'
echo '  arguments: |'
for one in "$@"; do echo "    $one"; done
echo '  environment: |'
env | grep -v '^PWD=\|^SHLVL=\|^_=' | sed 's/=.*//' | sort | sed 's/^/    /'
echo '  files: |'
cd "$HOME/.."; find . -type f | sort | sed 's/^/    /'
"#;

pub(super) fn report(set: &TargetSet, field: &str) -> String {
    let value = set.targets[0].value();
    value["data"][field].as_str().expect("a text").to_owned()
}

#[test]
fn paths_that_leave_the_repository_are_refused() {
    let bench = Bench::new(REPORT);
    bench
        .write("chart/Chart.yaml", CHART)
        .write(
            "overlay/kustomization.yaml",
            "resources: [../../../etc/passwd]\n",
        )
        .write("absolute/kustomization.yaml", "resources: [/etc/passwd]\n")
        .write("linked/kustomization.yaml", "resources: [../out/passwd]\n")
        .write(
            "generated/kustomization.yaml",
            "secretGenerator: [{name: x, files: [k=../../../../etc/shadow]}]\n",
        )
        .link("out", "/etc")
        .link("up", "../../etc");
    fs::create_dir_all(bench.folder.path().join("repository/bad")).expect("a folder");
    bench
        .write("bad/Chart.yaml", CHART)
        .link("bad/passwd", "/etc/passwd");
    let helm = |options: Value| json!({"path": "chart", "helm": options});
    for source in [
        helm(json!({"valueFiles": ["../../../etc/passwd"]})),
        helm(json!({"valueFiles": ["/../etc/passwd"]})),
        helm(json!({"valueFiles": ["../out/passwd"], "ignoreMissingValueFiles": true})),
        helm(json!({"valueFiles": ["../up/passwd"]})),
        helm(json!({"valueFiles": ["../../*/passwd"]})),
        helm(json!({"fileParameters": [{"name": "x", "path": "../../etc/passwd"}]})),
        helm(json!({"fileParameters": [{"name": "x", "path": "/out/passwd"}]})),
        json!({"path": "bad"}),
        json!({"path": "overlay"}),
        json!({"path": "linked"}),
        json!({"path": "generated"}),
        json!({"path": "../x", "helm": {}}),
        json!({"path": "overlay", "kustomize": {"components": ["../../../etc"]}}),
    ] {
        let error = bench.error(source.clone());
        assert!(
            error.contains("outside of the repository"),
            "{source}: {error}"
        );
    }
    let error = bench.error(json!({"path": "absolute"}));
    assert!(error.contains("must be relative"), "{error}");
}

#[test]
fn addresses_are_not_fetched() {
    let bench = Bench::new(REPORT);
    bench.write("chart/Chart.yaml", CHART);
    let source =
        json!({"path": "chart", "helm": {"valueFiles": ["http://169.254.169.254/latest"]}});
    let error = bench.error(source);
    assert!(
        error.contains("files are not downloaded here by http"),
        "{error}"
    );
    for place in [
        "https://user:secret@example.com/a.yaml",
        "github.com/a/b?ref=main",
        "git@example.com:a/b.git",
        "file:///etc?ref=main",
        // A text of several lines is a manifest only where one may stand.
        "file:///etc?ref=main\\n",
    ] {
        bench.write(
            "k/kustomization.yaml",
            &format!("resources: [\"{place}\"]\n"),
        );
        let error = bench.error(json!({"path": "k"}));
        assert!(
            error.contains("remote files are not fetched"),
            "{place}: {error}"
        );
        assert!(!error.contains("secret"), "{error}");
    }
    bench.write(
        "k/kustomization.yaml",
        "helmCharts: [{name: a, repo: 'https://x'}]\n",
    );
    let error = bench.error(json!({"path": "k"}));
    assert!(error.contains("helmCharts needs --enable-helm"), "{error}");
}

#[test]
fn errors_hold_no_secret_values() {
    let bench = Bench::new(
        "echo \"Error: bad hunter2-x in $0, $HOME/../values/0.yaml, topsecret, visible\" >&2; exit 1",
    );
    bench.write("chart/Chart.yaml", CHART).write(
        "envs/prod.yaml",
        "db: {password: hunter2-x}\nname: visible\n",
    );
    let error = bench.error(json!({"path": "chart", "helm": {
        "valueFiles": ["../envs/prod.yaml"],
        "parameters": [{"name": "x", "value": "topsecret"}],
    }}));
    assert!(
        !error.contains("hunter2") && !error.contains("topsecret"),
        "{error}"
    );
    assert!(
        error.contains("visible") && error.starts_with("helm: bad ******"),
        "{error}"
    );
}

#[test]
fn values_come_from_a_source_that_is_referred_to() {
    let bench = Bench::new(REPORT);
    bench
        .write("chart/Chart.yaml", CHART)
        .write("config/prod.yaml", "a: 1\n")
        .write("plain/a.yaml", &config_map("plain"));
    let files = Files::Folder(bench.folder.path().join("repository"));
    let render = |value_file: &str| {
        let sources = vec![
            json!({"path": "chart", "helm": {"valueFiles": [value_file]}}),
            json!({"ref": "values"}),
            json!({"path": "plain"}),
        ];
        let tools = Tools::new(bench.paths(), bench.folder.path().join("sandboxes"));
        render_once(&request(sources, &files), &placement(), &tools, |_, _| {
            Scope::Namespaced
        })
    };
    let set = render("$values/config/prod.yaml").expect("a render");
    assert!(report(&set, "files").contains("./values/0.yaml"));
    assert_eq!(set.targets.len(), 2);
    for (path, expected) in [
        ("$values/config/no.yaml", "does not exist in the repository"),
        ("$values/../x", "outside of the repository"),
        // An unknown name is a variable without a value.
        ("$other/config/no.yaml", "does not exist in the repository"),
    ] {
        let error = render(path).expect_err(path).to_string();
        assert!(error.contains(expected), "{path}: {error}");
    }
}

#[test]
fn files_of_the_folder_override_parameters_and_lead_nowhere_else() {
    let bench = Bench::new(REPORT);
    bench
        .write("chart/Chart.yaml", CHART)
        .write(
            "chart/.argocd-source.yaml",
            "helm: {parameters: [{name: a, value: all}], releaseName: first}\n",
        )
        .write(
            "chart/.argocd-source-shop.yaml",
            "repoURL: https://evil\npath: ../other\nhelm: {releaseName: own}\n",
        );
    let set = bench.render(json!({"path": "chart"})).expect("a render");
    let arguments = report(&set, "arguments");
    assert!(arguments.contains("--name-template=own\n"), "{arguments}");
    assert!(arguments.contains("--set=a=all\n"), "{arguments}");
}

#[test]
fn a_chart_that_looks_objects_up_has_a_remark() {
    let remarks = |template: &str| {
        let bench = Bench::new(REPORT);
        bench
            .write("chart/Chart.yaml", CHART)
            .write("chart/templates/secret.yaml", template);
        let set = bench.render(json!({"path": "chart"})).expect("a render");
        set.remarks
    };
    let found = remarks(r#"data: {{ (lookup "v1" "Secret" .Release.Namespace "s").data }}"#);
    assert_eq!(
        found,
        ["the chart uses the function lookup, which finds nothing while manifests are rendered"]
    );
    assert!(remarks("# lookup is not used\ndata: {{ .Values.lookup }}").is_empty());
}

#[test]
fn a_source_of_two_kinds_or_a_plugin_is_refused() {
    let bench = Bench::new(REPORT);
    bench.write("chart/Chart.yaml", CHART);
    let error = bench.error(json!({"path": "chart", "helm": {}, "kustomize": {}}));
    assert!(
        error.contains("multiple application sources defined: Helm, Kustomize"),
        "{error}"
    );
    let error = bench.error(json!({"path": "chart", "plugin": {"name": "x"}}));
    assert!(error.contains("plugins are not supported"), "{error}");
    let tools = Tools::new(
        ToolPaths {
            helm: Some("/nowhere/helm".into()),
            ..ToolPaths::default()
        },
        bench.folder.path().join("sandboxes"),
    );
    let files = Files::Folder(bench.folder.path().join("repository"));
    let error = render_once(
        &request(vec![json!({"path": "chart"})], &files),
        &placement(),
        &tools,
        |_, _| Scope::Namespaced,
    );
    let error = error.expect_err("no helm").to_string();
    assert!(
        error.starts_with("helm is not installed: give its path with --helm-binary"),
        "{error}"
    );
}
