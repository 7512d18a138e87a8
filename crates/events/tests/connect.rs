//! Connections to servers that ask who we are, or speak TLS; the stream that is made.

mod support;

use std::time::Duration;

use async_nats::jetstream::stream::{DiscardPolicy, RetentionPolicy};
use events::{
    bus::{Auth, Bus, BusConfig, StreamSettings},
    tls::TlsSettings,
};
use reconcile_core::egress::EgressPolicy;
use serde_json::json;

use support::{Nats, away, bus, ready};

#[tokio::test(flavor = "multi_thread")]
async fn the_identity_is_logged_and_a_refusal_is_reported() {
    let settings = |_: &Nats| "authorization { user: u, password: p }".to_owned();
    let Some(nats) = Nats::start_with(&[], settings).await else {
        return;
    };
    let with = |auth: Auth| BusConfig {
        auth,
        ..nats.config()
    };
    let basic = |password: &str| Auth::Basic {
        username: "u".into(),
        password: password.into(),
    };
    ready(with(basic("p"))).await;
    away(with(basic("wrong")), "authorization").await;
    away(with(Auth::None), "authorization").await;
    let settings = |_: &Nats| "authorization { token: t }".to_owned();
    let Some(nats) = Nats::start_with(&[], settings).await else {
        return;
    };
    let with = |token: &str| BusConfig {
        auth: Auth::Token(token.into()),
        ..nats.config()
    };
    ready(with("t")).await;
    away(with("wrong"), "authorization").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_is_used_with_the_authority_that_is_given_and_a_stranger_is_refused() {
    let names = ["127.0.0.1".to_owned()];
    let server = rcgen::generate_simple_self_signed(names.clone()).expect("a certificate");
    let client = rcgen::generate_simple_self_signed(names).expect("a certificate");
    let (ca, key) = (server.cert.pem(), server.signing_key.serialize_pem());
    let files = [("cert.pem", ca.as_str()), ("key.pem", key.as_str())];
    let settings = |nats: &Nats| {
        let (cert, key) = (nats.file("cert.pem"), nats.file("key.pem"));
        format!("tls {{ cert_file: {cert:?}, key_file: {key:?} }}")
    };
    let Some(nats) = Nats::start_with(&files, settings).await else {
        return;
    };
    let with = |tls: Option<TlsSettings>| BusConfig {
        tls,
        ..nats.config()
    };
    ready(with(Some(TlsSettings {
        ca: Some(ca.clone()),
        ..TlsSettings::default()
    })))
    .await;
    ready(with(Some(TlsSettings {
        insecure: true,
        ..TlsSettings::default()
    })))
    .await;
    // The server asks for TLS by itself; what it shows is not trusted then.
    for tls in [
        None,
        Some(TlsSettings {
            ca: Some(client.cert.pem()),
            ..TlsSettings::default()
        }),
    ] {
        away(with(tls), "certificate").await;
    }
    let broken = with(Some(TlsSettings {
        ca: Some("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n".into()),
        ..TlsSettings::default()
    }));
    let error = Bus::start("test", broken, || {})
        .await
        .expect_err("refused");
    assert!(
        error.to_string().starts_with("tls: caCertSecret: "),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_not_there_is_reported_as_such() {
    away(elsewhere("127.0.0.1"), "refused").await;
}

fn elsewhere(host: &str) -> BusConfig {
    BusConfig {
        urls: vec![format!("nats://{host}:{}", support::free_port())],
        auth: Auth::None,
        tls: None,
        stream: StreamSettings::default(),
        egress: EgressPolicy::of_flag("--allow-link-local", false),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bus_at_a_metadata_address_is_not_called_and_that_is_said() {
    for host in ["169.254.169.254", "[fe80::1]", "[::ffff:169.254.169.254]"] {
        away(elsewhere(host), "--allow-link-local permits it").await;
    }
    away(
        elsewhere("no-such-host.invalid"),
        "cannot resolve no-such-host",
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_stream_follows_what_the_manifest_says_and_keeps_the_rest() {
    let Some(nats) = Nats::start().await else {
        return;
    };
    let with = |config: serde_json::Value| BusConfig {
        stream: StreamSettings::parse(&config).expect("settings"),
        ..nats.config()
    };
    let first = json!({
        "maxMsgs": 10, "maxage": "72h", "maxBytes": 4096, "duplicates": "60s", "retention": 1, "discard": 1,
    });
    ready(with(first)).await;
    ready(with(json!({"maxMsgs": 99}))).await;
    // A stream cannot become a work queue: said, and used as it is.
    let bus = bus(with(json!({"retention": 2}))).await;
    bus.ready().await;
    let problem = bus.settings_problem().expect("refused");
    assert!(
        problem.starts_with("streamConfig has no effect"),
        "{problem}"
    );
    let client = async_nats::connect(nats.config().urls[0].as_str())
        .await
        .expect("connected");
    let stream = async_nats::jetstream::new(client)
        .get_stream("default")
        .await;
    let config = stream.expect("a stream").cached_info().config.clone();
    assert_eq!(config.subjects, ["default.*.*"]);
    assert_eq!((config.max_messages, config.max_bytes), (99, 4096));
    assert_eq!(config.max_age, Duration::from_secs(72 * 3600));
    assert_eq!(config.duplicate_window, Duration::from_secs(60));
    assert_eq!(config.retention, RetentionPolicy::Interest);
    assert_eq!(config.discard, DiscardPolicy::New);
}

#[tokio::test]
async fn the_stream_takes_more_consumers_than_a_server_gives_by_itself() {
    let Some(nats) = Nats::start().await else {
        return;
    };
    // As upstream made it, before servers had a limit.
    let client = async_nats::connect(nats.config().urls[0].as_str())
        .await
        .expect("connected");
    let context = async_nats::jetstream::new(client);
    let upstream = async_nats::jetstream::stream::Config {
        name: "default".to_owned(),
        subjects: vec!["default.*.*".to_owned()],
        ..Default::default()
    };
    let made = context.create_stream(upstream).await.expect("created");
    assert_eq!(made.cached_info().config.max_consumers, -1);
    let limit = || async {
        let stream = context.get_stream("default").await.expect("a stream");
        stream.cached_info().config.max_consumers
    };
    nats.bus().await;
    assert_eq!(limit().await, 100_000);
    // One of our own has the number from the start.
    context.delete_stream("default").await.expect("deleted");
    nats.bus().await;
    assert_eq!(limit().await, 100_000);
}
