//! events on a real control plane and a real NATS server.

#![allow(
    clippy::too_many_lines,
    reason = "a scenario reads from top to bottom, with its manifests"
)]

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
    let bus = format!(
        "apiVersion: argoproj.io/v1alpha1\nkind: EventBus\nmetadata: {{name: default}}\nspec: {{jetstreamExotic: {{url: '{}'}}}}\n",
        scene.bed.nats()?.url
    );
    scene.apply(NS, &bus).await?;
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

#[tokio::test(flavor = "multi_thread")]
async fn a_calendar_ticks_and_a_restart_neither_loses_nor_doubles() -> Result<()> {
    let scene = scene().await?;
    let sink = Sink::default();
    let url = sink.start().await?;
    scene
        .apply(
            NS,
            &format!(
                r"
apiVersion: argoproj.io/v1alpha1
kind: EventSource
metadata: {{name: clock}}
spec:
  calendar:
    tick: {{interval: 1s}}
---
apiVersion: argoproj.io/v1alpha1
kind: Sensor
metadata: {{name: clock}}
spec:
  dependencies: [{{name: tick, eventSourceName: clock, eventName: tick}}]
  triggers:
    - template:
        name: call
        http:
          url: {url}
          payload: [{{src: {{dependencyName: tick, dataKey: eventTime}}, dest: at}}]
"
            ),
        )
        .await?;
    scene.until_deployed("Sensor", NS, "clock").await?;
    sink.until(3).await?;
    scene
        .operator(Which::Events)?
        .operator
        .kill_and_restart()
        .await?;
    let before = sink.bodies().len();
    sink.until(before + 3).await?;
    // The bus drops a tick that is published again, so each is there once.
    let mut stream = async_nats::jetstream::new(async_nats::connect(&scene.bed.nats()?.url).await?)
        .get_stream("default")
        .await?;
    let last = stream.info().await?.state.last_sequence;
    let mut ticks = Vec::new();
    for sequence in 1..=last {
        let event: Value =
            serde_json::from_slice(&stream.get_raw_message(sequence).await?.payload)?;
        ticks.push(event["id"].to_string());
    }
    let published = ticks.len();
    ticks.sort();
    ticks.dedup();
    assert_eq!(ticks.len(), published, "a tick was published twice");
    // A call that was under way when the process was killed is made again: nobody knows whether it arrived.
    // One or two ticks may be older than the Sensor's consumer, which begins with what is new.
    let begin = std::time::Instant::now();
    loop {
        let mut times: Vec<String> = sink
            .bodies()
            .iter()
            .map(|body| body["at"].to_string())
            .collect();
        let calls = times.len();
        times.sort();
        times.dedup();
        assert!(
            calls - times.len() <= 1,
            "{} calls were made twice",
            calls - times.len()
        );
        if times.len() + 2 >= published {
            break;
        }
        anyhow::ensure!(
            begin.elapsed() < scene::PATIENCE,
            "{} of {published} ticks led to a call",
            times.len()
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Ok(())
}

/// Port and address of each EndpointSlice of the Service of EventSource `hook`.
async fn endpoints(scene: &Scene) -> Result<BTreeMap<String, u16>> {
    let slices = scene
        .api("discovery.k8s.io/v1", "EndpointSlice", NS)
        .await?;
    let of_service =
        ListParams::default().labels("kubernetes.io/service-name=hook-eventsource-svc");
    let found = slices.list(&of_service).await?;
    let mut endpoints = BTreeMap::new();
    for slice in found {
        let address = slice.data["endpoints"][0]["addresses"][0].as_str();
        let port = slice.data["ports"][0]["port"].as_u64();
        if let (Some(address), Some(port)) = (address, port) {
            endpoints.insert(address.to_owned(), u16::try_from(port)?);
        }
    }
    Ok(endpoints)
}

async fn until_endpoints(scene: &Scene, addresses: &[&str]) -> Result<BTreeMap<String, u16>> {
    let begin = Instant::now();
    loop {
        let found = endpoints(scene).await?;
        if found.keys().eq(addresses) {
            return Ok(found);
        }
        ensure!(
            begin.elapsed() < scene::PATIENCE,
            "endpoints {found:?}, not {addresses:?}\n{}",
            scene.logs()
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Callers need no leader: the endpoints of a live replica stay while the leader is dead and not replaced.
#[tokio::test(flavor = "multi_thread")]
async fn every_replica_is_an_endpoint_and_a_dead_one_is_removed() -> Result<()> {
    const ADDRESSES: [&str; 2] = ["198.51.100.1", "198.51.100.2"];
    e2e::init_tls();
    let mut scene = scene_of(&[]).await?;
    for (replica, address) in (1..).zip(ADDRESSES) {
        let mut args = quick_lease();
        args.push(format!("--advertise-address={address}"));
        let setup = Setup {
            args,
            env: vec![("POD_NAME".to_owned(), format!("events-{replica}"))],
            replica: Some(replica),
            installed: replica > 1,
            ..Setup::default()
        };
        scene.add(Which::Events, &setup).await?;
        if replica == 1 {
            set_bus(&scene).await?;
        }
    }
    let port = scene.bed.free_port()?;
    let source = format!(
        "{}  service: {{ports: [{{port: {port}}}]}}\n",
        webhook(port)
    );
    scene.apply(NS, &source).await?;
    scene.until_deployed("EventSource", NS, "hook").await?;
    let both = until_endpoints(&scene, &ADDRESSES).await?;
    for target in both.values() {
        assert_eq!(send(*target, "/order", &json!({})).await?, 200);
    }
    scene.operators[0].operator.part.kill().await?;
    // At once, and all the time until the successor has taken the place of the leader.
    let begin = Instant::now();
    while endpoints(&scene).await?.len() > 1 {
        assert_eq!(send(both[ADDRESSES[1]], "/order", &json!({})).await?, 200);
        ensure!(begin.elapsed() < scene::PATIENCE, "{}", scene.logs());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let left = until_endpoints(&scene, &ADDRESSES[1..2]).await?;
    assert_eq!(left[ADDRESSES[1]], both[ADDRESSES[1]]);
    // Back under the name of its pod: it takes its lease and publishes.
    scene.operators[0].operator.start().await?;
    until_endpoints(&scene, &ADDRESSES).await?;
    // One that is stopped removes its own endpoints.
    scene.operators[1].operator.part.stop().await?;
    assert!(!endpoints(&scene).await?.contains_key(ADDRESSES[1]));
    let left = until_endpoints(&scene, &ADDRESSES[..1]).await?;
    assert_eq!(send(left[ADDRESSES[0]], "/order", &json!({})).await?, 200);
    Ok(())
}
