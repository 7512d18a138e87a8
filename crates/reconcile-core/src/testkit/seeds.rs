//! Which histories a simulation plays, and what is said of one that fails.

use std::{
    any::Any,
    ops::Range,
    panic::{AssertUnwindSafe, catch_unwind},
};

/// Plays the histories of a simulation, each from its seed. One that panics is named with the command that plays it
/// again.
///
/// # Panics
/// When a history does, or a variable of [`seeds`] is set to something else than a number.
pub fn histories(usual: u64, play: impl FnMut(u64)) {
    play_all(seeds(usual), play);
}

#[expect(clippy::panic, reason = "a failed history fails its test")]
fn play_all(seeds: Range<u64>, mut play: impl FnMut(u64)) {
    for seed in seeds {
        if let Err(payload) = catch_unwind(AssertUnwindSafe(|| play(seed))) {
            let why = first_line(payload.as_ref());
            panic!("history {seed} failed: {why}\nplay it again with: make simulate SEED={seed}");
        }
    }
}

/// How the message of a panic begins; the rest was printed when it happened.
fn first_line(payload: &(dyn Any + Send)) -> &str {
    let text = payload.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| payload.downcast_ref::<&str>().copied());
    text.and_then(|text| text.lines().next())
        .unwrap_or("it panicked")
}

/// The seeds of a simulation: `usual` of them, as many as `SIMULATION_HISTORIES` says, or the one that
/// `SIMULATION_SEED` names, to play a history again that failed.
///
/// # Panics
/// When a variable is set to something else than a number.
pub fn seeds(usual: u64) -> Range<u64> {
    chosen(usual, |name| std::env::var(name).ok())
}

fn chosen(usual: u64, variable: impl Fn(&str) -> Option<String>) -> Range<u64> {
    let number = |name: &str| {
        let text = variable(name)?;
        Some(text.parse().expect("SIMULATION_* variables are numbers"))
    };
    match number("SIMULATION_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("SIMULATION_HISTORIES").unwrap_or(usual),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_history_that_panics_is_named_with_the_command_that_plays_it_again() {
        let mut played = Vec::new();
        let failed = catch_unwind(AssertUnwindSafe(|| {
            play_all(0..6, |seed| {
                played.push(seed);
                assert!(seed != 3, "a promise is broken\nand a log");
            });
        }));
        let payload = failed.expect_err("the third one panics");
        let text = payload.downcast_ref::<String>().expect("a text");
        assert_eq!(
            text,
            "history 3 failed: a promise is broken\nplay it again with: make simulate SEED=3"
        );
        assert_eq!(played, [0, 1, 2, 3], "nothing is played behind it");
    }

    #[test]
    fn a_seed_plays_one_history_and_a_number_as_many() {
        let with = |set: &'static [(&str, &str)]| {
            chosen(40, move |name| {
                let mut set = set.iter();
                set.find(|(known, _)| *known == name)
                    .map(|(_, value)| (*value).to_owned())
            })
        };
        assert_eq!(with(&[]), 0..40);
        assert_eq!(with(&[("SIMULATION_HISTORIES", "7")]), 0..7);
        let both = with(&[("SIMULATION_SEED", "3"), ("SIMULATION_HISTORIES", "7")]);
        assert_eq!(both, 3..4);
    }
}
