//! Inside a network namespace: real requests to simulated pods, and Prometheus' view of them.

use std::time::Duration;

use anyhow::{Result, bail};
use e2e::cluster::wait_for;
use e2e::load::Load;
use e2e::{Bed, Options, isolated};
use serde_json::Value;

const SOON: Duration = Duration::from_mins(1);
/// Requests by whose shares the versions are distinguished.
const REQUESTS: u64 = 200;

fn deployment(name: &str, image: &str, replicas: u32) -> String {
    format!(
        "
apiVersion: apps/v1
kind: Deployment
metadata: {{name: {name}}}
spec:
  replicas: {replicas}
  selector: {{matchLabels: {{app: shop, track: {name}}}}}
  template:
    metadata:
      labels: {{app: shop, track: {name}}}
      annotations: {{prometheus.io/scrape: 'true', bed/latency: '1'}}
    spec: {{containers: [{{name: shop, image: '{image}'}}]}}
---"
    )
}

/// The part of errors of a version in Prometheus' answer.
fn errors(answer: &Value, version: &str) -> Option<f64> {
    let series = answer["data"]["result"].as_array()?;
    let found = series
        .iter()
        .find(|one| one["metric"]["version"] == version)?;
    found["value"][1].as_str()?.parse().ok()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bad_version_shows_in_its_metrics() -> Result<()> {
    if !isolated::test("traffic::a_bad_version_shows_in_its_metrics")? {
        return Ok(());
    }
    let bed = Bed::up(Options {
        nats: false,
        git: false,
        ..Options::default()
    })
    .await?;
    let cluster = bed.cluster()?;
    let ns = cluster.namespace("traffic").await?;
    let service = "
apiVersion: v1
kind: Service
metadata: {name: shop}
spec: {selector: {app: shop}, ports: [{port: 80, targetPort: 8080}]}
";
    let all = deployment("stable", "shop:1.0", 3) + &deployment("canary", "shop:2.0-bad", 1);
    cluster.apply(&ns, &(all + service)).await?;
    for (name, replicas) in [("stable", 3), ("canary", 1)] {
        let api = cluster.api("apps/v1", "Deployment", &ns).await?;
        wait_for(&api, name, "readiness", SOON, |found| {
            found.is_some_and(|found| found.data["status"]["readyReplicas"] == replicas)
        })
        .await?;
    }

    let load = Load::start(bed.client()?, &ns, "shop", 100)?;
    let ratio = "sum by (version) (rate(http_requests_total{code=\"500\"}[5s])) \
                 / sum by (version) (rate(http_requests_total[5s]))";
    let url = format!("{}/api/v1/query", bed.prometheus()?.url);
    let http = reqwest::Client::new();
    let mut last = Value::Null;
    let wait = async {
        loop {
            let request = http.get(&url).query(&[("query", ratio)]).timeout(SOON);
            last = request.send().await?.json().await?;
            if let (Some(good), Some(bad)) = (errors(&last, "1.0"), errors(&last, "2.0-bad"))
                && good < 0.01
                && bad > 0.4
                && bad < 0.6
            {
                return anyhow::Ok(());
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    };
    match tokio::time::timeout(SOON, wait).await {
        Ok(seen) => seen?,
        Err(_) => bail!(
            "Prometheus does not see the errors: it answers {last}; its targets are {}; the load saw {:?}",
            std::fs::read_to_string(&bed.prometheus()?.targets)?,
            load.tally()
        ),
    }
    // Each of the four pods gets the same number of requests. The first ones may have gone to fewer pods: a pod is ready
    // a moment before it is an endpoint.
    drop(load.take());
    let enough = async {
        while load.tally().answers.values().sum::<u64>() < REQUESTS {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(SOON, enough).await?;
    let tally = load.tally();
    let percent = tally.of("2.0-bad") * 100 / (tally.of("1.0") + tally.of("2.0-bad"));
    assert!((20..30).contains(&percent), "{percent} %: {tally:?}");
    assert_eq!(tally.of("1.0"), tally.good("1.0"));
    Ok(())
}
