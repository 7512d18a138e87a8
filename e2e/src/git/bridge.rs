//! HTTP to CGI: each request runs `git http-backend` once, its answer is streamed back.

use std::path::PathBuf;
use std::process::Stdio;
use std::sync::{Arc, OnceLock};

use anyhow::{Context as _, Result, bail};
use axum::Router;
use axum::body::Body;
use axum::extract::{Json, Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use futures::StreamExt as _;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::Command;
use tokio_util::io::ReaderStream;

use super::{ServerState, Webhook, webhook};

/// Longest header line `git http-backend` may write.
const HEADER_LIMIT: u64 = 64 * 1024;

pub(super) fn router(shared: Arc<ServerState>) -> Router {
    // `/-/webhooks` is for other processes than the one that owns the bed; no repository may be named `-`.
    Router::new()
        .route(
            "/-/webhooks",
            get(list_webhooks).post(add_webhook).delete(clear_webhooks),
        )
        .fallback(serve)
        .with_state(shared)
}

async fn list_webhooks(State(shared): State<Arc<ServerState>>) -> Json<Vec<Webhook>> {
    Json(shared.webhooks.read().await.clone())
}

async fn add_webhook(
    State(shared): State<Arc<ServerState>>,
    Json(hook): Json<Webhook>,
) -> StatusCode {
    shared.webhooks.write().await.push(hook);
    StatusCode::CREATED
}

async fn clear_webhooks(State(shared): State<Arc<ServerState>>) -> StatusCode {
    shared.webhooks.write().await.clear();
    StatusCode::NO_CONTENT
}

async fn serve(State(shared): State<Arc<ServerState>>, request: Request) -> Response {
    match run(&shared, request).await {
        Ok(response) => response,
        Err(error) => {
            tracing::warn!(%error, "git http-backend");
            (StatusCode::BAD_GATEWAY, format!("{error:#}")).into_response()
        }
    }
}

async fn run(shared: &Arc<ServerState>, request: Request) -> Result<Response> {
    let path = request.uri().path().to_owned();
    let push = path
        .strip_suffix("/git-receive-pack")
        .map(|repo| repo.trim_matches('/').to_owned());
    let mut child = cgi(shared, &request)?
        .spawn()
        .context("starting git http-backend")?;
    let mut stdin = child.stdin.take().context("stdin was asked for")?;
    let stdout = child.stdout.take().context("stdout was asked for")?;
    let mut body = request.into_body().into_data_stream();
    let feed = tokio::spawn(async move {
        while let Some(Ok(bytes)) = body.next().await {
            if stdin.write_all(&bytes).await.is_err() {
                break;
            }
        }
    });
    let mut reader = BufReader::new(stdout);
    let (status, headers) = read_head(&mut reader).await?;
    let mut response = if let Some(repository) = push {
        // A push is answered when its hook has run, so that the caller of `git push` knows the event is on its way.
        let mut answer = Vec::new();
        reader.read_to_end(&mut answer).await?;
        feed.await?;
        child.wait().await?;
        webhook::after_push(shared, &repository).await?;
        Response::new(Body::from(answer))
    } else {
        tokio::spawn(async move { child.wait().await });
        Response::new(Body::from_stream(ReaderStream::new(reader)))
    };
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    Ok(response)
}

fn cgi(shared: &ServerState, request: &Request) -> Result<Command> {
    let header = |name: &str| {
        request
            .headers()
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
            .to_owned()
    };
    let mut command = Command::new(backend()?);
    command
        .env("GIT_PROJECT_ROOT", &shared.root)
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("HOME", &shared.root)
        .env("REQUEST_METHOD", request.method().as_str())
        .env("PATH_INFO", request.uri().path())
        .env("QUERY_STRING", request.uri().query().unwrap_or_default())
        .env("CONTENT_TYPE", header("content-type"))
        .env("HTTP_CONTENT_ENCODING", header("content-encoding"))
        .env("GIT_PROTOCOL", header("git-protocol"))
        .env("REMOTE_ADDR", "127.0.0.1")
        .env("REMOTE_USER", "bed")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true);
    let length = header("content-length");
    if !length.is_empty() {
        command.env("CONTENT_LENGTH", length);
    }
    Ok(command)
}

/// `git-http-backend` is not on PATH; git knows where its programs are.
fn backend() -> Result<&'static PathBuf> {
    static FOUND: OnceLock<PathBuf> = OnceLock::new();
    if let Some(path) = FOUND.get() {
        return Ok(path);
    }
    let output = std::process::Command::new("git")
        .arg("--exec-path")
        .output()
        .context("git")?;
    let folder = PathBuf::from(String::from_utf8(output.stdout)?.trim());
    let path = folder.join("git-http-backend");
    if !path.is_file() {
        bail!(
            "{} is missing: install git with its HTTP backend",
            path.display()
        );
    }
    Ok(FOUND.get_or_init(|| path))
}

/// The CGI head: header lines up to an empty one; `Status:` is the response's status.
async fn read_head<R: tokio::io::AsyncBufRead + Unpin>(
    reader: &mut R,
) -> Result<(StatusCode, HeaderMap)> {
    let mut status = StatusCode::OK;
    let mut headers = HeaderMap::new();
    loop {
        let mut line = String::new();
        let read = reader.take(HEADER_LIMIT).read_line(&mut line).await?;
        if read == 0 {
            bail!("git http-backend ended without an answer");
        }
        let line = line.trim_end();
        let Some((name, value)) = line.split_once(':') else {
            return Ok((status, headers));
        };
        let value = value.trim();
        if name.eq_ignore_ascii_case("status") {
            status = value.split(' ').next().unwrap_or("500").parse()?;
        } else {
            headers.append(name.parse::<axum::http::HeaderName>()?, value.parse()?);
        }
    }
}
