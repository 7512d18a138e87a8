//! What `kubectl explain` says of the fields of a table.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

/// Descriptions by topic.
///
/// A topic is the path of a field without the suffixes of lists and maps, from the name of the kind or of the shared
/// type that holds it: `Rollout.spec.replicas`, `Metric.interval`. `*.limit` and `*.headers.key` hold for every topic
/// that ends so and has no description of its own.
#[derive(Clone, Debug, Default)]
pub struct Descriptions(BTreeMap<String, String>);

impl Descriptions {
    /// From a map of topics to sentences.
    pub fn new(map: &Value) -> Self {
        let entries = map.as_object().into_iter().flatten();
        let text = |(topic, text): (&String, &Value)| {
            text.as_str().map(|text| (topic.clone(), text.to_owned()))
        };
        Self(entries.filter_map(text).collect())
    }

    /// The description of a topic.
    pub fn of(&self, topic: &str) -> Option<&str> {
        let key = self.key(topic)?;
        self.0.get(&key).map(String::as_str)
    }

    /// Topics that none of the given fields has.
    pub fn unused<'t>(&self, topics: impl IntoIterator<Item = &'t str>) -> Vec<String> {
        let used: BTreeSet<String> = topics.into_iter().filter_map(|t| self.key(t)).collect();
        let known = self.0.keys();
        known.filter(|key| !used.contains(*key)).cloned().collect()
    }

    /// The entry that holds for a topic: its own, then the longest ending.
    fn key(&self, topic: &str) -> Option<String> {
        let mut ending = topic;
        if self.0.contains_key(topic) {
            return Some(topic.to_owned());
        }
        while let Some((_, shorter)) = ending.split_once('.') {
            let key = format!("*.{shorter}");
            if self.0.contains_key(&key) {
                return Some(key);
            }
            ending = shorter;
        }
        None
    }
}
