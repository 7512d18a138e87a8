//! Tokens of EKS: `config.awsAuthConfig` of a cluster Secret.
//!
//! A token is a signed call of STS, `GetCallerIdentity`, that EKS makes in our place: the answer tells it who we are. The
//! signature covers the id of the cluster, so that one cluster cannot use the token at another.

use std::time::Duration;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use futures::future::BoxFuture;
use http::{Uri, request::Parts};
use jiff::{SignedDuration, Timestamp};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reconcile_core::{
    aws::{self, Account, Accounts, Environment, SigningError},
    client::TokenError,
    clock::Clock,
};
use reqsign_aws_v4::Credential;
use reqsign_core::{
    Context, Error, SignRequest, Signer,
    hash::{hex_hmac_sha256, hex_sha256, hmac_sha256},
};
use serde::Deserialize;

use super::{
    credentials::ConfigError,
    tokens::{Token, TokenProvider},
};

/// Time to get credentials. Requests to a cluster have 30 s altogether.
const DEADLINE: Duration = Duration::from_secs(20);
/// STS accepts the call for 15 minutes, whatever it says itself.
const ACCEPTED: SignedDuration = SignedDuration::from_mins(14);
/// Seconds that the call says; servers of old refuse more.
const EXPIRES: &str = "60";
/// How sessions of assumed roles are named in AWS's log.
const SESSION_NAME: &str = "argo-cd-lite";
/// What AWS does not encode.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~');

/// The member as upstream has it.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct RawAws {
    cluster_name: String,
    #[serde(rename = "roleARN")]
    role_arn: String,
    profile: String,
}

/// How tokens of a cluster of EKS are made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AwsLogin {
    cluster: String,
    role_arn: String,
    profile: String,
}

impl AwsLogin {
    pub(super) fn parse(raw: RawAws) -> Result<Self, ConfigError> {
        let wrong = |problem| ConfigError::Field {
            field: "awsAuthConfig.clusterName",
            problem,
        };
        if raw.cluster_name.is_empty() {
            return Err(wrong("is missing"));
        }
        // It is a line of what is signed.
        if !raw.cluster_name.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(wrong("has other characters than visible ones of ASCII"));
        }
        Ok(Self {
            cluster: raw.cluster_name,
            role_arn: raw.role_arn,
            profile: raw.profile,
        })
    }

    /// What gives the tokens, with the credentials of this process.
    pub(super) fn provider(&self, environment: Environment, clock: Clock) -> EksTokens {
        EksTokens {
            login: self.clone(),
            accounts: Accounts::new(environment.clone(), SESSION_NAME),
            environment,
            clock,
            signer: tokio::sync::Mutex::default(),
        }
    }
}

/// Makes tokens of a cluster of EKS.
pub(super) struct EksTokens {
    login: AwsLogin,
    accounts: Accounts,
    environment: Environment,
    clock: Clock,
    /// Keeps the credentials; made with the first token, because the region may be missing.
    signer: tokio::sync::Mutex<Option<Signer<Credential>>>,
}

impl EksTokens {
    async fn make(&self) -> Result<Token, TokenError> {
        let failed = |what: &str| TokenError(format!("awsAuthConfig: {what}"));
        let region = aws::region(&self.environment)
            .filter(|region| is_region(region))
            .ok_or_else(|| {
                failed("no region: set AWS_REGION in the environment of the controller")
            })?;
        let signer = self.signer(&region).await;
        let now = self.clock.now();
        let request = http::Request::get(format!("https://{}/", host(&region))).body(());
        let request = request.map_err(|_| failed("the region makes no name of a host"))?;
        let mut parts = request.into_parts().0;
        let signed = signer.sign(&mut parts, None).await;
        signed.map_err(|error| failed(&SigningError::from(error).to_string()))?;
        let text = URL_SAFE_NO_PAD.encode(parts.uri.to_string());
        Token::bearer(&format!("k8s-aws-v1.{text}"), Some(now + ACCEPTED))
            .ok_or_else(|| failed("the signature makes no token"))
    }

    async fn signer(&self, region: &str) -> Signer<Credential> {
        let mut kept = self.signer.lock().await;
        if let Some(signer) = kept.as_ref() {
            return signer.clone();
        }
        let account = Account {
            region: region.to_owned(),
            profile: self.login.profile.clone(),
            role_arn: self.login.role_arn.clone(),
        };
        let how = CallerIdentity {
            region: region.to_owned(),
            cluster: self.login.cluster.clone(),
            clock: self.clock.clone(),
        };
        kept.insert(self.accounts.signer(&account, how)).clone()
    }
}

impl TokenProvider for EksTokens {
    fn token(&self) -> BoxFuture<'_, Result<Token, TokenError>> {
        Box::pin(async {
            let made = tokio::time::timeout(DEADLINE, self.make()).await;
            made.unwrap_or_else(|_| {
                let seconds = DEADLINE.as_secs();
                Err(TokenError(format!(
                    "awsAuthConfig: no credentials within {seconds} s"
                )))
            })
        })
    }
}

/// A name that can be part of that of a host.
fn is_region(region: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    region.bytes().all(fits)
}

fn host(region: &str) -> String {
    format!("sts.{region}.{}", aws::domain(region))
}

/// Signs the call by its query: EKS makes it, and adds no header but the id of the cluster. The hash of the body, which
/// the library leaves out of such signatures, is that of an empty one.
#[derive(Debug)]
struct CallerIdentity {
    region: String,
    cluster: String,
    clock: Clock,
}

impl CallerIdentity {
    fn query(&self, credential: &Credential, now: Timestamp) -> String {
        let Self {
            region, cluster, ..
        } = self;
        let date = now.strftime("%Y%m%d").to_string();
        let time = now.strftime("%Y%m%dT%H%M%SZ").to_string();
        let scope = format!("{date}/{region}/sts/aws4_request");
        let key = format!("{}/{scope}", credential.access_key_id);
        // Sorted, as what is signed must be.
        let members = [
            ("Action", Some("GetCallerIdentity")),
            ("Version", Some("2011-06-15")),
            ("X-Amz-Algorithm", Some("AWS4-HMAC-SHA256")),
            ("X-Amz-Credential", Some(&*key)),
            ("X-Amz-Date", Some(&*time)),
            ("X-Amz-Expires", Some(EXPIRES)),
            ("X-Amz-Security-Token", credential.session_token.as_deref()),
            ("X-Amz-SignedHeaders", Some("host;x-k8s-aws-id")),
        ];
        let members = members.into_iter().filter_map(|(name, value)| {
            let value = utf8_percent_encode(value?, ENCODED);
            Some(format!("{name}={value}"))
        });
        let query = members.collect::<Vec<_>>().join("&");
        let host = host(region);
        let request = format!(
            "GET\n/\n{query}\nhost:{host}\nx-k8s-aws-id:{cluster}\n\nhost;x-k8s-aws-id\n{}",
            hex_sha256(b"")
        );
        let hash = hex_sha256(request.as_bytes());
        let signed = format!("AWS4-HMAC-SHA256\n{time}\n{scope}\n{hash}");
        let secret = format!("AWS4{}", credential.secret_access_key);
        let mut key = hmac_sha256(secret.as_bytes(), date.as_bytes());
        for part in [region, "sts", "aws4_request"] {
            key = hmac_sha256(&key, part.as_bytes());
        }
        let signature = hex_hmac_sha256(&key, signed.as_bytes());
        format!("{query}&X-Amz-Signature={signature}")
    }
}

impl SignRequest for CallerIdentity {
    type Credential = Credential;

    async fn sign_request(
        &self,
        _: &Context,
        request: &mut Parts,
        credential: Option<&Credential>,
        _: Option<Duration>,
    ) -> Result<(), Error> {
        let credential =
            credential.ok_or_else(|| Error::credential_invalid("there are no credentials"))?;
        let query = self.query(credential, self.clock.now());
        let uri: Result<Uri, _> = format!("https://{}/?{query}", host(&self.region)).parse();
        request.uri = uri.map_err(|_| Error::request_invalid("the signature makes no URL"))?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, sync::Arc};

    use serde_json::json;

    use super::*;

    fn credential(session: Option<&str>) -> Credential {
        Credential {
            access_key_id: "AKIDEXAMPLE".to_owned(),
            secret_access_key: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY".to_owned(),
            session_token: session.map(str::to_owned),
            expires_in: None,
        }
    }

    fn clock() -> Clock {
        Clock::manual("2026-07-30T08:00:00Z".parse().expect("a time"))
    }

    #[test]
    fn the_signature_is_that_of_the_sdk() {
        // Recorded with botocore 1.44 (SigV4QueryAuth) for the same time, keys and header.
        let recorded = [
            (
                None,
                "0d44ee6612535ca9c6859cf1dcf1db2a33a6addf3506b4e87102cf9c45447d63",
            ),
            (
                Some("Fwo/Gzip+Y=="),
                "6e2f4b28ed3573c796f768933c70ca9b1965a838e4c9b169864077eb49424fdc",
            ),
        ];
        let identity = CallerIdentity {
            region: "eu-west-1".to_owned(),
            cluster: "edge".to_owned(),
            clock: clock(),
        };
        for (session, signature) in recorded {
            let query = identity.query(&credential(session), clock().now());
            let (_, found) = query.rsplit_once("&X-Amz-Signature=").expect("signed");
            assert_eq!(found, signature, "{query}");
            assert!(query.contains("X-Amz-Credential=AKIDEXAMPLE%2F20260730%2Feu-west-1%2Fsts%2F"));
        }
    }

    fn login(config: &serde_json::Value) -> Result<AwsLogin, ConfigError> {
        let raw = serde_json::from_value(config.clone()).expect("the form");
        AwsLogin::parse(raw)
    }

    fn environment(variables: &[(&str, &str)]) -> Environment {
        let variables: BTreeMap<String, String> = (variables.iter())
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        Arc::new(move |name| variables.get(name).cloned())
    }

    const KEYS: [(&str, &str); 2] = [
        ("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE"),
        ("AWS_SECRET_ACCESS_KEY", "hush"),
    ];

    #[tokio::test]
    async fn a_token_is_the_signed_url_and_ends_before_sts_refuses_it() {
        let login = login(&json!({"clusterName": "edge"})).expect("a login");
        let environment = environment(&[KEYS[0], KEYS[1], ("AWS_DEFAULT_REGION", "cn-north-1")]);
        let token = login.provider(environment, clock()).token().await;
        let token = token.expect("a token");
        let text = token.authorization.to_str().expect("text");
        let encoded = text.strip_prefix("Bearer k8s-aws-v1.").expect("the prefix");
        let url = URL_SAFE_NO_PAD.decode(encoded).expect("base64");
        let url = String::from_utf8(url).expect("text");
        let begin = "https://sts.cn-north-1.amazonaws.com.cn/?Action=GetCallerIdentity&";
        assert!(url.starts_with(begin), "{url}");
        assert_eq!(token.until, Some(clock().now() + ACCEPTED));
    }

    #[tokio::test]
    async fn what_is_missing_is_named_and_no_secret_is() {
        for (config, problem) in [
            (json!({"roleARN": "r"}), "is missing"),
            (json!({"clusterName": "a b"}), "visible ones"),
            (json!({"clusterName": "a\nb"}), "visible ones"),
        ] {
            let error = login(&config).expect_err("refused").to_string();
            assert!(error.contains(problem), "{error}");
        }
        let login = login(&json!({"clusterName": "edge"})).expect("a login");
        let region = ("AWS_REGION", "eu-west-1");
        let nobody = ("AWS_EC2_METADATA_DISABLED", "true");
        for (variables, problem) in [
            (vec![KEYS[0], KEYS[1]], "no region: set AWS_REGION"),
            (
                vec![KEYS[0], KEYS[1], ("AWS_REGION", "x/../y")],
                "no region: set AWS_REGION",
            ),
            (vec![region, nobody, KEYS[1]], "cannot sign the request"),
        ] {
            let provider = login.provider(environment(&variables), clock());
            let error = provider.token().await.expect_err("no token").to_string();
            assert!(error.contains(problem), "{error}");
            assert!(!error.contains("hush"), "{error}");
        }
    }
}
