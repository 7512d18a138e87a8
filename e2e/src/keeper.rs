//! What makes a bed vanish whatever happens to us: a shell that waits on a pipe we hold open. When the pipe closes
//! (a normal end, a panic, Ctrl-C, SIGKILL) it stops every process of the bed and removes the bed's folder.
//!
//! A parent-death signal would be tied to the thread that started the child, and test threads end early.

use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};

use anyhow::{Context as _, Result};

/// `$1` is the process group of the bed's parts, `$2` the folder (empty: keep it).
const SCRIPT: &str = r#"
trap '' INT TERM HUP PIPE
while read -r _; do :; done
kill -s TERM -- "-$1" 2>/dev/null
n=0
while kill -s 0 -- "-$1" 2>/dev/null && [ $n -lt 10 ]; do sleep 0.05; n=$((n+1)); done
kill -s KILL -- "-$1" 2>/dev/null
[ -z "$2" ] || { rm -rf -- "$2" || { sleep 0.2; rm -rf -- "$2"; }; }
"#;

/// The process group of a bed and its guard. Dropping it stops everything and waits until it is gone.
#[derive(Debug)]
pub(crate) struct Keeper {
    /// Holds the group's number: the group exists as long as this process does.
    anchor: Child,
    guard: Child,
    pipe: Option<ChildStdin>,
}

impl Keeper {
    /// Starts the guard. With `keep_dir` the folder stays for a look at the logs.
    pub(crate) fn start(dir: &Path, keep_dir: bool) -> Result<Self> {
        let anchor = Command::new("sleep")
            .arg("2147483647")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .context("starting the bed's anchor process")?;
        let mut guard = Command::new("sh")
            .args(["-c", SCRIPT, "bed-keeper", &anchor.id().to_string()])
            .arg(if keep_dir { Path::new("") } else { dir })
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .current_dir("/")
            .process_group(0)
            .spawn()
            .context("starting the bed's keeper")?;
        let pipe = guard.stdin.take();
        Ok(Self {
            anchor,
            guard,
            pipe,
        })
    }

    /// The process group every part joins.
    pub(crate) fn group(&self) -> i32 {
        i32::try_from(self.anchor.id()).expect("Linux process ids fit in i32")
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        // First the anchor: unreaped it would look like a process of the bed that does not want to end.
        let _killed = self.anchor.kill();
        let _reaped = self.anchor.wait();
        drop(self.pipe.take());
        let _ended = self.guard.wait();
    }
}
