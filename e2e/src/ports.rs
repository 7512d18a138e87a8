//! Free TCP ports that stay ours: each one is held by a locked file for the life of the bed, so that beds running in
//! parallel do not take each other's ports while a part is being restarted.
//!
//! The range lies below Linux' ephemeral ports, so that no outgoing connection sits on one of them, and below the ports
//! that the operator keeps for itself, so that an EventSource can name them.

use std::fs::{DirBuilder, File};
use std::net::TcpListener;
use std::os::unix::fs::DirBuilderExt as _;

use anyhow::{Context as _, Result, bail};

const FIRST: u16 = 10_000;
const COUNT: u16 = 10_000;
/// More tries than ports could be taken by some hundred beds.
const TRIES: u16 = 4_000;

/// A port nobody else will take before this value is dropped.
#[derive(Debug)]
pub(crate) struct Port {
    number: u16,
    _lock: File,
}

impl Port {
    /// Finds a free port.
    pub(crate) fn claim() -> Result<Self> {
        let dir =
            std::env::temp_dir().join(format!("argo-lite-bed-ports-{}", crate::isolated::user()));
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&dir)
            .context("folder of port locks")?;
        // Beds start at different places, so that they seldom ask for the same file.
        let seed = uuid::Uuid::new_v4().as_u128() % u128::from(COUNT);
        let seed = u16::try_from(seed).context("a remainder of COUNT fits")?;
        for step in 0..TRIES {
            let number = FIRST + (seed + step) % COUNT;
            let lock = File::create(dir.join(number.to_string()))?;
            if lock.try_lock().is_err() {
                continue;
            }
            if TcpListener::bind(("0.0.0.0", number)).is_ok() {
                return Ok(Self {
                    number,
                    _lock: lock,
                });
            }
        }
        bail!("no free port between {FIRST} and {}", FIRST + COUNT)
    }

    /// The port's number.
    pub(crate) fn number(&self) -> u16 {
        self.number
    }
}
