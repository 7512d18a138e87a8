//! A hub of Azure Event Hubs that rhea plays, another implementation of its protocol.

use std::{fs, io::Write};

use super::{
    nats,
    server::{Certified, Server},
};

/// The hub `orders`, which keeps its events over a restart.
pub(crate) struct EventHub {
    pub(crate) server: Server,
}

impl EventHub {
    /// Starts one with so many partitions and this key; on another port it shows this certificate. Where a program is
    /// missing the test fails or is skipped, as [`super::Nats::start`] describes.
    pub(crate) async fn start(partitions: usize, key: &str, shown: &Certified) -> Option<Self> {
        let mut server = Server::new("node")?;
        let home = std::env::home_dir().unwrap_or_default();
        let library = home.join(".cache/argo-lite-bed/rhea/node_modules");
        if !library.join("rhea").is_dir() {
            nats::skip_server("no rhea: run `make servers`");
            return None;
        }
        let folder = server.file("partitions");
        fs::create_dir(&folder).expect("a folder");
        for partition in 0..partitions {
            fs::write(folder.join(partition.to_string()), "").expect("written");
        }
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/event_hub.js");
        let (certificate, tls_key) = server.write(shown);
        let arguments = [
            script,
            &server.port().to_string(),
            &folder.display().to_string(),
            key,
            &server.tls_port.to_string(),
            &certificate,
            &tls_key,
        ];
        server.run_with(arguments.map(str::to_owned).to_vec());
        server.set("NODE_PATH", library.display().to_string());
        server.up().await;
        Some(Self { server })
    }

    /// Adds events to a partition.
    pub(crate) fn publish(&self, partition: usize, lines: &[String]) {
        let file = self.server.file("partitions").join(partition.to_string());
        let mut file = fs::File::options().append(true).open(file).expect("there");
        let mut text = lines.join("\n");
        text.push('\n');
        file.write_all(text.as_bytes()).expect("written");
    }

    /// Forgets all events, as a hub that was created again has.
    pub(crate) fn create_again(&self, partition: usize) {
        let file = self.server.file("partitions").join(partition.to_string());
        fs::write(file, "").expect("written");
    }

    /// Where it listens without TLS, as an emulator does.
    pub(crate) fn address(&self) -> String {
        format!(
            "127.0.0.1:{};UseDevelopmentEmulator=true",
            self.server.port()
        )
    }
}
