//! Real traffic to a Service: requests at a fixed rate to its ready endpoints in turn, so that each version gets the
//! share its pods have.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Result, ensure};
use futures::{StreamExt as _, TryStreamExt as _};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Api, Client, ResourceExt as _};
use tokio::sync::{Semaphore, watch};
use tokio::time::MissedTickBehavior;
use tokio_util::task::AbortOnDropHandle;

/// Requests under way at once; more are counted as `skipped`, so that a slow version cannot pile them up.
const UNDER_WAY: usize = 256;
/// Longest wait for an answer.
const ANSWER: Duration = Duration::from_secs(2);

/// What became of the requests so far.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    /// Requests sent.
    pub sent: u64,
    /// Answers by version (`x-version`) and status code; code 0 stands for no answer.
    pub answers: BTreeMap<(String, u16), u64>,
    /// Not sent, because there was no endpoint or too many were under way.
    pub skipped: u64,
}

impl Tally {
    /// Answers below 500 of one version.
    pub fn good(&self, version: &str) -> u64 {
        self.sum(|name, code| name == version && (200..500).contains(&code))
    }

    /// Answers from 500 on, and requests without an answer, of every version.
    pub fn failed(&self) -> u64 {
        self.sum(|_, code| code == 0 || code >= 500)
    }

    /// Answers of one version.
    pub fn of(&self, version: &str) -> u64 {
        self.sum(|name, _| name == version)
    }

    fn sum(&self, wanted: impl Fn(&str, u16) -> bool) -> u64 {
        let chosen = self
            .answers
            .iter()
            .filter(|((name, code), _)| wanted(name, *code));
        chosen.map(|(_, count)| count).sum()
    }
}

/// A running load; it ends when this is dropped.
#[derive(Debug)]
pub struct Load {
    tally: Arc<Mutex<Tally>>,
    _watch: AbortOnDropHandle<()>,
    _sender: AbortOnDropHandle<()>,
}

impl Load {
    /// Sends `per_second` requests to the endpoints of a Service, on the first port of its slices.
    pub fn start(client: Client, namespace: &str, service: &str, per_second: u32) -> Result<Self> {
        ensure!(
            (1..=10_000).contains(&per_second),
            "between 1 and 10000 requests per second"
        );
        crate::init_tls();
        let http = reqwest::Client::builder().timeout(ANSWER).build()?;
        let (endpoints, watch) = follow(client, namespace, service);
        let tally = Arc::<Mutex<Tally>>::default();
        let sender = tokio::spawn(send(http, endpoints, per_second, Arc::clone(&tally)));
        Ok(Self {
            tally,
            _watch: watch,
            _sender: AbortOnDropHandle::new(sender),
        })
    }

    /// The counts until now.
    pub fn tally(&self) -> Tally {
        self.tally
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// The counts since the last call; resets them.
    pub fn take(&self) -> Tally {
        std::mem::take(&mut *self.tally.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

async fn send(
    http: reqwest::Client,
    endpoints: watch::Receiver<Vec<String>>,
    per_second: u32,
    tally: Arc<Mutex<Tally>>,
) {
    let slots = Arc::new(Semaphore::new(UNDER_WAY));
    let mut ticks = tokio::time::interval(Duration::from_secs(1) / per_second);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut turn = 0_usize;
    loop {
        ticks.tick().await;
        turn = turn.wrapping_add(1);
        let url = {
            let all = endpoints.borrow();
            all.get(turn.checked_rem(all.len()).unwrap_or(0)).cloned()
        };
        let slot = Arc::clone(&slots).try_acquire_owned();
        let (Some(url), Ok(slot)) = (url, slot) else {
            note(&tally, |tally| tally.skipped += 1);
            continue;
        };
        note(&tally, |tally| tally.sent += 1);
        let (http, tally) = (http.clone(), Arc::clone(&tally));
        tokio::spawn(async move {
            let key = match http.get(url).send().await {
                Ok(response) => {
                    let version = response.headers().get("x-version");
                    let version = version
                        .and_then(|value| value.to_str().ok())
                        .unwrap_or_default();
                    (version.to_owned(), response.status().as_u16())
                }
                Err(_) => (String::new(), 0),
            };
            note(&tally, |tally| *tally.answers.entry(key).or_default() += 1);
            drop(slot);
        });
    }
}

fn note(tally: &Mutex<Tally>, change: impl FnOnce(&mut Tally)) {
    change(&mut tally.lock().unwrap_or_else(PoisonError::into_inner));
}

/// The addresses of the Service's ready endpoints.
fn follow(
    client: Client,
    namespace: &str,
    service: &str,
) -> (watch::Receiver<Vec<String>>, AbortOnDropHandle<()>) {
    let (sender, receiver) = watch::channel(Vec::new());
    let api: Api<EndpointSlice> = Api::namespaced(client, namespace);
    let config =
        watcher::Config::default().labels(&format!("kubernetes.io/service-name={service}"));
    let task = tokio::spawn(async move {
        let mut events = watcher(api, config).default_backoff().boxed();
        let mut slices: BTreeMap<String, Vec<String>> = BTreeMap::new();
        loop {
            match events.try_next().await {
                Ok(Some(watcher::Event::Init)) => slices.clear(),
                Ok(Some(watcher::Event::InitApply(slice) | watcher::Event::Apply(slice))) => {
                    slices.insert(slice.name_any(), addresses(&slice));
                }
                Ok(Some(watcher::Event::Delete(slice))) => {
                    slices.remove(&slice.name_any());
                }
                Ok(Some(watcher::Event::InitDone)) => {}
                Ok(None) => return,
                Err(error) => tracing::debug!(%error, "watching endpoints"),
            }
            sender.send_replace(slices.values().flatten().cloned().collect());
        }
    });
    (receiver, AbortOnDropHandle::new(task))
}

fn addresses(slice: &EndpointSlice) -> Vec<String> {
    let port = slice.ports.iter().flatten().find_map(|port| port.port);
    let Some(port) = port else { return vec![] };
    let ready = slice.endpoints.iter().flatten().filter(|endpoint| {
        let conditions = endpoint.conditions.as_ref();
        conditions
            .and_then(|conditions| conditions.ready)
            .unwrap_or(true)
    });
    ready
        .flat_map(|endpoint| endpoint.addresses.iter())
        .map(|address| format!("http://{address}:{port}/"))
        .collect()
}
