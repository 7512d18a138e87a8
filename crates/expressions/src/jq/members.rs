//! Paths: members of values, by name, by number, all of them.

use serde_json::Value;

use super::{
    JqError, caught,
    evaluate::{Evaluator, Outputs},
    measure::size,
    output::{Held, Output, member, members},
    parse::{Access, Filter, Part},
};

impl<'v> Evaluator<'v> {
    pub(super) fn path(
        &mut self,
        base: &Filter,
        parts: &[Part],
        input: &Output<'v>,
    ) -> Result<Outputs<'v>, JqError> {
        let mut outputs = self.run(base, input)?;
        for part in parts {
            outputs = self.step(part, input, outputs)?;
        }
        Ok(outputs)
    }

    pub(super) fn step(
        &mut self,
        part: &Part,
        input: &Output<'v>,
        bases: Outputs<'v>,
    ) -> Result<Outputs<'v>, JqError> {
        let mut outputs = Vec::new();
        for base in bases {
            let found = match &part.access {
                Access::All => members(&base),
                Access::Index(index) => {
                    let indices = self.run(index, input)?;
                    let found = indices.iter().map(|index| member(&base, &index.value));
                    found.collect()
                }
                Access::Slice(from, to) => self.slice(&base, input, (from, to)),
            };
            let found = if part.optional {
                caught(found)?.unwrap_or_default()
            } else {
                found?
            };
            self.reach(&found)?;
            outputs.extend(found);
        }
        Ok(outputs)
    }

    /// Counts members that were found.
    fn reach(&mut self, found: &[Output<'v>]) -> Result<(), JqError> {
        self.spend(found.len())?;
        for output in found {
            // Members of a computed value are copies.
            if let Held::Shared(value) = &output.value {
                self.spend(size(value)?)?;
            }
        }
        Ok(())
    }

    pub(super) fn slice(
        &mut self,
        base: &Output<'v>,
        input: &Output<'v>,
        (from, to): (&Option<Filter>, &Option<Filter>),
    ) -> Result<Outputs<'v>, JqError> {
        let mut bound = |filter: &Option<Filter>| match filter {
            None => Ok(None),
            Some(filter) => match self.run(filter, input)?.first() {
                Some(number) if number.value.is_i64() => Ok(number.value.as_i64()),
                _ => Err(JqError::Mismatch("the bounds of a slice are whole numbers")),
            },
        };
        let (from, to) = (bound(from)?, bound(to)?);
        let range = |length: usize| {
            let at = |bound: i64| {
                let places = usize::try_from(bound.unsigned_abs()).unwrap_or(usize::MAX);
                if bound < 0 {
                    length.saturating_sub(places)
                } else {
                    places.min(length)
                }
            };
            let (start, end) = (from.map_or(0, at), to.map_or(length, at));
            start..end.max(start)
        };
        let value = match &*base.value {
            Value::Array(items) => Value::Array(items[range(items.len())].to_vec()),
            Value::String(text) => {
                let range = range(text.chars().count());
                let part = text.chars().skip(range.start).take(range.len());
                part.collect::<String>().into()
            }
            Value::Null => Value::Null,
            _ => return Err(JqError::Mismatch("only texts and lists have slices")),
        };
        Ok(vec![self.made(value)?])
    }

    pub(super) fn recurse(&mut self, input: &Output<'v>) -> Result<Outputs<'v>, JqError> {
        let mut outputs = Vec::new();
        let mut open = vec![input.clone()];
        while let Some(output) = open.pop() {
            let mut below = members(&output).unwrap_or_default();
            self.reach(&below)?;
            below.reverse();
            open.extend(below);
            outputs.push(output);
        }
        Ok(outputs)
    }
}
