//! A blue-green switch behind Traefik, with a controller that is killed before, during and after it.

use anyhow::{Result, ensure};
use e2e::isolated;

use crate::proxy::{PROGRAM, Provider};
use crate::{NS, controller, healthy, on_stage, paused_at_switch, resume};

const ROUTES: &str = r"
apiVersion: v1
kind: Service
metadata: {name: web-active}
spec: {selector: {app: web}, ports: [{port: 80, targetPort: 8080}]}
---
apiVersion: v1
kind: Service
metadata: {name: web-preview}
spec: {selector: {app: web}, ports: [{port: 80, targetPort: 8080}]}
---
apiVersion: traefik.io/v1alpha1
kind: IngressRoute
metadata: {name: web}
spec:
  entryPoints: [web]
  routes:
    - kind: Rule
      match: PathPrefix(`/`) && !Header(`x-preview`, `yes`)
      services: [{name: web-active, port: 80}]
    - kind: Rule
      match: PathPrefix(`/`) && Header(`x-preview`, `yes`)
      services: [{name: web-preview, port: 80}]
";

fn rollout(image: &str) -> String {
    format!(
        r"
apiVersion: argoproj.io/v1alpha1
kind: Rollout
metadata: {{name: web}}
spec:
  replicas: 3
  selector: {{matchLabels: {{app: web}}}}
  template:
    metadata:
      labels: {{app: web}}
      annotations: {{prometheus.io/scrape: 'true', bed/latency: '1'}}
    spec: {{containers: [{{name: web, image: '{image}'}}]}}
  strategy:
    blueGreen: {{activeService: web-active, previewService: web-preview, autoPromotionEnabled: false, scaleDownDelaySeconds: 10}}
"
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_request_fails_at_the_switch() -> Result<()> {
    let Some(path) = PROGRAM.find() else {
        return Ok(());
    };
    if !isolated::test("blue_green::no_request_fails_at_the_switch")? {
        return Ok(());
    }
    let (scene, traefik) = on_stage(path, Provider::Own, false).await?;
    scene.apply(NS, ROUTES).await?;
    scene.apply(NS, &rollout("web:1.0")).await?;
    let first = scene
        .until("Rollout", NS, "web", "Healthy", healthy)
        .await?;
    traefik.until_served(None).await?;
    let users = crate::users::Users::start(&traefik.url, None)?;
    users.until_share("1.0", 100).await?;

    scene.apply(NS, &rollout("web:2.0")).await?;
    scene
        .until("Rollout", NS, "web", "waits for a person", paused_at_switch)
        .await?;
    // Testers see the new version, users the old one. Traefik has no route to the preview while it has no pods.
    let preview = Some(("x-preview", "yes"));
    traefik.until_served(preview).await?;
    let testers = crate::users::Users::start(&traefik.url, preview)?;
    testers.until_share("2.0", 100).await?;
    users.until_share("1.0", 100).await?;

    // The promotion arrives while the controller is dead, and it dies again as soon as it has switched.
    let controller = controller(&scene)?;
    controller.kill().await?;
    resume(&scene, "web").await?;
    controller.start().await?;
    let old = first["status"]["stableRS"].clone();
    let hash = "rollouts-pod-template-hash";
    scene
        .until_any("v1", "Service", NS, "web-active", "switched", |service| {
            service["spec"]["selector"][hash].is_string()
                && service["spec"]["selector"][hash] != old
        })
        .await?;
    controller.kill().await?;
    users.until_share("2.0", 100).await?;
    controller.start().await?;
    scene
        .until("Rollout", NS, "web", "promoted", healthy)
        .await?;
    let set = format!("web-{}", old.as_str().unwrap_or_default());
    scene
        .until_any("apps/v1", "ReplicaSet", NS, &set, "without pods", |set| {
            set["spec"]["replicas"] == 0
                && set["status"]["replicas"].as_u64().unwrap_or_default() == 0
        })
        .await?;
    let share = users.until_share("2.0", 100).await;
    let last = testers.take();
    crate::users::none_failed(&last)?;
    ensure!(!last.is_empty(), "testers were served until the end");
    share
}
