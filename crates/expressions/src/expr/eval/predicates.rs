//! Functions that evaluate a predicate for each element of an array.

use std::sync::Arc;

use super::super::ast::{Binary, Child, Expr};
use super::super::builtins;
use super::super::error::Fault;
use super::super::operators;
use super::super::value::Value;
use super::{Evaluated, Machine, Subject, int, not_bool};

impl Machine<'_> {
    /// Evaluates `body` for one element.
    fn test(&mut self, body: &Child, item: &Value, index: usize, acc: Option<Value>) -> Evaluated {
        let index = i64::try_from(index).unwrap_or(i64::MAX);
        self.subjects.push(Subject {
            item: item.clone(),
            index,
            accumulator: acc,
        });
        let result = self.eval(body);
        self.subjects.pop();
        result
    }

    fn test_bool(&mut self, body: &Child, item: &Value, index: usize) -> Result<bool, Fault> {
        match self.test(body, item, index, None)? {
            Value::Bool(b) => Ok(b),
            other => Err(not_bool(body, &other)),
        }
    }

    pub(super) fn predicate_builtin(
        &mut self,
        expr: &Expr,
        name: &str,
        args: &[Child],
    ) -> Evaluated {
        let array = self.eval(&args[0])?;
        let items: Arc<[Value]> = match &array {
            Value::List(items) => items.clone(),
            Value::Bytes(bytes) => bytes.iter().map(|b| Value::Int(i64::from(*b))).collect(),
            other => {
                let reason = format!("{name} takes an array, not {}", other.go_type());
                return Err(Fault::run(args[0].at, reason));
            }
        };
        match (name, args.get(1)) {
            ("all" | "any" | "none" | "one" | "count", Some(body)) => {
                self.counting(name, &items, body)
            }
            ("count", None) => {
                let count = items
                    .iter()
                    .filter(|v| matches!(v, Value::Bool(true)))
                    .count();
                match items.iter().find(|v| !matches!(v, Value::Bool(_))) {
                    Some(other) => Err(not_bool(&args[0], other)),
                    None => Ok(int(count)),
                }
            }
            ("filter", Some(body)) => {
                let mut kept = Vec::new();
                for (index, item) in items.iter().enumerate() {
                    if self.test_bool(body, item, index)? {
                        kept.push(item.clone());
                    }
                }
                self.charged(expr, Value::list(kept))
            }
            ("map", Some(body)) => {
                let mut mapped = Vec::with_capacity(items.len());
                for (index, item) in items.iter().enumerate() {
                    mapped.push(self.test(body, item, index, None)?);
                }
                self.charged(expr, Value::list(mapped))
            }
            ("find" | "findIndex" | "findLast" | "findLastIndex", Some(body)) => {
                self.finding(name, &items, body)
            }
            ("sum", body) => self.sum(expr, &items, body),
            ("groupBy", Some(body)) => self.group_by(expr, &items, body),
            ("sortBy", Some(body)) => self.sort_by(expr, &items, body, args.get(2)),
            ("reduce", Some(body)) => self.reduce(expr, &items, body, args.get(2)),
            _ => Err(Fault::run(expr.at, format!("{name} needs a predicate"))),
        }
    }

    fn sum(&mut self, expr: &Expr, items: &[Value], body: Option<&Child>) -> Evaluated {
        let mut total = Value::Int(0);
        for (index, item) in items.iter().enumerate() {
            let value = match body {
                Some(body) => self.test(body, item, index, None)?,
                None => item.clone(),
            };
            total = operators::binary(Binary::Add, &total, &value)
                .map_err(|r| Fault::run(expr.at, r))?;
        }
        Ok(total)
    }

    fn group_by(&mut self, expr: &Expr, items: &[Value], body: &Child) -> Evaluated {
        let mut groups: Vec<(Value, Vec<Value>)> = Vec::new();
        for (index, item) in items.iter().enumerate() {
            let key = self.test(body, item, index, None)?;
            if matches!(key, Value::List(_) | Value::Map(_) | Value::Groups(_)) {
                let reason = format!("groupBy cannot use {} as key", key.go_type());
                return Err(Fault::run(body.at, reason));
            }
            // Finding the group is a walk of its own, so it counts as steps.
            self.steps += groups.len();
            match groups.iter_mut().find(|(known, _)| known.equals(&key)) {
                Some((_, members)) => members.push(item.clone()),
                None => groups.push((key, vec![item.clone()])),
            }
        }
        let groups = groups
            .into_iter()
            .map(|(key, members)| (key, Value::list(members)));
        self.charged(expr, Value::Groups(groups.collect()))
    }

    fn counting(&mut self, name: &str, items: &[Value], body: &Child) -> Evaluated {
        let mut count = 0;
        for (index, item) in items.iter().enumerate() {
            let holds = self.test_bool(body, item, index)?;
            match name {
                "all" if !holds => return Ok(Value::Bool(false)),
                "any" if holds => return Ok(Value::Bool(true)),
                "none" if holds => return Ok(Value::Bool(false)),
                _ => count += usize::from(holds),
            }
        }
        Ok(match name {
            "all" | "none" => Value::Bool(true),
            "any" => Value::Bool(false),
            "one" => Value::Bool(count == 1),
            _ => int(count),
        })
    }

    fn finding(&mut self, name: &str, items: &[Value], body: &Child) -> Evaluated {
        let backwards = name.starts_with("findLast");
        let order: Box<dyn Iterator<Item = usize>> = if backwards {
            Box::new((0..items.len()).rev())
        } else {
            Box::new(0..items.len())
        };
        for index in order {
            if self.test_bool(body, &items[index], index)? {
                return Ok(if name.ends_with("Index") {
                    int(index)
                } else {
                    items[index].clone()
                });
            }
        }
        Ok(Value::Nil)
    }

    fn sort_by(
        &mut self,
        expr: &Expr,
        items: &[Value],
        body: &Child,
        order: Option<&Child>,
    ) -> Evaluated {
        let mut keyed = Vec::with_capacity(items.len());
        for (index, item) in items.iter().enumerate() {
            keyed.push((self.test(body, item, index, None)?, item.clone()));
        }
        let descending = match order {
            None => false,
            Some(order) => {
                builtins::is_descending(&self.eval(order)?).map_err(|r| Fault::run(order.at, r))?
            }
        };
        builtins::sort_keyed(&mut keyed, descending).map_err(|r| Fault::run(expr.at, r))?;
        self.charged(
            expr,
            Value::list(keyed.into_iter().map(|(_, item)| item).collect()),
        )
    }

    fn reduce(
        &mut self,
        expr: &Expr,
        items: &[Value],
        body: &Child,
        initial: Option<&Child>,
    ) -> Evaluated {
        let (mut accumulator, skip) = match (initial, items.first()) {
            (Some(initial), _) => (self.eval(initial)?, 0),
            (None, Some(first)) => (first.clone(), 1),
            (None, None) => {
                return Err(Fault::run(
                    expr.at,
                    "reduce of an empty array needs an initial value",
                ));
            }
        };
        for (index, item) in items.iter().enumerate().skip(skip) {
            accumulator = self.test(body, item, index, Some(accumulator))?;
        }
        Ok(accumulator)
    }
}
