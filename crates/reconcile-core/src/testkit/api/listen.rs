//! The fake API server on a port, for code that connects by address and credentials.

use std::{io, sync::Arc};

use axum::{Router, body::Body as Answered, extract::Request as Asked, response::Response};
use http::Request;
use kube::client::Body;
use parking_lot::Mutex;
use serde_json::json;
use tokio::{net::TcpListener, task::AbortHandle};

use super::{FakeApi, serve::BODY_LIMIT};

/// How a server answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Health {
    /// As it should.
    #[default]
    Good,
    /// With 503.
    Unavailable,
    /// Not at all.
    Hanging,
}

#[derive(Default)]
struct Access {
    token: Option<String>,
    health: Health,
}

/// A [`FakeApi`] on a port of this machine, over plain HTTP, until it is dropped.
pub struct FakeServer {
    /// Its URL.
    pub url: String,
    access: Arc<Mutex<Access>>,
    task: AbortHandle,
}

impl Drop for FakeServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl FakeServer {
    /// Refuses every request without this bearer token from now on.
    pub fn require(&self, token: &str) {
        self.access.lock().token = Some(token.to_owned());
    }

    /// Answers like this from now on. Watches that are open stay open; see [`FakeApi::drop_watches`].
    pub fn set_health(&self, health: Health) {
        self.access.lock().health = health;
    }
}

impl FakeApi {
    /// Serves on a free port.
    pub async fn listen(&self) -> io::Result<FakeServer> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let url = format!("http://{}", listener.local_addr()?);
        let access: Arc<Mutex<Access>> = Arc::default();
        let handler = {
            let (api, access) = (self.clone(), access.clone());
            move |request: Asked| answer(api.clone(), access.clone(), request)
        };
        let router: Router = Router::new().fallback(handler);
        let serve = async move { axum::serve(listener, router).await };
        Ok(FakeServer {
            url,
            access,
            task: tokio::spawn(serve).abort_handle(),
        })
    }
}

async fn answer(api: FakeApi, access: Arc<Mutex<Access>>, request: Asked) -> Response {
    let (health, is_known) = {
        let access = access.lock();
        let wanted = access.token.as_ref().map(|token| format!("Bearer {token}"));
        let given = request.headers().get(http::header::AUTHORIZATION);
        let given = given.and_then(|value| value.to_str().ok());
        let is_known = wanted.is_none_or(|wanted| given == Some(wanted.as_str()));
        (access.health, is_known)
    };
    match health {
        Health::Good if !is_known => failure(401, "Unauthorized"),
        Health::Good if request.uri().path() == "/version" => respond(200, &version()),
        Health::Good => match pass_on(&api, request).await {
            Ok(response) => response,
            Err(error) => failure(500, &error.to_string()),
        },
        Health::Unavailable => failure(503, "ServiceUnavailable"),
        Health::Hanging => std::future::pending().await,
    }
}

async fn pass_on(api: &FakeApi, request: Asked) -> io::Result<Response> {
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, BODY_LIMIT).await;
    let body = Body::from(body.map_err(io::Error::other)?.to_vec());
    api.clone().serve(Request::from_parts(parts, body)).await
}

fn version() -> serde_json::Value {
    json!({
        "major": "1", "minor": "34", "gitVersion": "v1.34.1", "gitCommit": "", "gitTreeState": "clean",
        "buildDate": "2026-01-01T00:00:00Z", "goVersion": "", "compiler": "gc", "platform": "linux/amd64",
    })
}

fn failure(code: u16, reason: &str) -> Response {
    let status = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": reason, "reason": reason, "code": code,
    });
    respond(code, &status)
}

fn respond(code: u16, value: &serde_json::Value) -> Response {
    let mut response = Response::new(Answered::from(value.to_string()));
    *response.status_mut() = http::StatusCode::from_u16(code).unwrap_or_default();
    response.headers_mut().insert(
        http::header::CONTENT_TYPE,
        http::HeaderValue::from_static("application/json"),
    );
    response
}
