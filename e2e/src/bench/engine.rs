//! Whom a measurement is about.

use std::str::FromStr;

use anyhow::{Result, anyhow, ensure};

/// The name under which the project's own operators are in the tables.
pub const OURS: &str = "argo-lite";

/// An engine: the project's own operator, or any command in its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Engine {
    /// The operator of the scenario, from the folder of this program.
    Ours,
    /// A shell command. It finds `KUBECONFIG`, `NATS_URL`, `GIT_URL`, `NAMESPACE`, `WEBHOOK_PORT` and `METRICS_PORT` in its
    /// environment; the whole tree of its processes is measured.
    Foreign {
        /// What the tables call it.
        name: String,
        /// The command, run with `sh -c`.
        command: String,
    },
}

impl Engine {
    /// What the tables call it.
    pub fn name(&self) -> &str {
        match self {
            Self::Ours => OURS,
            Self::Foreign { name, .. } => name,
        }
    }

    /// Whether it is the project's own.
    pub fn is_ours(&self) -> bool {
        *self == Self::Ours
    }
}

impl FromStr for Engine {
    type Err = anyhow::Error;

    /// `NAME=COMMAND`.
    fn from_str(text: &str) -> Result<Self> {
        let (name, command) = text
            .split_once('=')
            .ok_or_else(|| anyhow!("an engine is NAME=COMMAND"))?;
        ensure!(
            !name.trim().is_empty(),
            "an engine needs a name before the ="
        );
        ensure!(
            name != OURS,
            "the name {OURS} is taken by the project's own operators"
        );
        ensure!(
            !command.trim().is_empty(),
            "an engine needs a command after the ="
        );
        Ok(Self::Foreign {
            name: name.trim().to_owned(),
            command: command.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_may_contain_equal_signs() {
        let engine: Engine = "other=exec other --metrics-port=1 --flag=a=b"
            .parse()
            .unwrap();
        assert_eq!(
            engine,
            Engine::Foreign {
                name: "other".to_owned(),
                command: "exec other --metrics-port=1 --flag=a=b".to_owned(),
            }
        );
    }

    #[test]
    fn a_name_and_a_command_are_needed() {
        assert!("just-a-command".parse::<Engine>().is_err());
        assert!("=command".parse::<Engine>().is_err());
        assert!("name=".parse::<Engine>().is_err());
        assert!(format!("{OURS}=command").parse::<Engine>().is_err());
    }
}
