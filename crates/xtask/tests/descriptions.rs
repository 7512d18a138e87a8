//! `kubectl explain` has a sentence for every field.

use std::collections::{BTreeMap, BTreeSet};

use xtask::kinds;

#[test]
fn every_field_of_every_kind_is_described() {
    let mut missing = BTreeSet::new();
    for kind in kinds::all().expect("the tables are good") {
        for row in kind.table().rows() {
            if kind.descriptions().of(&row.topic).is_none() {
                missing.insert(format!("{}: {}", kind.chart, row.topic));
            }
        }
    }
    let list: Vec<String> = missing.into_iter().collect();
    assert!(
        list.is_empty(),
        "add to schemas/CHART/descriptions.yaml:\n{}",
        list.join("\n")
    );
}

#[test]
fn every_description_is_of_a_field_and_a_sentence() {
    let mut topics: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    let kinds = kinds::all().expect("the tables are good");
    for kind in &kinds {
        let rows = kind.table().rows().into_iter().map(|row| row.topic);
        topics.entry(kind.chart).or_default().extend(rows);
    }
    for (chart, topics) in &topics {
        let kind = kinds.iter().find(|kind| kind.chart == *chart);
        let descriptions = kind.expect("the chart has a kind").descriptions();
        let unused = descriptions.unused(topics.iter().map(String::as_str));
        assert!(
            unused.is_empty(),
            "{chart}: no such field:\n{}",
            unused.join("\n")
        );
        for topic in topics {
            let text = descriptions.of(topic).unwrap_or_default();
            assert!(
                text.is_empty() || text.ends_with('.') && text.len() < 160,
                "{topic}: {text}"
            );
        }
    }
}
