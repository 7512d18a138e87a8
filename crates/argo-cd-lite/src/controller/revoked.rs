//! Revoked tokens in a ConfigMap: the next process knows them, on whichever node it runs. The id of a token is no secret.

use std::{collections::BTreeMap, time::Duration};

use futures::{FutureExt, future::BoxFuture};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{
    Api, Client,
    api::{Patch, PatchParams},
};
use reconcile_core::error::error_chain;
use serde_json::json;

use crate::{
    api::FIELD_MANAGER,
    redis::{KeepRevoked, RevokedToken},
};

/// The ConfigMap.
const NAME: &str = "argo-cd-lite-revoked-tokens";
/// Its member: a JSON object of ids, each with the second of its end.
const MEMBER: &str = "tokens";
/// Time between two tries to read it.
const AGAIN: Duration = Duration::from_secs(2);

/// Keeps revoked tokens in the namespace of the control plane. Cloning shares the connection.
#[derive(Clone)]
pub(super) struct RevokedMap(Api<ConfigMap>);

impl RevokedMap {
    pub(super) fn new(client: &Client, control_plane: &str) -> Self {
        Self(Api::namespaced(client.clone(), control_plane))
    }

    /// What was kept. It asks until there is an answer: without one nobody may be let in.
    pub(super) async fn load(&self) -> Vec<RevokedToken> {
        loop {
            match self.0.get_opt(NAME).await {
                Ok(map) => return parse(map.unwrap_or_default()),
                Err(error) => {
                    let error = error_chain(&error);
                    tracing::warn!(%error, "cannot read ConfigMap {NAME}; the Redis protocol waits for it");
                }
            }
            tokio::time::sleep(AGAIN).await;
        }
    }
}

fn parse(map: ConfigMap) -> Vec<RevokedToken> {
    let text = map.data.and_then(|mut data| data.remove(MEMBER));
    let kept = serde_json::from_str::<BTreeMap<String, i64>>(text.as_deref().unwrap_or("{}"));
    let kept = kept.unwrap_or_else(|error| {
        tracing::error!(%error, "ConfigMap {NAME} cannot be read: tokens that were revoked before count again");
        BTreeMap::new()
    });
    let tokens = kept.into_iter().filter_map(|(id, second)| {
        let expires = Timestamp::from_second(second).ok()?;
        Some(RevokedToken { id, expires })
    });
    tokens.collect()
}

impl KeepRevoked for RevokedMap {
    fn keep(&self, tokens: Vec<RevokedToken>) -> BoxFuture<'_, Result<(), String>> {
        async move {
            // Up to the second after its end.
            let seconds = tokens.iter().map(|token| {
                let second = token.expires.as_second().saturating_add(1);
                (token.id.as_str(), second)
            });
            let seconds: BTreeMap<&str, i64> = seconds.collect();
            let text = serde_json::to_string(&seconds).map_err(|error| error.to_string())?;
            let map = json!({
                "apiVersion": "v1", "kind": "ConfigMap",
                "metadata": {"name": NAME},
                "data": {MEMBER: text},
            });
            let params = PatchParams::apply(FIELD_MANAGER).force();
            let written = self.0.patch(NAME, &params, &Patch::Apply(&map)).await;
            written.map(drop).map_err(|error| error_chain(&error))
        }
        .boxed()
    }
}

#[cfg(test)]
mod tests {
    use reconcile_core::testkit::FakeApi;

    use super::*;

    fn token(id: &str, second: i64) -> RevokedToken {
        let expires = Timestamp::from_second(second).expect("a time");
        RevokedToken {
            id: id.to_owned(),
            expires,
        }
    }

    #[tokio::test]
    async fn what_was_kept_is_there_for_the_next_process() {
        let api = FakeApi::new();
        let revoked = RevokedMap::new(&api.client(), "argocd");
        assert_eq!(revoked.load().await, []);
        let kept = revoked.keep(vec![token("b", 20), token("a", 10)]).await;
        assert_eq!(kept, Ok(()));
        let next = RevokedMap::new(&api.client(), "argocd");
        assert_eq!(next.load().await, [token("a", 11), token("b", 21)]);
        assert_eq!(next.keep(vec![token("b", 20)]).await, Ok(()));
        assert_eq!(next.load().await, [token("b", 21)]);
    }

    #[test]
    fn a_broken_map_holds_nothing() {
        for text in ["", "[]", "{\"a\": \"b\"}"] {
            let data = BTreeMap::from([(MEMBER.to_owned(), text.to_owned())]);
            let map = ConfigMap {
                data: Some(data),
                ..ConfigMap::default()
            };
            assert_eq!(parse(map), [], "{text}");
        }
    }
}
