//! The six health codes.

use std::{fmt, sync::Arc};

/// How an object is, from best to worst.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Code {
    /// Works.
    Healthy,
    /// Stopped on purpose.
    Suspended,
    /// On its way.
    Progressing,
    /// Not there.
    Missing,
    /// Broken.
    Degraded,
    /// Not known.
    Unknown,
}

impl Code {
    const ALL: [Self; 6] = [
        Self::Healthy,
        Self::Suspended,
        Self::Progressing,
        Self::Missing,
        Self::Degraded,
        Self::Unknown,
    ];

    /// The code of a word, spelled as the API does.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|code| code.word() == word)
    }

    /// The word that the API uses.
    pub fn word(self) -> &'static str {
        match self {
            Self::Healthy => "Healthy",
            Self::Suspended => "Suspended",
            Self::Progressing => "Progressing",
            Self::Missing => "Missing",
            Self::Degraded => "Degraded",
            Self::Unknown => "Unknown",
        }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// A code and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Health {
    /// The code.
    pub code: Code,
    /// In words; often empty.
    pub message: Option<Arc<str>>,
}

impl Health {
    /// A code with its reason; an empty text is no reason.
    pub fn new(code: Code, message: impl AsRef<str>) -> Self {
        let message = message.as_ref();
        Self {
            code,
            message: (!message.is_empty()).then(|| message.into()),
        }
    }

    /// A code that needs no reason.
    pub fn of(code: Code) -> Self {
        Self {
            code,
            message: None,
        }
    }

    /// The reason, empty when there is none.
    pub fn text(&self) -> &str {
        self.message.as_deref().unwrap_or_default()
    }
}
