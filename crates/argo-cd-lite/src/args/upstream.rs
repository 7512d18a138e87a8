//! Flags of the ports for Argo CD's own server.

use std::{
    net::{IpAddr, Ipv6Addr},
    path::PathBuf,
};

use clap::Args;
use reconcile_core::listen::ListenAddress;

use crate::{
    controller::{Ports, RedisPort},
    repo_server::RepoServerSettings,
    tls::{Tls, TlsFiles},
};

/// Ports for Argo CD's own server.
#[derive(Args, Clone, Debug)]
pub struct UpstreamArgs {
    /// Port of the Redis protocol, for an unmodified argocd-server beside this controller; off when absent. Clients
    /// need the password in Secret argocd-redis.
    #[arg(long, env = "ARGOCD_LITE_REDIS_PORT", value_name = "PORT")]
    pub redis_port: Option<u16>,
    /// IP address that --redis-port listens on.
    #[arg(
        long,
        env = "ARGOCD_LITE_REDIS_ADDRESS",
        default_value = "127.0.0.1",
        value_name = "IP"
    )]
    pub redis_address: IpAddr,
    /// Version of the cache that argocd-server puts into its keys.
    #[arg(
        long,
        env = "ARGOCD_LITE_REDIS_CACHE_VERSION",
        default_value = "1.8.3",
        value_name = "VERSION"
    )]
    pub redis_cache_version: String,
    /// Serve the Redis protocol with TLS.
    #[arg(long, env = "ARGOCD_LITE_REDIS_TLS")]
    pub redis_tls: bool,
    /// Folder with tls.crt and tls.key for the Redis protocol, read again when they change; a certificate that nobody
    /// has signed is made when absent. Turns TLS on.
    #[arg(long, env = "ARGOCD_LITE_REDIS_TLS_FOLDER", value_name = "FOLDER")]
    pub redis_tls_folder: Option<PathBuf>,
    /// File with the certificates that sign those of clients of the Redis protocol; other clients are refused. Turns
    /// TLS on.
    #[arg(long, env = "ARGOCD_LITE_REDIS_CLIENT_CA", value_name = "FILE")]
    pub redis_client_ca: Option<PathBuf>,
    /// Port of the repo-server protocol, for Argo CD's own components; off when absent. It has no logins: let nobody
    /// else reach it.
    #[arg(long, env = "ARGOCD_LITE_REPO_SERVER_PORT", value_name = "PORT")]
    pub repo_server_port: Option<u16>,
    /// IP address that --repo-server-port listens on.
    #[arg(
        long,
        env = "ARGOCD_LITE_REPO_SERVER_ADDRESS",
        default_value = "127.0.0.1",
        value_name = "IP"
    )]
    pub repo_server_address: IpAddr,
    /// Serve the repo-server protocol without TLS.
    #[arg(long, env = "ARGOCD_REPO_SERVER_DISABLE_TLS")]
    pub repo_server_disable_tls: bool,
    /// Folder with tls.crt and tls.key for the repo-server protocol, read again when they change; a certificate that
    /// nobody has signed is made when absent.
    #[arg(
        long,
        env = "ARGOCD_LITE_REPO_SERVER_TLS_FOLDER",
        conflicts_with = "repo_server_disable_tls",
        value_name = "FOLDER"
    )]
    pub repo_server_tls_folder: Option<PathBuf>,
    /// File with the certificates that sign those of clients of the repo-server protocol; other clients are refused.
    #[arg(
        long,
        env = "ARGOCD_LITE_REPO_SERVER_CLIENT_CA",
        conflicts_with = "repo_server_disable_tls",
        value_name = "FILE"
    )]
    pub repo_server_client_ca: Option<PathBuf>,
}

/// `::` stands for all addresses of both families, also on a machine that has only one of them.
fn listen(address: IpAddr, port: u16) -> ListenAddress {
    let all = address == IpAddr::from(Ipv6Addr::UNSPECIFIED);
    ListenAddress {
        address: (!all).then_some(address),
        port,
    }
}

impl UpstreamArgs {
    /// The ports, with that of the webhook.
    pub fn ports(self, webhook: ListenAddress) -> Ports {
        let files = TlsFiles {
            folder: self.redis_tls_folder,
            client_ca: self.redis_client_ca,
        };
        let tls = self.redis_tls || files != TlsFiles::default();
        let redis = self.redis_port.map(|port| RedisPort {
            listen: listen(self.redis_address, port),
            cache_version: self.redis_cache_version,
            tls: if tls { Tls::On(files) } else { Tls::Off },
        });
        let tls = if self.repo_server_disable_tls {
            Tls::Off
        } else {
            Tls::On(TlsFiles {
                folder: self.repo_server_tls_folder,
                client_ca: self.repo_server_client_ca,
            })
        };
        let repo_server = self.repo_server_port.map(|port| RepoServerSettings {
            listen: listen(self.repo_server_address, port),
            tls,
        });
        Ports {
            webhook,
            redis,
            repo_server,
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        upstream: UpstreamArgs,
    }

    fn ports(flags: &[&str]) -> Result<Ports, clap::Error> {
        let line = ["x", "--redis-port=1", "--repo-server-port=2"];
        let line = Line::try_parse_from(line.iter().chain(flags))?;
        Ok(line.upstream.ports(ListenAddress::default()))
    }

    #[test]
    fn tls_is_on_for_files_and_off_when_asked_for() {
        let tls = |flags: &[&str]| {
            let ports = ports(flags).expect("flags that parse");
            let redis = ports.redis.map(|redis| redis.tls).expect("a port");
            let repositories = ports.repo_server.map(|port| port.tls).expect("a port");
            (redis, repositories)
        };
        let own = Tls::On(TlsFiles::default());
        assert_eq!(tls(&[]), (Tls::Off, own.clone()));
        let off = tls(&["--redis-tls", "--repo-server-disable-tls"]);
        assert_eq!(off, (own, Tls::Off));
        let files = |folder: Option<&str>, ca: Option<&str>| {
            Tls::On(TlsFiles {
                folder: folder.map(PathBuf::from),
                client_ca: ca.map(PathBuf::from),
            })
        };
        let given = tls(&["--redis-tls-folder=/r", "--repo-server-client-ca=/c"]);
        assert_eq!(given, (files(Some("/r"), None), files(None, Some("/c"))));
        let both = ["--repo-server-client-ca=/c", "--repo-server-disable-tls"];
        assert!(ports(&both).is_err(), "clients cannot be known without TLS");
    }

    #[test]
    fn two_colons_are_all_addresses_of_both_families() {
        let ports = ports(&["--redis-address=::", "--repo-server-address=0.0.0.0"]);
        let ports = ports.expect("flags that parse");
        assert_eq!(ports.redis.map(|port| port.listen.address), Some(None));
        let ipv4 = IpAddr::from([0, 0, 0, 0]);
        let listen = ports.repo_server.map(|port| port.listen.address);
        assert_eq!(listen, Some(Some(ipv4)));
    }
}
