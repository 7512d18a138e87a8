//! HTTP listeners, one per port, shared by all EventSources.
//!
//! Routes are exchanged in one step, so a change of a manifest never loses a request. A port stays open
//! while anybody has a route on it.

use std::{
    collections::{BTreeSet, HashMap},
    net::Ipv4Addr,
    sync::Arc,
};

use axum::{
    body::Body,
    extract::State,
    response::{IntoResponse, Response},
};
use http::{Method, Request, StatusCode};
use parking_lot::{Mutex, RwLock};
use reconcile_core::object::ObjectKey;
use tokio_util::sync::CancellationToken;

use super::{
    Emitter, ServerCertificate, Webhook,
    doors::{Doors, Greeting},
};

/// All listeners of this process. Cloning shares them.
#[derive(Clone, Default)]
pub struct Listeners {
    ports: Arc<Mutex<HashMap<u16, Port>>>,
    reserved: Arc<BTreeSet<u16>>,
}

struct Port {
    routes: Arc<Routes>,
    tls: Option<ServerCertificate>,
    greeting: Greeting,
    stop: CancellationToken,
}

#[derive(Default)]
struct Routes(RwLock<HashMap<String, Vec<Route>>>);

#[derive(Clone)]
struct Route {
    owner: ObjectKey,
    webhook: Arc<Webhook>,
    emitter: Arc<Emitter>,
}

/// An endpoint that is not served, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// Name of the event.
    pub event: String,
    /// What is in the way.
    pub reason: String,
}

impl Listeners {
    /// Listeners that never take one of the `reserved` ports, which serve metrics and probes.
    pub fn new(reserved: impl IntoIterator<Item = u16>) -> Self {
        Self {
            ports: Arc::default(),
            reserved: Arc::new(reserved.into_iter().collect()),
        }
    }

    /// Gives `owner` exactly these endpoints; what it had before is dropped. An endpoint that another
    /// owner has already is refused, and so is one on a port that cannot be opened.
    pub fn set(
        &self,
        owner: &ObjectKey,
        webhooks: &[Webhook],
        emitter: &Arc<Emitter>,
    ) -> Vec<Refused> {
        let mut ports = self.ports.lock();
        let mut refused = Vec::new();
        let mut wanted: HashMap<u16, Vec<Route>> = HashMap::new();
        for webhook in webhooks {
            match self.open(&mut ports, owner, webhook) {
                Ok(()) => wanted.entry(webhook.port).or_default().push(Route {
                    owner: owner.clone(),
                    webhook: Arc::new(webhook.clone()),
                    emitter: emitter.clone(),
                }),
                Err(reason) => refused.push(Refused {
                    event: webhook.event.clone(),
                    reason,
                }),
            }
        }
        ports.retain(|number, port| {
            let routes = wanted.remove(number).unwrap_or_default();
            let left = port.routes.exchange(owner, routes, &mut refused);
            if left == 0 {
                port.stop.cancel();
            }
            left > 0
        });
        refused
    }

    /// Drops all endpoints of `owner`.
    pub fn remove(&self, owner: &ObjectKey) {
        self.ports.lock().retain(|_, port| {
            let left = port.routes.exchange(owner, Vec::new(), &mut Vec::new());
            if left == 0 {
                port.stop.cancel();
            }
            left > 0
        });
    }

    /// Makes sure that the port of an endpoint is open, with its certificate.
    fn open(
        &self,
        ports: &mut HashMap<u16, Port>,
        owner: &ObjectKey,
        webhook: &Webhook,
    ) -> Result<(), String> {
        let number = webhook.port;
        if let Some(port) = ports.get_mut(&number) {
            return port.greet(owner, webhook);
        }
        let acceptor = webhook
            .tls
            .as_ref()
            .map(ServerCertificate::acceptor)
            .transpose()?;
        if self.reserved.contains(&number) {
            return Err(format!(
                "port {number} serves metrics or probes of the controller"
            ));
        }
        let listener = std::net::TcpListener::bind((Ipv4Addr::UNSPECIFIED, number))
            .and_then(|listener| listener.set_nonblocking(true).map(|()| listener))
            .and_then(tokio::net::TcpListener::from_std)
            .map_err(|error| format!("cannot listen on port {number}: {error}"))?;
        let routes = Arc::new(Routes::default());
        let stop = CancellationToken::new();
        let app = axum::Router::new()
            .fallback(serve)
            .with_state(routes.clone());
        let stopped = stop.clone();
        let greeting = Greeting::new(RwLock::new(acceptor));
        let doors = Doors::open(listener, greeting.clone(), stop.clone())
            .map_err(|error| format!("cannot listen on port {number}: {error}"))?;
        tokio::spawn(async move {
            let server = axum::serve(doors, app)
                .with_graceful_shutdown(async move { stopped.cancelled().await });
            if let Err(error) = server.await {
                tracing::error!(port = number, %error, "listener ended");
            }
        });
        tracing::info!(port = number, "listening for webhooks");
        let tls = webhook.tls.clone();
        ports.insert(
            number,
            Port {
                routes,
                tls,
                greeting,
                stop,
            },
        );
        Ok(())
    }
}

impl Port {
    /// Gives the port the certificate of an endpoint, unless others are served with another one.
    fn greet(&mut self, owner: &ObjectKey, webhook: &Webhook) -> Result<(), String> {
        if self.tls == webhook.tls {
            return Ok(());
        }
        if let Some(other) = self.routes.other_owner(owner) {
            return Err(format!(
                "port {} is used by {other} without TLS or with another certificate",
                webhook.port
            ));
        }
        let acceptor = webhook
            .tls
            .as_ref()
            .map(ServerCertificate::acceptor)
            .transpose()?;
        *self.greeting.write() = acceptor;
        self.tls.clone_from(&webhook.tls);
        Ok(())
    }
}

impl Routes {
    fn other_owner(&self, owner: &ObjectKey) -> Option<ObjectKey> {
        let paths = self.0.read();
        paths
            .values()
            .flatten()
            .find(|route| route.owner != *owner)
            .map(|route| route.owner.clone())
    }

    /// Replaces the routes of `owner`; gives the number of routes that are left on the port.
    fn exchange(&self, owner: &ObjectKey, wanted: Vec<Route>, refused: &mut Vec<Refused>) -> usize {
        let mut paths = self.0.write();
        for routes in paths.values_mut() {
            routes.retain(|route| route.owner != *owner);
        }
        for route in wanted {
            let routes = paths.entry(route.webhook.endpoint.clone()).or_default();
            let holder = routes
                .iter()
                .find(|other| other.webhook.method == route.webhook.method);
            if let Some(holder) = holder {
                refused.push(Refused {
                    event: route.webhook.event.clone(),
                    reason: format!("{:?} is served by {} already", route.webhook, holder.owner),
                });
            } else {
                routes.push(route);
            }
        }
        paths.retain(|_, routes| !routes.is_empty());
        paths.values().map(Vec::len).sum()
    }

    fn find(&self, path: &str, method: &Method) -> Result<Route, StatusCode> {
        let paths = self.0.read();
        let routes = paths.get(path).ok_or(StatusCode::NOT_FOUND)?;
        let route = routes.iter().find(|route| route.webhook.method == *method);
        route.cloned().ok_or(StatusCode::BAD_REQUEST)
    }
}

async fn serve(State(routes): State<Arc<Routes>>, request: Request<Body>) -> Response {
    let path = request.uri().path();
    if path == "/health" {
        return (StatusCode::OK, "OK").into_response();
    }
    match routes.find(path, request.method()) {
        Ok(route) => route
            .webhook
            .serve(request, &route.emitter)
            .await
            .into_response(),
        Err(StatusCode::NOT_FOUND) => {
            (StatusCode::NOT_FOUND, "404 page not found\n").into_response()
        }
        Err(status) => (status, "the endpoint does not take this method").into_response(),
    }
}
