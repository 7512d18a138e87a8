//! How to log in to a Git server, and what errors call the things that a user can change.

use std::sync::Arc;

use reqwest::Proxy;
use secrecy::{ExposeSecret, SecretString};

/// How to log in to a server, and whom to believe.
#[derive(Clone, Default)]
pub struct Login {
    /// User name for HTTP; Git hosts accept any when the password is a token.
    pub username: String,
    /// Password or token.
    pub password: SecretString,
    /// Check neither the certificate nor the host key of the server.
    pub insecure: bool,
    /// Certificate and key for TLS, as PEM.
    pub client_certificate: Option<SecretString>,
    /// Token that goes to the server as a bearer's.
    pub bearer: Option<SecretString>,
    /// Private key for ssh.
    pub ssh_key: Option<SecretString>,
    /// The only authorities that the server's certificate may come from, as PEM.
    pub authority: Option<String>,
    /// Servers known over ssh, in the format of OpenSSH. Without any, no server is reached over ssh.
    pub known_hosts: Option<Arc<str>>,
    /// The way to the server by http and https, instead of the proxies of the environment.
    pub proxy: Option<Proxy>,
}

impl Login {
    /// True without a password.
    pub fn is_empty(&self) -> bool {
        self.password.expose_secret().is_empty()
    }
}

/// What errors call the things that a user can change.
#[derive(Clone, Copy, Debug)]
pub struct Names {
    /// The private key for ssh.
    pub ssh_key: &'static str,
    /// What to do where a server asks for a key and there is none.
    pub add_ssh_key: &'static str,
    /// The list of known hosts.
    pub known_hosts: &'static str,
    /// The authorities of a server.
    pub authority: &'static str,
    /// The certificate that the client shows, and its key.
    pub client_certificate: &'static str,
    /// The proxy.
    pub proxy: &'static str,
}
