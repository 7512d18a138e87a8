//! How many pods each version gets in a canary without traffic routing.
//!
//! Two questions: which split of pods comes closest to the weight ([`approximate`]), and how far towards
//! it one pass may go without more than `replicas + maxSurge` or fewer than `replicas - maxUnavailable`
//! pods ([`bounded`]).

use reconcile_core::kube_types::{IntOrString, int_or_percent::Round};

/// All traffic.
pub const FULL_WEIGHT: i32 = 100;
/// More pods than any cluster runs; a bound that keeps sums far from the limits of their type.
pub const MOST_PODS: i32 = 10_000_000;
/// What upstream takes when the manifest is silent.
pub const DEFAULT_SHARE: &str = "25%";

/// The bounds in pods that `maxSurge` and `maxUnavailable` stand for. Any text is a percentage, as
/// upstream reads it; surge rounds up, unavailable down, and when both come to nothing one pod may be
/// unavailable.
pub fn bounds(replicas: i32, surge: &IntOrString, unavailable: &IntOrString) -> (i32, i32) {
    let surge = surge
        .resolve(replicas, Round::Up)
        .unwrap_or_default()
        .clamp(0, MOST_PODS);
    let unavailable = unavailable
        .resolve(replicas, Round::Down)
        .unwrap_or_default()
        .max(0);
    if surge == 0 && unavailable == 0 {
        return (0, 1);
    }
    (surge, unavailable.min(replicas.max(0)))
}

/// Pods of the canary and of the stable version.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Split {
    /// Pods of the new version.
    pub canary: i32,
    /// Pods of the stable version.
    pub stable: i32,
}

/// The split of `replicas` pods, or of one more when `surge` allows, that comes closest to `weight`.
///
/// A version whose share is neither nothing nor all keeps at least one pod, unless there is only one pod
/// and no surge. Of equally close splits the first in the order (up, N), (down, N), (up, N+1),
/// (down, N+1) wins, so that ties round up.
pub fn approximate(replicas: i32, weight: i32, surge: i32) -> Split {
    if replicas <= 0 {
        return Split::default();
    }
    let product = i64::from(replicas) * i64::from(weight);
    let full = i64::from(FULL_WEIGHT);
    let (floor, rest) = (product.div_euclid(full), product.rem_euclid(full));
    let ceil = floor + i64::from(rest > 0);
    let whole = weight == 0 || weight == FULL_WEIGHT;
    let zero_allowed = whole || (replicas == 1 && surge == 0);
    let (count, tie) = (i64::from(replicas), |total: i64| {
        (total * i64::from(weight)).rem_euclid(full) * 2 == full
    });
    let mut options = Vec::with_capacity(4);
    if ceil < count || zero_allowed {
        options.push((ceil, count));
    }
    if !tie(count) && (floor != 0 || zero_allowed) {
        options.push((floor, count));
    }
    if surge > 0 {
        options.push((ceil, count + 1));
        if !tie(count + 1) && (floor != 0 || zero_allowed) {
            options.push((floor, count + 1));
        }
    }
    // |canary / total - weight / 100| compared as whole numbers: cross-multiplied by the totals.
    let distance =
        |(canary, total): (i64, i64)| ((canary * full - i64::from(weight) * total).abs(), total);
    let mut best: Option<(i64, i64)> = None;
    for option in options {
        let closer = best.is_none_or(|best| {
            let ((new_gap, new_total), (old_gap, old_total)) = (distance(option), distance(best));
            new_gap * old_total < old_gap * new_total
        });
        if closer {
            best = Some(option);
        }
    }
    // Nothing fits without a surge where a tie would round up to all pods: one pod stays stable.
    let (canary, total) = best.unwrap_or((floor, count));
    let pods = |number: i64| i32::try_from(number).unwrap_or(i32::MAX);
    Split {
        canary: pods(canary),
        stable: pods(total - canary),
    }
}

/// A ReplicaSet as the arithmetic sees it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pods {
    /// `spec.replicas`.
    pub wanted: i32,
    /// `status.availableReplicas`.
    pub available: i32,
}

impl Pods {
    /// Available pods that stay: those above the wanted number are about to go.
    pub fn steady(self) -> i32 {
        self.available.min(self.wanted)
    }
}

/// The situation that [`bounded`] looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScalingInput {
    /// `spec.replicas` of the Rollout.
    pub replicas: i32,
    /// Share of the canary in percent.
    pub weight: i32,
    /// Pods that may be above `replicas`.
    pub surge: i32,
    /// Pods that may be below `replicas`.
    pub unavailable: i32,
    /// The new version.
    pub canary: Pods,
    /// The stable version; none when there is none or when it is the new one.
    pub stable: Option<Pods>,
    /// Sum of `spec.replicas` of all other ReplicaSets.
    pub older: i32,
    /// A ReplicaSet has not acted on its newest `spec.replicas` yet, so that its available pods may be leaving: nothing
    /// shrinks in their favour.
    pub stale: bool,
    /// Pods that this pass removes. They make no room yet: effects that grow a version come before
    /// those that shrink one, and the process may end in between.
    pub leaving: i32,
}

/// The counts that the weight asks for in the end.
pub fn goal(now: &ScalingInput) -> Split {
    if now.stable.is_none() {
        return Split {
            canary: now.replicas,
            stable: 0,
        };
    }
    approximate(now.replicas, now.weight, now.surge)
}

/// The counts of this pass: as far towards the weight as the bounds allow.
///
/// What goes up comes first, the stable version before the canary. While older versions have pods, or counts
/// are stale, nothing else shrinks. Of the two versions only the one that the weight takes pods from shrinks, and only by
/// what the availability of the other leaves over.
pub fn bounded(now: &ScalingInput) -> Split {
    let goal = goal(now);
    let stable = now.stable.unwrap_or_default();
    let most = now.replicas + now.surge;
    let least = now.replicas - now.unavailable;
    let mut budget = (most - now.canary.wanted - stable.wanted - now.older - now.leaving).max(0);
    let mut grow = |from: i32, to: i32| {
        let step = (to - from).clamp(0, budget);
        budget -= step;
        from + step
    };
    let mut split = Split {
        canary: 0,
        stable: grow(stable.wanted, goal.stable),
    };
    split.canary = grow(now.canary.wanted, goal.canary);
    if now.older > 0 || now.stale {
        return split;
    }
    if now.stable.is_none() {
        return Split {
            canary: shrink_alone(now, split.canary, least),
            stable: 0,
        };
    }
    // What is drained counts with all its pods: its unavailable ones go first anyway.
    let growing = goal.canary >= now.canary.wanted;
    let (kept, drained) = if growing {
        (now.canary, stable)
    } else {
        (stable, now.canary)
    };
    let spare = kept.steady() + drained.wanted - least;
    if spare > 0 {
        if growing {
            split.stable = shrink(stable.wanted, goal.stable, spare, split.stable);
        } else {
            split.canary = shrink(now.canary.wanted, goal.canary, spare, split.canary);
        }
    }
    clamp(split, now, growing)
}

fn shrink(from: i32, to: i32, spare: i32, planned: i32) -> i32 {
    if from > to {
        (from - spare).max(to)
    } else {
        planned
    }
}

/// Only one version is left: its extra pods go as soon as the others hold the promise.
fn shrink_alone(now: &ScalingInput, planned: i32, least: i32) -> i32 {
    if now.canary.wanted <= now.replicas {
        return planned;
    }
    shrink(
        now.canary.wanted,
        now.replicas,
        now.canary.wanted - least,
        planned,
    )
}

/// The last word: never more than `replicas + surge`, and then never fewer than `replicas - unavailable`.
/// It matters when `replicas` was lowered in the middle of an update. Pods that are not available go
/// first.
fn clamp(mut split: Split, now: &ScalingInput, growing: bool) -> Split {
    let Split { canary, stable } = &mut split;
    let stable_ready = now.stable.unwrap_or_default().available;
    let (kept, kept_ready, drained, drained_ready) = if growing {
        (canary, now.canary.available, stable, stable_ready)
    } else {
        (stable, stable_ready, canary, now.canary.available)
    };
    let mut over = (*kept + *drained - now.replicas - now.surge).max(0);
    let mut take = |from: &mut i32, at_most: i32| {
        let step = at_most.min(over).max(0);
        *from -= step;
        over -= step;
    };
    take(drained, *drained - drained_ready);
    take(kept, *kept - kept_ready);
    take(kept, *kept);
    let under = (now.replicas - now.unavailable - *kept - *drained).max(0);
    *drained += under;
    split
}
