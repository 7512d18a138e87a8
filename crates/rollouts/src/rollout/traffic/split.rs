//! Two weights in a list of destinations: what they say, and how they are set.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{
    extra::of_all_weights,
    router::{FULL_WEIGHT, RouteContext},
    state::RouteState,
};

/// Positions of both versions in a list of destinations.
#[derive(Clone, Copy, Debug)]
pub(super) struct Split {
    canary: usize,
    stable: usize,
}

impl Split {
    /// Finds both versions by the names of their Services.
    pub(super) fn find<'v>(
        list: &'v [Value],
        service: impl Fn(&'v Value) -> Option<&'v str>,
        context: &RouteContext<'_>,
    ) -> Option<Self> {
        let place = |name: &str| list.iter().position(|entry| service(entry) == Some(name));
        Some(Self {
            canary: place(context.canary)?,
            stable: place(context.stable)?,
        })
    }

    /// Gives the new version `weight`.
    pub(super) fn set(self, list: &mut [Value], weight: i32) {
        for (index, weight) in [(self.canary, weight), (self.stable, FULL_WEIGHT - weight)] {
            if list[index]["weight"].as_i64() != Some(i64::from(weight)) {
                list[index]["weight"] = weight.into();
            }
        }
    }

    /// What the list says. An entry without a weight has the `default` of its API.
    pub(super) fn state(self, list: &[Value], default: i64) -> RouteState {
        let weight = |index: usize| list[index]["weight"].as_i64().unwrap_or(default);
        of_weights(weight(self.canary), weight(self.stable))
    }
}

/// What two weights say.
pub(super) fn of_weights(canary: i64, stable: i64) -> RouteState {
    of_all_weights(canary, stable, BTreeMap::new())
}
