//! A program that cannot take more than it is given.

use std::{
    ffi::OsString,
    io::Read,
    os::unix::process::CommandExt,
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    sync::{
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, channel},
    },
    time::{Duration, Instant},
};

use reconcile_core::process_limits::limit_child;
use rustix::process::{Pid, Resource, Signal, kill_process_group};

use super::{
    confinement::{self, Reach},
    sandbox::Sandbox,
    tools::{ProcessLimits, Tool, ToolError},
};

/// How often a running program is checked.
const LOOK: Duration = Duration::from_millis(20);
/// Bytes of a message of a program that are shown.
const MAX_MESSAGE: usize = 2048;

/// A run of a program.
pub(super) struct Run<'a> {
    pub(super) tool: &'a Tool,
    pub(super) arguments: Vec<OsString>,
    pub(super) sandbox: &'a Sandbox,
    /// Folder in which it runs.
    pub(super) folder: &'a Path,
    pub(super) limits: &'a ProcessLimits,
    /// Texts that must not be shown.
    pub(super) secrets: &'a [String],
    /// The only files of this machine that it may open; all that its user may, without it.
    pub(super) reach: Option<Reach<'a>>,
    pub(super) interrupt: &'a AtomicBool,
}

impl Run<'_> {
    /// Runs the program with an empty environment and gives what it wrote to standard output.
    pub(super) fn output(self) -> Result<Vec<u8>, ToolError> {
        let tool = self.tool.name;
        let failed = |error: std::io::Error| ToolError::Run {
            tool,
            reason: error.to_string(),
        };
        let mut command = Command::new(self.tool.path()?);
        command
            .args(&self.arguments)
            .current_dir(self.folder)
            .env_clear()
            .env("HOME", self.sandbox.path("home"))
            .env("TMPDIR", self.sandbox.path("tmp"))
            // Nothing is to be fetched: beside the kernel's refusal, for one that cannot refuse.
            .env("HTTP_PROXY", "http://127.0.0.1:9")
            .env("HTTPS_PROXY", "http://127.0.0.1:9")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0);
        let child = confinement::spawn(&mut command, self.reach).map_err(failed)?;
        self.tool.started();
        let mut group = Group::new(child);
        group.limit(self.tool, self.limits);
        let (status, output, message) = self.watch(&mut group)?;
        if status.success() {
            return Ok(output);
        }
        let message = self.readable(&message);
        let message = if message.is_empty() {
            status.to_string()
        } else {
            message
        };
        Err(ToolError::Failed { tool, message })
    }

    /// Waits for the end, or kills the program.
    fn watch(&self, group: &mut Group) -> Result<(ExitStatus, Vec<u8>, Vec<u8>), ToolError> {
        let tool = self.tool.name;
        let began = Instant::now();
        let (give, parts) = channel();
        let streams: [(Option<Box<dyn Read + Send>>, u64); 2] = [
            (
                group.child.stdout.take().map(|pipe| Box::new(pipe) as _),
                self.limits.output,
            ),
            (
                group.child.stderr.take().map(|pipe| Box::new(pipe) as _),
                1024 * 1024,
            ),
        ];
        for (index, (pipe, limit)) in streams.into_iter().enumerate() {
            let give = give.clone();
            std::thread::spawn(move || {
                let mut content = Vec::new();
                let read = pipe.map(|pipe| pipe.take(limit + 1).read_to_end(&mut content));
                let too_much = content.len() as u64 > limit;
                // Nobody listens when the program was killed.
                drop(give.send((
                    index,
                    content,
                    too_much,
                    read.is_some_and(|read| read.is_ok()),
                )));
            });
        }
        drop(give);
        let (mut output, mut message) = (Vec::new(), Vec::new());
        let mut open = 2;
        loop {
            match next(&parts, open) {
                Some((index, content, too_much, _)) => {
                    if too_much && index == 0 {
                        let limit = self.limits.output;
                        return Err(ToolError::TooMuch { tool, limit });
                    }
                    open -= 1;
                    if index == 0 {
                        output = content;
                    } else {
                        message = content;
                    }
                }
                None if open == 0 => {
                    if let Some(status) = group.ended().map_err(|error| ToolError::Run {
                        tool,
                        reason: error.to_string(),
                    })? {
                        return Ok((status, output, message));
                    }
                }
                None => {}
            }
            if self.interrupt.load(Ordering::Relaxed) {
                return Err(ToolError::Interrupted(tool));
            }
            if began.elapsed() > self.limits.deadline {
                let limit = self.limits.deadline;
                return Err(ToolError::Late { tool, limit });
            }
        }
    }

    /// What the program wrote, short, without secrets and without paths of this machine.
    fn readable(&self, message: &[u8]) -> String {
        let text = self.sandbox.hide(&String::from_utf8_lossy(message));
        let mut text = text.trim().trim_start_matches("Error: ").to_owned();
        for secret in self.secrets {
            text = text.replace(secret.as_str(), "******");
        }
        if text.len() > MAX_MESSAGE {
            let end = (0..=MAX_MESSAGE)
                .rev()
                .find(|end| text.is_char_boundary(*end));
            text.truncate(end.unwrap_or(0));
            text.push_str(" ...");
        }
        text
    }
}

type Part = (usize, Vec<u8>, bool, bool);

/// The next part that was read to its end, if one is there soon.
fn next(parts: &Receiver<Part>, open: usize) -> Option<Part> {
    if open == 0 {
        // Both streams are closed: the end of the program is near.
        std::thread::sleep(Duration::from_millis(1));
        return None;
    }
    parts.recv_timeout(LOOK).ok()
}

/// A child and its process group, which ends with it.
struct Group {
    child: Child,
    pid: Option<Pid>,
    ended: bool,
}

impl Group {
    fn new(child: Child) -> Self {
        let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        Self {
            child,
            pid,
            ended: false,
        }
    }

    /// Bounds what the kernel gives to the program. The program has hardly begun: it could not do harm before.
    fn limit(&self, tool: &Tool, limits: &ProcessLimits) {
        let seconds = limits.deadline.as_secs().saturating_add(1);
        let limits = [
            (Resource::Cpu, seconds.saturating_mul(2)),
            (Resource::Data, limits.memory),
            (Resource::Fsize, limits.memory),
            (Resource::Nofile, 1024),
            (Resource::Core, 0),
        ];
        limit_child(tool.name, &self.child, &limits);
    }

    fn ended(&mut self) -> std::io::Result<Option<ExitStatus>> {
        let status = self.child.try_wait()?;
        self.ended |= status.is_some();
        Ok(status)
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // An id that was waited for may belong to another group by now.
        if self.ended {
            return;
        }
        if let Some(pid) = self.pid {
            // Its own children, too. An error says that none is left.
            _ = kill_process_group(pid, Signal::KILL);
        }
        drop(self.child.wait());
    }
}
