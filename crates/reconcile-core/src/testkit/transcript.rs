//! What happened in a simulation, one line per step.

use std::fmt;

/// Lines of (who, what), written as an aligned table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Transcript {
    lines: Vec<(String, String)>,
}

impl Transcript {
    /// Adds a line.
    pub fn line(&mut self, who: impl Into<String>, what: impl Into<String>) {
        self.lines.push((who.into(), what.into()));
    }

    /// The number of lines.
    pub fn len(&self) -> usize {
        self.lines.len()
    }

    /// True when nothing happened.
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// The last `count` lines, for the message of a failure.
    #[must_use]
    pub fn tail(&self, count: usize) -> Self {
        let from = self.lines.len().saturating_sub(count);
        Self {
            lines: self.lines[from..].to_vec(),
        }
    }
}

impl fmt::Display for Transcript {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = self
            .lines
            .iter()
            .map(|(who, _)| who.chars().count())
            .max()
            .unwrap_or(0);
        for (number, (who, what)) in self.lines.iter().enumerate() {
            writeln!(f, "{:>3}  {who:<width$}  {what}", number + 1)?;
        }
        Ok(())
    }
}
