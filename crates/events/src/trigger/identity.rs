//! Clients that act as service accounts, so that a Sensor can do what its own account may do and no more.

use std::{collections::HashMap, sync::Arc, time::Duration};

use k8s_openapi::api::{
    authentication::v1::{TokenRequest, TokenRequestSpec},
    core::v1::ServiceAccount,
};
use kube::{Api, Client, Config, api::PostParams, config::AuthInfo};
use reconcile_core::client::{self, Fence, RequestMetrics};
use tokio::{sync::Mutex, time::Instant};

use super::k8s_object::Discovered;

/// Life of a token, in seconds. The API server gives no shorter ones than ten minutes.
const TOKEN_SECONDS: i64 = 3600;
/// A token is replaced after this time, long before it ends.
const RENEW: Duration = Duration::from_secs(2700);

/// By namespace and account: when it was made, and the client.
type Clients = HashMap<(String, String), (Instant, Client)>;

/// Gives clients by service account. Cloning shares them.
#[derive(Clone)]
pub struct Identities {
    own: Client,
    config: Config,
    fence: Fence,
    metrics: RequestMetrics,
    clients: Arc<Mutex<Clients>>,
    pub(super) discovered: Discovered,
}

impl Identities {
    /// Asks for tokens with `own`, and connects as `config` says.
    pub fn new(own: Client, config: Config, fence: Fence, metrics: RequestMetrics) -> Self {
        Self {
            own,
            config,
            fence,
            metrics,
            clients: Arc::default(),
            discovered: Discovered::default(),
        }
    }

    /// A client that acts as the service account.
    pub async fn client(&self, namespace: &str, account: &str) -> Result<Client, String> {
        let id = (namespace.to_owned(), account.to_owned());
        // Held over the request, so that many triggers at once ask for one token.
        let mut clients = self.clients.lock().await;
        if let Some((made, client)) = clients.get(&id)
            && made.elapsed() < RENEW
        {
            return Ok(client.clone());
        }
        let token = self
            .token(namespace, account)
            .await
            .map_err(|error| format!("acting as service account {namespace}/{account}: {error}"))?;
        let mut config = self.config.clone();
        config.auth_info = AuthInfo {
            token: Some(token.into()),
            ..AuthInfo::default()
        };
        namespace.clone_into(&mut config.default_namespace);
        let client = client::connect(config, self.fence.clone(), self.metrics.clone())
            .map_err(|error| error.to_string())?;
        clients.insert(id, (Instant::now(), client.clone()));
        Ok(client)
    }

    /// Forgets a client whose token was refused, for example because the account was made anew.
    pub async fn forget(&self, namespace: &str, account: &str) {
        self.clients
            .lock()
            .await
            .remove(&(namespace.to_owned(), account.to_owned()));
    }

    async fn token(&self, namespace: &str, account: &str) -> Result<String, kube::Error> {
        let request = TokenRequest {
            spec: Some(TokenRequestSpec {
                expiration_seconds: Some(TOKEN_SECONDS),
                ..TokenRequestSpec::default()
            }),
            ..TokenRequest::default()
        };
        let accounts: Api<ServiceAccount> = Api::namespaced(self.own.clone(), namespace);
        let answer = accounts
            .create_token_request(account, &PostParams::default(), &request)
            .await?;
        Ok(answer
            .status
            .and_then(|status| status.token)
            .unwrap_or_default())
    }
}
