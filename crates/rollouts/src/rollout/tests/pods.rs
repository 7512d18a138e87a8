//! Restarts, metadata of versions, and the distance between them.

use std::collections::BTreeMap;

use reconcile_core::testkit::Fault;
use serde_json::{Value, json};

use super::{
    cluster::Cluster,
    fake_api::{NAMESPACE, controller, get, is_healthy, rollout, server, until, update},
};

/// A person asks for a restart of all pods that are there.
fn restart(cluster: &mut Cluster) -> String {
    cluster.advance(60);
    let at = cluster.now.to_string();
    cluster.edit(|spec| spec["restartAt"] = at.clone().into());
    cluster.advance(1);
    at
}

fn young_pods(cluster: &Cluster, at: &str) -> usize {
    let at = at.parse().expect("a time");
    let pods = cluster.pods.values().flatten();
    pods.filter(|pod| pod.born >= at).count()
}

#[test]
fn a_restart_replaces_as_many_pods_at_a_time_as_may_be_unavailable() {
    for (strategy, at_a_time) in [
        (json!({"canary": {"maxUnavailable": 2, "maxSurge": 1}}), 2),
        (json!({"canary": {"maxUnavailable": 0, "maxSurge": 1}}), 1),
        (json!({"blueGreen": {"activeService": "main"}}), 1),
        (
            json!({"blueGreen": {"activeService": "main", "maxUnavailable": 3}}),
            3,
        ),
    ] {
        let mut cluster = Cluster::new(4, &strategy).with_services(&["main"]);
        cluster.run();
        let at = restart(&mut cluster);
        cluster.pass(None);
        let left: usize = cluster.pods.values().map(Vec::len).sum();
        assert_eq!(left, 4 - at_a_time, "{strategy}\n{}", cluster.log);
        let status = cluster.status();
        assert_eq!(
            (status.phase.as_str(), status.message.as_str()),
            ("Progressing", "rollout is restarting")
        );
        // The budget is used up.
        assert_eq!(cluster.pass(None).0, 0, "{}", cluster.log);
        assert!(cluster.wake.is_some(), "somebody must look again");
        cluster.run();
        assert_eq!(young_pods(&cluster, &at), 4, "{}", cluster.log);
        let status = cluster.status();
        assert_eq!(status.phase, "Healthy");
        assert_eq!(
            status.restarted_at.expect("a time").0.to_string(),
            at,
            "{}",
            cluster.log
        );
        assert_eq!(cluster.replica_sets.len(), 1, "a restart is no new version");
    }
}

#[test]
fn a_restart_waits_for_its_time_and_for_budgets_of_others() {
    let mut cluster = Cluster::new(1, &json!({"canary": {}}));
    cluster.run();
    cluster.protected = true;
    let later = (cluster.now + jiff::SignedDuration::from_secs(100)).to_string();
    cluster.edit(|spec| spec["restartAt"] = later.clone().into());
    cluster.run();
    assert_eq!(cluster.status().message, "rollout is restarting");
    assert_eq!(cluster.wake, Some(later.parse().expect("a time")));
    cluster.advance(101);
    for _ in 0..3 {
        assert_eq!(cluster.pass(None).0, 1, "the eviction is tried");
        assert_eq!(cluster.status().restarted_at, None, "{}", cluster.log);
        assert!(cluster.wake.is_some(), "somebody must look again");
        cluster.advance(31);
    }
    cluster.protected = false;
    cluster.run();
    assert_eq!(young_pods(&cluster, &later), 1);
    assert_eq!(cluster.status().phase, "Healthy");
}

#[test]
fn pods_of_a_new_version_are_young() {
    let mut cluster = Cluster::new(2, &json!({"canary": {}}));
    cluster.run();
    cluster.advance(60);
    let at = cluster.now.to_string();
    cluster.edit(|spec| spec["restartAt"] = at.clone().into());
    cluster.set_image("v2");
    cluster.run();
    assert_eq!(cluster.status().phase, "Healthy");
    assert!(!cluster.log.contains("evict"), "{}", cluster.log);
}

fn roles(cluster: &Cluster) -> BTreeMap<String, usize> {
    let mut roles = BTreeMap::new();
    for pod in cluster.pods.values().flatten() {
        let role = pod.labels.get("role").cloned().unwrap_or_default();
        *roles.entry(role).or_default() += 1;
    }
    roles
}

#[test]
fn versions_have_their_labels_as_long_as_they_play_their_role() {
    let strategy = json!({"canary": {
        "steps": [{"setWeight": 50}, {"pause": {}}],
        "canaryMetadata": {"labels": {"role": "canary"}},
        "stableMetadata": {"labels": {"role": "stable"}},
    }});
    let mut cluster = Cluster::new(4, &strategy);
    cluster.run();
    assert_eq!(roles(&cluster), [("stable".to_owned(), 4)].into());
    cluster.set_image("v2");
    cluster.run();
    let both = [("stable".to_owned(), 2), ("canary".to_owned(), 2)].into();
    assert_eq!(roles(&cluster), both, "{}", cluster.log);
    cluster.patch_status(&json!({"pauseConditions": null}));
    cluster.run();
    assert_eq!(roles(&cluster), [("stable".to_owned(), 4)].into());
    assert_eq!(cluster.replica_sets.len(), 2, "labels make no new version");
    cluster.edit(|spec| spec["strategy"]["canary"]["stableMetadata"] = Value::Null);
    cluster.run();
    assert_eq!(
        roles(&cluster),
        [(String::new(), 4)].into(),
        "{}",
        cluster.log
    );
}

#[test]
fn labels_of_the_selector_cannot_change() {
    for (field, strategy) in [
        (
            "canaryMetadata",
            json!({"canary": {"canaryMetadata": {"labels": {"app": "x"}}}}),
        ),
        (
            "activeMetadata",
            json!({"blueGreen": {"activeService": "main", "activeMetadata": {"labels": {"app": "x"}}}}),
        ),
    ] {
        let cluster = Cluster::new(1, &strategy).with_services(&["main"]);
        let error = cluster.observe().err().expect("a refusal").to_string();
        assert!(
            error.contains(field) && error.contains("\"app\""),
            "{error}"
        );
    }
}

#[test]
fn kinds_and_weights_of_anti_affinity_are_checked() {
    let preferred = |weight: i32| json!({"preferredDuringSchedulingIgnoredDuringExecution": {"weight": weight}});
    let mut both = preferred(1);
    both["requiredDuringSchedulingIgnoredDuringExecution"] = json!({});
    for (rules, valid) in [
        (preferred(1), true),
        (preferred(100), true),
        (preferred(0), false),
        (preferred(101), false),
        (both, false),
    ] {
        let cluster = Cluster::new(1, &json!({"canary": {"antiAffinity": rules}}));
        assert_eq!(cluster.observe().is_ok(), valid, "{rules}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn templates_get_labels_and_distance_without_a_redeployment() {
    let api = server();
    api.put(&rollout(&json!({"canary": {
        "steps": [{"setWeight": 50}, {"pause": {}}],
        "canaryMetadata": {"labels": {"role": "canary"}, "annotations": {"note": "new"}},
        "stableMetadata": {"labels": {"role": "stable"}},
        "antiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {}},
    }})));
    let operator = controller(&api);
    until(&api, "deployed", is_healthy).await;
    let stable = api.list("replicasets").remove(0);
    let template = &stable["spec"]["template"];
    assert_eq!(template["metadata"]["labels"]["role"], "stable");
    assert_eq!(
        template["spec"]["affinity"],
        Value::Null,
        "there is no other version"
    );
    update(&api, "v2");
    until(&api, "paused", |rollout| {
        rollout["status"]["phase"] == "Paused"
    })
    .await;
    let hash = |field: &str| get(&api)["status"][field].clone();
    let newest = || {
        let sets = api.list("replicasets").into_iter();
        let mut newest = sets.filter(|set| {
            set["metadata"]["labels"]["rollouts-pod-template-hash"] == hash("currentPodHash")
        });
        newest.next().expect("the newest ReplicaSet")
    };
    let set = newest();
    let template = &set["spec"]["template"];
    assert_eq!(template["metadata"]["labels"]["role"], "canary");
    assert_eq!(template["metadata"]["annotations"]["note"], "new");
    let rule = &template["spec"]["affinity"]["podAntiAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
        [0];
    assert_eq!(
        rule["labelSelector"]["matchExpressions"][0]["values"],
        json!([hash("stableRS")])
    );
    api.edit("rollouts", NAMESPACE, "web", |rollout| {
        rollout["status"]["pauseConditions"] = Value::Null;
    });
    until(&api, "updated", is_healthy).await;
    until(&api, "stable", |_| {
        newest()["spec"]["template"]["metadata"]["labels"]["role"] == "stable"
    })
    .await;
    let set = newest();
    assert_eq!(
        set["spec"]["template"]["metadata"]["annotations"]["note"],
        Value::Null
    );
    assert_eq!(
        set["metadata"]["annotations"]["rollout.argoproj.io/ephemeral-metadata"],
        r#"{"labels":{"role":"stable"}}"#
    );
    assert_eq!(
        api.list("replicasets").len(),
        2,
        "{}",
        api.writes().join("\n")
    );
    operator.shutdown.cancel();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_eviction_that_a_budget_holds_back_is_tried_again() {
    let api = server();
    api.put(&rollout(&json!({"canary": {"maxUnavailable": 2}})));
    let operator = controller(&api);
    until(&api, "deployed", is_healthy).await;
    let set = api.list("replicasets").remove(0);
    for name in ["a", "b"] {
        api.put(&json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {
                "name": name, "namespace": NAMESPACE, "creationTimestamp": "2020-01-01T00:00:00Z",
                "labels": set["spec"]["template"]["metadata"]["labels"],
                "ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "controller": true,
                    "name": set["metadata"]["name"], "uid": set["metadata"]["uid"]}],
            },
            "spec": {}, "status": {"conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": "2020-01-01T00:00:00Z"}]},
        }));
    }
    // Each request is tried four times by the client.
    api.fail(
        Fault::status("create", "pods/eviction", 429, "TooManyRequests")
            .named("b")
            .times(4),
    );
    api.edit("rollouts", NAMESPACE, "web", |rollout| {
        rollout["spec"]["restartAt"] = "2021-01-01T00:00:00Z".into();
    });
    until(&api, "observed", |rollout| {
        rollout["status"]["observedGeneration"] == "3"
            || rollout["status"]["observedGeneration"] == "2"
    })
    .await;
    until(&api, "partly restarted", |_| api.list("pods").len() == 1).await;
    until(&api, "restarting", |rollout| {
        rollout["status"]["message"] == "rollout is restarting"
    })
    .await;
    assert_eq!(get(&api)["status"]["restartedAt"], Value::Null);
    // The ReplicaSet changes when the pod is replaced, which wakes the controller.
    api.edit(
        "replicasets",
        NAMESPACE,
        set["metadata"]["name"].as_str().expect("a name"),
        |set| {
            set["status"]["readyReplicas"] = 1.into();
        },
    );
    until(&api, "restarted", |rollout| {
        rollout["status"]["restartedAt"] == "2021-01-01T00:00:00Z"
    })
    .await;
    assert!(api.list("pods").is_empty());
    operator.shutdown.cancel();
}
