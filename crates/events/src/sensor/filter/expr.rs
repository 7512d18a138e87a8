//! Boolean expressions over named values of the payload.

use reconcile_core::object::FieldError;

use super::Refusal;
use crate::{
    api::sensor::{self, PayloadField},
    sensor::language::{self, Expression},
};

/// A checked expression.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct ExprFilter {
    text: String,
    expression: Expression,
    fields: Vec<PayloadField>,
}

impl ExprFilter {
    pub(super) fn check(path: &str, raw: &sensor::ExprFilter) -> Result<Self, FieldError> {
        for (index, field) in raw.fields.iter().enumerate() {
            if field.path.is_empty() || field.name.is_empty() {
                let path = format!("{path}.fields[{index}]");
                return Err(FieldError::new(path, "needs a path and a name"));
            }
        }
        let expression = Expression::parse(&raw.expr)
            .map_err(|error| FieldError::new(format!("{path}.expr"), error.to_string()))?;
        Ok(Self {
            text: raw.expr.clone(),
            expression,
            fields: raw.fields.clone(),
        })
    }

    pub(super) fn admit(&self, json: &str) -> Result<(), Refusal> {
        if self.fields.is_empty() {
            // Without values there is nothing to judge; upstream skips it too.
            return Ok(());
        }
        let mut values = Vec::with_capacity(self.fields.len());
        for field in &self.fields {
            match language::get(json, &field.path) {
                Some(found) => values.push((field.name.clone(), found.value())),
                None => {
                    return Err(Refusal::Absent {
                        filter: "expr",
                        path: field.path.clone(),
                    });
                }
            }
        }
        match self.expression.holds(&values) {
            Ok(true) => Ok(()),
            Ok(false) => Err(Refusal::False(self.text.clone())),
            Err(error) => Err(Refusal::Expression {
                expression: self.text.clone(),
                error,
            }),
        }
    }
}
