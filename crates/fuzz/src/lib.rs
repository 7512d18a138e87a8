//! Fuzz targets: every parser of bytes that a tenant, a Git server, a broker or a provider sends.
//!
//! A target is one file in `tests/targets/`: example texts, the tokens of the language, and a
//! function that must neither panic, overflow the stack nor run for ever on any text. Inputs are
//! the examples after random edits ([`Edit`]): tokens put in, parts cut, doubled or nested.
//!
//! ```text
//! make test                a second for each target, with a fixed seed: no run differs from the last
//! make fuzz SECONDS=600    ten minutes for each target, with a seed of its own
//! make fuzz ONLY=glob      one target
//! ```
//!
//! A failure is made as small as possible and printed; its text becomes an example of the target.
//! The inputs come from proptest, which the workspace has already: `bolero` pins versions of
//! common crates that are older than ours, and coverage-guided engines need a nightly compiler.

use std::time::{Duration, Instant};

use proptest::{
    collection,
    test_runner::{Config, RngAlgorithm, RngSeed, TestCaseError, TestRunner},
};

/// One change of a text: what to do, where, and with which token.
pub type Edit = (u8, u16, u16);

/// Longest text that edits make.
const MAX_LENGTH: usize = 256 * 1024;

/// Most edits of one text.
pub const MAX_EDITS: usize = 24;

/// The examples of a target, changed by random edits.
#[derive(Debug, Clone, Copy)]
pub struct Material {
    /// Texts that the parser accepts, or nearly.
    pub examples: &'static [&'static str],
    /// Pieces of the language.
    pub tokens: &'static [&'static str],
}

impl Material {
    /// An example after all edits. Equal arguments give equal texts.
    pub fn text(&self, example: u16, edits: &[Edit]) -> String {
        let mut text = pick(self.examples, example).to_owned();
        for (kind, place, choice) in edits.iter().take(MAX_EDITS) {
            let at = boundary(&text, usize::from(*place));
            let token = pick(self.tokens, *choice);
            match kind % 8 {
                0 | 1 => text.insert_str(at, token),
                2 => text.truncate(at),
                3 => {
                    let end = boundary(&text, at + usize::from(*choice % 16));
                    text.replace_range(at.min(end)..end, "");
                }
                4 => {
                    let end = boundary(&text, at + usize::from(*choice % 32));
                    let part = text[at.min(end)..end].to_owned();
                    text.insert_str(at, &part);
                }
                5 => text.insert_str(at, pick(self.examples, *choice)),
                // Nesting is what breaks parsers.
                6 => text.insert_str(at, &token.repeat(1 << (place % 14))),
                _ => {
                    let c = char::from_u32(u32::from(*choice)).unwrap_or('\u{fffd}');
                    text.insert(at, c);
                }
            }
            text.truncate(boundary(&text, MAX_LENGTH.min(text.len())));
        }
        text
    }
}

/// The bytes that a text stands for: of each character the lowest eight bits of its number. So examples and tokens of
/// binary protocols are texts too, `"\0\u{ff}"`.
pub fn bytes(text: &str) -> Vec<u8> {
    let bytes = text.chars().map(|c| u32::from(c).to_le_bytes()[0]);
    bytes.collect()
}

fn pick(list: &[&'static str], index: u16) -> &'static str {
    match list.len() {
        0 => "",
        length => list[usize::from(index) % length],
    }
}

/// A place in the text where a character starts: `at` modulo the length of the text, for any `at`.
fn boundary(text: &str, at: usize) -> usize {
    let mut at = if at > text.len() {
        at % (text.len() + 1)
    } else {
        at
    };
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

/// Seconds that a target runs without `FUZZ_SECONDS`.
const SECONDS: u64 = 1;

/// Inputs between two looks at the time.
const BATCH: u32 = 64;

/// A text that takes longer than this in a debug build is a finding: bounds are for that.
const SLOWEST: Duration = Duration::from_secs(20);

/// Runs `test` on the examples and on edited examples for the time of one target. Fails with the
/// smallest text that panics or takes too long.
pub fn run(material: Material, test: impl Fn(&str)) {
    let checked = |text: &str| {
        let start = Instant::now();
        test(text);
        let took = start.elapsed();
        assert!(took < SLOWEST, "took {took:?}");
    };
    material
        .examples
        .iter()
        .for_each(|example| checked(example));
    let seconds = std::env::var("FUZZ_SECONDS").ok();
    let given = seconds.as_deref().and_then(|text| text.parse().ok());
    let end = Instant::now() + Duration::from_secs(given.unwrap_or(SECONDS));
    let mut runner = TestRunner::new(Config {
        cases: BATCH,
        failure_persistence: None,
        rng_algorithm: RngAlgorithm::ChaCha,
        rng_seed: match given {
            Some(_) => RngSeed::Random,
            None => RngSeed::Fixed(1),
        },
        ..Config::default()
    });
    let input = (
        proptest::num::u16::ANY,
        collection::vec(proptest::arbitrary::any::<Edit>(), 0..MAX_EDITS),
    );
    while Instant::now() < end {
        let result = runner.run(&input, |(example, edits)| {
            let text = material.text(example, &edits);
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| checked(&text)))
                .map_err(|_| TestCaseError::fail(format!("this text fails: {text:?}")))
        });
        let failure = result.err().map(|failure| failure.to_string());
        assert!(failure.is_none(), "{}", failure.unwrap_or_default());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MATERIAL: Material = Material {
        examples: &["a.b", "é"],
        tokens: &["(", "ü"],
    };

    #[test]
    fn edits_insert_cut_double_and_nest() {
        assert_eq!(MATERIAL.text(0, &[]), "a.b");
        assert_eq!(MATERIAL.text(0, &[(0, 1, 0)]), "a(.b");
        assert_eq!(MATERIAL.text(0, &[(2, 1, 0)]), "a");
        assert_eq!(MATERIAL.text(0, &[(3, 0, 2)]), "b");
        assert_eq!(MATERIAL.text(0, &[(4, 0, 2)]), "a.a.b");
        assert_eq!(MATERIAL.text(0, &[(6, 3, 0)]), "a.b((((((((");
    }

    #[test]
    fn a_character_is_a_byte() {
        assert_eq!(bytes("a\0\u{ff}\u{102}"), [b'a', 0, 0xff, 2]);
    }

    #[test]
    fn any_edits_make_a_text() {
        for kind in 0..8 {
            for place in 0..40 {
                for choice in 0..40 {
                    let edits = [(kind, place, choice); MAX_EDITS];
                    assert!(MATERIAL.text(choice, &edits).len() <= MAX_LENGTH);
                }
            }
        }
    }
}
