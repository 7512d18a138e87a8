//! events on a real control plane and a real NATS server.

#![allow(
    clippy::too_many_lines,
    reason = "a scenario reads from top to bottom, with its manifests"
)]

#[path = "events/calendar.rs"]
mod calendar;
#[path = "events/guides.rs"]
mod guides;
#[path = "events/replicas.rs"]
mod replicas;
mod scene;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;
use e2e::Options;
use e2e::stack::{Setup, Which, quick_lease};
use kube::api::ListParams;
use scene::Scene;
use serde_json::{Value, json};
use tokio::sync::Notify;

const NS: &str = "default";

async fn scene() -> Result<Scene> {
    let scene = scene_of(&[Which::Events]).await?;
    set_bus(&scene).await?;
    Ok(scene)
}

async fn scene_of(which: &[Which]) -> Result<Scene> {
    let options = Options {
        prometheus: false,
        git: false,
        sample: false,
        ..Options::default()
    };
    Scene::set(options, which).await
}

async fn set_bus(scene: &Scene) -> Result<()> {
    set_bus_in(scene, NS).await
}

async fn set_bus_in(scene: &Scene, namespace: &str) -> Result<()> {
    let bus = format!(
        "apiVersion: argoproj.io/v1alpha1\nkind: EventBus\nmetadata: {{name: default}}\nspec: {{jetstreamExotic: {{url: '{}'}}}}\n",
        scene.bed.nats()?.url
    );
    scene.apply(namespace, &bus).await?;
    Ok(())
}

/// An HTTP server that remembers the bodies it received.
#[derive(Clone, Default)]
struct Sink {
    bodies: Arc<Mutex<Vec<Value>>>,
    /// Answers with an error so many times first.
    failures: Arc<Mutex<u32>>,
    changed: Arc<Notify>,
}

impl Sink {
    async fn start(&self) -> Result<String> {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}/", listener.local_addr()?);
        let router = Router::new()
            .route("/", post(receive))
            .with_state(self.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Ok(url)
    }

    fn bodies(&self) -> Vec<Value> {
        self.bodies
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    async fn until(&self, count: usize) -> Result<Vec<Value>> {
        let wait = async {
            loop {
                let changed = self.changed.notified();
                tokio::pin!(changed);
                changed.as_mut().enable();
                let bodies = self.bodies();
                if bodies.len() >= count {
                    return bodies;
                }
                changed.await;
            }
        };
        tokio::time::timeout(scene::PATIENCE, wait)
            .await
            .with_context(|| format!("{count} calls; there were {:?}", self.bodies()))
    }
}

async fn receive(State(sink): State<Sink>, axum::Json(body): axum::Json<Value>) -> StatusCode {
    {
        let mut failures = sink.failures.lock().unwrap_or_else(PoisonError::into_inner);
        if *failures > 0 {
            *failures -= 1;
            return StatusCode::INTERNAL_SERVER_ERROR;
        }
    }
    sink.bodies
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .push(body);
    sink.changed.notify_waiters();
    StatusCode::OK
}

fn webhook(port: u16) -> String {
    format!(
        r"
apiVersion: argoproj.io/v1alpha1
kind: EventSource
metadata: {{name: hook}}
spec:
  webhook:
    order: {{port: '{port}', endpoint: /order, method: POST}}
    payment: {{port: '{port}', endpoint: /payment, method: POST}}
"
    )
}

async fn send(port: u16, path: &str, body: &Value) -> Result<reqwest::StatusCode> {
    e2e::init_tls();
    let answer = reqwest::Client::new()
        .post(format!("http://127.0.0.1:{port}{path}"))
        .json(body)
        .timeout(Duration::from_secs(20))
        .send()
        .await?;
    Ok(answer.status())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_call_becomes_an_http_call_with_a_payload_from_the_event() -> Result<()> {
    let scene = scene().await?;
    let port = scene.bed.free_port()?;
    let sink = Sink::default();
    let url = sink.start().await?;
    scene.apply(NS, &webhook(port)).await?;
    scene
        .apply(
            NS,
            &format!(
                r"
apiVersion: argoproj.io/v1alpha1
kind: Sensor
metadata: {{name: call}}
spec:
  dependencies:
    - name: order
      eventSourceName: hook
      eventName: order
      filters:
        data: [{{path: body.amount, type: number, comparator: '>', value: ['10']}}]
  triggers:
    - template:
        name: call
        http:
          url: {url}
          method: POST
          payload:
            - {{src: {{dependencyName: order, dataKey: body.id}}, dest: order.id}}
            - {{src: {{dependencyName: order, dataKey: body.amount, useRawData: true}}, dest: order.amount}}
"
            ),
        )
        .await?;
    scene.until_deployed("EventSource", NS, "hook").await?;
    scene.until_deployed("Sensor", NS, "call").await?;
    assert_eq!(
        send(port, "/order", &json!({"id": "small", "amount": 5})).await?,
        200
    );
    assert_eq!(
        send(port, "/order", &json!({"id": "large", "amount": 50})).await?,
        200
    );
    assert_eq!(
        sink.until(1).await?,
        [json!({"order": {"id": "large", "amount": 50}})]
    );
    assert_eq!(send(port, "/nothing", &json!({})).await?, 404);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn two_dependencies_fire_once_when_both_have_happened() -> Result<()> {
    let scene = scene().await?;
    let port = scene.bed.free_port()?;
    let sink = Sink::default();
    let url = sink.start().await?;
    scene.apply(NS, &webhook(port)).await?;
    scene
        .apply(
            NS,
            &format!(
                r"
apiVersion: argoproj.io/v1alpha1
kind: Sensor
metadata: {{name: both}}
spec:
  dependencies:
    - {{name: order, eventSourceName: hook, eventName: order}}
    - {{name: payment, eventSourceName: hook, eventName: payment}}
  triggers:
    - template:
        name: both
        conditions: order && payment
        http:
          url: {url}
          method: POST
          payload:
            - {{src: {{dependencyName: order, dataKey: body.id}}, dest: order}}
            - {{src: {{dependencyName: payment, dataKey: body.id}}, dest: payment}}
"
            ),
        )
        .await?;
    scene.until_deployed("EventSource", NS, "hook").await?;
    scene.until_deployed("Sensor", NS, "both").await?;
    for round in ["1", "2"] {
        send(port, "/order", &json!({"id": round})).await?;
        send(port, "/payment", &json!({"id": round})).await?;
    }
    let expected = ["1", "2"].map(|round| json!({"order": round, "payment": round}));
    assert_eq!(sink.until(2).await?, expected);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trigger_creates_an_object_with_the_rights_of_the_sensors_account_only() -> Result<()> {
    let scene = scene().await?;
    let port = scene.bed.free_port()?;
    scene.apply(NS, &webhook(port)).await?;
    let sensor = |name: &str, account: &str| {
        format!(
            r"
apiVersion: v1
kind: ServiceAccount
metadata: {{name: {account}}}
---
apiVersion: argoproj.io/v1alpha1
kind: Sensor
metadata: {{name: {name}}}
spec:
  template: {{serviceAccountName: {account}}}
  dependencies: [{{name: order, eventSourceName: hook, eventName: order}}]
  triggers:
    - template:
        name: create
        k8s:
          operation: create
          source:
            resource:
              apiVersion: v1
              kind: ConfigMap
              metadata: {{generateName: {name}-}}
              data: {{}}
          parameters:
            - {{src: {{dependencyName: order, dataKey: body.id}}, dest: data.id}}
"
        )
    };
    scene.apply(NS, &sensor("allowed", "allowed")).await?;
    scene.apply(NS, &sensor("denied", "denied")).await?;
    scene
        .apply(
            NS,
            r"
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: maps}
rules: [{apiGroups: [''], resources: [configmaps], verbs: [create, get]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: maps}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: maps}
subjects: [{kind: ServiceAccount, name: allowed, namespace: default}]
",
        )
        .await?;
    scene.until_deployed("EventSource", NS, "hook").await?;
    scene.until_deployed("Sensor", NS, "allowed").await?;
    scene.until_deployed("Sensor", NS, "denied").await?;
    send(port, "/order", &json!({"id": "7"})).await?;
    let maps: kube::Api<k8s_openapi::api::core::v1::ConfigMap> =
        kube::Api::namespaced(scene.bed.client()?, NS);
    let begin = std::time::Instant::now();
    let created = loop {
        let all = maps.list(&kube::api::ListParams::default()).await?;
        let made: BTreeMap<String, String> = all
            .items
            .into_iter()
            .filter_map(|map| Some((map.metadata.name?, map.data?.get("id")?.clone())))
            .collect();
        if !made.is_empty() || begin.elapsed() > scene::PATIENCE {
            break made;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    assert_eq!(created.len(), 1, "{created:?}\n{}", scene.logs());
    let (name, id) = created.first_key_value().context("one")?;
    assert!(name.starts_with("allowed-") && id == "7", "{created:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failing_call_is_retried_and_an_exhausted_one_is_parked() -> Result<()> {
    let scene = scene().await?;
    let port = scene.bed.free_port()?;
    let sink = Sink::default();
    let url = sink.start().await?;
    scene.apply(NS, &webhook(port)).await?;
    scene
        .apply(
            NS,
            &format!(
                r"
apiVersion: argoproj.io/v1alpha1
kind: Sensor
metadata: {{name: retry}}
spec:
  dependencies: [{{name: order, eventSourceName: hook, eventName: order}}]
  triggers:
    - template:
        name: call
        http:
          url: {url}
          payload: [{{src: {{dependencyName: order, dataKey: body.id}}, dest: id}}]
      retryStrategy: {{steps: 3, duration: 200ms}}
      policy: {{status: {{allow: [200]}}}}
"
            ),
        )
        .await?;
    scene.until_deployed("EventSource", NS, "hook").await?;
    scene.until_deployed("Sensor", NS, "retry").await?;
    *sink.failures.lock().unwrap_or_else(PoisonError::into_inner) = 2;
    send(port, "/order", &json!({"id": "third time"})).await?;
    assert_eq!(sink.until(1).await?, [json!({"id": "third time"})]);

    *sink.failures.lock().unwrap_or_else(PoisonError::into_inner) = 3;
    send(port, "/order", &json!({"id": "never"})).await?;
    let client = async_nats::connect(&scene.bed.nats()?.url).await?;
    let context = async_nats::jetstream::new(client);
    let begin = std::time::Instant::now();
    loop {
        let mut names = context
            .stream_by_subject("dlq.retry.call")
            .await
            .into_iter();
        if let Some(name) = names.next() {
            let stream = context.get_stream(name).await?;
            if let Ok(stored) = stream
                .get_last_raw_message_by_subject("dlq.retry.call")
                .await
            {
                let event: Value = serde_json::from_slice(&stored.payload)?;
                assert!(
                    event.to_string().len() > 2,
                    "a dead-lettered event must carry its content"
                );
                break;
            }
        }
        anyhow::ensure!(
            begin.elapsed() < scene::PATIENCE,
            "nothing was dead-lettered\n{}",
            scene.logs()
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(sink.bodies().len(), 1);
    Ok(())
}
