//! The progress deadline.

use reconcile_core::conditions::ConditionStatus;
use serde_json::json;

use super::{cluster::Cluster, rules::condition};
use crate::rollout::plan::conditions::{kind, reason};

#[test]
fn the_deadline_makes_the_rollout_degraded_and_may_abort_it() {
    for abort in [false, true] {
        let mut cluster = Cluster::new(2, &json!({"canary": {"steps": [{"setWeight": 50}]}}));
        cluster.edit(|spec| {
            spec["progressDeadlineSeconds"] = 60.into();
            spec["progressDeadlineAbort"] = abort.into();
        });
        cluster.run();
        cluster.hanging.push("v2".into());
        cluster.set_image("v2");
        cluster.run();
        assert_eq!(cluster.status().phase, "Progressing");
        assert!(cluster.wake.is_some(), "somebody must look again");
        cluster.advance(62);
        cluster.run();
        let status = cluster.status();
        let progressing = condition(&status, kind::PROGRESSING);
        assert_eq!(status.phase, "Degraded");
        if abort {
            assert_eq!(progressing.reason, reason::ABORTED);
            assert_eq!(cluster.sizes()["v1"], 2);
        } else {
            assert_eq!(progressing.reason, reason::TIMED_OUT);
        }
    }
}

#[test]
fn every_pass_of_an_update_leaves_a_wake_up_for_the_deadline() {
    let mut cluster = Cluster::new(2, &json!({"canary": {"maxSurge": 1}}));
    cluster.run();
    cluster.hanging.push("v2".into());
    cluster.set_image("v2");
    for pass in 0..5 {
        // The last event may be the one that brings progress, and no other follows.
        cluster.pass(None);
        assert!(cluster.wake.is_some(), "pass {pass}: {}", cluster.log);
        cluster.peers();
    }
}

#[test]
fn a_pause_stops_the_clock_of_the_deadline() {
    let mut cluster = Cluster::new(
        2,
        &json!({"canary": {"steps": [{"setWeight": 50}, {"pause": {}}]}}),
    );
    cluster.run();
    cluster.set_image("v2");
    cluster.run();
    cluster.advance(100_000);
    cluster.run();
    assert_eq!(cluster.status().phase, "Paused");
    assert_eq!(
        condition(&cluster.status(), kind::PROGRESSING).status,
        ConditionStatus::Unknown
    );
    cluster.patch_status(&json!({"pauseConditions": null}));
    cluster.run();
    assert_eq!(cluster.status().phase, "Healthy");
}

#[test]
fn pods_that_come_and_go_do_not_stop_the_clock_of_the_deadline() {
    let mut cluster = Cluster::new(2, &json!({"canary": {"maxSurge": 1, "maxUnavailable": 0}}));
    cluster.edit(|spec| spec["progressDeadlineSeconds"] = 60.into());
    cluster.run();
    cluster.hanging.push("v2".into());
    cluster.set_image("v2");
    cluster.run();
    let name = cluster.set_of("v2").name.clone();
    for _ in 0..20 {
        cluster.advance(4);
        // Ready for a moment, and then not.
        for ready in [true, false] {
            cluster.set(&name).ready = i32::from(ready);
            cluster.settle();
        }
    }
    assert_eq!(
        condition(&cluster.status(), kind::PROGRESSING).reason,
        reason::TIMED_OUT,
        "{}",
        cluster.log
    );
}
