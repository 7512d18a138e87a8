//! What may follow a value: fields, indexes, slices and method calls.

use super::super::ast::{Child, Node};
use super::super::error::Fault;
use super::super::token::{TokenKind, is_word};
use super::super::value::Value;
use super::Parser;

impl Parser {
    pub(super) fn postfix(&mut self, base: Child) -> Result<Child, Fault> {
        let mut node = base;
        loop {
            let optional = self.at_operator("?.");
            if optional && self.following().is(TokenKind::Bracket, "[") {
                self.advance();
                node = self.index(node, true)?;
            } else if optional || self.at_operator(".") {
                node = self.member(node, optional)?;
            } else if self.at_bracket("[") {
                node = self.index(node, false)?;
            } else {
                return Ok(node);
            }
        }
    }

    fn member(&mut self, base: Child, optional: bool) -> Result<Child, Fault> {
        self.advance();
        let name = self.advance();
        let is_name = name.kind == TokenKind::Ident
            || (name.kind == TokenKind::Operator && name.text.starts_with(is_word));
        if !is_name {
            return Err(Fault::compile(
                name.at,
                format!("expected a field name, found {}", name.describe()),
            ));
        }
        // A chain reaches over every following dot, so it is taken off and put around again.
        let (inner, in_chain) = match &base.node {
            Node::Chain(inner) => (inner.clone(), true),
            _ => (base, false),
        };
        let property = self.node(name.at, Node::Literal(Value::text(name.text)))?;
        let mut node = self.node(
            name.at,
            Node::Member {
                base: inner,
                property,
                optional,
            },
        )?;
        if self.at_bracket("(") {
            let args = self.arguments(Vec::new())?;
            node = self.node(name.at, Node::Call { callee: node, args })?;
        }
        if in_chain || optional {
            node = self.node(name.at, Node::Chain(node))?;
        }
        Ok(node)
    }

    fn index(&mut self, base: Child, optional: bool) -> Result<Child, Fault> {
        let at = self.advance().at;
        let from = if self.at_operator(":") {
            None
        } else {
            Some(self.expression(0)?)
        };
        if self.at_operator(":") {
            self.advance();
            let to = if self.at_bracket("]") {
                None
            } else {
                Some(self.expression(0)?)
            };
            self.expect(TokenKind::Bracket, "]")?;
            return self.node(at, Node::Slice { base, from, to });
        }
        self.expect(TokenKind::Bracket, "]")?;
        let property = from.ok_or_else(|| self.unexpected())?;
        let node = self.node(
            at,
            Node::Member {
                base,
                property,
                optional,
            },
        )?;
        if optional {
            self.node(at, Node::Chain(node))
        } else {
            Ok(node)
        }
    }
}
