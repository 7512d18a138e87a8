//! From the text of an expression to the filters that are supported.

use expressions::pattern::compile_pattern;
use jaq_core::load::{
    lex::{Lexer, StrPart, Tok, Token},
    parse::{BinaryOp, Parser, Term},
};
use jaq_core::{ops, path};
use regex::Regex;
use serde_json::Value;

use super::{JqError, MAX_DEPTH, MAX_LENGTH, MAX_TOKENS};

/// A filter: from one value to any number of outputs.
#[derive(Clone, Debug)]
pub(super) enum Filter {
    /// `.`
    Identity,
    /// `..`
    Recurse,
    /// A number, a text, `true`, `false` or `null`.
    Literal(Value),
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
    /// `f?`
    Try(Box<Filter>),
    /// `select(f)`
    Select(Box<Filter>),
    /// `any(f)`, `all(f)`
    Quantifier(Quantifier, Box<Filter>),
    /// `startswith("x")` and the like
    TextTest(TextTest, Box<Filter>),
    /// `test("regex")`
    Matches(Regex),
    /// `has("key")`
    Has(Box<Filter>),
    /// `not`
    Not,
    /// `empty`
    Empty,
    /// `length`
    Length,
    /// `type`
    Type,
    /// `tostring`
    ToText,
    /// `ascii_downcase`
    Lowercase,
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
pub(super) fn parse(expression: &str) -> Result<Filter, JqError> {
    check_size(expression)?;
    let syntax = || JqError::Syntax(expression.to_owned());
    let tokens = Lexer::new(expression).lex().map_err(|_| syntax())?;
    if count(&tokens) > MAX_TOKENS {
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

fn check_size(expression: &str) -> Result<(), JqError> {
    let (mut open, mut deepest) = (0_usize, 0);
    for byte in expression.bytes() {
        match byte {
            b'(' | b'[' | b'{' => open += 1,
            b')' | b']' | b'}' => open = open.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(open);
    }
    if expression.len() > MAX_LENGTH || deepest > MAX_DEPTH {
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
fn filter(term: &Term<&str>) -> Result<Filter, String> {
    Ok(match term {
        Term::Id => Filter::Identity,
        Term::Recurse => Filter::Recurse,
        Term::Num(text) => Filter::Literal(number(text)?),
        Term::Neg(inner) => match &**inner {
            Term::Num(text) => Filter::Literal(number(&format!("-{text}"))?),
            _ => return Err("negation".to_owned()),
        },
        Term::Str(None, parts) => Filter::Literal(Value::String(text(parts)?)),
        Term::Path(base, parts) => Filter::Path(
            boxed(base)?,
            parts.0.iter().map(part).collect::<Result<_, _>>()?,
        ),
        Term::BinOp(left, operator, right) => binary(left, operator, right)?,
        Term::TryCatch(inner, None) => Filter::Try(boxed(inner)?),
        Term::Call(name, arguments) => call(name, arguments)?,
        Term::Str(Some(format), _) => return Err((*format).to_owned()),
        Term::Arr(_) | Term::Obj(_) => return Err("a new list or object".to_owned()),
        Term::Label(..) | Term::Break(_) => return Err("label".to_owned()),
        Term::Fold(name, ..) => return Err((*name).to_owned()),
        Term::TryCatch(_, Some(_)) => return Err("catch".to_owned()),
        Term::IfThenElse(..) => return Err("if".to_owned()),
        Term::Def(..) => return Err("def".to_owned()),
        Term::Var(name) => return Err(format!("variable {name}")),
    })
}

fn boxed(term: &Term<&str>) -> Result<Box<Filter>, String> {
    filter(term).map(Box::new)
}

fn number(text: &str) -> Result<Value, String> {
    serde_json::from_str(text).map_err(|_| format!("number {text}"))
}

fn text(parts: &[StrPart<&str, Term<&str>>]) -> Result<String, String> {
    let mut text = String::new();
    for part in parts {
        match part {
            StrPart::Str(part) => text.push_str(part),
            StrPart::Char(char) => text.push(*char),
            StrPart::Term(_) => return Err("a text with \\(...)".to_owned()),
        }
    }
    Ok(text)
}

fn part((part, optional): &(path::Part<Term<&str>>, path::Opt)) -> Result<Part, String> {
    let access = match part {
        path::Part::Index(index) => Access::Index(filter(index)?),
        path::Part::Range(None, None) => Access::All,
        path::Part::Range(..) => return Err("a slice".to_owned()),
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
        BinaryOp::Pipe(Some(_)) => return Err("as".to_owned()),
        BinaryOp::Math(_) => return Err("arithmetic".to_owned()),
        _ => return Err("assignment".to_owned()),
    };
    Ok(Filter::Compare(comparison, boxed(left)?, boxed(right)?))
}

fn call(name: &str, arguments: &[Term<&str>]) -> Result<Filter, String> {
    let quantifier = |which, inner| {
        // Over the members of the value.
        let members = Part {
            access: Access::All,
            optional: false,
        };
        let each = Filter::Path(Box::new(Filter::Identity), vec![members]);
        Filter::Quantifier(which, Box::new(Filter::Pipe(Box::new(each), inner)))
    };
    Ok(match (name, arguments) {
        ("null", []) => Filter::Literal(Value::Null),
        ("true", []) => Filter::Literal(Value::Bool(true)),
        ("false", []) => Filter::Literal(Value::Bool(false)),
        ("not", []) => Filter::Not,
        ("empty", []) => Filter::Empty,
        ("length", []) => Filter::Length,
        ("type", []) => Filter::Type,
        ("tostring", []) => Filter::ToText,
        ("ascii_downcase", []) => Filter::Lowercase,
        ("recurse", []) => Filter::Recurse,
        ("select", [condition]) => Filter::Select(boxed(condition)?),
        ("any", []) => quantifier(Quantifier::Any, Box::new(Filter::Identity)),
        ("all", []) => quantifier(Quantifier::All, Box::new(Filter::Identity)),
        ("any", [condition]) => quantifier(Quantifier::Any, boxed(condition)?),
        ("all", [condition]) => quantifier(Quantifier::All, boxed(condition)?),
        ("startswith", [text]) => Filter::TextTest(TextTest::StartsWith, boxed(text)?),
        ("endswith", [text]) => Filter::TextTest(TextTest::EndsWith, boxed(text)?),
        ("contains", [text]) => Filter::TextTest(TextTest::Contains, boxed(text)?),
        ("has", [key]) => Filter::Has(boxed(key)?),
        ("test", [pattern]) => Filter::Matches(regex(pattern, None)?),
        ("test", [pattern, flags]) => Filter::Matches(regex(pattern, Some(flags))?),
        (name, arguments) => {
            return Err(match arguments.len() {
                0 => format!("function {name}"),
                count => format!("function {name} with {count} arguments"),
            });
        }
    })
}

fn regex(pattern: &Term<&str>, flags: Option<&Term<&str>>) -> Result<Regex, String> {
    let text = |term: &Term<&str>| match filter(term)? {
        Filter::Literal(Value::String(text)) => Ok(text),
        _ => Err("test with a computed pattern".to_owned()),
    };
    let pattern = text(pattern)?;
    let pattern = match flags.map(text).transpose()?.as_deref() {
        None | Some("") => pattern,
        Some(flags) if flags.chars().all(|flag| "isx".contains(flag)) => {
            format!("(?{flags}){pattern}")
        }
        Some(flags) => return Err(format!("test with flags {flags:?}")),
    };
    compile_pattern(&pattern).map_err(|_| format!("regular expression {pattern:?}"))
}
