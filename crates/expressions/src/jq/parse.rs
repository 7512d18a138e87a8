//! From the text of an expression to the filters that are supported.

use jaq_core::load::{
    lex::{Lexer, StrPart, Tok, Token},
    parse::{BinaryOp, Parser, Pattern, Term},
};
use jaq_core::{
    ops::{self, Math},
    path,
};
use regex::Regex;
use serde_json::Value;

use super::{
    JqError, Limits, MAX_DEPTH,
    calls::call,
    functions::{Function, Ordered},
};

/// A filter: from one value to any number of outputs.
#[derive(Clone, Debug)]
pub(super) enum Filter {
    /// `.`
    Identity,
    /// `..`
    Recurse,
    /// A number, a text, `true`, `false` or `null`.
    Literal(Value),
    /// `$x`
    Variable(String),
    /// `"a \(f) b"`
    Text(Vec<TextPart>),
    /// `[f]`
    Array(Option<Box<Filter>>),
    /// `{a: f}`
    Object(Vec<(Filter, Filter)>),
    /// `.a[0].b[]`
    Path(Box<Filter>, Vec<Part>),
    /// `f | g`
    Pipe(Box<Filter>, Box<Filter>),
    /// `f, g`
    Comma(Box<Filter>, Box<Filter>),
    /// `f // g`
    Alternative(Box<Filter>, Box<Filter>),
    /// `f and g`
    And(Box<Filter>, Box<Filter>),
    /// `f or g`
    Or(Box<Filter>, Box<Filter>),
    /// `f == g` and the like
    Compare(Comparison, Box<Filter>, Box<Filter>),
    /// `f + g` and the like
    Math(Math, Box<Filter>, Box<Filter>),
    /// `f = g` and the like
    Assign(Assignment, Box<Filter>, Box<Filter>),
    /// `del(f)`
    Delete(Box<Filter>),
    /// `if f then g else h end`
    If(Vec<(Filter, Filter)>, Box<Filter>),
    /// `f as $x | g`
    Bind(Box<Filter>, String, Box<Filter>),
    /// `reduce f as $x (g; h)`
    Reduce(Box<Fold>),
    /// `f?`
    Try(Box<Filter>),
    /// `first(f)`
    First(Box<Filter>),
    /// `range(f; g)`
    Range(Box<Filter>, Box<Filter>),
    /// `sort_by(f)` and the like
    Ordered(Ordered, Box<Filter>),
    /// `select(f)`
    Select(Box<Filter>),
    /// `any(f)`, `all(f)`
    Quantifier(Quantifier, Box<Filter>),
    /// `startswith("x")` and the like
    TextTest(TextTest, Box<Filter>),
    /// `test("regex")`
    Matches(Regex),
    /// `sub("regex"; "text")`, and with true `gsub`
    Replace(Regex, String, bool),
    /// A function of values, with its argument.
    Call(Function, Option<Box<Filter>>),
    /// `empty`
    Empty,
}

/// A part of a text.
#[derive(Clone, Debug)]
pub(super) enum TextPart {
    /// As it stands.
    Plain(String),
    /// `\(f)`
    Computed(Filter),
}

/// `reduce`
#[derive(Clone, Debug)]
pub(super) struct Fold {
    pub(super) source: Filter,
    pub(super) name: String,
    pub(super) start: Filter,
    pub(super) step: Filter,
}

/// How members are changed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Assignment {
    /// `=`
    Set,
    /// `|=`
    Update,
    /// `+=` and the like
    Math(Math),
    /// `//=`
    Alternative,
}

/// A part of a path.
#[derive(Clone, Debug)]
pub(super) struct Part {
    pub(super) access: Access,
    /// `?`: a value that has no such part gives no output.
    pub(super) optional: bool,
}

/// What a part of a path leads to.
#[derive(Clone, Debug)]
pub(super) enum Access {
    /// One member.
    Index(Filter),
    /// All members.
    All,
    /// `[f:g]`
    Slice(Option<Filter>, Option<Filter>),
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Comparison {
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Equal,
    Different,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Quantifier {
    Any,
    All,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum TextTest {
    StartsWith,
    EndsWith,
    Contains,
}

/// Parses an expression.
pub(super) fn parse(expression: &str, limits: Limits) -> Result<Filter, JqError> {
    check_size(expression, limits)?;
    let syntax = || JqError::Syntax(expression.to_owned());
    let tokens = Lexer::new(expression).lex().map_err(|_| syntax())?;
    if count(&tokens) > limits.tokens {
        return Err(JqError::TooLarge);
    }
    let term = Parser::new(&tokens)
        .parse(Parser::term)
        .map_err(|_| syntax())?;
    filter(&term).map_err(|what| JqError::Unsupported {
        expression: expression.to_owned(),
        what,
    })
}

fn check_size(expression: &str, limits: Limits) -> Result<(), JqError> {
    let (mut open, mut deepest) = (0_usize, 0);
    for byte in expression.bytes() {
        match byte {
            b'(' | b'[' | b'{' => open += 1,
            b')' | b']' | b'}' => open = open.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(open);
    }
    if expression.len() > limits.length || deepest > MAX_DEPTH {
        return Err(JqError::TooLarge);
    }
    Ok(())
}

/// Words and signs, those in brackets and texts included.
fn count(tokens: &[Token<&str>]) -> usize {
    let below = |Token(_, token): &Token<&str>| match token {
        Tok::Block(tokens) => count(tokens),
        Tok::Str(parts) => parts
            .iter()
            .map(|part| match part {
                StrPart::Term(token) => count(std::slice::from_ref(token)),
                _ => 1,
            })
            .sum(),
        _ => 0,
    };
    tokens.iter().map(|token| 1 + below(token)).sum()
}

/// The error names what is not supported.
pub(super) fn filter(term: &Term<&str>) -> Result<Filter, String> {
    Ok(match term {
        Term::Id => Filter::Identity,
        Term::Recurse => Filter::Recurse,
        Term::Num(text) => Filter::Literal(number(text)?),
        Term::Neg(inner) => match &**inner {
            Term::Num(text) => Filter::Literal(number(&format!("-{text}"))?),
            _ => Filter::Math(
                Math::Sub,
                Box::new(Filter::Literal(0.into())),
                boxed(inner)?,
            ),
        },
        Term::Str(format, parts) => text(parts, *format)?,
        Term::Var(name) => Filter::Variable(variable(name)),
        Term::Arr(inner) => Filter::Array(inner.as_deref().map(boxed).transpose()?),
        Term::Obj(fields) => Filter::Object(fields.iter().map(field).collect::<Result<_, _>>()?),
        Term::IfThenElse(branches, otherwise) => {
            let branch = |(condition, then): &(Term<&str>, Term<&str>)| {
                Ok((filter(condition)?, filter(then)?))
            };
            let branches = branches.iter().map(branch).collect::<Result<_, String>>()?;
            let otherwise = otherwise.as_deref().map_or(Ok(Filter::Identity), filter)?;
            Filter::If(branches, Box::new(otherwise))
        }
        Term::Fold("reduce", source, Pattern::Var(name), steps) if steps.len() == 2 => {
            Filter::Reduce(Box::new(Fold {
                source: filter(source)?,
                name: variable(name),
                start: filter(&steps[0])?,
                step: filter(&steps[1])?,
            }))
        }
        Term::Path(base, parts) => Filter::Path(
            boxed(base)?,
            parts.0.iter().map(part).collect::<Result<_, _>>()?,
        ),
        Term::BinOp(left, operator, right) => binary(left, operator, right)?,
        Term::TryCatch(inner, None) => Filter::Try(boxed(inner)?),
        Term::Call(name, arguments) => call(name, arguments)?,
        Term::Label(..) | Term::Break(_) => return Err("label".to_owned()),
        Term::Fold(name, ..) => return Err((*name).to_owned()),
        Term::TryCatch(_, Some(_)) => return Err("catch".to_owned()),
        Term::Def(..) => return Err("def".to_owned()),
    })
}

pub(super) fn boxed(term: &Term<&str>) -> Result<Box<Filter>, String> {
    filter(term).map(Box::new)
}

/// The name of a variable.
fn variable(name: &str) -> String {
    name.trim_start_matches('$').to_owned()
}

fn number(text: &str) -> Result<Value, String> {
    serde_json::from_str(text).map_err(|_| format!("number {text}"))
}

/// A text, whose computed parts pass a format such as `@base64`.
fn text(parts: &[StrPart<&str, Term<&str>>], format: Option<&str>) -> Result<Filter, String> {
    let mut all = Vec::new();
    let mut plain = String::new();
    for part in parts {
        match part {
            StrPart::Str(part) => plain.push_str(part),
            StrPart::Char(char) => plain.push(*char),
            StrPart::Term(term) => {
                all.push(TextPart::Plain(std::mem::take(&mut plain)));
                let mut value = filter(term)?;
                if let Some(format) = format {
                    value = Filter::Pipe(Box::new(value), Box::new(call(format, &[])?));
                }
                all.push(TextPart::Computed(value));
            }
        }
    }
    if all.is_empty() {
        return Ok(Filter::Literal(Value::String(plain)));
    }
    all.push(TextPart::Plain(plain));
    Ok(Filter::Text(all))
}

/// `a: f`; without a value, the member or variable of that name.
fn field((key, value): &(Term<&str>, Option<Term<&str>>)) -> Result<(Filter, Filter), String> {
    match (key, value) {
        (Term::Var(name), None) => Ok((
            Filter::Literal(variable(name).into()),
            Filter::Variable(variable(name)),
        )),
        (key, Some(value)) => Ok((filter(key)?, filter(value)?)),
        (key, None) => {
            let part = Part {
                access: Access::Index(filter(key)?),
                optional: false,
            };
            let value = Filter::Path(Box::new(Filter::Identity), vec![part]);
            Ok((filter(key)?, value))
        }
    }
}

fn part((part, optional): &(path::Part<Term<&str>>, path::Opt)) -> Result<Part, String> {
    let access = match part {
        path::Part::Index(index) => Access::Index(filter(index)?),
        path::Part::Range(None, None) => Access::All,
        path::Part::Range(from, to) => {
            let bound = |term: &Option<Term<&str>>| term.as_ref().map(filter).transpose();
            Access::Slice(bound(from)?, bound(to)?)
        }
    };
    Ok(Part {
        access,
        optional: matches!(optional, path::Opt::Optional),
    })
}

fn binary(
    left: &Term<&str>,
    operator: &BinaryOp<&str>,
    right: &Term<&str>,
) -> Result<Filter, String> {
    let comparison = match operator {
        BinaryOp::Pipe(None) => return Ok(Filter::Pipe(boxed(left)?, boxed(right)?)),
        BinaryOp::Comma => return Ok(Filter::Comma(boxed(left)?, boxed(right)?)),
        BinaryOp::Alt => return Ok(Filter::Alternative(boxed(left)?, boxed(right)?)),
        BinaryOp::And => return Ok(Filter::And(boxed(left)?, boxed(right)?)),
        BinaryOp::Or => return Ok(Filter::Or(boxed(left)?, boxed(right)?)),
        BinaryOp::Cmp(ops::Cmp::Lt) => Comparison::Less,
        BinaryOp::Cmp(ops::Cmp::Le) => Comparison::LessOrEqual,
        BinaryOp::Cmp(ops::Cmp::Gt) => Comparison::Greater,
        BinaryOp::Cmp(ops::Cmp::Ge) => Comparison::GreaterOrEqual,
        BinaryOp::Cmp(ops::Cmp::Eq) => Comparison::Equal,
        BinaryOp::Cmp(ops::Cmp::Ne) => Comparison::Different,
        BinaryOp::Pipe(Some(Pattern::Var(name))) => {
            return Ok(Filter::Bind(boxed(left)?, variable(name), boxed(right)?));
        }
        BinaryOp::Pipe(Some(_)) => return Err("a pattern after as".to_owned()),
        BinaryOp::Math(operator) => {
            return Ok(Filter::Math(*operator, boxed(left)?, boxed(right)?));
        }
        BinaryOp::Assign => return assignment(Assignment::Set, left, right),
        BinaryOp::Update => return assignment(Assignment::Update, left, right),
        BinaryOp::UpdateMath(operator) => {
            return assignment(Assignment::Math(*operator), left, right);
        }
        BinaryOp::UpdateAlt => return assignment(Assignment::Alternative, left, right),
    };
    Ok(Filter::Compare(comparison, boxed(left)?, boxed(right)?))
}

fn assignment(how: Assignment, left: &Term<&str>, right: &Term<&str>) -> Result<Filter, String> {
    Ok(Filter::Assign(how, boxed(left)?, boxed(right)?))
}
