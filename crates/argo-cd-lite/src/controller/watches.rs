//! Watches beside that of the Applications: projects, credentials, settings.

use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::Api;
use reconcile_core::{
    object::{Kind, Root},
    operator::Operator,
    reconcile::Queue,
    watch::{Change, Guarded, Index, Watch, WatchConfig},
};

use crate::{
    api::{AppProject, Application},
    app::Context,
    repo::{Credentials, RepositorySecret},
    server::WebhookSecrets,
};

/// The ConfigMap that holds upstream's settings.
const SETTINGS_MAP: &str = "argocd-cm";
/// The Secret that holds the webhook secrets.
const SETTINGS_SECRET: &str = "argocd-secret";

pub(super) fn watch_projects(
    operator: &Operator,
    context: &Context,
    roots: &Index<Root<Application>>,
    queue: &Queue,
) {
    let api: Api<Guarded<Root<AppProject>>> =
        Api::namespaced(operator.client.clone(), &context.settings.control_plane);
    let (roots, queue) = (roots.clone(), queue.clone());
    let watch = Watch::named(AppProject::PLURAL, api, context.projects.clone(), Some).on_change(
        move |change: Change<Root<AppProject>>| {
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
        Some(secret.data.unwrap_or_default())
    })
    .config(WatchConfig {
        labels: None,
        fields: Some(format!("metadata.name={SETTINGS_SECRET}")),
    })
    .on_change(move |change| {
        let data = change
            .new
            .map(|data| data.as_ref().clone())
            .unwrap_or_default();
        let text =
            |bytes: k8s_openapi::ByteString| String::from_utf8_lossy(&bytes.0).trim().to_owned();
        *secrets.write() = data
            .into_iter()
            .filter(|(key, _)| key.starts_with("webhook."))
            .map(|(key, value)| (key, text(value)))
            .collect();
    });
    operator.spawn(
        "settings",
        settings
            .ready(operator.readiness.register("settings"))
            .run(),
    );
}

/// Logs which settings of upstream's ConfigMap have no effect here.
pub(super) fn watch_settings(operator: &Operator, control_plane: &str) {
    let api: Api<Guarded<ConfigMap>> = Api::namespaced(operator.client.clone(), control_plane);
    let watch = Watch::new(api, Index::default(), |map: ConfigMap| {
        Some(
            map.data
                .unwrap_or_default()
                .into_keys()
                .collect::<Vec<String>>(),
        )
    })
    .config(WatchConfig {
        labels: None,
        fields: Some(format!("metadata.name={SETTINGS_MAP}")),
    })
    .on_change(|change| {
        let keys = change.new.map(|keys| keys.join(", ")).unwrap_or_default();
        if !keys.is_empty() {
            tracing::warn!(
                keys,
                "settings in {SETTINGS_MAP} are not supported yet and have no effect"
            );
        }
    });
    operator.spawn("settings map", watch.run());
}
