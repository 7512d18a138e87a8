//! `events publish`: puts an event on the bus, as a source would.

use std::{
    fs,
    io::{Read, Write},
    path::PathBuf,
};

use anyhow::{Context as _, bail};
use async_nats::HeaderMap;
use clap::Args;
use jiff::Timestamp;

use super::BusArgs;
use crate::{
    bus::{NAMESPACE, is_token},
    event::{CloudEvent, subject},
};

/// Flags of `events publish`.
#[derive(Args, Clone, Debug)]
pub struct PublishArgs {
    /// The bus.
    #[command(flatten)]
    pub bus: BusArgs,
    /// EventSource and event that it stands for.
    #[arg(value_name = "EVENTSOURCE/EVENT")]
    pub event: String,
    /// The payload, JSON.
    #[arg(long, short = 'd', value_name = "JSON", conflicts_with = "file")]
    pub data: Option<String>,
    /// File with the payload; `-` reads standard input.
    #[arg(long, short = 'f', value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// Type of the event.
    #[arg(long = "type", default_value = "webhook")]
    pub type_: String,
    /// Id of the event, which the bus stores once within its window for duplicates; a new one when absent.
    #[arg(long)]
    pub id: Option<String>,
}

/// Publishes, and writes the id and the sequence.
pub async fn run(args: &PublishArgs, now: Timestamp, out: &mut impl Write) -> anyhow::Result<bool> {
    let Some((source, name)) = args.event.split_once('/') else {
        bail!("{:?} is not EVENTSOURCE/EVENT", args.event);
    };
    if !is_token(source) || !is_token(name) || name.contains('/') {
        bail!(
            "{:?}: names on the bus have no dots, spaces or slashes",
            args.event
        );
    }
    let data = payload(args)?;
    serde_json::from_slice::<&serde_json::value::RawValue>(&data)
        .context("the payload is not JSON")?;
    let id = args.id.clone();
    let id = id.unwrap_or_else(|| uuid::Uuid::new_v4().simple().to_string());
    let event = CloudEvent::new(id, source, &args.type_, name, now, data.into());
    let mut headers = HeaderMap::new();
    headers.insert(NAMESPACE, args.bus.namespace.as_str());
    let browser = args.bus.connect().await?;
    let sequence = browser
        .publish(&subject(source, name), &event.id, headers, event.encode())
        .await?;
    writeln!(
        out,
        "{source}/{name} {} stored as message {sequence}",
        event.id
    )?;
    Ok(true)
}

fn payload(args: &PublishArgs) -> anyhow::Result<Vec<u8>> {
    match (&args.data, &args.file) {
        (Some(text), _) => Ok(text.clone().into_bytes()),
        (None, Some(file)) if file.as_os_str() == "-" => {
            let mut text = Vec::new();
            std::io::stdin().read_to_end(&mut text)?;
            Ok(text)
        }
        (None, Some(file)) => fs::read(file).with_context(|| file.display().to_string()),
        (None, None) => bail!("give the payload with --data or --file"),
    }
}
