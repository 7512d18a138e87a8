//! When a sync starts, and with what.
#![expect(
    clippy::needless_pass_by_value,
    reason = "json!() literals read better in place"
)]

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
fn deletion_takes_the_highest_wave_first_and_spares_what_asks_for_it() {
    let mut observed = observed(json!({}), &[], &["a", "b"]);
    observed.deleting = true;
    assert!(
        actions(&observed).is_empty(),
        "without the finalizer the objects stay"
    );
    observed.finalizers = vec![crate::api::RESOURCES_FINALIZER.into()];
    let mut late = Live::clone(&live("late"));
    late.settings = Some(Box::new(crate::sync::SyncSettings {
        wave: 3,
        ..Default::default()
    }));
    observed.live.insert(id("late"), Arc::new(late));
    let mut kept = Live::clone(&live("kept"));
    let options = crate::sync::SyncOptions::from_annotation("Delete=false");
    kept.settings = Some(Box::new(crate::sync::SyncSettings {
        options,
        wave: 9,
        ..Default::default()
    }));
    observed.live.insert(id("kept"), Arc::new(kept));
    assert_eq!(actions(&observed), ["delete 1 objects: ConfigMap ns/late"]);
    observed.live.remove(&id("late"));
    assert_eq!(
        actions(&observed),
        ["delete 2 objects: ConfigMap ns/a, ConfigMap ns/b"]
    );
    observed.live_complete = false;
    assert!(
        actions(&observed).is_empty(),
        "nothing is deleted from incomplete inputs"
    );
}

#[test]
fn an_application_that_keeps_its_objects_deletes_none() {
    let policy = json!({"syncOptions": ["Delete=false"]});
    let mut observed = observed(policy, &[], &["a"]);
    observed.deleting = true;
    observed.finalizers = vec![crate::api::RESOURCES_FINALIZER.into()];
    assert!(actions(&observed).is_empty());
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
fn a_namespace_whose_labels_the_application_keeps_is_never_pruned() {
    let policy = json!({
        "automated": {"prune": true, "allowEmpty": true},
        "syncOptions": ["CreateNamespace=true"],
        "managedNamespaceMetadata": {"labels": {"team": "a"}},
    });
    let mut observed = observed(policy, &["a"], &["a"]);
    let namespace = ResourceId::new("", "Namespace", "", "ns");
    let mut found = Live::clone(&live("ns"));
    found.tracking = crate::clusters::Tracking::parse("app:/Namespace:ns/ns").map(Box::new);
    observed.live.insert(namespace, Arc::new(found));
    assert!(actions(&observed).is_empty(), "{:?}", actions(&observed));
    let rows = decide(&observed, now()).comparison.rows;
    assert!(rows.iter().all(|row| !row.requires_pruning), "{rows:?}");
}

#[test]
fn other_labels_for_the_namespace_put_the_application_out_of_sync() {
    let with = |metadata: Value| json!({"syncOptions": ["CreateNamespace=true"], "managedNamespaceMetadata": metadata});
    let state = |metadata: Value| {
        json!({"operationState": {
            "phase": "Succeeded", "operation": {"sync": {}},
            "syncResult": {"revision": COMMIT, "managedNamespaceMetadata": metadata},
        }})
    };
    let sync = |wanted: Value, last: Value| {
        let observed = with_status(observed(with(wanted), &["a"], &["a"]), &state(last));
        decide(&observed, now()).comparison.sync
    };
    let (a, b) = (
        json!({"labels": {"team": "a"}}),
        json!({"labels": {"team": "b"}}),
    );
    assert_eq!(sync(a.clone(), a.clone()), "Synced");
    assert_eq!(sync(b, a), "OutOfSync");
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
fn the_destination_namespace_is_made_when_asked() {
    let mut observed = observed(
        json!({"automated": {}, "syncOptions": ["CreateNamespace=true"]}),
        &["a"],
        &[],
    );
    observed.create_namespace = true;
    let decision = plan(&observed, now());
    assert!(matches!(
        decision.as_ref().actions[0],
        Action::EnsureNamespace { .. }
    ));
}

#[test]
fn a_namespace_that_the_project_does_not_permit_is_not_touched() {
    let refusal = "Namespace ns is not permitted in project tenant";
    let policy = json!({
        "automated": {}, "syncOptions": ["CreateNamespace=true"],
        "managedNamespaceMetadata": {"labels": {"a": "b"}},
    });
    for missing in [true, false] {
        let mut tenant = observed(policy.clone(), &["a"], &[]);
        tenant.create_namespace = missing;
        assert!(actions(&tenant)[0].contains("ensure namespace"));
        tenant.namespace_refused = Some(refusal.into());
        assert!(actions(&tenant).is_empty());
        let OperationStep::End(state, Start::Now) = decide(&tenant, now()).step else {
            panic!("ends")
        };
        assert!(state.message.contains(refusal), "{}", state.message);
    }
    let mut there = observed(
        json!({"automated": {}, "syncOptions": ["CreateNamespace=true"]}),
        &["a"],
        &[],
    );
    there.namespace_refused = Some(refusal.into());
    assert_eq!(actions(&there).len(), 1, "a namespace that exists is used");
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

/// An application that is being deleted, with a ConfigMap and these hooks of its deletion in Git.
fn deleted(hooks: &[(&str, &str, &str)], found: &[&str]) -> Observed {
    let mut observed = observed(json!({}), &[], found);
    let hook = |(name, phase, wave): &(&str, &str, &str)| {
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "annotations": {
            "argocd.argoproj.io/hook": phase, "argocd.argoproj.io/sync-wave": wave,
            "argocd.argoproj.io/hook-delete-policy": "HookSucceeded",
        }}})
    };
    observed.source = SourceState::Ready {
        revisions: Revisions::One(COMMIT.into()),
        set: manifests(hooks.iter().map(hook).collect()),
    };
    observed.deleting = true;
    observed.deleted_at = Some(now());
    observed.finalizers = vec![crate::api::RESOURCES_FINALIZER.into()];
    observed.finalizers = observed.wanted_finalizers().unwrap_or(observed.finalizers);
    observed
}

/// A hook of the deletion in the cluster, with this health.
fn hook_object(name: &str, operation: &str, code: Option<crate::health::Code>) -> Arc<Live> {
    let mut hook = Live::clone(&live(name));
    hook.operation = Some(operation.into());
    hook.health = code.map(crate::health::Health::of);
    hook.settings = Some(Box::new(crate::sync::SyncSettings {
        hook: Some(crate::sync::Hook {
            deletion: vec![crate::sync::DeletionPhase::PreDelete],
            delete: vec![crate::sync::DeletePolicy::HookSucceeded],
            ..Default::default()
        }),
        ..Default::default()
    }));
    Arc::new(hook)
}

/// The finalizers after a pass, without the domain.
fn finalizers_after(observed: &Observed) -> Vec<String> {
    let decision = plan(observed, now());
    let effects = crate::app::status::Effects {
        applied: &[],
        failure: None,
    };
    let report = crate::app::status::report(observed, &decision, &effects, now());
    let left = &report.patches[0].body["metadata"]["finalizers"];
    let left = left.as_array().expect("finalizers");
    left.iter()
        .map(|name| {
            name.as_str()
                .unwrap_or_default()
                .replace(".argocd.argoproj.io", "")
        })
        .collect()
}

#[test]
fn hooks_run_before_and_after_the_objects_go() {
    use crate::health::Code;
    let operation = format!("delete-{}", now().as_second());
    let hooks = [
        ("pre", "PreDelete", "0"),
        ("late", "PreDelete", "1"),
        ("post", "PostDelete", "0"),
    ];
    let mut app = deleted(&hooks, &["a"]);
    assert_eq!(app.finalizers.len(), 5, "{:?}", app.finalizers);
    assert_eq!(actions(&app), ["create hooks: ConfigMap ns/pre"]);
    // One that an earlier sync left does not count.
    app.live.insert(id("pre"), hook_object("pre", "1-0", None));
    assert_eq!(actions(&app), ["hooks: delete ConfigMap ns/pre"]);
    let running = hook_object("pre", &operation, Some(Code::Progressing));
    app.live.insert(id("pre"), running);
    assert!(actions(&app).is_empty());
    let failed = hook_object("pre", &operation, Some(Code::Degraded));
    app.live.insert(id("pre"), failed);
    assert_eq!(actions(&app), ["hooks: delete ConfigMap ns/pre"]);
    let well = |name: &str| hook_object(name, &operation, Some(Code::Healthy));
    app.live.insert(id("pre"), well("pre"));
    assert_eq!(actions(&app), ["create hooks: ConfigMap ns/late"]);
    app.live.insert(id("late"), well("late"));
    assert!(actions(&app).is_empty());
    let left = finalizers_after(&app);
    assert!(
        !left.contains(&"pre-delete-finalizer".to_owned()),
        "{left:?}"
    );
    assert!(left.contains(&"resources-finalizer".to_owned()), "{left:?}");
    app.finalizers
        .retain(|name| name != crate::api::PRE_DELETE_FINALIZER);
    assert_eq!(actions(&app), ["delete 1 objects: ConfigMap ns/a"]);
    app.live.remove(&id("a"));
    assert_eq!(actions(&app), ["create hooks: ConfigMap ns/post"]);
    app.live.insert(id("post"), well("post"));
    app.finalizers
        .retain(|name| name != crate::api::POST_DELETE_FINALIZER);
    let removed =
        "hooks: delete ConfigMap ns/late, delete ConfigMap ns/post, delete ConfigMap ns/pre";
    assert_eq!(actions(&app), [removed]);
    app.live.clear();
    assert!(finalizers_after(&app).is_empty());
}

#[test]
fn nothing_is_deleted_while_the_hooks_are_unknown_or_refused() {
    let hooks = [("pre", "PreDelete", "0")];
    let mut unknown = deleted(&hooks, &["a"]);
    unknown.source = SourceState::Failed {
        message: "no such repository".into(),
        transient: true,
        grace: false,
    };
    let mut refused = deleted(&hooks, &["a"]);
    refused
        .refused
        .insert(id("pre"), "ConfigMap is not permitted".into());
    for (app, reason) in [(unknown, "no such repository"), (refused, "not permitted")] {
        assert!(actions(&app).is_empty());
        let decision = plan(&app, now());
        let effects = crate::app::status::Effects {
            applied: &[],
            failure: None,
        };
        let report = crate::app::status::report(&app, &decision, &effects, now());
        let body = report.patches[0].body.to_string();
        assert!(
            body.contains("DeletionError") && body.contains(reason),
            "{body}"
        );
        assert!(!body.contains("finalizers\":["), "{body}");
    }
}

#[test]
fn finalizers_follow_the_hooks_in_git() {
    let mut app = deleted(&[("post", "PostDelete", "0")], &[]);
    assert_eq!(app.wanted_finalizers(), None);
    let more = crate::api::POST_DELETE_FINALIZER;
    assert!(app.finalizers.contains(&more.to_owned()));
    app.source = SourceState::Ready {
        revisions: Revisions::One(COMMIT.into()),
        set: set(&["a"]),
    };
    let wanted = app.wanted_finalizers().expect("a change");
    assert_eq!(wanted, [crate::api::RESOURCES_FINALIZER]);
}

#[test]
fn prunes_and_deletions_wait_for_a_confirmation() {
    let policy = json!({"syncOptions": ["Prune=confirm"]});
    let mut app = observed(policy, &["a"], &["old"]);
    app.operation = operation(json!({"sync": {"prune": true, "syncOptions": ["Prune=confirm"]}}));
    assert!(actions(&app).is_empty(), "the whole wave waits");
    let decision = decide(&app, now());
    let OperationStep::Hold(state) = decision.step else {
        panic!("{:?}", decision.step)
    };
    assert_eq!(
        state.message,
        "waiting for pruning confirmation of /ConfigMap/old"
    );
    app.approved_at = Some("2025-12-31T23:59:59Z".parse().expect("a time"));
    assert!(
        actions(&app).is_empty(),
        "confirmed before the operation began"
    );
    app.approved_at = Some(now());
    assert!(actions(&app)[0].contains("prune ConfigMap ns/old"));
    // The deletion of the Application asks for its own confirmation.
    app.operation = None;
    app.deleting = true;
    app.deleted_at = Some("2026-01-01T00:00:01Z".parse().expect("a time"));
    app.finalizers = vec![crate::api::RESOURCES_FINALIZER.into()];
    assert!(actions(&app).is_empty());
    let decision = plan(&app, now());
    let effects = crate::app::status::Effects {
        applied: &[],
        failure: None,
    };
    let report = crate::app::status::report(&app, &decision, &effects, now());
    let body = report.patches[0].body.to_string();
    assert!(
        body.contains("argocd.argoproj.io/deletion-approved"),
        "{body}"
    );
    app.approved_at = app.deleted_at;
    assert_eq!(actions(&app), ["delete 1 objects: ConfigMap ns/old"]);
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
