//! The tree of a parsed expression.

use std::sync::Arc;

use regex::Regex;

use super::value::Value;

/// A node and its position in the text. Nodes are shared because a chained comparison
/// (`1 < x < 3`) uses its middle operand twice.
#[derive(Debug)]
pub(super) struct Expr {
    pub(super) node: Node,
    pub(super) at: usize,
    /// Height of the tree under this node; bounded, so that walking it never overflows the stack.
    pub(super) height: usize,
}

pub(super) type Child = Arc<Expr>;

#[derive(Debug)]
pub(super) enum Node {
    Literal(Value),
    Ident(String),
    /// `#`, `#acc`, `#index`, or the hidden subject of `.field` inside a predicate.
    Pointer(String),
    Unary(Unary, Child),
    Binary(Binary, Child, Child),
    /// `left matches right`; the pattern is compiled once when it is a literal.
    Matches {
        left: Child,
        right: Child,
        pattern: Option<Regex>,
    },
    /// The reach of a `?.`: nil anywhere inside makes the whole chain nil.
    Chain(Child),
    Member {
        base: Child,
        property: Child,
        optional: bool,
    },
    Slice {
        base: Child,
        from: Option<Child>,
        to: Option<Child>,
    },
    Call {
        callee: Child,
        args: Vec<Child>,
    },
    Builtin {
        name: &'static str,
        args: Vec<Child>,
    },
    Let {
        name: String,
        value: Child,
        body: Child,
    },
    Sequence(Vec<Child>),
    Conditional {
        condition: Child,
        then: Child,
        otherwise: Child,
    },
    List(Vec<Child>),
    Map(Vec<(Child, Child)>),
}

impl Node {
    pub(super) fn children(&self) -> Vec<&Child> {
        match self {
            Self::Literal(_) | Self::Ident(_) | Self::Pointer(_) => Vec::new(),
            Self::Unary(_, a) | Self::Chain(a) => vec![a],
            Self::Binary(_, a, b)
            | Self::Matches {
                left: a, right: b, ..
            }
            | Self::Member {
                base: a,
                property: b,
                ..
            }
            | Self::Let {
                value: a, body: b, ..
            } => vec![a, b],
            Self::Slice { base, from, to } => [Some(base), from.as_ref(), to.as_ref()]
                .into_iter()
                .flatten()
                .collect(),
            Self::Call { callee, args } => std::iter::once(callee).chain(args).collect(),
            Self::Builtin { args, .. } => args.iter().collect(),
            Self::Sequence(items) | Self::List(items) => items.iter().collect(),
            Self::Conditional {
                condition,
                then,
                otherwise,
            } => vec![condition, then, otherwise],
            Self::Map(pairs) => pairs.iter().flat_map(|(k, v)| [k, v]).collect(),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unary {
    Not,
    Minus,
    Plus,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Binary {
    Or,
    And,
    Equal,
    NotEqual,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
    In,
    Contains,
    StartsWith,
    EndsWith,
    Range,
    Add,
    Subtract,
    Multiply,
    Divide,
    Modulo,
    Power,
    Coalesce,
}

impl Binary {
    pub(super) const fn symbol(self) -> &'static str {
        match self {
            Self::Or => "||",
            Self::And => "&&",
            Self::Equal => "==",
            Self::NotEqual => "!=",
            Self::Less => "<",
            Self::LessEqual => "<=",
            Self::Greater => ">",
            Self::GreaterEqual => ">=",
            Self::In => "in",
            Self::Contains => "contains",
            Self::StartsWith => "startsWith",
            Self::EndsWith => "endsWith",
            Self::Range => "..",
            Self::Add => "+",
            Self::Subtract => "-",
            Self::Multiply => "*",
            Self::Divide => "/",
            Self::Modulo => "%",
            Self::Power => "**",
            Self::Coalesce => "??",
        }
    }

    pub(super) const fn is_comparison(self) -> bool {
        matches!(
            self,
            Self::Less | Self::LessEqual | Self::Greater | Self::GreaterEqual
        )
    }
}
