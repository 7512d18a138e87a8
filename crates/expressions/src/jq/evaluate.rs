//! What an expression leads to in a value.

use serde_json::Value;

use super::{
    JqError, Step, caught,
    functions::{self, list},
    measure::size,
    output::{Held, Output, Place},
    parse::{Filter, Quantifier},
    update,
    values::{arithmetic, compares, is_true, tests},
};

/// The places to which `filter` leads in `value`; it may make `budget` values.
pub(super) fn places(
    filter: &Filter,
    value: &Value,
    budget: usize,
) -> Result<Vec<Vec<Step>>, JqError> {
    Evaluator::new(budget).places(filter, Held::Borrowed(value))
}

/// The first output of `filter` for `value`; it may make `budget` values.
pub(super) fn first(
    filter: &Filter,
    value: &Value,
    budget: usize,
) -> Result<Option<Value>, JqError> {
    let input = Output::root(Held::Borrowed(value));
    let outputs = Evaluator::new(budget).run(filter, &input)?;
    Ok(outputs.first().map(|output| Value::clone(&output.value)))
}

/// The state of one evaluation.
pub(super) struct Evaluator<'v> {
    /// Values that may still be made.
    left: usize,
    variables: Vec<(String, Held<'v>)>,
}

/// Outputs of a filter.
pub(super) type Outputs<'v> = Vec<Output<'v>>;

impl<'v> Evaluator<'v> {
    fn new(budget: usize) -> Self {
        Self {
            left: budget,
            variables: Vec::new(),
        }
    }

    pub(super) fn spend(&mut self, values: usize) -> Result<(), JqError> {
        self.left = self.left.checked_sub(values).ok_or(JqError::TooMany)?;
        Ok(())
    }

    /// A new value.
    pub(super) fn made(&mut self, value: Value) -> Result<Output<'v>, JqError> {
        self.spend(size(&value)?)?;
        Ok(Output::computed(value))
    }

    /// A copy to change or to put into a new value.
    pub(super) fn copy(&mut self, value: &Value) -> Result<Value, JqError> {
        self.spend(size(value)?)?;
        Ok(value.clone())
    }

    /// Calls itself once per nesting of the expression, which the parser bounds.
    pub(super) fn run(
        &mut self,
        filter: &Filter,
        input: &Output<'v>,
    ) -> Result<Outputs<'v>, JqError> {
        self.spend(1)?;
        Ok(match filter {
            Filter::Identity => vec![input.clone()],
            Filter::Empty => Vec::new(),
            Filter::Recurse => self.recurse(input)?,
            Filter::Literal(value) => vec![Output::computed(value.clone())],
            Filter::Variable(name) => self.variable(name)?,
            Filter::Path(base, parts) => self.path(base, parts, input)?,
            Filter::Pipe(first, second) => self.pipe(first, second, input)?,
            Filter::Comma(first, second) => {
                let mut outputs = self.run(first, input)?;
                outputs.extend(self.run(second, input)?);
                outputs
            }
            Filter::Alternative(first, second) => self.alternative(first, second, input)?,
            Filter::Try(inner) => caught(self.run(inner, input))?.unwrap_or_default(),
            Filter::Select(condition) => {
                let times = self.run(condition, input)?;
                let chosen = times.iter().filter(|output| is_true(&output.value));
                chosen.map(|_| input.clone()).collect()
            }
            Filter::If(branches, otherwise) => self.branch(branches, otherwise, input)?,
            Filter::Bind(source, name, body) => {
                let mut outputs = Vec::new();
                for value in self.run(source, input)? {
                    outputs.extend(self.run_with(name, value.value, body, input)?);
                }
                outputs
            }
            Filter::First(inner) => self.run(inner, input)?.into_iter().take(1).collect(),
            other => self.compute(other, input)?,
        })
    }

    /// Filters whose outputs are new values.
    #[expect(clippy::too_many_lines, reason = "a table of filters")]
    fn compute(&mut self, filter: &Filter, input: &Output<'v>) -> Result<Outputs<'v>, JqError> {
        let value = match filter {
            Filter::And(first, second) => return self.logic(input, (first, second), true),
            Filter::Or(first, second) => return self.logic(input, (first, second), false),
            Filter::Compare(comparison, first, second) => {
                let test = |a: &Value, b: &Value| Ok(compares(*comparison, a, b).into());
                return self.pairs(input, (first, second), test);
            }
            Filter::Math(operator, first, second) => {
                let compute = |a: &Value, b: &Value| arithmetic(*operator, a, b);
                return self.pairs(input, (first, second), compute);
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
                    self.spend(size(&input.value)?.saturating_mul(size(&output.value)?) / 16)?;
                    outputs.push(Output::computed(tests(*test, &input.value, &output.value)?));
                }
                return Ok(outputs);
            }
            Filter::Matches(regex) => match &*input.value {
                Value::String(text) => Value::Bool(regex.is_match(text)),
                _ => return Err(JqError::Mismatch("test needs a text")),
            },
            Filter::Replace(regex, replacement, all) => match &*input.value {
                Value::String(text) => {
                    let literal = regex::NoExpand(replacement);
                    let limit = usize::from(!all);
                    regex.replacen(text, limit, literal).into_owned().into()
                }
                _ => return Err(JqError::Mismatch("sub and gsub need a text")),
            },
            Filter::Call(function, argument) => {
                return self.call(*function, argument.as_deref(), input);
            }
            Filter::Array(inner) => {
                let mut items = Vec::new();
                if let Some(inner) = inner {
                    for output in self.run(inner, input)? {
                        items.push(self.copy(&output.value)?);
                    }
                }
                Value::Array(items)
            }
            Filter::Object(fields) => return self.object(fields, input),
            Filter::Text(parts) => return self.text(parts, input),
            Filter::Range(from, to) => return self.range(from, to, input),
            Filter::Ordered(how, key) => {
                let mut keyed = Vec::new();
                for item in list(&input.value)? {
                    let item = Output::computed(self.copy(item)?);
                    let keys = self.run(key, &item)?;
                    let keys = keys.iter().map(|key| Value::clone(&key.value)).collect();
                    self.spend(size(&keys)?)?;
                    keyed.push((keys, Value::clone(&item.value)));
                }
                functions::ordered(*how, keyed)
            }
            Filter::Reduce(fold) => {
                let mut state = self.run(&fold.start, input)?.into_iter().last();
                for value in self.run(&fold.source, input)? {
                    let null = || Output::computed(Value::Null);
                    let before = state.take().unwrap_or_else(null);
                    let after = self.run_with(&fold.name, value.value, &fold.step, &before)?;
                    state = after.into_iter().last();
                }
                return Ok(state.into_iter().collect());
            }
            Filter::Assign(how, places, right) => return self.assign(*how, places, right, input),
            Filter::Delete(places) => {
                let places = self.places(places, input.value.clone())?;
                let mut value = self.copy(&input.value)?;
                update::remove_all(&mut value, places);
                value
            }
            // The others are outputs of `run`.
            _ => return Ok(Vec::new()),
        };
        Ok(vec![self.made(value)?])
    }

    pub(super) fn places(
        &mut self,
        filter: &Filter,
        value: Held<'v>,
    ) -> Result<Vec<Vec<Step>>, JqError> {
        let outputs = self.run(filter, &Output::root(value))?;
        let places = outputs.iter().map(|output| {
            let steps = output.place.steps();
            steps.ok_or(JqError::Mismatch("it gives a computed value, not a path"))
        });
        places.collect()
    }

    /// Runs a filter in which the variable `name` has this value.
    fn run_with(
        &mut self,
        name: &str,
        value: Held<'v>,
        filter: &Filter,
        input: &Output<'v>,
    ) -> Result<Outputs<'v>, JqError> {
        self.variables.push((name.to_owned(), value));
        let outputs = self.run(filter, input);
        self.variables.pop();
        outputs
    }

    fn variable(&mut self, name: &str) -> Result<Outputs<'v>, JqError> {
        let mut found = self.variables.iter().rev();
        let (_, value) = found
            .find(|(known, _)| known == name)
            .ok_or(JqError::Mismatch("the variable is not defined"))?;
        Ok(vec![Output {
            place: Place::Nowhere,
            value: value.clone(),
        }])
    }

    fn pipe(
        &mut self,
        first: &Filter,
        second: &Filter,
        input: &Output<'v>,
    ) -> Result<Outputs<'v>, JqError> {
        let mut outputs = Vec::new();
        for output in self.run(first, input)? {
            outputs.extend(self.run(second, &output)?);
        }
        Ok(outputs)
    }

    fn alternative(
        &mut self,
        first: &Filter,
        second: &Filter,
        input: &Output<'v>,
    ) -> Result<Outputs<'v>, JqError> {
        let mut found = caught(self.run(first, input))?.unwrap_or_default();
        found.retain(|output| is_true(&output.value));
        if found.is_empty() {
            self.run(second, input)
        } else {
            Ok(found)
        }
    }

    fn branch(
        &mut self,
        branches: &[(Filter, Filter)],
        otherwise: &Filter,
        input: &Output<'v>,
    ) -> Result<Outputs<'v>, JqError> {
        let Some(((condition, then), rest)) = branches.split_first() else {
            return self.run(otherwise, input);
        };
        let mut outputs = Vec::new();
        for truth in self.run(condition, input)? {
            outputs.extend(if is_true(&truth.value) {
                self.run(then, input)?
            } else {
                self.branch(rest, otherwise, input)?
            });
        }
        Ok(outputs)
    }

    /// `and` and `or`: the second is evaluated only when the first does not decide.
    fn logic(
        &mut self,
        input: &Output<'v>,
        (first, second): (&Filter, &Filter),
        and: bool,
    ) -> Result<Outputs<'v>, JqError> {
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
}
