//! The types the checker reasons with. Go knows the type of every variable when it compiles an
//! expression, so `result == "x"` on a number is an error there and not just false.

use std::fmt;

use super::value::Value;

/// What is known about a value before the expression runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Type {
    /// Anything: Go's `any`.
    Unknown,
    /// Always nil.
    Nil,
    /// `bool`.
    Bool,
    /// Any integer.
    Int,
    /// Any float.
    Float,
    /// `string`.
    Str,
    /// `[]byte`.
    Bytes,
    /// An array of one type.
    List(Box<Type>),
    /// A map with text keys and values of any type.
    Map,
    /// The map `groupBy` gives.
    Groups,
    /// `time.Time`.
    Time,
    /// `time.Duration`.
    Duration,
    /// `*time.Location`.
    Zone,
    /// A function.
    Function,
}

impl Type {
    /// The type of an array of `self`.
    #[must_use]
    pub fn list(self) -> Self {
        Self::List(Box::new(self))
    }

    pub(super) fn of_literal(value: &Value) -> Self {
        match value {
            Value::Nil => Self::Nil,
            Value::Bool(_) => Self::Bool,
            Value::Int(_) => Self::Int,
            Value::Float(_) => Self::Float,
            Value::Str(_) => Self::Str,
            Value::Bytes(_) => Self::Bytes,
            Value::List(_) => Self::Unknown.list(),
            Value::Map(_) => Self::Map,
            Value::Groups(_) => Self::Groups,
            Value::Time(_) => Self::Time,
            Value::Duration(_) => Self::Duration,
            Value::Zone(_) => Self::Zone,
        }
    }

    pub(super) fn is_unknown(&self) -> bool {
        *self == Self::Unknown
    }

    pub(super) fn is_number(&self) -> bool {
        matches!(self, Self::Int | Self::Float)
    }

    pub(super) fn is_list(&self) -> bool {
        matches!(self, Self::List(_) | Self::Bytes)
    }

    /// Element type of an array; unknown for everything else.
    pub(super) fn element(&self) -> Self {
        match self {
            Self::List(element) => (**element).clone(),
            Self::Bytes => Self::Int,
            _ => Self::Unknown,
        }
    }

    /// Whether `==` may compare the two.
    pub(super) fn comparable(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Unknown | Self::Nil, _) | (_, Self::Unknown | Self::Nil) => true,
            (a, b) if a.is_number() && b.is_number() => true,
            (a, b) if a.is_list() && b.is_list() => true,
            (a, b) => a == b,
        }
    }

    /// Whether one of the two is unknown while the other is unknown too or one of `kinds`.
    pub(super) fn maybe(&self, other: &Self, kinds: &[Self]) -> bool {
        let fits = |t: &Self| {
            t.is_unknown()
                || kinds
                    .iter()
                    .any(|k| k == t || (k.is_number() && t.is_number()))
        };
        (self.is_unknown() && fits(other)) || (other.is_unknown() && fits(self))
    }

    /// Whether a value of this type may be passed where `wanted` is expected.
    pub(super) fn assignable(&self, wanted: &Self) -> bool {
        match (self, wanted) {
            (Self::List(a), Self::List(b)) => a.assignable(b),
            (_, Self::Unknown)
            | (Self::Unknown, _)
            | (Self::Int, Self::Float)
            | (Self::Bytes, Self::List(_))
            | (Self::Groups, Self::Map) => true,
            (a, b) => a == b,
        }
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unknown => "unknown",
            Self::Nil => "nil",
            Self::Bool => "bool",
            Self::Int => "int",
            Self::Float => "float64",
            Self::Str => "string",
            Self::Bytes => "[]byte",
            Self::Map => "map",
            Self::Groups => "map of arrays",
            Self::Time => "time",
            Self::Duration => "duration",
            Self::Zone => "timezone",
            Self::Function => "function",
            Self::List(element) => {
                return match **element {
                    Self::Unknown => f.write_str("array"),
                    ref known => write!(f, "[]{known}"),
                };
            }
        })
    }
}
