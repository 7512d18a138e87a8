//! etcd, kube-apiserver, kube-controller-manager and kube-scheduler on loopback.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};

use crate::certificates::Certificates;
use crate::ports::Port;
use crate::process::{Part, Program, until_ready};
use crate::simulation;
use crate::tools::{Binaries, Tool};

/// Longest start of etcd or the API server: a machine under full load needs some tens of seconds.
const START: Duration = Duration::from_secs(90);

/// The parts that make a cluster, kwok included.
pub struct ControlPlane {
    /// The store.
    pub etcd: Part,
    /// The API server.
    pub apiserver: Part,
    /// Deployments, Jobs, garbage collection, service accounts, endpoints.
    pub controller_manager: Part,
    /// Pods to nodes.
    pub scheduler: Part,
    /// Nodes and pods, simulated.
    pub kwok: Part,
    pub(crate) certificates: Certificates,
    /// `https://127.0.0.1:PORT`.
    pub server: String,
    pub(crate) client: Client,
    etcd_url: String,
    _ports: Vec<Port>,
}

impl std::fmt::Debug for ControlPlane {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ControlPlane")
            .field("server", &self.server)
            .finish_non_exhaustive()
    }
}

impl ControlPlane {
    /// Starts everything and returns when nodes are ready and pods can be made.
    pub(crate) async fn start(
        dir: &Path,
        group: i32,
        binaries: &Binaries,
        nodes: &simulation::Nodes,
    ) -> Result<Self> {
        let ports = [Port::claim()?, Port::claim()?, Port::claim()?];
        let [etcd_port, peer_port, api_port] = [&ports[0], &ports[1], &ports[2]].map(Port::number);
        let etcd_url = format!("http://127.0.0.1:{etcd_port}");
        let server = format!("https://127.0.0.1:{api_port}");
        let certificates = Certificates::create(dir, &server)?;

        let part = |program: Program| Part::new(program, dir, group);
        let etcd = part(
            Program::new("etcd", binaries.path(Tool::Etcd)?)
                .arg(format!("--data-dir={}", dir.join("etcd").display()))
                .arg(format!("--listen-client-urls={etcd_url}"))
                .arg(format!("--advertise-client-urls={etcd_url}"))
                .arg(format!("--listen-peer-urls=http://127.0.0.1:{peer_port}"))
                .arg(format!(
                    "--initial-advertise-peer-urls=http://127.0.0.1:{peer_port}"
                ))
                .arg(format!(
                    "--initial-cluster=default=http://127.0.0.1:{peer_port}"
                ))
                // A bed does not outlive a power failure: no fsync, no long history.
                .args([
                    "--unsafe-no-fsync",
                    "--log-level=warn",
                    "--snapshot-count=50000",
                ])
                .arg("--quota-backend-bytes=8589934592"),
        )?;
        let apiserver = part(apiserver(
            dir,
            binaries,
            &certificates,
            &etcd_url,
            api_port,
        )?)?;
        let controller_manager = part(controller_manager(binaries, &certificates)?)?;
        let scheduler = part(
            Program::new("kube-scheduler", binaries.path(Tool::KubeScheduler)?)
                .arg(format!(
                    "--kubeconfig={}",
                    certificates.kubeconfig.display()
                ))
                .args(["--leader-elect=false", "--secure-port=0"])
                .args(["--kube-api-qps=5000", "--kube-api-burst=5000"]),
        )?;
        let kwok = part(simulation::program(
            dir,
            binaries,
            &certificates.kubeconfig,
            nodes,
        )?)?;

        let client = client_from(&certificates.kubeconfig).await?;
        let plane = Self {
            etcd,
            apiserver,
            controller_manager,
            scheduler,
            kwok,
            certificates,
            server,
            client,
            etcd_url,
            _ports: ports.into(),
        };
        plane.run(nodes).await?;
        Ok(plane)
    }

    /// Starts the parts one after the other, each when what it needs is ready.
    async fn run(&self, nodes: &simulation::Nodes) -> Result<()> {
        self.etcd.start().await?;
        self.until_etcd().await?;
        self.apiserver.start().await?;
        self.until_apiserver().await?;
        self.controller_manager.start().await?;
        self.scheduler.start().await?;
        simulation::create_nodes(&self.client, nodes).await?;
        self.kwok.start().await?;
        simulation::until_usable(&self.client, &self.kwok, nodes.count, START).await
    }

    /// Returns when etcd answers.
    pub async fn until_etcd(&self) -> Result<()> {
        let url = format!("{}/health", self.etcd_url);
        until_ready(&self.etcd, START, || answers(&url)).await
    }

    /// Returns when the API server says it is ready.
    pub async fn until_apiserver(&self) -> Result<()> {
        until_ready(&self.apiserver, START, || async {
            let request = http::Request::get("/readyz").body(Vec::new());
            match request {
                Ok(request) => self.client.request_text(request).await.is_ok(),
                Err(_) => false,
            }
        })
        .await
    }

    /// Kills the API server, starts it again and returns when it is ready.
    pub async fn restart_apiserver(&self) -> Result<()> {
        self.apiserver.kill().await?;
        self.apiserver.start().await?;
        self.until_apiserver().await
    }

    /// The parts in the order they start.
    pub(crate) fn parts(&self) -> [&Part; 5] {
        [
            &self.etcd,
            &self.apiserver,
            &self.controller_manager,
            &self.scheduler,
            &self.kwok,
        ]
    }
}

/// Whether a GET of this address gives a success.
pub(crate) async fn answers(url: &str) -> bool {
    reqwest::Client::new()
        .get(url)
        .timeout(Duration::from_secs(2))
        .send()
        .await
        .is_ok_and(|response| response.status().is_success())
}

/// A client for a kubeconfig file.
pub(crate) async fn client_from(path: &Path) -> Result<Client> {
    let kubeconfig = Kubeconfig::read_from(path)?;
    let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
    Client::try_from(config).context("client of the bed's cluster")
}

fn apiserver(
    dir: &Path,
    binaries: &Binaries,
    certificates: &Certificates,
    etcd_url: &str,
    port: u16,
) -> Result<Program> {
    let key = certificates.service_account_key.display();
    let public = certificates.service_account_public.display();
    Ok(
        Program::new("kube-apiserver", binaries.path(Tool::KubeApiserver)?)
            .arg(format!("--etcd-servers={etcd_url}"))
            .arg(format!("--secure-port={port}"))
            // Endpoints refuse loopback addresses, and there may be no other: no endpoints for `kubernetes`.
            .args(["--bind-address=127.0.0.1", "--advertise-address=127.0.0.1"])
            .arg("--endpoint-reconciler-type=none")
            .arg(format!("--cert-dir={}", dir.join("pki").display()))
            .arg(format!(
                "--tls-cert-file={}",
                certificates.server_cert.display()
            ))
            .arg(format!(
                "--tls-private-key-file={}",
                certificates.server_key.display()
            ))
            .arg(format!("--client-ca-file={}", certificates.ca.display()))
            .arg("--service-account-issuer=https://kubernetes.default.svc.cluster.local")
            .arg(format!("--service-account-key-file={public}"))
            .arg(format!("--service-account-signing-key-file={key}"))
            .args([
                "--authorization-mode=RBAC",
                "--service-cluster-ip-range=10.96.0.0/16",
            ])
            // Taints would be removed by the node lifecycle controller, which does not run here.
            .args([
                "--disable-admission-plugins=TaintNodesByCondition",
                "--allow-privileged=true",
            ])
            .args([
                "--max-requests-inflight=1600",
                "--max-mutating-requests-inflight=800",
            ])
            .args(["--shutdown-delay-duration=0s", "--profiling=false", "--v=1"]),
    )
}

fn controller_manager(binaries: &Binaries, certificates: &Certificates) -> Result<Program> {
    Ok(Program::new(
        "kube-controller-manager",
        binaries.path(Tool::KubeControllerManager)?,
    )
    .arg(format!(
        "--kubeconfig={}",
        certificates.kubeconfig.display()
    ))
    .arg(format!(
        "--service-account-private-key-file={}",
        certificates.service_account_key.display()
    ))
    .arg(format!("--root-ca-file={}", certificates.ca.display()))
    .arg("--controllers=*,-node-lifecycle-controller,-taint-eviction-controller")
    .args([
        "--leader-elect=false",
        "--secure-port=0",
        "--allocate-node-cidrs=false",
    ])
    // Its own client must not be what a measurement measures.
    .args(["--kube-api-qps=5000", "--kube-api-burst=5000"])
    .args([
        "--concurrent-deployment-syncs=20",
        "--concurrent-replicaset-syncs=20",
    ])
    .args([
        "--concurrent-job-syncs=20",
        "--concurrent-endpoint-syncs=20",
    ])
    .args([
        "--concurrent-service-endpoint-syncs=20",
        "--concurrent-gc-syncs=40",
    ])
    .arg("--profiling=false"))
}
