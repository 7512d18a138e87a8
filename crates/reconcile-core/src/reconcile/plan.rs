//! A decision as printable data.

use std::fmt;

use jiff::Timestamp;

/// What to do, in order, and why.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan<A> {
    /// Effects in the order in which they must happen.
    pub actions: Vec<A>,
    /// When to look again although nothing changed; a time that has passed means at once.
    pub wake: Option<Timestamp>,
    /// The reasons; at least one for every decision.
    pub notes: Vec<Note>,
}

/// A reason that a person can read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note(pub String);

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<A> Default for Plan<A> {
    fn default() -> Self {
        Self {
            actions: Vec::new(),
            wake: None,
            notes: Vec::new(),
        }
    }
}

impl<A> Plan<A> {
    /// An empty plan.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an effect.
    pub fn act(&mut self, action: A) {
        self.actions.push(action);
    }

    /// Adds a reason.
    pub fn note(&mut self, text: impl Into<String>) {
        self.notes.push(Note(text.into()));
    }

    /// Asks to be woken at `at`, or earlier if something else asked for that.
    pub fn wake_at(&mut self, at: Timestamp) {
        self.wake = Some(self.wake.map_or(at, |old| old.min(at)));
    }
}

/// A controller whose report needs no more than the plan uses the plan as its decision.
impl<A> AsRef<Self> for Plan<A> {
    fn as_ref(&self) -> &Self {
        self
    }
}

impl<A: fmt::Display> fmt::Display for Plan<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for action in &self.actions {
            writeln!(f, "- {action}")?;
        }
        for note in &self.notes {
            writeln!(f, "  ({note})")?;
        }
        if let Some(wake) = self.wake {
            writeln!(f, "  wake {wake}")?;
        }
        Ok(())
    }
}
