//! Destinations beside both versions: templates of the Experiment of a step that have a weight.

use std::collections::BTreeMap;

use super::{
    router::FULL_WEIGHT,
    state::{RouteGoal, RouteState},
};

impl RouteGoal {
    /// What is left of a total of 100 for the stable version.
    pub(super) fn stable_weight(&self) -> i32 {
        FULL_WEIGHT - self.weight - self.extra_weight()
    }

    /// What all other destinations get together.
    pub fn extra_weight(&self) -> i32 {
        self.extra.iter().map(|extra| extra.weight).sum()
    }

    /// The weights of the other destinations by Service.
    pub fn extra_by_service(&self) -> BTreeMap<String, i32> {
        let extra = self.extra.iter();
        extra
            .map(|extra| (extra.service.clone(), extra.weight))
            .collect()
    }
}

/// What three kinds of weights say: of both versions and of the destinations beside them. Other totals than 100 were
/// not written here; a version without weight gets nothing in any.
pub(super) fn of_all_weights(canary: i64, stable: i64, extra: BTreeMap<String, i32>) -> RouteState {
    let beside: i64 = extra.values().map(|weight| i64::from(*weight)).sum();
    let total = canary.saturating_add(stable).saturating_add(beside);
    let known = (total == i64::from(FULL_WEIGHT)).then_some(canary);
    let known = known.and_then(|canary| i32::try_from(canary).ok());
    RouteState {
        weight: known,
        most: known.unwrap_or(if canary == 0 { 0 } else { FULL_WEIGHT }),
        extra,
        ..RouteState::default()
    }
}
