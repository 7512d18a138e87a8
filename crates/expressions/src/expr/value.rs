//! Values an expression works with, and how Go would print and compare them.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Zoned;

use crate::go_text;

/// A value of the expr language.
///
/// Containers are shared, so that handing a large measurement to an expression costs one pointer.
#[derive(Debug, Clone)]
pub enum Value {
    /// `nil`.
    Nil,
    /// `true` or `false`.
    Bool(bool),
    /// Any Go integer; the language never tells their widths apart.
    Int(i64),
    /// A 64-bit float, NaN and the infinities included.
    Float(f64),
    /// Text.
    Str(Arc<str>),
    /// The value of a `b"..."` literal.
    Bytes(Arc<[u8]>),
    /// An array.
    List(Arc<[Value]>),
    /// A map with text keys.
    Map(Arc<BTreeMap<String, Value>>),
    /// What `groupBy` gives: a map whose keys may be of any kind, in the order first seen.
    Groups(Arc<[(Value, Value)]>),
    /// A moment with its zone.
    Time(Box<Zoned>),
    /// A Go `time.Duration` in nanoseconds.
    Duration(i64),
    /// What `timezone()` gives.
    Zone(jiff::tz::TimeZone),
}

impl Value {
    /// Text value.
    pub fn text(text: impl Into<Arc<str>>) -> Self {
        Self::Str(text.into())
    }

    /// Array value.
    pub fn list(items: Vec<Self>) -> Self {
        Self::List(items.into())
    }

    /// Converts JSON as Go's `encoding/json` does when it decodes into `any`: every number
    /// becomes a float.
    pub fn from_json(json: &serde_json::Value) -> Self {
        use serde_json::Value as Json;
        match json {
            Json::Null => Self::Nil,
            Json::Bool(b) => Self::Bool(*b),
            Json::Number(n) => Self::Float(n.as_f64().unwrap_or(f64::NAN)),
            Json::String(s) => Self::text(s.as_str()),
            Json::Array(items) => Self::list(items.iter().map(Self::from_json).collect()),
            Json::Object(map) => Self::Map(Arc::new(
                map.iter()
                    .map(|(k, v)| (k.clone(), Self::from_json(v)))
                    .collect(),
            )),
        }
    }

    /// The value as JSON; `None` for what Go refuses to marshal (NaN, the infinities, groups).
    pub fn to_json(&self) -> Option<serde_json::Value> {
        use serde_json::Value as Json;
        Some(match self {
            Self::Nil => Json::Null,
            Self::Bool(b) => Json::Bool(*b),
            Self::Int(i) | Self::Duration(i) => Json::from(*i),
            Self::Float(f) => go_text::json_number(*f)?,
            Self::Str(s) => Json::String(s.to_string()),
            Self::Bytes(b) => Json::String(crate::go_text::base64_standard(b)),
            Self::List(items) => {
                Json::Array(items.iter().map(Self::to_json).collect::<Option<_>>()?)
            }
            Self::Map(map) => Json::Object(
                map.iter()
                    .map(|(k, v)| Some((k.clone(), v.to_json()?)))
                    .collect::<Option<_>>()?,
            ),
            Self::Time(t) => Json::String(crate::go_text::time::format(
                t,
                crate::go_text::time::RFC3339_NANO,
            )),
            Self::Groups(_) | Self::Zone(_) => return None,
        })
    }

    /// The name the language's own `type()` gives.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Nil => "nil",
            Self::Bool(_) => "bool",
            Self::Int(_) => "int",
            Self::Float(_) => "float",
            Self::Str(_) => "string",
            Self::Bytes(_) | Self::List(_) => "array",
            Self::Map(_) | Self::Groups(_) => "map",
            Self::Time(_) => "time.Time",
            Self::Duration(_) => "time.Duration",
            Self::Zone(_) => "time.Location",
        }
    }

    /// The Go type as an error message shows it.
    pub(super) fn go_type(&self) -> &'static str {
        match self {
            Self::Nil => "<nil>",
            Self::Bool(_) => "bool",
            Self::Int(_) => "int",
            Self::Float(_) => "float64",
            Self::Str(_) => "string",
            Self::Bytes(_) => "[]uint8",
            Self::List(_) => "[]interface {}",
            Self::Map(_) => "map[string]interface {}",
            Self::Groups(_) => "map[interface {}][]interface {}",
            Self::Time(_) => "time.Time",
            Self::Duration(_) => "time.Duration",
            Self::Zone(_) => "*time.Location",
        }
    }

    /// The number as a float; `None` when it is no number.
    pub fn as_float(&self) -> Option<f64> {
        match self {
            Self::Int(i) => Some(int_to_float(*i)),
            Self::Float(f) => Some(*f),
            _ => None,
        }
    }

    /// The number as an integer, a float cut as Go's conversion does; `None` when it is no number.
    pub fn as_int(&self) -> Option<i64> {
        match self {
            Self::Int(i) => Some(*i),
            Self::Float(f) => Some(go_text::float_to_int(*f)),
            _ => None,
        }
    }

    /// The text, when this is text.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::Str(s) => Some(s),
            _ => None,
        }
    }

    /// The language's `==` on values whose types are known only at run time: numbers compare by
    /// value, different kinds are unequal.
    pub fn equals(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Nil, Self::Nil) => true,
            (Self::Bool(a), Self::Bool(b)) => a == b,
            (Self::Int(a), Self::Int(b)) | (Self::Duration(a), Self::Duration(b)) => a == b,
            (Self::Str(a), Self::Str(b)) => a == b,
            (Self::Bytes(a), Self::Bytes(b)) => a == b,
            (Self::Time(a), Self::Time(b)) => a.timestamp() == b.timestamp(),
            (Self::Zone(a), Self::Zone(b)) => a == b,
            (Self::List(a), Self::List(b)) => {
                a.len() == b.len() && a.iter().zip(b.iter()).all(|(a, b)| a.equals(b))
            }
            (Self::Map(a), Self::Map(b)) => {
                a.len() == b.len() && a.iter().all(|(k, v)| b.get(k).is_some_and(|w| v.equals(w)))
            }
            (Self::Groups(a), Self::Groups(b)) => {
                a.len() == b.len()
                    && a.iter()
                        .all(|(k, v)| b.iter().any(|(l, w)| k.equals(l) && v.equals(w)))
            }
            _ => match (self.as_float(), other.as_float()) {
                #[expect(clippy::float_cmp, reason = "the language compares floats exactly")]
                (Some(a), Some(b)) => a == b,
                _ => false,
            },
        }
    }

    /// The order of two values, `None` when the language has none for their kinds (or NaN).
    pub fn order(&self, other: &Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Int(a), Self::Int(b)) | (Self::Duration(a), Self::Duration(b)) => Some(a.cmp(b)),
            (Self::Str(a), Self::Str(b)) => Some(a.cmp(b)),
            (Self::Time(a), Self::Time(b)) => Some(a.timestamp().cmp(&b.timestamp())),
            _ => self.as_float()?.partial_cmp(&other.as_float()?),
        }
    }

    /// Whether `<` and friends are defined for the two kinds at all.
    pub(super) fn can_order(&self, other: &Self) -> bool {
        matches!(
            (self, other),
            (Self::Str(_), Self::Str(_))
                | (Self::Time(_), Self::Time(_))
                | (Self::Duration(_), Self::Duration(_))
        ) || (self.as_float().is_some() && other.as_float().is_some())
    }

    /// Go's `%v`.
    pub fn go_string(&self) -> String {
        match self {
            Self::Nil => "<nil>".to_owned(),
            Self::Bool(b) => b.to_string(),
            Self::Int(i) => i.to_string(),
            Self::Float(f) => go_text::float(*f),
            Self::Str(s) => s.to_string(),
            Self::Bytes(b) => bracketed(b.iter().map(ToString::to_string)),
            Self::List(items) => bracketed(items.iter().map(Self::go_string)),
            Self::Map(map) => {
                format!(
                    "map{}",
                    bracketed(map.iter().map(|(k, v)| format!("{k}:{}", v.go_string())))
                )
            }
            Self::Groups(pairs) => format!(
                "map{}",
                bracketed(pairs.iter().map(|(k, v)| format!(
                    "{}:{}",
                    k.go_string(),
                    v.go_string()
                )))
            ),
            Self::Time(t) => go_text::time::format(t, go_text::time::GO_STRING),
            Self::Duration(nanos) => go_text::duration::format(*nanos),
            Self::Zone(zone) => zone.iana_name().unwrap_or("Local").to_owned(),
        }
    }
}

/// Integer to float as Go converts it.
#[expect(
    clippy::cast_precision_loss,
    reason = "Go rounds to the nearest float as well"
)]
pub(super) const fn int_to_float(int: i64) -> f64 {
    int as f64
}

fn bracketed(items: impl Iterator<Item = String>) -> String {
    format!("[{}]", items.collect::<Vec<_>>().join(" "))
}
