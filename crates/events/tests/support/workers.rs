//! Processes of the `events` binary that share objects by shards, over one API server in memory.

use std::{
    collections::BTreeMap,
    path::Path,
    process::{Child, Command, Stdio},
};

use reconcile_core::testkit::{FakeApi, FakeKind};
use serde_json::{Value, json};

/// What the processes share.
const SHARDS: u32 = 6;

/// The `events` binary; killed when dropped.
pub(crate) struct Worker(Child);

impl Worker {
    /// A process with shards.
    pub(crate) fn start(command: &str, kubeconfig: &Path) -> Self {
        let shards = format!("--shards={SHARDS}");
        Self::start_with(command, kubeconfig, &[&shards])
    }

    /// A process of a pod with shards. After its death another one of the same pod takes over at once.
    pub(crate) fn start_in_pod(pod: &str, kubeconfig: &Path) -> Self {
        let shards = format!("--shards={SHARDS}");
        Self::run(
            Command::new(env!("CARGO_BIN_EXE_events")).env("POD_NAME", pod),
            "worker",
            kubeconfig,
            &[&shards],
        )
    }

    /// A process with these flags.
    pub(crate) fn start_with(command: &str, kubeconfig: &Path, flags: &[&str]) -> Self {
        let mut program = Command::new(env!("CARGO_BIN_EXE_events"));
        Self::run(program.env_remove("POD_NAME"), command, kubeconfig, flags)
    }

    fn run(program: &mut Command, command: &str, kubeconfig: &Path, flags: &[&str]) -> Self {
        let child = program
            .arg(command)
            .arg("--kubeconfig")
            .arg(kubeconfig)
            .args([
                "--metrics-address=127.0.0.1",
                "--metrics-port=0",
                "--health-port=0",
            ])
            .args(flags)
            // Not shorter: the machine that runs the tests may be slow.
            .args([
                "--leader-election-lease-duration=8s",
                "--leader-election-renew-deadline=6s",
                "--leader-election-retry-period=500ms",
            ])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the program starts");
        Self(child)
    }

    pub(crate) fn has_ended(&mut self) -> bool {
        self.0.try_wait().is_ok_and(|ended| ended.is_some())
    }

    pub(crate) fn signal(&self, signal: &str) {
        let sent = Command::new("kill")
            .args([signal, &self.0.id().to_string()])
            .status();
        assert!(sent.is_ok_and(|status| status.success()), "no signal");
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// An object of ours in the namespace `ns`.
pub(crate) fn argo(kind: &str, name: &str, spec: &Value) -> Value {
    json!({
        "apiVersion": "argoproj.io/v1alpha1", "kind": kind,
        "metadata": {"namespace": "ns", "name": name}, "spec": spec,
    })
}

/// Whether so many processes hold all shards between them.
pub(crate) fn shared_by(api: &FakeApi, processes: usize) -> bool {
    let mut shares: BTreeMap<String, usize> = BTreeMap::new();
    for shard in 0..SHARDS {
        let name = format!("argo-events-shard-{shard}-of-{SHARDS}");
        let lease = api.get("leases", "ops", &name).unwrap_or_default();
        let holder = lease["spec"]["holderIdentity"].as_str().unwrap_or_default();
        if !holder.is_empty() {
            *shares.entry(holder.to_owned()).or_default() += 1;
        }
    }
    let all = shares.values().sum::<usize>() == SHARDS as usize;
    all && shares.len() == processes
}

/// Whether a Sensor of [`argo`] is Deployed.
pub(crate) fn is_deployed(api: &FakeApi, name: &str) -> bool {
    let sensor = api.get("sensors", "ns", name).unwrap_or_default();
    let conditions = sensor["status"]["conditions"].as_array().cloned();
    let is_deployed =
        |condition: &Value| condition["type"] == "Deployed" && condition["status"] == "True";
    conditions.unwrap_or_default().iter().any(is_deployed)
}

/// A cluster with our kinds and the bus `ns/default`.
pub(crate) fn api_with_bus(url: &str) -> FakeApi {
    let kind = |kind, plural| FakeKind::new("argoproj.io", "v1alpha1", kind, plural);
    let api = FakeApi::new()
        .with_kind(kind("EventBus", "eventbus"))
        .with_kind(kind("EventSource", "eventsources"))
        .with_kind(kind("Sensor", "sensors"));
    api.put(&argo(
        "EventBus",
        "default",
        &json!({"jetstreamExotic": {"url": url}}),
    ));
    api
}

/// A kubeconfig for this server; leases are in the namespace `ops`.
pub(crate) fn write_kubeconfig(path: &Path, server: &str) {
    let text = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "c",
        "clusters": [{"name": "c", "cluster": {"server": server}}],
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u", "namespace": "ops"}}],
        "users": [{"name": "u", "user": {}}],
    });
    std::fs::write(path, text.to_string()).expect("written");
}
