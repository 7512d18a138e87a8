//! A service that plays GitHub, GitLab or Bitbucket Server.

use std::{collections::BTreeMap, sync::Arc};

use axum::{Json, body::Bytes, extract::State, response::IntoResponse};
use http::{HeaderMap, Method, StatusCode, Uri};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::task::AbortHandle;

/// A service that keeps webhooks in lists, by path.
#[derive(Clone, Default)]
pub(crate) struct Forge {
    pub(crate) url: String,
    lists: Arc<Mutex<BTreeMap<String, Vec<Value>>>>,
    changes: Arc<Mutex<Vec<String>>>,
    /// The header that requests must have.
    login: (&'static str, String),
    /// Fields that are taken and not shown.
    hidden: &'static [&'static str],
    server: Arc<Mutex<Option<AbortHandle>>>,
}

impl Forge {
    pub(crate) async fn start(login: (&'static str, &str)) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a port");
        let forge = Self {
            url: format!("http://{}", listener.local_addr().expect("bound")),
            login: (login.0, login.1.to_owned()),
            hidden: &["token", "configuration", "name"],
            ..Self::default()
        };
        let app = axum::Router::new()
            .fallback(answer)
            .with_state(forge.clone());
        let server = tokio::spawn(async move { axum::serve(listener, app).await });
        *forge.server.lock() = Some(server.abort_handle());
        forge
    }

    pub(crate) fn put(&self, path: &str, hook: Value) {
        self.lists
            .lock()
            .entry(path.to_owned())
            .or_default()
            .push(hook);
    }

    pub(crate) fn hooks(&self, path: &str) -> Vec<Value> {
        self.lists.lock().get(path).cloned().unwrap_or_default()
    }

    /// Nobody listens any more.
    pub(crate) fn end(&self) {
        if let Some(server) = self.server.lock().take() {
            server.abort();
        }
    }

    pub(crate) fn changes(&self) -> Vec<String> {
        self.changes.lock().clone()
    }
}

async fn answer(
    State(forge): State<Forge>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> axum::response::Response {
    let path = uri.path().to_owned();
    if path.ends_with("/access_tokens") {
        let proof = headers["authorization"].to_str().expect("text");
        assert_eq!(proof.matches('.').count(), 2, "a token of three parts");
        return (StatusCode::CREATED, Json(json!({"token": "ghs_hushtoken"}))).into_response();
    }
    let (name, value) = &forge.login;
    if headers.get(*name).and_then(|given| given.to_str().ok()) != Some(value) {
        let text = format!("bad credentials: {:?}", headers.get(*name));
        return (StatusCode::UNAUTHORIZED, text).into_response();
    }
    let mut lists = forge.lists.lock();
    let sent: Value = serde_json::from_slice(&body).unwrap_or_default();
    if method == Method::GET {
        let mut list = lists.get(&path).cloned().unwrap_or_default();
        for field in forge.hidden {
            for hook in &mut list {
                hook.as_object_mut().expect("an object").remove(*field);
            }
        }
        let list = json!(list);
        let paged = path.contains("/rest/");
        return Json(if paged { json!({"values": list}) } else { list }).into_response();
    }
    forge.changes.lock().push(format!("{method} {path}"));
    if method == Method::POST {
        let list = lists.entry(path).or_default();
        let mut hook = sent;
        hook["id"] = json!(list.len() + 1);
        list.push(hook);
        return StatusCode::CREATED.into_response();
    }
    let (list, id) = path.rsplit_once('/').expect("an id");
    let hooks = lists.get_mut(list).expect("a list");
    if method == Method::DELETE {
        hooks.retain(|hook| hook["id"].as_u64() != id.parse().ok());
        return StatusCode::NO_CONTENT.into_response();
    }
    let hook = hooks
        .iter_mut()
        .find(|hook| hook["id"].as_u64() == id.parse().ok())
        .expect("a hook");
    for (field, value) in sent.as_object().into_iter().flatten() {
        hook[field] = value.clone();
    }
    StatusCode::OK.into_response()
}
