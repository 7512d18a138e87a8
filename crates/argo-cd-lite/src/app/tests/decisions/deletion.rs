//! Deletion of an Application, with its hooks and finalizers.

use super::*;

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
