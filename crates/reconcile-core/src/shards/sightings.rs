//! The leases of a pool as one process sees them.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};

use super::View;
use crate::lease::{Candidate, LeaseRecord, Observed};

/// Names of the leases of a pool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Names {
    /// What all of them begin with.
    pub prefix: String,
    /// Number of shards.
    pub count: u32,
}

/// What a lease of a pool stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Meaning {
    /// That one of so many shards is held.
    Shard { index: u32, count: u32 },
    /// That a process with this number of shards lives.
    Worker { count: u32 },
}

impl Names {
    /// The lease of a shard. Its name has the number of shards, because shard 3 of 8 has other objects than shard 3 of
    /// 16.
    pub fn shard(&self, index: u32) -> String {
        format!("{}-{index}-of-{}", self.prefix, self.count)
    }

    /// The lease by which a process says that it lives.
    pub fn worker(&self, id: &str) -> String {
        format!("{}-worker-{id}-of-{}", self.prefix, self.count)
    }

    fn meaning(&self, lease: &str) -> Option<Meaning> {
        let rest = lease.strip_prefix(&self.prefix)?.strip_prefix('-')?;
        let (what, count) = rest.rsplit_once("-of-")?;
        let count = count.parse().ok()?;
        if what.starts_with("worker-") {
            return Some(Meaning::Worker { count });
        }
        let index = what.parse().ok().filter(|index| *index < count)?;
        Some(Meaning::Shard { index, count })
    }
}

/// Processes of the pool that count shards otherwise, as during the roll-out of another number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Others {
    /// They hold shards.
    pub hold: bool,
    /// One of them has more shards than this process.
    pub larger: bool,
}

/// What was seen of the leases of a pool, and since when.
#[derive(Clone, Debug)]
pub struct Sightings {
    names: Names,
    me: Candidate,
    leases: BTreeMap<String, (Meaning, Observed)>,
}

impl Sightings {
    /// Nothing was seen yet.
    pub fn new(names: Names, me: Candidate) -> Self {
        Self {
            names,
            me,
            leases: BTreeMap::new(),
        }
    }

    /// Tells this process from others in the name of a lease.
    pub fn own_id(&self) -> String {
        self.me.short_id()
    }

    /// Takes in a list of leases, read at `now`, a time of the steady clock. A lease that looks as before keeps the
    /// moment at which it was first seen so.
    pub fn see(&mut self, listed: impl IntoIterator<Item = (String, LeaseRecord)>, now: Timestamp) {
        let mut before = std::mem::take(&mut self.leases);
        for (name, record) in listed {
            let Some(meaning) = self.names.meaning(&name) else {
                continue;
            };
            let seen = match before.remove(&name) {
                Some((_, seen)) if seen.record == record => seen,
                _ => Observed { record, since: now },
            };
            self.leases.insert(name, (meaning, seen));
        }
    }

    /// What was seen of a lease, so that an election need not wait for a dead holder once more.
    pub fn observed(&self, lease: &str) -> Option<&Observed> {
        self.leases.get(lease).map(|(_, seen)| seen)
    }

    /// Who holds what, without the weights. `mine` are the shards that this process knows to hold, whatever the leases
    /// say: those that name it and are not among them are left from a claim that it gave up.
    pub fn view(&self, mine: &BTreeSet<u32>, now: Timestamp) -> View {
        let count = self.names.count;
        let mut workers = BTreeSet::from([self.me.identity.clone()]);
        let mut holders = vec![None; usize::try_from(count).unwrap_or_default()];
        for (meaning, holder) in self.live(now) {
            match *meaning {
                Meaning::Shard { index, count: of } if of == count => {
                    workers.insert(holder.to_owned());
                    if holder != self.me.identity {
                        set(&mut holders, index, holder);
                    }
                }
                Meaning::Worker { count: of } if of == count => {
                    workers.insert(holder.to_owned());
                }
                Meaning::Shard { .. } | Meaning::Worker { .. } => {}
            }
        }
        for index in mine {
            set(&mut holders, *index, &self.me.identity);
        }
        View {
            workers,
            holders,
            weights: Vec::new(),
        }
    }

    /// Processes with another number of shards that live.
    pub fn others(&self, now: Timestamp) -> Others {
        let mut others = Others::default();
        for (meaning, _) in self.live(now) {
            match *meaning {
                Meaning::Shard { count, .. } if count != self.names.count => others.hold = true,
                Meaning::Worker { count } if count > self.names.count => others.larger = true,
                Meaning::Shard { .. } | Meaning::Worker { .. } => {}
            }
        }
        others
    }

    /// Leases of the pool that have been dead for `age`. They belong to processes that are gone, or to another number
    /// of shards.
    pub fn old(&self, now: Timestamp, age: SignedDuration) -> Vec<String> {
        let own = |meaning: &Meaning| matches!(meaning, Meaning::Shard { count, .. } if *count == self.names.count);
        self.leases
            .iter()
            .filter(|(_, (meaning, seen))| {
                !own(meaning)
                    && self.holder(seen, now).is_none()
                    && now.duration_since(seen.since) > age
            })
            .map(|(name, _)| name.clone())
            .collect()
    }

    fn live(&self, now: Timestamp) -> impl Iterator<Item = (&Meaning, &str)> {
        self.leases
            .values()
            .filter_map(move |(meaning, seen)| Some((meaning, self.holder(seen, now)?)))
    }

    /// Who holds the lease and is not known to be dead.
    fn holder<'s>(&self, seen: &'s Observed, now: Timestamp) -> Option<&'s str> {
        let holder = seen.record.holder.as_str();
        let alive = !holder.is_empty() && !seen.is_silent(now) && !self.me.succeeds(holder);
        alive.then_some(holder)
    }
}

fn set(holders: &mut [Option<String>], index: u32, holder: &str) {
    if let Some(slot) = usize::try_from(index)
        .ok()
        .and_then(|index| holders.get_mut(index))
    {
        *slot = Some(holder.to_owned());
    }
}
