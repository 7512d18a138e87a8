//! Memory of event sources: idle with a bus, and with many EventSources of one kind. Each kind gets a fresh process, so
//! that none of them lives on what another one left. Nothing is sent: what is measured is what waiting costs.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result};
use kube::ResourceExt as _;
use kube::api::{DeleteParams, ListParams};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::time::Instant;

use super::super::book::Measurement;
use super::super::load;
use super::super::subject::Subject;
use super::super::waiting::{Reached, Seen, statuses, until_all};
use super::stream::{self, Status, is_deployed};
use super::{Case, Outcome, Scenario, Session};
use crate::process::{Part, Program, until_ready};
use crate::stack::Which;

/// `EventSources` of each kind, when nothing else is asked for.
const COUNT: usize = 20;
/// Longest start of a server.
const START: Duration = Duration::from_secs(30);

/// The kinds, and the server that each of them needs.
const KINDS: [SourceKind; 8] = [
    SourceKind {
        case: "sources-webhook",
        key: "webhook",
        server: None,
    },
    SourceKind {
        case: "sources-github",
        key: "github",
        server: None,
    },
    SourceKind {
        case: "sources-calendar",
        key: "calendar",
        server: None,
    },
    SourceKind {
        case: "sources-resource",
        key: "resource",
        server: None,
    },
    SourceKind {
        case: "sources-nats",
        key: "nats",
        server: Some("nats-server"),
    },
    SourceKind {
        case: "sources-redis",
        key: "redis",
        server: Some("redis-server"),
    },
    SourceKind {
        case: "sources-redis-stream",
        key: "redisStream",
        server: Some("redis-server"),
    },
    SourceKind {
        case: "sources-mqtt",
        key: "mqtt",
        server: Some("mosquitto"),
    },
];

/// A kind of source.
struct SourceKind {
    /// Name of its case.
    case: &'static str,
    /// Its key below `spec`.
    key: &'static str,
    server: Option<&'static str>,
}

/// The servers that are on this machine, by their program: `HOST:PORT`.
struct Servers {
    addresses: BTreeMap<&'static str, String>,
    parts: Vec<Part>,
}

impl Servers {
    async fn start(session: &Session<'_>) -> Result<Self> {
        let nats = session
            .bed
            .nats()?
            .url
            .trim_start_matches("nats://")
            .to_owned();
        let mut servers = Self {
            addresses: BTreeMap::from([("nats-server", nats)]),
            parts: Vec::new(),
        };
        let port = |option: &str, number: u16| [option.to_owned(), number.to_string()];
        for (name, options) in [
            ("redis-server", &["--save", "", "--bind", "127.0.0.1"][..]),
            ("mosquitto", &[]),
        ] {
            let Some(path) = installed(name) else {
                tracing::warn!(
                    "no {name} on this machine: its kinds are left out (`make servers`)"
                );
                continue;
            };
            let number = session.bed.free_port()?;
            let option = if name == "mosquitto" { "-p" } else { "--port" };
            let program = Program::new(name, path)
                .args(options.iter().copied())
                .args(port(option, number));
            let part = session.bed.part(program)?;
            part.start().await?;
            let address = format!("127.0.0.1:{number}");
            let listens = || async { TcpStream::connect(&address).await.is_ok() };
            until_ready(&part, START, listens).await?;
            servers.addresses.insert(name, address);
            servers.parts.push(part);
        }
        Ok(servers)
    }
}

/// Where a program of the system is.
fn installed(name: &str) -> Option<PathBuf> {
    let folders = ["/usr/sbin", "/usr/bin", "/usr/local/sbin", "/usr/local/bin"];
    let mut paths = folders
        .iter()
        .map(|folder| PathBuf::from(folder).join(name));
    paths.find(|path| path.exists())
}

pub(super) async fn run(session: &Session<'_>) -> Result<Vec<Measurement>> {
    let servers = Servers::start(session).await?;
    let (subject, _) = session.subject(Scenario::Sources, vec![]).await?;
    let cluster = session.bed.cluster()?;
    let nats = &session.bed.nats()?.url;
    let namespace = Which::Events.namespace();
    for object in [stream::bus(nats)].into_iter().chain(rights(namespace)) {
        cluster.apply_one(namespace, &object).await?;
    }
    let mut measurements = Vec::new();
    for kind in &KINDS {
        let address = match kind.server {
            None => "",
            Some(server) => match servers.addresses.get(server) {
                Some(address) => address,
                None => continue,
            },
        };
        let measured = measure(session, &subject, kind, address).await;
        measurements.push(measured.with_context(|| kind.key)?);
    }
    Ok(measurements)
}

/// What `resource` needs to watch `ConfigMaps`.
fn rights(namespace: &str) -> [Value; 2] {
    let api = "rbac.authorization.k8s.io";
    let version = format!("{api}/v1");
    let metadata = json!({"name": "watcher", "namespace": namespace});
    [
        json!({
            "apiVersion": version, "kind": "Role", "metadata": metadata,
            "rules": [{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["list", "watch"]}],
        }),
        json!({
            "apiVersion": version, "kind": "RoleBinding", "metadata": metadata,
            "roleRef": {"apiGroup": api, "kind": "Role", "name": "watcher"},
            "subjects": [{"kind": "ServiceAccount", "name": "default", "namespace": namespace}],
        }),
    ]
}

async fn measure(
    session: &Session<'_>,
    subject: &Subject,
    kind: &SourceKind,
    address: &str,
) -> Result<Measurement> {
    let count = session.plan.count.unwrap_or(COUNT);
    let namespace = Which::Events.namespace();
    let cluster = session.bed.cluster()?;
    let api = cluster
        .api("argoproj.io/v1alpha1", "EventSource", namespace)
        .await?;
    subject.kill_and_start().await?;
    subject.until_ready().await?;
    let idle = subject.settled().await?.memory;
    let case = Case {
        id: kind.case,
        title: kind.key.to_owned(),
        objects: count,
        own_requests: count,
    };
    let load = async {
        let mut sources = Vec::new();
        for index in 0..count {
            let port = session.bed.free_port()?;
            let entry = json!({"bench": entry(kind.key, address, index, port)});
            let name = format!("{}-{index:03}", kind.case);
            sources.push(stream::object(
                "EventSource",
                &name,
                &json!({ kind.key: entry }),
            ));
        }
        let start = Instant::now();
        let sent = load::create(&api, sources).await?;
        let reached = deployed(session, subject, kind, count, start).await?;
        Ok(Outcome::of(&reached, &sent, start))
    };
    let measured = session.case(subject, idle, case, load).await?;
    api.delete_collection(&DeleteParams::default(), &ListParams::default())
        .await?;
    Ok(measured)
}

async fn deployed(
    session: &Session<'_>,
    subject: &Subject,
    kind: &SourceKind,
    count: usize,
    start: Instant,
) -> Result<Reached> {
    let client = session.bed.client()?;
    let namespace = Which::Events.namespace();
    let api = statuses::<Status>(client, namespace, "EventSource", "eventsources");
    let reached =
        |source: &Seen<Status>| source.name_any().starts_with(kind.case) && is_deployed(source);
    until_all(api, count, start, session.plan.deadline, subject, reached).await
}

/// One event of a kind.
fn entry(key: &str, address: &str, index: usize, port: u16) -> Value {
    let endpoint = stream::endpoint(port, "bench");
    match key {
        "webhook" => endpoint,
        "github" => json!({
            "webhook": endpoint, "events": ["push"],
            "repositories": [{"owner": "shop", "names": ["bench"]}],
        }),
        "calendar" => json!({"interval": "1h"}),
        "resource" => json!({
            "namespace": Which::Events.namespace(), "group": "", "version": "v1",
            "resource": "configmaps", "eventTypes": ["ADD"],
        }),
        "nats" => json!({"url": format!("nats://{address}"), "subject": format!("bench.{index}")}),
        "redis" => json!({"hostAddress": address, "channels": [format!("bench-{index}")]}),
        "redisStream" => json!({"hostAddress": address, "streams": [format!("bench-{index}")]}),
        _ => json!({
            "url": format!("tcp://{address}"), "topic": format!("bench/{index}"),
            "clientId": format!("bench-{index}"),
        }),
    }
}
