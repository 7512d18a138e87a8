//! Calls of functions and their arguments.

use super::super::ast::{Child, Node};
use super::super::builtins;
use super::super::error::Fault;
use super::super::token::{Token, TokenKind};
use super::Parser;

impl Parser {
    /// A call of `name`, whose `(` is next; `piped` holds the left side of a `|`.
    pub(super) fn call(&mut self, name: &Token, piped: Vec<Child>) -> Result<Child, Fault> {
        if let Some(builtin) = builtins::predicate_builtin(&name.text) {
            return self.predicate_call(name.at, builtin, piped);
        }
        let builtin = builtins::find(&name.text);
        let args = self.arguments(piped)?;
        if let Some(builtin) = builtin {
            return self.node(
                name.at,
                Node::Builtin {
                    name: builtin.name,
                    args,
                },
            );
        }
        let callee = self.node(name.at, Node::Ident(name.text.clone()))?;
        self.node(name.at, Node::Call { callee, args })
    }

    pub(super) fn arguments(&mut self, piped: Vec<Child>) -> Result<Vec<Child>, Fault> {
        let offset = piped.len();
        let mut args = piped;
        self.expect(TokenKind::Bracket, "(")?;
        while !self.at_bracket(")") {
            if args.len() > offset {
                self.expect(TokenKind::Operator, ",")?;
                if self.at_bracket(")") {
                    break;
                }
            }
            args.push(self.expression(0)?);
        }
        self.expect(TokenKind::Bracket, ")")?;
        Ok(args)
    }

    /// Arguments of `all`, `map` and the like: an array, a predicate, sometimes one more value.
    fn predicate_call(
        &mut self,
        at: usize,
        builtin: &builtins::PredicateBuiltin,
        piped: Vec<Child>,
    ) -> Result<Child, Fault> {
        self.expect(TokenKind::Bracket, "(")?;
        let first = piped.len();
        let mut args = piped;
        for position in first..builtin.max {
            if self.at_bracket(")") {
                if position >= builtin.min {
                    break;
                }
                let reason = format!("{} needs {} arguments", builtin.name, builtin.min);
                return Err(Fault::compile(self.current().at, reason));
            }
            if position > first {
                self.expect(TokenKind::Operator, ",")?;
                if position >= builtin.min && self.at_bracket(")") {
                    break;
                }
            }
            args.push(if position == 1 {
                self.predicate()?
            } else {
                self.expression(0)?
            });
        }
        if self.at_operator(",") {
            self.advance();
        }
        self.expect(TokenKind::Bracket, ")")?;
        self.node(
            at,
            Node::Builtin {
                name: builtin.name,
                args,
            },
        )
    }

    fn predicate(&mut self) -> Result<Child, Fault> {
        let braced = self.at_bracket("{");
        if braced {
            self.advance();
        }
        self.predicates += 1;
        let body = if braced {
            self.sequence()?
        } else {
            self.expression(0)?
        };
        self.predicates -= 1;
        if braced {
            self.expect(TokenKind::Bracket, "}")?;
        }
        Ok(body)
    }
}
