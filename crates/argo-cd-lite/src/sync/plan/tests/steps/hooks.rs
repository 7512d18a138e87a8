//! Hooks: when they go, and how they end.

use super::*;

#[test]
fn delete_policies_look_at_the_end_of_the_whole_sync() {
    let set = targets(&[
        (
            "Job",
            "gone",
            &[("hook", "PreSync"), ("hook-delete-policy", "HookSucceeded")],
        ),
        (
            "Job",
            "kept",
            &[("hook", "PreSync"), ("hook-delete-policy", "HookFailed")],
        ),
        ("ConfigMap", "b", &[]),
    ]);
    let (log, phase, _) = run(&set, |_| Some(Code::Healthy));
    assert_eq!(phase, Phase::Succeeded);
    assert_eq!(log, ["gone", "kept", "b", "delete batch/Job ns/gone"]);
}

#[test]
fn hooks_of_an_earlier_operation_are_deleted_first_and_own_ones_are_adopted() {
    let set = targets(&[
        ("Job", "pre", &[("hook", "PreSync")]),
        ("ConfigMap", "b", &[]),
    ]);
    let id = ResourceId::new("batch", "Job", "ns", "pre");
    let with = |operation: &str| {
        LiveMap::from([(
            id.clone(),
            live(
                &id,
                Some(Code::Healthy),
                Some(operation),
                SyncSettings::default(),
            ),
        )])
    };
    let old = tasks(&set, &with("earlier"), &sync(), &[]);
    assert!(matches!(
        advance(&old, &[], OPERATION).step,
        Step::Replace(_)
    ));
    let own = tasks(&set, &with(OPERATION), &sync(), &[]);
    let decided = advance(&own, &[], OPERATION);
    assert_eq!(decided.results[0].hook_phase, Some(Phase::Succeeded));
    assert_eq!(decided.release.len(), 1, "its finalizer goes");
    assert!(matches!(decided.step, Step::Run(_)), "it is not run again");
}

#[test]
fn termination_deletes_running_hooks() {
    let set = targets(&[("Job", "pre", &[("hook", "PreSync")])]);
    let id = ResourceId::new("batch", "Job", "ns", "pre");
    let found = LiveMap::from([(
        id.clone(),
        live(
            &id,
            Some(Code::Progressing),
            Some(OPERATION),
            SyncSettings::default(),
        ),
    )]);
    let tasks = tasks(&set, &found, &sync(), &[]);
    let ended = terminate(&tasks, &[tasks[0].new_row()], OPERATION);
    let Step::Finish {
        phase,
        message,
        delete,
    } = ended.step
    else {
        panic!("no end")
    };
    assert_eq!(
        (phase, message.as_str(), delete.len()),
        (Phase::Failed, "Operation terminated", 1)
    );
}

#[test]
fn termination_knows_hooks_that_were_not_written_down_and_those_that_have_ended() {
    let set = targets(&[
        ("Job", "done", &[("hook", "PreSync")]),
        ("Job", "runs", &[("hook", "PreSync")]),
    ]);
    let found: LiveMap = set
        .targets
        .iter()
        .map(|target| {
            let code = if &*target.id.name == "done" {
                Code::Healthy
            } else {
                Code::Progressing
            };
            let object = live(
                &target.id,
                Some(code),
                Some(OPERATION),
                target.settings.clone(),
            );
            (target.id.clone(), object)
        })
        .collect();
    let tasks = tasks(&set, &found, &sync(), &[]);
    let ended = terminate(&tasks, &[], OPERATION);
    let phases: Vec<_> = ended.results.iter().map(|row| row.hook_phase).collect();
    assert_eq!(phases, [Some(Phase::Succeeded), Some(Phase::Failed)]);
    let Step::Finish { delete, .. } = ended.step else {
        panic!("no end")
    };
    let names = |hooks: &[HookObject]| -> Vec<String> {
        hooks.iter().map(|hook| hook.id.name.to_string()).collect()
    };
    assert_eq!(
        (names(&ended.release), names(&delete)),
        (vec!["done".to_owned()], vec!["runs".to_owned()])
    );
}

#[test]
fn hooks_with_one_generated_name_are_two_hooks() {
    let set = targets(&[
        ("Job", "check-", &[("hook", "PreSync")]),
        ("Job", "check-", &[("hook", "PreSync")]),
    ]);
    let tasks = tasks(&set, &LiveMap::new(), &sync(), &[]);
    let names: Vec<&str> = tasks.iter().map(|task| task.id.name.as_ref()).collect();
    assert_eq!(names.len(), 2, "{names:?}");
    assert_ne!(names[0], names[1]);
}

#[test]
fn a_hook_that_is_deleted_by_hand_fails_and_is_released() {
    let set = targets(&[("Job", "pre", &[("hook", "PreSync")])]);
    let id = set.targets[0].id.clone();
    let decided = |code: Code| {
        let settings = set.targets[0].settings.clone();
        let mut going = Live::clone(&live(&id, Some(code), Some(OPERATION), settings));
        going.deleting = true;
        let found = LiveMap::from([(id.clone(), Arc::new(going))]);
        let tasks = tasks(&set, &found, &sync(), &[]);
        advance(&tasks, &[tasks[0].new_row()], OPERATION)
    };
    let running = decided(Code::Progressing);
    let row = &running.results[0];
    assert_eq!(row.hook_phase, Some(Phase::Failed));
    assert!(
        row.message.contains("was deleted before it ended"),
        "{}",
        row.message
    );
    assert_eq!(running.release.len(), 1, "nothing keeps it");
    // One that has ended and is removed by its time to live has its result.
    assert_eq!(
        decided(Code::Healthy).results[0].hook_phase,
        Some(Phase::Succeeded)
    );
}
