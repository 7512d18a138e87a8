//! Owners of ReplicaSets.

use reconcile_core::{
    error::{Classify, ErrorClass},
    object::Root,
    operator::install_tls,
    testkit::FakeApi,
};
use serde_json::{Value, json};

use super::{NAMESPACE, get, rollout, server};
use crate::{
    api::rollout::PodMetadata,
    rollout::{
        Effects, Sources, observe,
        observed::Observed,
        plan::{Action, NewReplicaSet},
    },
};

/// What a pass sees of the Rollout as it is in `api` now, with no ReplicaSets.
fn seen(api: &FakeApi, sources: &Sources) -> Observed {
    let root = Root::from_value(&get(api)).expect("a Rollout");
    observe::observe(sources, &root).expect("a valid one")
}

/// A Rollout on an API server, what a pass observes of it, and the effects of one.
fn stage() -> (FakeApi, Effects, Observed) {
    install_tls();
    let api = server();
    api.put(&rollout(&json!({"canary": {}})));
    let sources = Sources::default();
    let effects = Effects {
        client: api.client(),
        sources: sources.clone(),
        instance_id: String::new(),
        aws: None,
    };
    let seen = seen(&api, &sources);
    (api, effects, seen)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rollout_that_is_going_takes_no_orphans_along() {
    let (api, effects, seen) = stage();
    let orphan = |name: &str| {
        let set = json!({"apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": {"name": name, "namespace": NAMESPACE}, "spec": {}});
        let version = api.put(&set)["metadata"]["resourceVersion"].clone();
        Action::Adopt {
            name: name.to_owned(),
            version: version.as_str().expect("a version").to_owned(),
        }
    };
    let owners = |name: &str| {
        let set = api
            .get("replicasets", NAMESPACE, name)
            .expect("the ReplicaSet");
        set["metadata"]["ownerReferences"].clone()
    };
    let first = orphan("first");
    effects
        .apply(&seen, &first)
        .await
        .expect("it is taken over");
    assert_eq!(owners("first")[0]["name"], "web");
    // Somebody deletes the Rollout and keeps its pods; the pass has not seen it.
    api.edit("rollouts", NAMESPACE, "web", |rollout| {
        rollout["metadata"]["finalizers"] = json!(["orphan"]);
        rollout["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z".into();
    });
    let second = orphan("second");
    let error = effects.apply(&seen, &second).await.expect_err("too late");
    assert_eq!(error.class(), ErrorClass::Conflict);
    assert_eq!(owners("second"), Value::Null);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rollout_that_is_gone_gets_no_pods_again() {
    let (api, effects, first) = stage();
    let create = |hash: &str| {
        Action::Create(NewReplicaSet {
            name: format!("web-{hash}"),
            hash: hash.to_owned(),
            replicas: 1,
            revision: 1,
            metadata: PodMetadata::default(),
            avoids: None,
        })
    };
    effects
        .apply(&first, &create("a"))
        .await
        .expect("it is created");
    let mut seen = first;
    seen.status.current_pod_hash = "a".to_owned();
    // The garbage collector takes the ReplicaSet along, and the pass sees that before it sees why.
    api.delete("rollouts", NAMESPACE, "web");
    assert_eq!(api.list("replicasets"), Vec::<Value>::new());
    let error = effects
        .apply(&seen, &create("a"))
        .await
        .expect_err("too late");
    assert_eq!(error.class(), ErrorClass::Conflict);
    assert_eq!(api.list("replicasets"), Vec::<Value>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn foreign_owners_of_a_replica_set_stay() {
    let (api, effects, seen) = stage();
    let foreign = json!({"apiVersion": "example.com/v1", "kind": "Backup", "name": "nightly", "uid": "u-backup"});
    let set = api.put(&json!({
        "apiVersion": "apps/v1", "kind": "ReplicaSet",
        "metadata": {"name": "web-1", "namespace": NAMESPACE, "ownerReferences": [foreign]}, "spec": {}
    }));
    let text = |field: &str| {
        let value = &set["metadata"][field];
        value.as_str().expect("a text").to_owned()
    };
    let owners = || {
        let set = api.get("replicasets", NAMESPACE, "web-1");
        set.expect("the ReplicaSet")["metadata"]["ownerReferences"].clone()
    };
    let adopt = Action::Adopt {
        name: "web-1".to_owned(),
        version: text("resourceVersion"),
    };
    effects.apply(&seen, &adopt).await.expect("it is adopted");
    let adopted = owners();
    assert_eq!(adopted[0], foreign);
    assert_eq!(
        (&adopted[1]["name"], &adopted[1]["controller"]),
        (&json!("web"), &json!(true))
    );
    let release = Action::Release {
        name: "web-1".to_owned(),
        uid: text("uid"),
    };
    effects
        .apply(&seen, &release)
        .await
        .expect("it is released");
    assert_eq!(owners(), json!([foreign]));
}
