//! An output of a filter: a value, and where it is in the input.

use std::{ops::Deref, rc::Rc};

use serde_json::Value;

use super::{JqError, Step};

/// What an absent member is.
pub(super) static NULL: Value = Value::Null;

/// Where an output is in the object.
#[derive(Clone)]
pub(super) enum Place {
    /// The object itself.
    Root,
    /// A member of another place.
    Member(Rc<(Place, Step)>),
    /// It was computed.
    Nowhere,
}

impl Place {
    fn member(&self, step: Step) -> Self {
        match self {
            Self::Nowhere => Self::Nowhere,
            place => Self::Member(Rc::new((place.clone(), step))),
        }
    }

    pub(super) fn steps(&self) -> Option<Vec<Step>> {
        let mut steps = Vec::new();
        let mut at = self;
        loop {
            match at {
                Self::Nowhere => return None,
                Self::Root => break,
                Self::Member(member) => {
                    steps.push(member.1.clone());
                    at = &member.0;
                }
            }
        }
        steps.reverse();
        Some(steps)
    }
}

/// A value of the input, or a new one. Clones share it.
#[derive(Clone)]
pub(super) enum Held<'v> {
    /// Of the input.
    Borrowed(&'v Value),
    /// Computed.
    Shared(Rc<Value>),
}

impl Deref for Held<'_> {
    type Target = Value;

    fn deref(&self) -> &Value {
        match self {
            Self::Borrowed(value) => value,
            Self::Shared(value) => value,
        }
    }
}

/// An output of a filter.
#[derive(Clone)]
pub(super) struct Output<'v> {
    pub(super) place: Place,
    pub(super) value: Held<'v>,
}

impl<'v> Output<'v> {
    /// The input itself.
    pub(super) fn root(value: Held<'v>) -> Self {
        Self {
            place: Place::Root,
            value,
        }
    }

    pub(super) fn computed(value: impl Into<Value>) -> Self {
        Self {
            place: Place::Nowhere,
            value: Held::Shared(Rc::new(value.into())),
        }
    }
}

/// The members of a list or object.
pub(super) fn members<'v>(base: &Output<'v>) -> Result<Vec<Output<'v>>, JqError> {
    let keys: Vec<Step> = match &*base.value {
        Value::Array(items) => (0..items.len()).map(Step::Index).collect(),
        Value::Object(fields) => fields.keys().cloned().map(Step::Key).collect(),
        _ => return Err(JqError::Mismatch("only lists and objects have members")),
    };
    Ok(keys.into_iter().map(|step| at(base, step)).collect())
}

/// The member of this name or number.
pub(super) fn member<'v>(base: &Output<'v>, index: &Value) -> Result<Output<'v>, JqError> {
    let step = match (&*base.value, index) {
        (Value::Object(_) | Value::Null, Value::String(key)) => Step::Key(key.clone()),
        (Value::Array(items), Value::Number(number)) => {
            let number = number.as_i64().unwrap_or(i64::MAX);
            let index = match usize::try_from(number) {
                Ok(index) => Some(index),
                Err(_) => usize::try_from(number.unsigned_abs())
                    .ok()
                    .and_then(|back| items.len().checked_sub(back)),
            };
            Step::Index(index.unwrap_or(usize::MAX))
        }
        (Value::Null, Value::Number(_)) => Step::Index(usize::MAX),
        _ => return Err(JqError::Mismatch("no member of that name or number")),
    };
    Ok(at(base, step))
}

fn at<'v>(base: &Output<'v>, step: Step) -> Output<'v> {
    let value = match &base.value {
        Held::Borrowed(value) => step.member(value).map(Held::Borrowed),
        Held::Shared(value) => {
            let found = step.member(value).cloned();
            found.map(|value| Held::Shared(Rc::new(value)))
        }
    };
    Output {
        place: base.place.member(step),
        value: value.unwrap_or(Held::Borrowed(&NULL)),
    }
}
