//! Requests to the API server, counted by the engine itself where it exports a counter, and by the API server.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, Result};
use kube::Client;
use serde::{Deserialize, Serialize};

/// Counters of a client's requests: ours, then those that Go operators are known to export. The first that a page has
/// is read: ours also go by the originals' names, for the originals' dashboards, and would count twice.
const CLIENT_COUNTERS: [&str; 4] = [
    "kubernetes_client_requests_total",
    "argocd_app_k8s_request_total",
    "controller_clientset_k8s_request_total",
    "rest_client_requests_total",
];
/// The API server's counter.
const SERVER_COUNTER: &str = "apiserver_request_total";
/// Longest wait for a page of metrics.
const SCRAPE: Duration = Duration::from_secs(10);

/// Requests by verb and resource, such as `patch applications/status`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Requests(pub BTreeMap<String, u64>);

impl Requests {
    /// All of them.
    pub fn total(&self) -> u64 {
        self.0.values().sum()
    }

    /// Those that change something.
    pub fn writes(&self) -> u64 {
        let reads = ["get ", "list "];
        let of = self.0.iter();
        of.filter(|(key, _)| !reads.iter().any(|read| key.starts_with(read)))
            .map(|(_, count)| count)
            .sum()
    }

    /// Those that change an object: Events and the lease of the engine itself left out.
    #[must_use]
    pub fn of_objects(&self) -> Self {
        let other = ["get ", "list ", "create events", "patch events"];
        let of = self.0.iter();
        let kept = of.filter(|(key, _)| {
            !key.ends_with(" leases") && !other.iter().any(|start| key.starts_with(start))
        });
        Self(kept.map(|(key, count)| (key.clone(), *count)).collect())
    }

    /// What the engine whose metrics are at `url` has sent so far.
    pub async fn read_from(url: &str) -> Result<Self> {
        let found = of_engine(&[url.to_owned()]).await;
        found.with_context(|| format!("{url} counts no requests"))
    }

    /// What was added since `before`.
    #[must_use]
    pub fn since(&self, before: &Self) -> Self {
        let grown = self.0.iter().filter_map(|(key, count)| {
            let added = count.saturating_sub(before.0.get(key).copied().unwrap_or(0));
            (added > 0).then(|| (key.clone(), added))
        });
        Self(grown.collect())
    }

    pub(crate) fn add(&mut self, other: &Self) {
        for (key, count) in &other.0 {
            *self.0.entry(key.clone()).or_default() += count;
        }
    }

    /// Reads the first of the counters that the page has.
    fn read_first(text: &str, counters: &[&str]) -> Option<Self> {
        counters.iter().find_map(|name| Self::read(text, name))
    }

    fn read(text: &str, counter: &str) -> Option<Self> {
        let mut found = None;
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let Some((name, rest)) = line.split_once('{') else {
                continue;
            };
            if name != counter {
                continue;
            }
            let Some((labels, value)) = rest.rsplit_once("} ") else {
                continue;
            };
            let labels = labels_of(labels);
            let verb = labels
                .get("verb")
                .or(labels.get("method"))
                .copied()
                .unwrap_or("request");
            let verb = verb.to_ascii_lowercase();
            // A watch is one long request; its number says nothing about the load.
            if verb == "watch" || verb == "connect" {
                continue;
            }
            let resource = ["resource", "resource_kind", "kind"]
                .iter()
                .find_map(|label| labels.get(label).copied())
                .unwrap_or_default();
            let subresource = labels.get("subresource").copied().unwrap_or_default();
            let mut key = format!("{verb} {resource}");
            if !subresource.is_empty() {
                key.push('/');
                key.push_str(subresource);
            }
            let count = count_of(value);
            *found
                .get_or_insert_with(Self::default)
                .0
                .entry(key.trim().to_owned())
                .or_default() += count;
        }
        found
    }
}

/// Counters are printed as floating point numbers, large ones as `1e+06`.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "counts of requests"
)]
fn count_of(text: &str) -> u64 {
    text.split_whitespace()
        .next()
        .and_then(|number| number.parse::<f64>().ok())
        .unwrap_or(0.0) as u64
}

fn labels_of(text: &str) -> BTreeMap<&str, &str> {
    text.split("\",")
        .filter_map(|pair| pair.split_once("=\""))
        .map(|(name, value)| (name.trim(), value.trim_end_matches('"')))
        .collect()
}

/// The engine's own count so far. None when it exports none of the known counters.
pub(crate) async fn of_engine(urls: &[String]) -> Option<Requests> {
    let mut sum: Option<Requests> = None;
    for url in urls {
        let answer = reqwest::Client::new()
            .get(url)
            .timeout(SCRAPE)
            .send()
            .await
            .ok()?;
        let text = answer.text().await.ok()?;
        if let Some(found) = Requests::read_first(&text, &CLIENT_COUNTERS) {
            sum.get_or_insert_with(Requests::default).add(&found);
        }
    }
    sum
}

/// The sum of a metric's series whose line begins with `series`, such as `renders_total{from="work"`. None when the engine
/// does not answer.
pub(crate) async fn counter(urls: &[String], series: &str) -> Option<u64> {
    let mut sum = 0;
    for url in urls {
        let answer = reqwest::Client::new()
            .get(url)
            .timeout(SCRAPE)
            .send()
            .await
            .ok()?;
        sum += sum_of(&answer.text().await.ok()?, series);
    }
    Some(sum)
}

fn sum_of(page: &str, series: &str) -> u64 {
    let lines = page.lines().filter(|line| line.starts_with(series));
    let values = lines.filter_map(|line| line.rsplit_once(' '));
    values.map(|(_, value)| count_of(value)).sum()
}

/// Everything the API server was asked so far, by anybody.
pub(crate) async fn of_apiserver(client: &Client) -> Result<Requests> {
    let request = http::Request::get("/metrics").body(Vec::new())?;
    let text = client
        .request_text(request)
        .await
        .context("the API server's metrics")?;
    Requests::read(&text, SERVER_COUNTER).context("the API server counts no requests")
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "\
# TYPE kubernetes_client_requests_total counter
kubernetes_client_requests_total{code=\"200\",resource=\"rollouts/status\",verb=\"patch\"} 12
kubernetes_client_requests_total{code=\"409\",resource=\"rollouts/status\",verb=\"patch\"} 1
kubernetes_client_requests_total{code=\"200\",resource=\"rollouts\",verb=\"watch\"} 3
controller_clientset_k8s_request_total{kind=\"rollouts\",status_code=\"200\",verb=\"Patch\"} 13
apiserver_request_total{code=\"201\",dry_run=\"\",subresource=\"binding\",resource=\"pods\",verb=\"POST\"} 1.5e+03
";

    #[test]
    fn one_counter_is_summed_over_codes_and_without_watches() {
        let requests = Requests::read_first(PAGE, &CLIENT_COUNTERS).unwrap();
        assert_eq!(
            requests.0,
            BTreeMap::from([("patch rollouts/status".to_owned(), 13)])
        );
        let server = Requests::read(PAGE, SERVER_COUNTER).unwrap();
        assert_eq!(
            server.0,
            BTreeMap::from([("post pods/binding".to_owned(), 1500)])
        );
        assert_eq!(Requests::read_first(PAGE, &["other"]), None);
    }

    #[test]
    fn a_metric_is_summed_over_its_series() {
        let page = "a_total{from=\"work\"} 3\na_total{from=\"disk\"} 9\na_total{from=\"work\",b=\"1\"} 4\na_total_other 7\n";
        assert_eq!(sum_of(page, "a_total{from=\"work\""), 7);
        assert_eq!(sum_of(page, "a_total{"), 16);
        assert_eq!(sum_of(page, "b"), 0);
    }

    #[test]
    fn events_and_leases_are_no_objects() {
        let requests = Requests(BTreeMap::from([
            ("update leases".to_owned(), 5),
            ("create events".to_owned(), 2),
            ("get leases".to_owned(), 9),
            ("patch applications/status".to_owned(), 3),
        ]));
        assert_eq!((requests.writes(), requests.of_objects().total()), (10, 3));
    }

    #[test]
    fn only_growth_counts() {
        let before = Requests(BTreeMap::from([
            ("get a".to_owned(), 5),
            ("get b".to_owned(), 2),
        ]));
        let after = Requests(BTreeMap::from([
            ("get a".to_owned(), 7),
            ("get b".to_owned(), 2),
            ("get c".to_owned(), 1),
        ]));
        let added = after.since(&before);
        assert_eq!((added.total(), added.writes()), (3, 0));
        assert_eq!(added.0.len(), 2);
    }
}
