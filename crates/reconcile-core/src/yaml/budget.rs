//! What is left of the limits while a stream is read.

use serde_json::Value;

use super::Limits;

/// Counts what is made of one stream: its own nodes and text, and each copy that anchors, aliases and merges make.
pub(super) struct Budget {
    limits: Limits,
    nodes: usize,
    bytes: usize,
    /// A limit is exceeded.
    pub(super) exceeded: bool,
}

/// What a value costs, and how deep it is.
#[derive(Clone, Copy)]
pub(super) struct Extent {
    /// Scalars, collections and keys.
    nodes: usize,
    /// Bytes of texts and keys.
    bytes: usize,
    /// Collections inside of each other.
    pub(super) depth: usize,
}

impl Budget {
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            limits,
            nodes: 0,
            bytes: 0,
            exceeded: false,
        }
    }

    /// Most collections inside of each other.
    pub(super) fn depth(&self) -> usize {
        self.limits.depth
    }

    /// Counts a node with `bytes` of text. The error is a sentence.
    pub(super) fn count(&mut self, bytes: usize) -> Result<(), String> {
        self.take(1, bytes)
    }

    /// Counts a copy of a value, before it is made.
    pub(super) fn count_copy(&mut self, extent: Extent) -> Result<(), String> {
        self.take(extent.nodes, extent.bytes)
    }

    fn take(&mut self, nodes: usize, bytes: usize) -> Result<(), String> {
        self.nodes = self.nodes.saturating_add(nodes);
        self.bytes = self.bytes.saturating_add(bytes);
        let limits = self.limits;
        self.exceeded = self.nodes > limits.nodes || self.bytes > limits.text_bytes;
        if self.nodes > limits.nodes {
            return Err(format!("the input has more than {} nodes", limits.nodes));
        }
        if self.bytes > limits.text_bytes {
            let most = limits.text_bytes;
            return Err(format!("the input has more than {most} bytes of text"));
        }
        Ok(())
    }
}

impl Extent {
    /// Of a value, whose depth is bounded already.
    pub(super) fn of(value: &Value) -> Self {
        let scalar = |bytes| Self {
            nodes: 1,
            bytes,
            depth: 0,
        };
        let empty = Self {
            nodes: 1,
            bytes: 0,
            depth: 1,
        };
        match value {
            Value::Array(list) => list
                .iter()
                .fold(empty, |sum, item| sum.with(Self::of(item))),
            Value::Object(map) => map.iter().fold(empty, |sum, (key, item)| {
                sum.with(scalar(key.len())).with(Self::of(item))
            }),
            Value::String(text) => scalar(text.len()),
            _ => scalar(0),
        }
    }

    fn with(self, inner: Self) -> Self {
        Self {
            nodes: self.nodes.saturating_add(inner.nodes),
            bytes: self.bytes.saturating_add(inner.bytes),
            depth: self.depth.max(inner.depth + 1),
        }
    }
}
