//! What events have registered at services, and what becomes of it.

use serde_json::{Value, json};

use super::{
    now,
    sources::{hook, observed, reported},
};
use crate::controller::{
    dedicated::Elsewhere,
    eventsource::{
        Action, Observed,
        plan::{FINALIZER, plan},
        registrations::{Manifest, Registrations},
        removal::RemovalState,
        status::report,
        validate,
    },
};

/// An EventSource that has one webhook registered, and its status says so.
fn registered(spec: &Value) -> Observed {
    let mut source = observed(spec);
    let checked = source.spec.as_ref().expect("good");
    let before = Registrations::of(&Manifest {
        uid: "uid-1",
        spec,
        status: &Value::Null,
        tasks: Some(&checked.tasks),
        deleting: false,
    });
    source.object.status = json!({"registered": before.records()});
    source.registrations = before;
    source
}

/// What is registered once the manifest is `spec`.
fn changed(source: &Observed, spec: &Value, deleting: bool) -> Registrations {
    let checked = validate::check("src", spec);
    Registrations::of(&Manifest {
        uid: "uid-1",
        spec,
        status: &source.object.status,
        tasks: checked
            .as_ref()
            .ok()
            .map(|checked| checked.tasks.as_slice()),
        deleting,
    })
}

fn forge(names: &[&str], url: &str, more: &Value) -> Value {
    let mut event = json!({
        "webhook": {"port": "12000", "endpoint": "push", "url": url}, "deleteHookOnFinish": true,
        "repositories": [{"owner": "shop", "names": names}], "apiToken": {"name": "a", "key": "b"},
    });
    for (field, value) in more.as_object().into_iter().flatten() {
        event[field] = value.clone();
    }
    json!({"github": {"hub": event}})
}

#[test]
fn what_is_registered_holds_its_object_and_goes_with_its_event_only() {
    let spec = forge(&["api", "web"], "https://one", &json!({}));
    let mut source = registered(&spec);
    assert_eq!(
        plan(&source, now()).actions,
        [Action::AddFinalizer, Action::Run]
    );
    source.object.meta.finalizers = vec![FINALIZER.to_owned()];
    assert_eq!(plan(&source, now()).actions, [Action::Run]);
    let none = json!({});
    for (name, after, stale, live) in [
        ("nothing changed", spec.clone(), 0, 1),
        (
            "other events",
            forge(&["api", "web"], "https://one", &json!({"events": ["push"]})),
            0,
            1,
        ),
        (
            "one more place",
            forge(&["api", "web", "db"], "https://one", &none),
            0,
            1,
        ),
        (
            "one place less",
            forge(&["api"], "https://one", &none),
            1,
            1,
        ),
        (
            "another URL",
            forge(&["api", "web"], "https://two", &none),
            1,
            1,
        ),
        (
            "it is to stay now",
            forge(
                &["api"],
                "https://one",
                &json!({"deleteHookOnFinish": false}),
            ),
            0,
            0,
        ),
        (
            "it is broken",
            forge(&["api"], "https://one", &json!({"events": 7})),
            0,
            1,
        ),
        ("it is gone", json!({"webhook": {"push": hook()}}), 1, 0),
        ("the spec cannot be read", json!({"eventBusName": 7}), 0, 1),
        (
            "another event has it",
            json!({"github": {"other": spec["github"]["hub"]}}),
            0,
            1,
        ),
    ] {
        let now = changed(&source, &after, false);
        assert_eq!((now.stale.len(), now.live.len()), (stale, live), "{name}");
    }
    let deleted = changed(&source, &spec, true);
    assert_eq!((deleted.stale.len(), deleted.live.len()), (1, 0));
}

#[test]
fn a_deleted_object_waits_for_the_removal_and_not_for_ever() {
    let spec = forge(&["api"], "https://one", &json!({}));
    let mut source = registered(&spec);
    source.object.meta.deleting = true;
    source.object.meta.finalizers = vec![FINALIZER.to_owned()];
    source.registrations = changed(&source, &spec, true);
    let actions = |source: &Observed| plan(source, now()).actions;
    assert_eq!(actions(&source), [Action::Stop, Action::RemoveRegistered]);
    // Its own pod removes it.
    source.elsewhere = Some(Elsewhere::Pod);
    assert_eq!(actions(&source), [Action::Stop]);
    source.elsewhere = None;
    let trouble = Some("spec.github.hub: away".to_owned());
    source.registrations.removal = Some(RemovalState::Running { trouble });
    assert_eq!(actions(&source), [Action::Stop]);
    let texts = reported(&source, Vec::new());
    assert!(
        texts.contains("RegistrationsRemoved=False Retrying spec.github.hub: away"),
        "{texts}"
    );
    let left = vec!["spec.github.hub: away".to_owned()];
    source.registrations.removal = Some(RemovalState::Ended { left });
    assert_eq!(actions(&source), [Action::Stop, Action::RemoveFinalizer]);
    let last = report(&source, &plan(&source, now()), None, None, now());
    assert!(last.patches.is_empty(), "it may be gone");
    assert_eq!(last.events[0].reason, "RegistrationLeft");
    assert!(
        last.events[0]
            .note
            .ends_with("by hand: spec.github.hub: away")
    );
}
