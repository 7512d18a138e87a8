//! Errors of an evaluation in words.

use rsjsonnet_lang::{
    program::{EvalErrorKind, EvalStackTraceItem},
    span::SpanId,
};

/// What is wrong, for people.
pub(super) fn reason(kind: &EvalErrorKind) -> String {
    match kind {
        EvalErrorKind::ExplicitError { message, .. } | EvalErrorKind::Other { message, .. } => {
            message.clone()
        }
        EvalErrorKind::AssertFailed { message, .. } => {
            let message = message.as_deref();
            message.unwrap_or("an assertion failed").to_owned()
        }
        EvalErrorKind::StackOverflow => "the expression is nested too deeply".to_owned(),
        EvalErrorKind::UnknownExtVar { name } => {
            format!("external variable {name} is not set in directory.jsonnet.extVars")
        }
        EvalErrorKind::CallParamNotBound { param_name, .. } => {
            format!("parameter {param_name} has no value")
        }
        EvalErrorKind::UnknownCallParam { param_name, .. } => {
            format!("the function has no parameter {param_name}")
        }
        EvalErrorKind::UnknownObjectField { field_name, .. } => {
            format!("there is no field {field_name}")
        }
        EvalErrorKind::ManifestFunction => "the result holds a function".to_owned(),
        other => words(&format!("{other:?}")),
    }
}

/// Where the error itself is.
pub(super) fn span_in(kind: &EvalErrorKind) -> Option<SpanId> {
    match kind {
        EvalErrorKind::ExplicitError { span, .. }
        | EvalErrorKind::AssertFailed { span, .. }
        | EvalErrorKind::UnknownObjectField { span, .. } => Some(*span),
        _ => None,
    }
}

/// Where a step of the evaluation is.
pub(super) fn span_of(item: &EvalStackTraceItem) -> Option<SpanId> {
    match item {
        EvalStackTraceItem::Expr { span } => Some(*span),
        _ => None,
    }
}

/// `InvalidIndexedType { span: .. }` as `invalid indexed type`.
pub(super) fn words(debug: &str) -> String {
    let name = debug.split([' ', '{', '(']).next().unwrap_or_default();
    let mut text = String::new();
    for c in name.chars() {
        if c.is_uppercase() && !text.is_empty() {
            text.push(' ');
        }
        text.extend(c.to_lowercase());
    }
    text
}
