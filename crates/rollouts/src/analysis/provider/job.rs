//! A Kubernetes Job: it is made, watched over until it ends, and its end is the verdict.
//!
//! The measurement takes several steps. Between them the status holds the Job's name and the time of the
//! next look; the name follows from the run, the metric and the number of the measurement, so that a step
//! that is done twice makes one Job.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::{
    api::{batch::v1::Job as KubeJob, core::v1::Pod},
    apimachinery::pkg::apis::meta::v1::Time,
};
use kube::{
    Api, Client,
    api::{DeleteParams, ListParams, PostParams, PropagationPolicy},
};
use reconcile_core::error::error_chain;
use serde_json::json;

use super::{MeasurementRequest, Measures, ProviderError, Registration};
use crate::api::analysis::{AnalysisPhase, Job, Measurement, Metric};

/// Jobs as metrics.
pub(super) const REGISTRATION: Registration = Registration {
    name: "job",
    check: |_| Ok(()),
    measures: Measures::WithJob,
};

/// Label of a Job with the uid of its run.
const UID_LABEL: &str = "analysisrun.argoproj.io/uid";
/// Annotation of a Job with the name of its run.
const RUN_ANNOTATION: &str = "analysisrun.argoproj.io/name";
/// Annotation of a Job with the namespace of its run.
const NAMESPACE_ANNOTATION: &str = "analysisrun.argoproj.io/namespace";
/// Annotation of a Job with the name of its metric.
const METRIC_ANNOTATION: &str = "analysisrun.argoproj.io/metric-name";
/// Where the measurement keeps the name of its Job.
const JOB_NAME: &str = "job-name";
/// Where the measurement keeps the namespace of its Job.
const JOB_NAMESPACE: &str = "job-namespace";
/// Longest name that fits into the label that pods carry.
const LONGEST_NAME: usize = 63;
/// Longest pause between two looks at a Job. The pause grows with the square root of the Job's age: a
/// short Job is seen to end at once, a long one costs little.
const LONGEST_PAUSE: i64 = 30;
/// Reasons of a waiting container that no waiting heals. A first failed pull is none of them: registries
/// have bad moments.
const HOPELESS: &[&str] = &[
    "ErrImageNeverPull",
    "ImagePullBackOff",
    "InvalidImageName",
    "CreateContainerConfigError",
];

/// Creates the Job of the measurement `begun`. `metric` has its arguments filled in.
pub(super) async fn begin(
    client: &Client,
    request: &MeasurementRequest,
    metric: &Metric,
    begun: Measurement,
) -> Result<Measurement, ProviderError> {
    let Some(job) = &metric.provider.job else {
        return Err(ProviderError::invalid("the metric has no provider.job"));
    };
    let metric = metric.name.as_str();
    let name = job_name(&request.run_uid, metric, request.number);
    let wanted = object(request, metric, job, &name)?;
    let api: Api<KubeJob> = Api::namespaced(client.clone(), &request.namespace);
    match api.create(&PostParams::default(), &wanted).await {
        Ok(_) => {}
        Err(kube::Error::Api(status)) if status.code == 409 => {
            // Made before and the answer was lost, or the process ended before the status was written.
            let existing = api.get(&name).await.map_err(|error| failed(&error))?;
            let owners = existing.metadata.owner_references.iter().flatten();
            if !owners.into_iter().any(|owner| owner.uid == request.run_uid) {
                return Err(ProviderError::invalid(&status.message));
            }
        }
        Err(error) => return Err(failed(&error)),
    }
    forget_old(client, request, metric).await;
    let now = begun
        .started_at
        .as_ref()
        .map_or(Timestamp::MIN, |time| time.0);
    Ok(Measurement {
        phase: AnalysisPhase::Running,
        metadata: BTreeMap::from([
            (JOB_NAME.to_owned(), name),
            (JOB_NAMESPACE.to_owned(), request.namespace.clone()),
        ]),
        resume_at: Some(Time(next_look(now, now))),
        ..begun
    })
}

/// Looks at the Job of an open measurement.
pub(super) async fn look(
    client: &Client,
    request: &MeasurementRequest,
    open: &Measurement,
    now: Timestamp,
) -> Result<Measurement, ProviderError> {
    let (namespace, name) = place(request, open)?;
    let api: Api<KubeJob> = Api::namespaced(client.clone(), &namespace);
    let job = api.get(&name).await.map_err(|error| failed(&error))?;
    let mut next = open.clone();
    for condition in job
        .status
        .iter()
        .flat_map(|status| status.conditions.iter().flatten())
    {
        if condition.status != "True" {
            continue;
        }
        match condition.type_.as_str() {
            "Complete" => next.phase = AnalysisPhase::Successful,
            "Failed" => {
                next.phase = AnalysisPhase::Failed;
                next.message = condition.message.clone().unwrap_or_default();
            }
            _ => {}
        }
    }
    if !next.phase.is_completed()
        && let Some(reason) = hopeless(client, &namespace, &name).await
    {
        next.phase = AnalysisPhase::Inconclusive;
        next.message = reason;
    }
    if next.phase.is_completed() {
        next.finished_at = Some(Time(now));
        next.resume_at = None;
    } else {
        let started = open.started_at.as_ref().map_or(now, |time| time.0);
        next.resume_at = Some(Time(next_look(started, now)));
    }
    Ok(next)
}

/// Ends an open measurement and its Job.
pub(super) async fn end(
    client: &Client,
    request: &MeasurementRequest,
    open: &Measurement,
    now: Timestamp,
) -> Result<Measurement, ProviderError> {
    let (namespace, name) = place(request, open)?;
    delete(client, &namespace, &name).await?;
    Ok(Measurement {
        // A Job that was cut short has proved nothing.
        phase: AnalysisPhase::Inconclusive,
        message: "Metric Terminated".to_owned(),
        finished_at: Some(Time(now)),
        resume_at: None,
        ..open.clone()
    })
}

fn object(
    request: &MeasurementRequest,
    metric: &str,
    job: &Job,
    name: &str,
) -> Result<KubeJob, ProviderError> {
    let mut meta = job.metadata.clone().unwrap_or_default();
    meta.labels
        .insert(UID_LABEL.to_owned(), request.run_uid.clone());
    meta.annotations
        .insert(RUN_ANNOTATION.to_owned(), request.run_name.clone());
    meta.annotations
        .insert(NAMESPACE_ANNOTATION.to_owned(), request.namespace.clone());
    meta.annotations
        .insert(METRIC_ANNOTATION.to_owned(), metric.to_owned());
    let object = json!({
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": name,
            "namespace": request.namespace,
            "labels": meta.labels,
            "annotations": meta.annotations,
            "ownerReferences": [{
                "apiVersion": "argoproj.io/v1alpha1",
                "kind": "AnalysisRun",
                "name": request.run_name,
                "uid": request.run_uid,
                "controller": true,
                "blockOwnerDeletion": true,
            }],
        },
        "spec": job.spec,
    });
    serde_json::from_value(object)
        .map_err(|error| ProviderError::invalid(format!("provider.job.spec: {error}")))
}

/// `<uid>.<metric>.<number>`, with the metric's name cut and made fit for a name.
fn job_name(uid: &str, metric: &str, number: i32) -> String {
    let number = number.to_string();
    let room = LONGEST_NAME.saturating_sub(uid.len() + number.len() + 2);
    let metric: String = metric
        .chars()
        .map(|char| {
            if char.is_ascii_alphanumeric() {
                char.to_ascii_lowercase()
            } else {
                '-'
            }
        })
        .take(room)
        .collect();
    match metric.trim_matches('-') {
        "" => format!("{uid}.{number}"),
        metric => format!("{uid}.{metric}.{number}"),
    }
}

fn place(
    request: &MeasurementRequest,
    open: &Measurement,
) -> Result<(String, String), ProviderError> {
    let name = open
        .metadata
        .get(JOB_NAME)
        .ok_or_else(|| ProviderError::invalid("job metadata reference missing"))?;
    let namespace = open
        .metadata
        .get(JOB_NAMESPACE)
        .unwrap_or(&request.namespace);
    Ok((namespace.clone(), name.clone()))
}

fn next_look(started: Timestamp, now: Timestamp) -> Timestamp {
    let age = now.duration_since(started).as_secs().max(0);
    let pause = SignedDuration::from_secs(age.isqrt().clamp(1, LONGEST_PAUSE));
    now.saturating_add(pause).unwrap_or(Timestamp::MAX)
}

/// Why the pods of a Job will never run, when that is so. Not being allowed to see pods is no reason.
async fn hopeless(client: &Client, namespace: &str, job: &str) -> Option<String> {
    let api: Api<Pod> = Api::namespaced(client.clone(), namespace);
    let mine = ListParams::default().labels(&format!("batch.kubernetes.io/job-name={job}"));
    let pods = match api.list(&mine).await {
        Ok(pods) => pods,
        Err(error) => {
            tracing::debug!(%error, job, "cannot see the pods of a measurement's Job");
            return None;
        }
    };
    let states = pods
        .items
        .iter()
        .filter_map(|pod| pod.status.as_ref())
        .flat_map(|status| {
            let own = status.container_statuses.iter().flatten();
            own.chain(status.init_container_statuses.iter().flatten())
        });
    let mut waiting = states.filter_map(|container| {
        let waiting = container.state.as_ref()?.waiting.as_ref()?;
        Some((
            container.name.as_str(),
            waiting.reason.as_deref()?,
            waiting.message.as_deref(),
        ))
    });
    let (container, reason, message) = waiting.find(|(_, reason, _)| HOPELESS.contains(reason))?;
    Some(format!(
        "container {container} cannot start: {reason}: {}",
        message.unwrap_or_default()
    ))
}

/// Deletes the Job of the measurement that is no longer kept.
async fn forget_old(client: &Client, request: &MeasurementRequest, metric: &str) {
    let kept = i32::try_from(request.retention).unwrap_or(i32::MAX);
    let oldest = request.number.saturating_sub(kept);
    if oldest < 1 {
        return;
    }
    let name = job_name(&request.run_uid, metric, oldest);
    if let Err(error) = delete(client, &request.namespace, &name).await {
        // It goes with its run at the latest.
        tracing::debug!(
            %error,
            job = name,
            "cannot delete the Job of an old measurement"
        );
    }
}

async fn delete(client: &Client, namespace: &str, name: &str) -> Result<(), ProviderError> {
    let api: Api<KubeJob> = Api::namespaced(client.clone(), namespace);
    let how = DeleteParams {
        propagation_policy: Some(PropagationPolicy::Foreground),
        ..DeleteParams::default()
    };
    match api.delete(name, &how).await {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
        Err(error) => Err(failed(&error)),
    }
}

fn failed(error: &kube::Error) -> ProviderError {
    match error {
        kube::Error::Api(status) if (400..500).contains(&status.code) && status.code != 429 => {
            ProviderError::invalid(&status.message)
        }
        kube::Error::Api(status) => ProviderError::unavailable(&status.message),
        other => ProviderError::unavailable(error_chain(other)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_fit_and_stay_apart() {
        let uid = "0f0c7b9e-6f5b-4f0e-9a33-3b1d6a4f8e21";
        assert_eq!(job_name(uid, "smoke", 3), format!("{uid}.smoke.3"));
        assert_eq!(
            job_name(uid, "Smoke Test", 1),
            format!("{uid}.smoke-test.1")
        );
        assert_eq!(job_name(uid, "_", 1), format!("{uid}.1"));
        let long = job_name(uid, "a-very-long-name-of-a-metric-that-never-ends", 12);
        assert_eq!(long.len(), LONGEST_NAME);
        assert!(long.ends_with(".12"));
    }

    #[test]
    fn looks_become_rarer_with_the_age_of_the_job() {
        let start: Timestamp = "2026-01-01T00:00:00Z".parse().expect("a time");
        for (age, pause) in [(0, 1), (3, 1), (4, 2), (100, 10), (100_000, 30)] {
            let now = start + SignedDuration::from_secs(age);
            assert_eq!(
                next_look(start, now).duration_since(now).as_secs(),
                pause,
                "at {age} s"
            );
        }
    }
}
