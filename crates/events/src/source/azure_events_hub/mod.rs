//! `azureEventsHub`: events of all partitions of a hub, read over AMQP 1.0. How far each partition was read is kept on the
//! bus, because the service keeps it for nobody.

mod follow;
mod hub;

use std::{collections::BTreeMap, sync::Arc};

use futures::{FutureExt, future::BoxFuture};
use reconcile_core::{object::FieldError, secret::Secret};
use reqwest::Url;
use serde::{Deserialize, Serialize};

use super::{
    body::Body,
    kind::{Input, Source, SourceContext, SourceError, SourceKind},
    server::{ServerTls, TcpServer},
};
use crate::{api::KeySelector, azure::Namespace, http_client::address};

/// The kind.
pub(super) const KIND: SourceKind = SourceKind {
    key: "azureEventsHub",
    check: |input| Ok(Arc::new(check(input)?)),
};

/// Port of the service, and that of its emulator, which has no TLS.
const PORT: u16 = 5671;
const EMULATOR_PORT: u16 = 5672;
/// What stands behind the host of an emulator, as in Azure's connection strings.
const EMULATOR: &str = ";UseDevelopmentEmulator=true";

const KEY_NAME: &str = "sharedAccessKeyName";
const KEY: &str = "sharedAccessKey";

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Config {
    fqdn: String,
    hub_name: String,
    shared_access_key_name: Option<KeySelector>,
    shared_access_key: Option<KeySelector>,
}

#[derive(Debug)]
struct Hub {
    server: TcpServer,
    /// The host as tokens name it.
    host: String,
    name: String,
    secrets: Vec<(&'static str, KeySelector)>,
}

fn check(input: &Input<'_>) -> Result<Hub, FieldError> {
    let config: Config = input.decode()?;
    let (host, emulator) = match config.fqdn.strip_suffix(EMULATOR) {
        Some(host) => (host, true),
        None => (config.fqdn.as_str(), false),
    };
    let url = address(host, true).filter(|_| !host.is_empty());
    let wrong = || input.wrong("fqdn", format!("{host:?} is not a host"));
    let url: Url = url.ok_or_else(wrong)?;
    let (port, tls) = if emulator {
        (EMULATOR_PORT, None)
    } else {
        (PORT, Some(ServerTls::trusting(None)))
    };
    let name = config.hub_name;
    let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    if name.is_empty() || name.len() > 256 || !name.chars().all(good) {
        let message = format!("{name:?} is not a name of a hub");
        return Err(input.wrong("hubName", message));
    }
    let needed = |field: &'static str, selector: Option<KeySelector>| {
        let selector = selector.ok_or_else(|| input.wrong(field, "must be set"))?;
        Ok::<_, FieldError>((field, selector))
    };
    Ok(Hub {
        server: TcpServer::check(input, ("fqdn", host), port, tls)?,
        host: url.host_str().unwrap_or_default().to_owned(),
        name,
        secrets: vec![
            needed(KEY_NAME, config.shared_access_key_name)?,
            needed(KEY, config.shared_access_key)?,
        ],
    })
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Payload<'p> {
    id: &'p str,
    partition_key: &'p str,
    body: Body<'p>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    metadata: &'p BTreeMap<String, String>,
}

impl Source for Hub {
    fn secrets(&self) -> Vec<(&'static str, KeySelector)> {
        self.secrets.clone()
    }

    fn run<'s>(&'s self, context: &'s SourceContext) -> BoxFuture<'s, Result<(), SourceError>> {
        self.follow(context).boxed()
    }
}

impl Hub {
    /// What tokens are made of.
    fn namespace(&self, context: &SourceContext) -> Result<Namespace, SourceError> {
        let text = |field: &str| context.secret(field).map_or("", Secret::expose).trim();
        let address = Url::parse(&format!("sb://{}/", self.host));
        Ok(Namespace {
            address: address.map_err(|error| self.server.failed(&error))?,
            key_name: text(KEY_NAME).to_owned(),
            key: text(KEY).to_owned().into(),
        })
    }
}
