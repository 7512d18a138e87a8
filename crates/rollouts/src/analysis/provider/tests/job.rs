//! Jobs, against an API server in memory.

use reconcile_core::{clock::Clock, testkit::FakeApi};
use serde_json::{Value, json};

use super::{
    super::{MeasurementRequest, ProviderConfig, Providers},
    order_of, taken,
};
use crate::api::analysis::{AnalysisPhase, Measurement};

struct JobCluster {
    api: FakeApi,
    providers: Providers,
    order: MeasurementRequest,
}

fn world(number: i32) -> JobCluster {
    let api = FakeApi::new();
    let providers = Providers::new(api.client(), Clock::system(), ProviderConfig::default());
    let job = json!({
        "metadata": { "labels": { "team": "a" } },
        "spec": { "backoffLimit": 0, "template": { "spec": {
            "restartPolicy": "Never", "containers": [{ "name": "check", "image": "{{args.image}}" }],
        } } },
    });
    let arguments = json!([{ "name": "image", "value": "check:1" }]);
    let order = MeasurementRequest {
        run_name: "run".into(),
        run_uid: "u1".into(),
        number,
        retention: 2,
        ..order_of(json!({ "job": job }), json!({}), arguments)
    };
    JobCluster {
        api,
        providers,
        order,
    }
}

impl JobCluster {
    async fn step(&mut self, open: Option<Measurement>, terminate: bool) -> Measurement {
        self.order.open = open;
        self.order.terminate = terminate;
        taken(self.providers.measure(&self.order).await)
    }

    fn names(&self) -> Vec<String> {
        let name = |job: &Value| job["metadata"]["name"].as_str().expect("a name").to_owned();
        self.api.list("jobs").iter().map(name).collect()
    }

    fn ends(&self, condition: Value) {
        self.api.edit("jobs", "ns", "u1.m.1", |job| {
            job["status"] = json!({ "conditions": [condition] });
        });
    }
}

#[tokio::test]
async fn a_job_is_made_once_and_its_end_is_the_verdict() {
    for (condition, phase, message) in [
        (
            json!({ "type": "Complete", "status": "True" }),
            AnalysisPhase::Successful,
            "",
        ),
        (
            json!({ "type": "Failed", "status": "True", "message": "it broke" }),
            AnalysisPhase::Failed,
            "it broke",
        ),
    ] {
        let mut world = world(1);
        let begun = world.step(None, false).await;
        assert_eq!(begun.phase, AnalysisPhase::Running, "{}", begun.message);
        assert!(begun.resume_at.is_some() && begun.finished_at.is_none());
        let again = world.step(None, false).await;
        assert_eq!(
            (again.metadata, world.names()),
            (begun.metadata.clone(), vec!["u1.m.1".to_owned()])
        );
        let job = world.api.get("jobs", "ns", "u1.m.1").expect("a Job");
        assert_eq!(
            job["spec"]["template"]["spec"]["containers"][0]["image"],
            "check:1"
        );
        assert_eq!(
            job["metadata"]["labels"],
            json!({ "team": "a", "analysisrun.argoproj.io/uid": "u1" })
        );
        assert_eq!(job["metadata"]["ownerReferences"][0]["name"], "run");
        let waiting = world.step(Some(begun.clone()), false).await;
        assert_eq!(
            (&waiting.phase, waiting.message.as_str()),
            (&AnalysisPhase::Running, "")
        );
        world.ends(condition);
        let ended = world.step(Some(waiting), false).await;
        assert_eq!((ended.phase, ended.message.as_str()), (phase, message));
        assert!(ended.finished_at.is_some() && ended.resume_at.is_none());
    }
}

#[tokio::test]
async fn ending_the_measurement_deletes_the_job() {
    let mut world = world(1);
    let begun = world.step(None, false).await;
    let ended = world.step(Some(begun.clone()), true).await;
    assert_eq!(
        (ended.phase, ended.message.as_str()),
        (AnalysisPhase::Inconclusive, "Metric Terminated")
    );
    assert!(
        world
            .api
            .requests()
            .iter()
            .any(|request| request.verb == "delete" && request.name == "u1.m.1")
    );
    let gone = world.step(Some(begun), true).await;
    assert_eq!(gone.phase, AnalysisPhase::Inconclusive);
}

#[tokio::test]
async fn a_status_that_names_the_job_of_somebody_else_deletes_and_reads_nothing() {
    let mut world = world(1);
    let victim = |namespace: &str| {
        json!({ "apiVersion": "batch/v1", "kind": "Job", "metadata": { "name": "victim", "namespace": namespace },
            "status": { "conditions": [{ "type": "Complete", "status": "True" }] } })
    };
    world.api.put(&victim("ns"));
    world.api.put(&victim("kube-system"));
    for namespace in ["ns", "kube-system"] {
        let forged = Measurement {
            metadata: [
                ("job-name".to_owned(), "victim".to_owned()),
                ("job-namespace".to_owned(), namespace.to_owned()),
            ]
            .into(),
            ..Measurement::default()
        };
        for terminate in [false, true] {
            let refused = world.step(Some(forged.clone()), terminate).await;
            assert_eq!(refused.phase, AnalysisPhase::Error);
            let expected = "Job ns/victim does not belong to this run";
            assert_eq!(refused.message, expected);
        }
    }
    assert_eq!(world.names().len(), 2);
}

#[tokio::test]
async fn a_job_that_is_gone_or_belongs_to_somebody_else_is_an_error() {
    let mut world = world(1);
    let begun = world.step(None, false).await;
    world.api.delete("jobs", "ns", "u1.m.1");
    if world.names().is_empty() {
        assert_eq!(
            world.step(Some(begun), false).await.phase,
            AnalysisPhase::Error
        );
    }
    let mut other = self::world(1);
    other.api.put(&json!({ "apiVersion": "batch/v1", "kind": "Job", "metadata": { "name": "u1.m.1", "namespace": "ns" } }));
    let refused = other.step(None, false).await;
    assert_eq!(refused.phase, AnalysisPhase::Error);
    assert!(
        refused.message.contains("already exists"),
        "{}",
        refused.message
    );
}

#[tokio::test]
async fn a_job_whose_image_cannot_be_pulled_is_inconclusive() {
    let mut world = world(1);
    let begun = world.step(None, false).await;
    let waiting = json!({ "name": "check", "ready": false, "restartCount": 0, "image": "x", "imageID": "",
        "state": { "waiting": { "reason": "ImagePullBackOff", "message": "no such image" } } });
    world.api.put(&json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": { "name": "p", "namespace": "ns", "labels": { "batch.kubernetes.io/job-name": "u1.m.1" } },
        "status": { "containerStatuses": [waiting] },
    }));
    let ended = world.step(Some(begun), false).await;
    let found = (ended.phase, ended.message.as_str());
    assert_eq!(
        found,
        (
            AnalysisPhase::Inconclusive,
            "container check cannot start: ImagePullBackOff: no such image"
        )
    );
}

#[tokio::test]
async fn the_job_of_a_measurement_that_is_no_longer_kept_is_deleted() {
    let mut world = world(5);
    for name in ["u1.m.2", "u1.m.3", "u1.m.4"] {
        world.api.put(&json!({ "apiVersion": "batch/v1", "kind": "Job", "metadata": { "name": name, "namespace": "ns" } }));
    }
    world.step(None, false).await;
    let deleted: Vec<String> = world
        .api
        .requests()
        .into_iter()
        .filter(|request| request.verb == "delete")
        .map(|request| request.name)
        .collect();
    assert_eq!(deleted, ["u1.m.3"]);
}

#[tokio::test]
async fn the_message_of_a_job_shows_no_secret() {
    let mut world = world(1);
    world.api.put(&json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "login", "namespace": "ns" },
        "data": { "password": "aHVudGVyMg==" },
    }));
    let begun = world.step(None, false).await;
    world.order.arguments = serde_json::from_value(json!([
        { "name": "image", "valueFrom": { "secretKeyRef": { "name": "login", "key": "password" } } },
    ]))
    .expect("arguments");
    world.ends(json!({ "type": "Failed", "status": "True", "message": "cannot pull hunter2:1" }));
    let ended = world.step(Some(begun.clone()), false).await;
    assert_eq!(ended.message, "cannot pull *****:1");
    world.api.delete("secrets", "ns", "login");
    let ended = world.step(Some(begun), false).await;
    assert_eq!(ended.phase, AnalysisPhase::Failed);
    assert!(
        ended.message.starts_with("message withheld"),
        "{}",
        ended.message
    );
}
