//! What the kernel refuses to programs: connections, to other machines and to this one, and talking to processes beside
//! their own. Everything that a render needs is fetched before by the controller, within its rules.

use std::{
    io,
    path::Path,
    process::{Child, Command},
    sync::OnceLock,
    thread,
};

use landlock::{
    ABI, Access, AccessFs, AccessNet, CompatLevel, Compatible, PathBeneath, PathFd, Ruleset,
    RulesetAttr, RulesetCreatedAttr, RulesetError, Scope,
};

/// What a program may reach of the files of this machine, beside the libraries of the system.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reach<'a> {
    /// Programs that it may run.
    pub(super) programs: &'a [&'a Path],
    /// The folder in which it may read and write.
    pub(super) folder: &'a Path,
}

/// Folders of the system with programs and libraries; nothing in them is secret.
const SYSTEM: &[&str] = &["/usr", "/bin", "/lib", "/lib64"];

/// Starts a program without the network, as far as the kernel offers that. With `reach` it opens no other file, or is not
/// started.
pub(super) fn spawn(command: &mut Command, reach: Option<Reach<'_>>) -> io::Result<Child> {
    let start = || {
        // `denies_network` reports a failure, once.
        drop(restrict_thread());
        if let Some(reach) = reach {
            restrict_files(&reach).map_err(|error| {
                io::Error::other(format!(
                    "the kernel cannot keep it from files of this machine, which kustomize.buildOptions needs: {error}"
                ))
            })?;
        }
        command.spawn()
    };
    // A thread hands its restrictions to what it starts, and never gets rid of them.
    thread::scope(|scope| scope.spawn(start).join())
        .unwrap_or_else(|_| Err(io::Error::other("the thread that starts it panicked")))
}

/// Whether the kernel keeps programs from the network; when not, the log says why, once.
pub(super) fn denies_network() -> bool {
    static DENIES: OnceLock<bool> = OnceLock::new();
    *DENIES.get_or_init(|| {
        let tried = thread::spawn(restrict_thread).join();
        let reason = match tried {
            Ok(Ok(())) => return true,
            Ok(Err(error)) => error.to_string(),
            Err(_) => "the thread panicked".to_owned(),
        };
        tracing::warn!(
            reason,
            "helm and kustomize are not kept from the network: that needs Linux 6.7 or newer with Landlock"
        );
        false
    })
}

/// Keeps this thread, and what it starts, from the network.
fn restrict_thread() -> Result<(), RulesetError> {
    Ruleset::default()
        .set_compatibility(CompatLevel::HardRequirement)
        .handle_access(AccessNet::from_all(ABI::V4))?
        // Newer kernels also keep it from UDP, from sockets without a path, and from signals to others.
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessNet::from_all(ABI::V10))?
        .scope(Scope::from_all(ABI::V6))?
        .create()?
        .restrict_self()?;
    Ok(())
}

/// Keeps this thread, and what it starts, from all other files.
fn restrict_files(reach: &Reach<'_>) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let all = AccessFs::from_all(ABI::V1);
    let read = AccessFs::from_read(ABI::V1);
    let mut rules = Ruleset::default()
        .set_compatibility(CompatLevel::HardRequirement)
        .handle_access(all)?
        .create()?
        .add_rule(PathBeneath::new(PathFd::new(reach.folder)?, all))?
        .add_rule(PathBeneath::new(
            PathFd::new("/dev/null")?,
            AccessFs::ReadFile | AccessFs::WriteFile,
        ))?;
    for folder in SYSTEM.iter().map(Path::new).filter(|path| path.is_dir()) {
        rules = rules.add_rule(PathBeneath::new(PathFd::new(folder)?, read))?;
    }
    for program in reach.programs {
        let run = AccessFs::ReadFile | AccessFs::Execute;
        rules = rules.add_rule(PathBeneath::new(PathFd::new(program)?, run))?;
    }
    rules.restrict_self()?;
    Ok(())
}
