//! The ports for Argo CD's own server.

use std::{collections::BTreeMap, sync::Arc};

use k8s_openapi::{ByteString, api::core::v1::Secret};
use kube::Api;
use reconcile_core::{
    error::error_chain,
    listen::ListenAddress,
    operator::Operator,
    secret,
    watch::{Change, Guarded, Index, Watch, WatchConfig},
};

use super::revoked::RevokedMap;
use crate::{
    app::Context,
    redis::{Changes, Password, RedisServer, live::ControllerAnswers},
    repo::{Credentials, HubConfig},
    repo_server::{RepoServer, RepoServerSettings},
    tls::Tls,
};

/// The Secret with the password of the Redis protocol.
const REDIS_SECRET: &str = "argocd-redis";
/// Its member.
const REDIS_PASSWORD: &str = "auth";

/// The ports of the controller beside metrics and probes.
#[derive(Clone, Debug, Default)]
pub struct Ports {
    /// Webhooks.
    pub webhook: ListenAddress,
    /// The Redis protocol; `None` turns it off.
    pub redis: Option<RedisPort>,
    /// The repo-server protocol; `None` turns it off.
    pub repo_server: Option<RepoServerSettings>,
}

impl From<ListenAddress> for Ports {
    fn from(webhook: ListenAddress) -> Self {
        Self {
            webhook,
            ..Self::default()
        }
    }
}

/// The port of the Redis protocol.
#[derive(Clone, Debug)]
pub struct RedisPort {
    /// Where it listens.
    pub listen: ListenAddress,
    /// Version of the cache that clients put into each key.
    pub cache_version: String,
    /// TLS, or none.
    pub tls: Tls,
}

/// Serves the ports for Argo CD's own server that are switched on.
pub(super) fn serve_upstream(
    operator: &Operator,
    context: &Context,
    ports: &Ports,
    (changes, credentials, stores): (Changes, Credentials, HubConfig),
) {
    if let Some(port) = ports.redis.clone() {
        serve_redis(operator, context, port, changes);
    }
    if let Some(settings) = ports.repo_server.clone() {
        serve_repositories(operator, context, settings, (credentials, stores));
    }
}

/// Serves the Redis protocol while this replica leads: only then the live objects are known.
fn serve_redis(operator: &Operator, context: &Context, port: RedisPort, changes: Changes) {
    let password = Password::default();
    watch_password(operator, &context.settings.control_plane, password.clone());
    let noted = changes.clone();
    context
        .roots
        .on_change(move |change| noted.note(&change.key));
    let control_plane = context.settings.control_plane.clone();
    let revoked = RevokedMap::new(&operator.client, &control_plane);
    let mut server = RedisServer {
        listen: port.listen,
        budget: operator.listeners.clone(),
        password,
        cache_version: port.cache_version,
        clock: operator.clock.clone(),
        live: Arc::new(ControllerAnswers::new(context.clone())),
        revoked: Vec::new(),
        keeper: Arc::new(revoked.clone()),
        tls: port.tls,
        stop: operator.shutdown.clone(),
    };
    let mut leader = operator.leader();
    operator.spawn("redis server", async move {
        if leader.wait_for(|leads| *leads).await.is_err() {
            return;
        }
        server.revoked = revoked.load().await;
        let bound = match server.bind().await {
            Ok(bound) => bound,
            Err(error) => {
                let error = error_chain(&error);
                tracing::error!(%error, "cannot serve the Redis protocol: check --redis-port and --redis-address");
                return;
            }
        };
        let publisher = bound.publisher();
        tokio::select! {
            () = bound.serve() => {}
            () = changes.publish(publisher, control_plane) => {}
        }
    });
}

fn watch_password(operator: &Operator, control_plane: &str, password: Password) {
    let api: Api<Guarded<Secret>> = Api::namespaced(operator.client.clone(), control_plane);
    let watch = Watch::new(api, Index::default(), |secret: Secret| {
        Some(read_password(secret.data.unwrap_or_default()))
    })
    .config(WatchConfig {
        labels: None,
        fields: Some(format!("metadata.name={REDIS_SECRET}")),
    })
    .on_change(move |change: Change<Option<secret::Secret>>| {
        let new = change.new.and_then(|new| new.as_ref().clone());
        if new.is_none() {
            tracing::warn!("no client of the Redis protocol is let in: Secret {REDIS_SECRET} has no member {REDIS_PASSWORD}");
        }
        *password.write() = new;
    });
    let ready = operator.readiness.register("redis password");
    operator.spawn("redis password", watch.ready(ready).run());
}

fn read_password(mut data: BTreeMap<String, ByteString>) -> Option<secret::Secret> {
    let value = data.remove(REDIS_PASSWORD)?;
    let text = String::from_utf8(value.0).ok()?;
    (!text.is_empty()).then(|| text.into())
}

/// Serves the repo-server protocol on every replica, once settings, projects and credentials are known.
fn serve_repositories(
    operator: &Operator,
    context: &Context,
    settings: RepoServerSettings,
    (credentials, config): (Credentials, HubConfig),
) {
    let server = RepoServer {
        settings,
        budget: operator.listeners.clone(),
        context: context.clone(),
        credentials,
        config,
        stop: operator.shutdown.clone(),
    };
    let readiness = operator.readiness.clone();
    operator.spawn("repo server", async move {
        readiness.wait().await;
        match server.bind().await {
            Ok(bound) => bound.serve().await,
            Err(error) => {
                let error = error_chain(&error);
                tracing::error!(%error, "cannot serve the repo-server protocol: check --repo-server-port and --repo-server-address");
            }
        }
    });
}
