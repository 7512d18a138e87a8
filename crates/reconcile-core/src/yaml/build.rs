//! Parser events into JSON values, with aliases, merge keys and limits.

use std::{borrow::Cow, collections::HashMap};

use granit_parser::{Event, Options, Parser, ScalarStyle, Span};
use serde_json::{Map, Value};

use super::{
    Limits, YamlError,
    scalar::{self, Scalar, Tag},
    split::Piece,
};

const CORE_PREFIX: &str = "tag:yaml.org,2002:";
const MERGE: &str = "<<";

/// An open collection.
enum Frame {
    List {
        items: Vec<Value>,
        anchor: usize,
    },
    Map {
        entries: Map<String, Value>,
        key: Option<Key>,
        anchor: usize,
    },
}

/// A key that waits for its value.
enum Key {
    Text(String),
    /// `<<`: the value's entries are taken over.
    Merge,
}

/// A finished node. Scalars keep their meaning until it is known whether they are keys.
enum Node {
    Scalar(Scalar, bool),
    Value(Value),
}

struct Builder<'p> {
    piece: &'p Piece<'p>,
    limits: Limits,
    nodes: usize,
    line: usize,
    stack: Vec<Frame>,
    /// Value and extent of every anchored node that is complete.
    anchors: HashMap<usize, (Value, Extent)>,
    done: Vec<Value>,
}

/// How much an alias repeats.
#[derive(Clone, Copy)]
struct Extent {
    nodes: usize,
    depth: usize,
}

/// All documents of one piece of a stream: usually one.
pub(super) fn values(piece: &Piece<'_>, limits: Limits) -> Result<Vec<Value>, YamlError> {
    let mut options = Options::default();
    options.set_emit_comments(false);
    let mut builder = Builder {
        piece,
        limits,
        nodes: 0,
        line: 1,
        stack: Vec::new(),
        anchors: HashMap::new(),
        done: Vec::new(),
    };
    for next in Parser::new_from_str_with_options(piece.text, options) {
        let (event, span) = next.map_err(|error| YamlError {
            document: piece.index,
            line: piece.line + error.marker().line().saturating_sub(1),
            message: error.info(),
        })?;
        builder.line = line_of(&span);
        builder
            .accept(event)
            .map_err(|message| builder.error(message))?;
    }
    Ok(builder.done)
}

fn line_of(span: &Span) -> usize {
    span.start.line()
}

impl Builder<'_> {
    fn error(&self, message: String) -> YamlError {
        YamlError {
            document: self.piece.index,
            line: self.piece.line + self.line.saturating_sub(1),
            message,
        }
    }

    fn accept(&mut self, event: Event<'_>) -> Result<(), String> {
        match event {
            Event::DocumentStart(..) => {
                self.anchors.clear();
                self.nodes = 0;
            }
            Event::Scalar(text, style, anchor, tag) => {
                self.count(1)?;
                let tag = tag_of(style, tag.as_deref());
                let merge = text == MERGE && matches!(tag, Tag::Plain | Tag::Core("merge"));
                let meaning = if merge {
                    Scalar::Text(MERGE.to_owned())
                } else {
                    scalar::resolve(&text, tag)?
                };
                if anchor > 0 {
                    let value = meaning.clone().into_value()?;
                    let extent = Extent::of(&value);
                    self.anchors.insert(anchor, (value, extent));
                }
                self.place(Node::Scalar(meaning, merge))?;
            }
            Event::SequenceStart(_, anchor, _) => {
                self.count(1)?;
                self.check_depth(1)?;
                self.stack.push(Frame::List {
                    items: Vec::new(),
                    anchor,
                });
            }
            Event::MappingStart(_, anchor, _) => {
                self.count(1)?;
                self.check_depth(1)?;
                self.stack.push(Frame::Map {
                    entries: Map::new(),
                    key: None,
                    anchor,
                });
            }
            Event::SequenceEnd | Event::MappingEnd => self.close()?,
            Event::Alias(target) => {
                let (value, extent) = self
                    .anchors
                    .get(&target)
                    .cloned()
                    .ok_or("an anchor's value contains itself")?;
                self.count(extent.nodes)?;
                self.check_depth(extent.depth)?;
                self.place(Node::Value(value))?;
            }
            _ => {}
        }
        Ok(())
    }

    fn count(&mut self, nodes: usize) -> Result<(), String> {
        self.nodes += nodes;
        if self.nodes > self.limits.nodes {
            return Err(format!(
                "the document has more than {} nodes",
                self.limits.nodes
            ));
        }
        Ok(())
    }

    /// Checks that something of this depth may stand here.
    fn check_depth(&self, depth: usize) -> Result<(), String> {
        let limit = self.limits.depth;
        if self.stack.len() + depth > limit {
            return Err(format!("the document is more than {limit} levels deep"));
        }
        Ok(())
    }

    fn close(&mut self) -> Result<(), String> {
        let (value, anchor) = match self.stack.pop() {
            Some(Frame::List { items, anchor }) => (Value::Array(items), anchor),
            Some(Frame::Map {
                entries, anchor, ..
            }) => (Value::Object(entries), anchor),
            None => return Ok(()),
        };
        if anchor > 0 {
            let extent = Extent::of(&value);
            self.anchors.insert(anchor, (value.clone(), extent));
        }
        self.place(Node::Value(value))
    }

    fn place(&mut self, node: Node) -> Result<(), String> {
        match self.stack.last_mut() {
            None => {
                let value = into_value(node)?;
                self.done.push(value);
            }
            Some(Frame::List { items, .. }) => items.push(into_value(node)?),
            Some(Frame::Map { entries, key, .. }) => match key.take() {
                None => *key = Some(into_key(node)?),
                Some(Key::Text(name)) => {
                    // The last of equal keys wins, as in Go's lenient mode.
                    entries.insert(name, into_value(node)?);
                }
                Some(Key::Merge) => merge(entries, into_value(node)?)?,
            },
        }
        Ok(())
    }
}

fn into_value(node: Node) -> Result<Value, String> {
    match node {
        Node::Scalar(meaning, _) => meaning.into_value(),
        Node::Value(value) => Ok(value),
    }
}

fn into_key(node: Node) -> Result<Key, String> {
    match node {
        Node::Scalar(_, true) => Ok(Key::Merge),
        Node::Scalar(meaning, false) => meaning.into_key().map(Key::Text),
        Node::Value(Value::String(text)) => Ok(Key::Text(text)),
        Node::Value(value @ (Value::Number(_) | Value::Bool(_))) => {
            Ok(Key::Text(value.to_string()))
        }
        Node::Value(_) => Err("a key must be a scalar".to_owned()),
    }
}

/// Entries of a merge replace those that stand before it, as in Go's YAML 1.1 library; of a list of
/// mappings the earlier ones take precedence.
fn merge(entries: &mut Map<String, Value>, value: Value) -> Result<(), String> {
    let refused = || "map merge requires map or sequence of maps as the value".to_owned();
    match value {
        Value::Object(map) => entries.extend(map),
        Value::Array(list) => {
            for item in list.into_iter().rev() {
                let Value::Object(map) = item else {
                    return Err(refused());
                };
                entries.extend(map);
            }
        }
        _ => return Err(refused()),
    }
    Ok(())
}

fn tag_of(style: ScalarStyle, tag: Option<&granit_parser::Tag>) -> Tag<'_> {
    let Some(tag) = tag else {
        return if style == ScalarStyle::Plain {
            Tag::Plain
        } else {
            Tag::Text
        };
    };
    match tag.suffix_in_namespace(CORE_PREFIX) {
        Some(Cow::Borrowed(
            name @ ("int" | "float" | "bool" | "null" | "timestamp" | "binary" | "merge"),
        )) => Tag::Core(name),
        _ => Tag::Text,
    }
}

impl Extent {
    fn of(value: &Value) -> Self {
        let empty = Self { nodes: 1, depth: 1 };
        let with = |sum: Self, inner: Self| Self {
            nodes: sum.nodes + inner.nodes,
            depth: sum.depth.max(inner.depth + 1),
        };
        match value {
            Value::Array(list) => list.iter().map(Self::of).fold(empty, with),
            Value::Object(map) => map.values().map(Self::of).fold(empty, with),
            _ => Self { nodes: 1, depth: 0 },
        }
    }
}
