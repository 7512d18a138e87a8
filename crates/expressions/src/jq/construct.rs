//! New values: lists, objects, texts, results of functions and changes.

use serde_json::{Map, Value};

use super::{
    JqError,
    evaluate::{Evaluator, Outputs},
    find,
    functions::{self, to_text},
    measure::size,
    output::{NULL, Output},
    parse::{Assignment, Filter, TextPart},
    update,
    values::{arithmetic, is_true},
};

impl<'v> Evaluator<'v> {
    pub(super) fn pairs(
        &mut self,
        input: &Output<'v>,
        (first, second): (&Filter, &Filter),
        compute: impl Fn(&Value, &Value) -> Result<Value, JqError>,
    ) -> Result<Outputs<'v>, JqError> {
        let (lefts, rights) = (self.run(first, input)?, self.run(second, input)?);
        self.spend(lefts.len().saturating_mul(rights.len()))?;
        let mut outputs = Vec::new();
        for right in &rights {
            for left in &lefts {
                if let (Value::Array(a), Value::Array(b)) = (&*left.value, &*right.value) {
                    // A difference compares all pairs.
                    self.spend(a.len().saturating_mul(b.len()) / 16)?;
                }
                let value = compute(&left.value, &right.value)?;
                outputs.push(self.made(value)?);
            }
        }
        Ok(outputs)
    }

    pub(super) fn call(
        &mut self,
        function: functions::Function,
        argument: Option<&Filter>,
        input: &Output<'v>,
    ) -> Result<Outputs<'v>, JqError> {
        let Some(argument) = argument else {
            let value = function(&input.value, &NULL)?;
            return Ok(vec![self.made(value)?]);
        };
        let arguments = self.run(argument, input)?;
        self.spend(arguments.len())?;
        let mut outputs = Vec::new();
        for argument in arguments {
            let value = function(&input.value, &argument.value)?;
            outputs.push(self.made(value)?);
        }
        Ok(outputs)
    }

    pub(super) fn object(
        &mut self,
        fields: &[(Filter, Filter)],
        input: &Output<'v>,
    ) -> Result<Outputs<'v>, JqError> {
        let mut all = vec![Map::new()];
        for (key, value) in fields {
            let (keys, values) = (self.run(key, input)?, self.run(value, input)?);
            let mut next = Vec::new();
            for before in &all {
                for key in &keys {
                    let Value::String(key) = &*key.value else {
                        return Err(JqError::Mismatch("keys of objects are texts"));
                    };
                    for value in &values {
                        for field in before.values() {
                            self.spend(size(field)?)?;
                        }
                        let mut fields = before.clone();
                        fields.insert(key.clone(), self.copy(&value.value)?);
                        next.push(fields);
                    }
                }
            }
            all = next;
        }
        let made = all
            .into_iter()
            .map(|fields| self.made(Value::Object(fields)));
        made.collect()
    }

    pub(super) fn text(
        &mut self,
        parts: &[TextPart],
        input: &Output<'v>,
    ) -> Result<Outputs<'v>, JqError> {
        let mut all = vec![String::new()];
        for part in parts {
            match part {
                TextPart::Plain(text) => all.iter_mut().for_each(|before| before.push_str(text)),
                TextPart::Computed(filter) => {
                    let values = self.run(filter, input)?;
                    let mut next = Vec::new();
                    for value in &values {
                        let text = to_text(&value.value);
                        for before in &all {
                            self.spend(1 + (before.len() + text.len()) / 32)?;
                            next.push(format!("{before}{text}"));
                        }
                    }
                    all = next;
                }
            }
        }
        let made = all.into_iter().map(|text| self.made(text.into()));
        made.collect()
    }

    pub(super) fn range(
        &mut self,
        from: &Filter,
        to: &Filter,
        input: &Output<'v>,
    ) -> Result<Outputs<'v>, JqError> {
        let (starts, ends) = (self.run(from, input)?, self.run(to, input)?);
        let mut outputs = Vec::new();
        for start in &starts {
            for end in &ends {
                let (Some(start), Some(end)) = (start.value.as_i64(), end.value.as_i64()) else {
                    return Err(JqError::Mismatch("range needs whole numbers"));
                };
                let count = usize::try_from(end.saturating_sub(start)).unwrap_or(0);
                self.spend(count)?;
                outputs.extend((start..end).map(Output::computed));
            }
        }
        Ok(outputs)
    }

    pub(super) fn assign(
        &mut self,
        how: Assignment,
        left: &Filter,
        right: &Filter,
        input: &Output<'v>,
    ) -> Result<Outputs<'v>, JqError> {
        let places = self.places(left, input.value.clone())?;
        if how == Assignment::Update {
            let mut value = self.copy(&input.value)?;
            let mut gone = Vec::new();
            for steps in places {
                let old = find(&value, &steps).unwrap_or(&NULL);
                let old = Output::computed(self.copy(old)?);
                match self.run(right, &old)?.first() {
                    Some(new) => {
                        let new = self.copy(&new.value)?;
                        update::change(&mut value, &steps, |_| Ok(new))?;
                    }
                    None => gone.push(steps),
                }
            }
            update::remove_all(&mut value, gone);
            return Ok(vec![self.made(value)?]);
        }
        let mut outputs = Vec::new();
        for new in self.run(right, input)? {
            let mut value = self.copy(&input.value)?;
            for steps in &places {
                self.spend(size(&new.value)?)?;
                update::change(&mut value, steps, |old| match how {
                    Assignment::Math(operator) => arithmetic(operator, old, &new.value),
                    Assignment::Alternative if is_true(old) => Ok(old.clone()),
                    _ => Ok(Value::clone(&new.value)),
                })?;
            }
            outputs.push(self.made(value)?);
        }
        Ok(outputs)
    }
}
