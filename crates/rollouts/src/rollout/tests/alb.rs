//! AWS Load Balancer Controller: the annotations and paths that are written.

use serde_json::{Value, json};

use super::routers::{NAMESPACE, RoutedRollout, set, world_with};
use crate::rollout::traffic::{self, RouteGoal};

const ACTION: &str = "alb.ingress.kubernetes.io/actions.root";
const MANAGED: &str = "rollouts.argoproj.io/managed-alb-annotations";

fn world(stickiness: &Value) -> RoutedRollout {
    let routing = json!({
        "alb": {"ingress": "main", "servicePort": 80, "rootService": "root", "stickinessConfig": stickiness},
        "managedRoutes": [{"name": "beta"}],
    });
    world_with(routing, &[])
}

fn root_path() -> Value {
    json!({"path": "/", "pathType": "Prefix", "backend": {"service": {"name": "root", "port": {"name": "use-annotation"}}}})
}

fn put_ingress(world: &RoutedRollout) {
    world.api.put(&json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "Ingress",
        "metadata": {"name": "main", "namespace": NAMESPACE, "annotations": {"x": "y"}},
        "spec": {"rules": [{"http": {"paths": [root_path()]}}]},
    }));
}

fn ingress(world: &RoutedRollout) -> Value {
    world
        .api
        .get("ingresses", NAMESPACE, "main")
        .expect("the Ingress")
}

#[tokio::test]
async fn the_action_of_the_root_service_has_the_weights() {
    let mut world = world(&json!({"enabled": true, "durationSeconds": 60}));
    let text = world.look().await.expect_err("there is none");
    assert!(text.contains("Ingress \"main\" not found"), "{text}");
    put_ingress(&world);
    assert_eq!(
        world.look().await,
        Ok((None, None)),
        "nothing was written yet"
    );
    world.route(20).await;
    assert_eq!(world.look().await, Ok((Some(20), None)));
    let annotations = ingress(&world)["metadata"]["annotations"].clone();
    assert_eq!(
        annotations[ACTION],
        "{\"Type\":\"forward\",\"ForwardConfig\":{\"TargetGroups\":[\
         {\"ServiceName\":\"new\",\"ServicePort\":\"80\",\"Weight\":20},\
         {\"ServiceName\":\"old\",\"ServicePort\":\"80\",\"Weight\":80}],\
         \"TargetGroupStickinessConfig\":{\"Enabled\":true,\"DurationSeconds\":60}}}"
    );
    assert_eq!(annotations[MANAGED], json!({"web": [ACTION]}).to_string());
    assert_eq!(annotations["x"], "y");
    world.api.clear_requests();
    world.route(20).await;
    assert_eq!(world.api.writes(), Vec::<String>::new());
    world.clear().await;
    assert_eq!(world.look().await, Ok((Some(0), None)));
}

#[tokio::test]
async fn a_header_route_is_a_path_with_an_action_and_conditions() {
    let mut world = world(&json!({}));
    put_ingress(&world);
    let header = json!({"name": "beta", "match": [{"headerName": "x-beta", "headerValue": {"exact": "yes"}}]});
    let goal = RouteGoal {
        weight: 10,
        managed: vec![set(traffic::header_step("a", &header))],
        ..RouteGoal::default()
    };
    world.write(goal.clone()).await;
    let written = ingress(&world);
    let annotations = &written["metadata"]["annotations"];
    assert_eq!(
        annotations["alb.ingress.kubernetes.io/conditions.beta"],
        "[{\"field\":\"http-header\",\"httpHeaderConfig\":{\"httpHeaderName\":\"x-beta\",\"values\":[\"yes\"]}}]"
    );
    assert_eq!(
        annotations["alb.ingress.kubernetes.io/actions.beta"],
        "{\"Type\":\"forward\",\"ForwardConfig\":{\"TargetGroups\":[{\"ServiceName\":\"new\",\"ServicePort\":\"80\",\"Weight\":100}]}}"
    );
    let paths = &written["spec"]["rules"][0]["http"]["paths"];
    assert_eq!(paths[0]["backend"]["service"]["name"], "beta");
    assert_eq!(paths[1], root_path());
    world.look().await.expect("a state");
    assert_eq!(
        world.observed.traffic.clone().expect("routing").managed,
        ["beta"]
    );
    world.api.clear_requests();
    world.write(goal).await;
    assert_eq!(world.api.writes(), Vec::<String>::new());
    world.clear().await;
    let written = ingress(&world);
    assert_eq!(
        written["spec"]["rules"][0]["http"]["paths"],
        json!([root_path()])
    );
    let annotations = written["metadata"]["annotations"]
        .as_object()
        .expect("annotations");
    assert!(
        !annotations.keys().any(|key| key.contains("beta")),
        "{annotations:?}"
    );
    assert_eq!(annotations[MANAGED], json!({"web": [ACTION]}).to_string());
}
