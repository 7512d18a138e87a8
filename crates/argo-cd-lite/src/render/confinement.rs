//! What the kernel refuses to programs: connections, to other machines and to this one, and talking to processes beside
//! their own. Everything that a render needs is fetched before by the controller, within its rules.

use std::{
    io,
    process::{Child, Command},
    sync::OnceLock,
    thread,
};

use landlock::{
    ABI, Access, AccessNet, CompatLevel, Compatible, Ruleset, RulesetAttr, RulesetError, Scope,
};

/// Starts a program without the network, as far as the kernel offers that.
pub(super) fn spawn(command: &mut Command) -> io::Result<Child> {
    let start = || {
        // `denies_network` reports a failure, once.
        drop(restrict_thread());
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
