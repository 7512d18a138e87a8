//! Builds the tree of an expression: precedence climbing over the token list.

mod calls;
mod control;
mod literals;
mod operators;
mod postfix;

use std::sync::Arc;

use super::ast::{Binary, Child, Expr, Node, Unary};
use super::error::Fault;
use super::token::{Token, TokenKind, tokenize};
use super::value::Value;
use crate::pattern::compile_pattern;
use operators::{Infix, NOT, SIGN, infix};

/// Parentheses, brackets and signs may be nested this deep: the parser recurses through several
/// functions for each of them.
const MAX_NESTING: usize = 100;

/// Trees higher than this are refused. Every walk over a tree recurses, and a debug build spends
/// a few KiB of a 2 MiB thread stack per level. A chain `a || b || c` is as high as it has parts.
const MAX_HEIGHT: usize = 250;

/// Go's own bound on the number of nodes.
const MAX_NODES: usize = 10_000;

/// Parses the whole of `source`.
pub(super) fn parse(source: &str) -> Result<Child, Fault> {
    let tokens = tokenize(source)?;
    let mut parser = Parser {
        tokens,
        next: 0,
        predicates: 0,
        nesting: 0,
        nodes: 0,
    };
    let tree = parser.sequence()?;
    let token = parser.current();
    if token.kind != TokenKind::End {
        return Err(parser.unexpected());
    }
    Ok(tree)
}

struct Parser {
    tokens: Vec<Token>,
    next: usize,
    /// How many predicates enclose the current token; `#` and `.field` exist only inside.
    predicates: usize,
    nesting: usize,
    nodes: usize,
}

impl Parser {
    fn current(&self) -> &Token {
        // The list ends with `End` and `advance` never goes past it.
        &self.tokens[self.next]
    }

    fn following(&self) -> &Token {
        &self.tokens[(self.next + 1).min(self.tokens.len() - 1)]
    }

    fn advance(&mut self) -> Token {
        let token = self.current().clone();
        if token.kind != TokenKind::End {
            self.next += 1;
        }
        token
    }

    fn at_operator(&self, text: &str) -> bool {
        self.current().is(TokenKind::Operator, text)
    }

    fn at_bracket(&self, text: &str) -> bool {
        self.current().is(TokenKind::Bracket, text)
    }

    fn unexpected(&self) -> Fault {
        let token = self.current();
        Fault::compile(token.at, format!("unexpected {}", token.describe()))
    }

    fn expect(&mut self, kind: TokenKind, text: &str) -> Result<Token, Fault> {
        if self.current().is(kind, text) {
            return Ok(self.advance());
        }
        let token = self.current();
        Err(Fault::compile(
            token.at,
            format!("expected `{text}`, found {}", token.describe()),
        ))
    }

    fn expect_ident(&mut self) -> Result<Token, Fault> {
        if self.current().kind == TokenKind::Ident {
            return Ok(self.advance());
        }
        let token = self.current();
        Err(Fault::compile(
            token.at,
            format!("expected a name, found {}", token.describe()),
        ))
    }

    fn node(&mut self, at: usize, node: Node) -> Result<Child, Fault> {
        self.nodes += 1;
        if self.nodes > MAX_NODES {
            return Err(Fault::compile(
                at,
                format!("expression has more than {MAX_NODES} nodes"),
            ));
        }
        let height = 1 + node.children().iter().map(|c| c.height).max().unwrap_or(0);
        if height > MAX_HEIGHT {
            return Err(Self::too_deep(at));
        }
        Ok(Arc::new(Expr { node, at, height }))
    }

    fn too_deep(at: usize) -> Fault {
        Fault::compile(
            at,
            format!("expression is nested deeper than {MAX_HEIGHT} levels"),
        )
    }

    fn sequence(&mut self) -> Result<Child, Fault> {
        let first = self.expression(0)?;
        if !self.at_operator(";") {
            return Ok(first);
        }
        let at = first.at;
        let mut items = vec![first];
        while self.at_operator(";") {
            self.advance();
            if self.current().kind == TokenKind::End {
                break;
            }
            items.push(self.expression(0)?);
        }
        self.node(at, Node::Sequence(items))
    }

    fn expression(&mut self, precedence: u16) -> Result<Child, Fault> {
        self.nesting += 1;
        if self.nesting > MAX_NESTING {
            return Err(Self::too_deep(self.current().at));
        }
        let result = self.expression_inner(precedence);
        self.nesting -= 1;
        result
    }

    fn expression_inner(&mut self, precedence: u16) -> Result<Child, Fault> {
        if precedence == 0 && self.at_operator("let") {
            return self.declaration();
        }
        if precedence == 0 && self.at_operator("if") {
            return self.if_else();
        }
        let mut left = self.primary()?;
        let mut after_coalesce = false;
        loop {
            let negated = self.at_operator("not")
                && matches!(
                    self.following().text.as_str(),
                    "in" | "matches" | "contains" | "startsWith" | "endsWith"
                );
            let token = if negated {
                self.following()
            } else {
                self.current()
            }
            .clone();
            let Some((operator, level, right_grouping)) = infix(&token) else {
                break;
            };
            if level < precedence {
                break;
            }
            if negated {
                self.advance();
            }
            self.advance();
            let is_coalesce = matches!(operator, Infix::Plain(Binary::Coalesce));
            if after_coalesce && !is_coalesce && !matches!(operator, Infix::Pipe) {
                return Err(Fault::compile(
                    token.at,
                    format!(
                        "`{}` and `??` cannot be mixed without parentheses",
                        token.text
                    ),
                ));
            }
            after_coalesce = is_coalesce;
            let right_level = if right_grouping { level } else { level + 1 };
            left = match operator {
                Infix::Pipe => {
                    let name = self.expect_ident()?;
                    let call = self.call(&name, vec![left])?;
                    self.postfix(call)?
                }
                Infix::Matches => {
                    let right = self.expression(right_level)?;
                    self.matches(token.at, left, right)?
                }
                Infix::Plain(binary) if binary.is_comparison() => {
                    self.comparison(left, binary, token.at, right_level)?
                }
                Infix::Plain(binary) => {
                    let right = self.expression(right_level)?;
                    self.node(token.at, Node::Binary(binary, left, right))?
                }
            };
            if negated {
                left = self.node(token.at, Node::Unary(Unary::Not, left))?;
            }
        }
        if precedence == 0 {
            self.ternary(left)
        } else {
            Ok(left)
        }
    }

    fn matches(&mut self, at: usize, left: Child, right: Child) -> Result<Child, Fault> {
        let pattern = match &right.node {
            Node::Literal(Value::Str(text)) => Some(
                compile_pattern(text)
                    .map_err(|reason| Fault::compile(right.at, String::from(reason)))?,
            ),
            _ => None,
        };
        self.node(
            at,
            Node::Matches {
                left,
                right,
                pattern,
            },
        )
    }

    /// `a < b < c` means `a < b && b < c`.
    fn comparison(
        &mut self,
        left: Child,
        operator: Binary,
        at: usize,
        level: u16,
    ) -> Result<Child, Fault> {
        let (mut left, mut operator, mut at) = (left, operator, at);
        let mut whole: Option<Child> = None;
        loop {
            let right = self.expression(level)?;
            let pair = self.node(at, Node::Binary(operator, left, right.clone()))?;
            whole = Some(match whole {
                None => pair,
                Some(before) => self.node(at, Node::Binary(Binary::And, before, pair))?,
            });
            match infix(self.current()) {
                Some((Infix::Plain(next), ..)) if next.is_comparison() => {
                    left = right;
                    operator = next;
                    at = self.advance().at;
                }
                _ => return whole.ok_or_else(|| self.unexpected()),
            }
        }
    }

    fn primary(&mut self) -> Result<Child, Fault> {
        let token = self.current().clone();
        let unary = match (token.kind, token.text.as_str()) {
            (TokenKind::Operator, "not" | "!") => Some((Unary::Not, NOT)),
            (TokenKind::Operator, "-") => Some((Unary::Minus, SIGN)),
            (TokenKind::Operator, "+") => Some((Unary::Plus, SIGN)),
            _ => None,
        };
        if let Some((unary, level)) = unary {
            self.advance();
            let operand = self.expression(level)?;
            let node = self.node(token.at, Node::Unary(unary, operand))?;
            return self.postfix(node);
        }
        if self.at_bracket("(") {
            self.advance();
            let inner = self.sequence()?;
            self.expect(TokenKind::Bracket, ")")?;
            return self.postfix(inner);
        }
        if self.predicates > 0 && self.at_operator("#") {
            self.advance();
            let adjacent = self.current().at == token.at + 1;
            let name = if adjacent && self.current().kind == TokenKind::Ident {
                self.advance().text
            } else {
                String::new()
            };
            let node = self.node(token.at, Node::Pointer(name))?;
            return self.postfix(node);
        }
        if self.predicates > 0 && self.at_operator(".") {
            // `.field` is short for `#.field`; the dot itself is read by `postfix`.
            let node = self.node(token.at, Node::Pointer(String::new()))?;
            return self.postfix(node);
        }
        if self.at_operator("::") {
            // `::name()` insists on the language's own function.
            self.advance();
            let name = self.expect_ident()?;
            let call = self.call(&name, Vec::new())?;
            return self.postfix(call);
        }
        self.operand()
    }

    fn operand(&mut self) -> Result<Child, Fault> {
        let token = self.current().clone();
        let node = match token.kind {
            TokenKind::Ident => {
                self.advance();
                let literal = match token.text.as_str() {
                    "true" => Some(Value::Bool(true)),
                    "false" => Some(Value::Bool(false)),
                    "nil" => Some(Value::Nil),
                    _ => None,
                };
                if let Some(literal) = literal {
                    return self.node(token.at, Node::Literal(literal));
                }
                if self.at_bracket("(") {
                    self.call(&token, Vec::new())?
                } else {
                    self.node(token.at, Node::Ident(token.text))?
                }
            }
            TokenKind::Number => {
                self.advance();
                let value = literals::number(&token)?;
                return self.node(token.at, Node::Literal(value));
            }
            TokenKind::Text => {
                self.advance();
                self.node(token.at, Node::Literal(Value::text(token.text)))?
            }
            TokenKind::Bytes => {
                self.advance();
                self.node(token.at, Node::Literal(Value::Bytes(token.bytes.into())))?
            }
            TokenKind::Bracket if token.text == "[" => self.list()?,
            TokenKind::Bracket if token.text == "{" => self.map()?,
            _ => return Err(self.unexpected()),
        };
        self.postfix(node)
    }
}
