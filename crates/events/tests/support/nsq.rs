//! A real nsqd with its lookup service.

use std::{path::PathBuf, process::Command};

use serde_json::Value;

use super::{Certified, PATIENCE, Process, free_port, nats, until};

/// Both programs, with a folder of their own; gone when dropped.
pub(crate) struct Nsq {
    programs: PathBuf,
    folder: tempfile::TempDir,
    lookup: Process,
    lookup_http: u16,
    server: Process,
    http: u16,
    tls: bool,
    client: reqwest::Client,
}

impl Nsq {
    /// Starts both; with `tls`, the server demands TLS and shows this certificate.
    pub(crate) async fn start(tls: Option<&Certified>) -> Option<Self> {
        let home = std::env::home_dir().unwrap_or_default();
        let programs = home.join(".cache/argo-lite-bed/nsq");
        if !programs.join("nsqlookupd").is_file() {
            nats::skip_server("no nsqd: run `make servers`");
            return None;
        }
        reconcile_core::operator::install_tls();
        let mut nsq = Self {
            programs,
            folder: tempfile::tempdir().expect("a folder"),
            lookup: Process::new(free_port()),
            lookup_http: free_port(),
            server: Process::new(free_port()),
            http: free_port(),
            tls: tls.is_some(),
            client: reqwest::Client::new(),
        };
        if let Some(shown) = tls {
            let place = nsq.folder.path();
            std::fs::write(place.join("server.crt"), shown.cert.pem()).expect("written");
            let key = shown.signing_key.serialize_pem();
            std::fs::write(place.join("server.key"), key).expect("written");
        }
        let mut lookup = Command::new(nsq.programs.join("nsqlookupd"));
        lookup
            .arg(format!("-tcp-address=127.0.0.1:{}", nsq.lookup.port))
            .arg(format!("-http-address=127.0.0.1:{}", nsq.lookup_http));
        nsq.lookup.up(&mut lookup).await;
        nsq.up().await;
        Some(nsq)
    }

    /// Starts the server again.
    pub(crate) async fn up(&mut self) {
        let mut server = Command::new(self.programs.join("nsqd"));
        server
            .arg(format!("-tcp-address=127.0.0.1:{}", self.server.port))
            .arg(format!("-http-address=127.0.0.1:{}", self.http))
            .arg(format!(
                "-lookupd-tcp-address=127.0.0.1:{}",
                self.lookup.port
            ))
            .arg("-broadcast-address=localhost")
            .arg("-max-msg-size=33554432")
            .arg("-max-body-size=67108864")
            .arg(format!("-data-path={}", self.folder.path().display()));
        if self.tls {
            let file = |name: &str| self.folder.path().join(name).display().to_string();
            server
                .arg("-tls-required=tcp-https")
                .arg(format!("-tls-cert={}", file("server.crt")))
                .arg(format!("-tls-key={}", file("server.key")));
        }
        self.server.up(&mut server).await;
        let client = &self.client;
        let ping = self.url("ping");
        until("the server answers", || async {
            client.get(&ping).send().await.is_ok()
        })
        .await;
    }

    /// Stops the server, which writes down what it has.
    pub(crate) async fn stop(&mut self) {
        self.server.stop().await;
    }

    /// Where it listens.
    pub(crate) fn port(&self) -> u16 {
        self.server.port
    }

    pub(crate) fn http_port(&self) -> u16 {
        self.http
    }

    pub(crate) fn lookup_port(&self) -> u16 {
        self.lookup_http
    }

    fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}/{path}", self.http)
    }

    /// Publishes, and returns when the server has everything.
    pub(crate) async fn publish(&self, topic: &str, messages: &[Vec<u8>]) {
        let count = u32::try_from(messages.len()).expect("few");
        let mut body = count.to_be_bytes().to_vec();
        for message in messages {
            let size = u32::try_from(message.len()).expect("small");
            body.extend_from_slice(&size.to_be_bytes());
            body.extend_from_slice(message);
        }
        let url = self.url(&format!("mpub?topic={topic}&binary=true"));
        let sent = self.client.post(url).body(body).timeout(PATIENCE).send();
        let answer = sent.await.expect("an answer");
        assert!(answer.status().is_success(), "{}", answer.status());
    }

    /// What the server says of a channel, if there is one.
    async fn channel(&self, topic: &str, channel: &str) -> Option<Value> {
        let url = self.url(&format!(
            "stats?format=json&topic={topic}&channel={channel}"
        ));
        let answer = self.client.get(url).send().await.expect("an answer");
        let text = answer.text().await.expect("text");
        let stats: Value = serde_json::from_str(&text).expect("JSON");
        let channel = stats.pointer("/topics/0/channels/0")?;
        Some(channel.clone())
    }

    /// Messages that are not finished.
    pub(crate) async fn depth(&self, topic: &str, channel: &str) -> Option<u64> {
        let stats = self.channel(topic, channel).await?;
        let count = |name: &str| stats[name].as_u64();
        Some(count("depth")? + count("in_flight_count")? + count("deferred_count")?)
    }

    /// How often a message was requeued.
    pub(crate) async fn requeued(&self, topic: &str, channel: &str) -> u64 {
        let stats = self.channel(topic, channel).await;
        stats
            .and_then(|stats| stats["requeue_count"].as_u64())
            .unwrap_or(0)
    }
}
