//! `sftp`: files that appear in a directory of an SFTP server, change or go. The directory is compared from time to
//! time with what is remembered on the bus, so what happens meanwhile is noticed later.

mod keys;
mod protocol;
mod record;
mod session;

use std::{sync::Arc, time::Duration};

use futures::{FutureExt, future::BoxFuture};
use reconcile_core::{kube_types::GoDuration, object::FieldError, secret::Secret};
use serde::Deserialize;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::{
    checkpoint::Checkpoint,
    emitter::EmitError,
    files::{Op, WatchPathConfig, Watched},
    kind::{Input, Source, SourceContext, SourceError, SourceKind},
    server::TcpServer,
};
use crate::api::KeySelector;

use keys::{UserKey, host_keys};
pub use protocol::{SftpError, read_reply};
use record::{Files, Record, changes};
use session::{Access, Credential, Session};

/// The kind.
pub(super) const KIND: SourceKind = SourceKind {
    key: "sftp",
    check: |input| Ok(Arc::new(check(input)?)),
};

/// How often the directory is compared where the manifest does not say it, as upstream, and the shortest pause.
const POLL: GoDuration = GoDuration::from_secs(10);
const SHORTEST_POLL: Duration = Duration::from_secs(1);
/// Port of a server whose address has none.
const PORT: u16 = 22;
/// Files that are compared; a directory with more is refused.
const MOST: usize = 20_000;
/// Events between two writes of what is known.
const SAVE: usize = 200;

const ADDRESS: &str = "address";
const USERNAME: &str = "username";
const PASSWORD: &str = "password";
const SSH_KEY: &str = "sshKeySecret";

/// What can be noticed of a file by looking at its directory.
const OPS: [Op; 3] = [Op::Create, Op::Write, Op::Remove];

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Settings {
    address: Option<KeySelector>,
    username: Option<KeySelector>,
    password: Option<KeySelector>,
    ssh_key_secret: Option<KeySelector>,
    event_type: String,
    watch_path_config: WatchPathConfig,
    poll_interval_duration: String,
}

#[derive(Debug)]
struct Directory {
    secrets: Vec<(&'static str, KeySelector)>,
    watched: Watched,
    /// Which files are watched, as the manifest has it.
    pattern: String,
    poll: Duration,
}

fn check(input: &Input<'_>) -> Result<Directory, FieldError> {
    let settings: Settings = input.decode()?;
    let needed = |field: &'static str, selector: Option<KeySelector>| {
        let selector = selector.ok_or_else(|| input.wrong(field, "must be set"))?;
        Ok::<_, FieldError>((field, selector))
    };
    let login = match (settings.ssh_key_secret, settings.password) {
        // As upstream, which does not read the password beside a key.
        (Some(key), _) => (SSH_KEY, key),
        (None, Some(password)) => (PASSWORD, password),
        (None, None) => return Err(input.wrong(PASSWORD, "password or sshKeySecret must be set")),
    };
    let poll = match settings.poll_interval_duration.trim() {
        "" => Ok(POLL),
        text => text.parse::<GoDuration>(),
    };
    let poll = poll.map_err(|error| input.wrong("pollIntervalDuration", error.to_string()))?;
    let config = settings.watch_path_config;
    let pattern = format!("{}\0{}", config.path, config.path_regexp);
    Ok(Directory {
        secrets: vec![
            needed(ADDRESS, settings.address)?,
            needed(USERNAME, settings.username)?,
            login,
        ],
        watched: Watched::check(input, &OPS, &settings.event_type, config)?,
        pattern,
        poll: Duration::try_from(poll.to_signed())
            .unwrap_or_default()
            .max(SHORTEST_POLL),
    })
}

impl Source for Directory {
    fn secrets(&self) -> Vec<(&'static str, KeySelector)> {
        self.secrets.clone()
    }

    fn run<'s>(&'s self, context: &'s SourceContext) -> BoxFuture<'s, Result<(), SourceError>> {
        self.follow(context).boxed()
    }
}

/// A name of what these texts are, which does not tell them.
fn fingerprint(parts: &[&str]) -> String {
    hex::encode(&Sha256::digest(parts.join("\0"))[..16])
}

fn failed(field: &str, reason: impl Into<String>) -> SourceError {
    SourceError::Server {
        server: field.to_owned(),
        reason: reason.into(),
    }
}

impl Directory {
    async fn follow(&self, context: &SourceContext) -> Result<(), SourceError> {
        let mut access = Self::access(context)?;
        let host = fingerprint(&[&access.server.address]);
        let user = access.user.expose();
        let place = fingerprint(&[&host, user, &self.watched.directory, &self.pattern]);
        let mut checkpoint = context.checkpoint().await?;
        let old: Option<Record> = checkpoint.load().await?;
        let old = old.filter(|record| record.host == host);
        if access.trusted.is_empty() {
            let known = old.iter().flat_map(|record| host_keys(&record.host_key));
            access.trusted = known.collect();
        }
        let mut session = access.open(context.egress).await?;
        let mut record = match old.filter(|record| record.place == place) {
            Some(record) => Record {
                host_key: session.host_key.clone(),
                ..record
            },
            // What is there already is no event, as upstream has it.
            None => Record {
                host,
                host_key: session.host_key.clone(),
                place,
                files: self.look(&access, &mut session).await?,
                ..Record::default()
            },
        };
        self.keep(context, &mut checkpoint, &record).await?;
        loop {
            let found = self.look(&access, &mut session).await?;
            self.compare(context, &mut checkpoint, &mut record, &found)
                .await?;
            context.report(None);
            tokio::time::sleep(self.poll).await;
        }
    }

    /// Reads the Secrets.
    fn access(context: &SourceContext) -> Result<Access, SourceError> {
        let text = |field: &str| context.secret(field).map_or("", Secret::expose);
        // Keys of the server may stand in further lines.
        let first = text(ADDRESS).lines().next().unwrap_or_default();
        let input = Input {
            path: "Secret",
            value: &Value::Null,
        };
        let server = TcpServer::check(&input, (ADDRESS, first), PORT, None);
        let server = server.map_err(|_| failed(ADDRESS, "the Secret holds no HOST:PORT"))?;
        let mut trusted = host_keys(text(ADDRESS));
        trusted.extend(host_keys(text(SSH_KEY)));
        let credential = match context.secret(PASSWORD) {
            Some(password) => Credential::Password(password.clone()),
            None => Credential::Key(
                UserKey::parse(text(SSH_KEY))
                    .map_err(|error| failed(SSH_KEY, error.to_string()))?,
            ),
        };
        Ok(Access {
            server,
            user: text(USERNAME).trim().into(),
            credential,
            trusted,
        })
    }

    /// The watched files as they are now.
    async fn look(&self, access: &Access, session: &mut Session) -> Result<Files, SourceError> {
        let mut files = Files::new();
        let directory = &self.watched.directory;
        let listed = session.sftp.list(directory, |name, found| {
            if self.watched.names.has(&name) {
                if files.len() >= MOST {
                    return Err(SftpError::Many(MOST, "files that are watched"));
                }
                files.insert(name, found.into());
            }
            Ok(())
        });
        let listed = listed.await;
        listed.map_err(|error| access.server.failed(&format!("{directory}: {error}")))?;
        Ok(files)
    }

    /// Publishes what has changed. What is published becomes known, so that an error or the end of the process makes
    /// nothing be lost; what is published again has the same id.
    async fn compare(
        &self,
        context: &SourceContext,
        checkpoint: &mut Checkpoint,
        record: &mut Record,
        found: &Files,
    ) -> Result<(), SourceError> {
        let changes = changes(&record.files, found);
        if changes.is_empty() {
            return Ok(());
        }
        let mut published = 0;
        for change in changes {
            if change.is(self.watched.op) {
                let position = format!(
                    "{}/{}/{:?}/{}",
                    record.place, record.round, change.now, change.name
                );
                let emitted = self.watched.emit(context, &position, &change.name).await;
                if let Err(EmitError::Bus(error)) = emitted {
                    self.keep(context, checkpoint, record).await?;
                    return Err(error.into());
                }
                published += 1;
            }
            change.note(&mut record.files);
            if published >= SAVE {
                published = 0;
                self.keep(context, checkpoint, record).await?;
            }
        }
        record.round += 1;
        self.keep(context, checkpoint, record).await
    }

    async fn keep(
        &self,
        context: &SourceContext,
        checkpoint: &mut Checkpoint,
        record: &Record,
    ) -> Result<(), SourceError> {
        let size = serde_json::to_vec(record).map_or(0, |text| text.len());
        if size > context.largest_message() {
            let count = record.files.len();
            let reason = format!(
                "the names of {count} files do not fit into a message of the bus; watch fewer with pathRegexp, or move old ones away"
            );
            return Err(failed(&self.watched.directory, reason));
        }
        Ok(checkpoint.save(record).await?)
    }
}
