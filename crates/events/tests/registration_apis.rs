//! Webhooks are registered at services that play Gerrit and `StorageGRID`, whose APIs keep no lists of hooks.

mod support;

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use axum::{body::Bytes, extract::State, response::IntoResponse};
use events::source::{CheckedSource, TaskEvent, hook};
use http::{HeaderMap, Method, StatusCode, Uri};
use parking_lot::Mutex;
use serde_json::{Value, json};

use support::{Nats, plane, reported, source, until, with};

/// Documents by path, as the service shows them.
#[derive(Clone, Default)]
struct Service {
    url: String,
    login: &'static str,
    /// What each answer begins with.
    prefix: &'static str,
    documents: Arc<Mutex<BTreeMap<String, Value>>>,
    changes: Arc<Mutex<Vec<(String, Value)>>>,
    read: Arc<AtomicUsize>,
}

impl Service {
    async fn start(login: &'static str, prefix: &'static str) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await;
        let listener = listener.expect("a port");
        let service = Self {
            url: format!("http://{}", listener.local_addr().expect("bound")),
            login,
            prefix,
            ..Self::default()
        };
        let app = axum::Router::new()
            .fallback(answer)
            .with_state(service.clone());
        tokio::spawn(async move { axum::serve(listener, app).await });
        service
    }

    fn read(&self) -> usize {
        self.read.load(Ordering::Relaxed)
    }

    fn changes(&self) -> Vec<(String, Value)> {
        self.changes.lock().clone()
    }
}

async fn answer(
    State(service): State<Service>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> axum::response::Response {
    let given = headers.get("authorization").and_then(|it| it.to_str().ok());
    if given != Some(service.login) {
        return (StatusCode::UNAUTHORIZED, format!("no: {given:?}")).into_response();
    }
    let path = uri.path().to_owned();
    if method == Method::GET {
        let document = service.documents.lock().get(&path).cloned();
        service.read.fetch_add(1, Ordering::Relaxed);
        let text = document.unwrap_or_else(|| json!({}));
        return format!("{}{text}", service.prefix).into_response();
    }
    let sent: Value = serde_json::from_slice(&body).unwrap_or_default();
    let line = format!("{method} {path}");
    service.changes.lock().push((line, sent.clone()));
    let Some((list, name)) = path.rsplit_once("/remotes/") else {
        return StatusCode::NO_CONTENT.into_response();
    };
    // A remote of Gerrit.
    let mut documents = service.documents.lock();
    let remotes = documents.entry(format!("{list}/remotes/")).or_default();
    if method == Method::DELETE {
        remotes.as_object_mut().expect("remotes").remove(name);
        return StatusCode::NO_CONTENT.into_response();
    }
    remotes[name] = sent;
    format!("{}{}", service.prefix, remotes[name]).into_response()
}

/// The EventSource whose task registers the webhook of one event.
fn registration(key: &str, secrets: &[&str], config: &Value) -> Arc<CheckedSource> {
    let kind = hook::ALL.iter().find(|kind| kind.key == key);
    let registration = kind.expect("a kind").registration.expect("registered here");
    assert!(registration.is_wanted(config));
    let mut task = TaskEvent::check(&registration.task, "event", config).expect("checked");
    task.secrets = secrets.iter().map(|secret| (*secret).into()).collect();
    let mut checked = source("calendar", &[], &json!({"interval": "1h"}));
    Arc::make_mut(&mut checked).tasks = vec![task];
    checked
}

fn webhook() -> Value {
    json!({"url": "https://events.shop", "endpoint": "/push", "port": "12000"})
}

// ann:s3cret
const LOGIN: &str = "Basic YW5uOnMzY3JldA==";

#[tokio::test(flavor = "multi_thread")]
async fn gerrit_gets_a_remote_per_project_and_loses_its_own_only() {
    let Some(nats) = Nats::start().await else {
        return;
    };
    let (bus, plane) = (nats.bus().await, plane());
    let gerrit = Service::start(LOGIN, ")]}'\n").await;
    let key = json!({"name": "g", "key": "k"});
    let config = json!({
        "webhook": webhook(), "gerritBaseURL": gerrit.url, "hookName": "argo", "projects": ["shop/api", "web"],
        "events": ["patchset-created"], "sslVerify": true, "auth": {"username": key, "password": key},
        "deleteHookOnFinish": true,
    });
    let (api, web) = (
        "/a/config/server/webhooks~projects/shop%2Fapi/remotes/",
        "/a/config/server/webhooks~projects/web/remotes/",
    );
    // One project has the hook, with other events; somebody else has one too.
    let hook = json!({"url": "https://events.shop/push", "sslVerify": true, "events": ["patchset-created"]});
    let stale = with(hook.clone(), &json!({"events": ["ref-updated"]}));
    let theirs = json!({"url": "https://other"});
    gerrit
        .documents
        .lock()
        .insert(web.to_owned(), json!({"argo": stale, "theirs": theirs}));
    let source = registration("gerrit", &["ann", "s3cret"], &config);
    plane.ensure_source(&source, &bus);
    until("both are made", || async { gerrit.changes().len() == 2 }).await;
    assert_eq!(
        gerrit.changes(),
        [
            (format!("PUT {api}argo"), hook.clone()),
            (format!("PUT {web}argo"), hook)
        ]
    );
    until("both are read", || async { gerrit.read() == 2 }).await;
    // As they should be: nothing is written again.
    plane.stop_source(&source.key);
    plane.ensure_source(&source, &bus);
    until("both are read again", || async { gerrit.read() == 4 }).await;
    plane.stop_source(&source.key);
    assert_eq!(gerrit.changes().len(), 2);
    let (task, owner) = (&source.tasks[0], (&source.key, source.uid.as_str()));
    let registered = task.source.registered().expect("registered");
    assert!(registered.ends_with_event());
    // Another event still uses the first.
    let names = registered.names(&source.uid, "event");
    let kept = names
        .into_iter()
        .filter(|name| name.contains("api"))
        .collect();
    assert_eq!(plane.remove_registered(task, owner, &kept).await, Ok(()));
    assert_eq!(
        gerrit.changes()[2..],
        [(format!("DELETE {web}argo"), Value::Null)]
    );
    assert_eq!(gerrit.documents.lock()[web], json!({"theirs": theirs}));
    let stranger = registration("gerrit", &["ann", "s3cretive"], &config);
    reported(&plane, &stranger, &bus, "GET answered 401").await;
    plane.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn storage_grid_gets_an_endpoint_and_notifications_of_the_bucket() {
    let Some(nats) = Nats::start().await else {
        return;
    };
    let (bus, plane) = (nats.bus().await, plane());
    let grid = Service::start("Bearer s3cret", "").await;
    let config = json!({
        "webhook": webhook(), "apiURL": format!("{}/api/v3", grid.url), "bucket": "orders",
        "topicArn": "urn:mytext:sns:us-east::my_topic", "events": ["s3:ObjectCreated:*"],
        "authToken": {"name": "g", "key": "k"},
    });
    let endpoints = "/api/v3/org/endpoints";
    grid.documents
        .lock()
        .insert(endpoints.to_owned(), json!({"data": []}));
    let source = registration("storageGrid", &["s3cret"], &config);
    plane.ensure_source(&source, &bus);
    until("both are made", || async { grid.changes().len() == 2 }).await;
    let changes = grid.changes();
    assert_eq!(changes[0].0, format!("POST {endpoints}"));
    assert_eq!(changes[0].1["endpointURI"], "https://events.shop/push");
    assert_eq!(changes[0].1["endpointURN"], config["topicArn"]);
    assert_eq!(
        changes[1].0,
        "PUT /api/v3/org/containers/orders/notification"
    );
    assert_eq!(
        changes[1].1["notification"],
        "<NotificationConfiguration><TopicConfiguration><Id>event</Id><Topic>urn:mytext:sns:us-east::my_topic</Topic>\
         <Event>s3:ObjectCreated:*</Event></TopicConfiguration></NotificationConfiguration>"
    );
    plane.stop_source(&source.key);
    // An endpoint of somebody else is not taken over.
    let taken =
        json!({"data": [{"endpointURN": config["topicArn"], "endpointURI": "https://other"}]});
    grid.documents.lock().insert(endpoints.to_owned(), taken);
    reported(&plane, &source, &bus, "calls \"https://other\" and not").await;
    let stranger = registration("storageGrid", &["s3cretive"], &config);
    reported(&plane, &stranger, &bus, "GET answered 401").await;
    plane.stop().await;
}

#[test]
fn settings_that_cannot_be_registered_are_refused_by_field() {
    let key = json!({"name": "a", "key": "b"});
    let auth = json!({"username": key, "password": key});
    let grid = json!({
        "authToken": key, "apiURL": "https://grid", "bucket": "b", "topicArn": "urn:a", "events": ["s3:*"],
    });
    let gerrit =
        json!({"auth": auth, "gerritBaseURL": "https://g", "hookName": "h", "projects": ["p"]});
    let sns = json!({"accessKey": key, "secretKey": key, "topicArn": "arn:aws:sns:eu-west-1:1:t"});
    for (kind, good, change, path) in [
        (
            "gerrit",
            &gerrit,
            json!({"auth": {"username": key}}),
            "auth.password",
        ),
        ("gerrit", &gerrit, json!({"hookName": ""}), "hookName"),
        ("gerrit", &gerrit, json!({"projects": []}), "projects"),
        (
            "gerrit",
            &gerrit,
            json!({"gerritBaseURL": "g"}),
            "gerritBaseURL",
        ),
        ("storageGrid", &grid, json!({"bucket": "<x>"}), "bucket"),
        ("storageGrid", &grid, json!({"events": ["<x>"]}), "events"),
        ("storageGrid", &grid, json!({"events": []}), "events"),
        ("storageGrid", &grid, json!({"apiURL": "ftp://g"}), "apiURL"),
        (
            "stripe",
            &json!({"createWebhook": true}),
            json!({}),
            "apiKey",
        ),
        ("sns", &sns, json!({"secretKey": null}), "secretKey"),
        ("sns", &sns, json!({"roleARN": "role"}), "roleARN"),
    ] {
        let mut config = with(good.clone(), &change);
        config["webhook"] = webhook();
        let found = hook::ALL.iter().find(|known| known.key == kind);
        let registration = found.expect("a kind").registration.expect("registered");
        let refused = TaskEvent::check(&registration.task, "event", &config);
        let refused = refused.expect_err("refused");
        assert_eq!(refused.path, format!("spec.{kind}.event.{path}"));
        // Without a URL to call nothing is registered.
        config["webhook"]["url"] = json!("");
        assert!(!registration.is_wanted(&config));
    }
    let stripe = hook::ALL.iter().find(|known| known.key == "stripe");
    let stripe = stripe.expect("a kind").registration.expect("registered");
    assert!(!stripe.is_wanted(&json!({"webhook": webhook(), "apiKey": key})));
}
