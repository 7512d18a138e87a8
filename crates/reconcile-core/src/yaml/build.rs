//! Parser events into JSON values, with aliases, merge keys and limits.

use std::{borrow::Cow, collections::HashMap};

use granit_parser::{Event, Options, Parser, ScalarStyle, Span};
use serde_json::{Map, Value};

use super::{
    YamlError,
    budget::{Budget, Extent},
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
    budget: &'p mut Budget,
    line: usize,
    stack: Vec<Frame>,
    /// Value and extent of every anchored node that is complete.
    anchors: HashMap<usize, (Value, Extent)>,
    done: Vec<Value>,
}

/// All documents of one piece of a stream: usually one. `budget` is that of the stream.
pub(super) fn values(piece: &Piece<'_>, budget: &mut Budget) -> Result<Vec<Value>, YamlError> {
    let mut options = Options::default();
    options.set_emit_comments(false);
    let mut builder = Builder {
        piece,
        budget,
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
            limit: false,
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
            limit: self.budget.exceeded,
        }
    }

    fn accept(&mut self, event: Event<'_>) -> Result<(), String> {
        match event {
            Event::DocumentStart(..) => self.anchors.clear(),
            Event::Scalar(text, style, anchor, tag) => {
                self.budget.count(text.len())?;
                let tag = tag_of(style, tag.as_deref());
                let merge = text == MERGE && matches!(tag, Tag::Plain | Tag::Core("merge"));
                let meaning = if merge {
                    Scalar::Text(MERGE.to_owned())
                } else {
                    scalar::resolve(&text, tag)?
                };
                if anchor > 0 {
                    self.keep(anchor, &meaning.clone().into_value()?)?;
                }
                self.place(Node::Scalar(meaning, merge))?;
            }
            Event::SequenceStart(_, anchor, _) => {
                self.budget.count(0)?;
                self.check_depth(1)?;
                self.stack.push(Frame::List {
                    items: Vec::new(),
                    anchor,
                });
            }
            Event::MappingStart(_, anchor, _) => {
                self.budget.count(0)?;
                self.check_depth(1)?;
                self.stack.push(Frame::Map {
                    entries: Map::new(),
                    key: None,
                    anchor,
                });
            }
            Event::SequenceEnd | Event::MappingEnd => self.close()?,
            Event::Alias(target) => {
                let contains_itself = "an anchor's value contains itself";
                let extent = self.anchors.get(&target).ok_or(contains_itself)?.1;
                self.budget.count_copy(extent)?;
                self.check_depth(extent.depth)?;
                let value = self.anchors[&target].0.clone();
                self.place(Node::Value(value))?;
            }
            _ => {}
        }
        Ok(())
    }

    /// Keeps a copy of the value of an anchor.
    fn keep(&mut self, anchor: usize, value: &Value) -> Result<(), String> {
        let extent = Extent::of(value);
        self.budget.count_copy(extent)?;
        self.anchors.insert(anchor, (value.clone(), extent));
        Ok(())
    }

    /// Checks that something of this depth may be here.
    fn check_depth(&mut self, depth: usize) -> Result<(), String> {
        let limit = self.budget.depth();
        if self.stack.len() + depth > limit {
            self.budget.exceeded = true;
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
            self.keep(anchor, &value)?;
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

/// Entries of a merge replace those before it, as in Go's YAML 1.1 library; of a list of
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
