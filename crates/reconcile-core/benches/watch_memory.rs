//! What the watch path needs of the heap: `cargo bench -p reconcile-core`.
//!
//! Synthetic watch events go through the real client, decoder, guard and index. Measured are the bytes that stay per
//! object and the bytes that are needed for a moment beyond them, in the phases of a watch's life: the first list, many
//! changes, a list after the server has forgotten us, a list in pages, and the deletion of everything. Each figure has a
//! ceiling; one that is above it fails the bench.

#![allow(
    clippy::too_many_lines,
    reason = "a phase of the bench reads from top to bottom"
)]

#[path = "watch_memory/server.rs"]
mod server;

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::io::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use futures::channel::mpsc;
use futures::{SinkExt as _, StreamExt as _};
use http::{Request, Response, Uri};
use k8s_openapi::api::apps::v1::ReplicaSet;
use kube::core::NamespaceResourceScope;
use kube::{Api, Client};
use reconcile_core::object::{Kind, ObjectKey, Root};
use reconcile_core::watch::{Index, Watch};
use serde_json::{Value, json};
use tokio::sync::oneshot;

use server::{client, end_of_list, next_watch, replica_set, say, widget};

#[global_allocator]
static HEAP: dhat::Alloc = dhat::Alloc;

/// Objects of a kind: enough that a fixed cost does not matter, few enough for the slow allocator that counts.
const OBJECTS: usize = 400;
/// Changes of every object in the steady phase.
const ROUNDS: usize = 3;
/// Events on their way between the fake server and the client.
const ON_THE_WAY: usize = 4;
/// Longest wait for the index to show what was sent.
const PATIENCE: Duration = Duration::from_secs(120);

/// Bytes that may stay per object of which four small fields are kept.
const SLIM_EACH: usize = 700;
/// Bytes that may stay per root object, whose spec and status (1.3 KB of text) are kept.
const ROOT_EACH: usize = 3200;
/// Bytes for a moment while events arrive one by one, buffers of the connection included.
const STREAM_EXTRA: usize = 200 * 1024;
/// Bytes for a moment while pages of 100 objects of 3 KB arrive: the text and its decoded form.
const PAGE_EXTRA: usize = 2560 * 1024;
/// Bytes that may stay when everything was deleted: tombstones, and tables that do not shrink.
const EMPTY: usize = 256 * 1024;

/// What is kept of a ReplicaSet.
#[derive(Debug, Clone, PartialEq)]
struct Slim {
    owner: String,
    hash: String,
    replicas: i32,
    available: i32,
}

/// A custom resource.
struct Widget;

impl Kind for Widget {
    const GROUP: &'static str = "bench.example.com";
    const VERSION: &'static str = "v1alpha1";
    const KIND: &'static str = "Widget";
    const PLURAL: &'static str = "widgets";
    type Scope = NamespaceResourceScope;
    type Spec = Value;
    type Status = Value;
}

/// A request that waits for its answer.
type Call = (Uri, oneshot::Sender<Response<Body>>);
/// Where the lines of a watch go.
type Lines = mpsc::Sender<Result<Bytes, Infallible>>;

fn names(object: &Value) -> (String, String) {
    let text = |field: &str| object[field].as_str().unwrap_or_default().to_owned();
    (text("apiVersion"), text("kind"))
}

fn slim(set: ReplicaSet) -> Option<Slim> {
    let owner = set.metadata.owner_references?.into_iter().next()?.uid;
    let hash = set.metadata.labels?.remove("pod-template-hash")?;
    Some(Slim {
        owner,
        hash,
        replicas: set.spec.replicas.unwrap_or_default(),
        available: set.status?.available_replicas.unwrap_or_default(),
    })
}

/// Lets the watch work until the index shows what is expected.
async fn until(what: &str, reached: impl Fn() -> bool) {
    let wait = async {
        while !reached() {
            tokio::task::yield_now().await;
        }
    };
    assert!(
        tokio::time::timeout(PATIENCE, wait).await.is_ok(),
        "the index never showed: {what}"
    );
}

/// Figures with their ceilings.
#[derive(Default)]
struct Report {
    lines: Vec<(String, usize, usize)>,
}

impl Report {
    fn note(&mut self, what: &str, bytes: usize, ceiling: usize) {
        self.lines.push((what.to_owned(), bytes, ceiling));
    }

    fn finish(&self) -> ExitCode {
        let mut out = std::io::stdout().lock();
        let mut good = true;
        for (what, bytes, ceiling) in &self.lines {
            let verdict = if bytes <= ceiling { "ok" } else { "TOO MUCH" };
            good &= bytes <= ceiling;
            drop(writeln!(
                out,
                "{what:<58} {bytes:>9} bytes, ceiling {ceiling:>9}  {verdict}"
            ));
        }
        if good {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        }
    }
}

/// Heap in use now, and the largest so far, of one life of a watch.
fn heap() -> (usize, usize) {
    let stats = dhat::HeapStats::get();
    (stats.curr_bytes, stats.max_bytes)
}

fn profiler() -> dhat::Profiler {
    dhat::Profiler::builder()
        .testing()
        .trim_backtraces(Some(2))
        .build()
}

/// One kind through first list, changes, a second list, and deletion.
async fn life<K, T>(
    report: &mut Report,
    name: &str,
    each: usize,
    start: impl Fn(Client) -> (Index<T>, K),
    object: impl Fn(usize, usize, usize) -> Value,
    round_of: impl Fn(&T) -> usize,
) where
    K: Future<Output = ()> + Send + 'static,
    T: PartialEq + Send + Sync + 'static,
{
    let _profiler = profiler();
    let (client, mut calls) = client();
    let (index, watch) = start(client);
    let running = tokio::spawn(watch);
    let mut lines = next_watch(&mut calls).await;
    let (api_version, kind) = names(&object(0, 1, 0));
    // The first object brings the buffers of the connection, which are no cost of objects.
    say(&mut lines, "ADDED", &object(0, 1, 0)).await;
    until("the first object", || index.len() == 1).await;
    let (before, _) = heap();
    let last = ObjectKey::new("default", format!("object-{:05}", OBJECTS - 1));
    let shows = |round: usize| {
        index
            .get(&last)
            .is_some_and(|value| round_of(&value) == round)
    };

    let mut version = 1;
    for number in 1..OBJECTS {
        version += 1;
        say(&mut lines, "ADDED", &object(number, version, 0)).await;
    }
    end_of_list(&mut lines, version, &api_version, &kind).await;
    until("the first list", || index.len() == OBJECTS).await;
    let (listed, peak) = heap();
    report.note(
        &format!("{name}: stays per object"),
        (listed - before) / OBJECTS,
        each,
    );
    report.note(
        &format!("{name}: first list, for a moment"),
        peak.saturating_sub(listed),
        STREAM_EXTRA,
    );

    for round in 1..=ROUNDS {
        for number in 0..OBJECTS {
            version += 1;
            say(&mut lines, "MODIFIED", &object(number, version, round)).await;
        }
    }
    until("every change", || shows(ROUNDS)).await;
    let (changed, peak) = heap();
    report.note(
        &format!("{name}: growth by {} changes", ROUNDS * OBJECTS),
        changed.saturating_sub(listed),
        64 * 1024,
    );
    report.note(
        &format!("{name}: changes, for a moment"),
        peak.saturating_sub(listed),
        STREAM_EXTRA,
    );

    let gone = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "metadata": {},
        "message": "too old resource version", "reason": "Expired", "code": 410});
    say(&mut lines, "ERROR", &gone).await;
    let mut lines = next_watch(&mut calls).await;
    for number in 0..OBJECTS {
        version += 1;
        say(&mut lines, "ADDED", &object(number, version, ROUNDS + 1)).await;
    }
    end_of_list(&mut lines, version, &api_version, &kind).await;
    until("the second list", || shows(ROUNDS + 1)).await;
    let (listed_again, peak) = heap();
    report.note(
        &format!("{name}: growth by a second list"),
        listed_again.saturating_sub(changed),
        64 * 1024,
    );
    report.note(
        &format!("{name}: second list, for a moment"),
        peak.saturating_sub(listed),
        STREAM_EXTRA,
    );

    for number in 0..OBJECTS {
        version += 1;
        say(&mut lines, "DELETED", &object(number, version, ROUNDS + 1)).await;
    }
    until("every deletion", || index.is_empty()).await;
    let (empty, _) = heap();
    report.note(
        &format!("{name}: stays when all are deleted"),
        empty.saturating_sub(before),
        EMPTY,
    );
    running.abort();
}

/// The first list in pages, as an API server without streamed lists gives it.
async fn pages(report: &mut Report) {
    let _profiler = profiler();
    let (client, mut calls) = client();
    let index = Index::<Slim>::new(|slim| vec![slim.owner.clone()]);
    let watch = Watch::new(Api::namespaced(client, "default"), index.clone(), slim);
    let running = tokio::spawn(watch.run());
    let refusal = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "metadata": {},
        "message": "sendInitialEvents is forbidden for watch unless the WatchList feature gate is enabled",
        "reason": "Invalid", "code": 422});
    let (uri, answer) = calls.next().await.expect("the client asks");
    assert!(
        uri.query()
            .unwrap_or_default()
            .contains("sendInitialEvents"),
        "{uri}"
    );
    let refused = Response::builder()
        .status(422)
        .body(Body::from(refusal.to_string()));
    answer
        .send(refused.expect("a valid response"))
        .expect("the client waits");
    let (before, _) = heap();
    let mut given = 0;
    while given < OBJECTS {
        let (uri, answer) = calls.next().await.expect("the client asks for a page");
        let query = uri.query().unwrap_or_default();
        assert!(
            query.contains("limit=") && !query.contains("watch=true"),
            "{uri}"
        );
        let size = query
            .split('&')
            .find_map(|pair| pair.strip_prefix("limit="))
            .and_then(|limit| limit.parse::<usize>().ok())
            .expect("a number of objects");
        let end = (given + size).min(OBJECTS);
        let token = if end < OBJECTS {
            end.to_string()
        } else {
            String::new()
        };
        let metadata = json!({"resourceVersion": OBJECTS.to_string(), "continue": token});
        // Text from the start: a page as a tree of values would be the largest thing that is measured here.
        let items: Vec<String> = (given..end)
            .map(|number| replica_set(number, number + 1, 0).to_string())
            .collect();
        let page = format!(
            r#"{{"kind":"ReplicaSetList","apiVersion":"apps/v1","metadata":{metadata},"items":[{}]}}"#,
            items.join(",")
        );
        drop(items);
        given = end;
        answer
            .send(Response::new(Body::from(page)))
            .expect("the client waits");
    }
    let _lines = next_watch(&mut calls).await;
    until("all pages", || index.len() == OBJECTS).await;
    let (listed, peak) = heap();
    report.note(
        "ReplicaSets in pages: stays per object",
        (listed - before) / OBJECTS,
        SLIM_EACH,
    );
    report.note(
        "ReplicaSets in pages: for a moment",
        peak.saturating_sub(listed),
        PAGE_EXTRA,
    );
    running.abort();
}

fn main() -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let runtime = runtime.expect("a runtime can be built");
    let mut report = Report::default();
    runtime.block_on(life(
        &mut report,
        "ReplicaSets, slim",
        SLIM_EACH,
        |client| {
            let index = Index::<Slim>::new(|slim| vec![slim.owner.clone()]);
            let watch = Watch::new(Api::namespaced(client, "default"), index.clone(), slim);
            (index, watch.run())
        },
        replica_set,
        |slim| usize::try_from(slim.available).unwrap_or_default(),
    ));
    runtime.block_on(life(
        &mut report,
        "roots, spec and status as text",
        ROOT_EACH,
        |client| {
            let index = Index::<Root<Widget>>::default();
            let keep = |mut root: Root<Widget>| {
                root.slim();
                Some(root)
            };
            let watch = Watch::new(Api::namespaced(client, "default"), index.clone(), keep);
            (index, watch.run())
        },
        widget,
        |root| {
            let round = root.status_value()["round"].as_u64().unwrap_or_default();
            usize::try_from(round).unwrap_or_default()
        },
    ));
    runtime.block_on(pages(&mut report));
    report.finish()
}
