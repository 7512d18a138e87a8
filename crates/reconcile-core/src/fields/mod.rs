//! The support ledger: which fields of a kind this project acts on, and which it only recognises.
//!
//! An operator keeps one table of [`Field`]s per kind. The same table answers two questions:
//!
//! - for a manifest, [`findings`]: which of the fields that it sets would not be honoured, so that a
//!   condition on the object can say so and nothing is silently ignored;
//! - for a reader, the rows of `docs/compatibility.md`, which are printed from the tables.
//!
//! ```text
//! spec.strategy.canary.steps[].setWeight      one field; `[]` stands for every element of a list
//! spec.selector.matchLabels.{*}               `{*}` stands for every key of a map
//! spec.template.**                            a whole subtree, the field itself included
//! ```
//!
//! A more exact row wins over a subtree, and a literal key wins over `{*}`.

mod walk;

#[cfg(test)]
mod tests;

use std::fmt::{self, Write as _};

use serde_json::Value;

/// How many findings [`message`] spells out before it only counts the rest: a condition is read by
/// people in a terminal, and the API server stores it with every object.
const MESSAGE_FINDINGS: usize = 8;

/// What this project does with a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Level {
    /// The field means what it means upstream.
    Supported,
    /// The field is recognised, has no effect, and its use is reported on the object.
    Reported,
    /// As [`Level::Reported`] today; support is intended.
    Planned,
    /// The table has no row for the field. Only found in a [`Finding`], never in a table.
    Unknown,
}

impl Level {
    /// The word used in `docs/compatibility.md`.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Supported => "supported",
            Self::Reported => "reported",
            Self::Planned => "planned",
            Self::Unknown => "unknown",
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// One row of a support table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    /// The pattern of the field's path, for example `spec.strategy.canary.steps[].setWeight`.
    pub path: &'static str,
    /// What happens when a manifest sets it.
    pub level: Level,
    /// A few words for the condition and for the table; empty where the level says it all.
    pub note: &'static str,
}

/// A row for a field that works as upstream.
pub const fn supported(path: &'static str) -> Field {
    Field {
        path,
        level: Level::Supported,
        note: "",
    }
}

/// A row for a field that works, with a remark for the table (never shown in a condition).
pub const fn supported_note(path: &'static str, note: &'static str) -> Field {
    Field {
        path,
        level: Level::Supported,
        note,
    }
}

/// A row for a field that is recognised and reported, with the reason.
pub const fn reported(path: &'static str, note: &'static str) -> Field {
    Field {
        path,
        level: Level::Reported,
        note,
    }
}

/// A row for a field whose support is intended but not there yet.
pub const fn planned(path: &'static str, note: &'static str) -> Field {
    Field {
        path,
        level: Level::Planned,
        note,
    }
}

/// The tables of one kind: what operators export and `xtask docs` prints.
///
/// Several tables may be given, so that kinds can share rows (metrics, pod templates).
#[derive(Clone, Copy, Debug)]
pub struct Ledger {
    /// The kind, for example `Rollout`.
    pub kind: &'static str,
    /// Its rows. All patterns begin with the name of a top-level field, usually `spec`.
    pub tables: &'static [&'static [Field]],
}

impl Ledger {
    /// Every row, in the order of the tables.
    pub fn fields(&self) -> impl Iterator<Item = &'static Field> + use<> {
        self.tables.iter().flat_map(|table| table.iter())
    }

    /// The fields below `object[root]` that would not be honoured. See [`findings`].
    pub fn findings(&self, value: &Value, root: &str) -> Vec<Finding> {
        walk::walk(value, root, self.fields())
    }
}

/// A field that a manifest sets and that would not be honoured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The path with real indexes and keys, for example `spec.strategy.canary.steps[2].setWeight`.
    pub path: String,
    /// [`Level::Reported`], [`Level::Planned`] or [`Level::Unknown`].
    pub level: Level,
    /// The note of the row; empty for unknown fields.
    pub note: &'static str,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.level, self.note) {
            (Level::Unknown, _) => write!(f, "{} (unknown field)", self.path),
            (_, "") => f.write_str(&self.path),
            (_, note) => write!(f, "{} ({note})", self.path),
        }
    }
}

/// The fields that `value` sets below `root` and that `table` does not support, in document order.
///
/// `value` is the content of the field named `root` (so `object["spec"]` with `"spec"`). Of an
/// unsupported subtree only the topmost field is returned. Nulls, empty strings and empty lists
/// count as not set, as Go's `omitempty` would drop them. A supported row with no rows below it
/// covers the whole value.
pub fn findings(value: &Value, root: &str, table: &[Field]) -> Vec<Finding> {
    walk::walk(value, root, table.iter())
}

/// One line for a condition; empty when there is nothing to report.
pub fn message(findings: &[Finding]) -> String {
    if findings.is_empty() {
        return String::new();
    }
    let mut text = String::from("not supported yet and ignored: ");
    for (position, finding) in findings.iter().take(MESSAGE_FINDINGS).enumerate() {
        if position > 0 {
            text.push_str(", ");
        }
        text.push_str(&finding.to_string());
    }
    let rest = findings.len().saturating_sub(MESSAGE_FINDINGS);
    if rest > 0 {
        // Writing to a text cannot fail.
        let _ = write!(text, " and {rest} more");
    }
    text
}
