//! Splits the text of an expression into tokens.

use super::error::Fault;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TokenKind {
    Ident,
    Number,
    Text,
    Bytes,
    Operator,
    Bracket,
    End,
}

/// One token: its kind, its text (unescaped for literals) and where it starts, in bytes.
#[derive(Debug, Clone)]
pub(super) struct Token {
    pub(super) kind: TokenKind,
    pub(super) text: String,
    /// Only for `Bytes`: what the literal stands for, which need not be valid text.
    pub(super) bytes: Vec<u8>,
    pub(super) at: usize,
}

impl Token {
    pub(super) fn is(&self, kind: TokenKind, text: &str) -> bool {
        self.kind == kind && self.text == text
    }

    /// How an error message names the token.
    pub(super) fn describe(&self) -> String {
        match self.kind {
            TokenKind::End => "end of expression".to_owned(),
            TokenKind::Text => format!("string {:?}", self.text),
            _ => format!("`{}`", self.text),
        }
    }
}

/// Words that are operators unless they follow a dot.
const WORD_OPERATORS: [&str; 11] = [
    "in",
    "or",
    "and",
    "not",
    "matches",
    "contains",
    "startsWith",
    "endsWith",
    "let",
    "if",
    "else",
];

pub(super) fn is_word(c: char) -> bool {
    c == '_' || c == '$' || c.is_alphanumeric()
}

/// Splits `source`; the last token is always `End`.
pub(super) fn tokenize(source: &str) -> Result<Vec<Token>, Fault> {
    let mut scanner = Scanner {
        source,
        at: 0,
        tokens: Vec::new(),
    };
    while scanner.step()? {}
    Ok(scanner.tokens)
}

struct Scanner<'a> {
    source: &'a str,
    at: usize,
    tokens: Vec<Token>,
}

impl Scanner<'_> {
    fn peek(&self) -> Option<char> {
        self.source[self.at..].chars().next()
    }

    fn peek_second(&self) -> Option<char> {
        self.source[self.at..].chars().nth(1)
    }

    fn bump(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.at += c.len_utf8();
        Some(c)
    }

    fn accept(&mut self, set: &str) -> bool {
        match self.peek() {
            Some(c) if set.contains(c) => {
                self.at += c.len_utf8();
                true
            }
            _ => false,
        }
    }

    fn accept_while(&mut self, test: impl Fn(char) -> bool) {
        while self.peek().is_some_and(&test) {
            self.bump();
        }
    }

    fn emit(&mut self, kind: TokenKind, start: usize) {
        let text = self.source[start..self.at].to_owned();
        self.tokens.push(Token {
            kind,
            text,
            bytes: Vec::new(),
            at: start,
        });
    }

    fn step(&mut self) -> Result<bool, Fault> {
        self.accept_while(char::is_whitespace);
        let start = self.at;
        let Some(c) = self.peek() else {
            self.emit(TokenKind::End, start);
            return Ok(false);
        };
        match c {
            '\'' | '"' => self.text(start, false)?,
            'b' | 'B' if matches!(self.peek_second(), Some('\'' | '"')) => {
                self.bump();
                self.text(start, true)?;
            }
            '`' => self.raw_text(start)?,
            '0'..='9' => self.number(start)?,
            '.' => self.dot(start)?,
            '(' | ')' | '[' | ']' | '{' | '}' => {
                self.bump();
                self.emit(TokenKind::Bracket, start);
            }
            '/' => self.slash(start)?,
            '?' => self.operator(start, ".?"),
            '|' => self.operator(start, "|"),
            ':' => self.operator(start, ":"),
            ',' | ';' | '%' | '+' | '-' | '^' => self.operator(start, ""),
            '&' | '!' | '=' | '*' | '<' | '>' => self.operator(start, "&=*"),
            '#' => self.pointer(start),
            c if is_word(c) => self.word(start),
            c => {
                return Err(Fault::compile(
                    start,
                    format!("unrecognised character {c:?}"),
                ));
            }
        }
        Ok(true)
    }

    fn operator(&mut self, start: usize, second: &str) {
        self.bump();
        self.accept(second);
        self.emit(TokenKind::Operator, start);
    }

    fn pointer(&mut self, start: usize) {
        self.bump();
        self.emit(TokenKind::Operator, start);
        let name = self.at;
        self.accept_while(is_word);
        if self.at > name {
            self.emit(TokenKind::Ident, name);
        }
    }

    fn word(&mut self, start: usize) {
        self.accept_while(is_word);
        let is_operator = WORD_OPERATORS.contains(&&self.source[start..self.at]);
        self.emit(
            if is_operator {
                TokenKind::Operator
            } else {
                TokenKind::Ident
            },
            start,
        );
    }

    fn slash(&mut self, start: usize) -> Result<(), Fault> {
        self.bump();
        if self.accept("/") {
            self.accept_while(|c| c != '\n');
        } else if self.accept("*") {
            let Some(length) = self.source[self.at..].find("*/") else {
                return Err(Fault::compile(start, "comment is not closed".to_owned()));
            };
            self.at += length + 2;
        } else {
            self.emit(TokenKind::Operator, start);
        }
        Ok(())
    }

    fn dot(&mut self, start: usize) -> Result<(), Fault> {
        if self.peek_second().is_some_and(|c| c.is_ascii_digit()) {
            return self.number(start);
        }
        self.operator(start, ".");
        Ok(())
    }

    fn number(&mut self, start: usize) -> Result<(), Fault> {
        let mut digits: fn(char) -> bool = |c| c.is_ascii_digit() || c == '_';
        if self.accept("0") {
            if self.accept("xX") {
                digits = |c| c.is_ascii_hexdigit() || c == '_';
            } else if self.accept("oO") {
                digits = |c| matches!(c, '0'..='7' | '_');
            } else if self.accept("bB") {
                digits = |c| matches!(c, '0' | '1' | '_');
            }
        }
        self.accept_while(digits);
        // `1..5` is a range, not the float `1.` followed by `.5`.
        if self.peek() == Some('.') && self.peek_second() != Some('.') {
            self.bump();
            self.accept_while(digits);
        }
        if self.accept("eE") {
            self.accept("+-");
            self.accept_while(digits);
        }
        if self.peek().is_some_and(is_word) {
            self.bump();
            let text = &self.source[start..self.at];
            return Err(Fault::compile(start, format!("bad number `{text}`")));
        }
        self.emit(TokenKind::Number, start);
        Ok(())
    }

    fn raw_text(&mut self, start: usize) -> Result<(), Fault> {
        self.bump();
        let Some(length) = self.source[self.at..].find('`') else {
            return Err(Fault::compile(start, "string is not closed".to_owned()));
        };
        let text = self.source[self.at..self.at + length].to_owned();
        self.at += length + 1;
        self.tokens.push(Token {
            kind: TokenKind::Text,
            text,
            bytes: Vec::new(),
            at: start,
        });
        Ok(())
    }

    fn text(&mut self, start: usize, is_bytes: bool) -> Result<(), Fault> {
        let quote = self.bump();
        let mut bytes = Vec::new();
        loop {
            match self.bump() {
                None | Some('\n') => {
                    return Err(Fault::compile(start, "string is not closed".to_owned()));
                }
                c if c == quote => break,
                Some('\\') => self.escape(start, is_bytes, &mut bytes)?,
                Some(c) => push_char(&mut bytes, c),
            }
        }
        if is_bytes {
            self.tokens.push(Token {
                kind: TokenKind::Bytes,
                text: String::new(),
                bytes,
                at: start,
            });
        } else {
            let text = String::from_utf8_lossy(&bytes).into_owned();
            self.tokens.push(Token {
                kind: TokenKind::Text,
                text,
                bytes: Vec::new(),
                at: start,
            });
        }
        Ok(())
    }

    fn escape(&mut self, start: usize, is_bytes: bool, out: &mut Vec<u8>) -> Result<(), Fault> {
        let bad = || Fault::compile(start, "unknown escape in string".to_owned());
        let c = self.bump().ok_or_else(bad)?;
        match c {
            'a' => out.push(7),
            'b' => out.push(8),
            'f' => out.push(12),
            'n' => out.push(b'\n'),
            'r' => out.push(b'\r'),
            't' => out.push(b'\t'),
            'v' => out.push(11),
            '\\' | '\'' | '"' | '`' | '?' => push_char(out, c),
            'x' | 'X' if is_bytes => {
                out.push(u8::try_from(self.digits(2, 16).ok_or_else(bad)?).map_err(|_| bad())?);
            }
            'x' | 'X' => push_code(out, self.digits(2, 16), &bad)?,
            'u' if !is_bytes && self.peek() == Some('{') => {
                self.bump();
                let length = self.source[self.at..].find('}').ok_or_else(bad)?;
                let code = u32::from_str_radix(&self.source[self.at..self.at + length], 16);
                self.at += length + 1;
                push_code(out, code.ok(), &bad)?;
            }
            'u' if !is_bytes => push_code(out, self.digits(4, 16), &bad)?,
            'U' if !is_bytes => push_code(out, self.digits(8, 16), &bad)?,
            '0'..='3' => {
                self.at -= 1;
                let code = self.digits(3, 8);
                if is_bytes {
                    out.push(u8::try_from(code.ok_or_else(bad)?).map_err(|_| bad())?);
                } else {
                    push_code(out, code, &bad)?;
                }
            }
            _ => return Err(bad()),
        }
        Ok(())
    }

    fn digits(&mut self, count: usize, radix: u32) -> Option<u32> {
        let text = self.source.get(self.at..self.at + count)?;
        if !text.chars().all(|c| c.is_digit(radix)) {
            return None;
        }
        self.at += count;
        u32::from_str_radix(text, radix).ok()
    }
}

fn push_char(out: &mut Vec<u8>, c: char) {
    out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
}

fn push_code(out: &mut Vec<u8>, code: Option<u32>, bad: &impl Fn() -> Fault) -> Result<(), Fault> {
    let c = code.and_then(char::from_u32).ok_or_else(bad)?;
    push_char(out, c);
    Ok(())
}
