//! Kubernetes Events as data; [`crate::apply::EventSink`] writes them.

/// A Kubernetes Event about the root object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventNote {
    /// Normal or Warning.
    pub type_: EventType,
    /// Reason in upper camel case, as upstream spells it.
    pub reason: String,
    /// The message.
    pub note: String,
}

/// Severity of an Event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventType {
    /// Information.
    Normal,
    /// Something a person should look at.
    Warning,
}

impl EventType {
    /// As Kubernetes spells it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Normal => "Normal",
            Self::Warning => "Warning",
        }
    }
}

impl EventNote {
    /// An informational Event.
    pub fn normal(reason: impl Into<String>, note: impl Into<String>) -> Self {
        Self {
            type_: EventType::Normal,
            reason: reason.into(),
            note: note.into(),
        }
    }

    /// An Event that a person should look at.
    pub fn warning(reason: impl Into<String>, note: impl Into<String>) -> Self {
        Self {
            type_: EventType::Warning,
            reason: reason.into(),
            note: note.into(),
        }
    }
}
