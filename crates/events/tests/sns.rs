//! Subscriptions of topics, and roles that keys assume, on moto, which plays Amazon SNS, SQS and STS.

mod support;

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use events::{
    aws::AwsSigners,
    source::{CheckedSource, TaskEvent, hook},
    worker::DataPlane,
};
use reconcile_core::{listen::Budget, testkit::FakeApi};
use serde_json::{Value, json};

use support::{Nats, Recording, Server, plane_of, reported, source, until, with};

const KEYS: [&str; 2] = ["AKIDEXAMPLE", "s3cret"];
const ROLE: &str = "arn:aws:iam::123456789012:role/shop";

/// A data plane for which STS is at this address.
fn plane_with_sts(address: &str) -> DataPlane {
    let url = format!("http://{address}");
    plane_of(
        &FakeApi::new(),
        Budget::new(1024, 64 << 20),
        |_, executor| {
            executor.signers = AwsSigners::new(Arc::new(move |name: &str| {
                (name == "AWS_ENDPOINT_URL_STS").then(|| url.clone())
            }));
        },
    )
}

/// Asks moto as another client.
async fn ask(server: &Server, service: &str, question: &str) -> String {
    let scope = format!("AKIDOTHER/20260101/eu-west-1/{service}/aws4_request");
    let answer = reqwest::Client::new()
        .post(format!("http://127.0.0.1:{}/", server.port()))
        .header("content-type", "application/x-www-form-urlencoded")
        .header(
            "authorization",
            format!("AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=0"),
        )
        .body(question.to_owned())
        .send()
        .await;
    answer.expect("an answer").text().await.expect("text")
}

async fn subscribed(server: &Server) -> usize {
    let text = ask(server, "sns", "Action=ListSubscriptions&Version=2010-03-31").await;
    text.matches("<Endpoint>https://events.shop/push</Endpoint>")
        .count()
}

fn subscription(server: &Server, secrets: [&str; 2], more: &Value) -> Arc<CheckedSource> {
    let config = json!({
        "webhook": {"url": "https://events.shop", "endpoint": "/push", "port": "12000"}, "region": "eu-west-1",
        "endpoint": format!("http://127.0.0.1:{}", server.port()),
        "topicArn": "arn:aws:sns:eu-west-1:123456789012:orders",
        "accessKey": {"name": "aws", "key": "access"}, "secretKey": {"name": "aws", "key": "secret"},
    });
    let config = with(config, more);
    let kind = hook::ALL.iter().find(|kind| kind.key == "sns");
    let kind = kind.expect("a kind").registration.expect("registered here");
    assert!(kind.is_wanted(&config));
    let mut task = TaskEvent::check(&kind.task, "event", &config).expect("checked");
    task.secrets = secrets.iter().map(|secret| (*secret).into()).collect();
    let mut checked = source("calendar", &[], &json!({"interval": "1h"}));
    Arc::make_mut(&mut checked).tasks = vec![task];
    checked
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_is_subscribed_once_and_no_longer_than_its_event() {
    let (Some(nats), Some(moto)) = (Nats::start().await, Server::moto().await) else {
        return;
    };
    let (bus, plane) = (nats.bus().await, support::plane());
    let source = subscription(&moto, KEYS, &json!({}));
    reported(&plane, &source, &bus, "Subscribe answered 404 NotFound").await;
    plane.stop_source(&source.key);
    ask(
        &moto,
        "sns",
        "Action=CreateTopic&Name=orders&Version=2010-03-31",
    )
    .await;
    for _ in 0..2 {
        plane.ensure_source(&source, &bus);
        until("it is subscribed", || async {
            subscribed(&moto).await == 1
        })
        .await;
        plane.stop_source(&source.key);
    }
    let (task, owner) = (&source.tasks[0], (&source.key, source.uid.as_str()));
    assert!(
        task.source
            .registered()
            .expect("registered")
            .ends_with_event()
    );
    let removed = plane.remove_registered(task, owner, &[].into()).await;
    assert_eq!((removed, subscribed(&moto).await), (Ok(()), 0));
    // One that is gone is no reason to try again.
    let removed = plane.remove_registered(task, owner, &[].into()).await;
    assert_eq!(removed, Ok(()));
    plane.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_assume_a_role_at_sts_before_they_subscribe_and_receive() {
    let (Some(nats), Some(moto)) = (Nats::start().await, Server::moto().await) else {
        return;
    };
    let plane = plane_with_sts(&format!("127.0.0.1:{}", moto.port()));
    let bus = nats.bus().await;
    ask(
        &moto,
        "sns",
        "Action=CreateTopic&Name=orders&Version=2010-03-31",
    )
    .await;
    let topic = subscription(&moto, KEYS, &json!({"roleARN": ROLE}));
    plane.ensure_source(&topic, &bus);
    until("it is subscribed", || async {
        subscribed(&moto).await == 1
    })
    .await;
    plane.stop_source(&topic.key);
    let created = "Action=CreateQueue&QueueName=orders&Version=2012-11-05";
    ask(&moto, "sqs", created).await;
    let url = format!("http://127.0.0.1:{}/123456789012/orders", moto.port());
    let message = format!("Action=SendMessage&QueueUrl={url}&MessageBody=hello&Version=2012-11-05");
    ask(&moto, "sqs", &message).await;
    let queue = source("sqs", &KEYS, &queue(&format!("127.0.0.1:{}", moto.port())));
    plane.ensure_source(&queue, &bus);
    until("the message is stored", || async {
        nats.count().await == 1
    })
    .await;
    plane.stop().await;
}

fn queue(address: &str) -> Value {
    json!({
        "endpoint": format!("http://{address}"), "region": "eu-west-1", "queue": "orders", "roleARN": ROLE,
        "accessKey": {"name": "aws", "key": "access"}, "secretKey": {"name": "aws", "key": "secret"},
    })
}

/// An STS that gives sessions which end in so many seconds, and counts them.
async fn sts(seconds: i64) -> (String, Arc<AtomicUsize>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await;
    let listener = listener.expect("a port");
    let address = listener.local_addr().expect("bound").to_string();
    let asked: Arc<AtomicUsize> = Arc::default();
    let count = asked.clone();
    let app = axum::Router::new().fallback(move || {
        let number = count.fetch_add(1, Ordering::Relaxed);
        let now = reconcile_core::clock::Clock::system().now();
        let end = now.saturating_add(jiff::SignedDuration::from_secs(seconds));
        std::future::ready(format!(
            "<AssumeRoleResponse><AssumeRoleResult><Credentials><AccessKeyId>ASIAEXAMPLE{number:09}</AccessKeyId>\
             <SecretAccessKey>sessionkey</SecretAccessKey><SessionToken>sessiontoken{number}</SessionToken>\
             <Expiration>{}</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>",
            end.expect("a time").strftime("%Y-%m-%dT%H:%M:%SZ")
        ))
    });
    tokio::spawn(async move { axum::serve(listener, app).await });
    (address, asked)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_is_kept_until_shortly_before_its_end_and_then_renewed() {
    let Some(nats) = Nats::start().await else {
        return;
    };
    let bus = nats.bus().await;
    for (seconds, renewed) in [(3600, false), (60, true)] {
        let (address, asked) = sts(seconds).await;
        let plane = plane_with_sts(&address);
        // It names a queue and has no messages.
        let queues = Recording::answering(200, r#"{"QueueUrl": "q"}"#).await;
        let source = source("sqs", &KEYS, &queue(&queues.address));
        plane.ensure_source(&source, &bus);
        until("it asks", || async {
            let health = plane.ensure_source(&source, &bus);
            assert!(health.interrupted.is_empty(), "{:?}", health.interrupted);
            queues.asked().len() >= 3
        })
        .await;
        plane.stop().await;
        let first = queues.asked().remove(0).headers;
        assert_eq!(first["x-amz-security-token"], "sessiontoken0");
        let signature = first["authorization"].to_str().expect("text");
        assert!(
            signature.contains("Credential=ASIAEXAMPLE000000000/"),
            "{signature}"
        );
        let sessions = asked.load(Ordering::Relaxed);
        assert_eq!(sessions > 1, renewed, "{sessions} sessions");
    }
    // A refusal, and nobody there.
    let refusal = "<ErrorResponse><Error><Code>AccessDenied</Code><Message>not s3cret</Message></Error></ErrorResponse>";
    let denied = Recording::answering(403, refusal).await;
    let queues = Recording::answering(200, "{}").await;
    for (address, part) in [
        (denied.address.clone(), "AccessDenied"),
        (
            "127.0.0.1:9".to_owned(),
            "failed to send AWS STS AssumeRole request",
        ),
    ] {
        let plane = plane_with_sts(&address);
        let source = source("sqs", &KEYS, &queue(&queues.address));
        reported(&plane, &source, &bus, part).await;
        plane.stop().await;
    }
    assert!(queues.asked().is_empty());
}
