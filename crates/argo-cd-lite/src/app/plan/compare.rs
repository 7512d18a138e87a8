//! Git against cluster: sync status, health, and a row per object.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    sync::Arc,
};

use crate::{
    api::{HealthStatus, ResourceStatus, SyncResult},
    app::{Observed, Problem, SourceState},
    clusters::{Live, ResourceId},
    health::{Code, Health, Member, aggregate},
    render::{Target, TargetSet},
};

/// The outcome of a comparison.
#[derive(Clone, Debug, PartialEq)]
pub struct Comparison {
    /// `Synced`, `OutOfSync` or `Unknown`.
    pub sync: &'static str,
    /// Health of the whole.
    pub health: Health,
    /// A row per object, in a stable order.
    pub rows: Vec<ResourceStatus>,
    /// Images of live objects.
    pub images: Vec<String>,
    /// What a person should know about the objects.
    pub problems: Vec<Problem>,
}

/// Live objects as observed, with what this pass has done to them.
pub struct View<'a> {
    observed: &'a Observed,
    changed: HashMap<ResourceId, Option<Arc<Live>>>,
    applied: HashSet<ResourceId>,
    namespace_differs: bool,
}

impl<'a> View<'a> {
    /// As observed.
    pub fn new(observed: &'a Observed) -> Self {
        Self {
            observed,
            changed: HashMap::new(),
            applied: HashSet::new(),
            namespace_differs: observed.namespace_metadata_changed(
                observed
                    .status
                    .operation_state
                    .as_ref()
                    .and_then(|state| state.sync_result.as_ref()),
            ),
        }
    }

    /// The operation has come to this result.
    pub fn synced(&mut self, result: Option<&SyncResult>) {
        self.namespace_differs = self.observed.namespace_metadata_changed(result);
    }

    /// The object is now like this; `None` when it is gone.
    pub fn change(&mut self, id: &ResourceId, live: Option<Arc<Live>>) {
        self.changed.insert(id.clone(), live);
    }

    /// The object is now like this, which is what Git says.
    pub fn apply(&mut self, id: &ResourceId, live: Arc<Live>) {
        self.applied.insert(id.clone());
        self.change(id, Some(live));
    }

    fn live(&self, id: &ResourceId) -> Option<&Arc<Live>> {
        match self.changed.get(id) {
            Some(changed) => changed.as_ref(),
            None => self.observed.live.get(id),
        }
    }

    fn same(&self, id: &ResourceId) -> bool {
        self.applied.contains(id) || self.observed.same.contains(id)
    }

    /// All live objects of the application that are not in `described`.
    fn others(&self, described: &HashSet<&ResourceId>) -> Vec<(&ResourceId, &Arc<Live>)> {
        let known = self
            .observed
            .live
            .keys()
            .filter(|id| !self.changed.contains_key(*id));
        let mut others: Vec<(&ResourceId, &Arc<Live>)> = known
            .chain(self.changed.keys())
            .filter(|id| !described.contains(id))
            .filter_map(|id| Some((id, self.live(id)?)))
            .filter(|(_, live)| !live.owned && live.belongs_to(&self.observed.instance))
            .collect();
        others.sort_by(|a, b| a.0.cmp(b.0));
        others
    }
}

/// Compares.
pub fn compare(view: &View<'_>) -> Comparison {
    let mut tally = Tally::default();
    let empty = TargetSet::default();
    let set = match &view.observed.source {
        SourceState::Ready { set, .. } => set.as_ref(),
        SourceState::Failed { .. } | SourceState::NotAsked => &empty,
    };
    let known = view.observed.source.ready().is_some() && view.observed.live_complete;
    let mut described: HashSet<&ResourceId> = HashSet::new();
    let mut hooks: HashMap<&ResourceId, i32> = HashMap::new();
    for target in &set.targets {
        if target.settings.is_hook() {
            hooks.insert(&target.id, target.settings.wave);
            continue;
        }
        described.insert(&target.id);
        described_object(view, target, &mut tally);
    }
    for (id, live) in view.others(&described) {
        let settings = live.settings();
        let own = live
            .tracking
            .as_ref()
            .is_some_and(|tracking| tracking.describes(id))
            && !view.observed.handed_over.contains(id);
        let version = live.version.as_ref();
        if settings.is_hook() || hooks.contains_key(id) {
            let wave = hooks.get(id).copied().unwrap_or(settings.wave);
            tally.rows.push(ResourceStatus {
                hook: true,
                requires_pruning: own,
                ..row(id, version, wave, "")
            });
            continue;
        }
        if view.observed.is_managed_namespace(id) {
            tally.rows.push(row(id, version, 0, "Synced"));
            continue;
        }
        // A copy made by another controller is shown, and otherwise left alone.
        let status = match (known, own) {
            (false, _) => "Unknown",
            (true, true) => "OutOfSync",
            (true, false) => "",
        };
        tally.rows.push(ResourceStatus {
            requires_pruning: known && own,
            requires_deletion_confirmation: settings.needs_confirmation(),
            health: health_of(Some(live)),
            ..row(id, version, 0, status)
        });
        tally.out_of_sync |= known && own && !settings.ignore_extraneous;
        if own && !settings.ignore_health {
            tally.member(id, Some(live), view.observed);
        }
    }
    tally.out_of_sync |= view.namespace_differs;
    tally.finish(view, set, known)
}

/// An object that Git describes.
fn described_object(view: &View<'_>, target: &Target, tally: &mut Tally) {
    let observed = view.observed;
    let live = view.live(&target.id);
    let same = live.is_some() && target.generate_name.is_none() && view.same(&target.id);
    let status = match same {
        true => "Synced",
        false if observed.refused.contains_key(&target.id) => "Unknown",
        false => "OutOfSync",
    };
    tally.rows.push(ResourceStatus {
        health: health_of(live),
        requires_deletion_confirmation: target.settings.needs_confirmation(),
        ..row(&target.id, &target.version, target.settings.wave, status)
    });
    tally.out_of_sync |= !same;
    if !target.settings.ignore_health {
        tally.member(&target.id, live, observed);
    }
    shared(observed, &target.id, live, &mut tally.problems);
}

fn row(id: &ResourceId, version: &str, wave: i32, status: &str) -> ResourceStatus {
    ResourceStatus {
        group: id.kind.group.to_string(),
        version: version.to_owned(),
        kind: id.kind.kind.to_string(),
        namespace: id.namespace.to_string(),
        name: id.name.to_string(),
        status: status.to_owned(),
        sync_wave: i64::from(wave),
        ..ResourceStatus::default()
    }
}

/// Health of an object as its row has it; kinds without a check have none.
fn health_of(live: Option<&Arc<Live>>) -> Option<HealthStatus> {
    let missing = Health::of(Code::Missing);
    let health = match live {
        Some(live) => live.health.as_ref()?,
        None => &missing,
    };
    Some(HealthStatus {
        status: health.code.word().to_owned(),
        message: health.text().to_owned(),
        last_transition_time: None,
    })
}

/// Somebody else tracks an object that Git describes here.
fn shared(
    observed: &Observed,
    id: &ResourceId,
    live: Option<&Arc<Live>>,
    problems: &mut Vec<Problem>,
) {
    let warning = |others: &str| {
        let (kind, name, own) = (&id.kind.kind, &id.name, &observed.key);
        let message = format!("{kind}/{name} is part of applications {own} and {others}");
        Problem::remark("SharedResourceWarning", message)
    };
    if let Some(apps) = observed.shared_definitions.get(id) {
        let apps: Vec<String> = apps.iter().map(ToString::to_string).collect();
        problems.push(warning(&apps.join(", ")));
    }
    let Some(tracking) = live.and_then(|live| live.tracking.as_ref()) else {
        return;
    };
    if tracking.instance != observed.instance && tracking.describes(id) {
        problems.push(warning(&tracking.instance.replace('_', "/")));
    }
}

#[derive(Default)]
struct Tally {
    rows: Vec<ResourceStatus>,
    out_of_sync: bool,
    healths: Vec<(ResourceId, bool, Option<Health>)>,
    problems: Vec<Problem>,
}

impl Tally {
    fn member(&mut self, id: &ResourceId, live: Option<&Arc<Live>>, observed: &Observed) {
        // An application that describes itself does not wait for itself.
        let itself = id.kind.is("argoproj.io", "Application")
            && *id.name == observed.key.name
            && *id.namespace == observed.key.namespace;
        if !itself {
            let health = live.and_then(|live| live.health.clone());
            self.healths.push((id.clone(), live.is_some(), health));
        }
    }

    fn finish(mut self, view: &View<'_>, set: &TargetSet, known: bool) -> Comparison {
        self.rows.sort_by(|a, b| {
            (&a.group, &a.kind, &a.namespace, &a.name, &a.version).cmp(&(
                &b.group,
                &b.kind,
                &b.namespace,
                &b.name,
                &b.version,
            ))
        });
        let members: Vec<Member<'_>> = self
            .healths
            .iter()
            .map(|(id, live, health)| Member {
                kind: &id.kind.kind,
                namespace: &id.namespace,
                name: &id.name,
                live: *live,
                health: health.as_ref(),
                is_application: id.kind.is("argoproj.io", "Application"),
            })
            .collect();
        let health = match &view.observed.source {
            // Nothing is known of what should be there, and nothing is there.
            SourceState::NotAsked | SourceState::Failed { .. } if members.is_empty() => {
                Health::of(Code::Healthy)
            }
            _ => aggregate(&members),
        };
        let sync = match (known, self.out_of_sync) {
            (false, _) => "Unknown",
            (true, true) => "OutOfSync",
            (true, false) => "Synced",
        };
        self.warn(set);
        Comparison {
            sync,
            health,
            rows: self.rows,
            images: images(view),
            problems: self.problems,
        }
    }

    /// What a person should know of the targets themselves.
    fn warn(&mut self, set: &TargetSet) {
        let mut times: BTreeMap<&ResourceId, usize> = BTreeMap::new();
        for id in &set.repeated {
            *times.entry(id).or_insert(1) += 1;
        }
        for (id, times) in times {
            let (group, kind) = (&id.kind.group, &id.kind.kind);
            self.problems.push(Problem::remark(
                "RepeatedResourceWarning",
                format!(
                    "Resource {group}/{kind}/{}/{} appeared {times} times among application resources.",
                    id.namespace, id.name
                ),
            ));
        }
        for id in &set.excluded {
            self.problems.push(Problem::remark(
                "ExcludedResourceWarning",
                format!(
                    "Resource {}/{} {} is excluded in the settings",
                    id.kind.group, id.kind.kind, id.name
                ),
            ));
        }
        for remark in &set.remarks {
            self.problems
                .push(Problem::remark("RenderWarning", remark.clone()));
        }
        if !set.unsupported.is_empty() {
            self.problems.push(Problem::remark(
                "InvalidSpecError",
                format!("not supported yet: {}", set.unsupported.join(", ")),
            ));
        }
    }
}

fn images(view: &View<'_>) -> Vec<String> {
    let unchanged = view
        .observed
        .live
        .iter()
        .filter(|(id, _)| !view.changed.contains_key(*id));
    let images: BTreeSet<&str> = unchanged
        .map(|(_, live)| live)
        .chain(view.changed.values().flatten())
        .filter(|live| live.belongs_to(&view.observed.instance))
        .flat_map(|live| live.images.iter().map(AsRef::as_ref))
        .collect();
    images.into_iter().map(str::to_owned).collect()
}
