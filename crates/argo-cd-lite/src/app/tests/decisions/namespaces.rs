//! The namespace of the destination.

use super::*;

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
