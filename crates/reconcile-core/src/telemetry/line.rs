//! A line of the log with the keys that the originals use: `time`, `level`, `msg`, and the object by its kind.

use std::fmt::{self, Write as _};

use serde_json::{Map, Value};
use tracing::{
    Event, Level, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{
    fmt::{FmtContext, FormatEvent, FormatFields, format::Writer},
    registry::LookupSpan,
};

use super::LogFormat;
use crate::clock::Clock;

/// Keys that every line has; a field of that name gets a prefix, as logrus does it.
const OWN_KEYS: [&str; 3] = ["time", "level", "msg"];

/// Writes events as lines.
pub(super) struct Lines {
    format: LogFormat,
    clock: Clock,
}

impl Lines {
    pub(super) fn new(format: LogFormat, clock: Clock) -> Self {
        Self { format, clock }
    }
}

impl<S, N> FormatEvent<S, N> for Lines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let time = self.clock.now();
        let head = [
            ("time", format!("{time:.0}")),
            ("level", level(*event.metadata().level()).to_owned()),
            ("msg", std::mem::take(&mut fields.message)),
        ];
        let rest = fields.named();
        match self.format {
            LogFormat::Text => {
                let mut line = String::new();
                for (key, value) in head {
                    pair(&mut line, key, &value)?;
                }
                for (key, value) in rest {
                    match value {
                        Value::String(text) => pair(&mut line, &key, &text)?,
                        other => pair(&mut line, &key, &other.to_string())?,
                    }
                }
                writeln!(writer, "{}", line.trim_end())
            }
            LogFormat::Json => {
                let mut line = Map::from_iter(rest);
                line.extend(head.map(|(key, value)| (key.to_owned(), Value::from(value))));
                writeln!(writer, "{}", Value::Object(line))
            }
        }
    }
}

/// The names of logrus.
fn level(level: Level) -> &'static str {
    match level {
        Level::TRACE => "trace",
        Level::DEBUG => "debug",
        Level::INFO => "info",
        Level::WARN => "warning",
        Level::ERROR => "error",
    }
}

fn pair(line: &mut String, key: &str, value: &str) -> fmt::Result {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-._/@^+".contains(c);
    if !value.is_empty() && value.chars().all(plain) {
        write!(line, "{key}={value} ")
    } else {
        write!(line, "{key}={value:?} ")
    }
}

#[derive(Default)]
struct Fields {
    message: String,
    list: Vec<(&'static str, Value)>,
}

impl Fields {
    fn put(&mut self, field: &Field, value: Value) {
        self.list.push((field.name(), value));
    }

    /// The fields in their order. `kind` and `object` together become the namespace and the name under the lower-case
    /// kind, as in `namespace=shop rollout=web`.
    fn named(mut self) -> Vec<(String, Value)> {
        let at = |list: &[(&str, Value)], key: &str| list.iter().position(|(name, _)| *name == key);
        let mut named = Vec::with_capacity(self.list.len() + 1);
        if let (Some(kind), Some(object)) = (at(&self.list, "kind"), at(&self.list, "object")) {
            let text = |index: usize| self.list[index].1.as_str().unwrap_or_default().to_owned();
            let (kind, object) = (text(kind).to_lowercase(), text(object));
            let (namespace, name) = object.split_once('/').unwrap_or(("", &object));
            if !namespace.is_empty() {
                named.push(("namespace".to_owned(), namespace.into()));
            }
            named.push((kind, name.into()));
            self.list
                .retain(|(name, _)| !matches!(*name, "kind" | "object"));
        }
        named.extend(self.list.into_iter().map(|(name, value)| {
            let taken = OWN_KEYS.contains(&name);
            let name = if taken {
                format!("fields.{name}")
            } else {
                name.to_owned()
            };
            (name, value)
        }));
        named
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let text = format!("{value:?}");
        if field.name() == "message" {
            self.message = text;
        } else {
            self.put(field, text.into());
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "message" {
            value.clone_into(&mut self.message);
        } else {
            self.put(field, value.into());
        }
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value.into());
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value.into());
    }
}
