//! Which operators there are between and before operands, and how strongly they bind.

use super::super::ast::Binary;
use super::super::token::{Token, TokenKind};

/// Precedence of `|`, the loosest operator.
const PIPE: u16 = 0;
pub(super) const NOT: u16 = 50;
pub(super) const SIGN: u16 = 90;

pub(super) enum Infix {
    Plain(Binary),
    Matches,
    Pipe,
}

/// Operator, precedence, and whether it groups to the right.
pub(super) fn infix(token: &Token) -> Option<(Infix, u16, bool)> {
    if token.kind != TokenKind::Operator {
        return None;
    }
    let (binary, precedence) = match token.text.as_str() {
        "|" => return Some((Infix::Pipe, PIPE, false)),
        "matches" => return Some((Infix::Matches, 20, false)),
        "or" | "||" => (Binary::Or, 10),
        "and" | "&&" => (Binary::And, 15),
        "==" => (Binary::Equal, 20),
        "!=" => (Binary::NotEqual, 20),
        "<" => (Binary::Less, 20),
        ">" => (Binary::Greater, 20),
        ">=" => (Binary::GreaterEqual, 20),
        "<=" => (Binary::LessEqual, 20),
        "in" => (Binary::In, 20),
        "contains" => (Binary::Contains, 20),
        "startsWith" => (Binary::StartsWith, 20),
        "endsWith" => (Binary::EndsWith, 20),
        ".." => (Binary::Range, 25),
        "+" => (Binary::Add, 30),
        "-" => (Binary::Subtract, 30),
        "*" => (Binary::Multiply, 60),
        "/" => (Binary::Divide, 60),
        "%" => (Binary::Modulo, 60),
        "**" | "^" => return Some((Infix::Plain(Binary::Power), 100, true)),
        "??" => (Binary::Coalesce, 500),
        _ => return None,
    };
    Some((Infix::Plain(binary), precedence, false))
}
