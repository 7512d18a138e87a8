//! Real traffic through a real Traefik while Rollouts move it: weights of its own `TraefikService` and of the Gateway
//! API, header routes of an A/B test, and a blue-green switch.

#![allow(
    clippy::too_many_lines,
    unreachable_pub,
    reason = "a scenario reads from top to bottom, with its manifests"
)]

#[path = "traefik/ab.rs"]
mod ab;
#[path = "traefik/blue_green.rs"]
mod blue_green;
#[path = "traefik/canary.rs"]
mod canary;
#[path = "traefik/proxy.rs"]
mod proxy;
mod scene;
#[path = "traefik/users.rs"]
mod users;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;
use e2e::Options;
use e2e::process::Part;
use e2e::stack::Which;
use serde_json::{Value, json};

use proxy::{Provider, Traefik};
use scene::{Scene, healthy};

const NS: &str = "default";
const PATIENCE: Duration = Duration::from_mins(3);

/// A bed with the controller, and Traefik in front of it.
async fn on_stage(path: PathBuf, provider: Provider, prometheus: bool) -> Result<(Scene, Traefik)> {
    let options = Options {
        nats: false,
        git: false,
        prometheus,
        ..Options::default()
    };
    let scene = Scene::set(options, &[Which::Rollouts]).await?;
    let traefik = Traefik::start(&scene, path, provider).await?;
    Ok((scene, traefik))
}

/// A Gateway of the Gateway API that listens where Traefik does.
fn gateway(name: &str, port: u16) -> String {
    format!(
        r"
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {{name: traefik}}
spec: {{controllerName: traefik.io/gateway-controller}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {{name: {name}}}
spec:
  gatewayClassName: traefik
  listeners: [{{name: web, protocol: HTTP, port: {port}, allowedRoutes: {{namespaces: {{from: Same}}}}}}]
"
    )
}

fn controller(scene: &Scene) -> Result<&Part> {
    Ok(&scene.operator(Which::Rollouts)?.operator.part)
}

/// A person ends a pause.
async fn resume(scene: &Scene, rollout: &str) -> Result<()> {
    let patch = json!({"status": {"pauseConditions": null}});
    scene.patch_status("Rollout", NS, rollout, patch).await
}

fn paused_at(step: u32) -> impl Fn(&Value) -> bool {
    move |rollout| {
        rollout["status"]["phase"] == "Paused" && rollout["status"]["currentStepIndex"] == step
    }
}

fn paused_at_switch(rollout: &Value) -> bool {
    scene::observed(rollout) && rollout["status"]["message"] == "BlueGreenPause"
}
