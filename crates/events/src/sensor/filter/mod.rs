//! Filters of a dependency.
//!
//! Order: expressions, data, context, time, script. Joined by `and` (the default) the first refusal decides;
//! joined by `or` one of the kinds that are present must admit the event. An error in another kind does not matter then,
//! unless the Sensor asks for upstream's rule, which discards the event.

mod context;
mod data;
mod expr;
mod refusal;
mod time;

use jiff::Timestamp;
use reconcile_core::object::FieldError;

pub use self::refusal::Refusal;
use self::{data::DataFilter, expr::ExprFilter, time::TimeWindow};
use super::{payload::data_as_json, script::Script};
use crate::{
    api::sensor::{self, ContextFilter},
    event::CloudEvent,
};

/// `and` or `or`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Logic {
    /// All must admit.
    #[default]
    And,
    /// One must admit.
    Or,
}

impl Logic {
    fn parse(path: &str, text: Option<&str>) -> Result<Self, FieldError> {
        match text {
            None | Some("" | "and") => Ok(Self::And),
            Some("or") => Ok(Self::Or),
            Some(other) => Err(FieldError::new(
                path,
                format!("{other:?} is not `and` or `or`"),
            )),
        }
    }

    /// Joins verdicts; refusals say why. Nothing to join admits.
    fn join(self, verdicts: impl Iterator<Item = Result<(), Refusal>>) -> Result<(), Refusal> {
        let mut refusals = Vec::new();
        let mut some = false;
        for verdict in verdicts {
            some = true;
            match (self, verdict) {
                (Self::And, Err(reason)) => return Err(reason),
                (Self::And, Ok(())) => {}
                (Self::Or, Ok(())) => return Ok(()),
                (Self::Or, Err(reason)) => refusals.push(reason),
            }
        }
        if some && self == Self::Or {
            Err(Refusal::All(refusals))
        } else {
            Ok(())
        }
    }
}

/// Filters with everything checked.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Filters {
    logic: Logic,
    exprs: Vec<ExprFilter>,
    expr_logic: Logic,
    data: Vec<DataFilter>,
    data_logic: Logic,
    context: Option<ContextFilter>,
    time: Option<TimeWindow>,
    script: Option<Script>,
    /// Joined by `or`, an error in one of the kinds discards the event.
    error_discards: bool,
}

impl Filters {
    /// Checks filters; the error names the field below `path`.
    pub fn check(
        path: &str,
        raw: &sensor::Filters,
        operator: Option<&str>,
    ) -> Result<Self, FieldError> {
        let script = raw.script.as_deref().filter(|script| !script.is_empty());
        let exprs = raw.exprs.iter().enumerate();
        let data = raw.data.iter().enumerate();
        Ok(Self {
            logic: Logic::parse(&format!("{path}LogicalOperator"), operator)?,
            exprs: exprs
                .map(|(index, filter)| ExprFilter::check(&format!("{path}.exprs[{index}]"), filter))
                .collect::<Result<_, _>>()?,
            expr_logic: Logic::parse(
                &format!("{path}.exprLogicalOperator"),
                raw.expr_logical_operator.as_deref(),
            )?,
            data: data
                .map(|(index, filter)| DataFilter::check(&format!("{path}.data[{index}]"), filter))
                .collect::<Result<_, _>>()?,
            data_logic: Logic::parse(
                &format!("{path}.dataLogicalOperator"),
                raw.data_logical_operator.as_deref(),
            )?,
            context: raw.context.clone(),
            time: raw
                .time
                .as_ref()
                .map(|time| TimeWindow::check(&format!("{path}.time"), time))
                .transpose()?,
            script: script
                .map(|script| Script::check(&format!("{path}.script"), script))
                .transpose()?,
            error_discards: false,
        })
    }

    /// From now on an error in one kind of filters discards the event, also when they are joined by `or` and another kind
    /// admits it.
    pub fn discard_on_error(&mut self) {
        self.error_discards = true;
    }

    /// True when one of them is a script.
    pub fn has_script(&self) -> bool {
        self.script.is_some()
    }

    /// Whether the event counts; the error says why not.
    pub fn admit(&self, event: &CloudEvent, now: Timestamp) -> Result<(), Refusal> {
        // Events without payload pass the filters that look at it.
        let json = if event.data.is_empty() {
            None
        } else {
            Some(data_as_json(event))
        };
        let exprs = (!self.exprs.is_empty()).then(|| match &json {
            None => Ok(()),
            Some(Err(error)) => Err(error.clone().into()),
            Some(Ok(json)) => self
                .expr_logic
                .join(self.exprs.iter().map(|filter| filter.admit(json))),
        });
        let data = (!self.data.is_empty()).then(|| match &json {
            None => Ok(()),
            Some(Err(error)) => Err(error.clone().into()),
            Some(Ok(json)) => self
                .data_logic
                .join(self.data.iter().map(|filter| filter.admit(json, now))),
        });
        let context = self
            .context
            .as_ref()
            .map(|filter| context::admit(filter, event));
        let time = self.time.as_ref().map(|window| window.admit(event));
        let script = self.script.as_ref().map(|script| match &json {
            None => Ok(()),
            Some(_) if script.admits(event, now)? => Ok(()),
            Some(_) => Err(Refusal::ScriptFalse),
        });
        let verdicts = [exprs, data, context, time, script];
        if self.error_discards {
            let refusals = verdicts
                .iter()
                .flatten()
                .filter_map(|one| one.as_ref().err());
            if let Some(error) = refusals.clone().find(|refusal| refusal.is_error()) {
                return Err(error.clone());
            }
        }
        self.logic.join(verdicts.into_iter().flatten())
    }
}
