//! The routers against an API server in memory: what they read and what they write.

#![expect(
    clippy::needless_pass_by_value,
    reason = "objects are written where they are used"
)]

use reconcile_core::{
    object::{FieldError, Root},
    operator::install_tls,
    testkit::{FakeApi, FakeKind},
};
use serde_json::{Value, json};

use super::cluster::template;
use crate::rollout::{
    Effects, Sources, observe,
    observed::{Observed, ServiceView},
    plan::Action,
    traffic::{self, ManagedRoute, RouteContext, RouteGoal, RouteStep},
};

pub(super) const NAMESPACE: &str = "ns";

fn server() -> FakeApi {
    FakeApi::new()
        .with_kind(FakeKind::new(
            "argoproj.io",
            "v1alpha1",
            "Rollout",
            "rollouts",
        ))
        .with_kind(FakeKind::new(
            "gateway.networking.k8s.io",
            "v1",
            "HTTPRoute",
            "httproutes",
        ))
        .with_kind(FakeKind::new(
            "networking.k8s.io",
            "v1",
            "Ingress",
            "ingresses",
        ))
}

/// A Rollout with traffic routing and an API server.
pub(super) struct RoutedRollout {
    pub(super) api: FakeApi,
    pub(super) effects: Effects,
    pub(super) observed: Observed,
}

fn world(routing: Value) -> RoutedRollout {
    world_with(routing, &[])
}

/// A world whose API server has more kinds, by group, version, kind and plural.
pub(super) fn world_with(
    routing: Value,
    kinds: &[(&'static str, &'static str, &'static str, &'static str)],
) -> RoutedRollout {
    install_tls();
    let more = kinds
        .iter()
        .map(|(group, version, kind, plural)| FakeKind::new(group, version, kind, plural));
    let api = more.fold(server(), FakeApi::with_kind);
    let strategy = json!({"canary": {
        "canaryService": "new", "stableService": "old", "steps": [{"setWeight": 20}], "trafficRouting": routing,
    }});
    api.put(&json!({
        "apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout", "metadata": {"name": "web", "namespace": NAMESPACE},
        "spec": {"replicas": 2, "selector": {"matchLabels": {"app": "web"}}, "template": template("v1"), "strategy": strategy}
    }));
    let sources = Sources::default();
    for name in ["new", "old"] {
        let meta = kube::api::ObjectMeta {
            name: Some(name.to_owned()),
            namespace: Some(NAMESPACE.to_owned()),
            ..kube::api::ObjectMeta::default()
        };
        drop(sources.services.written(&meta, ServiceView::default()));
    }
    let root = Root::from_value(&api.get("rollouts", NAMESPACE, "web").expect("the Rollout"));
    let observed = observe::observe(&sources, &root.expect("a Rollout")).expect("a valid one");
    let effects = Effects {
        client: api.client(),
        sources,
        instance_id: String::new(),
        aws: None,
    };
    RoutedRollout {
        api,
        effects,
        observed,
    }
}

impl RoutedRollout {
    pub(super) async fn look(&mut self) -> Result<(Option<i32>, Option<bool>), String> {
        let read = self.effects.observe_traffic(&mut self.observed).await;
        read.map_err(|error| error.to_string())?;
        let state = self.observed.traffic.clone().expect("routing");
        Ok((state.weight, state.in_effect))
    }

    pub(super) async fn route(&self, weight: i32) {
        self.write(RouteGoal {
            weight,
            ..RouteGoal::default()
        })
        .await;
    }

    /// The routes are restored.
    pub(super) async fn clear(&self) {
        let canary = self.observed.spec.canary().expect("a canary");
        let routing = canary.routing.as_ref().expect("routing");
        let context = RouteContext {
            client: &self.effects.client,
            rollout: self.observed.root.key(),
            owner: self.observed.root.controller_reference(),
            canary: canary.canary_service.as_deref().unwrap_or_default(),
            stable: canary.stable_service.as_deref().unwrap_or_default(),
            max_weight: routing.max_weight,
            managed: &routing.managed,
            experiments: &[],
            aws: None,
        };
        for router in &routing.routers {
            router
                .clear(&context)
                .await
                .expect("the routes are restored");
        }
    }

    fn rules(&self) -> Vec<Value> {
        let route = self.api.get("httproutes", NAMESPACE, "main");
        let route = route.expect("the route");
        route["spec"]["rules"].as_array().expect("rules").clone()
    }

    pub(super) async fn write(&self, goal: RouteGoal) {
        let action = Action::Route(goal);
        let done = self.effects.apply(&self.observed, &action).await;
        done.expect("the routes are written");
    }
}

fn gateway() -> Value {
    json!({"plugins": {"argoproj-labs/gatewayAPI": {"httpRoute": "main"}}})
}

fn put_route(api: &FakeApi, rules: Value) {
    api.put(&json!({
        "apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute",
        "metadata": {"name": "main", "namespace": NAMESPACE, "labels": {"team": "a"}}, "spec": {"rules": rules}
    }));
}

#[tokio::test]
async fn gateway_api_rules_with_both_services_get_the_weight() {
    let mut world = world(gateway());
    let both = json!([{"name": "old", "port": 80}, {"name": "new", "port": 80}]);
    let rules = json!([
        {"matches": [{"path": {"value": "/"}}], "backendRefs": both},
        {"backendRefs": [{"name": "other", "port": 80}]},
    ]);
    put_route(&world.api, rules);
    assert_eq!(
        world.look().await,
        Ok((None, None)),
        "both have the API's default weight"
    );
    world.route(20).await;
    assert_eq!(world.look().await, Ok((Some(20), None)));
    let route = || {
        world
            .api
            .get("httproutes", NAMESPACE, "main")
            .expect("the route")
    };
    let written = route();
    assert_eq!(
        written["spec"]["rules"][0]["backendRefs"],
        json!([{"name": "old", "port": 80, "weight": 80}, {"name": "new", "port": 80, "weight": 20}])
    );
    assert_eq!(
        written["spec"]["rules"][1]["backendRefs"],
        json!([{"name": "other", "port": 80}])
    );
    assert_eq!(
        written["metadata"]["labels"],
        json!({"team": "a", "rollouts.argoproj.io/gatewayapi-canary": "in-progress"})
    );
    // The same weight again writes nothing.
    world.api.clear_requests();
    world.route(20).await;
    assert_eq!(world.api.writes(), Vec::<String>::new());
    world.route(0).await;
    assert_eq!(route()["metadata"]["labels"], json!({"team": "a"}));
}

#[tokio::test]
async fn a_gateway_says_whether_a_route_is_in_effect() {
    let mut world = world(gateway());
    put_route(
        &world.api,
        json!([{"backendRefs": [{"name": "old", "weight": 100}, {"name": "new", "weight": 0}]}]),
    );
    for (accepted, in_effect) in [("True", true), ("False", false)] {
        world.api.edit("httproutes", NAMESPACE, "main", |route| {
            route["status"] = json!({"parents": [{"conditions": [{"type": "Accepted", "status": accepted}]}]});
        });
        assert_eq!(world.look().await, Ok((Some(0), Some(in_effect))));
    }
}

#[tokio::test]
async fn a_route_that_is_missing_or_does_not_fit_is_named() {
    let mut world = world(gateway());
    let text = world.look().await.expect_err("there is no route");
    assert!(text.contains("HTTPRoute \"main\" not found"), "{text}");
    put_route(&world.api, json!([{"backendRefs": [{"name": "old"}]}]));
    let text = world.look().await.expect_err("no rule has both");
    assert!(
        text.contains("no rule with backendRefs to both old and new"),
        "{text}"
    );
}

#[tokio::test]
async fn a_route_of_another_namespace_is_refused() {
    let config = json!({"httpRoute": "main", "namespace": "other"});
    let mut world = world(json!({"plugins": {"argoproj-labs/gatewayAPI": config}}));
    let text = world.look().await.expect_err("it belongs to somebody else");
    assert!(
        text.contains("routes must be in the namespace of the Rollout"),
        "{text}"
    );
}

#[tokio::test]
async fn gateway_api_header_and_mirror_rules_come_and_go_by_name() {
    let mut routing = gateway();
    routing["managedRoutes"] = json!([{"name": "beta"}, {"name": "shadow"}]);
    let mut world = world(routing);
    put_route(
        &world.api,
        json!([{"matches": [{"path": {"type": "PathPrefix", "value": "/"}}], "backendRefs": [{"name": "old", "port": 80}, {"name": "new", "port": 80}]}]),
    );
    let header = json!({"name": "beta", "match": [{"headerName": "x-beta", "headerValue": {"prefix": "y."}}]});
    let mirror =
        json!({"name": "shadow", "match": [{"method": {"exact": "GET"}}], "percentage": 30});
    let goal = RouteGoal {
        weight: 10,
        managed: vec![
            set(traffic::header_step("a", &header)),
            set(traffic::mirror_step("b", &mirror)),
        ],
        ..RouteGoal::default()
    };
    world.write(goal.clone()).await;
    let rules = world.rules();
    assert_eq!(rules.len(), 3);
    assert_eq!(
        rules[0],
        json!({
            "name": "beta-0",
            "matches": [{"path": {"type": "PathPrefix", "value": "/"}, "headers": [{"name": "x-beta", "type": "RegularExpression", "value": "y\\..*"}]}],
            "backendRefs": [{"name": "new", "port": 80, "weight": 1}],
        })
    );
    assert_eq!(
        rules[1]["matches"],
        json!([{"path": {"type": "PathPrefix", "value": "/"}, "method": "GET"}])
    );
    assert_eq!(
        rules[1]["filters"],
        json!([{"type": "RequestMirror", "requestMirror": {"backendRef": {"name": "new", "port": 80}, "percent": 30}}])
    );
    assert_eq!(rules[1]["backendRefs"][1]["weight"], 10);
    assert_eq!(world.look().await, Ok((Some(10), None)));
    let state = world.observed.traffic.clone().expect("routing");
    assert_eq!(state.managed, ["beta", "shadow"]);
    world.api.clear_requests();
    world.write(goal).await;
    assert_eq!(world.api.writes(), Vec::<String>::new());
    world.route(20).await;
    let rules = world.rules();
    assert_eq!(rules.len(), 1, "the managed rules are gone");
    assert_eq!(rules[0]["backendRefs"][1]["weight"], 20);
}

/// The route that a step adds.
pub(super) fn set(step: Result<RouteStep, FieldError>) -> ManagedRoute {
    match step.expect("a route") {
        RouteStep::Set(route) => route,
        RouteStep::Remove(name) => panic!("{name} is removed"),
    }
}

#[tokio::test]
async fn gateway_api_routes_are_found_by_label() {
    let config = json!({"httpRouteSelector": {"matchLabels": {"team": "a"}}});
    let mut world = world(json!({"plugins": {"argoproj-labs/gatewayAPI": config}}));
    let text = world.look().await.expect_err("there is none");
    assert!(text.contains("no HTTPRoute with these labels"), "{text}");
    put_route(
        &world.api,
        json!([{"backendRefs": [{"name": "old"}, {"name": "new"}]}]),
    );
    world.route(30).await;
    assert_eq!(world.look().await, Ok((Some(30), None)));
}

fn ingress(name: &str) -> Value {
    json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "Ingress",
        "metadata": {"name": name, "namespace": NAMESPACE, "annotations": {"kubernetes.io/ingress.class": "nginx", "x": "y"}},
        "spec": {"ingressClassName": "nginx", "rules": [
            {"host": "a.example.com", "http": {"paths": [
                {"path": "/", "pathType": "Prefix", "backend": {"service": {"name": "old", "port": {"number": 80}}}},
                {"path": "/x", "pathType": "Prefix", "backend": {"service": {"name": "x", "port": {"number": 80}}}},
            ]}},
            {"host": "b.example.com", "http": {"paths": [
                {"path": "/", "pathType": "Prefix", "backend": {"service": {"name": "x", "port": {"number": 80}}}},
            ]}},
        ]},
    })
}

#[tokio::test]
async fn nginx_gets_a_canary_ingress_beside_each_stable_one() {
    let mut world = world(json!({"nginx": {
        "stableIngresses": ["one", "two"], "additionalIngressAnnotations": {"canary-by-header": "X-Canary"},
    }, "maxTrafficWeight": 200}));
    world.api.put(&ingress("one"));
    world.api.put(&ingress("two"));
    assert_eq!(world.look().await, Ok((Some(0), None)));
    world.route(20).await;
    assert_eq!(world.look().await, Ok((Some(20), None)));
    let canary = world
        .api
        .get("ingresses", NAMESPACE, "web-one-canary")
        .expect("the canary Ingress");
    assert_eq!(
        canary["metadata"]["annotations"],
        json!({
            "kubernetes.io/ingress.class": "nginx",
            "nginx.ingress.kubernetes.io/canary": "true",
            "nginx.ingress.kubernetes.io/canary-by-header": "X-Canary",
            "nginx.ingress.kubernetes.io/canary-weight": "20",
            "nginx.ingress.kubernetes.io/canary-weight-total": "200",
        })
    );
    assert_eq!(canary["metadata"]["ownerReferences"][0]["name"], "web");
    assert_eq!(canary["spec"]["ingressClassName"], "nginx");
    assert_eq!(
        canary["spec"]["rules"],
        json!([{"host": "a.example.com", "http": {"paths": [
            {"path": "/", "pathType": "Prefix", "backend": {"service": {"name": "new", "port": {"number": 80}}}},
        ]}}])
    );
    world.api.clear_requests();
    world.route(20).await;
    assert_eq!(world.api.writes(), Vec::<String>::new());
    world.route(40).await;
    assert_eq!(world.look().await, Ok((Some(40), None)));
}

#[tokio::test]
async fn nginx_leaves_ingresses_of_others_alone_and_names_what_is_missing() {
    let mut world = world(json!({"nginx": {"stableIngress": "one"}}));
    let text = world.look().await.expect_err("there is no Ingress");
    assert!(text.contains("Ingress \"one\" not found"), "{text}");
    world.api.put(&ingress("one"));
    world.api.put(&ingress("web-one-canary"));
    let text = world.look().await.expect_err("somebody else has it");
    assert!(text.contains("belongs to somebody else"), "{text}");
}
