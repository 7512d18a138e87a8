//! `events dlq`: what could not be acted on, and another try.

use std::io::Write;

use anyhow::bail;
use async_nats::HeaderMap;
use clap::{Args, Subcommand};
use serde_json::json;

use super::{BusArgs, show, tail::Output};
use crate::{
    bus::{
        Browser, BusError, DEAD_LETTERS, From, Message, NAMESPACE, ONLY_FOR, dead_letter_subject,
    },
    event::{CloudEvent, subject},
};

/// Flags of `events dlq`.
#[derive(Args, Clone, Debug)]
pub struct DlqArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: DlqCommand,
}

/// What can be done about dead letters.
#[derive(Clone, Debug, Subcommand)]
pub enum DlqCommand {
    /// Show dead letters.
    List(ListArgs),
    /// Give events of dead letters to the triggers that failed, and delete the letters.
    Replay(ReplayArgs),
}

/// Which dead letters.
#[derive(Args, Clone, Debug)]
pub struct Selection {
    /// The bus.
    #[command(flatten)]
    pub bus: BusArgs,
    /// Of this Sensor of the namespace only.
    #[arg(long, value_name = "NAME")]
    pub sensor: Option<String>,
    /// Of this trigger of the Sensor only.
    #[arg(long, value_name = "NAME", requires = "sensor")]
    pub trigger: Option<String>,
}

/// Flags of `events dlq list`.
#[derive(Args, Clone, Debug)]
pub struct ListArgs {
    /// Which.
    #[command(flatten)]
    pub selection: Selection,
    /// Form of a line: text or json.
    #[arg(long, short = 'o', default_value = "text")]
    pub output: Output,
}

/// Flags of `events dlq replay`.
#[derive(Args, Clone, Debug)]
pub struct ReplayArgs {
    /// Which.
    #[command(flatten)]
    pub selection: Selection,
    /// Numbers of letters, as `list` shows them.
    #[arg(value_name = "NUMBER")]
    pub letters: Vec<u64>,
    /// All letters of the namespace, or of --sensor and --trigger.
    #[arg(long, conflicts_with = "letters")]
    pub all: bool,
    /// Do not delete the letters.
    #[arg(long)]
    pub keep: bool,
}

/// Carries out the command. False when a letter could not be replayed.
pub async fn run(args: &DlqArgs, out: &mut impl Write) -> anyhow::Result<bool> {
    match &args.command {
        DlqCommand::List(args) => list(args, out).await,
        DlqCommand::Replay(args) => replay(args, out).await,
    }
}

impl Selection {
    async fn letters(&self, browser: &Browser) -> Result<Vec<Message>, BusError> {
        let owner = LetterOwner {
            namespace: &self.bus.namespace,
            sensor: self.sensor.as_deref(),
            trigger: self.trigger.as_deref(),
        };
        letters(browser, &owner, From::Beginning).await
    }
}

/// Whose letters: those of a namespace, of one of its Sensors, or of one trigger.
pub(super) struct LetterOwner<'o> {
    pub(super) namespace: &'o str,
    pub(super) sensor: Option<&'o str>,
    /// Of the Sensor.
    pub(super) trigger: Option<&'o str>,
}

/// The letters of an owner, oldest first.
pub(super) async fn letters(
    browser: &Browser,
    whose: &LetterOwner<'_>,
    from: From,
) -> Result<Vec<Message>, BusError> {
    let filter = match (whose.sensor, whose.trigger) {
        (Some(sensor), Some(trigger)) => dead_letter_subject(sensor, trigger),
        (Some(sensor), None) => {
            let subject = dead_letter_subject(sensor, "x");
            format!("{}*", subject.trim_end_matches('x'))
        }
        (None, _) => format!("{DEAD_LETTERS}.>"),
    };
    let mut found = browser.read(DEAD_LETTERS, &filter, from).await?;
    // Subjects have no namespace, and names that they cannot hold are changed.
    found.retain(|letter| {
        let (namespace, sensor) = owner(letter);
        namespace == whose.namespace
            && whose.sensor.is_none_or(|name| name == sensor)
            && whose
                .trigger
                .is_none_or(|name| letter.header("Trigger") == Some(name))
    });
    Ok(found)
}

/// Namespace and name of the Sensor.
fn owner(letter: &Message) -> (&str, &str) {
    let sensor = letter.header("Sensor").unwrap_or_default();
    sensor.split_once('/').unwrap_or(("", sensor))
}

async fn list(args: &ListArgs, out: &mut impl Write) -> anyhow::Result<bool> {
    let browser = args.selection.bus.connect().await?;
    for letter in args.selection.letters(&browser).await? {
        let header = |name: &str| letter.header(name).unwrap_or_default();
        let events: Vec<String> = show::events(&letter.body)
            .iter()
            .filter_map(|(_, event)| CloudEvent::decode(event.to_string().as_bytes()).ok())
            .map(|event| format!("{}/{} {}", event.source, event.subject, event.id))
            .collect();
        match args.output {
            Output::Json => {
                let shown = json!({
                    "letter": letter.sequence,
                    "stored": letter.stored.to_string(),
                    "sensor": header("Sensor"),
                    "trigger": header("Trigger"),
                    "tries": header("Tries"),
                    "reason": header("Reason"),
                    "events": events,
                });
                writeln!(out, "{shown}")?;
            }
            Output::Text => writeln!(
                out,
                "{:>6} {} {} {} [{}] after {} tries: {}",
                letter.sequence,
                show::seconds(letter.stored),
                header("Sensor"),
                header("Trigger"),
                events.join(", "),
                header("Tries"),
                header("Reason"),
            )?,
        }
    }
    Ok(true)
}

async fn replay(args: &ReplayArgs, out: &mut impl Write) -> anyhow::Result<bool> {
    if args.letters.is_empty() && !args.all {
        bail!("name letters by their numbers, or use --all");
    }
    let browser = args.selection.bus.connect().await?;
    let mut found = args.selection.letters(&browser).await?;
    if !args.all {
        found.retain(|letter| args.letters.contains(&letter.sequence));
        let has = |number: &&u64| found.iter().any(|letter| letter.sequence == **number);
        let missing = args.letters.iter().find(|number| !has(number));
        if let Some(number) = missing {
            let namespace = &args.selection.bus.namespace;
            bail!("there is no letter {number} in namespace {namespace}");
        }
    }
    let mut good = true;
    for letter in found {
        match replay_letter(&browser, &letter).await {
            Ok(messages) => {
                if !args.keep {
                    browser.delete(DEAD_LETTERS, letter.sequence).await?;
                }
                writeln!(
                    out,
                    "letter {}: replayed as {}",
                    letter.sequence,
                    messages.join(", ")
                )?;
            }
            Err(error) => {
                good = false;
                writeln!(out, "letter {}: {error:#}", letter.sequence)?;
            }
        }
    }
    Ok(good)
}

/// Publishes the events of a letter again, for its trigger only.
async fn replay_letter(browser: &Browser, letter: &Message) -> anyhow::Result<Vec<String>> {
    if letter.header("Payload").is_some() {
        bail!("its events were left out, because they were too large for a letter");
    }
    let events = show::events(&letter.body);
    if events.is_empty() {
        bail!("it holds no event, only a message that is none");
    }
    let (Some(sensor), Some(trigger)) = (letter.header("Sensor"), letter.header("Trigger")) else {
        bail!("it does not say which trigger failed");
    };
    let mut published = Vec::new();
    for (dependency, event) in events {
        let event = CloudEvent::decode(event.to_string().as_bytes())?;
        let mut headers = HeaderMap::new();
        headers.insert(ONLY_FOR, format!("{sensor}/{trigger}").as_str());
        headers.insert(NAMESPACE, owner(letter).0);
        // Another id than that of the event, which the bus may remember; the same for each replay of a letter, so
        // that a second one within its window does nothing.
        let id = format!("{}-replay-{}-{dependency}", event.id, letter.sequence);
        let subject = subject(&event.source, &event.subject);
        let sequence = browser
            .publish(&subject, &id, headers, event.encode())
            .await?;
        published.push(format!(
            "message {sequence} ({}/{})",
            event.source, event.subject
        ));
    }
    Ok(published)
}
