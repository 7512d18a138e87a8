//! What is written to the Application.

use super::*;
use crate::{
    api::Phase,
    app::plan::{Action, plan},
    app::{
        apply::{After, Applied, TaskOutcome, TaskOutcomes},
        status::{self, reject},
    },
};

/// The report of a pass over what was observed, with these results of its effects.
fn report(
    observed: &Observed,
    applied: &[&Applied],
    failure: Option<&str>,
    now: Timestamp,
) -> reconcile_core::reconcile::Report {
    let outcome = status::Effects { applied, failure };
    status::report(observed, &plan(observed, now), &outcome, now)
}

/// Carries out the planned tasks as a cluster would that takes everything.
fn carry_out(observed: &Observed) -> Vec<Applied> {
    plan(observed, now())
        .as_ref()
        .actions
        .iter()
        .map(|action| match action {
            Action::Run(run) => {
                let outcomes = run.groups.iter().flatten().map(|task| {
                    let mut row = task.new_row();
                    row.status = "Synced".into();
                    row.message = format!("configmap/{} created", task.id.name);
                    TaskOutcome {
                        id: task.id.clone(),
                        row,
                        after: After::Is(live(&task.id.name)),
                        same: true,
                    }
                });
                Applied::Tasks(TaskOutcomes {
                    outcomes: outcomes.collect(),
                    ..TaskOutcomes::default()
                })
            }
            _ => Applied::Done,
        })
        .collect()
}

fn patch(observed: &Observed) -> (Value, Vec<String>, bool) {
    let applied = carry_out(observed);
    let report = report(observed, &applied.iter().collect::<Vec<_>>(), None, now());
    let events = report
        .events
        .iter()
        .map(|event| format!("{} {}", event.reason, event.note))
        .collect();
    let body = report
        .patches
        .first()
        .map_or(Value::Null, |patch| patch.body.clone());
    (body, events, report.again)
}

#[test]
fn a_new_automated_application_gets_its_status_in_one_patch() {
    let observed = observed(json!({"automated": {"prune": true}}), &["a"], &[]);
    let (body, events, again) = patch(&observed);
    insta::assert_json_snapshot!(body);
    insta::assert_snapshot!(events.join("\n"), @"
    OperationStarted Initiated automated sync to '1111111111111111111111111111111111111111'
    OperationCompleted Sync operation to 1111111111111111111111111111111111111111 succeeded
    ResourceUpdated Updated sync status:  -> Synced
    ResourceUpdated Updated health status:  -> Healthy
    ");
    assert!(!again);
    // And then there is nothing more to tell.
    let status = body["status"].clone();
    let mut settled = super::with_status(
        super::observed(json!({"automated": {"prune": true}}), &["a"], &["a"]),
        &status,
    );
    settled.operation = None;
    let (body, events, _) = patch(&settled);
    assert_eq!((body, events.len()), (Value::Null, 0));
}

#[test]
fn a_refresh_is_answered_even_when_nothing_changed() {
    let observed = observed(json!({}), &["a"], &["a"]);
    let (body, _, _) = patch(&observed);
    let mut asked = with_status(observed, &body["status"]);
    asked.refresh = Some(Refresh::Normal);
    let report = report(&asked, &[], None, now());
    assert!(
        report.patches[0].guarded,
        "a newer request must not be lost"
    );
    let (body, _, _) = patch(&asked);
    assert_eq!(
        body["metadata"]["annotations"],
        json!({"argocd.argoproj.io/refresh": null, "argocd.argoproj.io/refresh-timestamp": null})
    );
    assert_eq!(
        body["status"],
        Value::Null,
        "nothing else changed in the same second"
    );
}

#[test]
fn an_ended_operation_leaves_the_object() {
    let mut asked = observed(json!({}), &["a"], &[]);
    asked.operation =
        operation(json!({"sync": {"revision": COMMIT}, "initiatedBy": {"username": "me"}}));
    let (body, events, _) = patch(&asked);
    assert_eq!(body.get("operation"), Some(&Value::Null));
    assert_eq!(body["status"]["operationState"]["phase"], "Succeeded");
    assert_eq!(
        body["status"]["history"][0]["initiatedBy"]["username"],
        "me"
    );
    assert!(events[0].contains("me initiated sync"), "{events:?}");
}

#[test]
fn history_is_kept_to_its_limit_and_partial_syncs_are_none() {
    let mut asked = observed(json!({}), &["a"], &[]);
    asked.spec.revision_history_limit = Some(1);
    asked.status.history = vec![crate::api::HistoryEntry {
        id: 7,
        revision: "old".into(),
        deployed_at: crate::api::Time::new(now()),
        deploy_started_at: None,
        source: None,
        sources: Vec::new(),
        revisions: Vec::new(),
        initiated_by: crate::api::InitiatedBy::default(),
        other: BTreeMap::default(),
    }];
    asked.old_status = serde_json::value::to_raw_value(&asked.status).ok();
    asked.operation = operation(json!({"sync": {}}));
    let (body, ..) = patch(&asked);
    let history = body["status"]["history"]
        .as_array()
        .expect("a history")
        .clone();
    assert_eq!((history.len(), history[0]["id"].as_i64()), (1, Some(8)));
    asked.operation =
        operation(json!({"sync": {"resources": [{"kind": "ConfigMap", "name": "a"}]}}));
    let (body, ..) = patch(&asked);
    assert_eq!(body["status"].get("history"), None);
}

#[test]
fn a_condition_keeps_its_time_while_it_says_the_same() {
    let mut broken = observed(json!({}), &["a"], &["a"]);
    broken.source = SourceState::Failed {
        message: "no such path".into(),
        transient: false,
        grace: false,
    };
    let (body, ..) = patch(&broken);
    assert_eq!(body["status"]["sync"]["status"], "Unknown");
    let condition = body["status"]["conditions"][0].clone();
    assert_eq!(
        (condition["type"].as_str(), condition["message"].as_str()),
        (Some("ComparisonError"), Some("no such path"))
    );
    let again = with_status(broken, &body["status"]);
    let later = now() + jiff::SignedDuration::from_secs(60);
    let report = report(&again, &[], None, later);
    assert!(report.patches.is_empty(), "{:?}", report.patches);
    assert!(report.events.is_empty(), "{:?}", report.events);
}

#[test]
fn an_invalid_spec_makes_everything_unknown_and_forgets_nothing() {
    let observed = observed(json!({}), &["a"], &["a"]);
    let (body, ..) = patch(&observed);
    let mut invalid = with_status(observed, &body["status"]);
    invalid.source = SourceState::NotAsked;
    invalid.problems = vec![Problem::invalid_spec("spec.source is required")];
    let (body, ..) = patch(&invalid);
    let status = &body["status"];
    assert_eq!(
        (&status["sync"], status["health"]["status"].as_str()),
        (&json!({"status": "Unknown"}), Some("Unknown"))
    );
    assert_eq!(status.get("resources"), None, "the rows stay");
}

/// The Warnings of a report.
fn warnings(report: &reconcile_core::reconcile::Report) -> Vec<String> {
    let is_warning = |event: &&reconcile_core::event::EventNote| {
        event.type_ == reconcile_core::event::EventType::Warning
    };
    let warnings = report.events.iter().filter(is_warning);
    warnings
        .map(|event| format!("{}: {}", event.reason, event.note))
        .collect()
}

#[test]
fn each_new_error_is_a_warning_with_its_reason() {
    let mut broken = observed(json!({}), &["a"], &["a"]);
    broken.source = SourceState::NotAsked;
    broken.problems = vec![
        Problem::invalid_spec("spec.source is required"),
        Problem::remark("OrphanedResourceWarning", "3 objects"),
    ];
    assert_eq!(
        warnings(&report(&broken, &[], None, now())),
        ["InvalidSpecError: spec.source is required"]
    );
    let mut unread = observed(json!({}), &["a"], &["a"]);
    unread.source = SourceState::Failed {
        message: "no such path".into(),
        transient: false,
        grace: false,
    };
    let first = report(&unread, &[], None, now());
    assert_eq!(warnings(&first), ["ComparisonError: no such path"]);
    let mut another = with_status(unread, &first.patches[0].body["status"]);
    another.source = SourceState::Failed {
        message: "no such branch".into(),
        transient: false,
        grace: false,
    };
    assert_eq!(
        warnings(&report(&another, &[], None, now())),
        ["ComparisonError: no such branch"]
    );
}

#[test]
fn an_effect_that_fails_is_reported() {
    let failure = Some("patch ConfigMap ns/a: refused");
    let asked = observed(json!({"automated": {}}), &["a"], &[]);
    let reported = |report: &reconcile_core::reconcile::Report| {
        let condition = &report.patches[0].body["status"]["conditions"][0];
        format!("{}: {}", condition["type"], condition["message"])
    };
    assert_eq!(
        reported(&report(&asked, &[], failure, now())),
        "\"SyncError\": \"patch ConfigMap ns/a: refused\""
    );
    let mut going = observed(json!({}), &[], &["a"]);
    going.deleting = true;
    going.finalizers = vec![crate::api::RESOURCES_FINALIZER.into()];
    assert_eq!(
        reported(&report(&going, &[], failure, now())),
        "\"DeletionError\": \"patch ConfigMap ns/a: refused\""
    );
}

#[test]
fn a_namespace_that_cannot_be_made_fails_the_operation() {
    let mut asked = observed(
        json!({"syncOptions": ["CreateNamespace=true"]}),
        &["a"],
        &[],
    );
    asked.operation = operation(json!({"sync": {}}));
    asked.create_namespace = true;
    let row = crate::api::ResourceResult {
        kind: "Namespace".into(),
        hook_phase: Some(Phase::Failed),
        message: "forbidden".into(),
        ..Default::default()
    };
    let mut applied = vec![Applied::Namespace(Box::new(row))];
    applied.extend(carry_out(&asked).into_iter().skip(1));
    let report = report(&asked, &applied.iter().collect::<Vec<_>>(), None, now());
    let state = &report.patches[0].body["status"]["operationState"];
    assert_eq!(
        (state["phase"].as_str(), state["message"].as_str()),
        (
            Some("Failed"),
            Some("the namespace failed to apply, reason: forbidden")
        )
    );
}

#[test]
fn the_end_of_the_last_retry_says_how_many_there_were() {
    let mut asked = observed(json!({}), &["a"], &[]);
    asked.status = serde_json::from_value(json!({"operationState": {
        "phase": "Running", "startedAt": "2025-12-31T23:00:00Z", "retryCount": 2,
        "operation": {"sync": {"revision": COMMIT}, "retry": {"limit": 2}},
    }}))
    .expect("a status");
    asked.refused.insert(id("a"), "not permitted".into());
    let (body, ..) = patch(&asked);
    let state = &body["status"]["operationState"];
    assert_eq!(state["phase"], "Failed");
    assert!(
        state["message"]
            .as_str()
            .is_some_and(|text| text.ends_with("not permitted (retried 2 times).")),
        "{state}"
    );
}

#[test]
fn a_short_absence_of_the_repository_changes_nothing() {
    let observed = observed(json!({}), &["a"], &["a"]);
    let (body, ..) = patch(&observed);
    let mut away = with_status(observed, &body["status"]);
    away.source = SourceState::Failed {
        message: "connection refused".into(),
        transient: false,
        grace: true,
    };
    assert_eq!(patch(&away).0, Value::Null);
}

#[test]
fn a_malformed_spec_is_named_by_its_path() {
    let root = reconcile_core::object::Root::<crate::api::Application>::from_value(&json!({
        "metadata": {"name": "a", "namespace": "argocd"},
        "spec": {"source": {"repoURL": 5}},
    }))
    .expect("a root");
    let error = root.parse_spec().expect_err("a number is no URL");
    let report = reject(&root, &error.into(), now());
    let condition = &report.patches[0].body["status"]["conditions"][0];
    assert_eq!(condition["type"], "InvalidSpecError");
    assert_eq!(warnings(&report).len(), 1, "{:?}", report.events);
    assert!(
        condition["message"]
            .as_str()
            .is_some_and(|text| text.starts_with("spec.source.repoURL")),
        "{condition}"
    );
}

#[test]
fn a_failed_apply_fails_the_operation_and_plans_a_retry() {
    let mut asked = observed(json!({}), &["a"], &[]);
    asked.operation = operation(json!({"sync": {}, "retry": {"limit": 1}}));
    let mut applied = carry_out(&asked);
    if let Some(Applied::Tasks(tasks)) = applied.first_mut() {
        tasks.outcomes[0].row.hook_phase = Some(Phase::Failed);
        tasks.outcomes[0].row.status = "SyncFailed".into();
        tasks.outcomes[0].row.message = "refused".into();
        tasks.outcomes[0].after = After::Unknown;
        tasks.outcomes[0].same = false;
    }
    let report = report(&asked, &applied.iter().collect::<Vec<_>>(), None, now());
    let state = &report.patches[0].body["status"]["operationState"];
    assert_eq!(state["phase"], "Running");
    assert_eq!(state["retryCount"], 1);
    assert_eq!(
        state["message"],
        "one or more objects failed to apply, reason: refused. Retrying attempt #1 at 12:00AM."
    );
    assert!(report.again);
}

#[test]
fn an_interrupted_pass_notes_nothing() {
    let observed = observed(json!({"automated": {}}), &["a"], &[]);
    let report = report(&observed, &[], Some("patch ConfigMap ns/a: refused"), now());
    assert_eq!(report.patches[0].body["status"].get("operationState"), None);
}
