//! Services that call endpoints, on a real nats-server.

mod support;

use std::{collections::BTreeSet, sync::Arc};

use events::{
    controller::eventsource::validate,
    source::{CheckedSource, Webhook},
};
use reconcile_core::object::ObjectKey;
use serde_json::{Value, json};

use support::{Nats, free_port, plane};

fn webhooks(spec: &Value) -> Vec<Webhook> {
    let checked = validate::check("src", spec).expect("good");
    assert_eq!(checked.problems, Vec::<String>::new());
    let webhooks = checked.webhooks.into_iter().map(|(webhook, _)| webhook);
    webhooks.collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delivery_of_github_is_stored_once_and_only_when_it_is_signed_and_passes_the_filter() {
    let Some(nats) = Nats::start().await else {
        return;
    };
    let (bus, plane, port) = (nats.bus().await, plane(), free_port());
    let mut webhooks = webhooks(&json!({"github": {"push": {
        "webhook": {"port": port.to_string(), "endpoint": "/push", "method": "PUT"},
        "webhookSecret": {"name": "s", "key": "k"},
        "filter": {"expression": "body.n != 13"},
    }}}));
    let hook = webhooks[0].hook.as_mut().expect("a service");
    hook.secrets.push(("webhookSecret", "hush".into()));
    let source = Arc::new(CheckedSource {
        key: ObjectKey::new("ns", "src"),
        uid: "uid".into(),
        webhooks,
        tasks: Vec::new(),
        service: false,
        contested: BTreeSet::new(),
    });
    let served = plane.ensure_source(&source, &bus).served;
    assert!(
        served.refused.is_empty() && served.closed.is_empty(),
        "{served:?}"
    );
    let send = async |delivery: &str, body: &'static str, signature: &str| {
        let answer = reqwest::Client::new()
            .post(format!("http://127.0.0.1:{port}/push"))
            .header("x-github-delivery", delivery)
            .header("x-hub-signature-256", format!("sha256={signature}"))
            .body(body)
            .send()
            .await;
        answer.expect("an answer").status().as_u16()
    };
    // Made with OpenSSL, key "hush".
    let (first, second, third) = (
        "1b255dc45499c42b3c97c69f53a2fc712f91770992bfadf8d7a31d45b811f313",
        "7756dc9bad83f41e38e9c9acbafca5b7469370d8b7551b5a6abf4b7871aad67a",
        "bc22607cdda195e67f40b10c73041a4fb62eac7fd4121bb2318b0781b633dfa3",
    );
    assert_eq!(send("d-0", r#"{"n":1}"#, "00").await, 401);
    assert_eq!(send("d-1", r#"{"n":1}"#, first).await, 200);
    assert_eq!(send("d-1", r#"{"n":1}"#, first).await, 200);
    assert_eq!(send("d-2", r#"{"n":13}"#, second).await, 200);
    assert_eq!(send("d-3", r#"{"n":2}"#, third).await, 200);
    let events = nats.stored().await;
    assert_eq!(events.len(), 2);
    let numbers: Vec<Value> = events
        .iter()
        .map(|event| {
            assert_eq!(event.type_, "github");
            let payload: Value = serde_json::from_slice(&event.data).expect("JSON");
            payload["body"]["n"].clone()
        })
        .collect();
    assert_eq!(numbers, [1, 2]);
    plane.stop().await;
}

#[test]
fn settings_of_services_are_checked_at_their_field() {
    let endpoint = || json!({"port": "12000", "endpoint": "/x"});
    let spec = json!({
        "github": {
            "push": {"webhook": endpoint()},
            "no-endpoint": {},
            "no-port": {"webhook": {"endpoint": "/x"}},
            "filter": {"webhook": endpoint(), "filter": {"expression": "body ="}},
        },
        "gitlab": {"push": {"webhook": endpoint()}},
        "slack": {"unsigned": {"webhook": endpoint()}},
        "storageGrid": {"bucket": {"webhook": endpoint(), "filter": {"prefix": "in/"}}},
        "stripe": 7,
    });
    let checked = validate::check("src", &spec).expect("a spec");
    let served: Vec<&str> = checked
        .webhooks
        .iter()
        .map(|(webhook, _)| webhook.event.as_str())
        .collect();
    assert_eq!(served, ["push", "bucket"]);
    let problems: Vec<&str> = checked
        .problems
        .iter()
        .map(|problem| {
            problem
                .split_once(": ")
                .map_or(problem.as_str(), |(field, _)| field)
        })
        .collect();
    assert_eq!(
        problems,
        [
            "spec.github.filter.filter.expression",
            "spec.github.no-endpoint.webhook",
            "spec.github.no-port.webhook.port",
            "spec.gitlab.push",
            "spec.slack.unsigned.signingSecret",
            "spec.stripe",
        ]
    );
    let findings = validate::findings(&json!({"github": {"push": {
        "webhook": endpoint(), "githubUploadURL": "https://u", "owner": "o",
    }}}));
    let found: Vec<&str> = findings
        .iter()
        .map(|finding| finding.path.as_str())
        .collect();
    assert_eq!(found, ["spec.github.push.githubUploadURL"]);
}
