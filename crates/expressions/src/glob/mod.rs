//! Glob patterns in the three dialects that Argo CD uses.
//!
//! | dialect | where | `*` | `**` | `{a,b}` | class |
//! |---|---|---|---|---|---|
//! | [`Glob::new`], as `gobwas/glob` | projects' repositories, destinations and namespaces; `include`, `exclude`; `ignoreDifferences` | any text without separators | any text | yes | `[abc]` or `[a-z]`, `!` negates |
//! | [`Glob::path`], as Go's `path.Match` | kind lists of projects, Git directory generators | any text without `/` | as `*` | no | `[a-z_0-9]`, `^` negates |
//! | [`Glob::doublestar`], as `doublestar` | Helm value files | any text without `/` | any number of folders | yes | both, never `/` |
//!
//! A pattern always matches the whole text, and `\` takes the next character literally.
//!
//! Patterns come from tenants. Compiling and matching are iterative, and their cost is bounded by
//! [`MAX_LENGTH`] and [`MAX_WORK`]. A pattern that cannot be evaluated is neither a match nor a
//! mismatch: [`Answer::Undecided`] neither allows nor passes a deny rule.
//!
//! ```
//! use expressions::glob::answer;
//!
//! assert!(answer("https://github.com/*", "https://github.com/app", &['/']).allows());
//! assert!(!answer("{a", "a", &[]).allows());
//! assert!(answer("{a", "a", &[]).denies());
//! ```

mod program;
mod syntax;

#[cfg(test)]
mod tests;

use std::cell::Cell;

use self::{
    program::Program,
    syntax::{Classes, Dialect, Stars},
};

/// Longest pattern, in bytes.
pub const MAX_LENGTH: usize = 16 * 1024;

/// Most work of one match: instructions of the pattern times characters of the text.
pub const MAX_WORK: usize = 8 << 20;

/// Most work of all matches that share a [`WorkBudget`]: twenty thousand paths and a usual pattern take a tenth of it.
pub const MAX_TOTAL_WORK: usize = 1 << 30;

/// What is left of [`MAX_TOTAL_WORK`] for the patterns of one source.
#[derive(Debug)]
pub struct WorkBudget(Cell<usize>);

impl Default for WorkBudget {
    fn default() -> Self {
        Self(Cell::new(MAX_TOTAL_WORK))
    }
}

/// Why a pattern has no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GlobError {
    /// The text does not follow the rules of its dialect.
    #[error("{reason}, in glob pattern `{pattern}`")]
    Syntax {
        /// The pattern.
        pattern: String,
        /// What is wrong.
        reason: &'static str,
    },
    /// The pattern is longer than [`MAX_LENGTH`].
    #[error("glob pattern has {0} bytes, at most {MAX_LENGTH} are supported")]
    TooLong(usize),
    /// Matching this pattern against this text would take more than [`MAX_WORK`].
    #[error("glob pattern is too costly for a text of {0} bytes")]
    TooCostly(usize),
}

/// What a pattern says about a text.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub enum Answer {
    /// The whole text matches.
    Match,
    /// The text does not match.
    NoMatch,
    /// The pattern is malformed, or too costly to evaluate.
    Undecided(GlobError),
}

impl Answer {
    /// True when a rule that *allows* what matches lets the text pass: only a match does.
    pub fn allows(&self) -> bool {
        matches!(self, Self::Match)
    }

    /// True when a rule that *denies* what matches stops the text: only a certain mismatch passes.
    pub fn denies(&self) -> bool {
        !matches!(self, Self::NoMatch)
    }
}

/// A compiled pattern.
#[derive(Debug, Clone)]
pub struct Glob {
    program: Program,
}

impl Glob {
    /// Compiles a pattern of projects and filters. `*` and `?` do not match `separators`: `/` for
    /// repositories, none elsewhere.
    pub fn new(pattern: &str, separators: &[char]) -> Result<Self, GlobError> {
        Self::compile(
            pattern,
            &Dialect {
                separators,
                stars: Stars::TwoMatchSeparators,
                braces: true,
                classes: Classes::OneRange,
            },
        )
    }

    /// Compiles a pattern of Go's `path.Match`.
    pub fn path(pattern: &str) -> Result<Self, GlobError> {
        Self::compile(
            pattern,
            &Dialect {
                separators: &['/'],
                stars: Stars::NeverMatchSeparators,
                braces: false,
                classes: Classes::Go,
            },
        )
    }

    /// Compiles a pattern in which a path component `**` stands for any number of folders.
    pub fn doublestar(pattern: &str) -> Result<Self, GlobError> {
        Self::compile(
            pattern,
            &Dialect {
                separators: &['/'],
                stars: Stars::TwoMatchComponents,
                braces: true,
                classes: Classes::GoWithoutSeparators,
            },
        )
    }

    fn compile(pattern: &str, dialect: &Dialect<'_>) -> Result<Self, GlobError> {
        if pattern.len() > MAX_LENGTH {
            return Err(GlobError::TooLong(pattern.len()));
        }
        match syntax::compile(pattern, dialect) {
            Ok(program) => Ok(Self { program }),
            Err(reason) => Err(GlobError::Syntax {
                pattern: pattern.to_owned(),
                reason,
            }),
        }
    }

    /// [`Self::answer`], as long as `budget` lasts.
    pub fn answer_within(&self, text: &str, budget: &WorkBudget) -> Answer {
        let Some(left) = budget.0.get().checked_sub(self.program.work(text)) else {
            budget.0.set(0);
            return Answer::Undecided(GlobError::TooCostly(text.len()));
        };
        budget.0.set(left);
        self.answer(text)
    }

    /// Whether the whole text matches.
    pub fn answer(&self, text: &str) -> Answer {
        match self.program.run(text) {
            Some(true) => Answer::Match,
            Some(false) => Answer::NoMatch,
            None => Answer::Undecided(GlobError::TooCostly(text.len())),
        }
    }
}

/// Compiles a pattern of projects and filters and matches it once. Callers that match one pattern
/// against many texts keep a [`Glob`].
pub fn answer(pattern: &str, text: &str, separators: &[char]) -> Answer {
    match Glob::new(pattern, separators) {
        Ok(glob) => glob.answer(text),
        Err(error) => Answer::Undecided(error),
    }
}
