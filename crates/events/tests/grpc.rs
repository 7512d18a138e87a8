//! The source `generic` and the trigger `custom` with services of users, which speak gRPC.

mod support;

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use base64::prelude::{BASE64_STANDARD, Engine as _};
use bytes::Bytes;
use events::source::CheckedSource;
use futures::{FutureExt, StreamExt, stream};
use parking_lot::Mutex;
use reconcile_core::{listen::Budget, testkit::FakeApi};
use serde_json::{Value, json};
use tonic::Status;

use support::{
    Certified, GrpcService, Nats, Stage, certified, plane, plane_of, refusal, reported, source,
    streaming, unary, until, with,
};

/// What the source asks for.
#[derive(Clone, PartialEq, prost::Message)]
struct Start {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(bytes = "bytes", tag = "2")]
    config: Bytes,
}

/// An event.
#[derive(Clone, PartialEq, prost::Message)]
struct Sent {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(bytes = "bytes", tag = "2")]
    payload: Bytes,
}

/// Both fields of the messages of a trigger.
#[derive(Clone, PartialEq, prost::Message)]
struct Pair {
    #[prost(bytes = "bytes", tag = "1")]
    first: Bytes,
    #[prost(bytes = "bytes", tag = "2")]
    second: Bytes,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Verdict {
    #[prost(bool, tag = "1")]
    success: bool,
    #[prost(string, tag = "2")]
    message: String,
}

/// Who asked for events: the request, and what it was allowed by.
type Asked = Arc<Mutex<Vec<(Start, Option<String>)>>>;

/// A service that sends payloads to everybody who has the token `s3cret`, and keeps the stream open. The first stream has
/// one of so many parts, the second one two of them.
async fn eventing(
    parts: usize,
    tls: Option<&Certified>,
    payloads: Vec<Vec<u8>>,
) -> (GrpcService, Asked) {
    let asked = Asked::default();
    let log = asked.clone();
    let service = GrpcService::start(tls, move |request| {
        assert_eq!(request.uri().path(), "/generic.Eventing/StartEventSource");
        let (log, payloads) = (log.clone(), payloads.clone());
        streaming(request, move |request: tonic::Request<Start>| {
            let token = request.metadata().get("authorization");
            let token = token.map(|token| token.to_str().expect("text").to_owned());
            let allowed = token.as_deref() == Some("Bearer s3cret");
            log.lock().push((request.into_inner(), token.clone()));
            if !allowed {
                let text = format!("{token:?} may not read");
                return Err(Status::unauthenticated(text));
            }
            let part = log.lock().len().min(parts) * payloads.len() / parts;
            let sent = payloads[..part].to_vec();
            let sent = sent.into_iter().map(|payload| {
                let (name, payload) = ("any".to_owned(), payload.into());
                Ok(Sent { name, payload })
            });
            Ok(stream::iter(sent).chain(stream::pending()))
        })
        .boxed()
    });
    (service.await, asked)
}

/// An entry for a service without TLS.
fn entry(service: &GrpcService, token: &str, more: &Value) -> Arc<CheckedSource> {
    let config = with(
        json!({
            "url": format!("127.0.0.1:{}", service.port),
            "insecure": true,
            "config": "topic: orders\n",
            "jsonBody": true,
            "authSecret": {"name": "plugin", "key": "token"},
        }),
        more,
    );
    source("generic", &[token], &config)
}

#[test]
fn what_a_service_sends_is_stored_over_its_restart_and_the_death_of_the_source() {
    const ALL: u64 = 10_000;
    let main = tokio::runtime::Runtime::new().expect("a runtime");
    let Some(nats) = main.block_on(Nats::start()) else {
        return;
    };
    let numbered = (0..ALL).map(|n| format!("{{\"n\":{n}}}").into_bytes());
    // Each stream begins with what was sent before: the protocol has no acknowledgement.
    let (mut service, asked) = main.block_on(eventing(3, None, numbered.collect()));
    let source = entry(&service, "s3cret", &json!({}));
    let start = async || {
        let (bus, plane) = (nats.bus().await, plane());
        plane.ensure_source(&source, &bus);
        plane
    };
    // The first process is gone without a word while events come in.
    let first = tokio::runtime::Runtime::new().expect("a runtime");
    first.block_on(async {
        let plane = start().await;
        until("some are stored", || async { nats.count().await >= 500 }).await;
        std::mem::forget(plane);
    });
    first.shutdown_timeout(Duration::ZERO);
    main.block_on(async {
        let before = nats.count().await;
        let plane = start().await;
        let more = before + 500;
        until("more are stored", || async { nats.count().await >= more }).await;
        service.down().await;
        service.up().await;
        until("all are stored", || async {
            if nats.count().await < ALL {
                return false;
            }
            let stored = nats.payloads().await;
            let numbers: BTreeSet<u64> = stored
                .iter()
                .filter_map(|payload| payload["body"]["n"].as_u64())
                .collect();
            numbers == (0..ALL).collect()
        })
        .await;
        assert_eq!(asked.lock().len(), 3);
        plane.stop().await;
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn the_service_gets_its_settings_and_what_cannot_be_an_event_is_refused() {
    let Some(nats) = Nats::start().await else {
        return;
    };
    let (bus, plane) = (nats.bus().await, plane());
    let sent = vec![
        b"{".to_vec(),
        vec![b' '; 2 << 20],
        b"{\"n\":13}".to_vec(),
        b"{\"n\":14}".to_vec(),
    ];
    let (service, asked) = eventing(1, None, sent).await;
    let more = json!({"metadata": {"k": "v"}, "filter": {"expression": "body.n != 13"}});
    plane.ensure_source(&entry(&service, "s3cret", &more), &bus);
    until("one is stored", || async { nats.count().await == 1 }).await;
    assert_eq!(
        nats.payloads().await,
        [json!({"body": {"n": 14}, "metadata": {"k": "v"}})]
    );
    let request = Start {
        name: "event".to_owned(),
        config: "topic: orders\n".into(),
    };
    let token = Some("Bearer s3cret".to_owned());
    assert_eq!(*asked.lock(), [(request, token)]);
    let (service, _) = eventing(1, None, vec![b"ab".to_vec()]).await;
    plane.ensure_source(
        &entry(&service, "s3cret", &json!({"jsonBody": false})),
        &bus,
    );
    until("the other one is stored", || async {
        nats.count().await == 2
    })
    .await;
    assert_eq!(nats.payloads().await[1], json!({"body": "YWI="}));
    // A message that no client of gRPC takes ends the stream.
    let (service, _) = eventing(1, None, vec![vec![b' '; 20 << 20]]).await;
    reported(
        &plane,
        &entry(&service, "s3cret", &json!({})),
        &bus,
        "limit",
    )
    .await;
    plane.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_are_checked_and_what_a_service_refuses_is_reported() {
    for url in ["", "a b", "http://a/b"] {
        let error = refusal("generic", &json!({"url": url, "insecure": true}));
        assert!(error.starts_with("spec.generic.event.url: "), "{error}");
    }
    let Some(nats) = Nats::start().await else {
        return;
    };
    let (bus, plane) = (nats.bus().await, plane());
    let (mut service, _) = eventing(1, None, Vec::new()).await;
    let refused = entry(&service, "other-s3cret", &json!({}));
    reported(&plane, &refused, &bus, "may not read").await;
    let no_header = entry(&service, "s3cret\n\u{1}", &json!({}));
    reported(&plane, &no_header, &bus, "not a token").await;
    // TLS where there is none, and the other way round.
    let tls = entry(&service, "s3cret", &json!({"insecure": false}));
    reported(&plane, &tls, &bus, "127.0.0.1").await;
    let (secure, _) = eventing(1, Some(&certified()), Vec::new()).await;
    let plain = entry(&secure, "s3cret", &json!({}));
    reported(&plane, &plain, &bus, "127.0.0.1").await;
    let localhost = format!("localhost:{}", secure.port);
    let untrusted = json!({"insecure": false, "url": localhost});
    let untrusted = entry(&secure, "s3cret", &untrusted);
    reported(&plane, &untrusted, &bus, "certificate").await;
    // The bus speaks another protocol.
    let url = nats.config().urls[0].replace("nats://", "dns:///");
    let other = entry(&service, "s3cret", &json!({"url": url}));
    reported(&plane, &other, &bus, "127.0.0.1").await;
    let good = entry(&service, "s3cret", &json!({}));
    until("it is connected", || async {
        plane.ensure_source(&good, &bus).interrupted.is_empty()
    })
    .await;
    service.down().await;
    reported(&plane, &good, &bus, "refused").await;
    plane.stop().await;
}

/// What a trigger called: the method and what it sent.
type Called = Arc<Mutex<Vec<(String, Bytes, Bytes)>>>;

/// A service that fetches `fetched`, and says `verdict` of everything.
async fn trigger_service(
    tls: Option<&Certified>,
    fetched: &'static str,
    verdict: Result<Verdict, Status>,
) -> (GrpcService, Called) {
    let called = Called::default();
    let log = called.clone();
    let service = GrpcService::start(tls, move |request| {
        let path = request.uri().path();
        let name = path.strip_prefix("/triggers.Trigger/");
        let (name, log) = (name.expect("a method").to_owned(), log.clone());
        let answer = match name.as_str() {
            "FetchResource" => fetched,
            "Execute" => "done",
            _ => {
                let verdict = verdict.clone();
                let answer = move |sent: Pair| {
                    log.lock().push((name.clone(), sent.first, sent.second));
                    verdict.clone()
                };
                return unary(request, answer).boxed();
            }
        };
        let answer = move |sent: Pair| {
            log.lock().push((name.clone(), sent.first, sent.second));
            let (first, second) = (Bytes::from(answer), Bytes::new());
            Ok(Pair { first, second })
        };
        unary(request, answer).boxed()
    });
    (service.await, called)
}

fn custom(service: &GrpcService, more: &Value) -> Value {
    let custom = with(
        json!({
            "serverURL": format!("127.0.0.1:{}", service.port),
            "spec": {"url": "https://example.com/\"a\"", "b": "1"},
            "payload": [{"src": {"dependencyName": "a", "dataKey": "n"}, "dest": "n"}],
            "parameters": [{"src": {"dependencyName": "a", "dataKey": "n"}, "dest": "metadata.name"}],
        }),
        more,
    );
    json!({"template": {"name": "t", "custom": custom}})
}

fn good() -> Verdict {
    Verdict {
        success: true,
        message: "fine".to_owned(),
    }
}

/// The cluster has the Secret `plugin` with this certificate.
async fn stage(ca: &str) -> Option<Stage> {
    let api = FakeApi::new();
    api.put(&json!({
        "apiVersion": "v1", "kind": "Secret",
        "metadata": {"name": "plugin", "namespace": "ns"},
        "data": {"ca": BASE64_STANDARD.encode(ca)},
    }));
    let plane = plane_of(&api, Budget::new(1024, 64 << 20), |_, _| {});
    Some(Stage {
        plane,
        ..Stage::start().await?
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trigger_has_its_service_fetch_do_and_judge() {
    let shown = certified();
    let Some(stage) = stage(&shown.cert.pem()).await else {
        return;
    };
    let fetched = "{\"metadata\":{\"name\":\"x\"},\"n\":1}";
    let (service, called) = trigger_service(Some(&shown), fetched, Ok(good())).await;
    let mut spec = stage.spec(&["a"]);
    let more = json!({
        "secure": true, "certSecret": {"name": "plugin", "key": "ca"}, "serverNameOverride": "localhost",
    });
    spec["triggers"] = json!([custom(&service, &more)]);
    stage.run(&spec).await;
    stage.publish("a", 7).await;
    until("the verdict is asked for", || async {
        called.lock().len() == 3
    })
    .await;
    let call = |name: &str, first: &'static str, second: &'static str| {
        (name.to_owned(), Bytes::from(first), Bytes::from(second))
    };
    assert_eq!(
        *called.lock(),
        [
            call(
                "FetchResource",
                "\"b\": \"1\"\n\"url\": \"https://example.com/\\\"a\\\"\"\n",
                ""
            ),
            call(
                "Execute",
                "{\"metadata\":{\"name\":\"7\"},\"n\":1}",
                "{\"n\":\"7\"}"
            ),
            call("ApplyPolicy", "done", ""),
        ]
    );
    stage.plane.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_trigger_service_refuses_goes_to_the_dead_letters_with_its_reason() {
    let refusal = Err(Status::permission_denied("not for you"));
    let tls = json!({"secure": true});
    let missing = json!({"secure": true, "certSecret": {"name": "plugin", "key": "none"}});
    let cases = [
        ("{}", refusal, json!({}), "ApplyPolicy: ", "not for you"),
        (
            "[1]",
            Ok(good()),
            json!({}),
            "FetchResource",
            "not a JSON object",
        ),
        ("{}", Ok(good()), tls, "127.0.0.1", "corrupt message"),
        ("{}", Ok(good()), missing, "Secret ns/plugin", "none"),
    ];
    for (fetched, verdict, more, first, second) in cases {
        let Some(stage) = stage("").await else {
            return;
        };
        let (service, _) = trigger_service(None, fetched, verdict).await;
        let mut spec = stage.spec(&["a"]);
        spec["triggers"] = json!([custom(&service, &more)]);
        stage.run(&spec).await;
        stage.publish("a", 7).await;
        let letter = stage.letter().await;
        let text = format!("{:?}", letter.headers);
        assert!(text.contains(first) && text.contains(second), "{text}");
        stage.plane.stop().await;
    }
}
