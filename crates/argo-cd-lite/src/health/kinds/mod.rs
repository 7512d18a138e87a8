//! Rules for kinds that other projects bring, one file per field of work.
//!
//! One more kind is one more row. Where upstream has a rule for the kind, the results are the same.
#![expect(
    clippy::unnecessary_wraps,
    reason = "the functions of steps share one signature"
)]

mod argo;
mod builtin;
mod certificates;
mod cloud;
mod cluster_api;
mod data;
mod flux;
mod gateway;
mod kafka;
mod observability;
mod operators;
mod policies;
mod postgres;
mod secrets;
mod serving;
mod storage;
mod tekton;
mod virtual_machines;
mod workloads;

use std::{collections::HashMap, sync::LazyLock};

use super::rule::Rule;

/// Rows for exact groups and kinds.
const EXACT: &[&[Rule]] = &[
    argo::RULES,
    builtin::RULES,
    certificates::RULES,
    cluster_api::RULES,
    data::RULES,
    flux::RULES,
    gateway::RULES,
    kafka::RULES,
    observability::RULES,
    operators::RULES,
    policies::RULES,
    postgres::RULES,
    secrets::RULES,
    serving::RULES,
    storage::RULES,
    tekton::RULES,
    virtual_machines::RULES,
    workloads::RULES,
];

/// Rows for all kinds of many groups, used when no exact one fits.
const WILDCARD: &[&[Rule]] = &[cloud::RULES];

static INDEX: LazyLock<HashMap<(&'static str, &'static str), &'static Rule>> =
    LazyLock::new(|| {
        let rules = EXACT.iter().copied().flatten();
        rules
            .flat_map(|rule| {
                rule.kind
                    .split('|')
                    .map(move |kind| ((rule.group, kind), rule))
            })
            .collect()
    });

/// The rule for a kind.
pub(super) fn find(group: &str, kind: &str) -> Option<&'static Rule> {
    let exact = INDEX.get(&(group, kind)).copied();
    exact.or_else(|| {
        let mut rules = WILDCARD.iter().copied().flatten();
        rules.find(|rule| rule.covers(group, kind))
    })
}

/// Groups and kinds of all rows, for the documentation.
pub(super) fn all() -> impl Iterator<Item = (&'static str, &'static str)> {
    EXACT
        .iter()
        .chain(WILDCARD)
        .copied()
        .flatten()
        .flat_map(|rule| rule.kind.split('|').map(move |kind| (rule.group, kind)))
}
