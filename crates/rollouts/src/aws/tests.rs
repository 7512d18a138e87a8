//! The API of load balancers, as moto plays it.

use std::{
    net::TcpListener,
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::Arc,
    time::Duration,
};

use reconcile_core::{aws::Environment, operator::install_tls, testkit::skip_where};

use super::{
    Elb,
    load_balancers::{AwsError, LoadBalancer, LoadBalancers as _, Share, Target},
};

const PATIENCE: Duration = Duration::from_secs(60);
const TAG: &str = "ingress.k8s.aws/resource";

/// `moto_server`, which plays the services of AWS and takes any keys; gone when dropped.
struct Moto {
    process: Child,
    url: String,
}

impl Drop for Moto {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

fn program() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let kept = std::env::home_dir().map(|home| home.join(".cache/argo-lite-bed/moto/bin"));
    let folders = std::env::split_paths(&path).chain(kept);
    let mut files = folders.map(|folder| folder.join("moto_server"));
    files.find(|file| file.is_file())
}

impl Moto {
    /// Starts it. Without the program the test fails, unless `SKIP_SERVERS` or `ALLOW_SKIPS` is 1.
    async fn start() -> Option<Self> {
        install_tls();
        let Some(program) = program() else {
            skip_where(
                &["ALLOW_SKIPS", "SKIP_SERVERS"],
                "no moto_server: run `make servers`",
            );
            return None;
        };
        let free = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = free.local_addr().expect("an address").port();
        drop(free);
        let process = Command::new(program)
            .args(["-H", "127.0.0.1", "-p", &port.to_string()])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("moto starts");
        let moto = Self {
            process,
            url: format!("http://127.0.0.1:{port}/"),
        };
        let up = async {
            while reqwest::get(&moto.url).await.is_err() {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        let up = tokio::time::timeout(PATIENCE, up).await;
        up.expect("moto answers");
        Some(moto)
    }

    /// Asks a service, unsigned: moto reads from the header which one is meant.
    async fn ask(&self, service: &str, body: &str) -> String {
        let scope = format!(
            "AWS4-HMAC-SHA256 Credential=key/20260101/eu-west-1/{service}/aws4_request, SignedHeaders=host, Signature=x"
        );
        let request = reqwest::Client::new()
            .post(&self.url)
            .header("authorization", scope)
            .header("content-type", "application/x-www-form-urlencoded")
            .body(body.to_owned());
        let answer = request.send().await.expect("an answer");
        let is_success = answer.status().is_success();
        let text = answer.text().await.expect("a body");
        assert!(is_success, "{body}: {text}");
        text
    }

    async fn elb(&self, body: &str) -> String {
        let body = format!("Version=2015-12-01&{body}");
        self.ask("elasticloadbalancing", &body).await
    }

    /// A target group with the tag of a Service. Its ARN.
    async fn group(&self, vpc: &str, service: &str) -> String {
        let made = self
            .elb(&format!(
                "Action=CreateTargetGroup&Name={service}&Protocol=HTTP&Port=80&VpcId={vpc}&TargetType=ip\
                 &Tags.member.1.Key={TAG}&Tags.member.1.Value=ns/main-{service}:80"
            ))
            .await;
        element(&made, "TargetGroupArn")
    }

    fn client(&self) -> Elb {
        Elb::new(environment(&self.url))
    }
}

fn environment(url: &str) -> Environment {
    let url = url.to_owned();
    Arc::new(move |name| match name {
        "AWS_REGION" => Some("eu-west-1".to_owned()),
        "AWS_ACCESS_KEY_ID" | "AWS_SECRET_ACCESS_KEY" => Some("key".to_owned()),
        "AWS_ENDPOINT_URL" => Some(url.clone()),
        _ => None,
    })
}

/// The text of the first element with this name.
fn element(text: &str, name: &str) -> String {
    let (open, close) = (format!("<{name}>"), format!("</{name}>"));
    let inner = text
        .split_once(&open)
        .and_then(|(_, rest)| rest.split_once(&close));
    inner.expect("the element").0.to_owned()
}

fn forward(groups: &[(&str, i32)]) -> String {
    let mut action = "Actions.member.1.Type=forward".to_owned();
    for ((arn, weight), number) in groups.iter().zip(1..) {
        let group = format!("Actions.member.1.ForwardConfig.TargetGroups.member.{number}");
        action.extend([
            format!("&{group}.TargetGroupArn={arn}"),
            format!("&{group}.Weight={weight}"),
        ]);
    }
    action
}

/// A load balancer with a rule that splits between two Services. Its DNS name, the ARN of the rule, and those of the
/// target groups.
async fn balancer(moto: &Moto) -> (String, String, [String; 2]) {
    let subnets = moto
        .ask("ec2", "Version=2016-11-15&Action=DescribeSubnets")
        .await;
    let ids: Vec<&str> = subnets
        .split("<subnetId>")
        .skip(1)
        .filter_map(|rest| rest.split('<').next())
        .collect();
    let made = moto
        .elb(&format!(
            "Action=CreateLoadBalancer&Name=shop&Subnets.member.1={}&Subnets.member.2={}",
            ids[0], ids[1]
        ))
        .await;
    let (arn, vpc) = (element(&made, "LoadBalancerArn"), element(&made, "VpcId"));
    let groups = [moto.group(&vpc, "new").await, moto.group(&vpc, "old").await];
    let listener = moto
        .elb(&format!(
            "Action=CreateListener&LoadBalancerArn={arn}&Protocol=HTTP&Port=80\
             &DefaultActions.member.1.Type=fixed-response&DefaultActions.member.1.FixedResponseConfig.StatusCode=404"
        ))
        .await;
    let rule = moto
        .elb(&format!(
            "Action=CreateRule&ListenerArn={}&Priority=1&Conditions.member.1.Field=path-pattern\
             &Conditions.member.1.Values.member.1=/*&{}",
            element(&listener, "ListenerArn"),
            forward(&[(&groups[0], 20), (&groups[1], 80)])
        ))
        .await;
    (element(&made, "DNSName"), element(&rule, "RuleArn"), groups)
}

fn weights(found: &LoadBalancer) -> Vec<(&str, i32)> {
    let shares = found.rules.iter().flatten();
    shares
        .map(|Share { group, weight }| (group.as_str(), *weight))
        .collect()
}

#[tokio::test]
async fn rules_and_tags_of_a_load_balancer_are_read() {
    let Some(moto) = Moto::start().await else {
        return;
    };
    let (host, rule, [new, old]) = balancer(&moto).await;
    let elb = moto.client();
    let found = elb
        .balancer(&host)
        .await
        .expect("an answer")
        .expect("the load balancer");
    assert_eq!(found.name, "shop");
    assert_eq!(weights(&found), [(new.as_str(), 20), (old.as_str(), 80)]);
    let tags: Vec<_> = found
        .groups
        .iter()
        .map(|group| (group.arn.as_str(), group.tag(TAG)))
        .collect();
    assert_eq!(
        tags,
        [
            (new.as_str(), Some("ns/main-new:80")),
            (old.as_str(), Some("ns/main-old:80"))
        ]
    );
    // An answer is kept for a moment, and asked for again by who has none yet.
    let split = forward(&[(&new, 60), (&old, 40)]);
    moto.elb(&format!("Action=ModifyRule&RuleArn={rule}&{split}"))
        .await;
    let kept = elb
        .balancer(&host)
        .await
        .expect("an answer")
        .expect("the load balancer");
    assert!(
        Arc::ptr_eq(&found, &kept),
        "AWS is asked once for several Rollouts"
    );
    let fresh = moto.client().balancer(&host).await.expect("an answer");
    assert_eq!(
        weights(&fresh.expect("the load balancer")),
        [(new.as_str(), 60), (old.as_str(), 40)]
    );
    assert_eq!(elb.balancer("other.example.com").await, Ok(None));
}

#[tokio::test]
async fn registered_targets_are_read_and_refusals_are_told() {
    let Some(moto) = Moto::start().await else {
        return;
    };
    let (_, _, [new, _]) = balancer(&moto).await;
    let elb = moto.client();
    assert_eq!(elb.targets(&new).await, Ok(Vec::new()));
    moto.elb(&format!(
        "Action=RegisterTargets&TargetGroupArn={new}&Targets.member.1.Id=10.0.0.7&Targets.member.1.Port=8080"
    ))
    .await;
    let target = Target {
        id: "10.0.0.7".to_owned(),
        port: 8080,
    };
    assert_eq!(elb.targets(&new).await, Ok(vec![target]));
    let refused = elb.targets(&format!("{new}0")).await;
    let Err(AwsError::Refused(text)) = refused else {
        panic!("{refused:?}");
    };
    assert!(text.contains("TargetGroupNotFound"), "{text}");
}

#[tokio::test]
async fn a_failure_is_shared_for_a_while() {
    install_tls();
    let closed = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let url = format!("http://{}/", closed.local_addr().expect("an address"));
    drop(closed);
    let elb = Elb::new(environment(&url));
    let first = elb
        .balancer("a.example.com")
        .await
        .expect_err("nobody listens");
    assert!(matches!(first, AwsError::Unavailable(_)), "{first}");
    let began = std::time::Instant::now();
    for _ in 0..100 {
        assert_eq!(elb.targets("arn").await, Err(first.clone()));
    }
    assert!(
        began.elapsed() < Duration::from_secs(1),
        "nobody is asked again"
    );
    let nowhere = Elb::new(Arc::new(|_| None));
    let error = nowhere
        .balancer("a.example.com")
        .await
        .expect_err("no region");
    assert!(error.to_string().contains("AWS_REGION"), "{error}");
}
