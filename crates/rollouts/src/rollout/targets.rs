//! Whether target groups of AWS have all pods behind a Service that was switched. AWS Load Balancer Controller
//! registers them some time after the selector changed, and until then the old pods must stay.

use std::collections::BTreeSet;

use kube::api::{ApiResource, DynamicObject};
use reconcile_core::{apply, event::EventNote, object::ObjectKey};
use serde_json::Value;

use super::{
    Effects, RolloutError,
    observed::{CheckedStrategy, Observed},
    resources::{resource, services},
    traffic::{Aws, UNVERIFIED, VERIFIED, VERIFY_ERROR},
};

/// What a pass knows of target groups.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TargetsFound {
    /// All pods are registered; none when no Service was switched whose pods matter.
    pub registered: Option<bool>,
    /// What was found, as Events.
    pub findings: Vec<EventNote>,
}

impl Effects {
    /// Asks AWS where old pods wait for it to know the new ones.
    pub(super) async fn observe_targets(
        &self,
        observed: &mut Observed,
    ) -> Result<(), RolloutError> {
        let Some(aws) = &self.aws else {
            return Ok(());
        };
        let mut found = TargetsFound::default();
        if let Some(service) = switched(observed) {
            let key = ObjectKey::new(observed.root.key().namespace, service);
            found = self.registered(aws, &key).await?;
        }
        observed.targets = Some(found);
        Ok(())
    }

    async fn registered(
        &self,
        aws: &Aws,
        service: &ObjectKey,
    ) -> Result<TargetsFound, RolloutError> {
        let mut found = TargetsFound::default();
        let (client, namespace) = (&self.client, &service.namespace);
        let bindings = match apply::list(client, &bindings(), namespace, "").await {
            Ok(bindings) => bindings,
            // The cluster has no AWS Load Balancer Controller.
            Err(error) if error.code() == Some(404) => return Ok(found),
            Err(error) => return Err(error.into()),
        };
        let own = |binding: &&DynamicObject| {
            let spec = &binding.data["spec"];
            spec["serviceRef"]["name"] == *service.name && spec["targetType"] == "ip"
        };
        let bindings: Vec<&DynamicObject> = bindings.iter().filter(own).collect();
        let object = apply::get(client, &services(), service).await?;
        let (Some(object), false) = (object, bindings.is_empty()) else {
            return Ok(found);
        };
        let label = format!("kubernetes.io/service-name={}", service.name);
        let slices = apply::list(client, &slices(), namespace, &label).await?;
        let mut registered = true;
        for binding in bindings {
            let spec = &binding.data["spec"];
            let Some(port) = port_of(&object, &spec["serviceRef"]["port"]) else {
                continue;
            };
            let group = spec["targetGroupARN"].as_str().unwrap_or_default();
            let (known, finding) =
                compare(aws, &service.name, group, &addresses(&slices, port)).await;
            registered &= known;
            found.findings.push(finding);
        }
        found.registered = Some(registered);
        Ok(found)
    }
}

/// The Service whose new pods must be registered before old ones may go: of blue-green the active one before the
/// promotion, of a canary behind ALB the stable one after it.
fn switched(observed: &Observed) -> Option<&str> {
    let status = &observed.status;
    let (newest, stable) = (&status.current_pod_hash, &status.stable_rs);
    let selects_newest = |name: &str| {
        let service = observed.services.get(name);
        service.is_some_and(|view| view.hash.as_ref() == Some(newest))
    };
    let name = match &observed.spec.strategy {
        CheckedStrategy::BlueGreen(rules) => {
            let judges = status
                .blue_green
                .post_promotion_analysis_run_status
                .is_some();
            let waits = !stable.is_empty() && stable != newest && !judges;
            Some(&rules.active).filter(|_| waits)
        }
        CheckedStrategy::Canary(canary) => {
            let on_aws = canary
                .routing
                .as_ref()
                .is_some_and(|routing| routing.on_aws);
            let mut sets = observed.replica_sets.iter();
            let waits = sets.any(|set| set.hash != *newest && set.replicas > 0);
            let waits = on_aws && stable == newest && waits;
            canary.stable_service.as_ref().filter(|_| waits)
        }
    };
    name.map(String::as_str).filter(|name| selects_newest(name))
}

/// Compares the pods of a Service with a target group. True when all of them are registered.
async fn compare(
    aws: &Aws,
    service: &str,
    group: &str,
    wanted: &BTreeSet<(&str, i64)>,
) -> (bool, EventNote) {
    let targets = match aws.balancers.targets(group).await {
        Ok(targets) => targets,
        Err(error) => {
            let text = format!("cannot verify Service {service} (TargetGroup {group}): {error}");
            return (false, EventNote::warning(VERIFY_ERROR, text));
        }
    };
    let registered = wanted.iter().filter(|(address, port)| {
        let mut targets = targets.iter();
        targets.any(|target| target.id == *address && i64::from(target.port) == *port)
    });
    let (registered, all) = (registered.count(), wanted.len());
    let text = format!(
        "Service {service} (TargetGroup {group}): {registered} of {all} endpoints are registered"
    );
    if registered == all {
        (true, EventNote::normal(VERIFIED, text))
    } else {
        (false, EventNote::warning(UNVERIFIED, text))
    }
}

/// The name of the port of a Service that a binding refers to by number or name.
fn port_of<'s>(service: &'s DynamicObject, wanted: &Value) -> Option<&'s str> {
    let ports = service.data["spec"]["ports"].as_array();
    let mut ports = ports.into_iter().flatten();
    let port = ports.find(|port| port["port"] == *wanted || port["name"] == *wanted)?;
    Some(port["name"].as_str().unwrap_or_default())
}

/// Addresses of the pods that are ready, with the number of the port that has this name.
fn addresses<'s>(slices: &'s [DynamicObject], port: &str) -> BTreeSet<(&'s str, i64)> {
    let list = |value: &'s Value| value.as_array().into_iter().flatten();
    let mut all = BTreeSet::new();
    for slice in slices {
        let named = |one: &&Value| one["name"].as_str().unwrap_or_default() == port;
        let number = list(&slice.data["ports"]).find(named);
        let Some(number) = number.and_then(|port| port["port"].as_i64()) else {
            continue;
        };
        let endpoints = list(&slice.data["endpoints"]);
        let ready = endpoints.filter(|endpoint| endpoint["conditions"]["ready"] != false);
        let addresses = ready.flat_map(|endpoint| list(&endpoint["addresses"]));
        all.extend(
            addresses
                .filter_map(Value::as_str)
                .map(|address| (address, number)),
        );
    }
    all
}

fn bindings() -> ApiResource {
    resource(
        "elbv2.k8s.aws",
        "v1beta1",
        "TargetGroupBinding",
        "targetgroupbindings",
    )
}

fn slices() -> ApiResource {
    resource("discovery.k8s.io", "v1", "EndpointSlice", "endpointslices")
}
