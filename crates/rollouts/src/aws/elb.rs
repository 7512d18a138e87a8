//! The API of load balancers (Elastic Load Balancing v2). Requests are made one at a time, answers are kept for a
//! moment and shared by all Rollouts, and while AWS does not answer nobody asks again: the limits of the API are those
//! of the whole account.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, OnceLock},
    time::Duration,
};

use futures::{FutureExt, future::BoxFuture};
use reconcile_core::{
    aws::{self, Account, Accounts, Environment},
    egress::EgressPolicy,
    error::error_chain,
};
use reqsign_aws_v4::{Credential, RequestSigner};
use reqsign_core::Signer;
use reqwest::{
    Client, Method, Url,
    header::{CONTENT_TYPE, HeaderMap, HeaderValue},
    redirect::Policy,
};
use tokio::{sync::Mutex, time::Instant};
use url::form_urlencoded;

use super::{
    answers::{
        self, BalancersPage, GroupsPage, HealthPage, ListenersPage, Page, Refusal, RulesPage,
        TagsPage,
    },
    load_balancers::{AwsError, LoadBalancer, LoadBalancers, Share, Target, TargetGroup},
};

/// How sessions of assumed roles are named in AWS's log.
const SESSION_NAME: &str = "rollouts";
const SERVICE: &str = "elasticloadbalancing";
/// Version of the API.
const VERSION: &str = "2015-12-01";
/// Time for one request, and for everything that is asked about a load balancer.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(10);
/// How long an answer is good: less than the pause before a weight is verified again.
const FRESH: Duration = Duration::from_secs(3);
/// How long nobody asks after a failure.
const AWAY: Duration = Duration::from_secs(5);
/// Pages of one list.
const MOST_PAGES: usize = 50;
/// Load balancers on a page, the most that AWS gives.
const PAGE_SIZE: &str = "400";
/// Target groups whose tags one request may ask for.
const MOST_TAGGED: usize = 20;
/// Bytes of one answer.
const LARGEST_ANSWER: usize = 4 * 1024 * 1024;
/// Load balancers that are remembered.
const MOST_KEPT: usize = 256;

/// A load balancer, or that there is none.
type Found = Result<Option<Arc<LoadBalancer>>, AwsError>;

/// The API of load balancers, with the credentials of the process.
pub(crate) struct Elb {
    environment: Environment,
    accounts: Accounts,
    /// Made when it is first needed. It keeps its credentials until they expire.
    signer: OnceLock<Signer<Credential>>,
    egress: EgressPolicy,
    kept: Mutex<Kept>,
}

/// What was answered.
#[derive(Default)]
struct Kept {
    client: Option<Client>,
    /// Names and ARNs by DNS name, which never lead to another load balancer.
    names: HashMap<String, (String, String)>,
    balancers: HashMap<String, (Instant, Arc<LoadBalancer>)>,
    failed: Option<(Instant, AwsError)>,
}

impl fmt::Debug for Elb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Elb")
    }
}

impl Elb {
    /// The API that `environment` leads to: region, credentials and, where it has one, the address.
    pub(crate) fn new(environment: Environment) -> Self {
        Self {
            accounts: Accounts::new(Arc::clone(&environment), SESSION_NAME),
            signer: OnceLock::new(),
            environment,
            egress: EgressPolicy::of_flag("AWS_ENDPOINT_URL", false),
            kept: Mutex::default(),
        }
    }

    /// Where the API of the region is. The environment may say otherwise, as for AWS's SDKs.
    fn endpoint(&self, region: &str) -> Result<Url, AwsError> {
        let names = [
            "AWS_ENDPOINT_URL_ELASTIC_LOAD_BALANCING_V2",
            "AWS_ENDPOINT_URL",
        ];
        let address = aws::variable(&self.environment, &names).unwrap_or_else(|| {
            format!(
                "https://elasticloadbalancing.{region}.{}/",
                aws::domain(region)
            )
        });
        let url =
            Url::parse(&address).map_err(|error| AwsError::Setup(format!("{address}: {error}")))?;
        self.egress
            .check(&url)
            .map_err(|error| AwsError::Setup(error.to_string()))?;
        Ok(url)
    }

    /// The load balancer behind `host`, from what is kept or from AWS.
    async fn find(&self, kept: &mut Kept, host: &str) -> Found {
        let client = self.client(kept)?;
        if !kept.names.contains_key(host) {
            let size = [("PageSize", PAGE_SIZE.to_owned())];
            let all = self
                .list::<BalancersPage>(&client, "DescribeLoadBalancers", &size)
                .await?;
            // AWS writes names as it likes; DNS does not tell cases apart.
            let own = all
                .into_iter()
                .find(|found| found.dns_name.eq_ignore_ascii_case(host));
            let Some(own) = own else {
                return Ok(None);
            };
            if kept.names.len() >= MOST_KEPT {
                kept.names.clear();
            }
            let names = (own.load_balancer_name, own.load_balancer_arn);
            kept.names.insert(host.to_owned(), names);
        }
        let Some((name, arn)) = kept.names.get(host).cloned() else {
            return Ok(None);
        };
        let found = Arc::new(self.describe(&client, name, arn).await?);
        if kept.balancers.len() >= MOST_KEPT {
            kept.balancers.clear();
        }
        let entry = (Instant::now(), Arc::clone(&found));
        kept.balancers.insert(host.to_owned(), entry);
        Ok(Some(found))
    }

    async fn describe(
        &self,
        client: &Client,
        name: String,
        arn: String,
    ) -> Result<LoadBalancer, AwsError> {
        let of_balancer = [("LoadBalancerArn", arn.clone())];
        let groups = self
            .list::<GroupsPage>(client, "DescribeTargetGroups", &of_balancer)
            .await?;
        let mut groups: Vec<TargetGroup> = groups
            .into_iter()
            .map(|item| TargetGroup {
                name: item.target_group_name,
                arn: item.target_group_arn,
                tags: Vec::new(),
            })
            .collect();
        for batch in groups.chunks_mut(MOST_TAGGED) {
            let arns: Vec<(String, String)> = batch
                .iter()
                .zip(1..)
                .map(|(group, number)| (format!("ResourceArns.member.{number}"), group.arn.clone()))
                .collect();
            let tags = self.list::<TagsPage>(client, "DescribeTags", &arns).await?;
            for item in tags {
                let tags = item
                    .tags
                    .members
                    .into_iter()
                    .map(|tag| (tag.key, tag.value));
                let mut own = batch.iter_mut();
                if let Some(group) = own.find(|group| group.arn == item.resource_arn) {
                    group.tags = tags.collect();
                }
            }
        }
        let listeners = self
            .list::<ListenersPage>(client, "DescribeListeners", &of_balancer)
            .await?;
        let mut rules = Vec::new();
        for listener in listeners {
            let of_listener = [("ListenerArn", listener.listener_arn)];
            let found = self
                .list::<RulesPage>(client, "DescribeRules", &of_listener)
                .await?;
            let actions = found.into_iter().flat_map(|rule| rule.actions.members);
            let forwards = actions.filter_map(|action| action.forward_config);
            rules.extend(forwards.map(|forward| {
                let shares = forward.target_groups.members.into_iter();
                let shares = shares.map(|item| Share {
                    group: item.target_group_arn,
                    weight: item.weight.unwrap_or(1),
                });
                shares.collect()
            }));
        }
        Ok(LoadBalancer {
            name,
            arn,
            groups,
            rules,
        })
    }

    /// All elements of a list.
    async fn list<P: Page>(
        &self,
        client: &Client,
        operation: &str,
        parameters: &[(impl AsRef<str>, String)],
    ) -> Result<Vec<P::Item>, AwsError> {
        let mut all = Vec::new();
        let mut marker: Option<String> = None;
        for _ in 0..MOST_PAGES {
            let form = form(operation, parameters, marker.as_deref());
            let body = self.call(client, form).await?;
            let (mut items, next) = answers::result::<P>(&body)?.take();
            all.append(&mut items);
            marker = next;
            if marker.is_none() {
                return Ok(all);
            }
        }
        let message = format!("{operation} has more than {MOST_PAGES} pages");
        Err(AwsError::Answer(message))
    }

    async fn call(&self, client: &Client, body: String) -> Result<String, AwsError> {
        let region = aws::region(&self.environment)
            .ok_or_else(|| AwsError::Setup("no region: set AWS_REGION".to_owned()))?;
        let url = self.endpoint(&region)?;
        let mut headers = HeaderMap::new();
        let form = HeaderValue::from_static("application/x-www-form-urlencoded; charset=utf-8");
        headers.insert(CONTENT_TYPE, form);
        let signer = self.signer(&region);
        let target = (&Method::POST, &url);
        aws::sign(&signer, target, &mut headers, body.as_bytes())
            .await
            .map_err(|error| AwsError::Unavailable(error.to_string()))?;
        let request = client.post(url).headers(headers).body(body).send();
        let mut response = request.await.map_err(unavailable)?;
        let status = response.status();
        let mut bytes = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(unavailable)? {
            if bytes.len() + chunk.len() > LARGEST_ANSWER {
                let message = format!("it is larger than {LARGEST_ANSWER} bytes");
                return Err(AwsError::Answer(message));
            }
            bytes.extend_from_slice(&chunk);
        }
        let text = String::from_utf8(bytes).map_err(|error| AwsError::Answer(error.to_string()))?;
        if status.is_success() {
            return Ok(text);
        }
        Err(refusal(status, &text))
    }

    fn signer(&self, region: &str) -> Signer<Credential> {
        let own = self.signer.get_or_init(|| {
            let account = Account {
                region: region.to_owned(),
                profile: String::new(),
                role_arn: String::new(),
            };
            let how = RequestSigner::new(SERVICE, region);
            self.accounts.signer(&account, how)
        });
        own.clone()
    }

    fn client(&self, kept: &mut Kept) -> Result<Client, AwsError> {
        if let Some(client) = &kept.client {
            return Ok(client.clone());
        }
        let builder = Client::builder()
            .timeout(REQUEST_TIMEOUT)
            .redirect(Policy::none());
        let client = self.egress.guard(builder).build();
        let client = client.map_err(|error| AwsError::Setup(error_chain(&error)))?;
        Ok(kept.client.insert(client).clone())
    }
}

/// The body of a request.
fn form(operation: &str, parameters: &[(impl AsRef<str>, String)], marker: Option<&str>) -> String {
    let mut form = form_urlencoded::Serializer::new(String::new());
    form.append_pair("Action", operation);
    form.append_pair("Version", VERSION);
    for (name, value) in parameters {
        form.append_pair(name.as_ref(), value);
    }
    if let Some(marker) = marker {
        form.append_pair("Marker", marker);
    }
    form.finish()
}

fn unavailable(error: reqwest::Error) -> AwsError {
    AwsError::Unavailable(error_chain(&error.without_url()))
}

/// What AWS says against a request.
fn refusal(status: reqwest::StatusCode, body: &str) -> AwsError {
    let said: Refusal = quick_xml::de::from_str(body).unwrap_or_default();
    let text = format!("{status} {}: {}", said.error.code, said.error.message);
    let text = text.trim_end_matches([':', ' ']).to_owned();
    let is_throttled =
        said.error.code.contains("Throttl") || said.error.code.contains("LimitExceeded");
    if is_throttled || status.is_server_error() || status.as_u16() == 429 {
        AwsError::Unavailable(text)
    } else {
        AwsError::Refused(text)
    }
}

/// The answer of `asking`, in time.
async fn in_time<T>(asking: impl Future<Output = Result<T, AwsError>>) -> Result<T, AwsError> {
    let answer = tokio::time::timeout(LOOKUP_TIMEOUT, asking).await;
    answer.unwrap_or_else(|_| {
        let message = format!("no answer within {} s", LOOKUP_TIMEOUT.as_secs());
        Err(AwsError::Unavailable(message))
    })
}

impl Kept {
    /// The failure that is too young to ask again.
    fn failure(&self) -> Result<(), AwsError> {
        match &self.failed {
            Some((at, error)) if at.elapsed() < AWAY => Err(error.clone()),
            _ => Ok(()),
        }
    }

    /// Remembers a failure of AWS, for everybody.
    fn note<T>(&mut self, answer: Result<T, AwsError>) -> Result<T, AwsError> {
        if let Err(error @ AwsError::Unavailable(_)) = &answer {
            self.failed = Some((Instant::now(), error.clone()));
        }
        answer
    }
}

impl LoadBalancers for Elb {
    fn balancer<'a>(
        &'a self,
        host: &'a str,
    ) -> BoxFuture<'a, Result<Option<Arc<LoadBalancer>>, AwsError>> {
        async move {
            let mut kept = self.kept.lock().await;
            if let Some((at, found)) = kept.balancers.get(host)
                && at.elapsed() < FRESH
            {
                return Ok(Some(Arc::clone(found)));
            }
            kept.failure()?;
            let answer = in_time(self.find(&mut kept, host)).await;
            let answer = kept.note(answer);
            if matches!(answer, Err(AwsError::Refused(_))) {
                // It may have been deleted.
                kept.names.remove(host);
            }
            answer
        }
        .boxed()
    }

    fn targets<'a>(&'a self, group: &'a str) -> BoxFuture<'a, Result<Vec<Target>, AwsError>> {
        async move {
            let mut kept = self.kept.lock().await;
            kept.failure()?;
            let client = self.client(&mut kept)?;
            let of_group = [("TargetGroupArn", group.to_owned())];
            let asking = self.list::<HealthPage>(&client, "DescribeTargetHealth", &of_group);
            let found = in_time(asking).await;
            let found = kept.note(found)?;
            let targets = found.into_iter().map(|item| Target {
                id: item.target.id,
                port: item.target.port,
            });
            Ok(targets.collect())
        }
        .boxed()
    }
}
