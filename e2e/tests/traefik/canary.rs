//! A canary whose weights Traefik follows: an abort, and a promotion while the controller is dead.

use anyhow::Result;
use e2e::isolated;
use serde_json::json;

use crate::proxy::{PROGRAM, Provider, Traefik};
use crate::{NS, healthy, on_stage, paused_at};

const SERVICES: &str = r"
apiVersion: v1
kind: Service
metadata: {name: web-old}
spec: {selector: {app: web}, ports: [{port: 80, targetPort: 8080}]}
---
apiVersion: v1
kind: Service
metadata: {name: web-new}
spec: {selector: {app: web}, ports: [{port: 80, targetPort: 8080}]}
";

const OWN: &str = r"
apiVersion: traefik.io/v1alpha1
kind: TraefikService
metadata: {name: web}
spec:
  weighted:
    services:
      - {name: web-old, port: 80, weight: 100}
      - {name: web-new, port: 80, weight: 0}
---
apiVersion: traefik.io/v1alpha1
kind: IngressRoute
metadata: {name: web}
spec:
  entryPoints: [web]
  routes:
    - kind: Rule
      match: PathPrefix(`/`)
      services: [{kind: TraefikService, name: web}]
";

fn rollout(image: &str, routing: &str) -> String {
    format!(
        r"
apiVersion: argoproj.io/v1alpha1
kind: Rollout
metadata: {{name: web}}
spec:
  replicas: 4
  selector: {{matchLabels: {{app: web}}}}
  template:
    metadata:
      labels: {{app: web}}
      annotations: {{prometheus.io/scrape: 'true', bed/latency: '1'}}
    spec: {{containers: [{{name: web, image: '{image}'}}]}}
  strategy:
    canary:
      canaryService: web-new
      stableService: web-old
      trafficRouting: {routing}
      steps: [{{setWeight: 30}}, {{pause: {{}}}}, {{setWeight: 60}}, {{pause: {{}}}}]
"
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_request_fails_by_traefik_service() -> Result<()> {
    let Some(path) = PROGRAM.find() else {
        return Ok(());
    };
    if !isolated::test("canary::no_request_fails_by_traefik_service")? {
        return Ok(());
    }
    let (scene, traefik) = on_stage(path, Provider::Own, false).await?;
    scene.apply(NS, OWN).await?;
    weights_move(
        &scene,
        &traefik,
        "{traefik: {weightedTraefikServiceName: web}}",
    )
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_request_fails_by_gateway_api() -> Result<()> {
    let Some(path) = PROGRAM.find() else {
        return Ok(());
    };
    if !isolated::test("canary::no_request_fails_by_gateway_api")? {
        return Ok(());
    }
    let (scene, traefik) = on_stage(path, Provider::Gateway, false).await?;
    scene
        .apply(NS, &crate::gateway("web", traefik.port))
        .await?;
    let route = r"
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: web}
spec:
  parentRefs: [{name: web}]
  rules:
    - backendRefs: [{name: web-old, port: 80, weight: 100}, {name: web-new, port: 80, weight: 0}]
";
    scene.apply(NS, route).await?;
    let routing = "{plugins: {argoproj-labs/gatewayAPI: {httpRoute: web}}}";
    weights_move(&scene, &traefik, routing).await
}

async fn weights_move(scene: &crate::scene::Scene, traefik: &Traefik, routing: &str) -> Result<()> {
    scene.apply(NS, SERVICES).await?;
    scene.apply(NS, &rollout("web:1.0", routing)).await?;
    scene
        .until("Rollout", NS, "web", "Healthy", healthy)
        .await?;
    traefik.until_served(None).await?;
    let users = crate::users::Users::start(&traefik.url, None)?;
    users.until_share("1.0", 100).await?;

    scene.apply(NS, &rollout("web:2.0", routing)).await?;
    scene
        .until("Rollout", NS, "web", "paused at 30 %", paused_at(1))
        .await?;
    users.until_share("2.0", 30).await?;
    crate::resume(scene, "web").await?;
    scene
        .until("Rollout", NS, "web", "paused at 60 %", paused_at(3))
        .await?;
    users.until_share("2.0", 60).await?;

    // Given up: everybody gets the stable version again.
    let abort = |abort: bool| json!({"status": {"abort": abort}});
    scene
        .patch_status("Rollout", NS, "web", abort(true))
        .await?;
    scene
        .until("Rollout", NS, "web", "Degraded", |rollout| {
            rollout["status"]["phase"] == "Degraded"
        })
        .await?;
    users.until_share("1.0", 100).await?;

    // Tried again, while the controller dies in the middle.
    scene
        .patch_status("Rollout", NS, "web", abort(false))
        .await?;
    scene
        .until("Rollout", NS, "web", "paused at 30 % again", paused_at(1))
        .await?;
    let controller = crate::controller(scene)?;
    controller.kill().await?;
    let promotion = json!({"status": {"promoteFull": true}});
    scene.patch_status("Rollout", NS, "web", promotion).await?;
    controller.start().await?;
    scene
        .until("Rollout", NS, "web", "promoted", healthy)
        .await?;
    users.until_share("2.0", 100).await
}
