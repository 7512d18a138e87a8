//! What tests do with a cluster: namespaces, applying YAML, waiting for a state, acting as a service account.

use std::collections::HashMap;
use std::fmt::Debug;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail};
use futures::{StreamExt as _, TryStreamExt as _};
use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::{Namespace, ServiceAccount};
use kube::api::{ApiResource, DynamicObject, Patch, PatchParams, PostParams};
use kube::core::GroupVersionKind;
use kube::discovery::{ApiCapabilities, Scope, oneshot};
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Api, Client, Resource, ResourceExt as _};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::sync::Mutex;

/// The field manager of what tests apply.
const MANAGER: &str = "bed";
/// How long a new `CustomResourceDefinition` may take to be served.
const ESTABLISHED: Duration = Duration::from_secs(30);
/// Tokens outlive every test.
const TOKEN_SECONDS: i64 = 24 * 60 * 60;

type Kinds = HashMap<GroupVersionKind, (ApiResource, ApiCapabilities)>;

/// A cluster as its administrator sees it.
#[derive(Clone)]
pub struct Cluster {
    client: Client,
    kubeconfig: PathBuf,
    dir: PathBuf,
    kinds: Arc<Mutex<Kinds>>,
}

impl Debug for Cluster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cluster")
            .field("kubeconfig", &self.kubeconfig)
            .finish_non_exhaustive()
    }
}

impl Cluster {
    /// `dir` receives the kubeconfigs of service accounts.
    pub fn new(client: Client, kubeconfig: PathBuf, dir: &Path) -> Self {
        Self {
            client,
            kubeconfig,
            dir: dir.to_owned(),
            kinds: Arc::default(),
        }
    }

    /// The administrator's client.
    pub fn client(&self) -> Client {
        self.client.clone()
    }

    /// The administrator's kubeconfig file.
    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// Makes a namespace named `PREFIX-xxxxx` and returns its name.
    pub async fn namespace(&self, prefix: &str) -> Result<String> {
        let api: Api<Namespace> = Api::all(self.client());
        let namespace: Namespace =
            serde_json::from_value(json!({"metadata": {"generateName": format!("{prefix}-")}}))?;
        let created = api.create(&PostParams::default(), &namespace).await?;
        let name = created.name_any();
        // Pods are refused until the default service account is there.
        let accounts: Api<ServiceAccount> = Api::namespaced(self.client(), &name);
        wait_for(&accounts, "default", "existence", ESTABLISHED, |account| {
            account.is_some()
        })
        .await?;
        Ok(name)
    }

    /// Makes the namespace of this name, if it is not there.
    pub async fn apply_namespace(&self, name: &str) -> Result<()> {
        let namespace =
            json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
        self.apply_one("", &namespace).await?;
        Ok(())
    }

    /// An Api for any kind: `api_version` as in a manifest. A namespace is ignored where the kind has none.
    pub async fn api(
        &self,
        api_version: &str,
        kind: &str,
        namespace: &str,
    ) -> Result<Api<DynamicObject>> {
        let (group, version) = api_version.rsplit_once('/').unwrap_or(("", api_version));
        let gvk = GroupVersionKind::gvk(group, version, kind);
        let mut kinds = self.kinds.lock().await;
        let (resource, capabilities) = if let Some(known) = kinds.get(&gvk) {
            known.clone()
        } else {
            let found = oneshot::pinned_kind(&self.client, &gvk)
                .await
                .with_context(|| format!("the cluster does not serve {api_version} {kind}"))?;
            kinds.insert(gvk, found.clone());
            found
        };
        Ok(match capabilities.scope {
            Scope::Namespaced => Api::namespaced_with(self.client(), namespace, &resource),
            Scope::Cluster => Api::all_with(self.client(), &resource),
        })
    }

    /// Applies every document of a YAML text with server-side apply, in the order of the text. Objects without a
    /// namespace go to `namespace`. Returns when new `CustomResourceDefinitions` are served.
    pub async fn apply(&self, namespace: &str, yaml: &str) -> Result<Vec<DynamicObject>> {
        let mut applied = Vec::new();
        for document in documents(yaml)? {
            applied.push(self.apply_one(namespace, &document).await?);
        }
        Ok(applied)
    }

    /// Applies one object given as JSON.
    pub async fn apply_one(&self, namespace: &str, object: &Value) -> Result<DynamicObject> {
        let (api_version, kind, name) = identity(object)?;
        let namespace = object["metadata"]["namespace"]
            .as_str()
            .unwrap_or(namespace);
        let api = self.api(api_version, kind, namespace).await?;
        let params = PatchParams::apply(MANAGER).force();
        let applied = api
            .patch(name, &params, &Patch::Apply(object))
            .await
            .with_context(|| format!("applying {kind} {namespace}/{name}"))?;
        if kind == "CustomResourceDefinition" {
            let served = |crd: Option<&DynamicObject>| {
                crd.is_some_and(|crd| {
                    condition(&crd.data, "Established").as_deref() == Some("True")
                })
            };
            wait_for(&api, name, "being served", ESTABLISHED, served).await?;
        }
        Ok(applied)
    }

    /// Reads one object of any kind. None when it does not exist.
    pub async fn get(
        &self,
        api_version: &str,
        kind: &str,
        namespace: &str,
        name: &str,
    ) -> Result<Option<DynamicObject>> {
        Ok(self
            .api(api_version, kind, namespace)
            .await?
            .get_opt(name)
            .await?)
    }

    /// A token of a service account, as `TokenRequest` gives it.
    pub async fn token(&self, namespace: &str, account: &str) -> Result<String> {
        let api: Api<ServiceAccount> = Api::namespaced(self.client(), namespace);
        let request = TokenRequest {
            spec: Some(TokenRequestSpec {
                expiration_seconds: Some(TOKEN_SECONDS),
                ..TokenRequestSpec::default()
            }),
            ..TokenRequest::default()
        };
        let answer = api
            .create_token_request(account, &PostParams::default(), &request)
            .await
            .with_context(|| format!("token of service account {namespace}/{account}"))?;
        answer
            .status
            .and_then(|status| status.token)
            .context("TokenRequest gave no token")
    }

    /// A kubeconfig file that acts as a service account, with `namespace` as its context's namespace: an operator
    /// started with it has exactly the rights its chart gives.
    pub async fn service_account_kubeconfig(
        &self,
        namespace: &str,
        account: &str,
    ) -> Result<PathBuf> {
        let token = self.token(namespace, account).await?;
        let text = std::fs::read_to_string(&self.kubeconfig)?;
        let admin: Value =
            serde_saphyr::from_str(&text).context("the administrator's kubeconfig")?;
        let current = &admin["current-context"];
        let context = named(&admin["contexts"], current).context("no current context")?;
        let cluster = named(&admin["clusters"], &context["context"]["cluster"])
            .context("the current context's cluster is missing")?;
        let config = json!({
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "bed",
            "clusters": [cluster],
            "users": [{"name": account, "user": {"token": token}}],
            "contexts": [{"name": "bed", "context": {
                "cluster": cluster["name"], "user": account, "namespace": namespace,
            }}],
        });
        let path = self.dir.join(format!("kubeconfig-{namespace}-{account}"));
        std::fs::write(&path, serde_json::to_vec_pretty(&config)?)?;
        Ok(path)
    }
}

/// The documents of a YAML text as JSON; empty ones are left out.
pub fn documents(yaml: &str) -> Result<Vec<Value>> {
    let all: Vec<Value> = serde_saphyr::from_multiple(yaml).context("reading YAML")?;
    Ok(all
        .into_iter()
        .filter(|document| !document.is_null())
        .collect())
}

fn named<'a>(list: &'a Value, name: &Value) -> Option<&'a Value> {
    list.as_array()?.iter().find(|entry| &entry["name"] == name)
}

fn identity(object: &Value) -> Result<(&str, &str, &str)> {
    let text = |value: &'static str, found: Option<&str>| found.is_none().then_some(value);
    let parts = (
        object["apiVersion"].as_str(),
        object["kind"].as_str(),
        object["metadata"]["name"].as_str(),
    );
    match parts {
        (Some(version), Some(kind), Some(name)) => Ok((version, kind, name)),
        (version, kind, name) => {
            let missing = text("apiVersion", version)
                .or(text("kind", kind))
                .or(text("metadata.name", name))
                .unwrap_or_default();
            bail!("an object has no {missing}: {object}")
        }
    }
}

/// The status (`True`, `False`, `Unknown`) of a condition in an object's JSON. None when it is not there.
pub fn condition(object: &Value, name: &str) -> Option<String> {
    object["status"]["conditions"]
        .as_array()?
        .iter()
        .find(|condition| condition["type"] == name)?["status"]
        .as_str()
        .map(str::to_owned)
}

/// Watches one object until `reached` says yes to it (None: it does not exist) and returns it. After `deadline` an
/// error that names `what` and shows the object's last state.
pub async fn wait_for<K>(
    api: &Api<K>,
    name: &str,
    what: &str,
    deadline: Duration,
    mut reached: impl FnMut(Option<&K>) -> bool,
) -> Result<Option<K>>
where
    K: Resource + Clone + DeserializeOwned + Debug + Send + serde::Serialize + 'static,
{
    let mut last = None;
    let watch = async {
        let mut states = watcher::watch_object(api.clone(), name)
            .default_backoff()
            .boxed();
        loop {
            match states.try_next().await {
                Ok(Some(state)) => {
                    if reached(state.as_ref()) {
                        return Ok(state);
                    }
                    last = state;
                }
                Ok(None) => return Err(anyhow!("the watch on {name} ended")),
                // The API server may be restarting: the watch backs off and restarts.
                Err(error) => tracing::debug!(%error, name, "watch"),
            }
        }
    };
    let outcome = tokio::time::timeout(deadline, watch).await;
    match outcome {
        Ok(outcome) => outcome,
        Err(_) => bail!(
            "{name} did not reach {what} within {deadline:?}; it is {}",
            show(last.as_ref())
        ),
    }
}

fn show<K: serde::Serialize>(object: Option<&K>) -> String {
    let Some(object) = object else {
        return "not there".to_owned();
    };
    let mut value = serde_json::to_value(object).unwrap_or_default();
    if let Some(metadata) = value["metadata"].as_object_mut() {
        metadata.remove("managedFields");
    }
    serde_json::to_string_pretty(&value).unwrap_or_default()
}
