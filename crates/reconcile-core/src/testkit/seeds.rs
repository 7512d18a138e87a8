//! Which histories a simulation plays.

use std::ops::Range;

/// The seeds of a simulation: `usual` of them, as many as `SIMULATION_HISTORIES` says, or the one that
/// `SIMULATION_SEED` names, to play a history again that failed.
///
/// # Panics
/// When a variable is set to something else than a number.
pub fn seeds(usual: u64) -> Range<u64> {
    let number = |name: &str| {
        let text = std::env::var(name).ok()?;
        Some(text.parse().expect("SIMULATION_* variables are numbers"))
    };
    match number("SIMULATION_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("SIMULATION_HISTORIES").unwrap_or(usual),
    }
}
