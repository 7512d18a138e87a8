//! The A/B example of the documentation with real traffic: a header leads to the new version for a while, and a real
//! Prometheus compares both.

use anyhow::{Context as _, Result};
use e2e::isolated;

use crate::proxy::{PROGRAM, Provider};
use crate::users::Users;
use crate::{NS, healthy, on_stage};

const EXAMPLE: &str = include_str!(concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../docs/examples/ab.yaml"
));

/// The example with this image, against the bed's Prometheus, in seconds instead of minutes.
fn example(image: &str, prometheus: &str) -> String {
    EXAMPLE
        .replace("web:1.0", image)
        .replace("http://prometheus.monitoring:9090", prometheus)
        .replace("interval: 60s", "interval: 4s")
        .replace("[5m]", "[10s]")
        .replace("  hostnames: [shop.example.com]\n", "")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn variants_are_told_apart_by_header_and_compared() -> Result<()> {
    let Some(path) = PROGRAM.find() else {
        return Ok(());
    };
    if !isolated::test("ab::variants_are_told_apart_by_header_and_compared")? {
        return Ok(());
    }
    let (scene, traefik) = on_stage(path, Provider::Gateway, true).await?;
    let prometheus = scene.bed.prometheus()?.url.clone();
    scene
        .apply(NS, &crate::gateway("public", traefik.port))
        .await?;
    scene.apply(NS, &example("web:1.0", &prometheus)).await?;
    scene
        .until("Rollout", NS, "web", "Healthy", healthy)
        .await?;
    traefik.until_served(None).await?;
    let users = Users::start(&traefik.url, None)?;
    let variant_b = Users::start(&traefik.url, Some(("x-variant", "b")))?;
    users.until_share("1.0", 100).await?;

    // The better variant: only the header leads to it while both are measured, then half of everybody, then all.
    scene.apply(NS, &example("web:2.0", &prometheus)).await?;
    let analysed = |rollout: &serde_json::Value| rollout["status"]["currentStepIndex"] == 2;
    scene
        .until("Rollout", NS, "web", "compares", analysed)
        .await?;
    variant_b.until_share("2.0", 100).await?;
    users.until_share("1.0", 100).await?;
    scene
        .until("Rollout", NS, "web", "shares", |rollout| {
            rollout["status"]["currentStepIndex"] == 5
        })
        .await
        .context("the comparison approves")?;
    // Traefik takes turns: two clients of one rate would each meet the same version again and again.
    drop(variant_b);
    users.until_share("2.0", 50).await?;
    crate::resume(&scene, "web").await?;
    scene
        .until("Rollout", NS, "web", "promoted", healthy)
        .await?;
    users.until_share("2.0", 100).await?;

    // The worse variant fails half of its requests: it is taken back, and nobody else notices.
    let variant_b = Users::start(&traefik.url, Some(("x-variant", "b")))?;
    scene.apply(NS, &example("web:bad-3", &prometheus)).await?;
    let given_up = scene
        .until("Rollout", NS, "web", "Degraded", |rollout| {
            rollout["status"]["phase"] == "Degraded"
        })
        .await?;
    let message = given_up["status"]["message"].as_str().unwrap_or_default();
    anyhow::ensure!(message.contains("b-is-no-worse-than-a"), "{message}");
    let failed: u64 = variant_b
        .take()
        .iter()
        .filter(|((version, code), _)| version == "bad-3" && *code == 500)
        .map(|(_, count)| count)
        .sum();
    anyhow::ensure!(failed > 0, "the header led to the worse variant");
    users.until_share("2.0", 100).await
}
