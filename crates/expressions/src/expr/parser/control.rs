//! `let`, `if` and the ternary.

use super::super::ast::{Child, Node};
use super::super::error::Fault;
use super::super::token::TokenKind;
use super::{MAX_NESTING, Parser};

impl Parser {
    pub(super) fn declaration(&mut self) -> Result<Child, Fault> {
        self.advance();
        let name = self.expect_ident()?;
        self.expect(TokenKind::Operator, "=")?;
        let value = self.expression(0)?;
        self.expect(TokenKind::Operator, ";")?;
        self.nesting += 1;
        if self.nesting > MAX_NESTING {
            return Err(Self::too_deep(name.at));
        }
        let body = self.sequence()?;
        self.nesting -= 1;
        self.node(
            name.at,
            Node::Let {
                name: name.text,
                value,
                body,
            },
        )
    }

    pub(super) fn if_else(&mut self) -> Result<Child, Fault> {
        let at = self.advance().at;
        let condition = self.expression(0)?;
        self.expect(TokenKind::Bracket, "{")?;
        let then = self.sequence()?;
        self.expect(TokenKind::Bracket, "}")?;
        self.expect(TokenKind::Operator, "else")?;
        let otherwise = if self.at_operator("if") {
            self.expression(0)?
        } else {
            self.expect(TokenKind::Bracket, "{")?;
            let otherwise = self.sequence()?;
            self.expect(TokenKind::Bracket, "}")?;
            otherwise
        };
        self.node(
            at,
            Node::Conditional {
                condition,
                then,
                otherwise,
            },
        )
    }

    pub(super) fn ternary(&mut self, subject: Child) -> Result<Child, Fault> {
        let mut node = subject;
        while self.at_operator("?") {
            let at = self.advance().at;
            let (then, otherwise) = if self.at_operator(":") {
                self.advance();
                (node.clone(), self.expression(0)?)
            } else {
                let then = self.expression(0)?;
                self.expect(TokenKind::Operator, ":")?;
                (then, self.expression(0)?)
            };
            node = self.node(
                at,
                Node::Conditional {
                    condition: node,
                    then,
                    otherwise,
                },
            )?;
        }
        Ok(node)
    }
}
