//! Renders and options of sources.

use std::collections::BTreeMap;

use serde_json::Value;

use super::Served;
use crate::repo::tests::large_files::{LfsServer, secret};
use crate::repo_server::messages::{
    ApplicationSource, ApplicationSourceDirectory, ApplicationSourceHelm, HelmParameter,
    ManifestRequest, ManifestResponse, RepoAppDetailsResponse, RepoServerAppDetailsQuery,
    Repository,
};

const MAP: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: m}\n";

fn request(served: &Served, source: ApplicationSource) -> ManifestRequest {
    ManifestRequest {
        repo: Some(served.repository()),
        revision: "main".to_owned(),
        app_name: "shop".to_owned(),
        namespace: "ns".to_owned(),
        application_source: Some(source),
        project_name: "default".to_owned(),
        ..ManifestRequest::default()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn manifests_carry_the_mark_of_their_application() {
    let served = Served::new(true).await;
    let commit = served.origin.write("app/m.yaml", MAP).commit("a map");
    let client = served.client().await;
    let answer: ManifestResponse = client
        .call("GenerateManifest", request(&served, served.source("app")))
        .await
        .expect("manifests");
    assert_eq!(
        (answer.revision, answer.source_type.as_str()),
        (commit, "Directory")
    );
    let [manifest] = answer.manifests.as_slice() else {
        panic!("{:?}", answer.manifests);
    };
    let manifest: Value = serde_json::from_str(manifest).expect("JSON");
    assert_eq!(
        manifest["metadata"]["annotations"]["argocd.argoproj.io/tracking-id"],
        "shop:/ConfigMap:ns/m"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn options_of_the_source_count() {
    let served = Served::new(false).await;
    served.origin.write("app/sub/m.yaml", MAP).commit("a map");
    let client = served.client().await;
    let flat: ManifestResponse = client
        .call("GenerateManifest", request(&served, served.source("app")))
        .await
        .expect("manifests");
    assert!(flat.manifests.is_empty());
    let source = ApplicationSource {
        directory: Some(ApplicationSourceDirectory {
            recurse: true,
            ..ApplicationSourceDirectory::default()
        }),
        ..served.source("app")
    };
    let deep: ManifestResponse = client
        .call("GenerateManifest", request(&served, source))
        .await
        .expect("manifests");
    assert_eq!(deep.manifests.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_rendered_is_an_error_with_its_reason() {
    let served = Served::new(false).await;
    served
        .origin
        .write("app/m.yaml", "kind: ConfigMap\n")
        .commit("no name");
    let client = served.client().await;
    for (path, text) in [
        ("none", "app path does not exist"),
        ("../x", "outside"),
        ("app", "apiVersion"),
    ] {
        let answer = client
            .call::<_, ManifestResponse>("GenerateManifest", request(&served, served.source(path)))
            .await;
        let error = answer.expect_err("an error");
        assert!(error.message().contains(text), "{path}: {error}");
    }
    let mut other = request(&served, served.source("app"));
    other
        .application_source
        .as_mut()
        .expect("a source")
        .repo_url = "https://git.example.com/other.git".to_owned();
    let error = client
        .call::<_, ManifestResponse>("GenerateManifest", other)
        .await;
    assert_eq!(
        error.expect_err("another repository").code(),
        tonic::Code::InvalidArgument
    );
    let empty = client
        .call::<_, ManifestResponse>("GenerateManifest", ManifestRequest::default())
        .await;
    assert_eq!(
        empty.expect_err("nothing").code(),
        tonic::Code::InvalidArgument
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_chart_shows_its_values_and_parameters() {
    let served = Served::new(false).await;
    served.origin.write("plain/m.yaml", MAP);
    served
        .origin
        .write("web/Chart.yaml", "name: web\nversion: 1.0.0\n");
    served
        .origin
        .write("web/values.yaml", "replicas: 1\nimage: {tag: a}\n");
    served
        .origin
        .write("web/values-prod.yaml", "replicas: 3\n")
        .commit("a chart");
    let client = served.client().await;
    let source = ApplicationSource {
        helm: Some(ApplicationSourceHelm {
            value_files: vec!["values-prod.yaml".to_owned()],
            parameters: vec![HelmParameter {
                name: "image.tag".to_owned(),
                value: "b".to_owned(),
                force_string: false,
            }],
            ..ApplicationSourceHelm::default()
        }),
        ..served.source("web")
    };
    let query = |source| RepoServerAppDetailsQuery {
        repo: Some(served.repository()),
        source: Some(source),
        app_name: "web".to_owned(),
        ..RepoServerAppDetailsQuery::default()
    };
    let details: RepoAppDetailsResponse = client
        .call("GetAppDetails", query(source))
        .await
        .expect("details");
    let helm = details.helm.expect("a chart");
    assert_eq!(
        (details.type_.as_str(), helm.name.as_str()),
        ("Helm", "web")
    );
    assert_eq!(helm.value_files, ["values-prod.yaml", "values.yaml"]);
    assert!(helm.values.contains("tag: a"));
    let parameters: BTreeMap<&str, &str> = helm
        .parameters
        .iter()
        .map(|one| (one.name.as_str(), one.value.as_str()))
        .collect();
    assert_eq!(
        parameters,
        BTreeMap::from([("image.tag", "b"), ("replicas", "3")])
    );
    let details = query(served.source("plain"));
    let details = RepoServerAppDetailsQuery {
        no_revision_cache: true,
        ..details
    };
    let details: RepoAppDetailsResponse = client
        .call("GetAppDetails", details)
        .await
        .expect("details");
    assert!(details.directory.is_some() && details.helm.is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pointers_are_their_contents_for_callers_that_say_so() {
    let served = Served::new(false).await;
    let server = LfsServer::start(served.origin.folder()).await;
    let pointer = server.keep(MAP);
    served.origin.write("app/m.yaml", &pointer).commit("a map");
    let known = secret(&server, &[("enableLfs", "true")]);
    served.credentials.set("r", Some(known));
    let client = served.client().await;
    let ask = async |enable_lfs: bool| {
        let repository = Repository {
            repo: server.url(),
            username: "git".to_owned(),
            password: "hush".to_owned(),
            enable_lfs,
            ..Repository::default()
        };
        let source = ApplicationSource {
            repo_url: server.url(),
            ..served.source("app")
        };
        let request = ManifestRequest {
            repo: Some(repository),
            ..request(&served, source)
        };
        let answer: Result<ManifestResponse, _> = client.call("GenerateManifest", request).await;
        answer.expect("manifests").manifests
    };
    assert_eq!(ask(true).await.len(), 1);
    assert_eq!(served.stores(), 1, "the controller's own store is used");
    // A pointer is no manifest.
    assert!(ask(false).await.is_empty());
}
