//! Leases of pods that had one object: they are deleted after their Deployment, once the pod no longer renews them.

use std::collections::BTreeSet;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::Lease;
use kube::{
    Api, Client,
    api::{DeleteParams, ListParams, Preconditions},
};

/// What the names of these leases begin with; the id of the object follows.
pub(in crate::controller) const PREFIX: &str = "argo-events-only-";
/// A lease that was not renewed for so many of its durations belongs to a pod that is gone.
const EXPIRED: i64 = 3;

/// The Deployment that a lease belongs to: `argo-events-only-ID-0-of-1` belongs to `argo-events-only-ID`.
fn deployment_of(lease: &str) -> Option<&str> {
    let id = lease.strip_prefix(PREFIX)?;
    let end = PREFIX.len() + id.find('-')?;
    lease.get(..end)
}

/// Whether the pod that held it has stopped to renew it.
fn is_expired(lease: &Lease, now: Timestamp) -> bool {
    let Some(spec) = &lease.spec else {
        return true;
    };
    let Some(renewed) = &spec.renew_time else {
        return true;
    };
    let duration = i64::from(spec.lease_duration_seconds.unwrap_or(15));
    now.duration_since(renewed.0).as_secs() > duration * EXPIRED
}

/// The leases among these that nobody needs: of no Deployment that is kept, and expired. The second value is whether
/// others of no Deployment are left, which are not expired yet.
fn unneeded<'l>(
    leases: &'l [Lease],
    kept: &BTreeSet<String>,
    now: Timestamp,
) -> (Vec<&'l Lease>, bool) {
    let orphans = leases.iter().filter(|lease| {
        let name = lease.metadata.name.as_deref().unwrap_or_default();
        deployment_of(name).is_some_and(|deployment| !kept.contains(deployment))
    });
    let (expired, held): (Vec<&Lease>, Vec<&Lease>) =
        orphans.partition(|lease| is_expired(lease, now));
    (expired, !held.is_empty())
}

/// Deletes the leases of Deployments that are not kept. Returns whether some are left that have not expired yet.
///
/// # Errors
///
/// The API server refuses the list or a deletion.
pub(super) async fn delete_unneeded(
    client: &Client,
    namespace: &str,
    kept: &BTreeSet<String>,
    now: Timestamp,
) -> Result<bool, kube::Error> {
    let api = Api::<Lease>::namespaced(client.clone(), namespace);
    let leases = api.list(&ListParams::default()).await?.items;
    let (expired, left) = unneeded(&leases, kept, now);
    for lease in expired {
        // Not one that a new pod has renewed in the meantime.
        let params = DeleteParams {
            preconditions: Some(Preconditions {
                uid: lease.metadata.uid.clone(),
                resource_version: lease.metadata.resource_version.clone(),
            }),
            ..DeleteParams::default()
        };
        let name = lease.metadata.name.as_deref().unwrap_or_default();
        match api.delete(name, &params).await {
            Ok(_) => tracing::info!(lease = name, "deleted the lease of a pod that is gone"),
            Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(left)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn lease(name: &str, spec: &Value) -> Lease {
        serde_json::from_value(json!({"metadata": {"name": name}, "spec": spec})).expect("a lease")
    }

    #[test]
    fn expired_leases_of_deployments_that_are_gone_are_unneeded() {
        let now: Timestamp = "2026-01-02T03:04:05Z".parse().expect("a time");
        let old = json!({"renewTime": "2026-01-02T03:00:00.000000Z", "leaseDurationSeconds": 15});
        let held = json!({"renewTime": "2026-01-02T03:03:59.000000Z", "leaseDurationSeconds": 15});
        let leases = [
            lease("argo-events-only-aa-0-of-1", &old),
            lease("argo-events-only-aa-worker-x-of-1", &old),
            lease("argo-events-only-bb-0-of-1", &old),
            lease("argo-events-shard-0-of-6", &old),
            lease("argo-events-controller", &old),
            lease("argo-events-only-cc-0-of-1", &held),
        ];
        let kept = BTreeSet::from(["argo-events-only-bb".to_owned()]);
        let (expired, left) = unneeded(&leases, &kept, now);
        let names: Vec<_> = expired
            .iter()
            .filter_map(|lease| lease.metadata.name.as_deref())
            .collect();
        let wanted = [
            "argo-events-only-aa-0-of-1",
            "argo-events-only-aa-worker-x-of-1",
        ];
        assert_eq!(names, wanted);
        assert!(left, "that of cc is held");
        let (_, left) = unneeded(&leases[..5], &kept, now);
        assert!(!left);
    }
}
