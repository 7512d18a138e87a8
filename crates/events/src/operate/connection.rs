//! Which bus a command speaks to.

use std::{fs, path::PathBuf};

use anyhow::{Context as _, bail};
use clap::Args;
use kube::{Api, Client, api::DynamicObject};
use reconcile_core::{
    apply::resource_of,
    args::KubeArgs,
    egress::EgressPolicy,
    kube_types::GoDuration,
    object::Kind,
    operator::{install_tls, kube_config},
};
use serde_json::Value;

use crate::{
    api::{DEFAULT_BUS, EventBus, decode},
    bus::{Browser, BusConfig, ServerUrl, StreamSettings},
    controller::eventbus::{
        credentials,
        validate::{self, CheckedBus},
    },
    tls::TlsSettings,
    trigger::secrets::Secrets,
};

/// The bus of a command.
#[derive(Args, Clone, Debug, Default)]
pub struct BusArgs {
    /// Connection to the API server.
    #[command(flatten)]
    pub kube: KubeArgs,
    /// Namespace of the EventBus, and of what uses it.
    #[arg(long, short = 'n', default_value = "default")]
    pub namespace: String,
    /// Name of the EventBus; the one named default when absent.
    #[arg(long = "eventbus", value_name = "NAME")]
    pub bus: Option<String>,
    /// URL of the NATS server, for example of a forwarded port. Credentials are still those of the EventBus, unless
    /// --credentials is given.
    #[arg(long, env = "EVENTS_SERVER", value_name = "URL")]
    pub server: Option<String>,
    /// File with the credentials, in the form of an accessSecret. With --server, no EventBus is read; an empty file
    /// stands for a server without authentication.
    #[arg(long, env = "EVENTS_CREDENTIALS", value_name = "FILE")]
    pub credentials: Option<PathBuf>,
    /// File with the certificate authority of the server, PEM.
    #[arg(long, value_name = "FILE")]
    pub ca: Option<PathBuf>,
    /// Accept any certificate of the server.
    #[arg(long)]
    pub insecure_skip_verify: bool,
}

impl BusArgs {
    /// Connects.
    pub async fn connect(&self) -> anyhow::Result<Browser> {
        install_tls();
        let config = self.config().await?;
        let urls = config.urls.join(",");
        let browser = Browser::connect(&config).await;
        browser.with_context(|| format!("bus at {urls}"))
    }

    /// The client of the cluster.
    pub async fn client(&self) -> anyhow::Result<Client> {
        install_tls();
        Ok(Client::try_from(kube_config(&self.kube).await?)?)
    }

    async fn config(&self) -> anyhow::Result<BusConfig> {
        let credentials = text_of("--credentials", self.credentials.as_ref())?;
        let mut config = match (&self.server, credentials) {
            (Some(server), Some(text)) => config_of(server, &text)?,
            (server, text) => {
                let mut config = self.config_of_cluster().await?;
                if let Some(server) = server {
                    config.urls = urls(servers(server)?);
                }
                if let Some(text) = text {
                    config.auth = validate::auth(&text);
                }
                config
            }
        };
        if self.ca.is_some() || self.insecure_skip_verify {
            let tls = config.tls.get_or_insert_default();
            if let Some(ca) = text_of("--ca", self.ca.as_ref())? {
                tls.ca = Some(ca);
            }
            tls.insecure |= self.insecure_skip_verify;
        }
        Ok(config)
    }

    async fn config_of_cluster(&self) -> anyhow::Result<BusConfig> {
        let name = self.bus.as_deref().unwrap_or(DEFAULT_BUS);
        let at = format!("EventBus {}/{name}", self.namespace);
        let client = self.client().await.with_context(|| {
            format!(
                "cannot reach the cluster that holds {at}; --server with --credentials needs none"
            )
        })?;
        let object = read::<EventBus>(&client, &self.namespace, name).await?;
        let spec = checked(&object.data).with_context(|| at.clone())?;
        let secrets = Secrets::new(client);
        match credentials(
            &secrets,
            EgressPolicy::AllowLinkLocal,
            &self.namespace,
            &spec,
        )
        .await
        {
            Ok(config) => Ok(config),
            Err(error) => Err(error).context(at),
        }
    }
}

/// How to connect. What the controller deploys is in the status.
fn checked(bus: &Value) -> anyhow::Result<CheckedBus> {
    let exotic = &bus["spec"]["jetstreamExotic"];
    let config = if exotic.is_object() {
        exotic
    } else {
        &bus["status"]["config"]["jetstream"]
    };
    if !config.is_object() {
        bail!("the controller has not deployed a bus: status.config is empty");
    }
    Ok(validate::check_exotic(decode("spec", config)?)?)
}

/// An object of the cluster.
pub(super) async fn read<K: Kind>(
    client: &Client,
    namespace: &str,
    name: &str,
) -> anyhow::Result<DynamicObject> {
    let gvk = kube::core::GroupVersionKind::gvk(K::GROUP, K::VERSION, K::KIND);
    let resource = resource_of(&gvk, K::PLURAL);
    let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), namespace, &resource);
    let object = api.get(name).await;
    let mut object = object.with_context(|| format!("{} {namespace}/{name}", K::KIND))?;
    if object.data.get("spec").is_none() {
        object.data["spec"] = Value::Object(serde_json::Map::new());
    }
    Ok(object)
}

/// The text of the file that a flag names.
fn text_of(flag: &str, file: Option<&PathBuf>) -> anyhow::Result<Option<String>> {
    let text = file
        .map(|file| fs::read_to_string(file).with_context(|| format!("{flag} {}", file.display())));
    text.transpose()
}

fn urls(servers: Vec<ServerUrl>) -> Vec<String> {
    servers.into_iter().map(|server| server.url).collect()
}

fn servers(text: &str) -> anyhow::Result<Vec<ServerUrl>> {
    let servers = text.split(',').map(str::trim).filter(|url| !url.is_empty());
    let servers: Result<Vec<_>, String> = servers.map(ServerUrl::parse).collect();
    match servers {
        Ok(servers) if servers.is_empty() => bail!("--server: must not be empty"),
        Ok(servers) => Ok(servers),
        Err(reason) => bail!("--server: {reason}"),
    }
}

/// Settings without a cluster. Credentials may also stand in the URL.
fn config_of(server: &str, credentials: &str) -> anyhow::Result<BusConfig> {
    let servers = servers(server)?;
    let auth = if credentials.trim().is_empty() {
        servers[0].auth.clone()
    } else {
        validate::auth(credentials)
    };
    Ok(BusConfig {
        urls: urls(servers),
        auth,
        tls: None::<TlsSettings>,
        stream: StreamSettings::default(),
        // Whoever types a command may call what the command line names.
        egress: EgressPolicy::AllowLinkLocal,
    })
}

/// A Go duration of a flag.
pub(super) fn span(text: &str) -> Result<jiff::SignedDuration, String> {
    let span: GoDuration = text.parse().map_err(|error| format!("{error}"))?;
    Ok(jiff::SignedDuration::from_nanos(span.as_nanos()))
}
