//! Literals: arrays, maps and numbers.

use super::super::ast::{Child, Node};
use super::super::error::Fault;
use super::super::token::{Token, TokenKind};
use super::super::value::Value;
use super::Parser;

impl Parser {
    pub(super) fn list(&mut self) -> Result<Child, Fault> {
        let at = self.advance().at;
        let mut items = Vec::new();
        while !self.at_bracket("]") {
            if !items.is_empty() {
                self.expect(TokenKind::Operator, ",")?;
                if self.at_bracket("]") {
                    break;
                }
            }
            items.push(self.expression(0)?);
        }
        self.expect(TokenKind::Bracket, "]")?;
        self.node(at, Node::List(items))
    }

    pub(super) fn map(&mut self) -> Result<Child, Fault> {
        let at = self.advance().at;
        let mut pairs = Vec::new();
        while !self.at_bracket("}") {
            if !pairs.is_empty() {
                self.expect(TokenKind::Operator, ",")?;
                if self.at_bracket("}") {
                    break;
                }
            }
            let token = self.current().clone();
            let key = match token.kind {
                TokenKind::Number | TokenKind::Text | TokenKind::Ident => {
                    self.advance();
                    self.node(token.at, Node::Literal(Value::text(token.text)))?
                }
                TokenKind::Bracket if token.text == "(" => self.expression(0)?,
                _ => {
                    let found = token.describe();
                    return Err(Fault::compile(
                        token.at,
                        format!(
                            "a map key must be a name, a number, a string or in parentheses, found {found}"
                        ),
                    ));
                }
            };
            self.expect(TokenKind::Operator, ":")?;
            pairs.push((key, self.expression(0)?));
        }
        self.expect(TokenKind::Bracket, "}")?;
        self.node(at, Node::Map(pairs))
    }
}

pub(super) fn number(token: &Token) -> Result<Value, Fault> {
    let text = token.text.replace('_', "").to_ascii_lowercase();
    let bad = || Fault::compile(token.at, format!("bad number `{}`", token.text));
    let radix = |digits: &str, radix| i64::from_str_radix(digits, radix).map(Value::Int);
    if let Some(digits) = text.strip_prefix("0x") {
        return radix(digits, 16).map_err(|_| bad());
    }
    if text.contains(['.', 'e']) {
        let value: f64 = text.parse().map_err(|_| bad())?;
        return if value.is_finite() {
            Ok(Value::Float(value))
        } else {
            Err(bad())
        };
    }
    if let Some(digits) = text.strip_prefix("0b") {
        return radix(digits, 2).map_err(|_| bad());
    }
    if let Some(digits) = text.strip_prefix("0o") {
        return radix(digits, 8).map_err(|_| bad());
    }
    radix(&text, 10).map_err(|_| bad())
}
