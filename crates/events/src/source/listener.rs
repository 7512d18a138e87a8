//! HTTP listeners of EventSources.
//!
//! ```text
//!   callers ─► Service of the EventSource ─► its target: a port of this process that only it has
//!   callers on the same host ─► the port of the manifest, while one namespace alone asks for it
//! ```
//!
//! A port number in a manifest is no claim on the process: any number of EventSources may name the same
//! one, also with the same path. Each has a target of its own, where its Service leads. The port of the
//! manifest itself is open too, for callers without a Service, but never for two namespaces: nobody gets
//! the callers of another tenant by naming its port first. The ports of targets are in no manifest's reach: see
//! [`super::targets`].

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    io,
    net::{Ipv4Addr, Ipv6Addr, TcpListener},
    sync::Arc,
};

use parking_lot::Mutex;
use reconcile_core::{
    listen::{Budget, Limits, Server, TlsMode, bind_shared},
    object::ObjectKey,
};
use tokio_util::sync::CancellationToken;

pub use super::served::{ClosedPort, Refused, Served};
use super::{
    Emitter, ServerCertificate, Webhook,
    open_error::OpenError,
    routes::{Route, Routes, serve},
    targets::{TARGETS, TargetPorts},
};

/// All listeners of this process. Clones share them.
#[derive(Clone)]
pub struct Listeners {
    ports: Arc<Mutex<Ports>>,
    reserved: Arc<BTreeSet<u16>>,
    budget: Budget,
}

#[derive(Default)]
struct Ports {
    /// By EventSource and port of the manifest.
    targets: HashMap<(ObjectKey, u16), Listener>,
    /// By port of the manifest, with the one namespace that it serves.
    direct: HashMap<u16, (String, Listener)>,
    /// Who has the ports of targets.
    numbers: TargetPorts,
}

/// One open port.
struct Listener {
    number: u16,
    routes: Arc<Routes>,
    certificate: Option<ServerCertificate>,
    tls: TlsMode,
    stop: CancellationToken,
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// What an EventSource asks for.
pub struct EndpointClaims<'w> {
    /// The EventSource.
    pub owner: &'w ObjectKey,
    /// Its endpoints.
    pub webhooks: &'w [Webhook],
    /// Ports that EventSources of other namespaces name too.
    pub contested: &'w BTreeSet<u16>,
    /// A Service leads to its targets.
    pub service: bool,
    /// Publishes its events.
    pub emitter: &'w Arc<Emitter>,
}

impl Listeners {
    /// Listeners that share `budget`, and never take one of the `reserved` ports for callers without a
    /// Service: those serve metrics and probes.
    pub fn new(reserved: impl IntoIterator<Item = u16>, budget: Budget) -> Self {
        Self {
            ports: Arc::default(),
            reserved: Arc::new(reserved.into_iter().collect()),
            budget,
        }
    }

    /// Gives an EventSource exactly these endpoints; what it had before is dropped.
    pub fn set(&self, wanted: &EndpointClaims<'_>) -> Served {
        let mut ports = self.ports.lock();
        let mut served = Served::default();
        let mut by_port: BTreeMap<u16, Vec<Route>> = BTreeMap::new();
        for webhook in wanted.webhooks {
            let route = Route {
                owner: wanted.owner.clone(),
                webhook: Arc::new(webhook.clone()),
                emitter: wanted.emitter.clone(),
            };
            let routes = by_port.entry(webhook.port).or_default();
            match obstacle(routes, &route) {
                None => routes.push(route),
                Some(reason) => served.refused.push(Refused {
                    event: webhook.event.clone(),
                    reason,
                }),
            }
        }
        let owner = wanted.owner;
        ports.leave_targets(owner, |port| wanted.service && by_port.contains_key(&port));
        ports.leave_direct(owner, |port| {
            by_port.contains_key(&port) && !wanted.contested.contains(&port)
        });
        if wanted.service {
            // All targets before the first port of the manifest, which may not be free.
            by_port.retain(|port, routes| {
                let target = self.target(&mut ports, owner, *port, routes);
                let opened = target.is_ok();
                match target {
                    Ok(target) => drop(served.targets.insert(*port, target)),
                    Err(error) => served.refused.extend(routes.iter().map(|route| Refused {
                        event: route.webhook.event.clone(),
                        reason: error.to_string(),
                    })),
                }
                opened
            });
        }
        for (port, routes) in by_port {
            let opened = if wanted.contested.contains(&port) {
                Err(ClosedPort::Contested)
            } else {
                self.direct(&mut ports, owner, port, routes)
            };
            if let Err(reason) = opened {
                served.closed.insert(port, reason);
            }
        }
        served
    }

    /// Drops all endpoints of `owner`.
    pub fn remove(&self, owner: &ObjectKey) {
        let mut ports = self.ports.lock();
        ports.leave_targets(owner, |_| false);
        ports.leave_direct(owner, |_| false);
    }

    /// An `EndpointSlice` names these ports of the process for `owner`, or is about to.
    pub fn published(&self, owner: &ObjectKey, numbers: &BTreeSet<u16>) {
        let mut ports = self.ports.lock();
        for number in numbers {
            ports.numbers.published(owner, *number);
        }
    }

    /// The `EndpointSlice` of `owner` names these ports of the process, and no others any more.
    pub fn published_only(&self, owner: &ObjectKey, numbers: &BTreeSet<u16>) {
        self.ports.lock().numbers.published_only(owner, numbers);
    }

    /// Serves `routes` on the EventSource's own port; returns its number.
    fn target(
        &self,
        ports: &mut Ports,
        owner: &ObjectKey,
        port: u16,
        routes: &[Route],
    ) -> Result<u16, OpenError> {
        let certificate = certificate(routes);
        let id = (owner.clone(), port);
        if !ports.targets.contains_key(&id) {
            self.check_share(ports, &owner.namespace)?;
            let candidates = ports.numbers.candidates(owner, port).into_iter();
            let socket = first_free(candidates).map_err(OpenError::Target)?;
            let listener = self.open(format!("{owner} port {port}"), socket, certificate)?;
            ports.numbers.opened(owner, listener.number);
            ports.targets.insert(id.clone(), listener);
        }
        let Some(listener) = ports.targets.get_mut(&id) else {
            return Err(OpenError::Closed);
        };
        listener.present(certificate)?;
        drop(listener.routes.replace(owner, routes.to_vec()));
        Ok(listener.number)
    }

    /// Serves `routes` on the port of the manifest.
    fn direct(
        &self,
        ports: &mut Ports,
        owner: &ObjectKey,
        port: u16,
        routes: Vec<Route>,
    ) -> Result<(), ClosedPort> {
        let busy = |reason: OpenError| ClosedPort::Busy(reason.to_string());
        let held = ports.direct.get(&port);
        if held.is_some_and(|(namespace, _)| *namespace != owner.namespace) {
            // The other EventSource has not been reconciled since the port became contested.
            ports.direct.remove(&port);
            return Err(ClosedPort::Contested);
        }
        let certificate = certificate(&routes);
        if held.is_none() {
            if self.reserved.contains(&port)
                || TARGETS.contains(&port)
                || ports.numbers.is_held(port)
            {
                return Err(ClosedPort::Reserved);
            }
            self.check_share(ports, &owner.namespace).map_err(busy)?;
            // Replicas on one host serve the port together.
            let socket = bind_shared(None, port).map_err(|error| busy(error.into()))?;
            let listener = self.open(format!("port {port}"), socket, certificate);
            let listener = listener.map_err(busy)?;
            ports
                .direct
                .insert(port, (owner.namespace.clone(), listener));
        }
        let Some((_, listener)) = ports.direct.get_mut(&port) else {
            return Err(busy(OpenError::Closed));
        };
        if listener.certificate.as_ref() != certificate && !listener.routes.is_only_of(owner) {
            return Err(busy(OpenError::OtherCertificate));
        }
        listener.present(certificate).map_err(busy)?;
        let collisions = listener.routes.replace(owner, routes);
        match collisions.first() {
            None => Ok(()),
            Some((route, holder)) => Err(busy(OpenError::Route {
                method: route.webhook.method.to_string(),
                path: route.webhook.endpoint.path().to_owned(),
                holder: holder.name.clone(),
            })),
        }
    }

    /// Whether a namespace may open another port: never more than what it would leave to all others.
    fn check_share(&self, ports: &Ports, namespace: &str) -> Result<(), OpenError> {
        let most = self.budget.most_ports().min(TARGETS.len());
        let free = most.saturating_sub(ports.targets.len() + ports.direct.len());
        let targets = ports.targets.keys().map(|(owner, _)| &owner.namespace);
        let direct = ports.direct.values().map(|(namespace, _)| namespace);
        let own = targets.chain(direct).filter(|other| *other == namespace);
        if own.count() < free {
            return Ok(());
        }
        Err(OpenError::Share {
            namespace: namespace.to_owned(),
            free,
            most,
        })
    }

    fn open(
        &self,
        name: String,
        socket: tokio::net::TcpListener,
        certificate: Option<&ServerCertificate>,
    ) -> Result<Listener, OpenError> {
        let number = socket.local_addr()?.port();
        let mut listener = Listener {
            number,
            routes: Arc::default(),
            certificate: None,
            tls: TlsMode::plain(),
            stop: CancellationToken::new(),
        };
        listener.present(certificate)?;
        tracing::info!(port = number, listener = name, "listening for webhooks");
        let server = Server {
            name,
            limits: Limits::default(),
            budget: self.budget.clone(),
            tls: listener.tls.clone(),
            router: axum::Router::new()
                .fallback(serve)
                .with_state(listener.routes.clone()),
        };
        tokio::spawn(reconcile_core::listen::serve(
            socket,
            server,
            listener.stop.clone(),
        ));
        Ok(listener)
    }
}

impl Listener {
    /// Shows this certificate to clients from now on; without one it speaks plain HTTP.
    fn present(&mut self, certificate: Option<&ServerCertificate>) -> Result<(), OpenError> {
        if self.certificate.as_ref() == certificate {
            return Ok(());
        }
        let config = certificate.map(ServerCertificate::config).transpose()?;
        self.tls.set(config);
        self.certificate = certificate.cloned();
        Ok(())
    }
}

impl Ports {
    /// Closes the targets of an EventSource, except those for the ports that it keeps.
    fn leave_targets(&mut self, owner: &ObjectKey, keeps: impl Fn(u16) -> bool) {
        self.targets.retain(|(other, port), listener| {
            let stays = other != owner || keeps(*port);
            if !stays {
                self.numbers.closed(listener.number);
            }
            stays
        });
    }

    /// Takes an EventSource off the ports of manifests, except those that it keeps; closes a port that
    /// nobody is left on.
    fn leave_direct(&mut self, owner: &ObjectKey, keeps: impl Fn(u16) -> bool) {
        self.direct.retain(|port, (_, listener)| {
            if !keeps(*port) {
                drop(listener.routes.replace(owner, Vec::new()));
            }
            !listener.routes.is_empty()
        });
    }
}

/// What keeps an endpoint from being served beside the others of the same EventSource and port.
fn obstacle(routes: &[Route], route: &Route) -> Option<String> {
    let first = &routes.first()?.webhook;
    if first.tls != route.webhook.tls {
        return Some(format!(
            "event {} uses port {} with another certificate or without",
            first.event, first.port
        ));
    }
    let holder = routes.iter().find(|other| other.collides(route))?;
    Some(format!(
        "event {} has the same port, endpoint and method",
        holder.webhook.event
    ))
}

fn certificate(routes: &[Route]) -> Option<&ServerCertificate> {
    routes.first()?.webhook.tls.as_ref()
}

/// Listens on the first of these ports that no other program has.
fn first_free(mut candidates: impl Iterator<Item = u16>) -> io::Result<tokio::net::TcpListener> {
    let mut last = io::Error::other("all ports for Services are taken");
    candidates
        .find_map(|number| bind(number).map_err(|error| last = error).ok())
        .ok_or(last)
}

/// Listens on all addresses, of both families where there are two.
fn bind(port: u16) -> io::Result<tokio::net::TcpListener> {
    let socket = match TcpListener::bind((Ipv6Addr::UNSPECIFIED, port)) {
        Err(error) if error.kind() != io::ErrorKind::AddrInUse => {
            TcpListener::bind((Ipv4Addr::UNSPECIFIED, port))?
        }
        outcome => outcome?,
    };
    socket.set_nonblocking(true)?;
    tokio::net::TcpListener::from_std(socket)
}
