//! Services that are asked about what they sent.

use std::sync::Arc;

use axum::response::IntoResponse;
use http::{HeaderMap, StatusCode, Uri};
use parking_lot::Mutex;
use serde_json::{Value, json};

use super::{call, one, secret, status};

/// The API of a service that answers by path, and the questions that it got with `hush` as the token.
async fn api(answers: Vec<(&'static str, Value)>) -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await;
    let listener = listener.expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("bound"));
    let asked: Arc<Mutex<Vec<String>>> = Arc::default();
    let log = asked.clone();
    let app = axum::Router::new().fallback(move |uri: Uri, headers: HeaderMap| {
        assert_eq!(headers["authorization"], "Bearer hush");
        log.lock().push(uri.to_string());
        let answer = answers.iter().find(|(path, _)| *path == uri.path());
        std::future::ready(match answer {
            Some((_, answer)) => answer.to_string().into_response(),
            None => (StatusCode::NOT_FOUND, "no hush here").into_response(),
        })
    });
    tokio::spawn(async move { axum::serve(listener, app).await });
    reconcile_core::operator::install_tls();
    (url, asked)
}

fn with(settings: &Value, field: &str, value: Value) -> Value {
    let mut settings = settings.clone();
    settings[field] = value;
    settings
}

#[tokio::test]
async fn a_comment_on_a_pull_request_brings_it_along_where_that_is_asked_for() {
    let pull = json!({"number": 7, "head": {"ref": "fix"}});
    let (url, asked) = api(vec![("/repos/shop/api/pulls/7", pull.clone())]).await;
    let settings = json!({
        "githubBaseURL": url, "apiToken": secret(), "payloadEnrichment": {"fetchPROnPRCommentAdded": true},
    });
    let comment = |change: fn(&mut Value)| {
        let mut body = json!({
            "action": "created", "issue": {"number": 7, "pull_request": {"url": "https://evil.example.com"}},
            "repository": {"name": "api", "owner": {"login": "shop"}},
        });
        change(&mut body);
        body.to_string()
    };
    let headers = [
        ("x-github-event", "issue_comment"),
        ("x-github-delivery", "d"),
    ];
    let (id, payload) = one(call("github", settings.clone(), &headers, &comment(|_| {})).await);
    let payload: Value = serde_json::from_str(&payload).expect("JSON");
    assert_eq!(id.as_deref(), Some("d"));
    assert_eq!(payload["body"]["pull_request"], pull);
    assert_eq!(payload["body"]["X-GitHub-Event"], "issue_comment");
    assert_eq!(*asked.lock(), ["/repos/shop/api/pulls/7"]);
    // An issue, another action, another event, and settings that ask for nothing.
    let plain = with(&settings, "payloadEnrichment", json!({}));
    let push = [("x-github-event", "push")];
    for (settings, headers, body) in [
        (
            &settings,
            &headers[..1],
            comment(|body| body["issue"]["pull_request"] = Value::Null),
        ),
        (
            &settings,
            &headers[..1],
            comment(|body| body["action"] = json!("deleted")),
        ),
        (&settings, &push[..], comment(|_| {})),
        (&plain, &headers[..1], comment(|_| {})),
    ] {
        let (_, payload) = one(call("github", settings.clone(), headers, &body).await);
        let payload: Value = serde_json::from_str(&payload).expect("JSON");
        assert!(payload["body"]["pull_request"].is_null(), "{payload}");
    }
    // A name cannot leave its place; what GitHub does not know is not an event without it.
    let other = comment(|body| body["repository"]["name"] = json!("../../user"));
    let refused = call("github", settings.clone(), &headers, &other).await;
    let (code, text) = refused.expect_err("not found");
    assert_eq!(
        (code, text.as_ref()),
        (
            StatusCode::BAD_GATEWAY,
            "cannot ask the service about the event: it answered 404"
        )
    );
    assert_eq!(
        asked.lock().last().map(String::as_str),
        Some("/repos/shop/..%2F..%2Fuser/pulls/7")
    );
    let away = with(&settings, "githubBaseURL", json!("http://127.0.0.1:9"));
    assert_eq!(
        status(call("github", away, &headers, &comment(|_| {})).await),
        502
    );
    assert_eq!(asked.lock().len(), 2);
}

#[tokio::test]
async fn branches_with_an_open_pull_request_are_left_out_of_a_push() {
    let commit =
        |hash| format!("/rest/api/1.0/projects/SHOP/repos/api/commits/{hash}/pull-requests");
    let (open, merged) = (commit("aa"), commit("bb"));
    let (url, asked) = api(vec![
        (
            open.leak(),
            json!({"values": [{"state": "MERGED"}, {"state": "OPEN"}]}),
        ),
        (merged.leak(), json!({"values": [{"state": "MERGED"}]})),
    ])
    .await;
    let settings = json!({
        "bitbucketserverBaseURL": url, "accessToken": secret(), "skipBranchRefsChangedOnOpenPR": true,
    });
    let change = |kind, type_, hash| json!({"ref": {"type": kind}, "type": type_, "toHash": hash});
    let push = |changes: &[Value]| {
        json!({"changes": changes, "repository": {"slug": "api", "project": {"key": "SHOP"}}})
            .to_string()
    };
    let headers = [("x-event-key", "repo:refs_changed"), ("x-request-id", "q")];
    let (a, b) = (
        change("BRANCH", "UPDATE", "aa"),
        change("BRANCH", "UPDATE", "bb"),
    );
    let (tag, gone) = (change("TAG", "ADD", "aa"), change("BRANCH", "DELETE", "aa"));
    let all = push(&[a.clone(), b.clone(), tag.clone(), gone.clone()]);
    // A push with something else is one event with all of it, as upstream.
    let (_, payload) = one(call("bitbucketserver", settings.clone(), &headers, &all).await);
    assert_eq!(payload.matches("toHash").count(), 4, "{payload}");
    assert_eq!(asked.lock().len(), 2);
    let each = with(&settings, "oneEventPerChange", json!(true));
    let events = call("bitbucketserver", each, &headers, &all)
        .await
        .expect("accepted")
        .events;
    let texts: Vec<String> = events
        .iter()
        .map(|event| {
            let payload: Value = serde_json::from_slice(&event.payload).expect("JSON");
            payload["body"]["changes"].to_string()
        })
        .collect();
    assert_eq!(
        texts,
        [b, tag, gone].map(|change| json!([change]).to_string())
    );
    let none = call("bitbucketserver", settings.clone(), &headers, &push(&[a])).await;
    assert!(none.expect("accepted").events.is_empty());
    // What the server does not know is not left out in silence.
    let unknown = push(&[change("BRANCH", "UPDATE", "cc")]);
    assert_eq!(
        status(call("bitbucketserver", settings.clone(), &headers, &unknown).await),
        502
    );
    let many = vec![change("BRANCH", "UPDATE", "bb"); 51];
    assert_eq!(
        status(call("bitbucketserver", settings.clone(), &headers, &push(&many)).await),
        400
    );
    let before = asked.lock().len();
    let opened = [("x-event-key", "pr:opened")];
    one(call("bitbucketserver", settings, &opened, "{}").await);
    assert_eq!(asked.lock().len(), before);
}

#[test]
fn what_is_needed_to_ask_must_be_given() {
    let check = |key: &str, settings: Value| {
        let kind = super::super::ALL.iter().find(|kind| kind.key == key);
        let refused = (kind.expect("a service").check)(&crate::source::kind::Input {
            path: "spec.x.y",
            value: &settings,
        });
        refused.map(drop).expect_err("refused").path
    };
    let asks = json!({"payloadEnrichment": {"fetchPROnPRCommentAdded": true}});
    let path = "spec.x.y.payloadEnrichment.fetchPROnPRCommentAdded";
    assert_eq!(check("github", asks), path);
    let skips = json!({"skipBranchRefsChangedOnOpenPR": true});
    assert_eq!(
        check("bitbucketserver", skips.clone()),
        "spec.x.y.bitbucketserverBaseURL"
    );
    let known = with(&skips, "bitbucketserverBaseURL", json!("https://b"));
    assert_eq!(check("bitbucketserver", known), "spec.x.y.accessToken");
}
