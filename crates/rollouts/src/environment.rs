//! The environment of the process.

/// A variable of the process's environment, such as the address of a metric server; `None` when it is not set.
pub(crate) fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}
