//! Splits an expression into tokens.

use jiff::tz::TimeZone;

use super::Fault;
use crate::go_text::time;

#[derive(Debug, Clone, PartialEq)]
pub(super) enum TokenKind {
    Number(f64),
    Text(String),
    Bool(bool),
    Variable(String),
    /// An operator, a bracket or a comma.
    Symbol(&'static str),
    End,
}

#[derive(Debug, Clone)]
pub(super) struct Token {
    pub(super) kind: TokenKind,
    pub(super) at: usize,
}

/// Symbols, the longer ones before those they start with.
const SYMBOLS: [&str; 29] = [
    "==", "=~", "!=", "!~", ">=", ">>", "<=", "<<", "&&", "||", "**", "??", ">", "<", "&", "|",
    "^", "+", "-", "*", "/", "%", "!", "~", "?", ":", "(", ")", ",",
];

/// Layouts a quoted text may have to count as a moment.
const LAYOUTS: [&str; 14] = [
    "Mon Jan _2 15:04:05 2006",
    "Mon Jan _2 15:04:05 MST 2006",
    "Mon Jan 02 15:04:05 -0700 2006",
    "3:04PM",
    time::RFC3339,
    time::RFC3339_NANO,
    "2006-01-02",
    "2006-01-02 15:04",
    "2006-01-02 15:04:05",
    "2006-01-02 15:04:05-07:00",
    "2006-01-02T15Z0700",
    "2006-01-02T15:04Z0700",
    "2006-01-02T15:04:05Z0700",
    "2006-01-02T15:04:05.999999999Z0700",
];

/// Splits `source`; the last token is always `End`.
pub(super) fn tokenize(source: &str) -> Result<Vec<Token>, Fault> {
    let mut tokens = Vec::new();
    let mut at = 0;
    loop {
        at = source.len() - source[at..].trim_start().len();
        let rest = &source[at..];
        let Some(first) = rest.chars().next() else {
            tokens.push(Token {
                kind: TokenKind::End,
                at,
            });
            return Ok(tokens);
        };
        let (kind, length) = match first {
            '0'..='9' | '.' => number(rest, at)?,
            '\'' | '"' => {
                let (text, length) = quoted(rest, |c| matches!(c, '\'' | '"'))
                    .ok_or_else(|| Fault::new(at, "string is not closed"))?;
                (
                    moment(&text).map_or(TokenKind::Text(text), TokenKind::Number),
                    length,
                )
            }
            '[' => {
                let (name, length) = quoted(rest, |c| c == ']')
                    .ok_or_else(|| Fault::new(at, "`[` is not closed"))?;
                (TokenKind::Variable(name), length)
            }
            c if c.is_alphabetic() || c == '_' => word(rest),
            _ => {
                let symbol = SYMBOLS
                    .iter()
                    .find(|s| rest.starts_with(**s))
                    .ok_or_else(|| Fault::new(at, format!("unexpected character {first:?}")))?;
                (TokenKind::Symbol(symbol), symbol.len())
            }
        };
        tokens.push(Token { kind, at });
        at += length;
    }
}

fn number(rest: &str, at: usize) -> Result<(TokenKind, usize), Fault> {
    if let Some(digits) = rest.strip_prefix("0x") {
        let length = digits
            .find(|c: char| !c.is_ascii_hexdigit())
            .unwrap_or(digits.len());
        let value = u32::from_str_radix(&digits[..length], 16)
            .map_err(|_| Fault::new(at, "bad hexadecimal number"))?;
        return Ok((TokenKind::Number(value.into()), length + 2));
    }
    let length = rest
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(rest.len());
    let text = &rest[..length];
    let value = text
        .parse()
        .map_err(|_| Fault::new(at, format!("bad number `{text}`")))?;
    Ok((TokenKind::Number(value), length))
}

/// Reads up to the closing character; a backslash takes the next character as it is.
fn quoted(rest: &str, is_end: fn(char) -> bool) -> Option<(String, usize)> {
    let mut text = String::new();
    let mut chars = rest.char_indices().skip(1);
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' => text.push(chars.next()?.1),
            c if is_end(c) => return Some((text, at + c.len_utf8())),
            c => text.push(c),
        }
    }
    None
}

/// A name or a word operator; `\-` makes any character part of a name.
fn word(rest: &str) -> (TokenKind, usize) {
    let mut name = String::new();
    let mut length = 0;
    let mut chars = rest.chars();
    while let Some(c) = chars.next() {
        if c == '\\' {
            let Some(escaped) = chars.next() else { break };
            name.push(escaped);
            length += 1 + escaped.len_utf8();
        } else if c.is_alphanumeric() || c == '_' {
            name.push(c);
            length += c.len_utf8();
        } else {
            break;
        }
    }
    let kind = match name.as_str() {
        "true" => TokenKind::Bool(true),
        "false" => TokenKind::Bool(false),
        "in" | "IN" => TokenKind::Symbol("in"),
        _ => TokenKind::Variable(name),
    };
    (kind, length)
}

/// Unix seconds of a text that is a date or time.
fn moment(text: &str) -> Option<f64> {
    // Cheap check: every layout begins with a digit or a capital letter.
    if !text.starts_with(|c: char| c.is_ascii_digit() || c.is_ascii_uppercase()) {
        return None;
    }
    let zoned = LAYOUTS
        .iter()
        .find_map(|l| time::parse(l, text, &TimeZone::UTC).ok())?;
    #[expect(clippy::cast_precision_loss, reason = "seconds of any year are exact")]
    Some(zoned.timestamp().as_second() as f64)
}
