//! Health of kinds, one line per rule.

mod autoscaler;
mod kinds;
mod lua;
mod platforms;
mod rollouts;
mod rule;
mod standard;

use kube::api::ObjectMeta;
use serde_json::{Value, json};

use super::*;

fn health(kind: &str, body: &Value) -> Option<(Code, String)> {
    let (api, kind) = kind.rsplit_once('/').unwrap_or(("v1", kind));
    let (group, version) = api.rsplit_once('/').unwrap_or(("", api));
    let metadata: ObjectMeta = body.get("metadata").map_or_else(
        || ObjectMeta {
            name: Some("x".into()),
            generation: Some(1),
            ..ObjectMeta::default()
        },
        |metadata| serde_json::from_value(metadata.clone()).expect("metadata"),
    );
    let subject = Subject {
        group,
        version,
        kind,
        metadata: &metadata,
        body,
    };
    Checks::default()
        .assess(&subject)
        .map(|health| (health.code, health.text().to_owned()))
}

fn codes(cases: &[(&str, Value, Code)]) {
    for (kind, body, expected) in cases {
        let found = health(kind, body).expect("a kind with a rule");
        assert_eq!(found.0, *expected, "{kind} {body}");
    }
}

#[test]
fn deployments() {
    let status = |status: Value| json!({"spec": {"replicas": 2}, "status": status});
    codes(&[
        (
            "apps/v1/Deployment",
            json!({"spec": {"paused": true}}),
            Code::Suspended,
        ),
        ("apps/v1/Deployment", status(json!({})), Code::Progressing),
        (
            "apps/v1/Deployment",
            status(json!({"observedGeneration": 1, "updatedReplicas": 1, "replicas": 2})),
            Code::Progressing,
        ),
        (
            "apps/v1/Deployment",
            status(json!({"observedGeneration": 1, "updatedReplicas": 2, "replicas": 3})),
            Code::Progressing,
        ),
        (
            "apps/v1/Deployment",
            status(
                json!({"observedGeneration": 1, "updatedReplicas": 2, "replicas": 2, "availableReplicas": 1}),
            ),
            Code::Progressing,
        ),
        (
            "apps/v1/Deployment",
            status(
                json!({"observedGeneration": 1, "updatedReplicas": 2, "replicas": 2, "availableReplicas": 2}),
            ),
            Code::Healthy,
        ),
        (
            "apps/v1/Deployment",
            status(
                json!({"observedGeneration": 1, "updatedReplicas": 2, "replicas": 2, "availableReplicas": 2,
            "conditions": [{"type": "Progressing", "reason": "ProgressDeadlineExceeded"}]}),
            ),
            Code::Degraded,
        ),
    ]);
}

#[test]
fn stateful_and_daemon_sets() {
    let set = |strategy: Value, status: Value| json!({"spec": {"replicas": 2, "updateStrategy": strategy}, "status": status});
    let rolling = json!({"type": "RollingUpdate", "rollingUpdate": {"partition": 1}});
    let done = json!({"observedGeneration": 1, "readyReplicas": 2, "updatedReplicas": 1, "updateRevision": "b", "currentRevision": "a"});
    codes(&[
        (
            "apps/v1/StatefulSet",
            set(json!({}), json!({})),
            Code::Progressing,
        ),
        (
            "apps/v1/StatefulSet",
            set(
                json!({}),
                json!({"observedGeneration": 1, "readyReplicas": 1}),
            ),
            Code::Progressing,
        ),
        (
            "apps/v1/StatefulSet",
            set(rolling, done.clone()),
            Code::Healthy,
        ),
        (
            "apps/v1/StatefulSet",
            set(json!({"type": "OnDelete"}), done.clone()),
            Code::Healthy,
        ),
        (
            "apps/v1/StatefulSet",
            set(json!({"type": "RollingUpdate"}), done),
            Code::Progressing,
        ),
        (
            "apps/v1/DaemonSet",
            json!({"status": {"observedGeneration": 1, "desiredNumberScheduled": 2, "updatedNumberScheduled": 1}}),
            Code::Progressing,
        ),
        (
            "apps/v1/DaemonSet",
            json!({"status": {"observedGeneration": 1, "desiredNumberScheduled": 2, "updatedNumberScheduled": 2, "numberAvailable": 2}}),
            Code::Healthy,
        ),
        (
            "apps/v1/ReplicaSet",
            json!({"spec": {"replicas": 1}, "status": {"observedGeneration": 1, "availableReplicas": 1}}),
            Code::Healthy,
        ),
        (
            "apps/v1/ReplicaSet",
            json!({"status": {"observedGeneration": 1, "conditions": [{"type": "ReplicaFailure", "status": "True", "message": "quota"}]}}),
            Code::Degraded,
        ),
    ]);
    assert_eq!(
        health("extensions/v1beta1/Deployment", &json!({})),
        None,
        "only apps/v1 has the rule"
    );
}

#[test]
fn jobs_with_the_odd_rule_of_suspension() {
    let job = |conditions: Value| json!({"status": {"conditions": conditions}});
    codes(&[
        ("batch/v1/Job", job(json!([])), Code::Progressing),
        (
            "batch/v1/Job",
            job(json!([{"type": "Complete", "status": "True"}])),
            Code::Healthy,
        ),
        (
            "batch/v1/Job",
            job(json!([{"type": "Failed", "status": "True"}])),
            Code::Degraded,
        ),
        (
            "batch/v1/Job",
            job(json!([{"type": "Suspended", "status": "True"}])),
            Code::Suspended,
        ),
        // A resumed Job keeps the condition as False and counts as complete.
        (
            "batch/v1/Job",
            job(json!([{"type": "Suspended", "status": "False"}])),
            Code::Healthy,
        ),
    ]);
}

#[test]
fn pods_by_restart_policy() {
    let pod =
        |policy: &str, status: Value| json!({"spec": {"restartPolicy": policy}, "status": status});
    let ready = json!({"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]});
    let crashed =
        json!({"phase": "Running", "containerStatuses": [{"lastState": {"terminated": {}}}]});
    let stuck = json!({"phase": "Pending", "containerStatuses": [{"state": {"waiting": {"reason": "ImagePullBackOff", "message": "no image"}}}]});
    codes(&[
        ("v1/Pod", pod("Always", ready.clone()), Code::Healthy),
        ("v1/Pod", pod("Always", crashed), Code::Degraded),
        (
            "v1/Pod",
            pod("Always", json!({"phase": "Running"})),
            Code::Progressing,
        ),
        ("v1/Pod", pod("Never", ready.clone()), Code::Progressing),
        ("v1/Pod", pod("OnFailure", ready), Code::Progressing),
        (
            "v1/Pod",
            pod("Never", json!({"phase": "Succeeded"})),
            Code::Healthy,
        ),
        ("v1/Pod", pod("Always", stuck.clone()), Code::Degraded),
        ("v1/Pod", pod("Never", stuck), Code::Progressing),
    ]);
    let failed = pod(
        "Never",
        json!({"phase": "Failed", "containerStatuses": [{"name": "c", "state": {"terminated": {"exitCode": 3}}}]}),
    );
    assert_eq!(
        health("v1/Pod", &failed),
        Some((
            Code::Degraded,
            "container \"c\" failed with exit code 3".into()
        ))
    );
}

#[test]
fn services_claims_ingresses_and_apis() {
    let ingress = json!({"loadBalancer": {"ingress": [{"ip": "1.2.3.4"}]}});
    codes(&[
        (
            "v1/Service",
            json!({"spec": {"type": "ClusterIP"}}),
            Code::Healthy,
        ),
        (
            "v1/Service",
            json!({"spec": {"type": "LoadBalancer"}}),
            Code::Progressing,
        ),
        (
            "v1/Service",
            json!({"spec": {"type": "LoadBalancer"}, "status": ingress}),
            Code::Healthy,
        ),
        ("networking.k8s.io/v1/Ingress", json!({}), Code::Progressing),
        (
            "networking.k8s.io/v1/Ingress",
            json!({"status": ingress}),
            Code::Healthy,
        ),
        (
            "v1/PersistentVolumeClaim",
            json!({"status": {"phase": "Pending"}}),
            Code::Progressing,
        ),
        (
            "v1/PersistentVolumeClaim",
            json!({"status": {"phase": "Bound"}}),
            Code::Healthy,
        ),
        (
            "v1/PersistentVolumeClaim",
            json!({"status": {"phase": "Lost"}}),
            Code::Degraded,
        ),
        (
            "apiregistration.k8s.io/v1/APIService",
            json!({"status": {"conditions": [{"type": "Available", "status": "True"}]}}),
            Code::Healthy,
        ),
        (
            "apiregistration.k8s.io/v1/APIService",
            json!({"status": {"conditions": [{"type": "Available", "status": "False"}]}}),
            Code::Progressing,
        ),
        (
            "autoscaling/v2/HorizontalPodAutoscaler",
            json!({"status": {"conditions": [{"type": "ScalingActive", "reason": "FailedGetResourceMetric"}]}}),
            Code::Degraded,
        ),
        (
            "autoscaling/v2/HorizontalPodAutoscaler",
            json!({"status": {"conditions": [{"type": "AbleToScale", "status": "True", "reason": "SucceededRescale"}]}}),
            Code::Healthy,
        ),
        (
            "autoscaling/v2/HorizontalPodAutoscaler",
            json!({}),
            Code::Progressing,
        ),
    ]);
}

#[test]
fn what_is_going_is_progressing_unless_a_hook_waits_to_be_read() {
    let going = |finalizers: Value| {
        json!({
            "metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z", "finalizers": finalizers},
            "status": {"conditions": [{"type": "Complete"}]},
        })
    };
    codes(&[
        ("batch/v1/Job", going(json!(["other"])), Code::Progressing),
        (
            "batch/v1/Job",
            going(json!([crate::api::HOOK_FINALIZER])),
            Code::Healthy,
        ),
    ]);
    assert_eq!(health("v1/ConfigMap", &json!({})), None);
}

#[test]
fn an_application_is_as_bad_as_its_worst_live_object() {
    let member = |name: &'static str, code: Option<Code>| (name, code);
    let aggregate_of = |members: &[(&'static str, Option<Code>)], live: bool| {
        let healths: Vec<Option<Health>> = members
            .iter()
            .map(|(_, code)| code.map(Health::of))
            .collect();
        let members: Vec<Member<'_>> = members
            .iter()
            .zip(&healths)
            .map(|((name, _), health)| Member {
                kind: "K",
                namespace: "ns",
                name,
                live,
                health: health.as_ref(),
                is_application: false,
            })
            .collect();
        aggregate(&members)
    };
    let bad = aggregate_of(
        &[
            member("a", Some(Code::Healthy)),
            member("b", Some(Code::Degraded)),
            member("c", None),
        ],
        true,
    );
    assert_eq!((bad.code, bad.text()), (Code::Degraded, "Caused by K ns/b"));
    assert_eq!(aggregate_of(&[], true).code, Code::Healthy);
    assert_eq!(
        aggregate_of(&[member("a", None)], false).code,
        Code::Missing
    );
}
