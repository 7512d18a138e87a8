//! Command-line flags that all operators share, in upstream's spelling.

use std::{ffi::OsString, net::IpAddr, path::PathBuf, str::FromStr, time::Duration};

use clap::{
    ArgAction, Args, Parser,
    error::{ContextKind, ContextValue, ErrorKind},
};

use crate::{kube_types::GoDuration, lease::Timing, telemetry::LogFormat};

/// The value of an environment variable such as `HTTPS_PROXY`, in upper or lower case.
pub fn environment_proxy(name: &str) -> Option<String> {
    let value = std::env::var(name).or_else(|_| std::env::var(name.to_ascii_lowercase()));
    value.ok().filter(|url| !url.is_empty())
}

/// Flags for the connection to the API server.
#[derive(Args, Clone, Debug, Default)]
pub struct KubeArgs {
    /// Path of a kubeconfig, or a list of them as for kubectl; in a pod the service account is used when absent.
    #[arg(long, env = "KUBECONFIG", value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// Context of the kubeconfig; its current one when absent.
    #[arg(long, value_name = "NAME")]
    pub context: Option<String>,
}

/// Flags for the log.
#[derive(Args, Clone, Debug)]
pub struct LogArgs {
    /// Lowest level that is logged: trace, debug, info, warn or error.
    #[arg(
        long = "loglevel",
        visible_alias = "log-level",
        env = "LOG_LEVEL",
        default_value = "info"
    )]
    pub level: String,
    /// Form of the log: text or json.
    #[arg(
        long = "logformat",
        visible_alias = "log-format",
        env = "LOG_FORMAT",
        default_value = "text"
    )]
    pub format: LogFormat,
}

/// Flags for metrics and probes.
#[derive(Args, Clone, Debug, Default)]
pub struct AdminArgs {
    /// IP address that the ports of metrics and probes listen on; all addresses when absent.
    #[arg(long = "metrics-address", value_name = "IP")]
    pub metrics_address: Option<IpAddr>,
}

/// Flags for leader election.
#[derive(Args, Clone, Debug)]
pub struct LeaderArgs {
    /// Acquire the lease before writing; off only for a single process without replicas.
    #[arg(
        long = "leader-elect",
        visible_alias = "leader-election",
        action = ArgAction::Set,
        num_args = 0..=1,
        default_value_t = true,
        default_missing_value = "true"
    )]
    pub enabled: bool,
    /// Namespace of the lease; the operator's own namespace when absent.
    #[arg(long = "leader-election-namespace", value_name = "NAMESPACE")]
    pub namespace: Option<String>,
    /// Name of the pod. A process takes over the lease of an earlier process of its pod at once.
    #[arg(long, env = "POD_NAME", value_name = "NAME", hide = true)]
    pub pod_name: Option<String>,
    /// How long a silent leader keeps the lease.
    #[arg(long = "leader-election-lease-duration", default_value = "15s", value_parser = duration)]
    pub lease_duration: Duration,
    /// How long the leader tries to renew before it gives up.
    #[arg(long = "leader-election-renew-deadline", default_value = "10s", value_parser = duration)]
    pub renew_deadline: Duration,
    /// Pause between tries.
    #[arg(long = "leader-election-retry-period", default_value = "2s", value_parser = duration)]
    pub retry_period: Duration,
}

impl LeaderArgs {
    /// The durations.
    pub fn timing(&self) -> Timing {
        Timing {
            lease_duration: self.lease_duration,
            renew_deadline: self.renew_deadline,
            retry_period: self.retry_period,
        }
    }
}

fn duration(text: &str) -> Result<Duration, String> {
    let duration = GoDuration::from_str(text).map_err(|error| error.to_string())?;
    if duration < GoDuration::ZERO {
        return Err("a duration must not be negative".to_owned());
    }
    Ok(duration.to_std())
}

/// Parses the command line of `C`. For the command `forgiving`, flags that it does not know are taken out, with the
/// value that follows them, and named in the second part: manifests of the originals carry flags that have no meaning
/// here; those are a warning and do not stop the start.
pub fn parse<C: Parser>(
    arguments: impl IntoIterator<Item = OsString>,
    forgiving: &str,
) -> Result<(C, Vec<String>), clap::Error> {
    let mut arguments: Vec<OsString> = arguments.into_iter().collect();
    let mut unknown = Vec::new();
    if arguments.get(1).is_none_or(|command| command != forgiving) {
        return last_counts(&arguments).map(|parsed| (parsed, unknown));
    }
    loop {
        let error = match last_counts(&arguments) {
            Ok(parsed) => return Ok((parsed, unknown)),
            Err(error) => error,
        };
        let Some((at, flag)) = unknown_flag(&error, &arguments) else {
            return Err(error);
        };
        let inline = arguments[at].to_string_lossy() != flag;
        arguments.remove(at);
        let is_value = |next: &OsString| !next.to_string_lossy().starts_with('-');
        if !inline && arguments.get(at).is_some_and(is_value) {
            arguments.remove(at);
        }
        unknown.push(flag);
    }
}

/// Parses a command line in which a flag may occur twice, as with the originals: charts and manifests put the flags of
/// a user after their own.
fn last_counts<C: Parser>(arguments: &[OsString]) -> Result<C, clap::Error> {
    let mut command = C::command().args_override_self(true);
    let mut matches = command.try_get_matches_from_mut(arguments)?;
    C::from_arg_matches_mut(&mut matches).map_err(|error| error.format(&mut command))
}

/// The flag that the parser refused, and its position.
fn unknown_flag(error: &clap::Error, arguments: &[OsString]) -> Option<(usize, String)> {
    let Some(ContextValue::String(argument)) = error.get(ContextKind::InvalidArg) else {
        return None;
    };
    if error.kind() != ErrorKind::UnknownArgument || !argument.starts_with("--") {
        return None;
    }
    let flag = argument.split('=').next().unwrap_or(argument).to_owned();
    let at = arguments.iter().position(|argument| {
        let text = argument.to_string_lossy();
        text.strip_prefix(flag.as_str())
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('='))
    })?;
    Some((at, flag))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Parser)]
    enum Program {
        Controller(Flags),
        Plan { file: String },
    }

    #[derive(Debug, Args)]
    struct Flags {
        #[command(flatten)]
        leader: LeaderArgs,
        #[command(flatten)]
        log: LogArgs,
        #[arg(long)]
        namespaced: bool,
        #[arg(long)]
        name: Vec<String>,
    }

    fn parsed(line: &str) -> Result<(Program, Vec<String>), clap::Error> {
        let words = ["program"].into_iter().chain(line.split(' '));
        parse(words.map(OsString::from), "controller")
    }

    fn flags(line: &str) -> (Flags, Vec<String>) {
        match parsed(&format!("controller {line}")) {
            Ok((Program::Controller(flags), unknown)) => (flags, unknown),
            other => unreachable!("{other:?}"),
        }
    }

    #[test]
    fn unknown_flags_are_named_and_take_no_known_one_along() {
        let line = "--redis=x --loglevel debug --repo-server host:1 --dex --namespaced";
        let (flags, unknown) = flags(line);
        assert_eq!(unknown, ["--redis", "--repo-server", "--dex"]);
        assert_eq!(flags.log.level, "debug");
        assert!(flags.namespaced);
    }

    #[test]
    fn of_a_repeated_flag_the_last_counts_and_lists_grow() {
        let line = "--loglevel=info --namespaced --name a --loglevel=debug --namespaced --name b --leader-elect \
                    --leader-elect=false";
        let (flags, unknown) = flags(line);
        assert_eq!(unknown, [] as [&str; 0]);
        assert_eq!(flags.log.level, "debug");
        assert!(flags.namespaced && !flags.leader.enabled);
        assert_eq!(flags.name, ["a", "b"]);
    }

    #[test]
    fn a_wrong_value_and_a_flag_of_another_command_are_refused() {
        let error = parsed("controller --logformat=xml").expect_err("refused");
        assert_eq!(error.kind(), ErrorKind::ValueValidation);
        let error = parsed("plan --redis=x file").expect_err("refused");
        assert_eq!(error.kind(), ErrorKind::UnknownArgument);
        let planned = parsed("plan file").expect("a file").0;
        assert!(matches!(planned, Program::Plan { file } if file == "file"));
    }

    #[test]
    fn durations_are_those_of_go() {
        let (flags, _) = flags("--leader-election-lease-duration 1m0.5s --leader-elect=false");
        assert_eq!(flags.leader.lease_duration, Duration::from_millis(60_500));
        assert!(!flags.leader.enabled);
        for wrong in ["15", "-1s", "1 s", "1 minute"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }
}
