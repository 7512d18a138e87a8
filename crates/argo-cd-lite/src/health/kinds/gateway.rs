//! Gateway API, Istio, Ingress-like kinds and load balancers.

use serde_json::Value;

use crate::health::{
    Code::{Degraded, Healthy, Progressing, Unknown},
    Health, Subject,
    rule::{Rule, absent, behind, field, no, on, rule, run, when, yes},
    value::{at, list, text},
};

pub(super) const RULES: &[Rule] = &[
    rule("gateway.networking.k8s.io", "Gateway", &[run(gateway)])
        .waiting("Waiting for Gateway status"),
    rule(
        "gateway.networking.k8s.io",
        "HTTPRoute|GRPCRoute|TLSRoute|TCPRoute|UDPRoute",
        &[run(route)],
    )
    .waiting("Waiting for {kind} status"),
    rule("gateway.networking.k8s.io", "GatewayClass", &[run(gateway_class)])
        .waiting("Waiting for GatewayClass status"),
    rule("gateway.networking.k8s.io", "ListenerSet|XListenerSet", &[when(&[
        no("Accepted|ResolvedRefs", Degraded),
        on("Programmed", "!True", Progressing),
        yes("Programmed", Healthy),
    ])])
    .waiting("Waiting for {kind} status"),
    rule("gateway.networking.k8s.io", "ReferenceGrant", &[]).otherwise(Healthy, ""),
    rule("install.istio.io", "IstioOperator", &[field("status.status", &[
        ("0|NONE", Unknown, "Component is not present."),
        ("1|UPDATING", Progressing, "Component is being updated to a different version."),
        (
            "2|RECONCILING",
            Progressing,
            "Controller has started but not yet completed reconciliation loop for the component.",
        ),
        ("3|HEALTHY", Healthy, "Component is healthy."),
        ("4|ERROR", Degraded, "Component is in an error state."),
    ])])
    .waiting("Waiting for Istio Control Plane"),
    rule("sailoperator.io", "Istio|IstioCNI|IstioRevision|ZTunnel", &[
        when(&[no("Reconciled|Ready", Degraded).because("ReconcileError|Failed*")]),
        when(&[no("Ready", Progressing)]),
        when(&[yes("Ready", Healthy)]),
    ])
    .waiting("Waiting for {kind}"),
    // Istio writes a status for these kinds only when its analysis is on; nothing wrong is fine.
    rule(
        "networking.istio.io",
        "VirtualService|DestinationRule|Gateway|ServiceEntry|Sidecar|EnvoyFilter|WorkloadEntry|WorkloadGroup|ProxyConfig",
        &[run(istio_analysis)],
    )
    .otherwise(Healthy, ""),
    rule(
        "security.istio.io",
        "AuthorizationPolicy|PeerAuthentication|RequestAuthentication",
        &[run(istio_analysis)],
    )
    .otherwise(Healthy, ""),
    rule("telemetry.istio.io", "Telemetry", &[run(istio_analysis)]).otherwise(Healthy, ""),
    rule("projectcontour.io", "HTTPProxy", &[field("status.currentStatus", &[
        ("valid", Healthy, "{status.description}"),
        ("invalid|orphaned", Degraded, "{status.description}"),
    ])])
    .waiting("Waiting for HTTPProxy status"),
    rule("getambassador.io", "Host", &[field("status.state", &[
        ("Ready", Healthy, "Host is Ready"),
        ("Pending", Progressing, "Host is Pending"),
        ("Error", Degraded, "Host is Error: {status.errorReason}"),
    ])])
    .otherwise(Healthy, "Host is unmanaged"),
    rule("metallb.io", "IPAddressPool|L2Advertisement|BGPAdvertisement|BFDProfile|Community", &[])
        .otherwise(Healthy, ""),
    rule("metallb.io", "BGPPeer", &[when(&[no("*", Degraded)])]).otherwise(Healthy, ""),
    rule("metallb.io", "ConfigurationState", &[field("status.result", &[
        ("Valid", Healthy, ""),
        ("Invalid", Degraded, "{status.errorSummary}"),
    ])])
    .waiting("Waiting for the configuration to be checked"),
    rule("cilium.io", "CiliumNetworkPolicy|CiliumClusterwideNetworkPolicy", &[when(&[
        no("Valid", Degraded),
        yes("Valid", Healthy),
    ])])
    .otherwise(Healthy, ""),
    rule("elbv2.k8s.aws", "TargetGroupBinding", &[
        behind(Progressing, "Waiting for the latest spec to be observed"),
        absent("status.observedGeneration", Progressing, "Waiting for TargetGroupBinding status"),
    ])
    .otherwise(Healthy, ""),
    rule("externaldns.k8s.io", "DNSEndpoint", &[
        behind(Progressing, "Waiting for the latest spec to be observed"),
    ])
    .otherwise(Healthy, ""),
    rule("route.openshift.io", "Route", &[run(openshift_route)])
        .waiting("Route is still getting admitted"),
];

/// Bad references come before refusals, and these before what is still being programmed.
fn verdict(conditions: &[Value], of: &str, programming: &str) -> Option<Health> {
    for type_ in ["ResolvedRefs", "Accepted"] {
        let failed = conditions.iter().find(|condition| {
            text(condition, &["type"]) == type_ && text(condition, &["status"]) == "False"
        });
        if let Some(condition) = failed {
            let message = match at(condition, &["message"]).as_str() {
                Some(message) => message.to_owned(),
                None => format!("Failed condition: {type_}"),
            };
            return Some(Health::new(Degraded, format!("{of}{message}")));
        }
    }
    let condition = conditions.iter().find(|condition| {
        text(condition, &["type"]) == "Programmed" && text(condition, &["status"]) != "True"
    })?;
    let message = at(condition, &["message"]).as_str().unwrap_or(programming);
    Some(Health::new(Progressing, format!("{of}{message}")))
}

fn gateway(subject: &Subject<'_>) -> Option<Health> {
    if let Some(bad) = verdict(
        subject.conditions(),
        "",
        "Gateway is still being programmed",
    ) {
        return Some(bad);
    }
    let listeners = subject.list("status.listeners");
    let bad = listeners.iter().find_map(|listener| {
        let conditions = list(listener, &["conditions"]);
        verdict(
            conditions,
            "Listener: ",
            "Listener is still being programmed",
        )
    });
    if bad.is_some() {
        return bad;
    }
    let known = !subject.at("status.conditions").is_null() || !listeners.is_empty();
    known.then(|| Health::new(Healthy, "Gateway is healthy"))
}

/// Parents that speak of an older spec are left out; one that speaks of this one is enough.
fn route(subject: &Subject<'_>) -> Option<Health> {
    let is_current = |parent: &&Value| {
        let Some(generation) = subject.metadata.generation else {
            return true;
        };
        let mut conditions = list(parent, &["conditions"]).iter();
        conditions
            .any(|condition| at(condition, &["observedGeneration"]).as_i64() == Some(generation))
    };
    let parents: Vec<&Value> = subject
        .list("status.parents")
        .iter()
        .filter(is_current)
        .collect();
    let bad = parents.iter().find_map(|parent| {
        let of = format!("Parent {}: ", text(parent, &["parentRef", "name"]));
        let conditions = list(parent, &["conditions"]);
        verdict(conditions, &of, "Route is still being programmed")
    });
    if bad.is_some() {
        return bad;
    }
    let judged = parents
        .iter()
        .any(|parent| !list(parent, &["conditions"]).is_empty());
    judged.then(|| Health::new(Healthy, format!("{} is healthy", subject.kind)))
}

fn gateway_class(subject: &Subject<'_>) -> Option<Health> {
    let accepted = subject.conditions().iter().find(|condition| {
        let observed = at(condition, &["observedGeneration"]).as_i64();
        let stale = observed
            .zip(subject.metadata.generation)
            .is_some_and(|(observed, generation)| observed != generation);
        text(condition, &["type"]) == "Accepted" && !stale
    })?;
    let (code, default) = match text(accepted, &["status"]) {
        "True" => (Healthy, "GatewayClass is accepted"),
        "False" => (Degraded, "GatewayClass is not accepted"),
        _ => (Progressing, "Waiting for GatewayClass status"),
    };
    let message = at(accepted, &["message"]).as_str().unwrap_or(default);
    Some(Health::new(code, message))
}

/// Messages of Istio's configuration analysis; errors break the object, warnings do not.
fn istio_analysis(subject: &Subject<'_>) -> Option<Health> {
    let messages = subject.list("status.validationMessages");
    let error = messages
        .iter()
        .find(|message| matches!(text(message, &["level"]), "ERROR" | "3"))?;
    let name = text(error, &["type", "name"]);
    let code = text(error, &["type", "code"]);
    Some(Health::new(Degraded, format!("{name} {code}").trim()))
}

fn openshift_route(subject: &Subject<'_>) -> Option<Health> {
    let routers = subject.at("status.ingress").as_array()?;
    let admitted = |status: &str| {
        routers
            .iter()
            .flat_map(|router| list(router, &["conditions"]))
            .filter(|condition| {
                text(condition, &["type"]) == "Admitted" && text(condition, &["status"]) == status
            })
            .count()
    };
    Some(if admitted("True") >= routers.len() {
        Health::new(Healthy, "Route is healthy")
    } else if admitted("False") > 0 {
        Health::new(Degraded, "Route is degraded")
    } else {
        Health::new(Progressing, "Route is still getting admitted")
    })
}
