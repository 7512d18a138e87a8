//! Beds do not meet each other and leave nothing behind.

use std::io::{BufRead as _, BufReader};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use e2e::bed::Control;
use e2e::{Bed, Options};

const SOON: Duration = Duration::from_mins(2);

/// The processes whose command line names this folder.
fn processes(dir: &Path) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc")? {
        let path = entry?.path().join("cmdline");
        let Ok(line) = std::fs::read(&path) else {
            continue;
        };
        let line = String::from_utf8_lossy(&line).replace('\0', " ");
        if line.contains(&*dir.to_string_lossy()) {
            found.push(line);
        }
    }
    Ok(found)
}

/// Waits for an end that other processes bring about.
fn until_gone(dir: &Path) -> Result<()> {
    let begin = Instant::now();
    while dir.exists() || !processes(dir)?.is_empty() {
        if begin.elapsed() > SOON {
            bail!("left behind: {} {:?}", dir.display(), processes(dir)?);
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

#[tokio::test]
async fn parallel_beds_do_not_collide_and_leave_nothing() -> Result<()> {
    let options = Options::cluster_only();
    let (one, two) = tokio::try_join!(Bed::up(options.clone()), Bed::up(options))?;
    let (plane, other) = (one.control_plane()?, two.control_plane()?);
    assert_ne!(plane.server, other.server);
    let namespace = one.cluster()?.namespace("only-here").await?;
    assert!(
        one.cluster()?
            .get("v1", "Namespace", "", &namespace)
            .await?
            .is_some()
    );
    assert!(
        two.cluster()?
            .get("v1", "Namespace", "", &namespace)
            .await?
            .is_none()
    );

    let address = plane.server.trim_start_matches("https://").to_owned();
    let dir = one.dir().to_owned();
    assert!(processes(&dir)?.len() >= 5, "{:?}", processes(&dir)?);
    assert!(TcpStream::connect(&address).is_ok());
    one.down();
    // No waiting here: when `down` returns, everything has ended.
    assert!(
        TcpStream::connect(&address).is_err(),
        "the API server still listens"
    );
    assert!(!dir.exists(), "{} is still there", dir.display());
    assert_eq!(processes(&dir)?, Vec::<String>::new());
    // The other one is untouched.
    assert!(
        two.cluster()?
            .get("v1", "Namespace", "", "default")
            .await?
            .is_some()
    );
    Ok(())
}

#[tokio::test]
async fn a_bed_ends_with_a_panic() -> Result<()> {
    let options = Options {
        control: Control::None,
        prometheus: false,
        ..Options::default()
    };
    let task = tokio::spawn(async {
        let bed = Bed::up(options).await.unwrap();
        std::panic::resume_unwind(Box::new(bed.dir().to_owned()));
        #[allow(unreachable_code, reason = "the bed must live until the panic")]
        drop(bed);
    });
    let panic = task.await.err().context("it does not return")?.into_panic();
    let dir = panic
        .downcast::<PathBuf>()
        .ok()
        .context("the bed's folder")?;
    until_gone(&dir)
}

/// The program is killed without any chance to tidy up, or interrupted as Ctrl-C does.
#[test]
fn a_bed_ends_with_its_program() -> Result<()> {
    for signal in ["KILL", "INT"] {
        let name = format!("lifetime-{}-{signal}", std::process::id());
        let mut program = Command::new(env!("CARGO_BIN_EXE_bed"))
            .args(["up", "--cluster-only", "--name", &name])
            .stdout(Stdio::piped())
            .spawn()?;
        let output = BufReader::new(program.stdout.take().context("its output")?);
        let mut dir = None;
        for line in output.lines() {
            let line = line?;
            if let Some(rest) = line.trim().strip_prefix("export BED_DIR='") {
                dir = Some(PathBuf::from(rest.trim_end_matches('\'')));
            }
            if line.starts_with("Ctrl-C") {
                break;
            }
        }
        let dir = dir.context("the bed did not come up")?;
        assert!(!processes(&dir)?.is_empty());
        let pid = program.id().to_string();
        let sent = Command::new("kill")
            .args([&format!("-{signal}"), &pid])
            .status()?;
        assert!(sent.success());
        program.wait()?;
        until_gone(&dir)?;
        let status = Command::new(env!("CARGO_BIN_EXE_bed"))
            .args(["status", "--name", &name])
            .stderr(Stdio::null())
            .status()?;
        assert!(
            !status.success(),
            "a bed that has ended must not be shown as running"
        );
    }
    Ok(())
}
