//! Callers that are wrong, slow, or not who they say.

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::{Served, soon};
use crate::{
    render::Logins,
    repo_server::{
        messages::{
            Empty, GitFilesRequest, GitFilesResponse, HealthCheckRequest, HealthCheckResponse,
            ListRefsRequest, PluginList, Refs, RepoCreds, Repository, TestRepositoryRequest,
            TestRepositoryResponse,
        },
        reach::Offered,
    },
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn paths_do_not_lead_out_of_the_repository() {
    let served = Served::new(false).await;
    served.origin.write("a.json", "{}").commit("a file");
    let client = served.client().await;
    for path in ["/etc/passwd", "../../etc/passwd", "a/../../b"] {
        let request = GitFilesRequest {
            repo: Some(served.repository()),
            revision: "main".to_owned(),
            path: path.to_owned(),
            ..GitFilesRequest::default()
        };
        let answer = client
            .call::<_, GitFilesResponse>("GetGitFiles", request)
            .await;
        assert_eq!(
            answer.expect_err("outside").code(),
            tonic::Code::InvalidArgument,
            "{path}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_with_other_credentials_uses_stores_of_its_own() {
    let served = Served::new(false).await;
    served.origin.write("a.json", "{}").commit("a file");
    let client = served.client().await;
    let with = |password: &str| Repository {
        password: password.to_owned(),
        ..served.repository()
    };
    let stores = || served.stores();
    let request = ListRefsRequest {
        repo: Some(with("of the caller")),
    };
    let refs: Refs = client.call("ListRefs", request).await.expect("refs");
    assert_eq!(refs.branches, ["main"]);
    assert_eq!(stores(), 0, "nothing is kept for others");
    // The controller has these ones by now.
    let secret = with("of the caller").secret();
    served.credentials.set("known", secret);
    let request = GitFilesRequest {
        repo: Some(with("of the caller")),
        revision: "main".to_owned(),
        path: "a.json".to_owned(),
        ..GitFilesRequest::default()
    };
    let found: GitFilesResponse = client.call("GetGitFiles", request).await.expect("files");
    assert_eq!((found.map.len(), stores()), (1, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_type_that_a_caller_names_opens_no_credentials_of_the_controller() {
    let served = Served::new(false).await;
    served.origin.write("a.json", "{}").commit("a file");
    let private = Repository {
        password: "of the controller".to_owned(),
        ..served.repository()
    };
    served.credentials.set("known", private.secret());
    let client = served.client().await;
    let typed = |type_: &str| ListRefsRequest {
        repo: Some(Repository {
            type_: type_.to_owned(),
            ..served.repository()
        }),
    };
    let stores = || served.stores();
    for type_ in ["", "git", "helm"] {
        let answer: Result<Refs, _> = client.call("ListRefs", typed(type_)).await;
        assert!(answer.is_ok(), "the repository itself asks for no password");
        assert_eq!(stores(), 0, "{type_}: not the stores of the controller");
    }
    let answer: Result<Refs, _> = client.call("ListRefs", typed("other")).await;
    assert_eq!(
        answer.expect_err("no such type").code(),
        tonic::Code::InvalidArgument
    );
}

#[tokio::test]
async fn what_a_source_names_is_opened_with_the_credentials_of_the_call_only() {
    let served = Served::new(false).await;
    let charts = |password: &str| Repository {
        repo: "https://charts.example.com/shop".to_owned(),
        type_: "helm".to_owned(),
        username: "u".to_owned(),
        password: password.to_owned(),
        ..Repository::default()
    };
    let template = |password: &str| RepoCreds {
        url: "https://git.example.com/shop".to_owned(),
        password: password.to_owned(),
        ..RepoCreds::default()
    };
    let known = |one: &str| charts(one).secret();
    served.credentials.set("charts", known("of the controller"));
    let own = template("of the controller").secret();
    served.credentials.set("template", own);
    let below = "https://git.example.com/shop/base";
    let open = async |repos: &[Repository], templates: &[RepoCreds]| {
        let offered = Offered { repos, templates };
        let main = served.repository();
        let reach = served.repositories.reach(&[&main], offered).await;
        match reach.expect("stores").logins {
            Logins::Shared { controller, caller } => Some(
                [&charts("").repo, below, "https://git.example.com/public"]
                    .map(|url| controller.agrees_with(&caller, url)),
            ),
            Logins::Controller => panic!("no call has the rights of the controller"),
            Logins::Call(_) => None,
        }
    };
    assert_eq!(open(&[], &[]).await, Some([false, false, true]));
    let repos = [charts("of the controller")];
    assert_eq!(open(&repos, &[]).await, Some([true, false, true]));
    let templates = [template("of the controller")];
    assert_eq!(open(&repos, &templates).await, Some([true; 3]));
    // Other credentials serve for this call, in stores of its own.
    assert_eq!(open(&[charts("of the caller")], &templates).await, None);
    assert_eq!(open(&repos, &[template("of the caller")]).await, None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_repository_that_cannot_be_reached_is_an_error_without_its_password() {
    let served = Served::new(false).await;
    let client = served.client().await;
    for repo in [
        "http://someone:hush@127.0.0.1:1/x.git",
        "file:///no/such/folder",
    ] {
        let request = TestRepositoryRequest {
            repo: Some(Repository {
                repo: repo.to_owned(),
                username: "someone".to_owned(),
                password: "hush".to_owned(),
                ..Repository::default()
            }),
        };
        let answer = client
            .call::<_, TestRepositoryResponse>("TestRepository", request)
            .await;
        let error = answer.expect_err("unreachable");
        assert!(
            !error.message().is_empty() && !error.message().contains("hush"),
            "{error}"
        );
    }
    let request = TestRepositoryRequest {
        repo: Some(Repository {
            repo: "https://git.example.com/x.git".to_owned(),
            gcp_service_account_key: "{}".to_owned(),
            ..Repository::default()
        }),
    };
    let answer = client
        .call::<_, TestRepositoryResponse>("TestRepository", request)
        .await;
    let error = answer.expect_err("not supported");
    assert!(error.message().contains("gcpServiceAccountKey"), "{error}");
}

#[tokio::test]
async fn a_message_that_is_too_large_is_refused_and_the_connection_stays() {
    let served = Served::new(false).await;
    let client = served.client().await;
    let request = ListRefsRequest {
        repo: Some(Repository {
            repo: "x".repeat(17 << 20),
            ..Repository::default()
        }),
    };
    let answer = client.call::<_, Refs>("ListRefs", request).await;
    assert_eq!(
        answer.expect_err("too large").code(),
        tonic::Code::OutOfRange
    );
    let plugins: PluginList = client.call("ListPlugins", Empty {}).await.expect("plugins");
    assert!(plugins.items.is_empty());
}

#[tokio::test]
async fn bytes_that_are_no_calls_end_their_connection_only() {
    let served = Served::new(true).await;
    for bytes in [b"GET / HTTP/1.1\r\n\r\n".to_vec(), vec![0xff; 4096]] {
        let mut stream = TcpStream::connect(("127.0.0.1", served.port))
            .await
            .expect("a connection");
        stream.write_all(&bytes).await.expect("a write");
        let mut rest = Vec::new();
        // A reset is an end, too.
        drop(soon("the end of the connection", stream.read_to_end(&mut rest)).await);
    }
    let client = served.client().await;
    let health: HealthCheckResponse = client
        .call_path(
            "/grpc.health.v1.Health/Check",
            HealthCheckRequest::default(),
        )
        .await
        .expect("health");
    assert_eq!(health.status, 1);
}
