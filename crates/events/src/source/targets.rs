//! Which port of this process leads to which EventSource.
//!
//! An `EndpointSlice` is read by proxies long after it was written, also after this process has started again. So a
//! port that a slice names, or that one named a moment ago, is given to no other EventSource: its callers would reach
//! a stranger.

use std::{
    collections::{BTreeSet, HashMap},
    ops::RangeInclusive,
    time::Duration,
};

use reconcile_core::{kube_types::names::fnv1a_64, object::ObjectKey};
use tokio::time::Instant;

/// The ports of targets, which no manifest can open. The range is below the ports that the kernel gives to outgoing
/// connections.
pub(super) const TARGETS: RangeInclusive<u16> = 20_000..=29_999;
/// Proxies may still lead to a port for this long after no slice names it any more.
const QUARANTINE: Duration = Duration::from_secs(60);
/// Ports that are tried for one target; others may be taken by programs of the same host.
const TRIES: usize = 256;

/// Who has, or had, the ports of targets.
#[derive(Default)]
pub(super) struct TargetPorts(HashMap<u16, Holder>);

struct Holder {
    owner: ObjectKey,
    open: bool,
    /// A slice names the port, as far as is known.
    published: bool,
    /// When the port was closed, or was last published.
    left: Instant,
}

impl Holder {
    fn may_give_way(&self, now: Instant) -> bool {
        !self.open && !self.published && now.duration_since(self.left) >= QUARANTINE
    }
}

impl TargetPorts {
    /// Ports for a target of `owner`, the best one first: the same after each restart, where it is free.
    pub(super) fn candidates(&self, owner: &ObjectKey, port: u16) -> Vec<u16> {
        let now = Instant::now();
        let count = u64::from(TARGETS.end() - TARGETS.start()) + 1;
        let first = fnv1a_64(format!("{owner}/{port}").as_bytes()) % count;
        let free = |number: &u16| match self.0.get(number) {
            None => true,
            Some(holder) if holder.owner == *owner => !holder.open,
            Some(holder) => holder.may_give_way(now),
        };
        (0..count)
            .filter_map(|step| u16::try_from((first + step) % count).ok())
            .map(|offset| TARGETS.start() + offset)
            .filter(free)
            .take(TRIES)
            .collect()
    }

    /// The port is open for `owner`.
    pub(super) fn opened(&mut self, owner: &ObjectKey, number: u16) {
        self.hold(owner, number).open = true;
    }

    /// The port is closed.
    pub(super) fn closed(&mut self, number: u16) {
        if let Some(holder) = self.0.get_mut(&number) {
            holder.open = false;
            holder.left = Instant::now();
        }
    }

    /// A slice of `owner` names the port.
    pub(super) fn published(&mut self, owner: &ObjectKey, number: u16) {
        self.hold(owner, number).published = true;
    }

    /// The slices of `owner` name these ports, and no others.
    pub(super) fn published_only(&mut self, owner: &ObjectKey, numbers: &BTreeSet<u16>) {
        for (number, holder) in &mut self.0 {
            if holder.owner == *owner && holder.published && !numbers.contains(number) {
                holder.published = false;
                holder.left = Instant::now();
            }
        }
    }

    /// Whether callers of an EventSource may come in by this port.
    pub(super) fn is_held(&self, number: u16) -> bool {
        let now = Instant::now();
        let holder = self.0.get(&number);
        holder.is_some_and(|holder| !holder.may_give_way(now))
    }

    fn hold(&mut self, owner: &ObjectKey, number: u16) -> &mut Holder {
        let fresh = || Holder {
            owner: owner.clone(),
            open: false,
            published: false,
            left: Instant::now(),
        };
        let holder = self.0.entry(number).or_insert_with(fresh);
        if holder.owner != *owner {
            *holder = fresh();
        }
        holder
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn first(ports: &TargetPorts, owner: &ObjectKey) -> u16 {
        ports.candidates(owner, 12000)[0]
    }

    /// Another EventSource whose target would like to have the same port.
    fn rival(number: u16) -> ObjectKey {
        (0..u32::MAX)
            .map(|count| ObjectKey::new("evil", format!("rival-{count}")))
            .find(|owner| first(&TargetPorts::default(), owner) == number)
            .expect("the range is small")
    }

    #[tokio::test(start_paused = true)]
    async fn a_port_goes_to_another_owner_only_when_nobody_can_still_call_it() {
        let mut ports = TargetPorts::default();
        let owner = ObjectKey::new("ns", "src");
        let number = first(&ports, &owner);
        let rival = rival(number);
        ports.opened(&owner, number);
        ports.published(&owner, number);
        assert_ne!(first(&ports, &rival), number, "open");
        ports.closed(number);
        tokio::time::advance(10 * QUARANTINE).await;
        assert_ne!(first(&ports, &rival), number, "still in a slice");
        assert_eq!(first(&ports, &owner), number, "its owner gets it back");
        ports.published_only(&owner, &BTreeSet::new());
        assert_ne!(
            first(&ports, &rival),
            number,
            "in no slice for a moment only"
        );
        tokio::time::advance(QUARANTINE).await;
        assert_eq!(first(&ports, &rival), number);
        ports.opened(&rival, number);
        assert_ne!(first(&ports, &owner), number);
    }

    #[test]
    fn a_slice_of_an_earlier_process_keeps_its_port() {
        let mut ports = TargetPorts::default();
        let owner = ObjectKey::new("ns", "src");
        let number = first(&ports, &owner);
        ports.published(&owner, number);
        assert_ne!(first(&ports, &rival(number)), number);
        assert_eq!(first(&ports, &owner), number);
        assert!(ports.is_held(number));
        // Also one outside of the range, as earlier versions gave out.
        ports.published(&owner, 40_000);
        assert!(ports.is_held(40_000) && !ports.is_held(40_001));
    }

    #[test]
    fn every_candidate_is_in_the_range_and_their_number_is_bounded() {
        let candidates = TargetPorts::default().candidates(&ObjectKey::new("ns", "src"), 1);
        assert_eq!(candidates.len(), TRIES);
        assert!(candidates.iter().all(|number| TARGETS.contains(number)));
    }
}
