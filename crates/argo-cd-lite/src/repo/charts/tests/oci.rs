//! A registry: tokens, tags, manifests, layers.

use jiff::Timestamp;

use super::{
    super::oci::OciRepository,
    server::{Asked, gzip, tar},
    *,
};
use crate::repo::Credential;

const LAYER: &str = "application/vnd.cncf.helm.chart.content.v1.tar+gzip";
const IMAGE_LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";

fn manifest(layer: &[u8], media_type: &str) -> String {
    serde_json::json!({
        "schemaVersion": 2,
        "config": {"mediaType": "application/vnd.cncf.helm.config.v1+json", "digest": "sha256:0", "size": 1},
        "layers": [{"mediaType": media_type, "digest": format!("sha256:{}", sha256(layer)), "size": layer.len()}],
    })
    .to_string()
}

/// A registry that wants a token, with two versions of the chart `team/web`.
async fn registry() -> Server {
    let server = Server::start().await;
    let challenge = format!(
        "Bearer realm=\"{}/token\",service=\"registry\",scope=\"repository:other:pull\"",
        server.url()
    );
    let private = |page: Page| Page {
        authorization: Some("Bearer the-token".to_owned()),
        headers: vec![("www-authenticate", challenge.clone())],
        ..page
    };
    let next = "</v2/team/web/tags/list?n=1000&last=1.0.0>; rel=\"next\"".to_owned();
    let mut first = private(Page::of(r#"{"name": "team/web", "tags": ["1.0.0"]}"#));
    first.headers.push(("link", next));
    let last = r#"{"name": "team/web", "tags": ["latest", "1.1.0_build.5"]}"#;
    let token = Page {
        authorization: Some(basic("user", "secret")),
        ..Page::of(r#"{"token": "the-token", "access_token": "the-token"}"#)
    };
    server
        .put(
            "/token?service=registry&scope=repository%3Ateam%2Fweb%3Apull",
            token,
        )
        .put("/v2/team/web/tags/list?n=1000", first)
        .put(
            "/v2/team/web/tags/list?n=1000&last=1.0.0",
            private(Page::of(last)),
        );
    for (tag, values) in [("1.0.0", "old"), ("1.1.0_build.5", "new")] {
        let layer = chart("web", tag, values);
        let path = format!("/v2/team/web/manifests/{tag}");
        server.put(&path, private(Page::of(manifest(&layer, LAYER))));
        let path = format!("/v2/team/web/blobs/sha256:{}", sha256(&layer));
        server.put(&path, private(Page::of(layer)));
    }
    server
}

fn bed(folder: &Path, server: &Server) -> (Bed, String) {
    let bed = Bed::new(folder, Trust::default());
    let url = format!("{}/team", server.address);
    let members = [
        ("url", url.as_str()),
        ("type", "helm"),
        ("enableOCI", "true"),
        ("insecureOCIForceHttp", "true"),
        ("username", "user"),
        ("password", "secret"),
    ];
    bed.secret("repository", &members);
    (bed, url)
}

#[tokio::test]
async fn charts_of_a_registry_are_found_by_their_tags() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = registry().await;
    let (bed, url) = bed(folder.path(), &server);
    let with_scheme = format!("oci://{url}");
    for (url, revision, version, values) in [
        (&url, "1.0.0", "1.0.0", "old"),
        (&with_scheme, "^1.0.0", "1.1.0+build.5", "new"),
    ] {
        let found = bed.values(&web(url, revision)).await.expect(revision);
        assert_eq!(found, (version.to_owned(), values.to_owned()), "{revision}");
    }
    let downloads = |asked: Vec<Asked>| {
        let blobs = asked.into_iter().filter(|one| one.path.contains("/blobs/"));
        blobs.filter(|one| one.status == 200).count()
    };
    bed.values(&web(&url, "1.0.0")).await.expect("a chart");
    assert_eq!(
        downloads(server.asked()),
        2,
        "each layer is downloaded once"
    );
}

#[tokio::test]
async fn a_registry_gets_no_more_than_it_may_have() {
    let folder = tempfile::tempdir().expect("a folder");
    let (server, other) = (registry().await, Server::start().await);
    let (bed, url) = bed(folder.path(), &server);
    let put = |tag: &str, text: String| {
        server.put(&format!("/v2/team/web/manifests/{tag}"), Page::of(text));
    };
    let layer = chart("web", "2.0.0", "elsewhere");
    let digest = sha256(&layer);
    // Registries keep their layers elsewhere.
    put("2.0.0", manifest(&layer, LAYER));
    let blob = Page {
        authorization: Some("Bearer the-token".to_owned()),
        headers: vec![(
            "www-authenticate",
            format!(
                "Bearer realm=\"{}/token\",service=\"registry\"",
                server.url()
            ),
        )],
        ..Page::moved(&format!("{}/blob", other.url()))
    };
    server.put(&format!("/v2/team/web/blobs/sha256:{digest}"), blob);
    other.put("/blob", Page::of(layer));
    let tags = r#"{"tags": ["2.0.0", "2.0.1", "2.0.2", "2.0.3", "2.0.4"]}"#;
    server.put("/v2/team/web/tags/list?n=1000", Page::of(tags));
    let (_, values) = bed.values(&web(&url, "2.0.0")).await.expect("a chart");
    assert_eq!(values, "elsewhere");
    let sent: Vec<Asked> = other.asked();
    assert!(
        sent.iter().all(|one| one.authorization.is_none()),
        "{sent:?}"
    );

    let wrong = chart("web", "2.0.1", "wrong");
    put("2.0.1", manifest(&wrong, LAYER));
    let path = format!("/v2/team/web/blobs/sha256:{}", sha256(&wrong));
    server.put(&path, Page::of("another content"));
    put(
        "2.0.2",
        manifest(&wrong, LAYER).replace("\"size\":", "\"size\":9999999"),
    );
    put("2.0.3", manifest(&gzip(&tar(&[("a", "b")])), IMAGE_LAYER));
    put(
        "2.0.4",
        manifest(&wrong, LAYER).replace("sha256:", "sha256:../../"),
    );
    for (version, expected) in [
        ("2.0.1", "the layer has the digest"),
        ("2.0.2", "more than the limit"),
        ("2.0.3", "it does not have a layer of the media type"),
        ("2.0.4", "is no SHA-256"),
    ] {
        let error = bed.values(&web(&url, version)).await.expect_err(version);
        assert!(error.contains(expected), "{version}: {error}");
    }
}

#[tokio::test]
async fn a_registry_with_tls_does_not_send_credentials_over_a_line_without() {
    let folder = tempfile::tempdir().expect("a folder");
    let bed = Bed::new(folder.path(), Trust::default());
    let downloads = Downloads::new(REFUSE, Trust::default());
    let credential = Credential::basic("user", "secret");
    let repository = OciRepository::new(&downloads, "oci://r.example.com/web", Some(&credential));
    let repository = repository.expect("a repository");
    for (realm, expected) in [
        ("http://tokens.example.com/", "no https URL"),
        ("nonsense", "realm is no URL"),
        ("https://169.254.169.254/", "link-local"),
    ] {
        let error = repository.token_from(realm).await.expect_err(realm);
        assert!(error.to_string().contains(expected), "{realm}: {error}");
    }
    drop(bed);
}

#[tokio::test]
async fn files_of_an_artifact_are_a_source_that_follows_its_tag() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Server::start().await;
    let put = |tag: &str, values: &str| {
        let layer = gzip(&tar(&[("values.yaml", values), ("app/a.yaml", "a: b")]));
        let text = manifest(&layer, IMAGE_LAYER);
        let digest = format!("sha256:{}", sha256(text.as_bytes()));
        let path = format!("/v2/team/files/blobs/sha256:{}", sha256(&layer));
        server
            .put(&path, Page::of(layer))
            .put(
                &format!("/v2/team/files/manifests/{tag}"),
                Page::of(text.clone()),
            )
            .put(
                &format!("/v2/team/files/manifests/{digest}"),
                Page::of(text),
            );
        digest
    };
    let bed = Bed::new(folder.path(), Trust::default());
    let url = format!("oci://{}/team/files", server.address);
    let members = [
        ("url", url.as_str()),
        ("type", "oci"),
        ("insecureOCIForceHttp", "true"),
    ];
    bed.secret("repository", &members);
    server.put(
        "/v2/team/files/tags/list?n=1000",
        Page::of(r#"{"tags": ["latest", "1.0.0", "2.0.0"]}"#),
    );
    let old = put("1.0.0", "old");
    let new = put("latest", "new");
    let of = |revision: &'static str| ChartRef {
        url: &url,
        chart: "",
        revision,
    };
    for (revision, digest, values) in [("1.x", &old, "old"), ("latest", &new, "new")] {
        let found = bed.values(&of(revision)).await.expect(revision);
        assert_eq!(found, (digest.clone(), values.to_owned()), "{revision}");
    }
    let keys = [("argocd", "one"), ("argocd", "two")].map(|(ns, name)| ObjectKey::new(ns, name));
    for key in &keys {
        bed.hub.follow(key, &[of("latest")]);
    }
    let catalog = bed.hub.catalog(of("latest").place().expect("a place"));
    assert!(catalog.needs_polls());
    assert!(bed.hub.moved_artifacts(&catalog).await.is_empty());
    a_push_makes_the_poll_due(&bed, &catalog, &server.address.to_string());
    let newer = put("latest", "newer");
    let mut moved = bed.hub.moved_artifacts(&catalog).await;
    moved.sort();
    assert_eq!(moved, keys);
    let found = bed.values(&of("latest")).await.expect("a tag");
    assert_eq!(found, (newer, "newer".to_owned()));
    for (revision, expected) in [("3.x", "no version"), ("none", "not found or no access")] {
        let error = bed.values(&of(revision)).await.expect_err(revision);
        assert!(error.contains(expected), "{error}");
    }
}

/// A push of `team/files` does, and one of another repository does not.
fn a_push_makes_the_poll_due(bed: &Bed, catalog: &Catalog, registry: &str) {
    *catalog.due.lock() = Timestamp::MAX;
    let pushed = |repository: &str| {
        bed.hub
            .poll_now(&[format!("oci://{registry}/{repository}")])
    };
    assert_eq!(
        (pushed("team/other"), *catalog.due.lock()),
        (0, Timestamp::MAX)
    );
    assert_eq!(
        (pushed("team/Files"), *catalog.due.lock()),
        (1, Timestamp::MIN)
    );
}
