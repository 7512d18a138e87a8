//! Builds the tree: precedence climbing, all operators grouping to the left.

use regex::Regex;

use super::lexer::{Token, TokenKind, tokenize};
use super::{Fault, Value};

/// Parentheses and signs may be nested this deep.
const MAX_NESTING: usize = 100;

/// Trees higher than this are refused, so that walking one never overflows the stack. A list of
/// `in (1, 2, 3)` is as high as it has elements.
const MAX_HEIGHT: usize = 500;

const TOO_DEEP: &str = "expression is nested too deeply or has too many parts";

#[derive(Debug, Clone)]
pub(super) struct Node {
    pub(super) at: usize,
    pub(super) kind: Box<NodeKind>,
    height: usize,
}

#[derive(Debug, Clone)]
pub(super) enum NodeKind {
    Literal(Value),
    Variable(String),
    Prefix(&'static str, Node),
    Infix(&'static str, Node, Node),
    /// `=~` and `!~` with a literal pattern.
    Matches {
        text: Node,
        pattern: Regex,
        negated: bool,
    },
}

/// Symbols of one precedence, the loosest first.
const LEVELS: [&[&str]; 10] = [
    &[","],
    &["?", ":", "??"],
    &["||"],
    &["&&"],
    &["==", "!=", ">", ">=", "<", "<=", "=~", "!~", "in"],
    &["&", "|", "^"],
    &["<<", ">>"],
    &["+", "-"],
    &["*", "/", "%"],
    &["**"],
];

fn precedence(symbol: &str) -> Option<usize> {
    LEVELS.iter().position(|level| level.contains(&symbol))
}

/// Parses the whole expression and lists its variables.
pub(super) fn parse(source: &str) -> Result<(Node, Vec<String>), Fault> {
    let tokens = tokenize(source)?;
    let mut parser = Parser {
        tokens,
        next: 0,
        nesting: 0,
        variables: Vec::new(),
    };
    let root = parser.expression(0)?;
    match parser.current() {
        Token {
            kind: TokenKind::End,
            ..
        } => Ok((root, parser.variables)),
        _ => Err(parser.unexpected()),
    }
}

struct Parser {
    tokens: Vec<Token>,
    next: usize,
    nesting: usize,
    variables: Vec<String>,
}

impl Parser {
    fn current(&self) -> &Token {
        // The list ends with `End`, which `advance` never passes.
        &self.tokens[self.next]
    }

    fn advance(&mut self) -> Token {
        let token = self.current().clone();
        if token.kind != TokenKind::End {
            self.next += 1;
        }
        token
    }

    fn unexpected(&self) -> Fault {
        let token = self.current();
        let found = match &token.kind {
            TokenKind::Number(_) => "a number".to_owned(),
            TokenKind::Text(_) => "a string".to_owned(),
            TokenKind::Bool(b) => format!("`{b}`"),
            TokenKind::Variable(name) => format!("`{name}`"),
            TokenKind::Symbol(symbol) => format!("`{symbol}`"),
            TokenKind::End => "end of expression".to_owned(),
        };
        Fault::new(token.at, format!("unexpected {found}"))
    }

    fn node(at: usize, kind: NodeKind) -> Result<Node, Fault> {
        let below = match &kind {
            NodeKind::Literal(_) | NodeKind::Variable(_) => 0,
            NodeKind::Prefix(_, node) | NodeKind::Matches { text: node, .. } => node.height,
            NodeKind::Infix(_, left, right) => left.height.max(right.height),
        };
        if below >= MAX_HEIGHT {
            return Err(Fault::new(
                at,
                format!("expression is deeper than {MAX_HEIGHT} levels"),
            ));
        }
        Ok(Node {
            at,
            kind: Box::new(kind),
            height: below + 1,
        })
    }

    fn expression(&mut self, level: usize) -> Result<Node, Fault> {
        self.nesting += 1;
        if self.nesting > MAX_NESTING {
            let at = self.current().at;
            return Err(Fault::new(
                at,
                format!("expression is deeper than {MAX_HEIGHT} levels"),
            ));
        }
        let mut left = self.operand()?;
        while let TokenKind::Symbol(symbol) = self.current().kind
            && let Some(found) = precedence(symbol)
            && found >= level
        {
            let at = self.advance().at;
            let right = self.expression(found + 1)?;
            left = Self::infix(at, symbol, left, right)?;
        }
        self.nesting -= 1;
        Ok(left)
    }

    fn infix(at: usize, symbol: &'static str, left: Node, right: Node) -> Result<Node, Fault> {
        if matches!(symbol, "=~" | "!~")
            && let NodeKind::Literal(Value::Text(text)) = &*right.kind
        {
            let pattern = crate::pattern::compile_pattern(text)
                .map_err(|reason| Fault::new(right.at, String::from(reason)))?;
            let kind = NodeKind::Matches {
                text: left,
                pattern,
                negated: symbol == "!~",
            };
            return Self::node(at, kind);
        }
        Self::node(at, NodeKind::Infix(symbol, left, right))
    }

    fn operand(&mut self) -> Result<Node, Fault> {
        let Token { kind, at } = self.current().clone();
        let node = match kind {
            TokenKind::Number(n) => NodeKind::Literal(Value::Number(n)),
            TokenKind::Text(text) => NodeKind::Literal(Value::Text(text)),
            TokenKind::Bool(b) => NodeKind::Literal(Value::Bool(b)),
            TokenKind::Variable(name) => {
                if !self.variables.contains(&name) {
                    self.variables.push(name.clone());
                }
                NodeKind::Variable(name)
            }
            TokenKind::Symbol(symbol @ ("-" | "!" | "~")) => {
                self.advance();
                self.nesting += 1;
                if self.nesting > MAX_NESTING {
                    return Err(Fault::new(at, TOO_DEEP));
                }
                let operand = self.operand()?;
                self.nesting -= 1;
                return Self::node(at, NodeKind::Prefix(symbol, operand));
            }
            TokenKind::Symbol("(") => {
                self.advance();
                let inner = self.expression(0)?;
                if self.current().kind != TokenKind::Symbol(")") {
                    return Err(self.unexpected());
                }
                self.advance();
                return Ok(inner);
            }
            _ => return Err(self.unexpected()),
        };
        self.advance();
        Self::node(at, node)
    }
}
