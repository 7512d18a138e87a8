//! Regular expressions that foreign text names, with bounds: what a manifest or a payload writes in a few bytes
//! (`(\w{100}){100}`) may otherwise cost seconds and hundreds of megabytes.

use std::{
    collections::VecDeque,
    sync::{Mutex, PoisonError},
};

use regex::{Regex, RegexBuilder};
use thiserror::Error;

/// Longest pattern in bytes. The parser needs memory before the size of the program is known.
const MAX_LENGTH: usize = 16 * 1024;
/// Largest compiled pattern in bytes.
const MAX_PROGRAM_BYTES: usize = 1 << 20;
/// Bytes of the states that one search may keep.
const MAX_STATE_BYTES: usize = 1 << 20;
/// Groups inside of each other.
const MAX_NESTING: u32 = 100;
/// Compiled patterns that are kept, because controllers compile the same ones in every pass.
const KEPT: usize = 64;
/// Bytes of a pattern that an error shows.
const SHOWN: usize = 200;

/// A pattern that cannot be used.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum PatternError {
    /// The text is no pattern.
    #[error("`{0}` is no regular expression")]
    Syntax(String),
    /// The pattern or its program is larger than the limit.
    #[error("the regular expression `{0}` is too large")]
    TooLarge(String),
}

impl From<PatternError> for String {
    fn from(error: PatternError) -> Self {
        error.to_string()
    }
}

type Compiled = Result<Regex, PatternError>;

/// The patterns that were used last, the newest first.
static RECENT: Mutex<VecDeque<(Box<str>, Compiled)>> = Mutex::new(VecDeque::new());

/// Compiles a pattern within the limits, or finds it among those that were compiled lately.
pub fn compile_pattern(text: &str) -> Result<Regex, PatternError> {
    if text.len() > MAX_LENGTH {
        return Err(PatternError::TooLarge(shown(text)));
    }
    if let Some(known) = recent(text) {
        return known;
    }
    // Compiled without the lock, so that other threads do not wait.
    let compiled = compile(text);
    let mut kept = RECENT.lock().unwrap_or_else(PoisonError::into_inner);
    kept.truncate(KEPT - 1);
    kept.push_front((text.into(), compiled.clone()));
    compiled
}

fn recent(text: &str) -> Option<Compiled> {
    let mut kept = RECENT.lock().unwrap_or_else(PoisonError::into_inner);
    let at = kept.iter().position(|(known, _)| **known == *text)?;
    let entry = kept.remove(at)?;
    let compiled = entry.1.clone();
    kept.push_front(entry);
    Some(compiled)
}

fn compile(text: &str) -> Compiled {
    RegexBuilder::new(text)
        .size_limit(MAX_PROGRAM_BYTES)
        .dfa_size_limit(MAX_STATE_BYTES)
        .nest_limit(MAX_NESTING)
        .build()
        .map_err(|error| match error {
            regex::Error::CompiledTooBig(_) => PatternError::TooLarge(shown(text)),
            _ => PatternError::Syntax(shown(text)),
        })
}

fn shown(text: &str) -> String {
    if text.len() <= SHOWN {
        return text.to_owned();
    }
    let end = (0..=SHOWN).rev().find(|end| text.is_char_boundary(*end));
    format!("{}...", &text[..end.unwrap_or(0)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_that_grows_is_refused() {
        for text in [
            r"(\w{100}){100}".to_owned(),
            "(((a{100}){100}){100}){100}".to_owned(),
            "a".repeat(MAX_LENGTH + 1),
        ] {
            let refused = compile_pattern(&text);
            assert!(
                matches!(refused, Err(PatternError::TooLarge(_))),
                "{refused:?}"
            );
            // The answer is the same from memory.
            assert_eq!(
                compile_pattern(&text).map(|_| ()),
                refused.map(|_| ()),
                "{text}"
            );
        }
        let deep = format!("{}a{}", "(".repeat(200), ")".repeat(200));
        assert!(matches!(
            compile_pattern(&deep),
            Err(PatternError::Syntax(_))
        ));
    }

    #[test]
    fn compiled_patterns_are_kept_up_to_a_number() {
        for number in 0..KEPT * 2 {
            let text = format!("^kept-{number}$");
            let pattern = compile_pattern(&text).expect("a pattern");
            assert!(pattern.is_match(&format!("kept-{number}")));
        }
        let kept = RECENT.lock().expect("no test panics with it");
        assert_eq!(kept.len(), KEPT);
    }

    #[test]
    fn an_error_shows_the_beginning_of_the_pattern() {
        let error = compile_pattern(&format!("({}", "ü".repeat(500))).expect_err("no pattern");
        assert!(error.to_string().len() < 300, "{error}");
    }
}
