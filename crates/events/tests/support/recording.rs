//! Recorded answers of HTTP servers.

use std::sync::Arc;

use axum::{body::Body, body::Bytes, response::Response};
use futures::{StreamExt, stream};
use http::{HeaderMap, Uri};
use parking_lot::Mutex;

/// A request as it came in.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) uri: Uri,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// A server on a port of its own that gives one answer to every request; gone with the runtime.
pub(crate) struct Recording {
    /// `HOST:PORT`
    pub(crate) address: String,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Recording {
    /// Answers with this body.
    pub(crate) async fn answering(status: u16, body: impl Into<Bytes>) -> Self {
        Self::start(status, vec![body.into()], false).await
    }

    /// Answers with a body that does not end after these parts.
    pub(crate) async fn streaming(parts: Vec<Bytes>) -> Self {
        Self::start(200, parts, true).await
    }

    async fn start(status: u16, parts: Vec<Bytes>, open: bool) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a port");
        let address = listener.local_addr().expect("bound").to_string();
        let asked: Arc<Mutex<Vec<Asked>>> = Arc::default();
        let log = asked.clone();
        let app = axum::Router::new().fallback(move |uri: Uri, headers: HeaderMap, body: Bytes| {
            log.lock().push(Asked { uri, headers, body });
            let parts = stream::iter(parts.clone().into_iter().map(Ok::<_, std::io::Error>));
            let body = if open {
                Body::from_stream(parts.chain(stream::pending()))
            } else {
                Body::from_stream(parts)
            };
            let answer = Response::builder().status(status).body(body);
            std::future::ready(answer.expect("an answer"))
        });
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { address, asked }
    }

    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().clone()
    }
}
