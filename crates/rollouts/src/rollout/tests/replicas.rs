use proptest::prelude::*;
use reconcile_core::kube_types::IntOrString;

use crate::rollout::plan::replicas::{Pods, ScalingInput, Split, approximate, bounded, bounds};

fn split(canary: i32, stable: i32) -> Split {
    Split { canary, stable }
}

#[test]
fn the_split_comes_as_close_to_the_weight_as_pods_allow() {
    // (replicas, weight, surge) -> (canary, stable)
    let table = [
        ((5, 50, 2), (3, 3)),
        ((5, 50, 0), (3, 2)),
        ((5, 20, 1), (1, 4)),
        ((10, 1, 0), (1, 9)),
        ((10, 99, 0), (9, 1)),
        ((10, 99, 3), (10, 1)),
        ((1, 50, 0), (1, 0)),
        ((1, 50, 1), (1, 1)),
        ((1, 10, 0), (0, 1)),
        ((1, 10, 1), (1, 1)),
        ((2, 10, 0), (1, 1)),
        ((4, 25, 1), (1, 3)),
        ((3, 33, 1), (1, 2)),
        ((10, 0, 3), (0, 10)),
        ((10, 100, 3), (10, 0)),
        ((0, 50, 1), (0, 0)),
    ];
    for ((replicas, weight, surge), (canary, stable)) in table {
        assert_eq!(
            approximate(replicas, weight, surge),
            split(canary, stable),
            "{replicas} pods, weight {weight}, surge {surge}"
        );
    }
}

#[test]
fn any_text_is_a_percentage_and_both_zero_means_one_unavailable() {
    let of = |replicas, surge: IntOrString, unavailable: IntOrString| {
        bounds(replicas, &surge, &unavailable)
    };
    assert_eq!(of(10, "25%".into(), "25%".into()), (3, 2));
    assert_eq!(of(10, "25".into(), "25".into()), (3, 2));
    assert_eq!(of(10, "1".into(), 0.into()), (1, 0));
    assert_eq!(of(10, 3.into(), 4.into()), (3, 4));
    assert_eq!(of(10, "0%".into(), "5%".into()), (0, 1));
    assert_eq!(of(1, "25%".into(), "25%".into()), (1, 0));
    assert_eq!(of(2, 0.into(), 9.into()), (0, 2));
}

fn pods(wanted: i32, available: i32) -> Pods {
    Pods { wanted, available }
}

#[test]
fn a_pass_goes_no_further_than_the_bounds() {
    let start = ScalingInput {
        replicas: 10,
        weight: 50,
        surge: 2,
        unavailable: 1,
        canary: pods(0, 0),
        stable: Some(pods(10, 10)),
        older: 0,
        stale: false,
        leaving: 0,
    };
    // Surge first; one stable pod may go at once.
    assert_eq!(bounded(&start), split(2, 9));
    // New pods that are not available yet give nothing to shrink for.
    let waiting = ScalingInput {
        canary: pods(2, 0),
        stable: Some(pods(9, 9)),
        ..start
    };
    assert_eq!(bounded(&waiting), split(3, 9));
    let further = ScalingInput {
        canary: pods(3, 3),
        stable: Some(pods(9, 9)),
        ..start
    };
    assert_eq!(bounded(&further), split(3, 6));
    // Older versions go before anything else shrinks.
    let older = ScalingInput {
        canary: pods(2, 2),
        stable: Some(pods(9, 9)),
        older: 1,
        ..start
    };
    assert_eq!(bounded(&older), split(2, 9));
    // Pods that may be leaving give nothing to shrink for.
    let stale = ScalingInput {
        stale: true,
        ..further
    };
    assert_eq!(bounded(&stale), split(3, 9));
}

#[test]
fn an_abort_brings_the_stable_version_back_within_the_bounds() {
    let now = ScalingInput {
        replicas: 10,
        weight: 0,
        surge: 2,
        unavailable: 1,
        canary: pods(8, 8),
        stable: Some(pods(2, 2)),
        older: 0,
        stale: false,
        leaving: 0,
    };
    assert_eq!(bounded(&now), split(7, 4));
}

#[test]
fn a_smaller_rollout_shrinks_in_the_middle_of_an_update() {
    let now = ScalingInput {
        replicas: 2,
        weight: 50,
        surge: 1,
        unavailable: 0,
        canary: pods(5, 5),
        stable: Some(pods(5, 5)),
        older: 0,
        stale: false,
        leaving: 0,
    };
    let next = bounded(&now);
    assert!(next.canary + next.stable <= 3, "{next:?}");
    let alone = ScalingInput {
        stable: None,
        ..now
    };
    assert_eq!(bounded(&alone), split(2, 0));
}

proptest! {
    #[test]
    fn the_total_is_the_wanted_number_or_one_more(replicas in 0..200_i32, weight in 0..=100_i32, surge in 0..5_i32) {
        let Split { canary, stable } = approximate(replicas, weight, surge);
        let total = canary + stable;
        prop_assert!(canary >= 0 && stable >= 0);
        prop_assert!(total == replicas || (surge > 0 && total == replicas + 1));
        if weight == 0 { prop_assert_eq!(canary, 0); }
        if weight == 100 && replicas > 0 { prop_assert_eq!(stable, 0); }
        if weight > 0 && weight < 100 && replicas > 1 { prop_assert!(canary > 0 && stable > 0); }
    }

    #[test]
    fn more_weight_never_means_a_smaller_share(replicas in 1..100_i32, weight in 0..100_i32, surge in 0..3_i32) {
        let (less, more) = (approximate(replicas, weight, surge), approximate(replicas, weight + 1, surge));
        let share = |split: Split| f64::from(split.canary) / f64::from(split.canary + split.stable);
        prop_assert!(share(more) >= share(less) - 1e-9, "{:?} then {:?}", less, more);
    }

    #[test]
    fn a_pass_keeps_its_promises(
        replicas in 1..40_i32, weight in 0..=100_i32, surge in 0..6_i32, unavailable in 0..6_i32,
        canary in 0..45_i32, stable in 0..45_i32, canary_ready in 0..45_i32, stable_ready in 0..45_i32, older in 0..5_i32,
    ) {
        let unavailable = if surge == 0 && unavailable == 0 { 1 } else { unavailable.min(replicas) };
        // Stable pods are healthy: what breaks by itself is not this arithmetic's doing.
        let _ = stable_ready;
        let now = ScalingInput {
            replicas, weight, surge, unavailable, older,
            stale: false,
            leaving: 0,
            canary: pods(canary, canary_ready.min(canary)),
            stable: Some(pods(stable, stable)),
        };
        let next = bounded(&now);
        prop_assert!(next.canary >= 0 && next.stable >= 0);
        let (before, after) = (canary + stable + older, next.canary + next.stable + older);
        prop_assert!(after <= before.max(replicas + surge), "{:?} -> {:?}", now, next);
        let steady = |canary: i32, stable: i32| now.canary.available.min(canary) + stable.min(now.stable.unwrap_or_default().available);
        let least = (replicas - unavailable).min(steady(canary, stable));
        prop_assert!(steady(next.canary, next.stable) >= least, "{:?} -> {:?}", now, next);
    }

    #[test]
    fn passes_reach_the_split_when_pods_become_available(
        replicas in 1..30_i32, weight in 0..=100_i32, surge in 0..5_i32, unavailable in 0..5_i32, from in 0..=100_i32,
    ) {
        let unavailable = if surge == 0 && unavailable == 0 { 1 } else { unavailable.min(replicas) };
        let begin = approximate(replicas, from, surge);
        let goal = approximate(replicas, weight, surge);
        let mut now = begin;
        for _ in 0..=2 * replicas + 2 {
            now = bounded(&ScalingInput {
                replicas, weight, surge, unavailable, older: 0, stale: false, leaving: 0,
                canary: pods(now.canary, now.canary),
                stable: Some(pods(now.stable, now.stable)),
            });
        }
        prop_assert_eq!(now, goal);
    }
}
