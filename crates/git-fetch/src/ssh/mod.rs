//! Git over ssh: one `ssh` process for each conversation.
//!
//! The process sees a private folder with the key and the known hosts, and nothing of this machine's: no configuration,
//! no agent, no environment. It ends with the conversation.

mod files;
mod url;

use std::{
    borrow::Cow,
    io::{self, Read},
    net::{IpAddr, ToSocketAddrs},
    path::Path,
    process::{Child, ChildStderr, ChildStdin, ChildStdout},
    sync::{
        Arc,
        mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    },
    time::{Duration, Instant},
};

use gix::{
    bstr::BStr,
    protocol::transport::{
        Protocol, Service,
        client::{
            Error, MessageKind, TransportWithoutIO, WriteMode,
            blocking_io::{RequestWriter, SetServiceResponse, Transport},
            git::{ConnectMode, blocking_io::Connection},
        },
    },
};
use parking_lot::Mutex;
use reconcile_core::{credentials::redact_urls, egress::EgressPolicy, process_limits::limit_child};
use rustix::process::Resource;

use crate::{FetchError, Login, Names, limits::Watch};
use files::PrivateFiles;
pub use url::SshUrl;

/// How often a waiting caller checks whether the connection has to end.
const LOOK: Duration = Duration::from_millis(50);
/// Time that a process which has closed its output gets to end.
const END: Duration = Duration::from_secs(2);
/// Bytes of the messages of a process that are read.
const MESSAGES: u64 = 16 * 1024;
/// Bytes of a message that are shown.
const SHOWN: usize = 300;
/// What the kernel gives to a process: seconds, bytes, files.
const LIMITS: [(Resource, u64); 4] = [
    (Resource::Cpu, 300),
    (Resource::Data, 256 * 1024 * 1024),
    (Resource::Nofile, 64),
    (Resource::Core, 0),
];

/// A conversation to begin.
pub(crate) struct SshRequest<'a> {
    pub(crate) url: &'a SshUrl,
    pub(crate) login: Option<&'a Login>,
    pub(crate) names: &'a Names,
    pub(crate) egress: EgressPolicy,
    pub(crate) watch: &'a Watch,
    /// What is counted of the answers, and how much of it there may be.
    pub(crate) what: &'static str,
    pub(crate) limit: u64,
    /// Where private folders are made.
    pub(crate) folder: &'a Path,
}

/// A conversation with the `git-upload-pack` of a server.
pub(crate) struct SshTransport {
    connection: Connection<SshOutput, ChildStdin>,
    _process: Arc<SshProcess>,
}

impl SshTransport {
    pub(crate) fn connect(request: &SshRequest<'_>) -> Result<Self, FetchError> {
        let url = request.url;
        if request.login.is_some_and(|login| login.proxy.is_some()) {
            return Err(FetchError::Remote(format!(
                "{} is for http and https: ssh does not go through it",
                request.names.proxy
            )));
        }
        let address = permitted_address(url, request.egress)?;
        let files = PrivateFiles::write(request.folder, request.login)?;
        let mut command = files.command(url, address, request.login);
        let mut child = command.spawn().map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => {
                FetchError::Remote("the program ssh is not installed beside the controller".into())
            }
            _ => FetchError::Store(format!("cannot run ssh: {error}")),
        })?;
        limit_child("ssh", &child, &LIMITS);
        let pipes = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let (Some(input), Some(output), Some(messages)) = pipes else {
            return Err(FetchError::Store("ssh has no pipes".to_owned()));
        };
        let process = SshProcess::new(child, files, request.watch);
        let output = SshOutput {
            output,
            messages: collect(messages),
            process: process.clone(),
            watch: request.watch.clone(),
            what: request.what,
            limit: request.limit,
            host: url.host.clone(),
            names: *request.names,
            has_key: request.login.is_some_and(|one| one.ssh_key.is_some()),
        };
        let host = None::<(&str, Option<u16>)>;
        let connection = Connection::new(
            output,
            input,
            Protocol::V2,
            url.path.as_str(),
            host,
            ConnectMode::Process,
            false,
        );
        Ok(Self {
            connection,
            _process: process,
        })
    }
}

impl TransportWithoutIO for SshTransport {
    fn to_url(&self) -> Cow<'_, BStr> {
        self.connection.to_url()
    }

    fn connection_persists_across_multiple_requests(&self) -> bool {
        true
    }

    fn configure(&mut self, _config: &dyn std::any::Any) -> gix::Result {
        Ok(())
    }
}

impl Transport for SshTransport {
    fn handshake<'a>(
        &mut self,
        service: Service,
        extra_parameters: &'a [(&'a str, Option<&'a str>)],
    ) -> Result<SetServiceResponse<'_>, Error> {
        self.connection.handshake(service, extra_parameters)
    }

    fn request(
        &mut self,
        write_mode: WriteMode,
        on_into_read: MessageKind,
        trace: bool,
    ) -> Result<RequestWriter<'_>, Error> {
        self.connection.request(write_mode, on_into_read, trace)
    }
}

/// The address to call: `ssh` is given it, so that the name cannot mean another one a moment later.
fn permitted_address(url: &SshUrl, egress: EgressPolicy) -> Result<IpAddr, FetchError> {
    let resolved = (url.host.as_str(), url.port).to_socket_addrs();
    let resolved = resolved.map_err(|error| {
        FetchError::Remote(format!("cannot resolve the host {}: {error}", url.host))
    })?;
    let mut addresses: Vec<IpAddr> = resolved.map(|address| address.ip()).collect();
    // Only one is tried, and not every network has the newer protocol.
    addresses.sort_by_key(IpAddr::is_ipv6);
    for address in &addresses {
        // A name with a refused address is not called at any of its addresses.
        egress.check_address(*address)?;
    }
    let first = addresses.first().copied();
    first.ok_or_else(|| FetchError::Remote(format!("the host {} has no address", url.host)))
}

/// The process, which is killed when nobody waits for it any longer.
struct SshProcess {
    child: Mutex<Child>,
    /// Ends the guard when it is dropped.
    _end: Sender<()>,
    _files: PrivateFiles,
}

impl SshProcess {
    fn new(child: Child, files: PrivateFiles, watch: &Watch) -> Arc<Self> {
        let (end, ended) = channel();
        let process = Arc::new(Self {
            child: Mutex::new(child),
            _end: end,
            _files: files,
        });
        let (guarded, watch) = (Arc::downgrade(&process), watch.clone());
        let guard = move || {
            // Reads and writes of a process that says nothing end only with it.
            while ended.recv_timeout(LOOK) == Err(RecvTimeoutError::Timeout) {
                if watch.is_interrupted()
                    && let Some(process) = guarded.upgrade()
                {
                    drop(process.child.lock().kill());
                    return;
                }
            }
        };
        let started = std::thread::Builder::new()
            .name("ssh-guard".to_owned())
            .stack_size(128 * 1024)
            .spawn(guard);
        if let Err(error) = started {
            tracing::warn!(%error, "a conversation over ssh has no guard");
            drop(process.child.lock().kill());
        }
        process
    }

    /// True when the process ends with success soon.
    fn ends_well(&self) -> bool {
        let began = Instant::now();
        while began.elapsed() < END {
            match self.child.lock().try_wait() {
                Ok(Some(status)) => return status.success(),
                Ok(None) => {}
                Err(_) => return false,
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        true
    }
}

impl Drop for SshProcess {
    fn drop(&mut self) {
        let child = self.child.get_mut();
        // An error says that it has ended.
        drop(child.kill());
        drop(child.wait());
    }
}

/// Reads what the process says to people; more than a little is thrown away.
fn collect(messages: ChildStderr) -> Receiver<String> {
    let (give, take) = channel();
    let read = move || {
        let mut messages = messages;
        let mut kept = Vec::new();
        // A message that cannot be read is none.
        drop((&mut messages).take(MESSAGES).read_to_end(&mut kept));
        drop(io::copy(&mut messages, &mut io::sink()));
        drop(give.send(String::from_utf8_lossy(&kept).into_owned()));
    };
    let builder = std::thread::Builder::new().name("ssh-messages".to_owned());
    if let Err(error) = builder.stack_size(128 * 1024).spawn(read) {
        tracing::debug!(%error, "cannot read the messages of ssh");
    }
    take
}

/// What the server sends, within bounds.
struct SshOutput {
    output: ChildStdout,
    messages: Receiver<String>,
    process: Arc<SshProcess>,
    watch: Watch,
    what: &'static str,
    limit: u64,
    host: String,
    names: Names,
    has_key: bool,
}

impl Read for SshOutput {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.watch.is_interrupted() {
            return Err(io::Error::other("the transfer is interrupted"));
        }
        let count = self.output.read(buffer)?;
        if count == 0 && !buffer.is_empty() && !self.process.ends_well() {
            let text = self.messages.recv_timeout(END).unwrap_or_default();
            self.watch.fail(self.explain(&text));
        }
        let bytes = u64::try_from(count).unwrap_or(u64::MAX);
        self.watch.received(bytes, self.what, self.limit);
        Ok(count)
    }
}

impl SshOutput {
    /// The error behind the messages of a process that failed.
    fn explain(&self, messages: &str) -> FetchError {
        let (host, names) = (&self.host, &self.names);
        let lower = messages.to_lowercase();
        let has = |words: &str| lower.contains(words);
        if has("host key verification failed") {
            return FetchError::Remote(format!(
                "cannot verify the host key of {host}: it is not in {}, or differs from the one there",
                names.known_hosts
            ));
        }
        if has("error in libcrypto") || has("invalid format") || has("incorrect passphrase") {
            let key = names.ssh_key;
            return FetchError::Remote(format!("{key} is no private key without a passphrase"));
        }
        if has("permission denied") {
            return FetchError::Remote(if self.has_key {
                format!("{host} refuses {}", names.ssh_key)
            } else {
                format!("{host} asks for a key: {}", names.add_ssh_key)
            });
        }
        if has("not found") || has("does not appear to be a git repository") {
            return FetchError::NotFound;
        }
        let line = messages.lines().rev().find(|line| !line.trim().is_empty());
        let text = line.unwrap_or("the connection was closed").trim();
        let short: String = text
            .chars()
            .filter(|c| !c.is_control())
            .take(SHOWN)
            .collect();
        FetchError::Remote(redact_urls(&format!("ssh to {host}: {short}")))
    }
}
