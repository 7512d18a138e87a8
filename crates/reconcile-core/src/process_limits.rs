//! Limits that the kernel enforces on programs that this process starts.

use std::process::Child;

use rustix::process::{Pid, Resource, Rlimit, prlimit};

/// Bounds what the kernel gives to a program that was just started; one that cannot be bounded is logged.
pub fn limit_child(program: &str, child: &Child, limits: &[(Resource, u64)]) {
    limit_process(program, child.id(), limits);
}

/// The same for a program that is known by its id. It must not be waited for yet.
pub fn limit_process(program: &str, id: u32, limits: &[(Resource, u64)]) {
    // Without an id the limits would be those of this process.
    let Some(pid) = i32::try_from(id).ok().and_then(Pid::from_raw) else {
        return;
    };
    for (resource, value) in limits {
        let limit = Rlimit {
            current: Some(*value),
            maximum: Some(*value),
        };
        if let Err(error) = prlimit(Some(pid), *resource, limit) {
            tracing::debug!(program, ?resource, %error, "cannot limit a program");
        }
    }
}
