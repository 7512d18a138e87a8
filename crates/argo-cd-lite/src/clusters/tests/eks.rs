//! Tokens of EKS on moto, which plays STS: a role is assumed, and the token is asked whose it is, as EKS does.

use std::{
    path::PathBuf,
    process::{Child, Command, Stdio},
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use reconcile_core::testkit::skip_where;
use reqwest::Url;

use super::*;
use crate::clusters::{
    aws::AwsLogin,
    tokens::{KeptTokens, TokenProvider},
};

const ROLE: &str = "arn:aws:iam::123456789012:role/deployer";

/// `moto_server`; killed when dropped.
struct Moto {
    process: Child,
    address: String,
}

impl Drop for Moto {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

impl Moto {
    /// `None` where it is not installed; the test counts as skipped then.
    async fn start() -> Option<Self> {
        install_tls();
        let path = std::env::var_os("PATH").unwrap_or_default();
        let mut folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
        folders.extend(std::env::home_dir().map(|home| home.join(".cache/argo-lite-bed/moto/bin")));
        let program = (folders.into_iter())
            .map(|folder| folder.join("moto_server"))
            .find(|file| file.is_file());
        let Some(program) = program else {
            let allowed = ["ALLOW_SKIPS", "SKIP_SERVERS"];
            skip_where(&allowed, "no moto_server: run `make servers`");
            return None;
        };
        let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = free.local_addr().expect("an address").port();
        drop(free);
        let process = Command::new(program)
            .args(["-H", "127.0.0.1", "-p", &port.to_string()])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("moto starts");
        let address = format!("http://127.0.0.1:{port}");
        let moto = Self { process, address };
        let answers = async {
            while reqwest::get(&moto.address).await.is_err() {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        let answered = tokio::time::timeout(Duration::from_secs(60), answers).await;
        answered.expect("moto answers");
        Some(moto)
    }

    /// What STS says of a token, asked as EKS asks.
    async fn identity(&self, authorization: &str, cluster: &str) -> String {
        let token = authorization.strip_prefix("Bearer k8s-aws-v1.");
        let url = URL_SAFE_NO_PAD.decode(token.expect("a token"));
        let url = String::from_utf8(url.expect("base64")).expect("text");
        let url: Url = url.parse().expect("a URL");
        let host = url.host_str().expect("a host");
        assert_eq!(host, "sts.eu-west-1.amazonaws.com");
        let query = url.query().expect("a query");
        // Moto finds the service and the key in this header only, and checks no signature.
        let member = |name: &str| {
            let found = url.query_pairs().find(|(key, _)| key == name);
            found.expect("a member").1.into_owned()
        };
        let credential = member("X-Amz-Credential");
        assert_eq!(member("X-Amz-SignedHeaders"), "host;x-k8s-aws-id");
        let request = reqwest::Client::new()
            .get(format!("{}/?{query}", self.address))
            .header("host", host)
            .header(
                "authorization",
                format!("AWS4-HMAC-SHA256 Credential={credential}"),
            )
            .header("x-k8s-aws-id", cluster);
        let answer = request.send().await.expect("an answer");
        answer.text().await.expect("text")
    }
}

fn environment(moto: &Moto) -> reconcile_core::aws::Environment {
    let address = moto.address.clone();
    Arc::new(move |name: &str| {
        let value = match name {
            "AWS_REGION" => "eu-west-1",
            "AWS_ACCESS_KEY_ID" => "AKIAIOSFODNN7EXAMPLE",
            "AWS_SECRET_ACCESS_KEY" => "hush",
            "AWS_ENDPOINT_URL_STS" => &address,
            _ => return None,
        };
        Some(value.to_owned())
    })
}

fn login(config: serde_json::Value) -> AwsLogin {
    AwsLogin::parse(serde_json::from_value(config).expect("the form")).expect("a login")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_that_of_the_role_which_is_assumed() {
    let Some(moto) = Moto::start().await else {
        return;
    };
    let clock = Clock::system();
    let role = login(json!({"clusterName": "edge", "roleARN": ROLE}));
    let provider = role.provider(environment(&moto), clock.clone());
    let tokens = KeptTokens::new(Box::new(provider), clock.clone());
    let token = reconcile_core::client::TokenSource::authorization(&tokens).await;
    let token = token.expect("a token");
    let said = moto.identity(token.to_str().expect("text"), "edge").await;
    let arn = "arn:aws:sts::123456789012:assumed-role/deployer/argo-cd-lite";
    assert!(said.contains(arn), "{said}");

    // Without a role it is the account's own.
    let own = login(json!({"clusterName": "edge"})).provider(environment(&moto), clock.clone());
    let token = own.token().await.expect("a token");
    let said = moto.identity(token.authorization.to_str().expect("text"), "edge");
    let said = said.await;
    assert!(
        said.contains("<Arn>") && !said.contains("assumed-role"),
        "{said}"
    );

    // A role that cannot be assumed is an error without secrets.
    let wrong = login(json!({"clusterName": "edge", "roleARN": "no role"}));
    let error = wrong.provider(environment(&moto), clock).token().await;
    let error = error.expect_err("no token").to_string();
    assert!(
        error.contains("awsAuthConfig") && !error.contains("hush"),
        "{error}"
    );
}
