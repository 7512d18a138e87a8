//! Webhooks are registered at services that play GitHub, GitLab and Bitbucket Server.

mod support;

use std::{collections::BTreeMap, sync::Arc};

use events::source::{CheckedSource, TaskEvent, hook};
use serde_json::{Value, json};

use support::{Forge, Nats, plane, source, until};

/// The task that registers the webhook of one event.
fn registration(key: &str, secrets: &[&str], config: &Value) -> Arc<CheckedSource> {
    let kind = hook::ALL
        .iter()
        .find(|kind| kind.key == key)
        .expect("a kind");
    let registration = kind.registration.expect("registered here");
    assert!(registration.is_wanted(config));
    let mut task = TaskEvent::check(&registration.task, "event", config).expect("checked");
    task.secrets = secrets.iter().map(|secret| (*secret).into()).collect();
    let mut checked = source("calendar", &[], &json!({"interval": "1h"}))
        .as_ref()
        .clone();
    checked.tasks = vec![task];
    Arc::new(checked)
}

fn github(forge: &Forge, more: &Value) -> Value {
    let mut config = json!({
        "webhook": {"url": "https://events.shop/", "endpoint": "/push", "port": "12000"},
        "githubBaseURL": forge.url, "events": ["push", "release"], "contentType": "json",
        "repositories": [{"owner": "shop", "names": ["api", "web"]}], "organizations": ["tools"],
        "webhookSecret": {"name": "github", "key": "secret"},
    });
    for (field, value) in more.as_object().into_iter().flatten() {
        config[field] = value.clone();
    }
    config
}

const TOKEN: (&str, &str) = ("authorization", "Bearer hushtoken");

#[tokio::test(flavor = "multi_thread")]
async fn github_gets_a_webhook_per_repository_and_keeps_those_that_are_right() {
    let Some(nats) = Nats::start().await else {
        return;
    };
    let (bus, plane) = (nats.bus().await, plane());
    let forge = Forge::start(TOKEN).await;
    let url = "https://events.shop/push";
    let config =
        json!({"url": url, "content_type": "json", "insecure_ssl": "0", "secret": "********"});
    // One is right but for the order of its events, one has others, and one calls somebody else.
    forge.put(
        "/repos/shop/api/hooks",
        json!({"id": 1, "active": true, "events": ["release", "push"], "config": config}),
    );
    forge.put(
        "/repos/shop/web/hooks",
        json!({"id": 1, "active": true, "events": ["push"], "config": config}),
    );
    forge.put(
        "/orgs/tools/hooks",
        json!({"id": 1, "active": true, "events": ["push"], "config": {"url": "https://other"}}),
    );
    let source = registration(
        "github",
        &["hushtoken", "hushsecret"],
        &github(
            &forge,
            &json!({"apiToken": {"name": "github", "key": "token"}}),
        ),
    );
    plane.ensure_source(&source, &bus);
    until("two are changed", || async { forge.changes().len() == 2 }).await;
    assert_eq!(
        forge.changes(),
        ["PATCH /repos/shop/web/hooks/1", "POST /orgs/tools/hooks"]
    );
    assert_eq!(
        forge.hooks("/repos/shop/web/hooks")[0]["events"],
        json!(["push", "release"])
    );
    let made = forge.hooks("/orgs/tools/hooks").pop().expect("made");
    assert_eq!(
        made["config"],
        json!({"url": url, "content_type": "json", "insecure_ssl": "0", "secret": "hushsecret"})
    );
    assert_eq!(made["active"], true);
    until("nothing is reported", || async {
        plane.ensure_source(&source, &bus).interrupted.is_empty()
    })
    .await;
    plane.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_app_of_github_asks_for_a_token_first() {
    let Some(nats) = Nats::start().await else {
        return;
    };
    let (bus, plane) = (nats.bus().await, plane());
    let forge = Forge::start(("authorization", "Bearer ghs_hushtoken")).await;
    let app = json!({"githubApp": {"appID": 7, "installationID": 9, "privateKey": {"name": "github", "key": "app"}}});
    let key = include_str!("data/app-key.pem");
    plane.ensure_source(
        &registration("github", &[key, "hushsecret"], &github(&forge, &app)),
        &bus,
    );
    until("all are made", || async { forge.changes().len() == 3 }).await;
    let wrong = registration("github", &["no key", "hushsecret"], &github(&forge, &app));
    until("the key is reported", || async {
        let health = plane.ensure_source(&wrong, &bus);
        let reason = health.interrupted.get("event").cloned().unwrap_or_default();
        reason.contains("githubApp.privateKey: holds no private key in PEM")
    })
    .await;
    plane.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_names_the_place_and_no_secret() {
    let Some(nats) = Nats::start().await else {
        return;
    };
    let (bus, plane) = (nats.bus().await, plane());
    let forge = Forge::start(TOKEN).await;
    let config = github(
        &forge,
        &json!({"apiToken": {"name": "github", "key": "token"}}),
    );
    let source = registration("github", &["wrongtoken", "hushsecret"], &config);
    until("it is reported", || async {
        let health = plane.ensure_source(&source, &bus);
        let reason = health.interrupted.get("event").cloned().unwrap_or_default();
        assert!(!reason.contains("wrongtoken"), "{reason}");
        reason.contains("cannot register the webhook")
            && reason.contains("repository shop/api: GET answered 401: bad credentials")
    })
    .await;
    assert!(forge.changes().is_empty());
    plane.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn gitlab_and_bitbucket_server_get_webhooks_of_their_form() {
    let Some(nats) = Nats::start().await else {
        return;
    };
    let (bus, plane) = (nats.bus().await, plane());
    let webhook = json!({"url": "https://events.shop", "endpoint": "/push", "port": "12000"});
    let gitlab = Forge::start(("private-token", "hushtoken")).await;
    let config = json!({
        "webhook": webhook, "gitlabBaseURL": gitlab.url, "projects": ["shop/api"], "groups": ["tools"],
        "events": ["PushEvents", "MergeRequestsEvents"], "enableSSLVerification": true,
        "accessToken": {"name": "g", "key": "t"}, "secretToken": {"name": "g", "key": "s"},
    });
    plane.ensure_source(
        &registration("gitlab", &["hushtoken", "hushsecret"], &config),
        &bus,
    );
    until("both are made", || async { gitlab.changes().len() == 2 }).await;
    let made = gitlab
        .hooks("/api/v4/projects/shop%2Fapi/hooks")
        .pop()
        .expect("made");
    assert_eq!(
        made,
        json!({
            "id": 1, "url": "https://events.shop/push", "enable_ssl_verification": true, "token": "hushsecret",
            "push_events": true, "merge_requests_events": true,
        })
    );
    let server = Forge::start(TOKEN).await;
    let config = json!({
        "webhook": webhook, "bitbucketserverBaseURL": server.url, "events": ["repo:refs_changed"],
        "repositories": [{"projectKey": "SHOP", "repositorySlug": "api"}], "projects": ["TOOLS"],
        "accessToken": {"name": "b", "key": "t"}, "webhookSecret": {"name": "b", "key": "s"},
    });
    plane.ensure_source(
        &registration("bitbucketserver", &["hushtoken", "hushsecret"], &config),
        &bus,
    );
    until("both are made", || async { server.changes().len() == 2 }).await;
    let made = server
        .hooks("/rest/api/1.0/projects/SHOP/repos/api/webhooks")
        .pop()
        .expect("made");
    assert_eq!(made["configuration"], json!({"secret": "hushsecret"}));
    assert_eq!(made["url"], "https://events.shop/push");
    plane.stop().await;
}

#[test]
fn settings_that_register_nothing_are_refused_or_left_alone() {
    let kinds: BTreeMap<_, _> = hook::ALL
        .iter()
        .filter_map(|kind| Some((kind.key, kind.registration?)))
        .collect();
    let webhook = json!({"url": "https://events.shop", "endpoint": "/push", "port": "12000"});
    assert!(!kinds["github"].is_wanted(&json!({"webhook": webhook})));
    assert!(
        !kinds["github"].is_wanted(&json!({"apiToken": {"name": "a"}, "webhook": {"port": "1"}}))
    );
    let key = json!({"name": "a", "key": "b"});
    for (kind, config, path) in [
        ("github", json!({"apiToken": key}), "spec.github.event"),
        (
            "github",
            json!({"apiToken": key, "organizations": ["o"], "webhook": {"url": "ftp://x"}}),
            "spec.github.event.webhook.url",
        ),
        (
            "github",
            json!({"organizations": ["o"], "githubApp": {"appID": 1}}),
            "spec.github.event.githubApp.installationID",
        ),
        (
            "github",
            json!({"apiToken": key, "organizations": ["o"], "githubBaseURL": "https://u:p@h"}),
            "spec.github.event.githubBaseURL",
        ),
        (
            "gitlab",
            json!({"accessToken": key, "projects": ["p"], "events": ["../x"]}),
            "spec.gitlab.event.events",
        ),
        (
            "bitbucketserver",
            json!({"accessToken": key, "projects": ["p"], "events": ["x"]}),
            "spec.bitbucketserver.event.bitbucketserverBaseURL",
        ),
        (
            "bitbucket",
            json!({"auth": {}, "owner": "o", "repositorySlug": "r", "events": ["x"]}),
            "spec.bitbucket.event.auth",
        ),
        (
            "bitbucket",
            json!({"auth": {"token": key}, "owner": "o", "repositorySlug": "r"}),
            "spec.bitbucket.event.events",
        ),
    ] {
        let mut config = config;
        if config.get("webhook").is_none() {
            config["webhook"] = webhook.clone();
        }
        let refused = TaskEvent::check(&kinds[kind].task, "event", &config).expect_err("refused");
        assert_eq!(refused.path, path);
    }
}
