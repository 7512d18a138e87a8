//! A Kubernetes Job: it is created and read again until it ends; its end is the verdict.
//!
//! The measurement takes several steps. Between them the status holds the Job's name and the time of the
//! next look; the name follows from the run, the metric and the number of the measurement, so that a step
//! that is done twice makes one Job.

use std::collections::BTreeMap;

use futures::future::BoxFuture;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::{
    batch::v1::{Job as KubeJob, JobSpec},
    core::v1::Pod,
};
use kube::{
    Api, Client,
    api::{DeleteParams, ListParams, PostParams, PropagationPolicy},
};
use reconcile_core::{
    error::error_chain,
    object::{FieldError, parse_at},
};
use serde_json::json;

use super::{MeasurementRequest, MetricProvider, Step, Task, error::ProviderError};
use crate::api::analysis::{AnalysisPhase, Job, Measurement, Provider};

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
/// Reasons for which a waiting container never starts. A first failed pull is not one of them: registries
/// have bad moments.
const HOPELESS: &[&str] = &[
    "ErrImageNeverPull",
    "ImagePullBackOff",
    "InvalidImageName",
    "CreateContainerConfigError",
];

/// Seconds after which a finished Job goes that belongs to no run.
const DETACHED_TTL: i32 = 300;

/// Kubernetes Jobs.
pub(super) struct JobProvider;

impl MetricProvider for JobProvider {
    fn name(&self) -> &'static str {
        "job"
    }

    fn check(&self, spec: &Provider) -> Result<(), FieldError> {
        let Some(job) = &spec.job else { return Ok(()) };
        parse_at::<JobSpec>("job.spec", &job.spec.to_string()).map(drop)
    }

    fn is_lasting(&self) -> bool {
        true
    }

    fn run<'a>(&'a self, task: &'a Task<'a>) -> BoxFuture<'a, Result<Step, ProviderError>> {
        Box::pin(async move {
            let job = task.spec(|provider| provider.job.as_ref())?;
            begin(task, job).await
        })
    }

    fn resume<'a>(
        &'a self,
        task: &'a Task<'a>,
        open: &'a Measurement,
    ) -> BoxFuture<'a, Result<Step, ProviderError>> {
        Box::pin(look(task, open))
    }

    fn terminate<'a>(
        &'a self,
        task: &'a Task<'a>,
        open: &'a Measurement,
    ) -> BoxFuture<'a, Result<(), ProviderError>> {
        Box::pin(async move {
            match own_job(task, open).await? {
                None => Ok(()),
                Some(job) => {
                    let name = job.metadata.name.unwrap_or_default();
                    delete(&task.tools.client, &task.request.namespace, &name).await
                }
            }
        })
    }

    fn collect_garbage<'a>(&'a self, task: &'a Task<'a>) -> BoxFuture<'a, ()> {
        Box::pin(forget_old(task))
    }
}

/// Creates the Job of a measurement.
async fn begin(task: &Task<'_>, job: &Job) -> Result<Step, ProviderError> {
    let request = task.request;
    let name = job_name(&request.run_uid, &task.metric.name, request.number);
    let wanted = object(request, &task.metric.name, job, &name)?;
    let api: Api<KubeJob> = Api::namespaced(task.tools.client.clone(), &request.namespace);
    match api.create(&PostParams::default(), &wanted).await {
        Ok(_) => {}
        Err(kube::Error::Api(status)) if status.code == 409 => {
            // Made before and the answer was lost, or the process ended before the status was written.
            let existing = api.get(&name).await.map_err(|error| unreadable(&error))?;
            if !belongs(&existing, request) {
                return Err(ProviderError::invalid(status.message));
            }
        }
        Err(error) => return Err(unreadable(&error)),
    }
    Ok(Step::Wait {
        resume_at: next_look(task.now, task.now),
        metadata: BTreeMap::from([
            (JOB_NAME.to_owned(), name),
            (JOB_NAMESPACE.to_owned(), request.namespace.clone()),
        ]),
    })
}

/// Looks at the Job of an open measurement.
async fn look(task: &Task<'_>, open: &Measurement) -> Result<Step, ProviderError> {
    let Some(job) = own_job(task, open).await? else {
        return Err(ProviderError::answer(
            "the Job of the measurement was deleted",
        ));
    };
    if let Some((phase, message)) = end_of(&job) {
        return Ok(judged(phase, message));
    }
    let name = job.metadata.name.unwrap_or_default();
    let (client, namespace) = (&task.tools.client, &task.request.namespace);
    if let Some(reason) = hopeless(client, namespace, &name).await {
        return Ok(judged(AnalysisPhase::Inconclusive, reason));
    }
    let started = open.started_at.as_ref().map_or(task.now, |time| time.0);
    Ok(Step::Wait {
        resume_at: next_look(started, task.now),
        metadata: BTreeMap::new(),
    })
}

/// How a Job ended, when it has.
fn end_of(job: &KubeJob) -> Option<(AnalysisPhase, String)> {
    let conditions = job.status.as_ref()?.conditions.as_ref()?;
    let is_true = |kind: &str| {
        conditions
            .iter()
            .find(|condition| condition.type_ == kind && condition.status == "True")
    };
    if let Some(failed) = is_true("Failed") {
        let message = failed.message.clone().unwrap_or_default();
        return Some((AnalysisPhase::Failed, message));
    }
    is_true("Complete").map(|_| (AnalysisPhase::Successful, String::new()))
}

fn judged(phase: AnalysisPhase, message: String) -> Step {
    Step::Judged {
        phase,
        text: String::new(),
        message,
    }
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
    let mut object = json!({
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
    if request.is_detached {
        // Nothing would remove it, and an owner that does not exist would have it removed at once.
        object["metadata"]["ownerReferences"] = json!([]);
        if object["spec"]["ttlSecondsAfterFinished"].is_null() {
            object["spec"]["ttlSecondsAfterFinished"] = DETACHED_TTL.into();
        }
    }
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

/// The Job of an open measurement. The status may have been written by anybody who may write runs, so the
/// name in it counts only for a Job of the run itself, in the run's own namespace.
async fn own_job(task: &Task<'_>, open: &Measurement) -> Result<Option<KubeJob>, ProviderError> {
    let name = open
        .metadata
        .get(JOB_NAME)
        .ok_or_else(|| ProviderError::invalid("job metadata reference missing"))?;
    let request = task.request;
    let api: Api<KubeJob> = Api::namespaced(task.tools.client.clone(), &request.namespace);
    let Some(job) = api
        .get_opt(name)
        .await
        .map_err(|error| unreadable(&error))?
    else {
        return Ok(None);
    };
    if belongs(&job, request) {
        Ok(Some(job))
    } else {
        let message = format!(
            "Job {}/{name} does not belong to this run",
            request.namespace
        );
        Err(ProviderError::invalid(message))
    }
}

/// Whether a Job was created for this run. One without a run in the cluster has only the label.
fn belongs(job: &KubeJob, request: &MeasurementRequest) -> bool {
    if request.is_detached {
        let labels = job.metadata.labels.as_ref();
        return labels.and_then(|labels| labels.get(UID_LABEL)) == Some(&request.run_uid);
    }
    let mut owners = job.metadata.owner_references.iter().flatten();
    owners.any(|owner| owner.uid == request.run_uid)
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
async fn forget_old(task: &Task<'_>) {
    let request = task.request;
    let kept = i32::try_from(request.retention).unwrap_or(i32::MAX);
    let oldest = request.number.saturating_sub(kept);
    if oldest < 1 {
        return;
    }
    let name = job_name(&request.run_uid, &task.metric.name, oldest);
    if let Err(error) = delete(&task.tools.client, &request.namespace, &name).await {
        // It goes with its run at the latest.
        tracing::debug!(%error, job = name, "cannot delete the Job of an old measurement");
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
        Err(error) => Err(unreadable(&error)),
    }
}

fn unreadable(error: &kube::Error) -> ProviderError {
    ProviderError::unavailable(error_chain(error))
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
