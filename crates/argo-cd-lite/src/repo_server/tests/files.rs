//! Refs, commits, files and folders.

use super::{Served, client::Client};
use crate::{
    repo::charts::tests::server::{Page, Server, gzip, sha256, tar},
    repo_server::messages::*,
};

async fn resolve(
    client: &Client,
    served: &Served,
    revision: &str,
) -> Result<ResolveRevisionResponse, tonic::Status> {
    let spec = ApplicationSpec {
        source: Some(served.source("app")),
        ..ApplicationSpec::default()
    };
    let request = ResolveRevisionRequest {
        repo: Some(served.repository()),
        app: Some(Application { spec: Some(spec) }),
        ambiguous_revision: revision.to_owned(),
        ..ResolveRevisionRequest::default()
    };
    client.call("ResolveRevision", request).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn revisions_are_resolved_as_of_now() {
    let served = Served::new(true).await;
    let first = served.origin.write("app/a.yaml", "a: 1").commit("first");
    let client = served.client().await;
    let answer = resolve(&client, &served, "main").await.expect("a commit");
    assert_eq!(
        (answer.revision.as_str(), answer.ambiguous_revision),
        (first.as_str(), format!("main ({first})"))
    );
    let answer = resolve(&client, &served, "").await.expect("a commit");
    assert_eq!(answer.ambiguous_revision, format!("HEAD ({first})"));
    let answer = resolve(&client, &served, &first).await.expect("a commit");
    assert_eq!(answer.ambiguous_revision, first);
    let error = resolve(&client, &served, "none")
        .await
        .expect_err("no such branch");
    assert!(
        error.message().contains("unable to resolve 'none'"),
        "{error}"
    );
    let request = ResolveRevisionRequest {
        repo: Some(served.repository()),
        ..ResolveRevisionRequest::default()
    };
    let error = client
        .call::<_, ResolveRevisionResponse>("ResolveRevision", request)
        .await;
    assert_eq!(
        error.expect_err("no app").code(),
        tonic::Code::InvalidArgument
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refs_and_commits_are_described() {
    let served = Served::new(false).await;
    let commit = served
        .origin
        .write("app/a.yaml", "a: 1")
        .commit("why it is so");
    let client = served.client().await;
    let request = ListRefsRequest {
        repo: Some(served.repository()),
    };
    let refs: Refs = client.call("ListRefs", request).await.expect("refs");
    assert_eq!(
        (refs.branches, refs.tags),
        (vec!["main".to_owned()], vec![])
    );
    let metadata = |revision: &str| RepoServerRevisionMetadataRequest {
        repo: Some(served.repository()),
        revision: revision.to_owned(),
        check_signature: false,
    };
    let found: RevisionMetadata = client
        .call("GetRevisionMetadata", metadata(&commit))
        .await
        .expect("a commit");
    assert_eq!(
        (found.author.as_str(), found.message.trim()),
        ("t <t@example.com>", "why it is so")
    );
    assert!(found.date.is_some_and(|date| date.seconds > 1_600_000_000));
    for wrong in ["main", "0000000000000000000000000000000000000000"] {
        let error = client
            .call::<_, RevisionMetadata>("GetRevisionMetadata", metadata(wrong))
            .await;
        assert!(error.is_err(), "{wrong}");
    }
    let request = TestRepositoryRequest {
        repo: Some(served.repository()),
    };
    let tested: TestRepositoryResponse = client
        .call("TestRepository", request)
        .await
        .expect("a repository");
    assert!(tested.verified_repository);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_and_folders_are_found_in_both_modes() {
    let served = Served::new(false).await;
    served
        .origin
        .write("apps/a/config.json", "{}")
        .write("apps/b/c/config.json", "[]");
    served
        .origin
        .write("apps/a/Chart.yaml", "name: a\nversion: 1.0.0\n")
        .write("apps/.hidden/x.json", "1");
    served
        .origin
        .write("kust/kustomization.yaml", "resources: []\n")
        .commit("files");
    let client = served.client().await;
    let files = |path: &str, new: bool| GitFilesRequest {
        repo: Some(served.repository()),
        revision: "main".to_owned(),
        path: path.to_owned(),
        new_git_file_globbing_enabled: new,
        ..GitFilesRequest::default()
    };
    for (path, new, expected) in [
        (
            "apps/*/config.json",
            false,
            vec!["apps/a/config.json", "apps/b/c/config.json"],
        ),
        ("apps/*/config.json", true, vec!["apps/a/config.json"]),
        (
            "apps/**/config.json",
            true,
            vec!["apps/a/config.json", "apps/b/c/config.json"],
        ),
        ("apps/a/config.json", true, vec!["apps/a/config.json"]),
        ("none/*.json", true, vec![]),
    ] {
        let found: GitFilesResponse = client
            .call("GetGitFiles", files(path, new))
            .await
            .expect("files");
        assert_eq!(found.map.keys().collect::<Vec<_>>(), expected, "{path}");
    }
    let found: GitFilesResponse = client
        .call("GetGitFiles", files("apps/b/**", true))
        .await
        .expect("files");
    assert_eq!(found.map["apps/b/c/config.json"], b"[]");
    let request = GitDirectoriesRequest {
        repo: Some(served.repository()),
        revision: "main".to_owned(),
        ..GitDirectoriesRequest::default()
    };
    let found: GitDirectoriesResponse = client
        .call("GetGitDirectories", request)
        .await
        .expect("folders");
    assert_eq!(
        found.paths,
        ["apps", "apps/a", "apps/b", "apps/b/c", "kust"]
    );
    let request = ListAppsRequest {
        repo: Some(served.repository()),
        revision: "main".to_owned(),
        ..ListAppsRequest::default()
    };
    let found: AppList = client.call("ListApps", request).await.expect("apps");
    let apps: Vec<(&str, &str)> = found
        .apps
        .iter()
        .map(|(path, type_)| (path.as_str(), type_.as_str()))
        .collect();
    assert_eq!(apps, [("apps/a", "Helm"), ("kust", "Kustomize")]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_paths_that_differ_are_changes() {
    let served = Served::new(false).await;
    let old = served
        .origin
        .write("app/a.yaml", "a: 1")
        .write("other/b.yaml", "b: 1")
        .commit("old");
    let new = served.origin.write("other/b.yaml", "b: 2").commit("new");
    let client = served.client().await;
    for (paths, changes) in [
        (vec!["."], false),
        (vec!["/other"], true),
        (vec!["../other"], true),
        (vec!["a.yaml", "/none"], false),
        (vec!["/other/*.yaml"], true),
        (vec![], true),
    ] {
        let request = UpdateRevisionForPathsRequest {
            repo: Some(served.repository()),
            application_source: Some(served.source("app")),
            synced_revision: old.clone(),
            revision: "main".to_owned(),
            paths: paths.iter().map(ToString::to_string).collect(),
            no_revision_cache: true,
            ..UpdateRevisionForPathsRequest::default()
        };
        let answer: UpdateRevisionForPathsResponse = client
            .call("UpdateRevisionForPaths", request)
            .await
            .expect("an answer");
        assert_eq!(
            (answer.changes, answer.revision.as_str()),
            (changes, new.as_str()),
            "{paths:?}"
        );
    }
}

#[tokio::test]
async fn health_and_plugins_are_answered() {
    let served = Served::new(true).await;
    let client = served.client().await;
    let health: HealthCheckResponse = client
        .call_path(
            "/grpc.health.v1.Health/Check",
            HealthCheckRequest::default(),
        )
        .await
        .expect("health");
    assert_eq!(health.status, 1);
    let plugins: PluginList = client.call("ListPlugins", Empty {}).await.expect("plugins");
    assert!(plugins.items.is_empty());
    let error = client.call::<_, Empty>("NoSuchMethod", Empty {}).await;
    assert_eq!(
        error.expect_err("no such method").code(),
        tonic::Code::Unimplemented
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_author_of_an_artifact_says_is_told() {
    let registry = Server::start().await;
    let annotated = r#"{"layers": [], "annotations": {
        "org.opencontainers.image.created": "2026-11-01T00:00:00Z",
        "org.opencontainers.image.authors": "a, b",
        "org.opencontainers.image.documentation": "https://docs.example.com",
        "org.opencontainers.image.source": "https://git.example.com",
        "org.opencontainers.image.version": "1.2.3",
        "org.opencontainers.image.description": "a shop",
        "org.opencontainers.image.url": "https://not.shown"}}"#;
    registry
        .put("/v2/team/shop/manifests/1.2.3", Page::of(annotated))
        .put(
            "/v2/team/shop/manifests/plain",
            Page::of(r#"{"layers": [], "annotations": null}"#),
        );
    let served = Served::new(true).await;
    let client = served.client().await;
    let ask = async |revision: &str| {
        let request = RepoServerRevisionChartDetailsRequest {
            repo: Some(Repository {
                repo: format!("oci://{}/team/shop", registry.address),
                type_: "oci".to_owned(),
                insecure_oci_force_http: true,
                ..Repository::default()
            }),
            revision: revision.to_owned(),
            ..RepoServerRevisionChartDetailsRequest::default()
        };
        client
            .call::<_, OciMetadata>("GetOCIMetadata", request)
            .await
    };
    assert_eq!(
        ask("1.2.3").await.expect("annotations"),
        OciMetadata {
            created_at: "2026-11-01T00:00:00Z".to_owned(),
            authors: "a, b".to_owned(),
            docs_url: "https://docs.example.com".to_owned(),
            source_url: "https://git.example.com".to_owned(),
            version: "1.2.3".to_owned(),
            description: "a shop".to_owned(),
        }
    );
    let plain = ask("plain").await.expect("no annotations");
    assert_eq!(plain, OciMetadata::default());
    for missing in ["", "none", "../1.2.3"] {
        assert!(ask(missing).await.is_err(), "{missing}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_and_folders_of_an_artifact_are_listed() {
    let registry = Server::start().await;
    let layer = gzip(&tar(&[
        ("envs/test/config.json", "{}"),
        ("envs/prod/eu/config.json", "[]"),
        (".hidden/config.json", "no"),
        ("other.txt", "no"),
    ]));
    let digest = format!("sha256:{}", sha256(&layer));
    let manifest = serde_json::json!({"layers": [{
        "mediaType": "application/vnd.oci.image.layer.v1.tar+gzip",
        "digest": digest, "size": layer.len(),
    }]});
    let manifest = manifest.to_string();
    let of_manifest = format!("sha256:{}", sha256(manifest.as_bytes()));
    registry
        .put("/v2/team/envs/manifests/v1", Page::of(manifest.clone()))
        .put(
            &format!("/v2/team/envs/manifests/{of_manifest}"),
            Page::of(manifest),
        )
        .put(&format!("/v2/team/envs/blobs/{digest}"), Page::of(layer));
    let served = Served::new(true).await;
    let client = served.client().await;
    let repo = Repository {
        repo: format!("oci://{}/team/envs", registry.address),
        type_: "oci".to_owned(),
        insecure_oci_force_http: true,
        ..Repository::default()
    };
    let ask = async |repo: &Repository, glob: &str| {
        let request = OciFilesRequest {
            repo: Some(repo.clone()),
            revision: "v1".to_owned(),
            glob: glob.to_owned(),
            no_revision_cache: true,
        };
        let answer = client.call::<_, OciFilesResponse>("GetOciFiles", request);
        answer.await.map(|answer| answer.files)
    };
    let found = ask(&repo, "envs/**/config.json").await.expect("files");
    let found: Vec<(&str, &[u8])> = found
        .iter()
        .map(|(path, text)| (&**path, &**text))
        .collect();
    assert_eq!(
        found,
        [
            ("envs/prod/eu/config.json", b"[]".as_slice()),
            ("envs/test/config.json", b"{}"),
        ]
    );
    assert!(ask(&repo, "../*").await.is_err());
    assert!(ask(&served.repository(), "*").await.is_err(), "it is Git");

    let request = OciDirectoriesRequest {
        repo: Some(repo),
        revision: "v1".to_owned(),
        no_revision_cache: true,
    };
    let answer = client.call("GetOciDirectories", request).await;
    let answer: OciDirectoriesResponse = answer.expect("folders");
    assert_eq!(
        answer.paths,
        ["envs", "envs/prod", "envs/prod/eu", "envs/test"]
    );
}
