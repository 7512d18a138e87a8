//! When a sync starts, and with what.
#![expect(
    clippy::needless_pass_by_value,
    reason = "json!() literals read better in place"
)]

mod deletion;
mod namespaces;

use super::*;
use crate::app::plan::{Action, OperationStep, Start, decide::decide, plan};

fn actions(observed: &Observed) -> Vec<String> {
    plan(observed, now())
        .as_ref()
        .actions
        .iter()
        .map(ToString::to_string)
        .collect()
}

fn automated(policy: Value) -> Value {
    json!({ "automated": policy })
}

/// The state after a successful sync of `COMMIT`.
fn synced(observed: Observed, attempts: i64, finished: &str) -> Observed {
    let source = serde_json::to_value(&observed.spec.source).expect("a source");
    let status = json!({
        "operationState": {
            "phase": "Succeeded", "startedAt": finished, "finishedAt": finished,
            "operation": {"sync": {"revision": COMMIT, "autoHealAttemptsCount": attempts}},
            "syncResult": {"revision": COMMIT, "source": source},
        },
    });
    with_status(observed, &status)
}

#[test]
fn nothing_happens_without_being_asked() {
    assert!(actions(&observed(json!({}), &["a"], &[])).is_empty());
    assert!(actions(&observed(automated(json!({"enabled": false})), &["a"], &[])).is_empty());
    assert!(actions(&observed(automated(json!({})), &["a"], &["a"])).is_empty());
}

#[test]
fn an_automated_application_applies_what_is_missing() {
    assert_eq!(
        actions(&observed(automated(json!({})), &["a"], &[])),
        ["run 1 tasks: apply ConfigMap ns/a (Sync wave 0)"]
    );
}

#[test]
fn prunes_need_the_policy() {
    let only_prunes = |policy: Value| actions(&observed(automated(policy), &["a"], &["a", "old"]));
    assert!(only_prunes(json!({})).is_empty());
    let pruned = only_prunes(json!({"prune": true}));
    assert!(pruned[0].contains("prune ConfigMap ns/old"), "{pruned:?}");
}

#[test]
fn a_commit_that_empties_everything_is_refused_unless_allowed() {
    let refused = observed(automated(json!({"prune": true})), &[], &["a", "b"]);
    assert!(actions(&refused).is_empty());
    let decision = decide(&refused, now());
    assert_eq!(decision.problems[0].type_, "SyncError");
    let allowed = observed(
        automated(json!({"prune": true, "allowEmpty": true})),
        &[],
        &["a", "b"],
    );
    assert_eq!(actions(&allowed).len(), 1);
}

#[test]
fn nothing_is_pruned_from_incomplete_inputs() {
    let mut unknown = observed(automated(json!({"prune": true})), &["a"], &["a", "old"]);
    unknown.live_complete = false;
    assert!(actions(&unknown).is_empty());
    let mut failed = observed(automated(json!({"prune": true})), &["a"], &["a", "old"]);
    failed.source = SourceState::Failed {
        message: "broken".into(),
        transient: false,
        grace: false,
    };
    assert!(actions(&failed).is_empty());
    failed.operation = operation(json!({"sync": {"prune": true}}));
    let decision = decide(&failed, now());
    assert!(
        matches!(decision.step, OperationStep::End(..)),
        "{:?}",
        decision.step
    );
}

#[test]
fn copies_and_owned_objects_are_never_pruned() {
    let mut observed = observed(
        automated(json!({"prune": true, "allowEmpty": true})),
        &[],
        &[],
    );
    let mut copy = Live::clone(&live("original"));
    copy.tracking = live("other").tracking.clone();
    observed.live.insert(id("original"), Arc::new(copy));
    let mut owned = Live::clone(&live("owned"));
    owned.owned = true;
    observed.live.insert(id("owned"), Arc::new(owned));
    assert!(actions(&observed).is_empty());
}

#[test]
fn a_drift_is_healed_only_when_asked_and_with_growing_delays() {
    let drifted = |policy: Value| {
        let mut observed = observed(automated(policy), &["a", "b"], &["a", "b"]);
        observed.same.remove(&id("a"));
        observed
    };
    assert!(actions(&synced(drifted(json!({})), 0, "2026-01-01T00:00:00Z")).is_empty());
    let heal = || drifted(json!({"selfHeal": true}));
    // The first attempt comes at once and touches only what drifted.
    assert_eq!(
        actions(&synced(heal(), 0, "2026-01-01T00:00:00Z")),
        ["run 1 tasks: apply ConfigMap ns/a (Sync wave 0)"]
    );
    for (attempts, seconds) in [(1, 2), (2, 6), (3, 18), (9, 300)] {
        let waiting = synced(heal(), attempts, "2026-01-01T00:00:00Z");
        let decision = plan(&waiting, now());
        let plan = decision.as_ref();
        assert!(plan.actions.is_empty());
        let wake = plan.wake.expect("a wake-up").as_second() - now().as_second();
        assert_eq!(wake, seconds, "after {attempts} attempts");
    }
    assert_eq!(
        actions(&synced(heal(), 9, "2025-12-31T23:54:00Z")).len(),
        1,
        "calm resets the count"
    );
}

#[test]
fn a_failed_revision_is_not_tried_again_and_says_so() {
    let mut failed = synced(
        observed(automated(json!({"selfHeal": true})), &["a"], &[]),
        0,
        "2026-01-01T00:00:00Z",
    );
    if let Some(state) = &mut failed.status.operation_state {
        state.phase = crate::api::Phase::Failed;
        state.message = "boom".into();
    }
    let decision = decide(&failed, now());
    assert_eq!(decision.step, OperationStep::Idle);
    assert_eq!(
        decision.problems[0].message,
        format!("Failed last sync attempt to [{COMMIT}]: boom")
    );
    failed.source = SourceState::Ready {
        revisions: Revisions::One("2".repeat(40)),
        set: set(&["a"]),
    };
    assert_eq!(actions(&failed).len(), 1, "a new commit is tried");
}

#[test]
fn hooks_begin_by_writing_the_operation_down() {
    let mut observed = observed(automated(json!({})), &[], &[]);
    observed.source = SourceState::Ready {
        revisions: Revisions::One(COMMIT.into()),
        set: manifests(vec![
            json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "pre", "annotations": {"argocd.argoproj.io/hook": "PreSync"}}}),
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}}),
        ]),
    };
    assert!(actions(&observed).is_empty());
    assert!(matches!(
        decide(&observed, now()).step,
        OperationStep::Begin(_)
    ));
}

#[test]
fn an_impossible_task_ends_the_operation_before_anything_is_done() {
    let mut refused = observed(json!({}), &["a", "b"], &[]);
    refused.operation = operation(json!({"sync": {}}));
    refused.refused.insert(id("b"), "not permitted".into());
    let decision = decide(&refused, now());
    let OperationStep::End(state, Start::Now) = decision.step else {
        panic!("{:?}", decision.step)
    };
    assert!(
        state.message.ends_with("reason: not permitted"),
        "{}",
        state.message
    );
}

#[test]
fn retries_wait_and_then_start_again() {
    let status = |finished: &str| {
        json!({"operationState": {
            "phase": "Running", "startedAt": "2025-12-31T23:00:00Z", "finishedAt": finished, "retryCount": 2,
            "operation": {"sync": {"revision": COMMIT}, "retry": {"limit": 3, "backoff": {"duration": "10s", "factor": 2}}},
            "syncResult": {"revision": COMMIT, "resources": []},
        }})
    };
    let waiting = with_status(
        observed(json!({}), &["a"], &[]),
        &status("2026-01-01T00:00:00Z"),
    );
    let decision = plan(&waiting, now());
    assert_eq!(
        decision
            .as_ref()
            .wake
            .map(|at| at.as_second() - now().as_second()),
        Some(20)
    );
    let due = with_status(
        observed(json!({}), &["a"], &[]),
        &status("2025-12-31T23:59:00Z"),
    );
    let OperationStep::Begin(state) = decide(&due, now()).step else {
        panic!("not due")
    };
    assert_eq!(state.message, "Retrying operation. Attempt #2");
    assert_eq!(
        (state.finished_at, state.sync_result, state.retry_count),
        (None, None, 2)
    );
}

#[test]
fn objects_of_another_application_are_not_taken_when_that_is_refused() {
    let policy = json!({"automated": {}, "syncOptions": ["FailOnSharedResource=true"]});
    let mut shared = observed(policy, &["a"], &[]);
    let mut theirs = Live::clone(&live("a"));
    if let Some(tracking) = &mut theirs.tracking {
        tracking.instance = "other".into();
    }
    shared.live.insert(id("a"), Arc::new(theirs));
    let decision = decide(&shared, now());
    let OperationStep::End(state, _) = decision.step else {
        panic!("{:?}", decision.step)
    };
    assert!(
        state.message.starts_with("Shared resource found"),
        "{}",
        state.message
    );
}

#[test]
fn hooks_in_the_cluster_are_listed_and_have_no_sync_status() {
    let mut observed = observed(json!({}), &["a"], &["a"]);
    let hook = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "h", "annotations": {
        "argocd.argoproj.io/hook": "PreSync", "argocd.argoproj.io/sync-wave": "3",
    }}});
    let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}});
    observed.source = SourceState::Ready {
        revisions: Revisions::One(COMMIT.into()),
        set: manifests(vec![map, hook]),
    };
    observed.live.insert(id("h"), live("h"));
    let comparison = decide(&observed, now()).comparison;
    assert_eq!(comparison.sync, "Synced");
    let row = comparison.rows.iter().find(|row| row.name == "h");
    let row = row.expect("a row of the hook");
    assert!(
        row.hook && row.status.is_empty() && row.sync_wave == 3,
        "{row:?}"
    );
}

#[test]
fn a_new_operation_whose_source_cannot_be_read_fails_at_once() {
    let mut failing = observed(json!({}), &["a"], &[]);
    failing.operation =
        operation(json!({"sync": {"revision": "1234567890123456789012345678901234567890"}}));
    failing.sync_source = Some(SourceState::Failed {
        message: "no such commit".into(),
        transient: true,
        grace: true,
    });
    let OperationStep::End(state, Start::Now) = decide(&failing, now()).step else {
        panic!("ends")
    };
    assert_eq!(state.phase, crate::api::Phase::Error);
    assert!(
        state.message.contains("no such commit"),
        "{}",
        state.message
    );
    // One that is under way waits for the repository.
    let status = json!({"operationState": {
        "phase": "Running", "startedAt": "2025-12-31T23:59:00Z", "operation": {"sync": {}},
        "syncResult": {"revision": COMMIT, "resources": []},
    }});
    assert_eq!(
        decide(&with_status(failing, &status), now()).step,
        OperationStep::Idle
    );
}

/// An application of a project with this sync window.
fn with_window(observed: Observed, window: Value) -> Observed {
    Observed {
        windows: vec![serde_json::from_value(window).expect("a window")],
        ..observed
    }
}

#[test]
fn sync_windows_hold_up_what_they_forbid() {
    let automated = || observed(automated(json!({})), &["a"], &[]);
    let allow = |schedule: &str, manual: bool| json!({"kind": "allow", "schedule": schedule, "duration": "1h", "applications": ["*"], "manualSync": manual});
    // It is midnight.
    let open = with_window(automated(), allow("0 0 * * *", false));
    assert_eq!(actions(&open).len(), 1);
    let closed = with_window(automated(), allow("0 3 * * *", false));
    let decision = decide(&closed, now());
    assert_eq!(decision.step, OperationStep::Idle);
    let opens: Timestamp = "2026-01-01T03:00:00Z".parse().expect("a time");
    assert_eq!(decision.plan.wake, Some(opens));
    // An operation that a person asks for begins, waits and says why.
    let asked = |manual: bool| {
        let mut asked = with_window(observed(json!({}), &["a"], &[]), allow("0 3 * * *", manual));
        asked.operation = operation(json!({"sync": {"revision": COMMIT}}));
        asked
    };
    assert_eq!(actions(&asked(true)).len(), 1);
    let decision = decide(&asked(false), now());
    let OperationStep::Begin(state) = decision.step else {
        panic!("{:?}", decision.step)
    };
    assert!(
        state.message.contains("blocked by sync window"),
        "{}",
        state.message
    );
    let status = json!({"operationState": serde_json::to_value(&state).expect("a state")});
    let waiting = with_status(asked(false), &status);
    let decision = decide(&waiting, now());
    assert!(
        matches!(decision.step, OperationStep::Hold(_)),
        "{:?}",
        decision.step
    );
    assert_eq!(decision.plan.wake, Some(opens));
    assert_eq!(plan(&waiting, opens).as_ref().actions.len(), 1, "it opens");
}

#[test]
fn a_definition_that_another_application_brings_is_reported() {
    let mut app = observed(json!({}), &["a"], &["a"]);
    let other = reconcile_core::object::ObjectKey::new("team", "other");
    app.shared_definitions.insert(id("a"), vec![other]);
    let problems = decide(&app, now()).comparison.problems;
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert_eq!(problems[0].type_, "SharedResourceWarning");
    let message = "ConfigMap/a is part of applications argocd/app and team/other";
    assert_eq!(problems[0].message, message);
}

#[test]
fn what_another_application_describes_by_now_is_left_to_it() {
    let policy = json!({"automated": {"prune": true, "allowEmpty": true}});
    let mut app = observed(policy, &["a"], &["a", "moved"]);
    assert_eq!(actions(&app).len(), 1, "pruned");
    app.handed_over.insert(id("moved"));
    assert!(actions(&app).is_empty());
    assert_eq!(decide(&app, now()).comparison.sync, "Synced");
    app.deleting = true;
    app.finalizers = vec![crate::api::RESOURCES_FINALIZER.into()];
    assert_eq!(actions(&app), ["delete 1 objects: ConfigMap ns/a"]);
}
