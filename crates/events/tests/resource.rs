//! The source `resource` on a fake API server and a real nats-server.

mod support;

use axum::body::Body;
use events::{
    source::{TaskEvent, registry},
    trigger::identity::Identities,
    worker::DataPlane,
};
use http::Request;
use reconcile_core::{listen::Budget, testkit::FakeApi};
use serde_json::{Value, json};

use support::{Nats, plane_of, source, until};

/// Serves the fake API over HTTP, so that clients with tokens reach it.
async fn address_of(api: &FakeApi) -> http::Uri {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a port");
    let address = listener.local_addr().expect("bound");
    let client = api.client();
    let app = axum::Router::new().fallback(move |request: Request<Body>| {
        let client = client.clone();
        async move {
            let (head, body) = request.into_parts();
            let body = axum::body::to_bytes(body, 1 << 20).await.expect("a body");
            let request = Request::from_parts(head, kube::client::Body::from(body.to_vec()));
            client
                .send(request)
                .await
                .expect("an answer")
                .map(Body::new)
        }
    });
    tokio::spawn(async move { axum::serve(listener, app).await });
    format!("http://{address}").parse().expect("a URI")
}

/// A process that acts against the API.
async fn plane(api: &FakeApi) -> DataPlane {
    let config = kube::Config::new(address_of(api).await);
    plane_of(api, Budget::new(16, 1 << 20), |operator, executor| {
        executor.identities = Identities::new(operator.leader_role().clone(), config);
    })
}

/// Objects whose name begins with `c` are newer than everything.
fn put(api: &FakeApi, name: &str, value: &str) {
    let created = if name.starts_with('c') {
        "2100-01-01T00:00:00Z"
    } else {
        "2020-01-01T00:00:00Z"
    };
    api.put(&json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": name, "namespace": "ns", "labels": {"app": "a"}, "creationTimestamp": created},
        "data": {"v": value},
    }));
}

fn edit(api: &FakeApi, name: &str, value: &str) {
    api.edit("configmaps", "ns", name, |object| {
        object["data"]["v"] = json!(value);
    });
}

/// `TYPE name old>new` of all events that are stored, in their order.
async fn stored(nats: &Nats) -> Vec<String> {
    let events = nats.stored().await.into_iter().map(|event| {
        let payload: Value = serde_json::from_slice(&event.data).expect("JSON");
        let text = |pointer: &str| {
            let found = payload.pointer(pointer).and_then(Value::as_str);
            found.unwrap_or("-").to_owned()
        };
        format!(
            "{} {} {}>{}",
            text("/type"),
            text("/body/metadata/name"),
            text("/oldBody/data/v"),
            text("/body/data/v")
        )
    });
    events.collect()
}

async fn wait_for(nats: &Nats, expected: &[&str]) {
    until(&format!("{expected:?}"), || async {
        stored(nats).await.len() >= expected.len()
    })
    .await;
    assert_eq!(stored(nats).await, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_come_in_once_over_restarts_and_gaps_in_the_history() {
    let Some(nats) = Nats::start().await else {
        return;
    };
    let api = FakeApi::new();
    put(&api, "a", "1");
    put(&api, "skipped", "1");
    let source = source(
        "resource",
        &[],
        &json!({
            "version": "v1", "resource": "configmaps", "namespace": "ns", "eventTypes": ["ADD", "UPDATE", "DELETE"],
            "filter": {
                "labels": [{"key": "app", "value": "a"}],
                "fields": [{"key": "metadata.name", "operation": "!=", "value": "^skip"}],
            },
        }),
    );
    let first = plane(&api).await;
    first.ensure_source(&source, &nats.bus().await);
    let mut expected = vec!["ADD a ->1"];
    wait_for(&nats, &expected).await;
    edit(&api, "a", "2");
    put(&api, "b", "1");
    expected.extend(["UPDATE a 1>2", "ADD b ->1"]);
    wait_for(&nats, &expected).await;
    // What happens while nobody runs is not missed, and nothing comes in twice.
    first.stop().await;
    edit(&api, "a", "3");
    edit(&api, "a", "4");
    api.delete("configmaps", "ns", "b");
    let second = plane(&api).await;
    second.ensure_source(&source, &nats.bus().await);
    expected.extend(["UPDATE a ->3", "UPDATE a 3>4", "DELETE b ->1"]);
    wait_for(&nats, &expected).await;
    // The history is lost: changes are found by their versions.
    second.stop().await;
    edit(&api, "a", "5");
    put(&api, "c", "1");
    api.compact();
    let third = plane(&api).await;
    third.ensure_source(&source, &nats.bus().await);
    until("both are stored", || async {
        stored(&nats).await.len() >= 8
    })
    .await;
    let mut last = stored(&nats).await.split_off(6);
    last.sort();
    assert_eq!(last, ["ADD c ->1", "UPDATE a ->5"]);
    third.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_are_checked_and_a_kind_that_is_missing_is_reported() {
    let kind = registry::ALL
        .iter()
        .find(|kind| kind.key == "resource")
        .expect("a kind");
    let good = || json!({"version": "v1", "resource": "configmaps", "eventTypes": ["ADD"]});
    let with = |field: &str, value: Value| {
        let mut config = good();
        config[field] = value;
        config
    };
    for (config, field) in [
        (with("version", json!("")), "version"),
        (with("resource", json!("a/b")), "resource"),
        (with("eventTypes", json!([])), "eventTypes"),
        (with("eventTypes", json!(["X"])), "eventTypes[0]"),
        (
            with("filter", json!({"labels": [{"key": "a", "value": "b,c"}]})),
            "filter.labels[0]",
        ),
        (
            with("filter", json!({"fields": [{"key": "a", "value": "b"}]})),
            "filter.fields[0]",
        ),
        (
            with(
                "filter",
                json!({"fields": [{"key": "a", "operation": "=", "value": "("}]}),
            ),
            "filter.fields[0]",
        ),
    ] {
        let error = TaskEvent::check(kind, "x", &config)
            .expect_err("refused")
            .to_string();
        assert!(
            error.starts_with(&format!("spec.resource.x.{field}: ")),
            "{error}"
        );
    }
    let Some(nats) = Nats::start().await else {
        return;
    };
    let api = FakeApi::new();
    let plane = plane(&api).await;
    let missing = source(
        "resource",
        &[],
        &json!({"group": "x.y", "version": "v1", "resource": "zs", "eventTypes": ["ADD"]}),
    );
    let bus = nats.bus().await;
    until("it is reported", || async {
        let health = plane.ensure_source(&missing, &bus);
        let reason = health.interrupted.get("event").cloned().unwrap_or_default();
        reason.starts_with("API server: ")
    })
    .await;
    plane.stop().await;
}
