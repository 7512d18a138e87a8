//! Clients with the rights of another user.

use std::task::{Context, Poll};

use futures::future::BoxFuture;
use http::{HeaderValue, Request, Response, header::HeaderName};
use kube::{Client, client::Body};

/// The header of the Kubernetes API that names the user.
static USER: HeaderName = HeaderName::from_static("impersonate-user");

/// A client that sends its requests through `client`, fences and deadlines included, as `user`. A name that no header can
/// hold makes every request fail, rather than be sent with other rights.
pub(super) fn impersonated(client: &Client, user: &str) -> Client {
    let service = Impersonated {
        client: client.clone(),
        user: HeaderValue::from_str(user).ok(),
    };
    Client::new(service, client.default_namespace())
}

#[derive(Clone)]
struct Impersonated {
    client: Client,
    user: Option<HeaderValue>,
}

impl tower::Service<Request<Body>> for Impersonated {
    type Response = Response<Body>;
    type Error = tower::BoxError;
    type Future = BoxFuture<'static, Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let Self { client, user } = self.clone();
        Box::pin(async move {
            let user = user.ok_or("the name of the user to impersonate is no text of a header")?;
            request.headers_mut().insert(USER.clone(), user);
            Ok(client.send(request).await?)
        })
    }
}
