//! A real Pulsar broker with its storage in one process.

use std::{
    path::PathBuf,
    process::{Command, Stdio},
};

use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD, Engine as _};
use serde_json::{Value, json};

use super::{Certified, PATIENCE, Process, free_port, nats, until};

/// The key of the tokens.
const KEY: &[u8; 32] = b"a key of thirty-two bytes, known";

/// A broker that keeps its messages over a restart. One with TLS asks for a login.
pub(crate) struct Pulsar {
    folder: tempfile::TempDir,
    process: Process,
    web: u16,
    storage: u16,
    /// Where it listens with TLS, if it does.
    pub(crate) tls_port: u16,
    token: Option<String>,
    http: reqwest::Client,
}

/// A token of `subject` with this signature key.
pub(crate) fn token(subject: &str) -> String {
    let part = |value: Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
    let head = part(json!({"alg": "HS256"}));
    let signed = format!("{head}.{}", part(json!({"sub": subject})));
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, KEY);
    let signature = ring::hmac::sign(&key, signed.as_bytes());
    format!("{signed}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature))
}

/// Where `make servers` puts the broker and another client.
fn installed(what: &str) -> Option<PathBuf> {
    let path = std::env::home_dir()?
        .join(".cache/argo-lite-bed/pulsar")
        .join(what);
    path.exists().then_some(path)
}

impl Pulsar {
    /// Starts a broker; with `tls`, it shows this certificate on a port of its own, and everybody needs a token or a
    /// certificate of `client`.
    pub(crate) async fn start(tls: Option<(&Certified, &Certified)>) -> Option<Self> {
        let version = Command::new("java")
            .arg("-version")
            .stderr(Stdio::null())
            .status();
        let there = installed("lib").is_some() && installed("client/bin/python").is_some();
        if !there || !version.is_ok_and(|status| status.success()) {
            nats::skip_server("no Pulsar: run `make servers`");
            return None;
        }
        reconcile_core::operator::install_tls();
        let mut server = Self {
            folder: tempfile::tempdir().expect("a folder"),
            process: Process::new(free_port()),
            web: free_port(),
            storage: free_port(),
            tls_port: free_port(),
            token: tls.is_some().then(|| token("admin")),
            http: reqwest::Client::new(),
        };
        let settings = server.settings(tls);
        std::fs::write(server.file("standalone.conf"), settings).expect("written");
        server.up().await;
        Some(server)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn settings(&self, tls: Option<(&Certified, &Certified)>) -> String {
        let (port, web, tls_port) = (self.port(), self.web, self.tls_port);
        let mut lines = vec![
            "clusterName=standalone".to_owned(),
            format!("brokerServicePort={port}"),
            format!("webServicePort={web}"),
            format!("maxMessageSize={}", 16 << 20),
            format!("nettyMaxFrameSizeBytes={}", 17 << 20),
        ];
        // One small broker alone.
        lines.extend(
            [
                "managedLedgerDefaultEnsembleSize=1",
                "managedLedgerDefaultWriteQuorum=1",
                "managedLedgerDefaultAckQuorum=1",
                "managedLedgerNumWorkerThreads=2",
                "managedLedgerNumSchedulerThreads=2",
                "managedLedgerCacheSizeMB=32",
                "loadBalancerEnabled=false",
                "webSocketServiceEnabled=false",
                "transactionCoordinatorEnabled=false",
                "systemTopicEnabled=false",
                "topicLevelPoliciesEnabled=false",
                "brokerDeleteInactiveTopicsEnabled=false",
                "numIOThreads=2",
                "numHttpServerThreads=4",
                "numOrderedExecutorThreads=2",
                "numExecutorThreadPoolSize=2",
                "numCacheExecutorThreadPoolSize=2",
                "allowLoopback=true",
                "dbStorage_writeCacheMaxSizeMb=32",
                "dbStorage_readAheadCacheMaxSizeMb=16",
                "dbStorage_rocksDB_blockCacheSize=8388608",
                // Otherwise it only reads on a disk that is 95 % full, however large the rest is.
                "diskUsageThreshold=0.999",
                "diskUsageWarnThreshold=0.999",
            ]
            .map(str::to_owned),
        );
        if let Some((shown, client)) = tls {
            let write = |name: &str, text: String| {
                let file = self.file(name);
                std::fs::write(&file, text).expect("written");
                file.display().to_string()
            };
            let (certificate, key) = (
                write("server.crt", shown.cert.pem()),
                write("server.key", shown.signing_key.serialize_pem()),
            );
            let trusted = write("clients.crt", client.cert.pem());
            let providers = "org.apache.pulsar.broker.authentication.AuthenticationProvider";
            lines.extend([
                format!("brokerServicePortTls={tls_port}"),
                format!("tlsCertificateFilePath={certificate}"),
                format!("tlsKeyFilePath={key}"),
                format!("tlsTrustCertsFilePath={trusted}"),
                "authenticationEnabled=true".to_owned(),
                format!("authenticationProviders={providers}Token,{providers}Tls"),
                format!("tokenSecretKey=data:;base64,{}", BASE64_STANDARD.encode(KEY)),
                "brokerClientAuthenticationPlugin=org.apache.pulsar.client.impl.auth.AuthenticationToken".to_owned(),
                format!("brokerClientAuthenticationParameters=token:{}", token("admin")),
            ]);
        }
        lines.join("\n")
    }

    /// Where it listens.
    pub(crate) fn port(&self) -> u16 {
        self.process.port
    }

    /// Starts the broker again.
    pub(crate) async fn up(&mut self) {
        let mut command = Command::new("java");
        // Small, and fit to be started often.
        command.args([
            "-Xmx384m",
            "-XX:MaxDirectMemorySize=256m",
            "-XX:TieredStopAtLevel=1",
            "-XX:+UseSerialGC",
            "-Dio.netty.tryReflectionSetAccessible=true",
        ]);
        for package in ["sun.net", "java.lang", "java.nio", "jdk.internal.misc"] {
            command.arg(format!("--add-opens=java.base/{package}=ALL-UNNAMED"));
        }
        command
            .arg("-cp")
            .arg(installed("lib").expect("known to be there").join("*"))
            .arg("org.apache.pulsar.PulsarStandaloneStarter")
            .arg("--config")
            .arg(self.file("standalone.conf"))
            .args(["--no-functions-worker", "--no-stream-storage"])
            .args(["--advertised-address", "localhost"])
            .args(["--bookkeeper-port", &self.storage.to_string()])
            .arg("--metadata-dir")
            .arg(self.file("metadata"))
            .arg("--bookkeeper-dir")
            .arg(self.file("storage"))
            .current_dir(self.folder.path());
        self.process.up(&mut command).await;
        // Its namespace comes after its port.
        until("the broker has its namespace", || async {
            self.admin(reqwest::Method::GET, "namespaces/public/default", None)
                .await
                .is_some()
        })
        .await;
    }

    /// Kills the broker.
    pub(crate) fn down(&mut self) {
        self.process.down();
    }

    /// Calls the API for administrators; `None` where it refuses.
    async fn admin(
        &self,
        method: reqwest::Method,
        path: &str,
        body: Option<Value>,
    ) -> Option<String> {
        let url = format!("http://localhost:{}/admin/v2/{path}", self.web);
        let mut request = self.http.request(method, url).timeout(PATIENCE);
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        if let Some(body) = body {
            request = request.json(&body);
        }
        let answer = request.send().await.ok()?.error_for_status().ok()?;
        answer.text().await.ok()
    }

    /// Creates a topic with so many partitions.
    pub(crate) async fn create(&self, topic: &str, partitions: u32) {
        let path = format!("persistent/public/default/{topic}/partitions");
        let created = self.admin(reqwest::Method::PUT, &path, Some(json!(partitions)));
        assert!(created.await.is_some(), "no topic {topic}");
    }

    /// Moves a topic away, as a cluster does that balances its load.
    pub(crate) async fn unload(&self, topic: &str) {
        let path = format!("persistent/public/default/{topic}/unload");
        let moved = self.admin(reqwest::Method::PUT, &path, None).await;
        assert!(moved.is_some(), "{topic} stays");
    }

    /// What the broker says of a topic.
    pub(crate) async fn stats(&self, topic: &str) -> Value {
        let path = format!("persistent/public/default/{topic}/stats");
        let text = self.admin(reqwest::Method::GET, &path, None).await;
        text.and_then(|text| serde_json::from_str(&text).ok())
            .unwrap_or_default()
    }

    /// Waits until the subscription `event` of a topic has a consumer.
    pub(crate) async fn subscribed(&self, topic: &str) {
        until("the topic is read", || async {
            let stats = self.stats(topic).await;
            let consumers = stats["subscriptions"]["event"]["consumers"].as_array();
            consumers.is_some_and(|all| !all.is_empty())
        })
        .await;
    }

    /// Messages of a topic that are not acknowledged.
    pub(crate) async fn backlog(&self, topic: &str) -> Option<u64> {
        self.stats(topic).await["subscriptions"]["event"]["msgBacklog"].as_u64()
    }

    /// Runs another client to its end with these JSON lines as its input; returns what it prints.
    pub(crate) async fn client(&self, arguments: &[&str], lines: &[Value]) -> Vec<Value> {
        let (what, rest) = arguments.split_first().expect("what it does");
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/pulsar_client.py");
        let mut command = Command::new(installed("client/bin/python").expect("known to be there"));
        command
            .args([script, *what, &self.port().to_string()])
            .args(rest);
        if let Some(token) = &self.token {
            command.env("PULSAR_TOKEN", token);
        }
        let lines: Vec<String> = lines.iter().map(Value::to_string).collect();
        super::lines_of(command, lines.join("\n")).await
    }
}
