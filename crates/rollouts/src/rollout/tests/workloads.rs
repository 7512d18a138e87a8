//! Rollouts that take their template from another workload.

use reconcile_core::kube_types::LabelSelector;
use serde_json::{Value, json};

use super::{
    cluster::{Cluster, template},
    fake_api::{NAMESPACE, controller, get, is_healthy, rollout, server, until},
};
use crate::rollout::workload::{Workload, WorkloadKind};

fn deployment(image: &str, generation: i64) -> Workload {
    Workload {
        uid: "u-deployment".to_owned(),
        generation,
        template: template(image),
        selector: Some(LabelSelector {
            match_labels: [("app".to_owned(), "web".to_owned())].into(),
            ..LabelSelector::default()
        }),
        replicas: 4,
    }
}

/// A Rollout of four pods that refers to the Deployment `web`.
fn cluster(scale_down: &str) -> Cluster {
    let mut cluster = Cluster::new(4, &json!({"canary": {"maxSurge": 1, "maxUnavailable": 0}}));
    cluster.put_workload(WorkloadKind::Deployment, "web", deployment("v1", 1));
    cluster.edit(|spec| {
        let spec = spec.as_object_mut().expect("a spec");
        spec.remove("template");
        spec.remove("selector");
        let reference = json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "web", "scaleDown": scale_down});
        spec.insert("workloadRef".to_owned(), reference);
    });
    cluster
}

fn deployed(cluster: &Cluster) -> i32 {
    let key = reconcile_core::object::ObjectKey::new("ns", "web");
    let workload = cluster
        .indexes
        .workloads
        .of(WorkloadKind::Deployment)
        .get(&key);
    workload.expect("the Deployment").replicas
}

#[test]
fn the_template_and_selector_come_from_the_deployment() {
    let mut cluster = cluster("never");
    cluster.run();
    assert_eq!(cluster.sizes()["v1"], 4, "{}", cluster.log);
    assert_eq!(cluster.status().workload_observed_generation, "1");
    let annotation = |cluster: &Cluster| {
        cluster.root["metadata"]["annotations"]["rollout.argoproj.io/workload-generation"].clone()
    };
    assert_eq!(annotation(&cluster), "1");
    cluster.put_workload(WorkloadKind::Deployment, "web", deployment("v2", 2));
    cluster.run();
    assert_eq!(cluster.status().phase, "Healthy");
    assert_eq!(cluster.sizes()["v2"], 4, "{}", cluster.log);
    assert_eq!(cluster.status().workload_observed_generation, "2");
    assert_eq!(deployed(&cluster), 4, "scaleDown: never");
    assert_eq!(
        cluster.root["spec"]["template"],
        Value::Null,
        "nothing is written back"
    );
    // The Rollout gets a template of its own.
    cluster.edit(|spec| {
        spec["workloadRef"] = Value::Null;
        spec["selector"] = json!({"matchLabels": {"app": "web"}});
        spec["template"] = template("v2");
    });
    cluster.run();
    assert_eq!(annotation(&cluster), Value::Null);
    assert_eq!(cluster.status().workload_observed_generation, "");
    assert_eq!(cluster.replica_sets.len(), 2, "the template is the same");
}

#[test]
fn the_deployment_gives_up_its_pods_as_it_says() {
    let mut once = cluster("onsuccess");
    once.settle();
    assert_eq!(deployed(&once), 4, "no pod of the Rollout is ready yet");
    once.run();
    assert_eq!(deployed(&once), 0, "{}", once.log);

    let mut stepwise = cluster("progressively");
    stepwise.settle();
    let name = stepwise.replica_sets.keys().next().cloned().expect("a set");
    for ready in 1..=4 {
        stepwise.make_or_remove_pod(&name);
        stepwise.make_ready(&name);
        stepwise.count(&name);
        stepwise.settle();
        assert_eq!(deployed(&stepwise), 4 - ready, "{}", stepwise.log);
    }
    // Later versions leave the Deployment to whoever scales it.
    let mut scaled = deployment("v2", 9);
    scaled.replicas = 3;
    stepwise.put_workload(WorkloadKind::Deployment, "web", scaled);
    stepwise.run();
    assert_eq!(stepwise.sizes()["v2"], 4);
    assert_eq!(deployed(&stepwise), 3, "{}", stepwise.log);
}

#[test]
fn references_that_cannot_be_used_are_refused() {
    let reference =
        |kind: &str, version: &str| json!({"apiVersion": version, "kind": kind, "name": "web"});
    for (workload, own, message) in [
        (
            reference("StatefulSet", "apps/v1"),
            false,
            "use an apps/v1 Deployment",
        ),
        (
            reference("Deployment", "v1"),
            false,
            "use an apps/v1 Deployment",
        ),
        (
            reference("PodTemplate", "v1"),
            false,
            "PodTemplate \"web\" not found",
        ),
        (
            reference("Deployment", "apps/v1"),
            true,
            "template must be empty",
        ),
        (
            json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "web", "scaleDown": "soon"}),
            false,
            "use never, onsuccess or progressively",
        ),
    ] {
        let mut cluster = cluster("never");
        cluster.edit(|spec| {
            spec["workloadRef"] = workload.clone();
            if own {
                spec["template"] = template("v1");
            }
        });
        let error = cluster.observe().err().expect("a refusal").to_string();
        assert!(error.contains(message), "{workload}: {error}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_of_the_deployment_wakes_the_rollout() {
    let api = server();
    let deployment = |image: &str| {
        json!({
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "namespace": NAMESPACE},
            "spec": {"replicas": 2, "selector": {"matchLabels": {"app": "web"}}, "template": template(image)},
        })
    };
    let mut manifest = rollout(&json!({"canary": {}}));
    let spec = manifest["spec"].as_object_mut().expect("a spec");
    spec.remove("template");
    spec.remove("selector");
    spec.insert(
        "workloadRef".to_owned(),
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "web", "scaleDown": "onsuccess"}),
    );
    api.put(&manifest);
    let operator = controller(&api);
    until(&api, "refused", |rollout| {
        rollout["status"]["phase"] == "Degraded"
    })
    .await;
    api.put(&deployment("v1"));
    until(&api, "deployed", is_healthy).await;
    let replicas = || {
        let found = api.get("deployments", NAMESPACE, "web");
        found.expect("the Deployment")["spec"]["replicas"].clone()
    };
    until(&api, "replaced", |_| replicas() == 0).await;
    let before = get(&api)["status"]["currentPodHash"].clone();
    api.edit("deployments", NAMESPACE, "web", |deployment| {
        deployment["spec"]["template"] = template("v2");
    });
    until(&api, "updated", |rollout| {
        is_healthy(rollout) && rollout["status"]["currentPodHash"] != before
    })
    .await;
    let generation = api
        .get("deployments", NAMESPACE, "web")
        .expect("the Deployment")["metadata"]["generation"]
        .to_string();
    until(&api, "observed", |rollout| {
        rollout["status"]["workloadObservedGeneration"].as_str() == Some(generation.as_str())
    })
    .await;
    assert_eq!(
        get(&api)["metadata"]["annotations"]["rollout.argoproj.io/workload-generation"],
        generation
    );
    operator.shutdown.cancel();
}
