//! Lines as they are written.

use std::{
    io,
    sync::{Arc, Mutex},
};

use jiff::Timestamp;
use tracing_subscriber::{Layer, fmt, layer::SubscriberExt};

use super::*;

#[derive(Clone, Default)]
struct Paper(Arc<Mutex<Vec<u8>>>);

impl io::Write for Paper {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("no panic").write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn written(level: &str, format: LogFormat, log: impl FnOnce()) -> String {
    let time: Timestamp = "2026-01-02T03:04:05.678Z".parse().expect("a time");
    let paper = Paper::default();
    let to = paper.clone();
    let layer = fmt::layer()
        .with_writer(move || to.clone())
        .event_format(Lines::new(format, Clock::manual(time)))
        .with_filter(filter(level).expect("a filter"));
    tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), log);
    let bytes = paper.0.lock().expect("no panic").clone();
    String::from_utf8(bytes).expect("text")
}

fn some_lines() {
    let object = "shop/web".to_owned();
    tracing::info!(controller = "rollouts-controller", kind = "Rollout", object = %object, "step {} done", 2);
    tracing::warn!(
        kind = "ClusterRole",
        object = "admin",
        retries = 3_u64,
        level = "high",
        "it says \"no\""
    );
}

#[test]
fn json_has_the_keys_of_the_originals() {
    let text = written("info", LogFormat::Json, some_lines);
    let lines: Vec<serde_json::Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).expect("a JSON line"))
        .collect();
    assert_eq!(
        lines,
        [
            serde_json::json!({
                "time": "2026-01-02T03:04:05Z", "level": "info", "msg": "step 2 done",
                "controller": "rollouts-controller", "namespace": "shop", "rollout": "web",
            }),
            serde_json::json!({
                "time": "2026-01-02T03:04:05Z", "level": "warning", "msg": "it says \"no\"",
                "clusterrole": "admin", "retries": 3, "fields.level": "high",
            }),
        ]
    );
}

#[test]
fn text_is_pairs_of_key_and_value() {
    let text = written("info", LogFormat::Text, some_lines);
    let first = "time=\"2026-01-02T03:04:05Z\" level=info msg=\"step 2 done\" namespace=shop rollout=web controller=rollouts-controller";
    let second = "time=\"2026-01-02T03:04:05Z\" level=warning msg=\"it says \\\"no\\\"\" clusterrole=admin retries=3 fields.level=high";
    assert_eq!(text, format!("{first}\n{second}\n"));
}

#[test]
fn levels_have_upstreams_names_and_an_unknown_one_is_refused() {
    let at = |level: &str| written(level, LogFormat::Text, some_lines).lines().count();
    assert_eq!(
        (at("info"), at("warning"), at("WARN"), at("fatal")),
        (2, 1, 1, 0)
    );
    assert_eq!(at("error,reconcile_core=info"), 2);
    assert!(filter("loud").is_err());
    assert!(filter("").is_ok());
}
