//! What several end-to-end tests need: a bed with operators on it, and sentences about objects.
#![allow(
    dead_code,
    unreachable_pub,
    reason = "each test file uses a part of it"
)]

mod quiet;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result};
use e2e::cluster::{condition, wait_for};
use e2e::git::Repository;
use e2e::stack::{self, Deployed, Setup, Which};
use e2e::{Bed, Options};
use kube::Api;
use kube::api::{DeleteParams, DynamicObject, Patch, PatchParams};
use reconcile_core::testkit::skip_where;
use serde_json::{Value, json};

/// API version of all kinds of the project.
pub const ARGO: &str = "argoproj.io/v1alpha1";
/// Asks for a refresh of an Application.
const REFRESH: &str = "argocd.argoproj.io/refresh";
/// Longest wait for something that normally takes a second or two; the machine may be busy.
pub const PATIENCE: Duration = Duration::from_mins(3);

/// A bed with operators on it.
pub struct Scene {
    pub bed: Bed,
    pub operators: Vec<Deployed>,
}

impl Scene {
    /// A bed with these parts and operators, debug builds.
    pub async fn set(options: Options, which: &[Which]) -> Result<Self> {
        let bed = Bed::up(options).await?;
        let mut scene = Self {
            bed,
            operators: Vec::new(),
        };
        for which in which {
            scene.add(*which, &Setup::default()).await?;
        }
        Ok(scene)
    }

    /// Starts one more operator, or one more replica.
    pub async fn add(&mut self, which: Which, setup: &Setup) -> Result<()> {
        let binary = stack::binary(which, "debug")?;
        self.operators
            .push(stack::deploy(&self.bed, which, &binary, setup).await?);
        Ok(())
    }

    /// The operator's process.
    pub fn operator(&self, which: Which) -> Result<&Deployed> {
        self.operators
            .iter()
            .find(|one| one.which == which)
            .context("no such operator in the scene")
    }

    /// An Api of a kind.
    pub async fn api(
        &self,
        version: &str,
        kind: &str,
        namespace: &str,
    ) -> Result<Api<DynamicObject>> {
        self.bed.cluster()?.api(version, kind, namespace).await
    }

    /// Applies YAML.
    pub async fn apply(&self, namespace: &str, yaml: &str) -> Result<Vec<DynamicObject>> {
        self.bed.cluster()?.apply(namespace, yaml).await
    }

    /// A repository with these files, and an Application of the same name that brings its folder `app` into a namespace
    /// of the same name. The repository, and the commit.
    pub async fn follow(
        &self,
        name: &str,
        policy: &str,
        files: &[(&str, &str)],
    ) -> Result<(Repository, String)> {
        let repository = self.bed.git()?.repository(name).await?;
        let commit = repository.commit(files, "first").await?;
        let manifest = application(name, &repository.url, "app", name, policy);
        self.apply("argocd", &manifest).await?;
        Ok((repository, commit))
    }

    /// As [`Scene::until`] for an Application.
    pub async fn until_application(
        &self,
        name: &str,
        what: &str,
        reached: impl FnMut(&Value) -> bool,
    ) -> Result<Value> {
        self.until("Application", "argocd", name, what, reached)
            .await
    }

    /// Waits until an Application is Synced and Healthy.
    pub async fn until_synced(&self, name: &str) -> Result<Value> {
        self.until_application(name, "Synced and Healthy", synced_and_healthy)
            .await
    }

    /// Asks for a refresh (`normal`, `hard`) of an Application.
    pub async fn refresh(&self, name: &str, how: &str) -> Result<()> {
        let patch = json!({"metadata": {"annotations": {REFRESH: how}}});
        self.patch("Application", "argocd", name, patch).await
    }

    /// Removes an Application and leaves its objects.
    pub async fn abandon(&self, name: &str) -> Result<()> {
        let patch = json!({"metadata": {"finalizers": null}});
        self.patch("Application", "argocd", name, patch).await?;
        let api = self.api(ARGO, "Application", "argocd").await?;
        api.delete(name, &DeleteParams::default()).await?;
        self.until_gone(ARGO, "Application", "argocd", name).await
    }

    /// Waits until the refresh that was asked for is done.
    pub async fn until_refreshed(&self, name: &str) -> Result<Value> {
        self.until_application(name, "refreshed", |app| {
            app["metadata"]["annotations"].get(REFRESH).is_none()
        })
        .await
    }

    /// Waits until an EventBus, EventSource or Sensor is Deployed.
    pub async fn until_deployed(&self, kind: &str, namespace: &str, name: &str) -> Result<()> {
        self.until(kind, namespace, name, "Deployed", |object| {
            condition(object, "Deployed").as_deref() == Some("True")
        })
        .await?;
        Ok(())
    }

    /// Waits until an object of an Argo kind fulfils `reached`; its JSON then (spec, status ...).
    pub async fn until(
        &self,
        kind: &str,
        namespace: &str,
        name: &str,
        what: &str,
        reached: impl FnMut(&Value) -> bool,
    ) -> Result<Value> {
        self.until_any(ARGO, kind, namespace, name, what, reached)
            .await
    }

    /// As [`Scene::until`] for any kind.
    pub async fn until_any(
        &self,
        version: &str,
        kind: &str,
        namespace: &str,
        name: &str,
        what: &str,
        mut reached: impl FnMut(&Value) -> bool,
    ) -> Result<Value> {
        let api = self.api(version, kind, namespace).await?;
        let found = wait_for(&api, name, what, PATIENCE, |object| {
            object.is_some_and(|object| reached(&whole(object)))
        })
        .await
        .with_context(|| format!("{kind} {namespace}/{name}: {what}"));
        match found {
            Ok(found) => Ok(whole(&found.context("the object is there")?)),
            Err(error) => Err(error.context(self.logs())),
        }
    }

    /// Waits until an object is gone.
    pub async fn until_gone(
        &self,
        version: &str,
        kind: &str,
        namespace: &str,
        name: &str,
    ) -> Result<()> {
        let api = self.api(version, kind, namespace).await?;
        wait_for(&api, name, "gone", PATIENCE, |object| object.is_none())
            .await
            .with_context(|| self.logs())?;
        Ok(())
    }

    /// Merge patch of an object of an Argo kind.
    pub async fn patch(&self, kind: &str, namespace: &str, name: &str, patch: Value) -> Result<()> {
        let api = self.api(ARGO, kind, namespace).await?;
        api.patch(name, &PatchParams::default(), &Patch::Merge(patch))
            .await?;
        Ok(())
    }

    /// Merge patch of the status of an object of an Argo kind, as the kubectl plugin does.
    pub async fn patch_status(
        &self,
        kind: &str,
        namespace: &str,
        name: &str,
        patch: Value,
    ) -> Result<()> {
        let api = self.api(ARGO, kind, namespace).await?;
        api.patch_status(name, &PatchParams::default(), &Patch::Merge(patch))
            .await?;
        Ok(())
    }

    /// The ends of the operators' logs.
    pub fn logs(&self) -> String {
        let ends = self.operators.iter().map(|one| {
            format!(
                "--- {}\n{}",
                one.operator.part.log().display(),
                one.operator.part.tail()
            )
        });
        ends.collect::<Vec<_>>().join("\n")
    }
}

/// A program that only the tests of one file need.
pub struct OptionalProgram {
    /// Its name, which is also the target of `make` that brings it.
    pub name: &'static str,
    /// The variable that holds its path.
    pub variable: &'static str,
    /// The variable that skips these tests, also where the program is there.
    pub skip: &'static str,
    /// Where `make` puts it, below `~/.cache/argo-lite-bed`.
    pub kept: &'static str,
}

impl OptionalProgram {
    /// Its path. Without it the test fails, unless `SKIP_SERVERS` or `ALLOW_SKIPS` is 1. What is skipped is counted in the
    /// file `SKIPPED_TESTS`.
    pub fn find(&self) -> Option<PathBuf> {
        if std::env::var_os(self.skip).is_some_and(|text| text == "1") {
            skip_where(&[self.skip], &format!("tests with {}", self.name));
            return None;
        }
        let named = std::env::var_os(self.variable).map(PathBuf::from);
        let path = std::env::var_os("PATH").unwrap_or_default();
        let mut files = std::env::split_paths(&path).map(|folder| folder.join(self.name));
        let kept =
            std::env::home_dir().map(|home| home.join(".cache/argo-lite-bed").join(self.kept));
        let found = named
            .or_else(|| files.find(|file| file.is_file()))
            .or_else(|| kept.filter(|file| file.is_file()));
        if found.is_none() {
            let Self { name, variable, .. } = self;
            skip_where(
                &["ALLOW_SKIPS", "SKIP_SERVERS"],
                &format!("no {name}: run `make {name}`, or set {variable} to its path"),
            );
        }
        found
    }
}

/// The object with its metadata as one JSON value.
fn whole(object: &DynamicObject) -> Value {
    let mut value = object.data.clone();
    value["metadata"] = serde_json::to_value(&object.metadata).unwrap_or_default();
    value
}

/// True when the status of a Rollout speaks of its newest spec (its observedGeneration is a text).
pub fn observed(rollout: &Value) -> bool {
    rollout["status"]["observedGeneration"].as_str()
        == Some(rollout["metadata"]["generation"].to_string().as_str())
}

/// A Rollout that is Healthy in its newest form.
pub fn healthy(rollout: &Value) -> bool {
    observed(rollout) && rollout["status"]["phase"] == "Healthy"
}

/// True for an Application that is Synced and Healthy with its operation done.
pub fn synced_and_healthy(application: &Value) -> bool {
    let status = &application["status"];
    status["sync"]["status"] == "Synced" && status["health"]["status"] == "Healthy"
}

/// An Application that follows `path` of a repository.
pub fn application(
    name: &str,
    repository: &str,
    path: &str,
    namespace: &str,
    policy: &str,
) -> String {
    format!(
        r"
apiVersion: argoproj.io/v1alpha1
kind: Application
metadata:
  name: {name}
  namespace: argocd
  finalizers: [resources-finalizer.argocd.argoproj.io]
spec:
  project: default
  source: {{repoURL: '{repository}', targetRevision: main, path: {path}}}
  destination: {{server: 'https://kubernetes.default.svc', namespace: {namespace}}}
  syncPolicy: {policy}
"
    )
}

/// A ConfigMap with one value.
pub fn config_map(name: &str, value: &str, annotations: &str) -> String {
    format!(
        "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {name}\n  annotations: {{{annotations}}}\ndata:\n  value: '{value}'\n"
    )
}

/// A Job whose pod runs `command`, as a hook or not.
pub fn job(name: &str, annotations: &str, command: &str) -> String {
    format!(
        r"
apiVersion: batch/v1
kind: Job
metadata:
  {name}
  annotations: {{{annotations}}}
spec:
  backoffLimit: 0
  template:
    spec:
      restartPolicy: Never
      containers:
        - name: main
          image: demo/job:v1
          command: {command}
"
    )
}
