//! Connections whose bearer token changes: each request asks for it.

use std::sync::Arc;

use futures::future::BoxFuture;
use http::{HeaderValue, StatusCode, header::AUTHORIZATION};
use kube::Client;
use thiserror::Error;
use tower::{BoxError, service_fn};

/// There is no token.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("cannot get a token for the cluster: {0}")]
pub struct TokenError(pub String);

/// Gives the bearer tokens of an API server.
pub trait TokenSource: Send + Sync {
    /// The value of the `Authorization` header. A token that is still valid is given again.
    fn authorization(&self) -> BoxFuture<'_, Result<HeaderValue, TokenError>>;

    /// The server did not accept this value: it is not given again.
    fn rejected(&self, authorization: &HeaderValue);
}

pub(super) fn client(sockets: Client, tokens: Arc<dyn TokenSource>) -> Client {
    let namespace = sockets.default_namespace().to_owned();
    let send = service_fn(move |mut request: http::Request<kube::client::Body>| {
        let (sockets, tokens) = (sockets.clone(), tokens.clone());
        async move {
            let mut authorization = tokens.authorization().await.map_err(BoxError::from)?;
            authorization.set_sensitive(true);
            let headers = request.headers_mut();
            headers.insert(AUTHORIZATION, authorization.clone());
            let answer = sockets.send(request).await.map_err(inner)?;
            if answer.status() == StatusCode::UNAUTHORIZED {
                tokens.rejected(&authorization);
            }
            Ok::<_, BoxError>(answer)
        }
    });
    Client::new(send, namespace)
}

/// What the transport said, without the client around it.
fn inner(error: kube::Error) -> BoxError {
    match error {
        kube::Error::Service(inner) => inner,
        other => Box::new(other),
    }
}
