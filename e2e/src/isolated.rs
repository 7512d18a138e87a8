//! A network of one's own: the program is started again in a new network namespace (no privileges needed), where the
//! addresses of simulated pods lead to this machine and real traffic can reach the sample application.

use std::os::unix::process::CommandExt as _;
use std::process::Command;

use anyhow::{Context as _, Result, anyhow, bail};

use crate::simulation::POD_CIDR;

/// Set inside.
const MARK: &str = "BED_ISOLATED";
/// Carries the user's number inside.
const USER: &str = "BED_USER";

/// Whether this process runs in a network namespace made by [`enter`].
pub fn inside() -> bool {
    std::env::var_os(MARK).is_some()
}

/// The user's number outside: inside a namespace everybody looks like root.
pub(crate) fn user() -> String {
    std::env::var(USER).unwrap_or_else(|_| rustix::process::getuid().as_raw().to_string())
}

/// Replaces this process with the same program and the given arguments, inside a new network namespace. Returns only
/// when that is impossible.
pub fn enter(args: &[String]) -> anyhow::Error {
    let program = match std::env::current_exe() {
        Ok(program) => program,
        Err(error) => return anyhow!(error).context("the path of this program"),
    };
    let error = unshare().arg(program).args(args).exec();
    anyhow!(error).context("unshare (util-linux) is needed for an isolated bed")
}

/// `unshare` into new user and network namespaces; the program and its arguments follow.
fn unshare() -> Command {
    let mut command = Command::new("unshare");
    // Nothing can be downloaded inside: cargo and Go must not try.
    command
        .args(["--map-root-user", "--net", "--"])
        .env(MARK, "1")
        .env(USER, user())
        .env("CARGO_NET_OFFLINE", "true")
        .env("GOPROXY", "off");
    for proxy in [
        "http_proxy",
        "https_proxy",
        "HTTP_PROXY",
        "HTTPS_PROXY",
        "all_proxy",
        "ALL_PROXY",
    ] {
        command.env_remove(proxy);
    }
    command
}

/// Brings the namespace's loopback up and routes the pods' addresses to it. Does nothing outside.
pub(crate) fn prepare() -> Result<()> {
    if !inside() {
        return Ok(());
    }
    ip(&["link", "set", "lo", "up"])?;
    // A second bed in the same namespace finds the route there.
    ip(&["route", "replace", "local", POD_CIDR, "dev", "lo"])
}

fn ip(args: &[&str]) -> Result<()> {
    let output = Command::new("ip")
        .args(args)
        .output()
        .context("ip (iproute2) is needed for an isolated bed")?;
    if !output.status.success() {
        bail!(
            "ip {}: {}",
            args.join(" "),
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    Ok(())
}

/// For a test that needs real traffic to pods: `if !isolated::test("its::path")? { return Ok(()) }` as its first
/// line. Outside it runs that one test again inside and returns false (an error when it failed); inside it returns
/// true and the test continues.
pub fn test(name: &str) -> Result<bool> {
    if inside() {
        return Ok(true);
    }
    let output = unshare()
        .arg(std::env::current_exe()?)
        .args(["--exact", name, "--nocapture", "--include-ignored"])
        .output()
        .context("unshare (util-linux) is needed for an isolated bed")?;
    if !output.status.success() {
        bail!(
            "{name} failed inside its network namespace ({}):\n{}{}",
            output.status,
            String::from_utf8_lossy(&output.stderr),
            String::from_utf8_lossy(&output.stdout)
        );
    }
    Ok(false)
}
