//! What an expression leads to in a value.

use std::{borrow::Cow, cmp::Ordering, rc::Rc};

use serde_json::Value;

use super::{
    JqError, Step,
    parse::{Access, Comparison, Filter, Part, Quantifier, TextTest},
};

/// Outputs of all filters of an expression together; an object of 1 MiB has about 50,000 values.
pub(super) const MAX_OUTPUTS: usize = 200_000;

/// Where an output is in the object.
#[derive(Clone)]
enum Place {
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

    fn steps(&self) -> Option<Vec<Step>> {
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

/// An output of a filter.
#[derive(Clone)]
struct Output<'v> {
    place: Place,
    value: Cow<'v, Value>,
}

impl Output<'_> {
    fn computed(value: impl Into<Value>) -> Self {
        Self {
            place: Place::Nowhere,
            value: Cow::Owned(value.into()),
        }
    }
}

/// The places to which `filter` leads in `value`.
pub(super) fn places(filter: &Filter, value: &Value) -> Result<Vec<Vec<Step>>, JqError> {
    let root = Output {
        place: Place::Root,
        value: Cow::Borrowed(value),
    };
    let outputs = Evaluator { left: MAX_OUTPUTS }.run(filter, &root)?;
    outputs
        .iter()
        .map(|output| {
            let steps = output.place.steps();
            steps.ok_or(JqError::Mismatch("it gives a computed value, not a path"))
        })
        .collect()
}

struct Evaluator {
    /// Outputs that may still be made.
    left: usize,
}

impl Evaluator {
    fn spend(&mut self, outputs: usize) -> Result<(), JqError> {
        self.left = self.left.checked_sub(outputs).ok_or(JqError::TooMany)?;
        Ok(())
    }

    /// Calls itself once per nesting of the expression, which the parser bounds.
    fn run<'v>(&mut self, filter: &Filter, input: &Output<'v>) -> Result<Vec<Output<'v>>, JqError> {
        self.spend(1)?;
        Ok(match filter {
            Filter::Identity => vec![input.clone()],
            Filter::Recurse => self.recurse(input)?,
            Filter::Literal(value) => vec![Output::computed(value.clone())],
            Filter::Path(base, parts) => {
                let mut outputs = self.run(base, input)?;
                for part in parts {
                    outputs = self.step(part, input, outputs)?;
                }
                outputs
            }
            Filter::Pipe(first, second) => {
                let mut outputs = Vec::new();
                for output in self.run(first, input)? {
                    outputs.extend(self.run(second, &output)?);
                }
                outputs
            }
            Filter::Comma(first, second) => {
                let mut outputs = self.run(first, input)?;
                outputs.extend(self.run(second, input)?);
                outputs
            }
            Filter::Alternative(first, second) => {
                let found: Vec<_> = match self.run(first, input) {
                    Ok(outputs) => outputs.into_iter().filter(|o| is_true(&o.value)).collect(),
                    Err(JqError::TooMany) => return Err(JqError::TooMany),
                    Err(_) => Vec::new(),
                };
                if found.is_empty() {
                    self.run(second, input)?
                } else {
                    found
                }
            }
            Filter::Try(inner) => match self.run(inner, input) {
                Err(JqError::TooMany) => return Err(JqError::TooMany),
                outputs => outputs.unwrap_or_default(),
            },
            Filter::Select(condition) => {
                let times = self.run(condition, input)?;
                let chosen = times.iter().filter(|output| is_true(&output.value));
                chosen.map(|_| input.clone()).collect()
            }
            Filter::Empty => Vec::new(),
            other => self.compute(other, input)?,
        })
    }

    /// Filters whose outputs are new values.
    fn compute<'v>(
        &mut self,
        filter: &Filter,
        input: &Output<'v>,
    ) -> Result<Vec<Output<'v>>, JqError> {
        let value = match filter {
            Filter::And(first, second) => return self.logic(input, first, second, true),
            Filter::Or(first, second) => return self.logic(input, first, second, false),
            Filter::Compare(comparison, first, second) => {
                return self.pairs(input, first, second, |a, b| compares(*comparison, a, b));
            }
            Filter::Quantifier(quantifier, each) => {
                let outputs = self.run(each, input)?;
                let mut truths = outputs.iter().map(|output| is_true(&output.value));
                Value::Bool(match quantifier {
                    Quantifier::Any => truths.any(|truth| truth),
                    Quantifier::All => truths.all(|truth| truth),
                })
            }
            Filter::TextTest(test, argument) => {
                let mut outputs = Vec::new();
                for output in self.run(argument, input)? {
                    outputs.push(Output::computed(tests(*test, &input.value, &output.value)?));
                }
                return Ok(outputs);
            }
            Filter::Matches(regex) => match &*input.value {
                Value::String(text) => Value::Bool(regex.is_match(text)),
                _ => return Err(JqError::Mismatch("test needs a text")),
            },
            Filter::Has(key) => {
                let mut outputs = Vec::new();
                for output in self.run(key, input)? {
                    outputs.push(Output::computed(has(&input.value, &output.value)?));
                }
                return Ok(outputs);
            }
            Filter::Not => Value::Bool(!is_true(&input.value)),
            Filter::Length => length(&input.value)?,
            Filter::Type => type_of(&input.value).into(),
            Filter::ToText => match &*input.value {
                Value::String(text) => text.as_str().into(),
                other => other.to_string().into(),
            },
            Filter::Lowercase => match &*input.value {
                Value::String(text) => text.to_ascii_lowercase().into(),
                _ => return Err(JqError::Mismatch("ascii_downcase needs a text")),
            },
            // The others are outputs of `run`.
            _ => return Ok(Vec::new()),
        };
        Ok(vec![Output::computed(value)])
    }

    /// `and` and `or`: the second is evaluated only when the first does not decide.
    fn logic<'v>(
        &mut self,
        input: &Output<'v>,
        first: &Filter,
        second: &Filter,
        and: bool,
    ) -> Result<Vec<Output<'v>>, JqError> {
        let mut outputs = Vec::new();
        for left in self.run(first, input)? {
            if is_true(&left.value) == and {
                for right in self.run(second, input)? {
                    outputs.push(Output::computed(is_true(&right.value)));
                }
            } else {
                outputs.push(Output::computed(!and));
            }
        }
        Ok(outputs)
    }

    fn pairs<'v>(
        &mut self,
        input: &Output<'v>,
        first: &Filter,
        second: &Filter,
        test: impl Fn(&Value, &Value) -> bool,
    ) -> Result<Vec<Output<'v>>, JqError> {
        let (lefts, rights) = (self.run(first, input)?, self.run(second, input)?);
        self.spend(lefts.len().saturating_mul(rights.len()))?;
        let mut outputs = Vec::new();
        for right in &rights {
            for left in &lefts {
                outputs.push(Output::computed(test(&left.value, &right.value)));
            }
        }
        Ok(outputs)
    }

    fn step<'v>(
        &mut self,
        part: &Part,
        input: &Output<'v>,
        bases: Vec<Output<'v>>,
    ) -> Result<Vec<Output<'v>>, JqError> {
        let mut outputs = Vec::new();
        for base in bases {
            let found = match &part.access {
                Access::All => members(&base),
                Access::Index(index) => {
                    let indices = self.run(index, input)?;
                    let found = indices.iter().map(|index| member(&base, &index.value));
                    found.collect()
                }
            };
            match found {
                Ok(found) => {
                    self.spend(found.len())?;
                    outputs.extend(found);
                }
                Err(_) if part.optional => {}
                Err(error) => return Err(error),
            }
        }
        Ok(outputs)
    }

    fn recurse<'v>(&mut self, input: &Output<'v>) -> Result<Vec<Output<'v>>, JqError> {
        let mut outputs = Vec::new();
        let mut open = vec![input.clone()];
        while let Some(output) = open.pop() {
            let mut below = members(&output).unwrap_or_default();
            self.spend(below.len())?;
            below.reverse();
            open.extend(below);
            outputs.push(output);
        }
        Ok(outputs)
    }
}

fn members<'v>(base: &Output<'v>) -> Result<Vec<Output<'v>>, JqError> {
    let keys: Vec<Step> = match &*base.value {
        Value::Array(items) => (0..items.len()).map(Step::Index).collect(),
        Value::Object(fields) => fields.keys().cloned().map(Step::Key).collect(),
        _ => return Err(JqError::Mismatch("only lists and objects have members")),
    };
    Ok(keys.into_iter().map(|step| at(base, step)).collect())
}

fn member<'v>(base: &Output<'v>, index: &Value) -> Result<Output<'v>, JqError> {
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
    fn find<'a>(value: &'a Value, step: &Step) -> Option<&'a Value> {
        match step {
            Step::Key(key) => value.get(key),
            Step::Index(index) => value.get(index),
        }
    }
    let value = match &base.value {
        Cow::Borrowed(value) => find(value, &step).map(Cow::Borrowed),
        Cow::Owned(value) => find(value, &step).cloned().map(Cow::Owned),
    };
    Output {
        place: base.place.member(step),
        value: value.unwrap_or(Cow::Owned(Value::Null)),
    }
}

fn is_true(value: &Value) -> bool {
    !matches!(value, Value::Null | Value::Bool(false))
}

fn compares(comparison: Comparison, left: &Value, right: &Value) -> bool {
    let order = compare(left, right);
    match comparison {
        Comparison::Less => order.is_lt(),
        Comparison::LessOrEqual => order.is_le(),
        Comparison::Greater => order.is_gt(),
        Comparison::GreaterOrEqual => order.is_ge(),
        Comparison::Equal => order.is_eq(),
        Comparison::Different => order.is_ne(),
    }
}

/// The order of jq: null, false, true, numbers, texts, lists, objects.
fn compare(left: &Value, right: &Value) -> Ordering {
    fn rank(value: &Value) -> u8 {
        match value {
            Value::Null => 0,
            Value::Bool(false) => 1,
            Value::Bool(true) => 2,
            Value::Number(_) => 3,
            Value::String(_) => 4,
            Value::Array(_) => 5,
            Value::Object(_) => 6,
        }
    }
    match (left, right) {
        (Value::Number(a), Value::Number(b)) => match (a.as_i64(), b.as_i64()) {
            (Some(a), Some(b)) => a.cmp(&b),
            _ => a
                .as_f64()
                .partial_cmp(&b.as_f64())
                .unwrap_or(Ordering::Equal),
        },
        (Value::String(a), Value::String(b)) => a.cmp(b),
        (left, right) if left == right => Ordering::Equal,
        (left, right) => rank(left)
            .cmp(&rank(right))
            .then_with(|| left.to_string().cmp(&right.to_string())),
    }
}

fn tests(test: TextTest, value: &Value, argument: &Value) -> Result<bool, JqError> {
    match (test, value, argument) {
        (TextTest::StartsWith, Value::String(text), Value::String(part)) => {
            Ok(text.starts_with(part.as_str()))
        }
        (TextTest::EndsWith, Value::String(text), Value::String(part)) => {
            Ok(text.ends_with(part.as_str()))
        }
        (TextTest::Contains, Value::String(text), Value::String(part)) => {
            Ok(text.contains(part.as_str()))
        }
        _ => Err(JqError::Mismatch("only texts can be compared in part")),
    }
}

fn has(value: &Value, key: &Value) -> Result<bool, JqError> {
    match (value, key) {
        (Value::Object(fields), Value::String(key)) => Ok(fields.contains_key(key)),
        (Value::Array(items), Value::Number(index)) => Ok(index
            .as_u64()
            .and_then(|index| usize::try_from(index).ok())
            .is_some_and(|index| index < items.len())),
        _ => Err(JqError::Mismatch("has needs an object and a key")),
    }
}

fn length(value: &Value) -> Result<Value, JqError> {
    Ok(match value {
        Value::Null => 0.into(),
        Value::String(text) => text.chars().count().into(),
        Value::Array(items) => items.len().into(),
        Value::Object(fields) => fields.len().into(),
        Value::Number(_) | Value::Bool(_) => {
            return Err(JqError::Mismatch(
                "only texts, lists and objects have a length",
            ));
        }
    })
}

fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}
