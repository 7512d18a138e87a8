//! Servers from packages of the system that event sources read.

use std::{path::PathBuf, process::Command};

use super::{free_port, nats, process::Process};

/// A certificate that a server shows, with its key.
pub(crate) type Certified = rcgen::CertifiedKey<rcgen::KeyPair>;

/// A certificate that signs itself, for `localhost`.
pub(crate) fn certified() -> Certified {
    rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate")
}

/// A server with a folder and a port of its own; gone when dropped.
pub(crate) struct Server {
    program: PathBuf,
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
    folder: tempfile::TempDir,
    process: Process,
    /// Where it listens with TLS, if it does.
    pub(crate) tls_port: u16,
}

impl Server {
    /// Starts `redis-server` with the password `hush`, which keeps its data over a restart. Where there is none the
    /// test fails or is skipped, as [`super::Nats::start`] describes.
    pub(crate) async fn redis() -> Option<Self> {
        let mut server = Self::new("redis-server")?;
        let folder = server.folder.path().display().to_string();
        let port = server.port().to_string();
        let arguments = [
            "--bind",
            "127.0.0.1",
            "--port",
            &port,
            "--dir",
            &folder,
            "--save",
            "",
            "--appendonly",
            "yes",
            "--requirepass",
            "hush",
        ];
        server.arguments = arguments.map(str::to_owned).to_vec();
        server.up().await;
        Some(server)
    }

    /// Starts `mosquitto` for the user `worker` with the password `hush`, which keeps sessions over a restart; with
    /// `tls`, it shows this certificate on another port.
    pub(crate) async fn mosquitto(tls: Option<&Certified>) -> Option<Self> {
        let mut server = Self::new("mosquitto")?;
        let (passwords, config) = (server.file("passwords"), server.file("config"));
        std::fs::write(&passwords, "worker:hush\n").expect("written");
        let hashed = Command::new("mosquitto_passwd")
            .arg("-U")
            .arg(&passwords)
            .status();
        assert!(hashed.is_ok_and(|status| status.success()), "passwords");
        // Root is the user of tests in containers; others ignore the line.
        let mut lines = format!(
            "listener {} 127.0.0.1\nallow_anonymous false\npassword_file {}\npersistence true\npersistence_location {}/\nmax_queued_messages 0\nuser root\n",
            server.port(),
            passwords.display(),
            server.folder.path().display(),
        );
        if let Some(certified) = tls {
            let (certificate, key) = server.write(certified);
            let port = server.tls_port;
            lines.extend([format!(
                "listener {port} 127.0.0.1\ncertfile {certificate}\nkeyfile {key}\n"
            )]);
        }
        std::fs::write(&config, lines).expect("written");
        server.arguments = vec!["-c".to_owned(), config.display().to_string()];
        server.up().await;
        Some(server)
    }

    /// Starts `moto_server`, which plays the services of Amazon and keeps nothing over a restart. It takes any keys.
    pub(crate) async fn moto() -> Option<Self> {
        let mut server = Self::new("moto_server")?;
        let port = server.port().to_string();
        server.arguments = ["-H", "127.0.0.1", "-p", &port].map(str::to_owned).to_vec();
        server.up().await;
        Some(server)
    }

    /// Starts Azurite, which plays the queues of Azure Storage for the account `shop` with this key.
    pub(crate) async fn azurite(key: &str) -> Option<Self> {
        let mut server = Self::new("azurite-queue")?;
        let (port, folder) = (server.port().to_string(), server.file("data"));
        let folder = folder.display().to_string();
        let arguments = [
            "--queueHost",
            "127.0.0.1",
            "--queuePort",
            &port,
            "--location",
            &folder,
            "--silent",
            "--disableTelemetry",
        ];
        server.arguments = arguments.map(str::to_owned).to_vec();
        server.environment = vec![("AZURITE_ACCOUNTS".to_owned(), format!("shop:{key}"))];
        server.up().await;
        Some(server)
    }

    /// Starts RabbitMQ for the user `worker` with the password `hush`, which keeps durable queues over a restart; with
    /// `tls`, it shows this certificate on another port.
    pub(crate) async fn rabbitmq(tls: Option<&Certified>) -> Option<Self> {
        let mut server = Self::new("rabbitmq-server")?;
        // The script in the path switches the user; the one behind it does not.
        let script = PathBuf::from("/usr/lib/rabbitmq/bin/rabbitmq-server");
        if script.is_file() {
            server.program = script;
        }
        let port = server.port();
        let mut lines = format!(
            "default_user = worker\ndefault_pass = hush\nloopback_users = none\nlisteners.tcp.1 = 127.0.0.1:{port}\n"
        );
        if let Some(certified) = tls {
            let (certificate, key) = server.write(certified);
            lines.extend([format!(
                "listeners.ssl.1 = 127.0.0.1:{}\nssl_options.certfile = {certificate}\nssl_options.keyfile = {key}\n",
                server.tls_port,
            )]);
        }
        std::fs::write(server.file("rabbitmq.conf"), lines).expect("written");
        std::fs::write(server.file("plugins"), "[].").expect("written");
        let folder = server.folder.path().display().to_string();
        let set = |name: &str, value: String| (name.to_owned(), value);
        server.environment = vec![
            set("HOME", folder.clone()),
            set("RABBITMQ_CONFIG_FILE", format!("{folder}/rabbitmq")),
            set("RABBITMQ_ENABLED_PLUGINS_FILE", format!("{folder}/plugins")),
            set("RABBITMQ_MNESIA_BASE", format!("{folder}/data")),
            set("RABBITMQ_LOG_BASE", format!("{folder}/log")),
            set("RABBITMQ_PID_FILE", format!("{folder}/pid")),
            set("RABBITMQ_NODENAME", format!("test{port}@localhost")),
            set("RABBITMQ_DIST_PORT", free_port().to_string()),
        ];
        server.up().await;
        Some(server)
    }

    /// Path of a file in the server's folder.
    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a certificate and its key; returns their paths.
    pub(super) fn write(&self, certified: &Certified) -> (String, String) {
        let (certificate, key) = (self.file("server.crt"), self.file("server.key"));
        std::fs::write(&certificate, certified.cert.pem()).expect("written");
        std::fs::write(&key, certified.signing_key.serialize_pem()).expect("written");
        (certificate.display().to_string(), key.display().to_string())
    }

    /// Sets what the program is started with.
    pub(super) fn run_with(&mut self, arguments: Vec<String>) {
        self.arguments = arguments;
    }

    /// Sets a variable of its environment.
    pub(super) fn set(&mut self, name: &str, value: String) {
        self.environment.push((name.to_owned(), value));
    }

    /// Id of its process.
    pub(super) fn id(&self) -> u32 {
        self.process.id()
    }

    pub(super) fn new(program: &str) -> Option<Self> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let mut folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
        // Debian's place for servers is not in everybody's path.
        folders.push("/usr/sbin".into());
        if let Some(home) = std::env::home_dir() {
            let cache = home.join(".cache/argo-lite-bed");
            folders.push(cache.join("moto/bin"));
            folders.push(cache.join("azurite/node_modules/.bin"));
            folders.push(cache);
        }
        let found = folders
            .into_iter()
            .map(|folder| folder.join(program))
            .find(|file| file.is_file());
        let Some(program) = found else {
            nats::skip_server(&format!("no {program}: run `make servers`"));
            return None;
        };
        Some(Self {
            program,
            arguments: Vec::new(),
            environment: Vec::new(),
            folder: tempfile::tempdir().expect("a folder"),
            process: Process::new(free_port()),
            tls_port: free_port(),
        })
    }

    /// Where it listens.
    pub(crate) fn port(&self) -> u16 {
        self.process.port
    }

    /// Starts the server again.
    pub(crate) async fn up(&mut self) {
        let mut command = Command::new(&self.program);
        command
            .args(&self.arguments)
            .envs(self.environment.clone())
            .current_dir(self.folder.path());
        self.process.up(&mut command).await;
    }

    /// Asks the server to stop, and waits until it has.
    pub(crate) async fn stop(&mut self) {
        self.process.stop().await;
    }

    /// Kills the server.
    pub(crate) fn down(&mut self) {
        self.process.down();
    }
}
