//! Analysis against a real Prometheus, with real traffic: the sample application answers for every simulated pod.

#![allow(
    clippy::too_many_lines,
    reason = "a scenario reads from top to bottom, with its manifests"
)]

mod scene;

use anyhow::Result;
use e2e::load::Load;
use e2e::sample::SAMPLE_PORT;
use e2e::stack::Which;
use e2e::{Options, isolated};
use scene::Scene;
use serde_json::Value;

fn shop(prometheus: &str, image: &str) -> String {
    format!(
        r#"
apiVersion: v1
kind: Service
metadata: {{name: shop}}
spec: {{selector: {{app: shop}}, ports: [{{port: 80, targetPort: {SAMPLE_PORT}}}]}}
---
apiVersion: argoproj.io/v1alpha1
kind: AnalysisTemplate
metadata: {{name: success-rate}}
spec:
  args: [{{name: hash}}]
  metrics:
    - name: success-rate
      initialDelay: 8s
      interval: 2s
      count: 3
      failureLimit: 1
      # Prometheus may need ten seconds to find a new pod: no data is an error, which is asked again, not a verdict.
      consecutiveErrorLimit: 4
      successCondition: result[0] >= 0.95
      provider:
        prometheus:
          address: {prometheus}
          query: |
            sum(rate(http_requests_total{{pod_template_hash="{{{{args.hash}}}}",code!~"5.."}}[4s]))
              / (sum(rate(http_requests_total{{pod_template_hash="{{{{args.hash}}}}"}}[4s])) > 0)
---
apiVersion: argoproj.io/v1alpha1
kind: Rollout
metadata: {{name: shop}}
spec:
  replicas: 4
  selector: {{matchLabels: {{app: shop}}}}
  strategy:
    canary:
      maxSurge: 1
      maxUnavailable: 0
      steps:
        - setWeight: 25
        - analysis:
            templates: [{{templateName: success-rate}}]
            args: [{{name: hash, valueFrom: {{podTemplateHashValue: Latest}}}}]
  template:
    metadata: {{labels: {{app: shop}}, annotations: {{prometheus.io/scrape: 'true'}}}}
    spec:
      containers:
        - {{name: shop, image: '{image}', ports: [{{containerPort: {SAMPLE_PORT}}}]}}
"#
    )
}

fn healthy_on(image: &'static str) -> impl Fn(&Value) -> bool {
    move |ro| {
        ro["spec"]["template"]["spec"]["containers"][0]["image"] == image
            && scene::observed(ro)
            && ro["status"]["phase"] == "Healthy"
            && ro["status"]["currentPodHash"] == ro["status"]["stableRS"]
            && ro["status"]["updatedReplicas"] == 4
    }
}

#[test]
fn a_good_version_is_promoted_and_a_bad_one_is_rolled_back() -> Result<()> {
    if !isolated::test("a_good_version_is_promoted_and_a_bad_one_is_rolled_back")? {
        return Ok(());
    }
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?
        .block_on(async {
            let options = Options {
                nats: false,
                git: false,
                ..Options::default()
            };
            let scene = Scene::set(options, &[Which::Rollouts]).await?;
            let prometheus = scene.bed.prometheus()?.url.clone();
            scene
                .apply("default", &shop(&prometheus, "shop:v1"))
                .await?;
            scene
                .until(
                    "Rollout",
                    "default",
                    "shop",
                    "Healthy on v1",
                    healthy_on("shop:v1"),
                )
                .await?;
            let load = Load::start(scene.bed.client()?, "default", "shop", 40)?;
            scene
                .apply("default", &shop(&prometheus, "shop:v2"))
                .await?;
            scene
                .until(
                    "Rollout",
                    "default",
                    "shop",
                    "Healthy on v2",
                    healthy_on("shop:v2"),
                )
                .await?;
            scene
                .apply("default", &shop(&prometheus, "shop:bad-v3"))
                .await?;
            let aborted = scene
                .until("Rollout", "default", "shop", "aborted", |ro| {
                    ro["status"]["phase"] == "Degraded"
                        && ro["status"]["updatedReplicas"].as_u64().unwrap_or(0) == 0
                })
                .await?;
            let message = aborted["status"]["message"].as_str().unwrap_or_default();
            assert!(
                message.contains("success-rate") && message.contains("Failed"),
                "{message}"
            );
            // Requests that were under way when the bad pod went may still end badly; after that none may.
            let begin = std::time::Instant::now();
            drop(load.take());
            loop {
                tokio::time::sleep(std::time::Duration::from_millis(200)).await;
                let tally = load.tally();
                if tally.failed() > 0 {
                    drop(load.take());
                } else if tally.good("v2") >= 40 {
                    break;
                }
                anyhow::ensure!(
                    begin.elapsed() < scene::PATIENCE,
                    "the stable version does not serve: {tally:?}"
                );
            }
            Ok(())
        })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prometheus_that_is_down_is_an_error_not_a_verdict() -> Result<()> {
    let scene = Scene::set(Options::cluster_only(), &[Which::Rollouts]).await?;
    let run = r"
apiVersion: argoproj.io/v1alpha1
kind: AnalysisRun
metadata: {name: down}
spec:
  metrics:
    - name: up
      consecutiveErrorLimit: 1
      provider: {prometheus: {address: 'http://127.0.0.1:9', query: up}}
";
    scene.apply("default", run).await?;
    let ended = scene
        .until("AnalysisRun", "default", "down", "Error", |run| {
            run["status"]["phase"] == "Error"
        })
        .await?;
    let metric = &ended["status"]["metricResults"][0];
    assert_eq!(metric["phase"], "Error");
    assert_eq!(
        metric["error"], 2,
        "one error is allowed, the second ends the run"
    );
    Ok(())
}
