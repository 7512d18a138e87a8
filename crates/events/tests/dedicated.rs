//! A Sensor with a pod of its own: the shared process makes a Deployment and leaves the events to its pod, until the
//! Sensor asks for none any more.

mod support;

use reconcile_core::testkit::FakeApi;
use serde_json::{Value, json};

use support::{
    Nats, Receiver, publish, spec, until,
    workers::{Worker, api_with_bus, argo, write_kubeconfig},
};

const TEMPLATE: &str = "
apiVersion: apps/v1
kind: Deployment
metadata: {name: any}
spec:
  selector: {matchLabels: {}}
  template:
    metadata: {labels: {app: events}}
    spec:
      containers: [{name: events, image: 'events:1', args: [worker]}]
";

/// The status of a condition of the Sensor; empty when it is not there.
fn condition(api: &FakeApi, kind: &str) -> String {
    let sensor = api.get("sensors", "ns", "s").unwrap_or_default();
    let conditions = sensor["status"]["conditions"].as_array().cloned();
    let all = conditions.unwrap_or_default();
    let found = all.iter().find(|one| one["type"] == kind);
    let status = found.and_then(|one| one["status"].as_str());
    status.unwrap_or_default().to_owned()
}

async fn until_ended(pod: &mut Worker) {
    let end = std::time::Instant::now() + support::PATIENCE;
    while !pod.has_ended() {
        assert!(std::time::Instant::now() < end, "the pod runs");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sensor_with_a_pod_of_its_own_is_left_to_it_until_it_asks_for_none() {
    let Some(nats) = Nats::start().await else {
        return;
    };
    let receiver = Receiver::start().await;
    let api = api_with_bus(&nats.config().urls[0]);
    let mut spec = spec(&receiver.url, &["a"]);
    spec["triggers"][0]["atLeastOnce"] = true.into();
    spec["template"] = json!({"nodeSelector": {"disk": "ssd"}});
    api.put(&argo("Sensor", "s", &spec));
    let server = api.listen().await.expect("a port");
    let folder = tempfile::tempdir().expect("a folder");
    let kubeconfig = folder.path().join("kubeconfig");
    write_kubeconfig(&kubeconfig, &server.url);
    let template = folder.path().join("dedicated.yaml");
    std::fs::write(&template, TEMPLATE).expect("written");

    let from = format!("--dedicated-template={}", template.display());
    let shared = Worker::start_with("controller", &kubeconfig, &[&from]);
    until("a Deployment is there", || async {
        api.list("deployments").len() == 1
    })
    .await;
    let made = api.list("deployments").remove(0);
    let pod = &made["spec"]["template"]["spec"];
    assert_eq!(made["metadata"]["namespace"], "ops");
    assert_eq!(pod["nodeSelector"], json!({"disk": "ssd"}));
    let only = "--only=Sensor/ns/s";
    assert_eq!(pod["containers"][0]["args"], json!(["worker", only]));
    let pod_is = |status: &str| condition(&api, "DedicatedPod") == status;
    until("the status says so", || async { pod_is("False") }).await;

    // What the kubelet and the controller of Deployments would do.
    let mut pod = Worker::start_with("worker", &kubeconfig, &[only, &from]);
    let name = made["metadata"]["name"]
        .as_str()
        .expect("a name")
        .to_owned();
    api.edit("deployments", "ops", &name, |made| {
        made["status"] = json!({"availableReplicas": 1});
    });
    until("both tell", || async {
        pod_is("True") && condition(&api, "Deployed") == "True"
    })
    .await;
    let bus = nats.bus().await;
    for n in 0..20 {
        publish(&bus, "a", n).await;
    }
    receiver.wait_for(20).await;
    // Without the template the pod ends, because shared processes that start now act for the Sensor. This one does not, and
    // says so.
    std::fs::remove_file(&template).expect("removed");
    until_ended(&mut pod).await;
    api.edit("deployments", "ops", &name, |made| {
        made["status"] = Value::Null;
    });
    until("the status says so again", || async { pod_is("False") }).await;
    for n in 20..40 {
        publish(&bus, "a", n).await;
    }
    assert_eq!(receiver.count(), 20);

    // No pod is asked for any more.
    api.edit("sensors", "ns", "s", |sensor| {
        sensor["spec"]["template"] = Value::Null;
    });
    receiver.wait_for(40).await;
    until("the Deployment is deleted", || async {
        api.list("deployments").is_empty()
    })
    .await;
    until("no pod is spoken of", || async { pod_is("") }).await;
    assert_eq!(condition(&api, "Deployed"), "True");
    assert_eq!(receiver.numbers("a"), (0..40).collect::<Vec<u64>>());
    drop(shared);
}
