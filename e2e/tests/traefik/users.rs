//! Requests through Traefik, and who answered them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use tokio_util::task::AbortOnDropHandle;

use crate::PATIENCE;

/// Requests by whose shares the weight is judged. Traefik takes turns by weight, so few are enough.
const REQUESTS: u64 = 400;
/// Requests a second.
const RATE: u32 = 50;
/// Share of requests that may differ from the weight.
const TOLERANCE: u64 = 3;

/// Answers by version and status code; code 0 stands for none.
pub type Tally = BTreeMap<(String, u16), u64>;

/// Requests through Traefik at a fixed rate until this is dropped.
pub struct Users {
    tally: Arc<Mutex<Tally>>,
    _task: AbortOnDropHandle<()>,
}

impl Users {
    /// Everybody, or those who send a header.
    pub fn start(url: &str, header: Option<(&'static str, &'static str)>) -> Result<Self> {
        let url = url.to_owned();
        let http = reqwest::Client::builder()
            .timeout(Duration::from_secs(10))
            .build()?;
        let tally = Arc::<Mutex<Tally>>::default();
        let counted = Arc::clone(&tally);
        let task = tokio::spawn(async move {
            let mut ticks = tokio::time::interval(Duration::from_secs(1) / RATE);
            ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
            loop {
                ticks.tick().await;
                let mut request = http.get(&url);
                if let Some((name, value)) = header {
                    request = request.header(name, value);
                }
                let seen = match request.send().await {
                    Ok(answer) => {
                        let version = answer.headers().get("x-version");
                        let version = version.and_then(|text| text.to_str().ok());
                        (
                            version.unwrap_or_default().to_owned(),
                            answer.status().as_u16(),
                        )
                    }
                    Err(_) => (String::new(), 0),
                };
                let mut tally = counted.lock().unwrap_or_else(PoisonError::into_inner);
                *tally.entry(seen).or_default() += 1;
            }
        });
        Ok(Self {
            tally,
            _task: AbortOnDropHandle::new(task),
        })
    }

    pub fn take(&self) -> Tally {
        std::mem::take(&mut *self.tally.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Waits until the share of `version` in percent is `wanted`; every request must be answered well.
    pub async fn until_share(&self, version: &str, wanted: u64) -> Result<()> {
        let mut last = Tally::new();
        let wait = async {
            loop {
                none_failed(&self.take())?;
                let mut window = Tally::new();
                while window.values().sum::<u64>() < REQUESTS {
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    for (key, count) in self.take() {
                        *window.entry(key).or_default() += count;
                    }
                }
                none_failed(&window)?;
                let all: u64 = window.values().sum();
                let own: u64 = window
                    .iter()
                    .filter(|((name, _), _)| name == version)
                    .map(|(_, n)| n)
                    .sum();
                last = window;
                if (own * 100).abs_diff(wanted * all) <= TOLERANCE * all {
                    return anyhow::Ok(());
                }
            }
        };
        let reached = tokio::time::timeout(PATIENCE, wait).await;
        reached.with_context(|| format!("{version} never had {wanted} %: {last:?}"))?
    }
}

pub fn none_failed(tally: &Tally) -> Result<()> {
    let bad: Vec<_> = tally.iter().filter(|((_, code), _)| *code != 200).collect();
    ensure!(bad.is_empty(), "requests failed: {bad:?}");
    Ok(())
}
