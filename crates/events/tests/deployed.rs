//! The configuration and credentials of a bus that the controller deploys, with a real nats-server.

mod support;

use std::{io::Write as _, path::Path, process::Command, sync::Arc};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use events::{
    bus::{Auth, BusConfig},
    controller::eventbus::{
        BusDefaults,
        deployment::{Deployment, objects::objects, secrets::Place, server::EncryptionKey},
        validate::{self, CheckedBus},
    },
    tls::TlsSettings,
};
use reconcile_core::{egress::EgressPolicy, object::ObjectKey, operator::install_tls};
use rustls::pki_types::ServerName;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    net::TcpStream,
};

use support::{Nats, Process, away, free_port, ready};

/// What the controller would apply, with the paths and ports of this machine.
struct Deployed {
    folder: tempfile::TempDir,
    checked: CheckedBus,
    config: String,
    server: Value,
    client: Value,
    port: u16,
}

fn value(secret: &Value, key: &str) -> String {
    let text = secret["data"][key].as_str().expect("a value");
    let bytes = STANDARD.decode(text).expect("base64");
    String::from_utf8(bytes).expect("text")
}

impl Deployed {
    fn new(spec: &Value) -> Self {
        let bus = ObjectKey::new("ns", "main");
        let spec = json!({ "jetstream": spec });
        let checked = validate::check(&bus, &spec, &BusDefaults::default()).expect("accepted");
        let deployment = checked.deployment.as_ref().expect("deployed");
        let owner = json!({"uid": "u"});
        let place = Place {
            names: &deployment.names,
            namespace: "ns",
            owner: &owner,
        };
        let secrets = place.generate(2026).expect("generated");
        let [config, _, set] = objects(deployment, &place, EncryptionKey::Secret);
        let folder = tempfile::tempdir().expect("a folder");
        let port = free_port();
        let text = config.body["data"]["nats-js"].as_str().expect("text");
        let local = |path: &str| folder.path().join(path).display().to_string();
        let config = text
            .replace("/etc/nats-config", &local("config"))
            .replace("/var/run/nats", &local("run"))
            .replace("/data/jetstream", &local("data"))
            .replace("port: 4222", &format!("port: {port}"))
            .replace(
                "http: 8222",
                &format!("http: \"127.0.0.1:{}\"", free_port()),
            );
        let deployed = Self {
            checked: checked.clone(),
            config,
            server: secrets.server,
            client: secrets.client,
            port,
            folder,
        };
        deployed.write_files(&set.body);
        deployed
    }

    fn deployment(&self) -> &Deployment {
        self.checked.deployment.as_ref().expect("deployed")
    }

    /// Writes what the pod mounts, where it mounts it.
    fn write_files(&self, set: &Value) {
        for folder in ["config", "run", "data"] {
            std::fs::create_dir_all(self.folder.path().join(folder)).expect("created");
        }
        let folder = self.folder.path().join("config");
        let sources = &set["spec"]["template"]["spec"]["volumes"][1]["projected"]["sources"];
        let items = sources[1]["secret"]["items"].as_array().expect("items");
        for item in items {
            let (key, path) = (item["key"].as_str(), item["path"].as_str());
            let text = value(&self.server, key.expect("a key"));
            std::fs::write(folder.join(path.expect("a path")), text).expect("written");
        }
        let name = sources[0]["configMap"]["items"][0]["path"].as_str();
        std::fs::write(folder.join(name.expect("a path")), &self.config).expect("written");
    }

    fn command(&self, binary: &Path) -> Command {
        let mut command = Command::new(binary);
        command
            .arg("--config")
            .arg(self.folder.path().join("config/nats-js.conf"))
            .env("POD_NAME", "eventbus-main-js-0")
            .env("CLUSTER_ADVERTISE", "eventbus-main-js-0.svc")
            .env("JS_KEY", value(&self.server, "encryption"));
        command
    }

    /// How the controller connects. The certificate is for the name of the Service, which nobody resolves here: see
    /// [`handshake`].
    fn config(&self, auth: Auth) -> BusConfig {
        BusConfig {
            urls: vec![format!("nats://127.0.0.1:{}", self.port)],
            auth,
            tls: Some(TlsSettings {
                insecure: true,
                ..TlsSettings::default()
            }),
            stream: self.checked.stream.clone(),
            egress: EgressPolicy::of_flag("--allow-link-local", false),
        }
    }
}

/// Speaks TLS as a client that trusts the authority of the clients' Secret and expects the name of the Service.
async fn handshake(deployed: &Deployed) {
    let settings = TlsSettings {
        ca: Some(value(&deployed.client, "ca-cert")),
        ..TlsSettings::default()
    };
    let config = settings.client_config().expect("usable").expect("some");
    let stream = TcpStream::connect(("127.0.0.1", deployed.port)).await;
    let mut stream = BufReader::new(stream.expect("connected"));
    let mut greeting = String::new();
    stream.read_line(&mut greeting).await.expect("a greeting");
    assert!(greeting.contains("\"tls_required\":true"), "{greeting}");
    let url = deployed.deployment().names.url("ns");
    let host = url.trim_start_matches("nats://").trim_end_matches(":4222");
    let name = ServerName::try_from(host.to_owned()).expect("a name");
    let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
    connector
        .connect(name, stream.into_inner())
        .await
        .expect("the certificate is that of the Service");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_server_takes_what_is_generated_and_only_its_credentials() {
    install_tls();
    let Some(binary) = Nats::binary_or_skip() else {
        return;
    };
    let deployed = Deployed::new(&json!({
        "version": "latest", "replicas": 1, "maxPayload": "2MB",
        "streamConfig": "maxMsgs: 77", "settings": "max_file_store: 4GB",
    }));
    let mut server = Process::new(deployed.port);
    server.up(&mut deployed.command(&binary)).await;
    handshake(&deployed).await;
    let auth = validate::auth(&value(&deployed.client, "client-auth"));
    let bus = ready(deployed.config(auth.clone())).await;
    assert_eq!(bus.largest_message(), 2 << 20);
    // What is stored cannot be read on the disk.
    let body = "a text that is not on the disk in clear";
    let client = async_nats::jetstream::new(bus_client(&deployed, &auth).await);
    let stored = client.publish("default.a.b", body.into()).await;
    stored.expect("sent").await.expect("stored");
    let info = client.get_stream("default").await.expect("a stream");
    assert_eq!(info.cached_info().config.max_messages, 77);
    assert!(!holds(&deployed.folder.path().join("data"), body));
    let stranger = Auth::Basic {
        username: "u".into(),
        password: "p".into(),
    };
    away(deployed.config(stranger), "authorization").await;
}

async fn bus_client(deployed: &Deployed, auth: &Auth) -> async_nats::Client {
    let basic = match auth {
        Auth::Basic { username, password } => Some((username, password)),
        _ => None,
    };
    let (username, password) = basic.expect("user and password");
    let tls = TlsSettings {
        insecure: true,
        ..TlsSettings::default()
    };
    let tls = tls.client_config().expect("usable").expect("some");
    let options = async_nats::ConnectOptions::with_user_and_password(
        username.clone(),
        password.expose().into(),
    );
    let client = options.require_tls(true).tls_client_config(tls);
    let client = client.connect(format!("127.0.0.1:{}", deployed.port)).await;
    client.expect("connected")
}

/// Whether a file below `folder` holds the text.
fn holds(folder: &Path, text: &str) -> bool {
    let entries = std::fs::read_dir(folder).expect("a folder");
    entries
        .map(|entry| entry.expect("an entry").path())
        .any(|path| {
            if path.is_dir() {
                return holds(&path, text);
            }
            let bytes = std::fs::read(&path).unwrap_or_default();
            bytes
                .windows(text.len())
                .any(|window| window == text.as_bytes())
        })
}

#[test]
fn the_configuration_of_a_cluster_is_valid_for_a_real_server() {
    let Some(binary) = Nats::binary_or_skip() else {
        return;
    };
    let deployed = Deployed::new(&json!({"version": "latest"}));
    assert!(
        deployed
            .config
            .contains("eventbus-main-js-2.eventbus-main-js-svc.ns.svc:6222")
    );
    let checked = deployed.command(&binary).arg("-t").output().expect("run");
    let said = String::from_utf8_lossy(&checked.stderr).into_owned();
    assert!(checked.status.success(), "{said}");
    // A broken one is found by this test.
    let file = deployed.folder.path().join("config/nats-js.conf");
    let mut file = std::fs::OpenOptions::new()
        .append(true)
        .open(file)
        .expect("open");
    writeln!(file, "cluster {{").expect("written");
    let checked = deployed.command(&binary).arg("-t").output().expect("run");
    assert!(!checked.status.success());
}
