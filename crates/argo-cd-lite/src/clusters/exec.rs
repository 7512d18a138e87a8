//! Programs that give tokens: `config.execProviderConfig` of a cluster Secret.

use std::{collections::BTreeMap, process::Stdio, time::Duration};

use futures::future::BoxFuture;
use reconcile_core::{client::TokenError, process_limits::limit_process, secret::Secret};
use rustix::process::{Pid, Resource, Signal, kill_process_group};
use serde::Deserialize;
use serde_json::json;
use tokio::{io::AsyncReadExt, process::Command};

use super::{
    credentials::ConfigError,
    tokens::{Token, TokenProvider},
};

/// Time for one run of the program. Requests to a cluster have 30 s altogether.
const DEADLINE: Duration = Duration::from_secs(20);
/// Bytes that it may print.
const MAX_OUTPUT: u64 = 256 * 1024;
/// What the program may take. Programs of clouds are large and written in languages that reserve much address space.
const LIMITS: [(Resource, u64); 3] = [
    (Resource::Cpu, 20),
    (Resource::Nofile, 256),
    (Resource::Core, 0),
];
/// Versions of the protocol.
const VERSIONS: [&str; 2] = [
    "client.authentication.k8s.io/v1",
    "client.authentication.k8s.io/v1beta1",
];

/// The member as upstream has it.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct RawExec {
    command: String,
    args: Vec<String>,
    env: BTreeMap<String, String>,
    api_version: String,
    /// Text for people.
    #[serde(rename = "installHint")]
    _install_hint: String,
}

/// A program that prints an `ExecCredential`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExecProvider {
    command: String,
    args: Vec<Secret>,
    env: BTreeMap<String, Secret>,
    version: String,
}

impl ExecProvider {
    pub(super) fn parse(raw: RawExec) -> Result<Self, ConfigError> {
        if raw.command.is_empty() {
            return Err(ConfigError::Field {
                field: "execProviderConfig.command",
                problem: "is missing",
            });
        }
        let version = match raw.api_version.as_str() {
            "" => VERSIONS[1].to_owned(),
            known if VERSIONS.contains(&known) => known.to_owned(),
            _ => {
                return Err(ConfigError::Field {
                    field: "execProviderConfig.apiVersion",
                    problem: "is neither client.authentication.k8s.io/v1 nor v1beta1",
                });
            }
        };
        Ok(Self {
            command: raw.command,
            args: raw.args.into_iter().map(Secret::from).collect(),
            env: (raw.env.into_iter())
                .map(|(name, value)| (name, value.into()))
                .collect(),
            version,
        })
    }

    /// Runs the program once. No error quotes what it printed.
    async fn run(&self) -> Result<Token, TokenError> {
        let failed = |what: &str| TokenError(format!("execProviderConfig.command {what}"));
        let home = tempfile::Builder::new().prefix("exec-").tempdir();
        let home = home.map_err(|error| failed(&format!("gets no folder: {error}")))?;
        let info = json!({
            "apiVersion": self.version, "kind": "ExecCredential", "spec": {"interactive": false},
        });
        let mut command = Command::new(&self.command);
        command
            .args(self.args.iter().map(Secret::expose))
            .current_dir(home.path())
            .env_clear()
            .env("PATH", "/usr/local/bin:/usr/bin:/bin")
            .env("HOME", home.path())
            .env("KUBERNETES_EXEC_INFO", info.to_string())
            .envs(self.env.iter().map(|(name, value)| (name, value.expose())))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .process_group(0)
            .kill_on_drop(true);
        let mut child = command.spawn().map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => failed("is not installed beside the controller"),
            _ => failed(&format!("does not start: {error}")),
        })?;
        if let Some(id) = child.id() {
            limit_process("execProviderConfig.command", id, &LIMITS);
        }
        let mut group = Group(child.id());
        let output = child.stdout.take();
        let finished = async {
            let mut printed = Vec::new();
            if let Some(output) = output {
                output
                    .take(MAX_OUTPUT + 1)
                    .read_to_end(&mut printed)
                    .await?;
            }
            if printed.len() as u64 > MAX_OUTPUT {
                return Ok(None);
            }
            let status = child.wait().await?;
            group.0 = None;
            Ok::<_, std::io::Error>(Some((status, printed)))
        };
        let finished = tokio::time::timeout(DEADLINE, finished)
            .await
            .map_err(|_| failed(&format!("does not end within {} s", DEADLINE.as_secs())))?;
        let finished = finished.map_err(|error| failed(&format!("cannot be read: {error}")))?;
        let Some((status, printed)) = finished else {
            return Err(failed("prints too much"));
        };
        if !status.success() {
            return Err(failed(&format!(
                "ends with {status}; run it in the controller's container to see why"
            )));
        }
        self.parse_printed(&printed).map_err(failed)
    }

    fn parse_printed(&self, printed: &[u8]) -> Result<Token, &'static str> {
        // The parser's own message may quote a value.
        let printed: Printed =
            serde_json::from_slice(printed).map_err(|_| "prints no ExecCredential")?;
        if printed.kind != "ExecCredential" || printed.api_version != self.version {
            return Err("prints no ExecCredential of the apiVersion that is asked for");
        }
        let token = printed.status.token;
        if token.is_empty() {
            return Err("prints no status.token; client certificates are not supported");
        }
        let until = printed.status.expiration_timestamp;
        let until = until.map(|text| text.parse()).transpose();
        let until = until.map_err(|_| "prints a status.expirationTimestamp that is no time")?;
        Token::bearer(&token, until).ok_or("prints a token that is no token")
    }
}

/// The program with all that it started, which end when nobody waits any longer.
struct Group(Option<u32>);

impl Drop for Group {
    fn drop(&mut self) {
        let id = self.0.and_then(|id| i32::try_from(id).ok());
        if let Some(group) = id.and_then(Pid::from_raw) {
            // It may have ended by itself.
            _ = kill_process_group(group, Signal::KILL);
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Printed {
    api_version: String,
    kind: String,
    #[serde(default)]
    status: PrintedStatus,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct PrintedStatus {
    token: String,
    expiration_timestamp: Option<String>,
}

impl TokenProvider for ExecProvider {
    fn token(&self) -> BoxFuture<'_, Result<Token, TokenError>> {
        Box::pin(self.run())
    }
}

#[cfg(test)]
mod tests {
    use reconcile_core::{client::TokenSource, clock::Clock};
    use serde_json::Value;

    use super::*;
    use crate::clusters::tokens::KeptTokens;

    fn provider(script: &str, more: &Value) -> ExecProvider {
        let mut raw = json!({"command": "sh", "args": ["-c", script]});
        for (key, value) in more.as_object().into_iter().flatten() {
            raw[key] = value.clone();
        }
        let raw = serde_json::from_value(raw).expect("a provider");
        ExecProvider::parse(raw).expect("a provider")
    }

    fn credential(status: &Value) -> String {
        let version = VERSIONS[1];
        json!({"apiVersion": version, "kind": "ExecCredential", "status": status}).to_string()
    }

    /// A program that counts its runs in a file.
    fn counting(runs: &std::path::Path, status: &Value) -> KeptTokens {
        let script = format!(
            "echo x >> '{}'; echo '{}'",
            runs.display(),
            credential(status)
        );
        KeptTokens::new(Box::new(provider(&script, &json!({}))), Clock::system())
    }

    fn runs(file: &std::path::Path) -> usize {
        std::fs::read_to_string(file)
            .unwrap_or_default()
            .lines()
            .count()
    }

    #[tokio::test]
    async fn a_token_is_kept_until_it_ends_or_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("runs");
        let tokens = counting(&file, &json!({"token": "t1"}));
        let first = tokens.authorization().await.expect("a token");
        assert_eq!(first, "Bearer t1");
        assert!(first.is_sensitive());
        assert_eq!(tokens.authorization().await.expect("a token"), first);
        assert_eq!(runs(&file), 1);
        tokens.rejected(&first);
        tokens.authorization().await.expect("a token");
        assert_eq!(runs(&file), 2);
        for (end, expected) in [("2020-01-01T00:00:00Z", 2), ("2999-01-01T00:00:00Z", 1)] {
            let file = folder.path().join(&end[..4]);
            let tokens = counting(&file, &json!({"token": "t2", "expirationTimestamp": end}));
            tokens.authorization().await.expect("a token");
            tokens.authorization().await.expect("a token");
            assert_eq!(runs(&file), expected, "{end}");
        }
    }

    #[tokio::test]
    async fn the_program_gets_what_the_secret_names_and_nothing_else() {
        // Nothing but what shells add by themselves.
        let script = format!(
            "env | cut -d= -f1 | grep -vxE 'PATH|HOME|PWD|OLDPWD|SHLVL|_|A|KUBERNETES_EXEC_INFO' && exit 1; \
             test \"$A\" = b && case \"$KUBERNETES_EXEC_INFO\" in *v1beta1*) echo '{}';; esac",
            credential(&json!({"token": "t"}))
        );
        let provider = provider(&script, &json!({"env": {"A": "b"}}));
        let token = provider.run().await.expect("a token");
        assert_eq!(token.authorization, "Bearer t");
    }

    #[tokio::test]
    async fn what_the_program_prints_is_in_no_error() {
        for (script, expected) in [
            ("echo hush; exit 3".to_owned(), "ends with exit status: 3"),
            ("echo hush".to_owned(), "prints no ExecCredential"),
            ("yes hush".to_owned(), "prints too much"),
            (
                format!("echo '{}'", credential(&json!({"clientKeyData": "hush"}))),
                "client certificates are not supported",
            ),
            (
                format!("printf %s '{}'", credential(&json!({"token": "hush\nb"}))),
                "a token that is no token",
            ),
        ] {
            let error = provider(&script, &json!({})).run().await;
            let error = error.expect_err("no token").to_string();
            assert!(error.contains(expected), "{error}");
            assert!(!error.contains("hush"), "{error}");
        }
        let absent = json!({"command": "no-such-program-hush"});
        let absent = provider("", &absent).run().await.expect_err("no token");
        assert!(
            absent
                .to_string()
                .contains("is not installed beside the controller")
        );
        let shown = format!("{:?}", provider("hush", &json!({"env": {"A": "hush"}})));
        assert!(!shown.contains("hush"), "{shown}");
    }
}
