//! The sample application as a program of its own, on the current kube context: `sample [PORT]`.

use anyhow::{Context as _, Result};

#[tokio::main]
async fn main() -> Result<()> {
    e2e::init_tls();
    let port = match std::env::args().nth(1) {
        Some(text) => text
            .parse()
            .with_context(|| format!("{text} is not a port"))?,
        None => e2e::sample::SAMPLE_PORT,
    };
    let client = kube::Client::try_default()
        .await
        .context("the current kube context")?;
    let _sample = e2e::sample::Sample::start(client, port)?;
    tokio::signal::ctrl_c().await.context("waiting for Ctrl-C")
}
