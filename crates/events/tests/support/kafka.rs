//! A real Kafka broker with its own controller.

use std::{
    path::PathBuf,
    process::{Command, Stdio},
};

use serde_json::Value;

use super::{Certified, Process, free_port, nats};

/// A broker for the user `worker` with the password `hush`, which keeps its records over a restart.
pub(crate) struct Kafka {
    folder: tempfile::TempDir,
    process: Process,
    /// Where it asks for a login.
    pub(crate) sasl_port: u16,
    /// Where it listens with TLS, if it does.
    pub(crate) tls_port: u16,
}

/// Where `make servers` puts the broker and another client.
fn installed(what: &str) -> Option<PathBuf> {
    let path = std::env::home_dir()?
        .join(".cache/argo-lite-bed/kafka")
        .join(what);
    path.exists().then_some(path)
}

fn java(class: &str) -> Command {
    let lib = installed("lib").expect("known to be there").join("*");
    let mut command = Command::new("java");
    command.args(["-Xmx256m", "-XX:TieredStopAtLevel=1", "-cp"]);
    command.arg(lib).arg(class);
    command
}

impl Kafka {
    /// Starts a broker; with `tls`, it shows this certificate on a port of its own.
    pub(crate) async fn start(tls: Option<&Certified>) -> Option<Self> {
        let version = Command::new("java")
            .arg("-version")
            .stderr(Stdio::null())
            .status();
        let there = installed("lib").is_some() && installed("client/bin/python").is_some();
        if !there || !version.is_ok_and(|status| status.success()) {
            nats::skip_server("no Kafka: run `make servers`");
            return None;
        }
        let mut server = Self {
            folder: tempfile::tempdir().expect("a folder"),
            process: Process::new(free_port()),
            sasl_port: free_port(),
            tls_port: free_port(),
        };
        std::fs::write(server.properties(), server.settings(tls)).expect("written");
        let formatted = java("kafka.tools.StorageTool")
            .args(["format", "-t", "MkU3OEVBNTcwNTJENDM2Qg", "-c"])
            .arg(server.properties())
            .args(["--add-scram", "SCRAM-SHA-256=[name=worker,password=hush]"])
            .args(["--add-scram", "SCRAM-SHA-512=[name=worker,password=hush]"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        assert!(formatted.is_ok_and(|status| status.success()), "no storage");
        server.up().await;
        Some(server)
    }

    fn properties(&self) -> PathBuf {
        self.folder.path().join("server.properties")
    }

    fn settings(&self, tls: Option<&Certified>) -> String {
        let (port, sasl, controller) = (self.port(), self.sasl_port, free_port());
        let scram = "org.apache.kafka.common.security.scram.ScramLoginModule required;";
        let mut lines = vec![
            "process.roles=broker,controller".to_owned(),
            "node.id=1".to_owned(),
            format!("controller.quorum.voters=1@127.0.0.1:{controller}"),
            "controller.listener.names=CONTROLLER".to_owned(),
            "inter.broker.listener.name=PLAIN".to_owned(),
            "listener.security.protocol.map=PLAIN:PLAINTEXT,LOGIN:SASL_PLAINTEXT,TLS:SSL,CONTROLLER:PLAINTEXT".to_owned(),
            format!("log.dirs={}", self.folder.path().join("data").display()),
            "auto.create.topics.enable=false".to_owned(),
            "offsets.topic.replication.factor=1".to_owned(),
            "offsets.topic.num.partitions=3".to_owned(),
            "group.initial.rebalance.delay.ms=0".to_owned(),
            format!("message.max.bytes={}", 64 << 20),
            format!("socket.request.max.bytes={}", 100 << 20),
            "sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512".to_owned(),
            "listener.name.login.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required user_worker=\"hush\";".to_owned(),
            format!("listener.name.login.scram-sha-256.sasl.jaas.config={scram}"),
            format!("listener.name.login.scram-sha-512.sasl.jaas.config={scram}"),
        ];
        let mut listeners = format!(
            "listeners=PLAIN://127.0.0.1:{port},LOGIN://127.0.0.1:{sasl},CONTROLLER://127.0.0.1:{controller}"
        );
        if let Some(certified) = tls {
            let both = certified.signing_key.serialize_pem() + &certified.cert.pem();
            let file = self.folder.path().join("server.pem");
            std::fs::write(&file, both).expect("written");
            listeners.extend([format!(",TLS://localhost:{}", self.tls_port)]);
            lines.push("ssl.keystore.type=PEM".to_owned());
            lines.push(format!("ssl.keystore.location={}", file.display()));
        }
        lines.push(listeners);
        lines.join("\n")
    }

    /// Where it listens.
    pub(crate) fn port(&self) -> u16 {
        self.process.port
    }

    /// Starts the broker again.
    pub(crate) async fn up(&mut self) {
        let mut command = java("kafka.Kafka");
        command
            .arg(self.properties())
            .current_dir(self.folder.path());
        self.process.up(&mut command).await;
    }

    /// Kills the broker.
    pub(crate) fn down(&mut self) {
        self.process.down();
    }

    /// Runs another client to its end with these JSON lines as its input; returns what it prints.
    pub(crate) async fn client(&self, arguments: &[&str], lines: &[Value]) -> Vec<Value> {
        let (what, rest) = arguments.split_first().expect("what it does");
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/kafka_client.py");
        let mut command = Command::new(installed("client/bin/python").expect("known to be there"));
        command
            .args([script, *what, &self.port().to_string()])
            .args(rest);
        let lines: Vec<String> = lines.iter().map(Value::to_string).collect();
        super::lines_of(command, lines.join("\n")).await
    }
}
