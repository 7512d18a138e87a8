//! Manifests from servers of the test.

use serde_json::json;

use super::*;
use crate::trigger::stage::{Server, Stage};

const MANIFEST: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: m}\n";

fn artifact(value: Value) -> ArtifactSource {
    serde_json::from_value(value).expect("a source")
}

async fn read(stage: &Stage, source: Value) -> Result<Value, String> {
    let source = Source::of("k8s.source", Some(&artifact(source))).map_err(|e| e.to_string())?;
    let Source::Remote(remote) = source else {
        return Err("not remote".to_owned());
    };
    let object = remote.manifest("k8s.source", stage.run()).await;
    object.map_err(|error| error.to_string())
}

#[tokio::test]
async fn a_manifest_is_read_from_a_url() {
    let stage = Stage::with_secret(&json!({}));
    let server = Server::answering(200, &[], MANIFEST).await;
    let url = json!({"url": {"path": server.url}});
    assert_eq!(
        read(&stage, url.clone()).await.expect("read")["kind"],
        "ConfigMap"
    );
    let missing = Server::answering(404, &[], "no").await;
    let error = read(&stage, json!({"url": {"path": missing.url}})).await;
    let error = error.expect_err("missing");
    assert!(error.ends_with("the server answered 404"), "{error}");
    let two = Server::answering(200, &[], "a: 1\n---\nb: 2\n").await;
    let error = read(&stage, json!({"url": {"path": two.url}})).await;
    let error = error.expect_err("two documents");
    assert!(
        error.starts_with("k8s.source.url: holds 2 documents"),
        "{error}"
    );
    let large = Box::leak("x".repeat(20 << 20).into_boxed_str());
    let large = Server::answering(200, &[], large).await;
    let error = read(&stage, json!({"url": {"path": large.url}})).await;
    let error = error.expect_err("too large");
    assert!(error.contains("more than 2097152 bytes"), "{error}");
    let refused = read(&stage, json!({"url": {"path": "http://169.254.169.254/x"}})).await;
    assert!(refused.expect_err("refused").contains("link-local"));
}

#[tokio::test]
async fn a_certificate_is_verified_unless_the_manifest_says_otherwise() {
    let path = "https://h/x";
    for (given, insecure) in [
        (json!({"path": path}), false),
        (json!({"path": path, "verifyCert": false}), true),
    ] {
        let given = serde_json::from_value(given).expect("an artifact");
        let file = WebFile::check("url", &given).expect("good");
        assert_eq!(file.insecure, insecure);
    }
}

#[tokio::test]
async fn an_object_of_s3_is_read_with_a_signed_request() {
    let stage = Stage::with_secret(&json!({"access": "QUtJRA==", "secret": "aHVzaHdvcmQ="}));
    let server = Server::answering(200, &[], MANIFEST).await;
    let endpoint = server
        .url
        .trim_start_matches("http://")
        .trim_end_matches('/')
        .to_owned();
    let s3 = |endpoint: &str| {
        json!({"s3": {
            "endpoint": endpoint, "insecure": true, "region": "eu-west-1",
            "bucket": {"name": "b", "key": "a/m.yaml"},
            "accessKey": {"name": "s", "key": "access"}, "secretKey": {"name": "s", "key": "secret"},
        }, "inline": "not read"})
    };
    assert_eq!(
        read(&stage, s3(&endpoint)).await.expect("read")["kind"],
        "ConfigMap"
    );
    let got = server.requests().pop().expect("one request");
    assert_eq!(got.path, "/b/a/m.yaml");
    let signature = got.headers["authorization"].to_str().expect("text");
    assert!(
        signature.contains("Credential=AKID/") && signature.contains("/eu-west-1/s3/aws4_request"),
        "{signature}"
    );
    let denied = Server::answering(403, &[], "<Error>hushword</Error>").await;
    let denied = denied
        .url
        .trim_start_matches("http://")
        .trim_end_matches('/');
    let error = read(&stage, s3(denied)).await.expect_err("denied");
    assert_eq!(
        error,
        "cannot read s3://b/a/m.yaml: the server answered 403"
    );
    let mut wrong = s3("h");
    wrong["s3"]["secretKey"]["key"] = json!("other");
    let error = read(&stage, wrong).await.expect_err("no key");
    assert_eq!(error, "cannot read Secret ns/s: key other not found");
}

#[test]
fn wrong_sources_are_refused_with_their_field() {
    for (source, path) in [
        (json!({"file": {"path": "/etc/passwd"}}), "s.file"),
        (json!({"url": {"path": "file:///etc/passwd"}}), "s.url.path"),
        (json!({"url": {}}), "s.url.path"),
        (
            json!({"s3": {"bucket": {"name": "b", "key": "k"}}}),
            "s.s3.accessKey",
        ),
        (json!({"s3": {"bucket": {"name": "b"}}}), "s.s3.bucket.key"),
        (json!({}), "s"),
    ] {
        let mut source = artifact(source);
        let error = check("s", Some(&mut source), &[]).expect_err("refused");
        assert_eq!(error.path, path);
    }
    // What comes first counts, as upstream: a file beside an inline manifest is not read.
    let mut both = artifact(
        json!({"inline": MANIFEST, "file": {"path": "x"}, "configmap": {"name": "c", "key": "k"}}),
    );
    check("s", Some(&mut both), &[]).expect("inline");
}
