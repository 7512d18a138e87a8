//! The types that operators take and give.

use super::super::ast::{Binary, Expr, Unary};
use super::super::error::Fault;
use super::super::types::Type;
use super::Checked;

pub(super) fn mismatch(expr: &Expr, symbol: &str, left: &Type, right: &Type) -> Fault {
    Fault::compile(
        expr.at,
        format!("`{symbol}` is not defined for {left} and {right}"),
    )
}

pub(super) fn unary(expr: &Expr, operator: Unary, operand: Type) -> Checked {
    match operator {
        Unary::Not if operand == Type::Bool || operand.is_unknown() => Ok(Type::Bool),
        Unary::Minus | Unary::Plus if operand.is_number() || operand.is_unknown() => Ok(operand),
        Unary::Not => Err(Fault::compile(
            expr.at,
            format!("`not` is not defined for {operand}"),
        )),
        Unary::Minus | Unary::Plus => Err(Fault::compile(
            expr.at,
            format!("a sign is not defined for {operand}"),
        )),
    }
}

pub(super) fn binary(expr: &Expr, operator: Binary, left: &Type, right: &Type) -> Checked {
    use Type::{Bool, Duration, Float, Int, Str, Time, Unknown};
    let numbers = left.is_number() && right.is_number();
    let same = |kind: &Type| left == kind && right == kind;
    let maybe = |kinds: &[Type]| left.maybe(right, kinds);
    let promoted = || {
        if *left == Int && *right == Int {
            Int
        } else {
            Float
        }
    };
    let result = match operator {
        Binary::Equal | Binary::NotEqual => left.comparable(right).then_some(Bool),
        Binary::Or | Binary::And => (same(&Bool) || maybe(&[Bool])).then_some(Bool),
        Binary::Less | Binary::LessEqual | Binary::Greater | Binary::GreaterEqual => {
            let ordered = numbers || same(&Str) || same(&Time) || same(&Duration);
            (ordered || maybe(&[Float, Str, Time, Duration])).then_some(Bool)
        }
        Binary::Add => match (left, right) {
            _ if numbers => Some(promoted()),
            (Str, Str) => Some(Str),
            (Time, Duration) | (Duration, Time) => Some(Time),
            (Duration, Duration) => Some(Duration),
            _ => maybe(&[Float, Str, Time, Duration]).then_some(Unknown),
        },
        Binary::Subtract => match (left, right) {
            _ if numbers => Some(promoted()),
            (Time, Time) | (Duration, Duration) => Some(Duration),
            (Time, Duration) => Some(Time),
            _ => maybe(&[Float, Time, Duration]).then_some(Unknown),
        },
        Binary::Multiply => match (left, right) {
            _ if numbers => Some(promoted()),
            (Duration, Duration | Int | Float) | (Int | Float, Duration) => Some(Duration),
            _ => maybe(&[Float, Duration]).then_some(Unknown),
        },
        Binary::Divide | Binary::Power => (numbers || maybe(&[Float])).then_some(Float),
        Binary::Modulo => {
            let fits = |t: &Type| *t == Int || t.is_unknown();
            (fits(left) && fits(right)).then_some(Int)
        }
        Binary::Range => {
            let fits = |t: &Type| *t == Int || t.is_unknown();
            (fits(left) && fits(right)).then(|| Int.list())
        }
        Binary::Contains | Binary::StartsWith | Binary::EndsWith => {
            (same(&Str) || maybe(&[Str])).then_some(Bool)
        }
        Binary::In => match right {
            Type::Map => matches!(left, Str | Unknown).then_some(Bool),
            Type::Groups => Some(Bool),
            list if list.is_list() => left.comparable(&list.element()).then_some(Bool),
            Str => left.is_unknown().then_some(Bool),
            other => other.is_unknown().then_some(Bool),
        },
        Binary::Coalesce => Some(match (left, right) {
            (Type::Nil, _) => right.clone(),
            (_, Type::Nil) => left.clone(),
            _ if left == right => left.clone(),
            _ => Unknown,
        }),
    };
    result.ok_or_else(|| mismatch(expr, operator.symbol(), left, right))
}
