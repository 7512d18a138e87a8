//! `events tail`: the events of a bus, as they come.

use std::io::Write;

use clap::Args;
use futures::TryStreamExt;
use jiff::Timestamp;

use super::{BusArgs, show};
use crate::bus::{From, STREAM};

/// Flags of `events tail`.
#[derive(Args, Clone, Debug)]
pub struct TailArgs {
    /// The bus.
    #[command(flatten)]
    pub bus: BusArgs,
    /// EventSource, or EventSource and event, to watch; all when absent.
    #[arg(value_name = "EVENTSOURCE[/EVENT]")]
    pub event: Option<String>,
    /// Begin with the events of so long ago, for example 10m; with the next one when absent.
    #[arg(long, value_name = "DURATION", value_parser = super::connection::span)]
    pub since: Option<jiff::SignedDuration>,
    /// End after so many events.
    #[arg(long, value_name = "COUNT")]
    pub limit: Option<usize>,
    /// Form of a line: text or json.
    #[arg(long, short = 'o', default_value = "text")]
    pub output: Output,
}

/// Form of a line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Output {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// Writes a line for each event, until `limit` or the end of the process.
pub async fn run(args: &TailArgs, now: Timestamp, out: &mut impl Write) -> anyhow::Result<bool> {
    let browser = args.bus.connect().await?;
    let from = args.since.map_or(From::Now, |span| {
        From::Time(now.checked_sub(span).unwrap_or(Timestamp::MIN))
    });
    let filter = match args
        .event
        .as_deref()
        .map(|event| event.split_once('/').unwrap_or((event, "*")))
    {
        None => format!("{STREAM}.*.*"),
        Some((source, name)) => format!("{STREAM}.{source}.{name}"),
    };
    let mut messages = browser.follow(STREAM, &filter, from).await?;
    let mut left = args.limit.unwrap_or(usize::MAX);
    while left > 0
        && let Some(message) = messages.try_next().await?
    {
        left -= 1;
        let line = match args.output {
            Output::Text => show::line(&message),
            Output::Json => show::json(&message),
        };
        writeln!(out, "{line}")?;
        out.flush()?;
    }
    Ok(true)
}
