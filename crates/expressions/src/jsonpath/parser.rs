//! Reads a path.

use serde_json::Value;

/// One step from values to values.
#[derive(Debug, Clone)]
pub(super) enum Step {
    Field(String),
    Index(i64),
    Slice {
        from: Option<i64>,
        to: Option<i64>,
        step: Option<i64>,
    },
    Union(Vec<Step>),
    Wildcard,
    Descend,
    Filter(Filter),
}

#[derive(Debug, Clone)]
pub(super) struct Filter {
    pub(super) left: Operand,
    pub(super) comparison: Option<(Comparison, Operand)>,
}

#[derive(Debug, Clone)]
pub(super) enum Operand {
    Path(Vec<Step>),
    Literal(Value),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
}

/// Filters inside of filters.
const MAX_DEPTH: usize = 8;

type Fault = (usize, String);

pub(super) fn parse(text: &str) -> Result<Vec<Step>, Fault> {
    let mut parser = Parser {
        text,
        at: 0,
        depth: 0,
    };
    parser.skip_space();
    let braced = parser.take("{");
    parser.skip_space();
    let steps = parser.steps(false)?;
    parser.skip_space();
    if braced && !parser.take("}") {
        return Err(parser.unexpected("`}`"));
    }
    parser.skip_space();
    if parser.at < text.len() {
        return Err(parser.unexpected("the end; only one expression is offered"));
    }
    Ok(steps)
}

struct Parser<'t> {
    text: &'t str,
    at: usize,
    depth: usize,
}

impl Parser<'_> {
    fn rest(&self) -> &str {
        &self.text[self.at..]
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn take(&mut self, token: &str) -> bool {
        let found = self.rest().starts_with(token);
        if found {
            self.at += token.len();
        }
        found
    }

    fn skip_space(&mut self) {
        self.at = self.text.len() - self.rest().trim_start().len();
    }

    fn unexpected(&self, wanted: &str) -> Fault {
        let found = self
            .peek()
            .map_or("the end".to_owned(), |c| format!("`{c}`"));
        (self.at, format!("expected {wanted}, found {found}"))
    }

    /// Steps up to something that cannot be part of a path.
    fn steps(&mut self, in_filter: bool) -> Result<Vec<Step>, Fault> {
        let mut steps = Vec::new();
        // `$` and `@` both mean the start of the path.
        let rooted = self.take("$") || self.take("@");
        if !rooted && !in_filter && self.peek().is_some_and(is_name) {
            steps.push(self.field()?);
        }
        loop {
            if self.take("..") {
                steps.push(Step::Descend);
                if self.take("*") {
                    steps.push(Step::Wildcard);
                } else if self.peek() != Some('[') {
                    steps.push(self.field()?);
                }
            } else if self.take(".") {
                if self.take("*") {
                    steps.push(Step::Wildcard);
                } else if self.peek() != Some('[') {
                    steps.push(self.field()?);
                }
            } else if self.take("[") {
                steps.push(self.bracket()?);
            } else {
                return Ok(steps);
            }
        }
    }

    fn field(&mut self) -> Result<Step, Fault> {
        let mut name = String::new();
        while let Some(c) = self.peek() {
            if c == '\\' {
                self.at += 1;
                let Some(escaped) = self.peek() else { break };
                name.push(escaped);
                self.at += escaped.len_utf8();
            } else if is_name(c) {
                name.push(c);
                self.at += c.len_utf8();
            } else {
                break;
            }
        }
        if name.is_empty() {
            Err(self.unexpected("a field name"))
        } else {
            Ok(Step::Field(name))
        }
    }

    fn bracket(&mut self) -> Result<Step, Fault> {
        self.skip_space();
        if self.take("?(") {
            let filter = self.filter()?;
            self.skip_space();
            if !self.take(")") {
                return Err(self.unexpected("`)`"));
            }
            self.close()?;
            return Ok(Step::Filter(filter));
        }
        let mut items = Vec::new();
        loop {
            self.skip_space();
            items.push(self.selector()?);
            self.skip_space();
            if !self.take(",") {
                break;
            }
        }
        self.close()?;
        Ok(if items.len() == 1 {
            items.remove(0)
        } else {
            Step::Union(items)
        })
    }

    fn close(&mut self) -> Result<(), Fault> {
        self.skip_space();
        if self.take("]") {
            Ok(())
        } else {
            Err(self.unexpected("`]`"))
        }
    }

    /// `*`, a quoted key, an index or a slice.
    fn selector(&mut self) -> Result<Step, Fault> {
        if self.take("*") {
            return Ok(Step::Wildcard);
        }
        if matches!(self.peek(), Some('\'' | '"')) {
            return self.quoted().map(Step::Field);
        }
        let from = self.integer()?;
        if !self.take(":") {
            return from
                .map(Step::Index)
                .ok_or_else(|| self.unexpected("an index or a key"));
        }
        let to = self.integer()?;
        let step = if self.take(":") {
            self.integer()?
        } else {
            None
        };
        if step.is_some_and(|step| step <= 0) {
            return Err((self.at, "the step of a slice must be positive".to_owned()));
        }
        Ok(Step::Slice { from, to, step })
    }

    fn integer(&mut self) -> Result<Option<i64>, Fault> {
        let rest = self.rest();
        let sign = usize::from(rest.starts_with('-'));
        let digits = rest[sign..].bytes().take_while(u8::is_ascii_digit).count();
        if digits == 0 {
            return Ok(None);
        }
        let number = rest[..sign + digits].parse();
        let number = number.map_err(|_| (self.at, "the number is too large".to_owned()))?;
        self.at += sign + digits;
        Ok(Some(number))
    }

    fn quoted(&mut self) -> Result<String, Fault> {
        let start = self.at;
        let mut text = String::new();
        let mut chars = self.rest().char_indices();
        let quote = chars.next().map(|(_, c)| c);
        while let Some((at, c)) = chars.next() {
            match c {
                '\\' => text.extend(chars.next().map(|(_, c)| c)),
                c if Some(c) == quote => {
                    self.at = start + at + c.len_utf8();
                    return Ok(text);
                }
                c => text.push(c),
            }
        }
        Err((start, "string is not closed".to_owned()))
    }

    fn filter(&mut self) -> Result<Filter, Fault> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err((
                self.at,
                format!("filters are nested deeper than {MAX_DEPTH}"),
            ));
        }
        let left = self.operand()?;
        self.skip_space();
        let comparison = [
            ("==", Comparison::Equal),
            ("!=", Comparison::NotEqual),
            ("<=", Comparison::LessEqual),
            (">=", Comparison::GreaterEqual),
            ("<", Comparison::Less),
            (">", Comparison::Greater),
        ]
        .into_iter()
        .find(|(symbol, _)| self.take(symbol));
        let comparison = match comparison {
            Some((_, comparison)) => Some((comparison, self.operand()?)),
            None => None,
        };
        self.depth -= 1;
        Ok(Filter { left, comparison })
    }

    fn operand(&mut self) -> Result<Operand, Fault> {
        self.skip_space();
        match self.peek() {
            Some('\'' | '"') => self
                .quoted()
                .map(|text| Operand::Literal(Value::String(text))),
            Some('@' | '$' | '.' | '[') => self.steps(true).map(Operand::Path),
            Some(_) => {
                let length = self
                    .rest()
                    .find(|c: char| !(c.is_alphanumeric() || matches!(c, '.' | '-' | '+' | '_')))
                    .unwrap_or(self.rest().len());
                let word = &self.rest()[..length];
                let Ok(literal @ (Value::Bool(_) | Value::Number(_))) = serde_json::from_str(word)
                else {
                    return Err(self.unexpected("a path, a string, a number or a bool"));
                };
                self.at += length;
                Ok(Operand::Literal(literal))
            }
            None => Err(self.unexpected("a path or a value")),
        }
    }
}

fn is_name(c: char) -> bool {
    !c.is_whitespace()
        && !matches!(
            c,
            '.' | '['
                | ']'
                | '{'
                | '}'
                | '('
                | ')'
                | ','
                | '='
                | '!'
                | '<'
                | '>'
                | '$'
                | '@'
                | '\''
                | '"'
                | '*'
                | '?'
        )
}
