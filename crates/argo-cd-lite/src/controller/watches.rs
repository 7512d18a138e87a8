//! Watches beside that of the Applications: projects, credentials, settings.

use std::collections::BTreeMap;

use k8s_openapi::{
    ByteString,
    api::core::v1::{ConfigMap, Secret},
};
use kube::Api;
use reconcile_core::{
    object::{Kind, Root},
    operator::Operator,
    reconcile::Queue,
    secret,
    watch::{Change, Guarded, Index, Watch, WatchConfig},
};

use crate::{
    api::{AppProject, Application},
    app::{Context, KnownProject, destination_of},
    clusters::ClusterSecret,
    repo::{Credentials, PollTimes, RepositorySecret, Signatures, Trust},
    server::WebhookSecrets,
    settings::{ArgoSettings, SETTINGS_MAP},
};

/// The Secret that holds the webhook secrets.
const SETTINGS_SECRET: &str = "argocd-secret";
/// The ConfigMap with certificates by server name.
const CERTIFICATES: &str = "argocd-tls-certs-cm";
/// ConfigMap with the armored public keys of those who sign commits.
const SIGNATURE_KEYS: &str = "argocd-gpg-keys-cm";
/// ConfigMap with the host keys of servers that are reached over ssh.
const KNOWN_HOSTS: &str = "argocd-ssh-known-hosts-cm";
/// Its member, in the format of OpenSSH.
const KNOWN_HOSTS_KEY: &str = "ssh_known_hosts";

pub(super) fn watch_projects(
    operator: &Operator,
    context: &Context,
    roots: &Index<Root<Application>>,
    queue: &Queue,
) {
    let api: Api<Guarded<Root<AppProject>>> =
        Api::namespaced(operator.client.clone(), &context.settings.control_plane);
    let (roots, queue) = (roots.clone(), queue.clone());
    let read = |root: Root<AppProject>| Some(KnownProject::read(&root));
    let watch = Watch::named(AppProject::PLURAL, api, context.projects.clone(), read).on_change(
        move |change: Change<KnownProject>| {
            let name = change.key.name;
            roots.each(|key, root| {
                if root
                    .parse_spec()
                    .is_ok_and(|spec| spec.project_name() == name)
                {
                    queue.add(key.clone());
                }
            });
        },
    );
    let ready = operator.readiness.register("projects");
    operator.spawn("projects", watch.ready(ready).run());
}

pub(super) fn watch_secrets(
    operator: &Operator,
    control_plane: &str,
    credentials: Credentials,
    secrets: WebhookSecrets,
) {
    let api: Api<Guarded<Secret>> = Api::namespaced(operator.client.clone(), control_plane);
    // The values go to where they are used; the index only detects changes.
    let repositories: Index<Option<RepositorySecret>> = Index::default();
    let watch = Watch::new(api.clone(), repositories, |secret: Secret| {
        let labels = secret.metadata.labels.unwrap_or_default();
        Some(RepositorySecret::read(
            &labels,
            &secret.data.unwrap_or_default(),
        ))
    })
    .config(WatchConfig {
        labels: Some("argocd.argoproj.io/secret-type in (repository, repo-creds)".to_owned()),
        fields: None,
    })
    .on_change(move |change| {
        let secret = change.new.and_then(|secret| secret.as_ref().clone());
        credentials.set(&change.key.name, secret);
    });
    operator.spawn(
        "repository secrets",
        watch
            .ready(operator.readiness.register("repository secrets"))
            .run(),
    );
    let settings = Watch::new(api, Index::default(), |secret: Secret| {
        Some(webhook_secrets(secret.data.unwrap_or_default()))
    })
    .config(WatchConfig {
        labels: None,
        fields: Some(format!("metadata.name={SETTINGS_SECRET}")),
    })
    .on_change(move |change| {
        *secrets.write() = change
            .new
            .map(|secrets| secrets.as_ref().clone())
            .unwrap_or_default();
    });
    operator.spawn(
        "settings",
        settings
            .ready(operator.readiness.register("settings"))
            .run(),
    );
}

/// Keeps the clusters of Secrets. The Applications that name one are reconciled again when it changes.
pub(super) fn watch_clusters(
    operator: &Operator,
    context: &Context,
    roots: &Index<Root<Application>>,
    queue: &Queue,
) {
    let api: Api<Guarded<Secret>> =
        Api::namespaced(operator.client.clone(), &context.settings.control_plane);
    let (clusters, roots, queue) = (context.clusters.clone(), roots.clone(), queue.clone());
    let watch = Watch::new(api, Index::default(), |secret: Secret| {
        let annotations = secret.metadata.annotations.unwrap_or_default();
        Some(ClusterSecret::read(
            &secret.data.unwrap_or_default(),
            &annotations,
        ))
    })
    .config(WatchConfig {
        labels: Some("argocd.argoproj.io/secret-type=cluster".to_owned()),
        fields: None,
    })
    .on_change(move |change: Change<ClusterSecret>| {
        let name = &change.key.name;
        if let Some(Err(error)) = change.new.as_ref().map(|secret| &secret.spec) {
            tracing::warn!(secret = name, %error, "cluster Secret cannot be used");
        }
        let concerns = clusters.set_secret(name, change.new);
        roots.each(|key, root| {
            if concerns(&destination_of(root)) {
                queue.add(key.clone());
            }
        });
    });
    let ready = operator.readiness.register("cluster secrets");
    operator.spawn("cluster secrets", watch.ready(ready).run());
}

/// The keys of the Secret that webhooks use; nothing else of it stays in memory.
fn webhook_secrets(data: BTreeMap<String, ByteString>) -> BTreeMap<String, secret::Secret> {
    data.into_iter()
        .filter(|(key, _)| key.starts_with("webhook."))
        .map(|(key, value)| (key, String::from_utf8_lossy(&value.0).trim().into()))
        .collect()
}

/// Keeps the settings of upstream's ConfigMap in force. Every Application is reconciled again when they change.
pub(super) fn watch_settings(
    operator: &Operator,
    context: &Context,
    roots: &Index<Root<Application>>,
    queue: &Queue,
) {
    let api: Api<Guarded<ConfigMap>> =
        Api::namespaced(operator.client.clone(), &context.settings.control_plane);
    let watch = Watch::new(api, Index::default(), |map: ConfigMap| {
        Some(map.data.unwrap_or_default())
    })
    .config(WatchConfig {
        labels: None,
        fields: Some(format!("metadata.name={SETTINGS_MAP}")),
    });
    let (argo, roots, queue) = (context.argo.clone(), roots.clone(), queue.clone());
    let clusters = context.clusters.clone();
    let (repos, flags) = (context.repos.clone(), context.repos.poll_times());
    let watch = watch.on_change(move |change: Change<BTreeMap<String, String>>| {
        let (settings, problems) = match &change.new {
            Some(data) => ArgoSettings::parse(data),
            None => (ArgoSettings::default(), Vec::new()),
        };
        for problem in problems {
            tracing::warn!("{problem}");
        }
        if !settings.unsupported.is_empty() {
            let keys = settings.unsupported.join(", ");
            tracing::warn!(keys, "settings in {SETTINGS_MAP} have no effect");
        }
        repos.set_poll_times(PollTimes {
            poll: settings.reconciliation.unwrap_or(flags.poll),
            jitter: settings.reconciliation_jitter.unwrap_or(flags.jitter),
        });
        clusters.set_in_cluster(settings.in_cluster);
        if argo.replace(settings) {
            roots.each(|key, _| queue.add(key.clone()));
        }
    });
    let ready = operator.readiness.register("settings map");
    operator.spawn("settings map", watch.ready(ready).run());
}

/// Keeps the certificates that servers of repositories are checked with.
pub(super) fn watch_certificates(operator: &Operator, control_plane: &str, trust: Trust) {
    watch_map(
        operator,
        control_plane,
        CERTIFICATES,
        "certificates",
        move |map| {
            trust.set_certificates(map.cloned().unwrap_or_default());
        },
    );
}

/// Keeps the host keys that servers of repositories are checked with over ssh.
pub(super) fn watch_known_hosts(operator: &Operator, control_plane: &str, trust: Trust) {
    watch_map(
        operator,
        control_plane,
        KNOWN_HOSTS,
        "known hosts",
        move |map| {
            let hosts = map.and_then(|map| map.get(KNOWN_HOSTS_KEY));
            trust.set_known_hosts(hosts.map(String::as_str));
        },
    );
}

/// Keeps the keys that commits are signed with.
pub(super) fn watch_signature_keys(
    operator: &Operator,
    control_plane: &str,
    signatures: Signatures,
) {
    watch_map(
        operator,
        control_plane,
        SIGNATURE_KEYS,
        "signature keys",
        move |map| signatures.set_keys(map),
    );
}

/// Gives the data of a ConfigMap to `take`, also when it changes; `None` without one.
fn watch_map(
    operator: &Operator,
    control_plane: &str,
    map: &str,
    title: &'static str,
    take: impl Fn(Option<&BTreeMap<String, String>>) + Send + Sync + 'static,
) {
    let api: Api<Guarded<ConfigMap>> = Api::namespaced(operator.client.clone(), control_plane);
    let watch = Watch::new(api, Index::default(), |map: ConfigMap| {
        Some(map.data.unwrap_or_default())
    })
    .config(WatchConfig {
        labels: None,
        fields: Some(format!("metadata.name={map}")),
    })
    .on_change(move |change: Change<BTreeMap<String, String>>| take(change.new.as_deref()));
    let ready = operator.readiness.register(title);
    operator.spawn(title, watch.ready(ready).run());
}
