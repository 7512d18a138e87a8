//! The source `sqs` on moto, which plays Amazon SQS.

mod support;

use serde_json::{Value, json};

use support::{Nats, Recording, Server, plane, source, until};

const KEYS: [&str; 2] = ["AKIDEXAMPLE", "hushword"];

fn config(address: &str, more: &Value) -> Value {
    let mut config = json!({
        "endpoint": format!("http://{address}"), "region": "eu-west-1", "queue": "orders", "waitTimeSeconds": 1,
        "accessKey": {"name": "aws", "key": "access"}, "secretKey": {"name": "aws", "key": "secret"},
    });
    for (field, value) in more.as_object().into_iter().flatten() {
        config[field] = value.clone();
    }
    config
}

/// Another client of the queue.
struct Client {
    endpoint: String,
    http: reqwest::Client,
}

impl Client {
    fn of(server: &Server) -> Self {
        Self {
            endpoint: format!("http://127.0.0.1:{}/", server.port()),
            http: reqwest::Client::new(),
        }
    }

    async fn ask(&self, action: &str, question: &Value) -> Value {
        let scope = "AKIDEXAMPLE/20260101/eu-west-1/sqs/aws4_request";
        let answer = self
            .http
            .post(&self.endpoint)
            .header("content-type", "application/x-amz-json-1.0")
            .header("x-amz-target", format!("AmazonSQS.{action}"))
            .header(
                "authorization",
                format!("AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=0"),
            )
            .body(question.to_string())
            .send()
            .await
            .expect("an answer");
        let body = answer.bytes().await.expect("a body");
        serde_json::from_slice(&body).unwrap_or_default()
    }

    async fn create(&self, name: &str) -> String {
        let made = self.ask("CreateQueue", &json!({"QueueName": name})).await;
        made["QueueUrl"].as_str().expect("a URL").to_owned()
    }

    async fn send(&self, queue: &str, bodies: &[String]) {
        for batch in bodies.chunks(10) {
            let entries: Vec<Value> = batch
                .iter()
                .enumerate()
                .map(|(at, body)| {
                    json!({"Id": at.to_string(), "MessageBody": body, "MessageAttributes": {
                        "color": {"DataType": "String", "StringValue": "red"},
                    }})
                })
                .collect();
            let request = json!({"QueueUrl": queue, "Entries": entries});
            let sent = self.ask("SendMessageBatch", &request).await;
            assert_eq!(
                sent["Successful"].as_array().map(Vec::len),
                Some(batch.len())
            );
        }
    }

    /// Messages in the queue, those that somebody has received among them.
    async fn waiting(&self, queue: &str) -> usize {
        let request = json!({"QueueUrl": queue, "AttributeNames": ["All"]});
        let answer = self.ask("GetQueueAttributes", &request).await;
        [
            "ApproximateNumberOfMessages",
            "ApproximateNumberOfMessagesNotVisible",
        ]
        .iter()
        .map(|name| {
            let count = answer["Attributes"][*name].as_str().expect("a count");
            count.parse::<usize>().expect("a number")
        })
        .sum()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_event_can_be_made_of_is_deleted_or_kept_as_the_manifest_says() {
    let Some(nats) = Nats::start().await else {
        return;
    };
    let Some(server) = Server::moto().await else {
        return;
    };
    let address = format!("127.0.0.1:{}", server.port());
    let (bus, plane) = (nats.bus().await, plane());
    let client = Client::of(&server);
    let queue = client.create("orders").await;
    let messages = ["{", "{\"n\":1}", "{\"n\":2}"].map(str::to_owned);
    client.send(&queue, &messages).await;
    let more =
        json!({"jsonBody": true, "filter": {"expression": "body.n == 2"}, "metadata": {"k": "v"}});
    plane.ensure_source(&source("sqs", &KEYS, &config(&address, &more)), &bus);
    until("the queue is empty", || async {
        client.waiting(&queue).await == 0
    })
    .await;
    let stored = nats.identified().await;
    assert_eq!(stored.len(), 1);
    assert_eq!(stored[0].1["body"], json!({"n": 2}));
    assert_eq!(stored[0].1["metadata"], json!({"k": "v"}));
    // Queues of their own: a request that waits when its source is replaced may still take messages from the queue.
    let kept = client.create("kept").await;
    let keep = json!({"jsonBody": true, "dlq": true, "queue": "kept"});
    plane.ensure_source(&source("sqs", &KEYS, &config(&address, &keep)), &bus);
    client.send(&kept, &messages[..2]).await;
    until("the good one is stored and deleted", || async {
        nats.count().await == 2 && client.waiting(&kept).await == 1
    })
    .await;
    // Without jsonBody a body is bytes.
    let texts = client.create("texts").await;
    let bytes = config(&address, &json!({"queue": "texts"}));
    plane.ensure_source(&source("sqs", &KEYS, &bytes), &bus);
    client.send(&texts, &["hello".to_owned()]).await;
    until("text is stored", || async {
        let stored = nats.identified().await;
        stored
            .iter()
            .any(|(_, payload)| payload["body"] == "aGVsbG8=")
    })
    .await;
    plane.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn problems_are_reported_without_secrets_until_they_pass() {
    let Some(nats) = Nats::start().await else {
        return;
    };
    let Some(mut server) = Server::moto().await else {
        return;
    };
    let address = format!("127.0.0.1:{}", server.port());
    let (bus, plane) = (nats.bus().await, plane());
    let source = source("sqs", &KEYS, &config(&address, &json!({})));
    let reported = async |part: &str| {
        until(part, || async {
            let health = plane.ensure_source(&source, &bus);
            let reason = health.interrupted.get("event").cloned().unwrap_or_default();
            assert!(!reason.contains("hushword"), "{reason}");
            reason.contains(part)
        })
        .await;
    };
    reported("QueueDoesNotExist").await;
    server.down();
    reported("refused").await;
    server.up().await;
    let client = Client::of(&server);
    let queue = client.create("orders").await;
    client.send(&queue, &["x".to_owned()]).await;
    until("the message is stored", || async {
        nats.count().await == 1
    })
    .await;
    until("nothing is reported", || async {
        plane.ensure_source(&source, &bus).interrupted.is_empty()
    })
    .await;
    plane.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_no_queue_or_throttles_is_reported() {
    let Some(nats) = Nats::start().await else {
        return;
    };
    let (bus, plane) = (nats.bus().await, plane());
    // Recorded: an answer of a web server, and one of SQS that repeats a secret.
    let page = "<html>hushword</html>".to_owned();
    let throttled = json!({
        "__type": "com.amazonaws.sqs#RequestThrottled", "message": "slow down, hushword",
    });
    for (status, body, part) in [
        (200, page, "no JSON of SQS"),
        (
            400,
            throttled.to_string(),
            "RequestThrottled: slow down, *****",
        ),
        (200, "x".repeat(30 << 20), "more than"),
    ] {
        let server = Recording::answering(status, body).await;
        let source = source("sqs", &KEYS, &config(&server.address, &json!({})));
        until(part, || async {
            let health = plane.ensure_source(&source, &bus);
            let reason = health.interrupted.get("event").cloned().unwrap_or_default();
            assert!(!reason.contains("hushword"), "{reason}");
            reason.contains(part)
        })
        .await;
    }
    plane.stop().await;
}
