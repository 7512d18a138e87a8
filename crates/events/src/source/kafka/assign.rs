//! How the leader of a group divides the partitions of a topic among the members that subscribe to it.

use std::collections::BTreeMap;

/// A strategy, by the name that members agree on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Strategy {
    /// Each member gets neighbours.
    Range,
    /// The members take turns.
    RoundRobin,
    /// As turns. That partitions stay with their member is what other leaders may see to.
    Sticky,
}

impl Strategy {
    /// The strategy of this name; upstream takes `range` for names that it does not know.
    pub(super) fn of(name: &str) -> Self {
        match name {
            "roundrobin" => Self::RoundRobin,
            "sticky" => Self::Sticky,
            _ => Self::Range,
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Range => "range",
            Self::RoundRobin => "roundrobin",
            Self::Sticky => "sticky",
        }
    }

    /// Divides `partitions` among `members`; both are sorted here, so every leader comes to the same.
    pub(super) fn divide(
        self,
        mut members: Vec<String>,
        mut partitions: Vec<i32>,
    ) -> BTreeMap<String, Vec<i32>> {
        members.sort_unstable();
        partitions.sort_unstable();
        let mut divided: BTreeMap<String, Vec<i32>> = members
            .iter()
            .map(|member| (member.clone(), Vec::new()))
            .collect();
        let (each, more) = match members.len() {
            0 => return divided,
            count => (partitions.len() / count, partitions.len() % count),
        };
        let mut left = partitions.into_iter();
        for (at, member) in members.iter().enumerate() {
            let Some(own) = divided.get_mut(member) else {
                continue;
            };
            if self == Self::Range {
                own.extend(left.by_ref().take(each + usize::from(at < more)));
            }
        }
        for (partition, member) in left.zip(members.iter().cycle()) {
            if let Some(own) = divided.get_mut(member) {
                own.push(partition);
            }
        }
        divided
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn divided(strategy: Strategy, members: &[&str], count: i32) -> Vec<Vec<i32>> {
        let members = members.iter().map(|member| (*member).to_owned()).collect();
        let partitions = (0..count).rev().collect();
        strategy.divide(members, partitions).into_values().collect()
    }

    #[test]
    fn every_partition_has_one_member() {
        let range = divided(Strategy::Range, &["b", "a"], 5);
        assert_eq!(range, [vec![0, 1, 2], vec![3, 4]]);
        let turns = divided(Strategy::RoundRobin, &["b", "a"], 5);
        assert_eq!(turns, [vec![0, 2, 4], vec![1, 3]]);
        let idle = divided(Strategy::Range, &["a", "b", "c"], 2);
        assert_eq!(idle, [vec![0], vec![1], vec![]]);
        assert!(divided(Strategy::Sticky, &[], 2).is_empty());
        assert_eq!(Strategy::of("something"), Strategy::Range);
    }
}
