//! What routes say, and what they should say.

use std::{collections::BTreeMap, fmt};

use reconcile_core::event::EventNote;
use serde_json::Value;

use super::managed::ManagedRoute;

/// A destination beside both versions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExtraWeight {
    /// Its Service.
    pub service: String,
    /// Pod template hash of its pods.
    pub hash: String,
    /// Its share.
    pub weight: i32,
}

impl fmt::Display for ExtraWeight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} to {}", self.weight, self.service)
    }
}

/// What the routes of a Rollout should say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RouteGoal {
    /// Weight of the new version.
    pub weight: i32,
    /// Destinations beside both versions.
    pub extra: Vec<ExtraWeight>,
    /// Header and mirror routes, the one that is tried first in front.
    pub managed: Vec<ManagedRoute>,
    /// What subsets select, for routers that have them.
    pub hashes: RouteHashes,
}

impl fmt::Display for RouteGoal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "route weight {} to the new version", self.weight)?;
        for extra in &self.extra {
            write!(f, ", {extra}")?;
        }
        for route in &self.managed {
            write!(f, ", and {}", route.name())?;
        }
        Ok(())
    }
}

/// Pod template hashes that the subsets of a router select.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RouteHashes {
    /// Of the new version.
    pub canary: Option<String>,
    /// Of the stable version.
    pub stable: Option<String>,
}

/// What the route objects of one router say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RouteState {
    /// Weight of the new version; none when the objects differ or do not say.
    pub weight: Option<i32>,
    /// Weights of destinations beside both versions, by Service.
    pub extra: BTreeMap<String, i32>,
    /// The highest weight that any of them gives to the new version.
    pub most: i32,
    /// What is written is in effect; none when it is not known.
    pub in_effect: Option<bool>,
    /// Names of the header and mirror routes that are there, in the order of `managedRoutes`. One that only some
    /// of the objects have has an empty name beside it, so that it is written again.
    pub managed: Vec<String>,
    /// What subsets select; none for routers without them.
    pub hashes: Option<RouteHashes>,
    /// What was found when it was verified whether the routes are in effect, as Events.
    pub findings: Vec<EventNote>,
    /// Load balancers behind the routes, as `status.albs` has them.
    pub balancers: Vec<Value>,
}

impl RouteState {
    /// Routes that give the new version `weight`, and have nothing beside.
    pub fn at(weight: i32) -> Self {
        Self {
            weight: Some(weight),
            most: weight,
            ..Self::default()
        }
    }

    /// Routes in memory, after `goal` was written.
    pub(in crate::rollout) fn write(&mut self, goal: &RouteGoal) {
        self.weight = Some(goal.weight);
        self.most = goal.weight;
        self.extra = goal.extra_by_service();
        let names = goal.managed.iter().map(|route| route.name().to_owned());
        self.managed = names.collect();
        self.hashes = self.hashes.take().map(|_| goal.hashes.clone());
    }

    /// What several objects or routers say together.
    pub fn together(states: impl IntoIterator<Item = Self>) -> Self {
        let states = states.into_iter();
        states.reduce(Self::and).unwrap_or_default()
    }

    /// What two objects or routers say together.
    #[must_use]
    fn and(mut self, mut other: Self) -> Self {
        self.findings.append(&mut other.findings);
        self.balancers.append(&mut other.balancers);
        let both = (self.in_effect, other.in_effect);
        let managed = if self.managed == other.managed {
            self.managed
        } else {
            vec![String::new()]
        };
        let hashes = match (self.hashes, other.hashes) {
            (Some(one), Some(two)) if one != two => Some(RouteHashes::default()),
            (one, two) => one.or(two),
        };
        let same = self.weight == other.weight && self.extra == other.extra;
        Self {
            managed,
            hashes,
            findings: self.findings,
            balancers: self.balancers,
            weight: self.weight.filter(|_| same),
            extra: self.extra,
            most: self.most.max(other.most),
            in_effect: match both {
                (Some(false), _) | (_, Some(false)) => Some(false),
                (Some(true), _) | (_, Some(true)) => Some(true),
                (None, None) => None,
            },
        }
    }
}
