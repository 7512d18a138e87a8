//! Simulated pods and Jobs do what their manifests tell.

use std::time::Duration;

use anyhow::Result;
use e2e::cluster::{condition, wait_for};
use e2e::{Bed, Options};
use kube::api::{Api, DynamicObject, Patch, PatchParams};
use serde_json::{Value, json};

/// Enough for a machine under full load; each state is reached within seconds otherwise.
const SOON: Duration = Duration::from_mins(1);

fn pod(name: &str, annotations: &Value, spec: &Value) -> String {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "annotations": annotations}, "spec": spec,
    })
    .to_string()
}

fn container(image: &str, command: &[&str]) -> Value {
    json!({"containers": [{"name": "main", "image": image, "command": command}]})
}

fn job(name: &str, policy: &str, script: &str) -> String {
    let template = json!({"spec": {"restartPolicy": policy, "containers": [
        {"name": "main", "image": "job:1", "command": ["sh", "-c", script]},
    ]}});
    json!({
        "apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name},
        "spec": {"backoffLimit": 0, "template": template},
    })
    .to_string()
}

fn is(object: Option<&DynamicObject>, name: &str) -> bool {
    object.is_some_and(|object| condition(&object.data, name).as_deref() == Some("True"))
}

fn waiting_reason(object: Option<&DynamicObject>) -> Option<&str> {
    object?.data["status"]["containerStatuses"][0]["state"]["waiting"]["reason"].as_str()
}

#[tokio::test]
async fn pods_live_as_long_as_configured() -> Result<()> {
    let bed = Bed::up(Options::cluster_only()).await?;
    let cluster = bed.cluster()?;
    let ns = cluster.namespace("pods").await?;
    let pods = [
        pod("plain", &json!({}), &container("shop:1", &[])),
        pod(
            "late",
            &json!({"bed/ready-after": "3s"}),
            &container("shop:1", &[]),
        ),
        pod(
            "broken",
            &json!({}),
            &container("shop:1", &["/bad-command"]),
        ),
        pod(
            "no-image",
            &json!({}),
            &container("shop:does-not-exist", &[]),
        ),
        pod("invalid-image", &json!({}), &container("Shop:1", &[])),
        pod(
            "stuck",
            &json!({"bed/fail": "hang"}),
            &container("shop:1", &[]),
        ),
    ];
    cluster.apply(&ns, &pods.join("\n---\n")).await?;
    let api = cluster.api("v1", "Pod", &ns).await?;

    wait_for(&api, "plain", "Ready", SOON, |pod| is(pod, "Ready")).await?;
    let late = wait_for(&api, "late", "Ready", SOON, |pod| is(pod, "Ready"))
        .await?
        .unwrap();
    assert!(
        seconds_to_ready(&late) >= 2,
        "ready too early: {}",
        late.data["status"]
    );

    let crashed = wait_for(&api, "broken", "two restarts", SOON, |pod| {
        waiting_reason(pod) == Some("CrashLoopBackOff") && pod.is_some_and(|pod| restarts(pod) >= 2)
    });
    let crashed = crashed.await?.unwrap();
    let last = &crashed.data["status"]["containerStatuses"][0]["lastState"]["terminated"];
    assert_eq!(last["exitCode"], 128);
    assert!(!is(Some(&crashed), "Ready"));

    for (name, reason) in [
        ("no-image", "ImagePullBackOff"),
        ("invalid-image", "InvalidImageName"),
    ] {
        wait_for(&api, name, reason, SOON, |pod| {
            waiting_reason(pod) == Some(reason)
        })
        .await?;
    }
    // It runs and is not ready; healed by hand it becomes ready, and unready again.
    wait_for(&api, "stuck", "Running", SOON, |pod| {
        pod.is_some_and(|pod| pod.data["status"]["phase"] == "Running")
    })
    .await?;
    annotate(&api, "stuck", Value::Null).await?;
    wait_for(&api, "stuck", "Ready", SOON, |pod| is(pod, "Ready")).await?;
    annotate(&api, "stuck", json!("hang")).await?;
    wait_for(&api, "stuck", "not Ready", SOON, |pod| !is(pod, "Ready")).await?;
    Ok(())
}

#[tokio::test]
async fn readiness_gates_and_jobs_are_respected() -> Result<()> {
    let bed = Bed::up(Options::cluster_only()).await?;
    let cluster = bed.cluster()?;
    let ns = cluster.namespace("gates").await?;
    let mut spec = container("shop:1", &[]);
    spec["readinessGates"] = json!([{"conditionType": "example.com/in-service"}]);
    cluster.apply(&ns, &pod("gated", &json!({}), &spec)).await?;
    let jobs = [
        job("good", "Never", "true"),
        job("bad", "Never", "exit 3"),
        job("slow", "Never", "sleep 2; false"),
        job("again", "OnFailure", "exit 1"),
    ];
    cluster.apply(&ns, &jobs.join("\n---\n")).await?;

    let api = cluster.api("v1", "Pod", &ns).await?;
    wait_for(&api, "gated", "ContainersReady", SOON, |pod| {
        is(pod, "ContainersReady")
    })
    .await?;
    for (status, ready) in [("True", true), ("False", false)] {
        let pod = wait_for(&api, "gated", "the opposite", SOON, |pod| {
            is(pod, "Ready") != ready
        });
        assert!(is(pod.await?.as_ref(), "ContainersReady"));
        let patch = json!({"status": {"conditions": [
            {"type": "example.com/in-service", "status": status},
        ]}});
        api.patch_status("gated", &PatchParams::default(), &Patch::Strategic(patch))
            .await?;
        wait_for(&api, "gated", "the gate", SOON, |pod| {
            is(pod, "Ready") == ready
        })
        .await?;
    }

    let api = cluster.api("batch/v1", "Job", &ns).await?;
    wait_for(&api, "good", "Complete", SOON, |job| is(job, "Complete")).await?;
    for name in ["bad", "slow", "again"] {
        wait_for(&api, name, "Failed", SOON, |job| is(job, "Failed")).await?;
    }
    // Deleted while it runs: the Job's controller lets go of the pod once its containers have ended.
    cluster
        .apply(&ns, &job("long", "Never", "sleep 1h"))
        .await?;
    wait_for(&api, "long", "a running pod", SOON, |job| {
        job.is_some_and(|job| job.data["status"]["ready"] == 1)
    })
    .await?;
    api.delete("long", &kube::api::DeleteParams::foreground())
        .await?;
    wait_for(&api, "long", "deletion", SOON, |job| job.is_none()).await?;
    Ok(())
}

fn restarts(pod: &DynamicObject) -> i64 {
    pod.data["status"]["containerStatuses"][0]["restartCount"]
        .as_i64()
        .unwrap_or(0)
}

/// From the pod's start to its readiness, in whole seconds.
fn seconds_to_ready(pod: &DynamicObject) -> i64 {
    let time = |value: &Value| value.as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
    let conditions = pod.data["status"]["conditions"].as_array().unwrap();
    let ready = conditions
        .iter()
        .find(|condition| condition["type"] == "Ready")
        .unwrap();
    let started = time(&pod.data["status"]["startTime"]);
    time(&ready["lastTransitionTime"])
        .duration_since(started)
        .as_secs()
}

async fn annotate(api: &Api<DynamicObject>, name: &str, value: Value) -> Result<()> {
    let patch = json!({"metadata": {"annotations": {"bed/fail": value}}});
    api.patch(name, &PatchParams::default(), &Patch::Merge(patch))
        .await?;
    Ok(())
}
