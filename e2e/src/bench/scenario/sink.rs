//! Where the events of a load arrive: an HTTP server that knows when each was sent and counts every arrival.

use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Result;
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;
use serde::Deserialize;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

/// One event of the load.
#[derive(Debug, Clone, Copy, Default)]
struct Record {
    sent: Option<Instant>,
    accepted: bool,
    arrived: Option<Instant>,
    arrivals: u32,
}

#[derive(Debug, Default)]
struct Ledger {
    records: Vec<Record>,
    /// What the ids of this load begin with; others are late ones of an earlier load.
    load: String,
    arrived: u64,
    last: Option<Instant>,
}

/// What a load came to.
#[derive(Debug)]
pub(super) struct Count {
    pub(super) sent: u64,
    pub(super) accepted: u64,
    pub(super) arrived: u64,
    pub(super) lost: u64,
    pub(super) doubled: u64,
    /// From sending to arriving, of every event that arrived.
    pub(super) delays: Vec<Duration>,
    pub(super) last: Option<Instant>,
}

/// The server.
#[derive(Debug)]
pub(super) struct Sink {
    /// Where triggers send to.
    pub(super) url: String,
    ledger: Arc<Mutex<Ledger>>,
    arrivals: watch::Sender<u64>,
    _server: AbortOnDropHandle<()>,
}

#[derive(Clone)]
struct Received {
    ledger: Arc<Mutex<Ledger>>,
    arrivals: watch::Sender<u64>,
}

#[derive(Deserialize)]
struct Arrival {
    id: String,
}

impl Sink {
    /// Listens on a free port of the loopback interface.
    pub(super) async fn start() -> Result<Self> {
        let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let url = format!("http://{}/", listener.local_addr()?);
        let ledger = Arc::<Mutex<Ledger>>::default();
        let (arrivals, _) = watch::channel(0);
        let shared = Received {
            ledger: Arc::clone(&ledger),
            arrivals: arrivals.clone(),
        };
        let app = Router::new().route("/", post(arrive)).with_state(shared);
        let server = tokio::spawn(async move {
            if let Err(error) = axum::serve(listener, app).await {
                tracing::error!(%error, "the sink ended");
            }
        });
        Ok(Self {
            url,
            ledger,
            arrivals,
            _server: AbortOnDropHandle::new(server),
        })
    }

    /// Begins a load of `count` events; ids are `LOAD-0`, `LOAD-1`, and so on.
    pub(super) fn begin(&self, load: &str, count: usize) {
        *self.lock() = Ledger {
            records: vec![Record::default(); count],
            load: load.to_owned(),
            ..Ledger::default()
        };
        self.arrivals.send_replace(0);
    }

    /// An event is about to be sent.
    pub(super) fn sending(&self, index: usize) {
        if let Some(record) = self.lock().records.get_mut(index) {
            record.sent = Some(Instant::now());
        }
    }

    /// The webhook accepted an event.
    pub(super) fn accepted(&self, index: usize) {
        if let Some(record) = self.lock().records.get_mut(index) {
            record.accepted = true;
        }
    }

    /// Returns when everything accepted has arrived and no duplicate came for a while, or when nothing has arrived for
    /// `quiet`. Call it when nothing more will be sent.
    pub(super) async fn until_done(&self, quiet: Duration, settle: Duration) {
        let mut arrivals = self.arrivals.subscribe();
        loop {
            let missing = {
                let ledger = self.lock();
                ledger
                    .records
                    .iter()
                    .any(|record| record.accepted && record.arrived.is_none())
            };
            let patience = if missing { quiet } else { settle };
            match tokio::time::timeout(patience, arrivals.changed()).await {
                // Counting all records for every arrival would be quadratic work beside a measurement.
                Ok(Ok(())) => tokio::time::sleep(Duration::from_millis(20)).await,
                Ok(Err(_)) | Err(_) => return,
            }
        }
    }

    /// Returns when the first event of the present load arrives; false when none does in time.
    pub(super) async fn first(&self, within: Duration) -> bool {
        let mut arrivals = self.arrivals.subscribe();
        let arrived = tokio::time::timeout(within, arrivals.wait_for(|count| *count > 0)).await;
        matches!(arrived, Ok(Ok(_)))
    }

    /// The load's result so far.
    pub(super) fn count(&self) -> Count {
        let ledger = self.lock();
        let records = &ledger.records;
        let number = |wanted: fn(&Record) -> bool| {
            super::as_u64(records.iter().filter(|record| wanted(record)).count())
        };
        let delays = records
            .iter()
            .filter_map(|record| Some(record.arrived?.saturating_duration_since(record.sent?)));
        Count {
            sent: number(|record| record.sent.is_some()),
            accepted: number(|record| record.accepted),
            arrived: number(|record| record.arrived.is_some()),
            lost: number(|record| record.accepted && record.arrived.is_none()),
            doubled: number(|record| record.arrivals > 1),
            delays: delays.collect(),
            last: ledger.last,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn arrive(State(shared): State<Received>, body: Bytes) -> StatusCode {
    let now = Instant::now();
    let Ok(arrival) = serde_json::from_slice::<Arrival>(&body) else {
        return StatusCode::BAD_REQUEST;
    };
    let mut ledger = shared.ledger.lock().unwrap_or_else(PoisonError::into_inner);
    let index = arrival
        .id
        .strip_prefix(&ledger.load)
        .and_then(|rest| rest.strip_prefix('-'))
        .and_then(|rest| rest.parse::<usize>().ok());
    let Some(record) = index.and_then(|index| ledger.records.get_mut(index)) else {
        return StatusCode::OK;
    };
    record.arrivals += 1;
    if record.arrivals == 1 {
        record.arrived = Some(now);
        ledger.arrived += 1;
        ledger.last = Some(now);
    }
    let arrived = ledger.arrived;
    drop(ledger);
    shared.arrivals.send_replace(arrived);
    StatusCode::OK
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn send(sink: &Sink, id: &str) {
        crate::init_tls();
        let body = serde_json::json!({ "id": id }).to_string();
        let answer = reqwest::Client::new()
            .post(&sink.url)
            .body(body)
            .send()
            .await
            .unwrap();
        assert!(answer.status().is_success());
    }

    #[tokio::test]
    async fn lost_and_doubled_events_are_counted() {
        let sink = Sink::start().await.unwrap();
        sink.begin("a", 3);
        for index in 0..3 {
            sink.sending(index);
            sink.accepted(index);
        }
        send(&sink, "a-0").await;
        send(&sink, "a-1").await;
        send(&sink, "a-1").await;
        send(&sink, "earlier-2").await;
        sink.until_done(Duration::from_millis(50), Duration::from_millis(10))
            .await;
        let count = sink.count();
        assert_eq!((count.sent, count.accepted, count.arrived), (3, 3, 2));
        assert_eq!((count.lost, count.doubled, count.delays.len()), (1, 1, 2));
    }
}
