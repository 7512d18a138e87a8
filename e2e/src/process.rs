//! One process of the bed: started, stopped, killed and started again with the same command, its output in a file.

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};
use tokio::sync::Mutex;

use crate::usage::Usage;

/// How long a part may take to end after SIGTERM before it is killed.
const STOP_GRACE: Duration = Duration::from_secs(5);
/// How often a killed process is asked for its end (every 2 ms) before it is left to the keeper.
const REAP_TRIES: u32 = 1000;
/// How much of a log an error message shows.
const TAIL_LINES: usize = 15;

/// A program with its arguments, to be run inside a bed.
#[derive(Debug, Clone)]
pub struct Program {
    name: String,
    path: PathBuf,
    args: Vec<OsString>,
    env: Vec<(OsString, OsString)>,
    clean_env: bool,
}

impl Program {
    /// A program by its path; `name` is what `bed status` and log files call it.
    pub fn new(name: impl Into<String>, path: impl Into<PathBuf>) -> Self {
        Self {
            name: name.into(),
            path: path.into(),
            args: vec![],
            env: vec![],
            clean_env: false,
        }
    }

    /// Adds one argument.
    #[must_use]
    pub fn arg(mut self, arg: impl Into<OsString>) -> Self {
        self.args.push(arg.into());
        self
    }

    /// Adds arguments.
    #[must_use]
    pub fn args<A: Into<OsString>>(mut self, args: impl IntoIterator<Item = A>) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    /// Adds an environment variable.
    #[must_use]
    pub fn env(mut self, key: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.env.push((key.into(), value.into()));
        self
    }

    /// Gives the process no variable but those named with [`Program::env`].
    #[must_use]
    pub fn clean_env(mut self) -> Self {
        self.clean_env = true;
        self
    }
}

/// A running (or stopped) process of the bed.
#[derive(Debug)]
pub struct Part {
    program: Program,
    log: PathBuf,
    group: i32,
    child: Mutex<Option<Child>>,
}

impl Part {
    /// A part that is not started yet. Its output goes to `<dir>/logs/<name>.log`.
    pub(crate) fn new(program: Program, dir: &Path, group: i32) -> Result<Self> {
        let logs = dir.join("logs");
        std::fs::create_dir_all(&logs)?;
        let log = logs.join(format!("{}.log", program.name));
        Ok(Self {
            program,
            log,
            group,
            child: Mutex::new(None),
        })
    }

    /// What the part is called.
    pub fn name(&self) -> &str {
        &self.program.name
    }

    /// Where its output goes; restarts append.
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// Starts the process. An error when it runs already.
    pub async fn start(&self) -> Result<()> {
        let mut slot = self.child.lock().await;
        if let Some(child) = slot.as_mut()
            && child.try_wait()?.is_none()
        {
            bail!("{} is running already", self.name());
        }
        let out = self.open_log()?;
        let mut command = Command::new(&self.program.path);
        if self.program.clean_env {
            command.env_clear();
        }
        command
            .args(&self.program.args)
            .envs(self.program.env.iter().map(|(key, value)| (key, value)))
            .stdin(Stdio::null())
            .stdout(out.try_clone()?)
            .stderr(out)
            .process_group(self.group)
            .kill_on_drop(true);
        let child = command.spawn().with_context(|| {
            format!("starting {} ({})", self.name(), self.program.path.display())
        })?;
        *slot = Some(child);
        Ok(())
    }

    /// Asks the process to end, and kills it when it does not within five seconds.
    pub async fn stop(&self) -> Result<()> {
        let mut slot = self.child.lock().await;
        let Some(mut child) = slot.take() else {
            return Ok(());
        };
        if let Some(pid) = pid_of(&child) {
            let _gone_already = kill_process(pid, Signal::TERM);
        }
        if tokio::time::timeout(STOP_GRACE, child.wait())
            .await
            .is_err()
        {
            child.kill().await?;
        }
        Ok(())
    }

    /// Kills the process at once (`kill -9`) and waits until it is gone.
    pub async fn kill(&self) -> Result<()> {
        let mut slot = self.child.lock().await;
        let Some(mut child) = slot.take() else {
            return Ok(());
        };
        child
            .kill()
            .await
            .with_context(|| format!("killing {}", self.name()))
    }

    /// Stops and starts again. Readiness is the caller's business.
    pub async fn restart(&self) -> Result<()> {
        self.stop().await?;
        self.start().await
    }

    /// The process id while it runs.
    pub async fn pid(&self) -> Option<u32> {
        let mut slot = self.child.lock().await;
        let child = slot.as_mut()?;
        match child.try_wait() {
            Ok(None) => child.id(),
            _ => None,
        }
    }

    /// Memory and CPU of the process now. None when it does not run.
    pub async fn usage(&self) -> Option<Usage> {
        Usage::of(self.pid().await?).ok()
    }

    /// An error that shows the end of the log when the process has ended by itself.
    pub async fn check(&self) -> Result<()> {
        let mut slot = self.child.lock().await;
        let Some(child) = slot.as_mut() else {
            bail!("{} is not started", self.name())
        };
        let Some(status) = child.try_wait()? else {
            return Ok(());
        };
        bail!(
            "{} ended ({status}). The end of {}:\n{}",
            self.name(),
            self.log.display(),
            self.tail()
        )
    }

    /// The last lines of the log.
    pub fn tail(&self) -> String {
        let text = std::fs::read(&self.log).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n")
    }

    fn open_log(&self) -> Result<File> {
        OpenOptions::new()
            .create(true)
            .append(true)
            .open(&self.log)
            .with_context(|| format!("opening {}", self.log.display()))
    }
}

impl Drop for Part {
    /// Kills the process and waits until it is reaped: at once, because nothing of a bed is worth a grace period.
    fn drop(&mut self) {
        let Some(child) = self.child.get_mut() else {
            return;
        };
        let _gone_already = child.start_kill();
        for _ in 0..REAP_TRIES {
            if !matches!(child.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

fn pid_of(child: &Child) -> Option<Pid> {
    child
        .id()
        .and_then(|id| i32::try_from(id).ok())
        .and_then(Pid::from_raw)
}

/// Asks again every 20 ms until `ready` says yes; an error when `part` ends or `deadline` passes before.
pub(crate) async fn until_ready<F, Fut>(part: &Part, deadline: Duration, mut ready: F) -> Result<()>
where
    F: FnMut() -> Fut,
    Fut: Future<Output = bool>,
{
    let wait = async {
        loop {
            if ready().await {
                return Ok(());
            }
            part.check().await?;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    match tokio::time::timeout(deadline, wait).await {
        Ok(outcome) => outcome,
        Err(_) => bail!(
            "{} was not ready within {deadline:?}. The end of {}:\n{}",
            part.name(),
            part.log.display(),
            part.tail()
        ),
    }
}
