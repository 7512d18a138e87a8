//! Clients that act as service accounts, so that a Sensor can do what its own account may do and no more.

use std::{collections::HashMap, sync::Arc, time::Duration};

use k8s_openapi::api::{
    authentication::v1::{TokenRequest, TokenRequestSpec},
    core::v1::ServiceAccount,
};
use kube::{Api, Client, Config, api::PostParams, config::AuthInfo};
use reconcile_core::operator::Role;
use tokio::{sync::Mutex, time::Instant};

use super::{TriggerError, k8s::Discovered};

/// Life of a token that is asked for, in seconds. The API server may grant less, though never less than
/// ten minutes.
const TOKEN_SECONDS: i64 = 3600;
/// The shortest life that is granted.
const SHORTEST_SECONDS: i64 = 600;

/// A client and until when its token is used. Locked while a token is requested, so that many triggers
/// at once request one.
type Cached = Arc<Mutex<Option<(Instant, Client)>>>;

/// By namespace and account. An account that answers slowly holds up nobody else.
type Clients = HashMap<(String, String), Cached>;

/// Gives clients by service account. Cloning shares them.
#[derive(Clone)]
pub struct Identities {
    own: Client,
    config: Arc<Config>,
    role: Role,
    clients: Arc<parking_lot::Mutex<Clients>>,
    pub(super) discovered: Discovered,
}

impl Identities {
    /// Requests tokens with the client of `role`, and connects as `config` says. Whatever the clients write needs the
    /// lease of the role.
    pub fn new(role: Role, config: Config) -> Self {
        Self {
            own: role.client().clone(),
            config: Arc::new(config),
            role,
            clients: Arc::default(),
            discovered: Discovered::default(),
        }
    }

    /// Whether the clients need the lease of this role.
    pub fn are_of(&self, role: &Role) -> bool {
        self.role.lease() == role.lease()
    }

    /// A client that acts as the service account.
    pub async fn client(&self, namespace: &str, account: &str) -> Result<Client, TriggerError> {
        let cached = self.cached(namespace, account);
        let mut cached = cached.lock().await;
        if let Some((until, client)) = cached.as_ref()
            && Instant::now() < *until
        {
            return Ok(client.clone());
        }
        let requested = Instant::now();
        let (token, granted) = self.token(namespace, account).await?;
        let mut config = Config::clone(&self.config);
        config.auth_info = AuthInfo {
            token: Some(token.into()),
            ..AuthInfo::default()
        };
        namespace.clone_into(&mut config.default_namespace);
        let client = self
            .role
            .connect(config)
            .map_err(|error| TriggerError::Failed(error.to_string()))?;
        *cached = Some((requested + renew_after(granted), client.clone()));
        Ok(client)
    }

    fn cached(&self, namespace: &str, account: &str) -> Cached {
        let id = (namespace.to_owned(), account.to_owned());
        let mut clients = self.clients.lock();
        if let Some(cached) = clients.get(&id) {
            return cached.clone();
        }
        // Accounts that nobody acts as any more leave with their tokens.
        let now = Instant::now();
        clients.retain(|_, cached| {
            let Ok(held) = cached.try_lock() else {
                return true;
            };
            let valid = held.as_ref().is_some_and(|(until, _)| now < *until);
            valid || Arc::strong_count(cached) > 1
        });
        clients.entry(id).or_default().clone()
    }

    /// Forgets a client whose token was refused, for example because the account was deleted and created
    /// again.
    pub async fn forget(&self, namespace: &str, account: &str) {
        *self.cached(namespace, account).lock().await = None;
    }

    /// A token, and the seconds that it is granted for.
    async fn token(
        &self,
        namespace: &str,
        account: &str,
    ) -> Result<(String, Option<i64>), TriggerError> {
        let what = || format!("acting as service account {namespace}/{account}");
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
            .await
            .map_err(|error| TriggerError::api(what(), error))?;
        let token = answer.status.and_then(|status| status.token);
        let Some(token) = token.filter(|token| !token.is_empty()) else {
            return Err(TriggerError::Failed(format!(
                "{}: no token was given",
                what()
            )));
        };
        Ok((token, answer.spec.and_then(|spec| spec.expiration_seconds)))
    }
}

/// A token is replaced when three quarters of its life are over, long before it ends. Its life is what the
/// server granted, which does not depend on anybody's clock.
fn renew_after(granted: Option<i64>) -> Duration {
    let seconds = granted.unwrap_or(SHORTEST_SECONDS).max(SHORTEST_SECONDS);
    Duration::from_secs(seconds.unsigned_abs()).mul_f64(0.75)
}

#[cfg(test)]
mod tests {
    use reconcile_core::{
        clock::Clock,
        operator::Operator,
        testkit::{FakeApi, Fault},
    };

    use super::*;

    #[tokio::test]
    async fn an_account_that_answers_slowly_holds_up_nobody_else() {
        let api = FakeApi::new();
        let late = Duration::from_secs(3600);
        api.fail(Fault::delay("create", "serviceaccounts/token", late).named("slow"));
        let operator = Operator::detached(api.client(), Clock::system());
        let identities = Identities::new(operator.leader_role().clone(), operator.config.clone());
        let slow = tokio::spawn({
            let identities = identities.clone();
            async move { identities.client("a", "slow").await.map(drop::<Client>) }
        });
        tokio::task::yield_now().await;
        // Refused or not, it is answered.
        let quick = identities.client("b", "quick");
        drop(
            tokio::time::timeout(Duration::from_secs(30), quick)
                .await
                .expect("not held up"),
        );
        assert!(!slow.is_finished());
        slow.abort();
    }

    #[test]
    fn a_token_is_renewed_before_the_life_that_was_granted_ends() {
        assert_eq!(renew_after(Some(3600)), Duration::from_secs(2700));
        // A server with a shorter limit.
        assert_eq!(renew_after(Some(600)), Duration::from_secs(450));
        assert_eq!(renew_after(None), Duration::from_secs(450));
        assert_eq!(renew_after(Some(-1)), Duration::from_secs(450));
    }
}
