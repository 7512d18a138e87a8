//! Sends requests.

use std::{sync::Arc, time::Duration};

use parking_lot::Mutex;
use reconcile_core::{
    aws::Environment,
    egress::{EgressPolicy, redirect_target},
    error::error_chain,
};
use reqwest::{
    Client, Method, StatusCode, Url,
    header::{ACCEPT, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap},
    redirect::Policy,
};

use super::{
    Call, Login, Reply,
    sigv4::{Signature, Signers},
};
use crate::analysis::provider::{error::ProviderError, redaction::Redactor};

/// A server that does not accept a connection within this time is down.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Idle connections per server: measurements come in small bursts.
const IDLE_CONNECTIONS: usize = 2;
/// Redirects that are followed.
const MOST_REDIRECTS: usize = 5;
const USER_AGENT: &str = concat!("rollouts/", env!("CARGO_PKG_VERSION"));

/// HTTP clients, made when first needed: most installations use one of them or none. Cloning shares them.
#[derive(Clone)]
pub(in crate::analysis::provider) struct Http {
    kept: Arc<Kept>,
    egress: EgressPolicy,
}

struct Kept {
    verified: Mutex<Option<Client>>,
    unverified: Mutex<Option<Client>>,
    signers: Signers,
}

impl Http {
    /// Clients that refuse link-local addresses unless `allow_link_local`.
    pub(in crate::analysis::provider) fn new(
        allow_link_local: bool,
        environment: Environment,
    ) -> Self {
        Self {
            kept: Arc::new(Kept {
                verified: Mutex::default(),
                unverified: Mutex::default(),
                signers: Signers::new(environment),
            }),
            egress: EgressPolicy::of_flag("--analysis-allow-link-local", allow_link_local),
        }
    }

    /// Sends a request, with a login first where it needs one, and reads the answer. A server that asks
    /// for fewer requests is an error of its own kind; any other status is for the provider to judge.
    pub(in crate::analysis::provider) async fn send(
        &self,
        mut call: Call,
        redactor: &Redactor,
    ) -> Result<Reply, ProviderError> {
        let deadline = call.deadline;
        let whole = async {
            match std::mem::take(&mut call.login) {
                Login::None => {}
                Login::Token(request) => {
                    let (insecure, headers) = (call.insecure, &mut call.headers);
                    request.log_in(self, insecure, redactor, headers).await?;
                }
                Login::Signature(signature) => self.sign(&mut call, &signature).await?,
            }
            self.exchange(&call, redactor).await
        };
        tokio::time::timeout(deadline, whole)
            .await
            .unwrap_or_else(|_| Err(late(deadline)))
    }

    async fn sign(&self, call: &mut Call, signature: &Signature) -> Result<(), ProviderError> {
        self.kept.signers.sign(call, signature).await
    }

    /// Sends a request as it is and follows redirects.
    pub(super) async fn exchange(
        &self,
        call: &Call,
        redactor: &Redactor,
    ) -> Result<Reply, ProviderError> {
        let client = self.client(call.insecure)?;
        let mut step = Hop {
            method: call.method.clone(),
            url: call.url.clone(),
            headers: call.headers.clone(),
            body: call.body.clone(),
        };
        for _ in 0..=MOST_REDIRECTS {
            self.egress
                .check(&step.url)
                .map_err(ProviderError::invalid)?;
            let request = client
                .request(step.method.clone(), step.url.clone())
                .headers(step.headers.clone())
                .body(step.body.clone())
                .timeout(call.deadline);
            let response = request.send().await.map_err(|error| {
                if error.is_timeout() {
                    late(call.deadline)
                } else {
                    ProviderError::unavailable(error_chain(&error.without_url()))
                }
            })?;
            let status = response.status();
            let target = redirect_target(status, &step.url, response.headers())
                .map_err(ProviderError::answer)?;
            if let Some(target) = target {
                step = step.redirected(status, target)?;
                continue;
            }
            let reply = Reply::read(response, redactor).await?;
            return if status == StatusCode::TOO_MANY_REQUESTS {
                Err(reply.refusal("the server answered"))
            } else {
                Ok(reply)
            };
        }
        let message = format!("the server redirects more than {MOST_REDIRECTS} times");
        Err(ProviderError::answer(message))
    }

    /// The client that checks server certificates, or the one that does not.
    fn client(&self, insecure: bool) -> Result<Client, ProviderError> {
        let mut kept = if insecure {
            self.kept.unverified.lock()
        } else {
            self.kept.verified.lock()
        };
        if let Some(client) = kept.as_ref() {
            return Ok(client.clone());
        }
        let builder = Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .pool_max_idle_per_host(IDLE_CONNECTIONS)
            .tls_danger_accept_invalid_certs(insecure)
            // Redirects are followed here, where it is known what may go along.
            .redirect(Policy::none())
            .user_agent(USER_AGENT);
        let client = self
            .egress
            .guard(builder)
            .build()
            .map_err(|error| ProviderError::unavailable(error_chain(&error)))?;
        Ok(kept.insert(client).clone())
    }
}

fn late(deadline: Duration) -> ProviderError {
    ProviderError::unavailable(format!("no answer within {} s", deadline.as_secs()))
}

/// One request on the way to an answer.
struct Hop {
    method: Method,
    url: Url,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Hop {
    /// The request that a redirect to `target` asks for. To another origin goes nothing that may be a
    /// credential: no header but what the body needs, and no body.
    fn redirected(mut self, status: StatusCode, target: Url) -> Result<Self, ProviderError> {
        let keeps_method = matches!(status.as_u16(), 307 | 308) || self.method == Method::GET;
        if !keeps_method {
            self.method = Method::GET;
            self.body.clear();
            self.headers.remove(CONTENT_TYPE);
            self.headers.remove(CONTENT_LENGTH);
        }
        if self.url.origin() != target.origin() {
            if !self.body.is_empty() {
                return Err(ProviderError::invalid(format!(
                    "the server redirects to {}; a body is not sent to another host, so use that address",
                    target.origin().ascii_serialization()
                )));
            }
            let accept = self.headers.get(ACCEPT).cloned();
            self.headers.clear();
            self.headers.extend(accept.map(|accept| (ACCEPT, accept)));
        }
        self.url = target;
        Ok(self)
    }
}
