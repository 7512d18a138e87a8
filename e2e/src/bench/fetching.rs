//! A bare client: the requests of many metrics, and nothing else. The bench starts itself as one, to know what of an
//! engine's CPU the requests take.

use std::time::Duration;

use anyhow::{Context as _, Result};
use serde_json::Value;
use tokio::task::JoinSet;
use tokio::time::{Instant, interval_at};

/// Time that one request may take.
const DEADLINE: Duration = Duration::from_secs(10);
/// Idle connections, as our operator keeps them.
const IDLE_CONNECTIONS: usize = 2;

/// Sends `count` requests in each period of `every` seconds, evenly spread, and reads the answers as JSON. Ends only with
/// an error.
pub async fn run(url: &str, count: u32, every: u64) -> Result<()> {
    crate::init_tls();
    let client = reqwest::Client::builder()
        .pool_max_idle_per_host(IDLE_CONNECTIONS)
        .timeout(DEADLINE)
        .build()?;
    let every = Duration::from_secs(every.max(1));
    let start = Instant::now();
    let mut metrics = JoinSet::new();
    for index in 0..count {
        let (client, url) = (client.clone(), format!("{url}/bare-{index:05}"));
        let mut due = interval_at(start + every * index / count, every);
        metrics.spawn(async move {
            loop {
                due.tick().await;
                fetch(&client, &url).await?;
            }
        });
    }
    let ended: Result<()> = metrics.join_next().await.context("nothing to fetch")??;
    ended
}

async fn fetch(client: &reqwest::Client, url: &str) -> Result<Value> {
    let answer = client.get(url).send().await?.error_for_status()?;
    Ok(answer.json().await?)
}
