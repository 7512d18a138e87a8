//! Dashboards and alerts: every query runs on a real Prometheus that scrapes the three operators at work.

mod scene;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use e2e::stack::Which;
use e2e::{Options, charts};
use reconcile_core::yaml;
use scene::Scene;
use serde_json::{Value, json};

const WORK: &str = r"
apiVersion: argoproj.io/v1alpha1
kind: EventSource
metadata: {name: clock}
spec: {calendar: {tick: {interval: 1s}}}
---
apiVersion: argoproj.io/v1alpha1
kind: Sensor
metadata: {name: clock}
spec:
  dependencies: [{name: tick, eventSourceName: clock, eventName: tick}]
  triggers: [{template: {name: log, log: {}}}]
---
apiVersion: argoproj.io/v1alpha1
kind: Rollout
metadata: {name: stuck}
spec:
  replicas: 2
  selector: {matchLabels: {app: stuck}}
  strategy: {canary: {steps: [{setWeight: 50}, {pause: {}}]}}
  template:
    metadata: {labels: {app: stuck}}
    spec: {containers: [{name: app, image: 'app:v1'}]}
";

/// A query of a dashboard or an alert.
struct Query {
    at: String,
    expr: String,
    /// It has no data while all is well.
    quiet: bool,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read(path: &Path) -> Result<Value> {
    let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
    Ok(yaml::value(&text)?)
}

fn list<'v>(value: &'v Value, key: &str) -> impl Iterator<Item = &'v Value> {
    value[key].as_array().into_iter().flatten()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// Queries of a chart's dashboard, from the table that its JSON is written from.
fn dashboard(which: Which) -> Result<Vec<Query>> {
    let name = format!("crates/xtask/dashboards/{}.yaml", which.name());
    let table = read(&root().join(&name))?;
    let mut queries = Vec::new();
    for panel in list(&table, "rows").flat_map(|row| list(row, "panels")) {
        for query in list(panel, "queries") {
            queries.push(Query {
                at: format!("{name}: {}", text(&panel["title"])),
                expr: text(&query["expr"])
                    .replace("$namespace", ".*")
                    .replace("$job", ".*"),
                quiet: query["quiet"] == true,
            });
        }
    }
    Ok(queries)
}

/// Alerts of a chart; an alert has no data while all is well.
fn alerts(which: Which) -> Result<Vec<Query>> {
    let name = format!("charts/{0}/rules/{0}.yaml", which.name());
    let rules = read(&root().join(&name))?;
    let runbook = root().join(format!("docs/runbooks/{}.md", which.name()));
    let runbook = std::fs::read_to_string(runbook)?;
    let mut queries = Vec::new();
    for rule in list(&rules, "groups").flat_map(|group| list(group, "rules")) {
        let alert = text(&rule["alert"]);
        ensure!(
            runbook.contains(&format!("\n## {alert}\n")),
            "the runbook has no section {alert}"
        );
        queries.push(Query {
            at: format!("{name}: {alert}"),
            expr: text(&rule["expr"]),
            quiet: true,
        });
    }
    Ok(queries)
}

struct Prometheus {
    url: String,
    http: reqwest::Client,
}

impl Prometheus {
    async fn get(&self, path: &str, query: &[(&str, &str)]) -> Result<Value> {
        let url = reqwest::Url::parse_with_params(&format!("{}{path}", self.url), query)?;
        let answer: Value = self.http.get(url).send().await?.json().await?;
        ensure!(answer["status"] == "success", "{query:?}: {answer}");
        Ok(answer["data"].clone())
    }

    /// Asks again until there is data.
    async fn until_data(&self, query: &Query) -> Result<()> {
        let begin = Instant::now();
        loop {
            let found = self.get("/api/v1/query", &[("query", &query.expr)]).await;
            let found = found.with_context(|| query.at.clone())?;
            let rows = found["result"].as_array().context("a vector")?;
            // The value may be NaN: a quantile of an operator that was idle.
            if query.quiet || !rows.is_empty() {
                return Ok(());
            }
            ensure!(
                begin.elapsed() < scene::PATIENCE,
                "{}: no data for {}",
                query.at,
                query.expr
            );
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }
}

/// Counters that have no series before something failed.
const ONLY_AFTER_A_FAILURE: [&str; 7] = [
    "argocd_app_condition",
    "http_listener_rejected_total",
    "argocd_git_lsremote_fail_total",
    "argocd_git_fetch_fail_total",
    "rollout_reconcile_error",
    "analysis_run_info",
    "analysis_run_reconcile_bucket",
];

/// Words with an underscore that are no metrics.
const NO_METRICS: [&str; 6] = [
    "label_replace",
    "histogram_quantile",
    "request_type",
    "autosync_enabled",
    "event_name",
    "bool",
];

/// Names before `{`, `[` or the end that are no functions, and so must be metrics.
fn metrics(expr: &str) -> BTreeSet<String> {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut names = BTreeSet::new();
    for (start, _) in expr.match_indices(|c: char| is_word(c)) {
        if expr[..start].chars().next_back().is_some_and(is_word) {
            continue;
        }
        let word: String = expr[start..].chars().take_while(|c| is_word(*c)).collect();
        if word.matches('_').count() >= 1 && !word.ends_with("_name") && !word.ends_with("_status")
        {
            names.insert(word);
        }
    }
    names.retain(|name| !NO_METRICS.contains(&name.as_str()));
    names
}

#[tokio::test(flavor = "multi_thread")]
async fn every_query_of_dashboards_and_alerts_has_its_metrics() -> Result<()> {
    let options = Options {
        sample: false,
        ..Options::default()
    };
    let scene = Scene::set(options, &Which::ALL).await?;
    let prometheus = scene.bed.prometheus()?;
    let targets: Vec<Value> = scene
        .operators
        .iter()
        .map(|one| {
            let target = one.addresses[0].trim_start_matches("http://");
            json!({"targets": [target], "labels": {"job": one.which.name()}})
        })
        .collect();
    let file = prometheus.targets.with_file_name("operators.json");
    std::fs::write(file, serde_json::to_string(&targets)?)?;
    let bus = format!(
        "apiVersion: argoproj.io/v1alpha1\nkind: EventBus\nmetadata: {{name: default}}\nspec: {{jetstreamExotic: {{url: '{}'}}}}\n",
        scene.bed.nats()?.url
    );
    scene.apply("default", &bus).await?;
    scene.apply("default", WORK).await?;
    scene
        .until("Rollout", "default", "stuck", "Healthy", |rollout| {
            rollout["status"]["phase"] == "Healthy"
        })
        .await?;
    scene
        .apply("default", &WORK.replace("app:v1", "app:v2"))
        .await?;
    let manifest = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n";
    let policy = "{automated: {}, syncOptions: [CreateNamespace=true]}";
    scene
        .follow("shop", policy, &[("app/map.yaml", manifest)])
        .await?;
    scene.until_synced("shop").await?;

    let prometheus = Prometheus {
        url: prometheus.url.clone(),
        http: reqwest::Client::new(),
    };
    let mut queries = Vec::new();
    for which in Which::ALL {
        queries.extend(dashboard(which)?);
        queries.extend(alerts(which)?);
    }
    ensure!(queries.len() > 50, "only {} queries", queries.len());
    for query in &queries {
        prometheus.until_data(query).await?;
    }
    let known = prometheus
        .get("/api/v1/label/__name__/values", &[])
        .await
        .context("names of metrics")?;
    let known: BTreeSet<String> = list(&json!({"names": known}), "names").map(text).collect();
    let unknown: Vec<String> = queries
        .iter()
        .flat_map(|query| {
            metrics(&query.expr)
                .into_iter()
                .map(|name| (name, &query.at))
        })
        .filter(|(name, _)| !known.contains(name) && !ONLY_AFTER_A_FAILURE.contains(&name.as_str()))
        .map(|(name, at)| format!("{at}: {name}"))
        .collect();
    ensure!(
        unknown.is_empty(),
        "no such metrics:\n{}",
        unknown.join("\n")
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn charts_render_dashboards_and_rules() -> Result<()> {
    for which in Which::ALL {
        let values = [
            "controller.metrics.rules.enabled=true",
            "controller.metrics.rules.runbooks=https://example.org/runbooks/",
            "controller.metrics.dashboards.enabled=true",
        ];
        let chart = charts::path(which.name());
        let objects = charts::template(&chart, "x", "x", &values).await?;
        let one = |kind: &str| objects.iter().find(|object| object["kind"] == kind);
        let rule = one("PrometheusRule").context("a PrometheusRule")?;
        let first = &rule["spec"]["groups"][0]["rules"][0];
        let anchor = text(&first["alert"]).to_lowercase();
        assert_eq!(
            first["annotations"]["runbook_url"],
            format!("https://example.org/runbooks/{}.md#{anchor}", which.name())
        );
        let summary = text(&first["annotations"]["summary"]);
        assert!(summary.contains("{{ $labels."), "{summary}");
        let board = objects
            .iter()
            .find(|object| {
                object["kind"] == "ConfigMap"
                    && object["metadata"]["labels"]["grafana_dashboard"] == "1"
            })
            .context("a dashboard")?;
        let board = text(&board["data"][format!("{}.json", which.name())]);
        let board: Value = serde_json::from_str(&board)?;
        assert!(list(&board, "panels").count() > 10);
    }
    Ok(())
}
