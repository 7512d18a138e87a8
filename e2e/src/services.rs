//! nats-server with `JetStream`, and Prometheus.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Result;
use serde_json::json;

use crate::control_plane::answers;
use crate::ports::Port;
use crate::process::{Part, Program, until_ready};
use crate::tools::{Binaries, Tool};

/// Longest start of one of them, on a machine under full load.
const START: Duration = Duration::from_mins(1);

/// The bus.
#[derive(Debug)]
pub struct Nats {
    /// The process.
    pub part: Part,
    /// `nats://127.0.0.1:PORT`.
    pub url: String,
    monitor: String,
    _ports: [Port; 2],
}

impl Nats {
    pub(crate) async fn start(dir: &Path, group: i32, binaries: &Binaries) -> Result<Self> {
        let ports = [Port::claim()?, Port::claim()?];
        let program = Program::new("nats-server", binaries.path(Tool::NatsServer)?)
            .args(["-a", "127.0.0.1", "-p", &ports[0].number().to_string()])
            .args([
                "-m",
                &ports[1].number().to_string(),
                "--jetstream",
                "--store_dir",
            ])
            .arg(dir.join("nats"));
        let nats = Self {
            part: Part::new(program, dir, group)?,
            url: format!("nats://127.0.0.1:{}", ports[0].number()),
            monitor: format!("http://127.0.0.1:{}/healthz", ports[1].number()),
            _ports: ports,
        };
        nats.part.start().await?;
        nats.until_ready().await?;
        Ok(nats)
    }

    /// Returns when the server and its `JetStream` are healthy.
    pub async fn until_ready(&self) -> Result<()> {
        until_ready(&self.part, START, || answers(&self.monitor)).await
    }
}

/// The metrics store. It scrapes what its target file names, every second.
#[derive(Debug)]
pub struct Prometheus {
    /// The process.
    pub part: Part,
    /// `http://127.0.0.1:PORT`.
    pub url: String,
    /// A file of targets in Prometheus' `file_sd` form; written again whenever pods come or go. Other files `*.json` in
    /// its folder are read, too.
    pub targets: PathBuf,
    _port: Port,
}

impl Prometheus {
    pub(crate) async fn start(dir: &Path, group: i32, binaries: &Binaries) -> Result<Self> {
        let port = Port::claim()?;
        let folder = dir.join("prometheus");
        let targets = folder.join("targets").join("pods.json");
        std::fs::create_dir_all(folder.join("targets"))?;
        std::fs::write(&targets, "[]")?;
        let config = json!({
            "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
            "scrape_configs": [
                {"job_name": "pods", "file_sd_configs": [
                    {"files": [folder.join("targets").join("*.json").display().to_string()], "refresh_interval": "2s"},
                ]},
                {"job_name": "prometheus", "static_configs": [
                    {"targets": [format!("127.0.0.1:{}", port.number())]},
                ]},
            ],
        });
        let config_file = folder.join("prometheus.yml");
        std::fs::write(&config_file, serde_json::to_string_pretty(&config)?)?;
        let program = Program::new("prometheus", binaries.path(Tool::Prometheus)?)
            .arg(format!("--config.file={}", config_file.display()))
            .arg(format!(
                "--storage.tsdb.path={}",
                folder.join("data").display()
            ))
            .arg(format!("--web.listen-address=127.0.0.1:{}", port.number()))
            .arg("--log.level=warn");
        let prometheus = Self {
            part: Part::new(program, dir, group)?,
            url: format!("http://127.0.0.1:{}", port.number()),
            targets,
            _port: port,
        };
        prometheus.part.start().await?;
        prometheus.until_ready().await?;
        Ok(prometheus)
    }

    /// Returns when Prometheus serves queries.
    pub async fn until_ready(&self) -> Result<()> {
        let url = format!("{}/-/ready", self.url);
        until_ready(&self.part, START, || answers(&url)).await
    }
}
