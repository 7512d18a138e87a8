//! AWS Load Balancer Controller: the annotations and paths that are written.

use std::{future::ready, sync::Arc};

use futures::future::BoxFuture;
use parking_lot::Mutex;
use serde_json::{Value, json};

use super::routers::{NAMESPACE, RoutedRollout, set, world_with};
use crate::{
    aws::load_balancers::{AwsError, LoadBalancer, LoadBalancers, Share, Target, TargetGroup},
    rollout::{
        observed::{ReplicaSetView, ServiceView},
        traffic::{self, Aws, RouteGoal},
    },
};

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

/// Load balancers whose answers are given.
#[derive(Debug, Default)]
struct Answers {
    balancer: Mutex<Option<Result<LoadBalancer, AwsError>>>,
    targets: Mutex<Vec<Target>>,
}

impl LoadBalancers for Answers {
    fn balancer<'a>(
        &'a self,
        _host: &'a str,
    ) -> BoxFuture<'a, Result<Option<Arc<LoadBalancer>>, AwsError>> {
        let answer = self.balancer.lock().clone().transpose();
        Box::pin(ready(answer.map(|found| found.map(Arc::new))))
    }

    fn targets<'a>(&'a self, _group: &'a str) -> BoxFuture<'a, Result<Vec<Target>, AwsError>> {
        Box::pin(ready(Ok(self.targets.lock().clone())))
    }
}

const TAG: &str = "ingress.k8s.aws/resource";

fn group(service: &str) -> TargetGroup {
    TargetGroup {
        name: service.to_owned(),
        arn: format!("arn:aws:elasticloadbalancing:eu:1:targetgroup/{service}/7"),
        tags: vec![(TAG.to_owned(), format!("{NAMESPACE}/main-{service}:80"))],
    }
}

/// A load balancer that sends this share to the new version; a header route sends all of its requests there.
fn balancer(weight: i32) -> LoadBalancer {
    let share = |service: &str, weight| Share {
        group: group(service).arn,
        weight,
    };
    LoadBalancer {
        name: "shop".to_owned(),
        arn: "arn:aws:elasticloadbalancing:eu:1:loadbalancer/app/shop/5".to_owned(),
        groups: vec![group("new"), group("old")],
        rules: vec![
            vec![share("new", 100)],
            vec![share("new", weight), share("old", 100 - weight)],
        ],
    }
}

/// A controller that may ask AWS, in the middle of an update at the step `setWeight: 20`.
fn asking_world() -> (RoutedRollout, Arc<Answers>) {
    let mut world = world(&json!({}));
    let answers = Arc::new(Answers::default());
    world.effects.aws = Some(Aws {
        balancers: Arc::clone(&answers) as Arc<dyn LoadBalancers>,
        tag: TAG.to_owned(),
    });
    put_ingress(&world);
    world.api.edit("ingresses", NAMESPACE, "main", |ingress| {
        ingress["status"] =
            json!({"loadBalancer": {"ingress": [{"hostname": "shop.elb.amazonaws.com"}]}});
    });
    world.observed.status.stable_rs = "a".to_owned();
    world.observed.status.current_pod_hash = "b".to_owned();
    (world, answers)
}

fn reasons(world: &RoutedRollout) -> Vec<String> {
    let state = world.observed.traffic.as_ref().expect("routing");
    let findings = state.findings.iter();
    findings
        .map(|finding| format!("{}: {}", finding.reason, finding.note))
        .collect()
}

#[tokio::test]
async fn a_weight_is_in_effect_when_aws_has_it() {
    let (mut world, answers) = asking_world();
    world.route(20).await;
    // Nobody knows the load balancer, AWS does not answer, it has another weight, it has the weight.
    assert_eq!(world.look().await, Ok((Some(20), Some(false))));
    assert!(
        reasons(&world)[0].starts_with("LoadBalancerNotFound: "),
        "{:?}",
        reasons(&world)
    );
    *answers.balancer.lock() = Some(Err(AwsError::Unavailable("no answer".to_owned())));
    assert_eq!(world.look().await, Ok((Some(20), Some(false))));
    assert!(
        reasons(&world)[0].starts_with("TargetGroupVerifyError: "),
        "{:?}",
        reasons(&world)
    );
    *answers.balancer.lock() = Some(Ok(balancer(10)));
    assert_eq!(world.look().await, Ok((Some(20), Some(false))));
    let said = reasons(&world);
    assert!(
        said[0].starts_with("TargetGroupUnverified: Service new"),
        "{said:?}"
    );
    assert!(said[0].ends_with("has weight 10, not 20"), "{said:?}");
    *answers.balancer.lock() = Some(Ok(balancer(20)));
    assert_eq!(world.look().await, Ok((Some(20), Some(true))));
    assert!(
        reasons(&world)[0].starts_with("TargetGroupVerified: "),
        "{:?}",
        reasons(&world)
    );
    let state = world.observed.traffic.clone().expect("routing");
    assert_eq!(
        state.balancers,
        [json!({
            "loadBalancer": {"name": "shop", "arn": balancer(0).arn, "fullName": "shop/5"},
            "canaryTargetGroup": {"name": "new", "arn": group("new").arn, "fullName": "new/7"},
            "stableTargetGroup": {"name": "old", "arn": group("old").arn, "fullName": "old/7"},
            "ingress": "main",
        })]
    );
    // A target group without the tag of its Service is nobody's.
    let mut untagged = balancer(20);
    untagged.groups[0].tags.clear();
    *answers.balancer.lock() = Some(Ok(untagged));
    assert_eq!(world.look().await, Ok((Some(20), Some(false))));
    assert!(
        reasons(&world)[0].contains("no target group with the tag"),
        "{:?}",
        reasons(&world)
    );
}

#[tokio::test]
async fn aws_is_asked_only_where_a_step_waits_for_it() {
    let (mut world, answers) = asking_world();
    world.route(20).await;
    *answers.balancer.lock() = Some(Ok(balancer(10)));
    // The status does not know the load balancer yet, so it is looked up; nothing is verified after the last step.
    world.observed.status.current_step_index = Some(1);
    assert_eq!(world.look().await, Ok((Some(20), None)));
    let state = world.observed.traffic.clone().expect("routing");
    assert_eq!((state.balancers.len(), state.findings.len()), (1, 0));
    world.observed.status.alb = state.balancers.first().cloned();
    assert_eq!(world.look().await, Ok((Some(20), None)));
    let state = world.observed.traffic.clone().expect("routing");
    assert_eq!(state.balancers, Vec::<Value>::new(), "AWS was not asked");
    // All traffic before the promotion is verified, with or without a step.
    world.route(100).await;
    assert_eq!(world.look().await, Ok((Some(100), Some(false))));
    *answers.balancer.lock() = Some(Ok(balancer(100)));
    assert_eq!(world.look().await, Ok((Some(100), Some(true))));
}

fn put_targets(world: &RoutedRollout) {
    let selector = json!({"app": "web", "rollouts-pod-template-hash": "b"});
    world.api.put(&json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "old", "namespace": NAMESPACE},
        "spec": {"selector": selector, "ports": [{"name": "http", "port": 80, "targetPort": "web"}]},
    }));
    world.api.put(&json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
        "metadata": {"name": "old-1", "namespace": NAMESPACE, "labels": {"kubernetes.io/service-name": "old"}},
        "addressType": "IPv4", "ports": [{"name": "http", "port": 8080}],
        "endpoints": [
            {"addresses": ["10.0.0.1"], "conditions": {"ready": true}},
            {"addresses": ["10.0.0.2"]},
            {"addresses": ["10.0.0.3"], "conditions": {"ready": false}},
        ],
    }));
    for (name, service, kind) in [
        ("a", "old", "ip"),
        ("b", "old", "instance"),
        ("c", "other", "ip"),
    ] {
        world.api.put(&json!({
            "apiVersion": "elbv2.k8s.aws/v1beta1", "kind": "TargetGroupBinding",
            "metadata": {"name": name, "namespace": NAMESPACE},
            "spec": {
                "targetGroupARN": format!("arn-{name}"), "targetType": kind,
                "serviceRef": {"name": service, "port": "http"},
            },
        }));
    }
}

/// A promoted canary whose old pods wait to be scaled down.
fn promoted(
    kinds: &[(&'static str, &'static str, &'static str, &'static str)],
) -> (RoutedRollout, Arc<Answers>) {
    let routing = json!({"alb": {"ingress": "main", "servicePort": 80, "rootService": "root"}});
    let mut world = world_with(routing, kinds);
    let answers = Arc::new(Answers::default());
    world.effects.aws = Some(Aws {
        balancers: Arc::clone(&answers) as Arc<dyn LoadBalancers>,
        tag: TAG.to_owned(),
    });
    let status = &mut world.observed.status;
    (status.stable_rs, status.current_pod_hash) = ("b".to_owned(), "b".to_owned());
    let old = ReplicaSetView {
        hash: "a".to_owned(),
        replicas: 2,
        ..ReplicaSetView::default()
    };
    world.observed.replica_sets = vec![Arc::new(old)];
    let stable = ServiceView {
        hash: Some("b".to_owned()),
        ..ServiceView::default()
    };
    world
        .observed
        .services
        .insert("old".to_owned(), Arc::new(stable));
    (world, answers)
}

const BINDINGS: (&str, &str, &str, &str) = (
    "elbv2.k8s.aws",
    "v1beta1",
    "TargetGroupBinding",
    "targetgroupbindings",
);

async fn registered(world: &mut RoutedRollout) -> Option<bool> {
    let asked = world.effects.observe_targets(&mut world.observed).await;
    asked.expect("the API server answers");
    world
        .observed
        .targets
        .clone()
        .expect("AWS may be asked")
        .registered
}

#[tokio::test]
async fn old_pods_wait_until_aws_knows_the_new_ones() {
    let (mut world, answers) = promoted(&[BINDINGS]);
    put_targets(&world);
    let target = |id: &str, port| Target {
        id: id.to_owned(),
        port,
    };
    *answers.targets.lock() = vec![target("10.0.0.1", 8080), target("10.0.0.2", 80)];
    assert_eq!(registered(&mut world).await, Some(false));
    let findings = world.observed.targets.clone().expect("asked").findings;
    assert_eq!(
        findings.len(),
        1,
        "one binding is for addresses of this Service"
    );
    assert_eq!(findings[0].reason, "TargetGroupUnverified");
    assert!(
        findings[0]
            .note
            .ends_with("1 of 2 endpoints are registered"),
        "{findings:?}"
    );
    answers.targets.lock().push(target("10.0.0.2", 8080));
    assert_eq!(registered(&mut world).await, Some(true));
    let findings = world.observed.targets.clone().expect("asked").findings;
    assert_eq!(findings[0].reason, "TargetGroupVerified");
    // Nothing to wait for: no old pods, or an update under way.
    world.observed.status.current_pod_hash = "c".to_owned();
    assert_eq!(registered(&mut world).await, None);
}

#[tokio::test]
async fn a_cluster_without_bindings_waits_for_nothing() {
    let (mut world, _) = promoted(&[]);
    assert_eq!(registered(&mut world).await, None);
}
