//! The checks in force: the built-in rules and what the settings add to them.

use std::sync::Arc;

use reconcile_core::clock::Clock;

use super::{
    Health, Subject, built_in, has_rule, is_generation_aware, lua, pending_deletion, standard,
};
use crate::settings::ArgoSettings;

/// How health is found. Cloning shares the settings.
#[derive(Clone)]
pub struct Checks {
    settings: Arc<ArgoSettings>,
    clock: Clock,
}

impl Default for Checks {
    fn default() -> Self {
        Self::new(Arc::default(), Clock::system())
    }
}

impl Checks {
    /// Checks with these settings; scripts see the time of `clock`.
    pub fn new(settings: Arc<ArgoSettings>, clock: Clock) -> Self {
        Self { settings, clock }
    }

    /// Health of a live object; `None` for kinds without a rule.
    pub fn assess(&self, subject: &Subject<'_>) -> Option<Health> {
        if let Some(going) = pending_deletion(subject.metadata) {
            return Some(going);
        }
        let customizations = &self.settings.customizations;
        if let Some(check) = customizations.health(subject.group, subject.kind) {
            return lua::assess(check, subject, self.clock.now());
        }
        let built_in = built_in(subject);
        if built_in.is_none() && self.settings.standard_conditions {
            return standard::assess(subject);
        }
        built_in
    }

    /// The settings in force.
    pub fn settings(&self) -> &ArgoSettings {
        &self.settings
    }

    /// True for kinds that have a check.
    pub fn has_rule(&self, group: &str, kind: &str) -> bool {
        self.settings.standard_conditions
            || self.is_overridden(group, kind)
            || has_rule(group, kind)
    }

    /// True for kinds whose check compares generations, so that a stale status is never taken for a fresh
    /// one. Nobody knows what a script compares.
    pub fn is_generation_aware(&self, group: &str, kind: &str) -> bool {
        !self.is_overridden(group, kind) && is_generation_aware(group, kind)
    }

    /// True when both give every object of the kind the same health.
    pub fn agree(&self, other: &Self, group: &str, kind: &str) -> bool {
        let (own, others) = (&self.settings, &other.settings);
        own.standard_conditions == others.standard_conditions
            && own.customizations.health(group, kind) == others.customizations.health(group, kind)
    }

    fn is_overridden(&self, group: &str, kind: &str) -> bool {
        self.settings.customizations.health(group, kind).is_some()
    }
}
