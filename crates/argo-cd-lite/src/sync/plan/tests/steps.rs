//! Order, hooks, prunes and failures.

mod hooks;

use super::*;

fn sync() -> SyncOperation {
    SyncOperation {
        prune: true,
        ..SyncOperation::default()
    }
}

#[test]
fn tasks_run_by_phase_wave_kind_and_name() {
    let set = targets(&[
        ("Service", "b", &[]),
        ("ConfigMap", "z", &[]),
        ("ConfigMap", "a", &[]),
        ("Job", "post", &[("hook", "PostSync")]),
        ("Job", "pre-", &[("hook", "PreSync"), ("sync-wave", "5")]),
        ("Widget", "w", &[]),
        ("ConfigMap", "first", &[("sync-wave", "-1")]),
        ("ConfigMap", "skipped", &[("hook", "Skip")]),
        ("ConfigMap", "never", &[("hook", "Unknown")]),
        ("Namespace", "ns", &[]),
    ]);
    insta::assert_snapshot!(order(&tasks(&set, &LiveMap::new(), &sync(), &[])).join("\n"), @"
    apply Namespace ns (PreSync wave 5)
    run hook batch/Job ns/pre-0123456-presync-0 (PreSync wave 5)
    apply ConfigMap ns/first (Sync wave -1)
    apply ConfigMap ns/a (Sync wave 0)
    apply ConfigMap ns/z (Sync wave 0)
    apply Service ns/b (Sync wave 0)
    apply Widget ns/w (Sync wave 0)
    run hook batch/Job ns/post (PostSync wave 0)
    ");
}

#[test]
fn a_hook_may_run_in_several_phases_and_partial_syncs_run_none() {
    let set = targets(&[
        ("Job", "both", &[("hook", "PreSync, PostSync")]),
        ("ConfigMap", "a", &[]),
    ]);
    assert_eq!(tasks(&set, &LiveMap::new(), &sync(), &[]).len(), 3);
    let partial = SyncOperation {
        resources: vec![crate::api::ResourceRef {
            kind: "ConfigMap".into(),
            name: "a".into(),
            ..Default::default()
        }],
        ..sync()
    };
    assert_eq!(
        order(&tasks(&set, &LiveMap::new(), &partial, &[])),
        ["apply ConfigMap ns/a (Sync wave 0)"]
    );
    let apply = SyncOperation {
        sync_strategy: Some(crate::api::SyncStrategy {
            apply: Some(crate::api::StrategyApply::default()),
            hook: None,
        }),
        ..sync()
    };
    assert_eq!(tasks(&set, &LiveMap::new(), &apply, &[]).len(), 1);
}

fn prune_candidates(waves: &[(&str, i32)], option: &str) -> LiveMap {
    waves
        .iter()
        .map(|(name, wave)| {
            let id = ResourceId::new("", "ConfigMap", "ns", *name);
            let settings = SyncSettings {
                wave: *wave,
                options: SyncOptions::from_annotation(option),
                ..SyncSettings::default()
            };
            (id.clone(), live(&id, None, None, settings))
        })
        .collect()
}

#[test]
fn prunes_go_in_reverse_waves() {
    let set = targets(&[("ConfigMap", "new", &[])]);
    let found = prune_candidates(&[("old0", 0), ("old1", 1), ("old5", 5)], "");
    assert_eq!(
        order(&tasks(&set, &found, &sync(), &[])),
        [
            "prune ConfigMap ns/old5 (Sync wave 0)",
            "apply ConfigMap ns/new (Sync wave 0)",
            "prune ConfigMap ns/old1 (Sync wave 1)",
            "prune ConfigMap ns/old0 (Sync wave 5)",
        ]
    );
    let last = order(&tasks(&set, &found, &sync(), &["PruneLast=true"]));
    assert_eq!(last[0], "apply ConfigMap ns/new (Sync wave 0)");
    assert!(
        last[1..].iter().all(|task| task.ends_with("(Sync wave 1)")),
        "{last:?}"
    );
}

#[test]
fn what_must_not_be_pruned_is_not() {
    let set = targets(&[]);
    let kinds = |found: &LiveMap, sync: &SyncOperation| -> Vec<TaskKind> {
        tasks(&set, found, sync, &[])
            .iter()
            .map(|task| task.kind)
            .collect()
    };
    let plain = prune_candidates(&[("a", 0)], "");
    assert_eq!(kinds(&plain, &sync()), [TaskKind::Prune]);
    let off = SyncOperation::default();
    assert!(matches!(kinds(&plain, &off)[..], [TaskKind::SkipPrune(_)]));
    let kept = kinds(&prune_candidates(&[("a", 0)], "Prune=false"), &sync());
    assert!(matches!(kept[..], [TaskKind::SkipPrune(_)]), "{kept:?}");
    let confirmed = prune_candidates(&[("a", 0)], "Prune=confirm");
    assert_eq!(kinds(&confirmed, &sync()), [TaskKind::ConfirmPrune]);
    assert!(matches!(
        kinds(&confirmed, &off)[..],
        [TaskKind::SkipPrune(_)]
    ));
}

/// Runs a sync to its end with objects that have this health as soon as they exist.
fn run(set: &TargetSet, health: impl Fn(&Task) -> Option<Code>) -> (Vec<String>, Phase, String) {
    let (mut found, mut results, mut log) = (LiveMap::new(), Vec::new(), Vec::new());
    for _ in 0..50 {
        let tasks = tasks(set, &found, &sync(), &[]);
        let advance = advance(&tasks, &results, OPERATION);
        results = advance.results;
        match advance.step {
            Step::Wait(message) => panic!("waits for ever: {message}"),
            Step::Replace(hooks) => hooks.iter().for_each(|hook| drop(found.remove(&hook.id))),
            Step::Run(RunStep { groups, last, .. }) => {
                for task in groups.into_iter().flatten() {
                    log.push(task.id.name.to_string());
                    let operation = task.is_hook().then_some(OPERATION);
                    found.insert(
                        task.id.clone(),
                        live(&task.id, health(&task), operation, task.settings.clone()),
                    );
                    results.push(task.new_row());
                }
                if last {
                    return (log, Phase::Succeeded, String::new());
                }
            }
            Step::Finish {
                phase,
                message,
                delete,
            } => {
                log.extend(delete.iter().map(ToString::to_string));
                return (log, phase, message);
            }
        }
    }
    panic!("no end: {log:?}");
}

#[test]
fn one_wave_without_hooks_ends_with_its_apply_whatever_its_health() {
    let set = targets(&[("Deployment", "a", &[]), ("ConfigMap", "b", &[])]);
    let (log, phase, _) = run(&set, |_| Some(Code::Degraded));
    assert_eq!((log.len(), phase), (2, Phase::Succeeded));
}

#[test]
fn the_last_wave_ends_the_sync_once_it_is_applied() {
    let set = targets(&[
        ("ConfigMap", "first", &[("sync-wave", "-1")]),
        ("Deployment", "stuck", &[]),
        (
            "Job",
            "pre",
            &[("hook", "PreSync"), ("hook-delete-policy", "HookSucceeded")],
        ),
        ("Job", "alarm", &[("hook", "SyncFail")]),
    ]);
    for code in [Code::Progressing, Code::Degraded] {
        let (log, phase, message) = run(&set, |task| {
            (&*task.id.name == "stuck" || task.is_hook()).then_some(if task.is_hook() {
                Code::Healthy
            } else {
                code
            })
        });
        assert_eq!(log, ["pre", "first", "stuck", "delete batch/Job ns/pre"]);
        assert_eq!(
            (phase, message.as_str()),
            (Phase::Succeeded, "successfully synced (no more tasks)")
        );
    }
}

#[test]
fn objects_beside_a_hook_of_the_only_stage_are_not_waited_for() {
    let set = targets(&[
        ("Deployment", "slow", &[]),
        ("Job", "beside", &[("hook", "Sync")]),
    ]);
    let (log, phase, _) = run(&set, |task| {
        Some(if task.is_hook() {
            Code::Healthy
        } else {
            Code::Progressing
        })
    });
    assert_eq!((log.len(), phase), (2, Phase::Succeeded));
}

#[test]
fn a_hook_without_a_result_fails_the_sync() {
    let set = targets(&[("Job", "pre", &[("hook", "PreSync")])]);
    let (_, phase, _) = run(&set, |_| Some(Code::Unknown));
    assert_eq!(phase, Phase::Failed);
}

#[test]
fn the_next_wave_waits_for_pruned_objects_to_go() {
    let set = targets(&[("ConfigMap", "new", &[("sync-wave", "1")])]);
    let mut found = prune_candidates(&[("old", 0)], "");
    let planned = tasks(&set, &found, &sync(), &[]);
    let mut row = planned[0].new_row();
    row.status = "Pruned".into();
    row.hook_phase = Some(Phase::Succeeded);
    for live in found.values_mut() {
        let mut going = Live::clone(live);
        going.deleting = true;
        *live = Arc::new(going);
    }
    let waiting = tasks(&set, &found, &sync(), &[]);
    assert_eq!(
        advance(&waiting, std::slice::from_ref(&row), OPERATION).step,
        Step::Wait("waiting for deletion of /ConfigMap/old".into())
    );
    let gone = tasks(&set, &LiveMap::new(), &sync(), &[]);
    assert!(matches!(
        advance(&gone, &[row], OPERATION).step,
        Step::Run(_)
    ));
}

#[test]
fn what_is_waited_for_is_named_hooks_first() {
    let set = targets(&[
        ("Deployment", "a", &[]),
        ("Job", "hook", &[("hook", "Sync")]),
        ("ConfigMap", "later", &[("sync-wave", "1")]),
    ]);
    let found: LiveMap = set
        .targets
        .iter()
        .map(|target| {
            let operation = target.settings.is_hook().then_some(OPERATION);
            let settings = target.settings.clone();
            (
                target.id.clone(),
                live(&target.id, Some(Code::Progressing), operation, settings),
            )
        })
        .collect();
    let tasks = tasks(&set, &found, &sync(), &[]);
    let rows: Vec<ResourceResult> = tasks[..2].iter().map(Task::new_row).collect();
    assert_eq!(
        advance(&tasks, &rows, OPERATION).step,
        Step::Wait("waiting for completion of hook batch/Job/hook and 1 more resources".into())
    );
}

#[test]
fn only_what_differs_is_applied_when_that_is_asked_for() {
    let set = targets(&[("ConfigMap", "same", &[]), ("ConfigMap", "other", &[])]);
    let found: LiveMap = set
        .targets
        .iter()
        .map(|target| {
            (
                target.id.clone(),
                live(&target.id, None, None, SyncSettings::default()),
            )
        })
        .collect();
    let options = SyncOptions::from_list(["ApplyOutOfSyncOnly=true"]);
    let tasks = build(&BuildInput {
        targets: &set,
        live: &|id| found.get(id).cloned(),
        prune_candidates: &[],
        sync: &sync(),
        options: &options,
        revision: "0123456789",
        started: Time::new(jiff::Timestamp::UNIX_EPOCH),
        confirmed: false,
        in_sync: &|id| &*id.name == "same",
    });
    assert_eq!(order(&tasks), ["apply ConfigMap ns/other (Sync wave 0)"]);
}

#[test]
fn a_degraded_object_fails_a_sync_of_several_waves() {
    let set = targets(&[
        ("Deployment", "a", &[]),
        ("ConfigMap", "b", &[("sync-wave", "1")]),
        (
            "Job",
            "clean",
            &[("hook", "SyncFail"), ("hook-delete-policy", "HookFailed")],
        ),
        ("Job", "post", &[("hook", "PostSync")]),
    ]);
    let (log, phase, message) = run(&set, |task| {
        Some(if &*task.id.name == "a" {
            Code::Degraded
        } else {
            Code::Healthy
        })
    });
    assert_eq!(log, ["a", "clean", "delete batch/Job ns/clean"]);
    assert_eq!(phase, Phase::Failed);
    assert!(
        message.starts_with("one or more synchronization tasks completed unsuccessfully"),
        "{message}"
    );
}

#[test]
fn a_running_object_that_vanishes_fails_the_sync() {
    let set = targets(&[
        ("Job", "pre", &[("hook", "PreSync")]),
        ("ConfigMap", "b", &[]),
    ]);
    let tasks = tasks(&set, &LiveMap::new(), &sync(), &[]);
    let row = tasks[0].new_row();
    let decided = advance(&tasks, &[row], OPERATION);
    assert!(
        decided.results[0]
            .message
            .contains("is missing, it might have been deleted")
    );
    assert!(matches!(
        decided.step,
        Step::Finish {
            phase: Phase::Failed,
            ..
        }
    ));
}

#[test]
fn a_dry_run_covers_the_wave_at_hand_only() {
    let set = targets(&[
        ("ConfigMap", "a", &[]),
        ("ConfigMap", "b", &[]),
        ("ConfigMap", "later", &[("sync-wave", "1")]),
        ("Pod", "hook", &[("hook", "PostSync")]),
    ]);
    let tasks = tasks(&set, &LiveMap::new(), &sync(), &[]);
    let Step::Run(step) = advance(&tasks, &[], OPERATION).step else {
        panic!("runs")
    };
    let names: Vec<&str> = step
        .dry_run
        .iter()
        .map(|task| task.id.name.as_ref())
        .collect();
    assert_eq!(names, ["a", "b"]);
    assert_eq!(step.groups.len(), 1);
}
