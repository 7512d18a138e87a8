//! Whether the load balancers of AWS forward as the Ingresses of a Rollout say. AWS Load Balancer Controller writes
//! into a tag of each target group which Service it belongs to.

use std::sync::Arc;

use kube::api::DynamicObject;
use reconcile_core::event::EventNote;
use serde_json::{Value, json};

use crate::aws::load_balancers::{AwsError, LoadBalancer, LoadBalancers, TargetGroup};

/// Reasons of Events, as upstream has them.
pub(in crate::rollout) const VERIFIED: &str = "TargetGroupVerified";
pub(in crate::rollout) const UNVERIFIED: &str = "TargetGroupUnverified";
pub(in crate::rollout) const VERIFY_ERROR: &str = "TargetGroupVerifyError";
const NOT_FOUND: &str = "LoadBalancerNotFound";

/// Asks AWS; a controller has it with `--aws-verify-target-group`. Cloning shares the connection.
#[derive(Clone, Debug)]
pub(crate) struct Aws {
    pub(crate) balancers: Arc<dyn LoadBalancers>,
    /// The tag with the Service of a target group.
    pub(crate) tag: String,
}

/// What is asked in a pass.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asking<'a> {
    pub(crate) aws: &'a Aws,
    /// The weights are to be verified; else only the load balancer is looked up.
    pub(crate) verify: bool,
    /// An update is under way.
    pub(crate) is_update: bool,
    /// The status has the load balancer already.
    pub(crate) is_known: bool,
}

/// What an Ingress asks a load balancer for.
pub(super) struct Forwarding<'a> {
    pub(super) namespace: &'a str,
    pub(super) ports: &'a [i64],
    pub(super) canary: &'a str,
    pub(super) stable: &'a str,
    /// Every Service with its weight.
    pub(super) weights: Vec<(&'a str, i32)>,
}

/// What was found about an Ingress.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Found {
    /// The load balancer forwards as the Ingress says.
    pub(super) in_effect: bool,
    pub(super) findings: Vec<EventNote>,
    /// The load balancer and its target groups, as `status.albs` has them.
    pub(super) balancer: Option<Value>,
}

impl Found {
    fn finding(finding: EventNote) -> Self {
        Self {
            findings: vec![finding],
            ..Self::default()
        }
    }
}

fn service_event(reason: &str, service: &str, error: &AwsError) -> EventNote {
    EventNote::warning(
        reason,
        format!("cannot verify the target groups of Service {service}: {error}"),
    )
}

/// Compares the load balancers of an Ingress with what it says.
pub(super) async fn verify(
    asking: Asking<'_>,
    forwarding: &Forwarding<'_>,
    ingress: &DynamicObject,
) -> Found {
    let mut balancers = Vec::new();
    for host in hosts(ingress) {
        match asking.aws.balancers.balancer(host).await {
            Ok(Some(balancer)) => balancers.push(balancer),
            Ok(None) => {
                let text = format!("AWS has no load balancer with the DNS name {host}");
                return Found::finding(EventNote::warning(NOT_FOUND, text));
            }
            Err(error) => {
                let service = forwarding.canary;
                return Found::finding(service_event(VERIFY_ERROR, service, &error));
            }
        }
    }
    let name = ingress.metadata.name.as_deref().unwrap_or_default();
    let Some(first) = balancers.first() else {
        // AWS Load Balancer Controller has not made one yet.
        let text = format!("Ingress {name} has no load balancer yet");
        return Found::finding(EventNote::warning(UNVERIFIED, text));
    };
    let mut found = Found {
        in_effect: true,
        balancer: Some(status(asking, forwarding, name, first)),
        ..Found::default()
    };
    if !asking.verify {
        return found;
    }
    for port in forwarding.ports {
        for balancer in &balancers {
            found.in_effect &= compare(
                asking,
                forwarding,
                (name, *port),
                balancer,
                &mut found.findings,
            );
        }
    }
    found
}

fn hosts(ingress: &DynamicObject) -> impl Iterator<Item = &str> {
    let balancers = ingress.data.pointer("/status/loadBalancer/ingress");
    let balancers = balancers.and_then(Value::as_array);
    let hosts = balancers.into_iter().flatten();
    hosts
        .filter_map(|balancer| balancer["hostname"].as_str())
        .filter(|host| !host.is_empty())
}

/// The target group of a Service in an Ingress.
fn group_of<'b>(
    asking: Asking<'_>,
    forwarding: &Forwarding<'_>,
    (ingress, port): (&str, i64),
    service: &str,
    balancer: &'b LoadBalancer,
) -> Option<&'b TargetGroup> {
    let resource = format!("{}/{ingress}-{service}:{port}", forwarding.namespace);
    let mut groups = balancer.groups.iter();
    groups.find(|group| group.tag(&asking.aws.tag) == Some(resource.as_str()))
}

/// True when every rule that forwards to the stable Service has the weights of the Ingress, and there is one. Rules
/// of header routes lead to the new version alone.
fn compare(
    asking: Asking<'_>,
    forwarding: &Forwarding<'_>,
    (ingress, port): (&str, i64),
    balancer: &LoadBalancer,
    findings: &mut Vec<EventNote>,
) -> bool {
    let mut wanted = Vec::new();
    for (service, weight) in &forwarding.weights {
        let Some(group) = group_of(asking, forwarding, (ingress, port), service, balancer) else {
            let text = format!(
                "load balancer {} has no target group with the tag {}={}/{ingress}-{service}:{port}",
                balancer.name, asking.aws.tag, forwarding.namespace
            );
            findings.push(EventNote::warning(UNVERIFIED, text));
            return false;
        };
        wanted.push((*service, group.arn.as_str(), *weight));
    }
    let stable = wanted
        .iter()
        .find(|(service, ..)| *service == forwarding.stable);
    let Some((_, stable, _)) = stable.copied() else {
        return false;
    };
    let rules = balancer.rules.iter();
    let mut rules = rules
        .filter(|rule| rule.iter().any(|share| share.group == stable))
        .peekable();
    let mut all_same = rules.peek().is_some();
    for rule in rules {
        for (service, arn, weight) in &wanted {
            let share = rule.iter().find(|share| share.group == *arn);
            let now = share.map_or(0, |share| share.weight);
            if now != *weight {
                let text =
                    format!("Service {service} (TargetGroup {arn}) has weight {now}, not {weight}");
                findings.push(EventNote::warning(UNVERIFIED, text));
                all_same = false;
            }
        }
    }
    if all_same {
        let new = wanted
            .iter()
            .filter(|(service, ..)| *service != forwarding.stable);
        findings.extend(new.map(|(service, arn, weight)| {
            let text = format!("Service {service} (TargetGroup {arn}) has weight {weight}");
            EventNote::normal(VERIFIED, text)
        }));
    }
    all_same
}

/// The load balancer as `status.albs` has it.
fn status(
    asking: Asking<'_>,
    forwarding: &Forwarding<'_>,
    ingress: &str,
    balancer: &LoadBalancer,
) -> Value {
    let group = |service: &str| {
        let mut ports = forwarding.ports.iter();
        let group = ports
            .find_map(|port| group_of(asking, forwarding, (ingress, *port), service, balancer));
        group.map_or_else(|| json!({}), |group| resource(&group.name, &group.arn, 1))
    };
    json!({
        "loadBalancer": resource(&balancer.name, &balancer.arn, 2),
        "canaryTargetGroup": group(forwarding.canary),
        "stableTargetGroup": group(forwarding.stable),
        "ingress": ingress,
    })
}

/// A resource with its full name: what follows the first `skip` parts of its ARN, as metrics of AWS name it.
fn resource(name: &str, arn: &str, skip: usize) -> Value {
    let parts: Vec<&str> = arn.split('/').skip(skip).collect();
    json!({ "name": name, "arn": arn, "fullName": parts.join("/") })
}
