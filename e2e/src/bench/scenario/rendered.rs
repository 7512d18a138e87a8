//! Many Applications that a program renders, helm or kustomize; then a restart, for which no program should run.

use anyhow::Result;
use serde_json::{Value, json};

use super::super::book::Measurement;
use super::gitops::{application, converge, name, prepare};
use super::{Case, Scenario, Session};
use crate::git::Repository;
use crate::tools::{self, Tool};

/// Applications when nothing else is asked for.
const COUNT: usize = 200;

/// What renders.
pub(super) struct Renderer {
    scenario: Scenario,
    what: &'static str,
    restart: &'static str,
    /// Files of all Applications.
    shared: &'static [(&'static str, &'static str)],
    /// The files of one of them.
    files: fn(&str) -> Vec<(String, String)>,
    /// Its source, beside `repoURL` and `targetRevision`.
    source: fn(&str) -> Value,
}

const CHART: &str = "apiVersion: v2\nname: shop\nversion: 1.0.0\n";
const VALUES: &str = "replicas: 1\nmessage: none\nports: [80, 443]\n";
const TEMPLATE: &str = r#"
apiVersion: v1
kind: ConfigMap
metadata:
  name: {{ .Release.Name }}
  labels: {app.kubernetes.io/name: {{ .Chart.Name }}}
data:
  message: {{ .Values.message | quote }}
  ports: {{ .Values.ports | join "," | quote }}
  version: {{ .Capabilities.KubeVersion.Version | quote }}
---
apiVersion: v1
kind: Service
metadata: {name: {{ .Release.Name }}}
spec:
  selector: {app.kubernetes.io/instance: {{ .Release.Name }}}
  ports:
  {{- range .Values.ports }}
  - {name: {{ printf "port-%v" . }}, port: {{ . }}}
  {{- end }}
"#;

/// One chart, with other values for each.
pub(super) const HELM: Renderer = Renderer {
    scenario: Scenario::Helm,
    what: "one Helm chart with different values",
    restart: "helm-restart",
    shared: &[
        ("chart/Chart.yaml", CHART),
        ("chart/values.yaml", VALUES),
        ("chart/templates/all.yaml", TEMPLATE),
    ],
    files: |_| Vec::new(),
    source: |name| {
        json!({
            "path": "chart",
            "helm": {"valuesObject": {"message": format!("hello from {name}")}},
        })
    },
};

const BASE: &str = "
apiVersion: v1
kind: ConfigMap
metadata: {name: map}
data: {message: none}
---
apiVersion: v1
kind: Service
metadata: {name: service}
spec:
  selector: {app: shop}
  ports: [{name: http, port: 80}, {name: https, port: 443}]
";

/// One base, with an overlay for each.
pub(super) const KUSTOMIZE: Renderer = Renderer {
    scenario: Scenario::Kustomize,
    what: "one Kustomize overlay of a common base",
    restart: "kustomize-restart",
    shared: &[
        ("base/all.yaml", BASE),
        ("base/kustomization.yaml", "resources: [all.yaml]\n"),
    ],
    files: |name| {
        let patch = format!(
            "resources: [../../base]\nnamePrefix: {name}-\npatches:\n- target: {{kind: ConfigMap}}\n  patch: |\n    - {{op: replace, path: /data/message, value: hello from {name}}}\n"
        );
        vec![(format!("overlays/{name}/kustomization.yaml"), patch)]
    },
    source: |name| json!({"path": format!("overlays/{name}")}),
};

pub(super) async fn run(session: &Session<'_>, renderer: &Renderer) -> Result<Vec<Measurement>> {
    let count = session.plan.count.unwrap_or(COUNT);
    let repository = session.bed.git()?.repository("bench").await?;
    for (path, text) in renderer.shared {
        repository.write(path, text).await?;
    }
    for index in 0..count {
        for (path, text) in (renderer.files)(&name(index)) {
            repository.write(&path, &text).await?;
        }
    }
    repository.commit(&[], "what is rendered").await?;
    let (subject, idle) = session
        .subject_with(renderer.scenario, vec![], arguments(session).await?)
        .await?;
    prepare(session).await?;
    let applications = (0..count).map(|index| rendered(&repository, renderer, &name(index)));
    let case = Case {
        id: renderer.scenario.name(),
        title: format!(
            "{count} Applications of {}: all Synced and Healthy",
            renderer.what
        ),
        objects: count,
        own_requests: count,
    };
    let load = converge(session, &subject, applications.collect());
    let mut measurements = vec![session.case(&subject, idle, case, load).await?];
    if measurements[0].complete() {
        let restarted = session
            .restart(&subject, idle, renderer.restart, count)
            .await?;
        measurements.extend(restarted);
    }
    Ok(measurements)
}

/// Our operator finds the programs of the bed, and keeps results over a restart as on the volume of its chart.
async fn arguments(session: &Session<'_>) -> Result<Vec<String>> {
    let programs =
        tokio::task::spawn_blocking(|| tools::ensure(&[Tool::Helm, Tool::Kustomize])).await??;
    let path = |tool| -> Result<String> { Ok(programs.path(tool)?.display().to_string()) };
    Ok(vec![
        format!("--cache-dir={}", session.bed.dir().join("cache").display()),
        format!("--helm-binary={}", path(Tool::Helm)?),
        format!("--kustomize-binary={}", path(Tool::Kustomize)?),
    ])
}

fn rendered(repository: &Repository, renderer: &Renderer, name: &str) -> Value {
    let mut application = application(name, &repository.url, "");
    let mut source = (renderer.source)(name);
    for key in ["repoURL", "targetRevision"] {
        source[key] = application["spec"]["source"][key].take();
    }
    application["spec"]["source"] = source;
    application
}
