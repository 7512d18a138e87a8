//! Runs the tree of an expression.

mod predicates;
mod weight;

use std::collections::BTreeMap;
use std::sync::Arc;

use super::ast::{Child, Expr, Node};
use super::builtins;
use super::error::Fault;
use super::host::{Host, function_path};
use super::operators;
use super::value::Value;
use weight::{Weight, weight, work};

/// Steps one evaluation may take. A condition over a large measurement needs some thousands.
const MAX_STEPS: usize = 1_000_000;

/// Elements and bytes that all values made by one evaluation may have together, shared parts
/// counted as often as they are reached: comparing or printing such a value walks all of them.
const MAX_SIZE: usize = 2_000_000;

/// Nesting that values may reach: comparing, printing and dropping them recurses. JSON that was
/// read has at most 128 levels.
const MAX_DEPTH: usize = 200;

pub(super) type Evaluated = Result<Value, Fault>;

/// Evaluates `tree` in the surroundings of `host`.
pub(super) fn run(tree: &Expr, host: &dyn Host) -> Evaluated {
    let mut machine = Machine {
        host,
        variables: Vec::new(),
        subjects: Vec::new(),
        steps: 0,
        size: 0,
    };
    machine.eval(tree)
}

/// What a predicate sees.
struct Subject {
    item: Value,
    index: i64,
    accumulator: Option<Value>,
}

struct Machine<'a> {
    host: &'a dyn Host,
    variables: Vec<(String, Value)>,
    subjects: Vec<Subject>,
    steps: usize,
    size: usize,
}

impl Machine<'_> {
    fn eval(&mut self, expr: &Expr) -> Evaluated {
        self.spend(expr, 1)?;
        match &expr.node {
            Node::Literal(value) => Ok(value.clone()),
            Node::Ident(name) => Ok(self.ident(name)),
            Node::Pointer(name) => self.pointer(expr, name),
            Node::Unary(operator, operand) => {
                let operand = self.eval(operand)?;
                operators::unary(*operator, operand).map_err(|r| Fault::run(expr.at, r))
            }
            Node::Binary(operator, left, right) => self.binary(expr, *operator, left, right),
            Node::Matches {
                left,
                right,
                pattern,
            } => self.matches(expr, left, right, pattern.as_ref()),
            Node::Chain(inner) => match self.eval(inner) {
                Err(fault) if fault.short_circuit => Ok(Value::Nil),
                other => other,
            },
            Node::Member {
                base,
                property,
                optional,
            } => self.member(expr, base, property, *optional),
            Node::Slice { base, from, to } => self.slice(expr, base, from.as_ref(), to.as_ref()),
            Node::Call { callee, args } => self.call(expr, callee, args),
            Node::Builtin { name, args } => self.builtin(expr, name, args),
            Node::Let { name, value, body } => {
                let value = self.eval(value)?;
                self.variables.push((name.clone(), value));
                let result = self.eval(body);
                self.variables.pop();
                result
            }
            Node::Sequence(items) => {
                let mut last = Value::Nil;
                for item in items {
                    last = self.eval(item)?;
                }
                Ok(last)
            }
            Node::Conditional {
                condition,
                then,
                otherwise,
            } => match self.eval(condition)? {
                Value::Bool(true) => self.eval(then),
                Value::Bool(false) => self.eval(otherwise),
                other => Err(not_bool(condition, &other)),
            },
            Node::List(items) => {
                let items: Vec<Value> = items
                    .iter()
                    .map(|item| self.eval(item))
                    .collect::<Result<_, _>>()?;
                self.charged(expr, Value::list(items))
            }
            Node::Map(pairs) => self.map(expr, pairs),
        }
    }

    fn matches(
        &mut self,
        expr: &Expr,
        left: &Child,
        right: &Child,
        pattern: Option<&regex::Regex>,
    ) -> Evaluated {
        let left = self.eval(left)?;
        if matches!(left, Value::Nil) {
            return Ok(Value::Bool(false));
        }
        let right = self.eval(right)?;
        self.spend(expr, work(&left))?;
        operators::matches(&left, &right, pattern).map_err(|r| Fault::run(expr.at, r))
    }

    /// Counts steps, so that no expression takes for ever.
    fn spend(&mut self, expr: &Expr, steps: usize) -> Result<(), Fault> {
        self.steps = self.steps.saturating_add(steps);
        if self.steps > MAX_STEPS {
            let reason = format!("expression takes more than {MAX_STEPS} steps");
            return Err(Fault::run(expr.at, reason));
        }
        Ok(())
    }

    /// Counts what a new value takes, so that no expression can exhaust the memory.
    fn charge(&mut self, expr: &Expr, size: usize) -> Result<(), Fault> {
        self.size = self.size.saturating_add(size);
        if self.size > MAX_SIZE {
            return Err(Fault::run(expr.at, "expression makes too large values"));
        }
        Ok(())
    }

    /// Charges a new value with everything reachable from it.
    fn charged(&mut self, expr: &Expr, value: Value) -> Evaluated {
        let left = MAX_SIZE - self.size.min(MAX_SIZE);
        let Weight { size, depth } = weight(&value, left + 1);
        if depth > MAX_DEPTH {
            let reason = format!("values are nested deeper than {MAX_DEPTH} levels");
            return Err(Fault::run(expr.at, reason));
        }
        self.charge(expr, size)?;
        Ok(value)
    }

    fn ident(&self, name: &str) -> Value {
        if let Some((_, value)) = self.variables.iter().rev().find(|(n, _)| n == name) {
            return value.clone();
        }
        if name == "$env" {
            return self.host.variables();
        }
        self.host.variable(name).unwrap_or(Value::Nil)
    }

    fn pointer(&self, expr: &Expr, name: &str) -> Evaluated {
        let subject = self
            .subjects
            .last()
            .ok_or_else(|| Fault::run(expr.at, "`#` stands outside of a predicate"))?;
        Ok(match name {
            "" => subject.item.clone(),
            "index" => Value::Int(subject.index),
            "acc" => subject.accumulator.clone().unwrap_or(Value::Nil),
            _ => return Err(Fault::run(expr.at, format!("unknown pointer `#{name}`"))),
        })
    }

    fn binary(
        &mut self,
        expr: &Expr,
        operator: super::ast::Binary,
        left: &Child,
        right: &Child,
    ) -> Evaluated {
        use super::ast::Binary;
        let first = match operator {
            // A broken optional chain on the left of `??` counts as nil.
            Binary::Coalesce => match self.eval(left) {
                Err(fault) if fault.short_circuit => Value::Nil,
                other => other?,
            },
            _ => self.eval(left)?,
        };
        match (operator, &first) {
            (Binary::Coalesce, Value::Nil) => return self.eval(right),
            (Binary::Coalesce, _) => return Ok(first),
            (Binary::And, Value::Bool(false)) | (Binary::Or, Value::Bool(true)) => {
                return Ok(first);
            }
            (Binary::And | Binary::Or, Value::Bool(_)) => {
                return match self.eval(right)? {
                    second @ Value::Bool(_) => Ok(second),
                    other => Err(not_bool(right, &other)),
                };
            }
            (Binary::And | Binary::Or, other) => return Err(not_bool(left, other)),
            _ => {}
        }
        let second = self.eval(right)?;
        self.spend(expr, work(&first) + work(&second))?;
        if operator == Binary::Range {
            let size =
                operators::range_size(&first, &second).map_err(|r| Fault::run(expr.at, r))?;
            self.charge(expr, size)?;
        }
        let value =
            operators::binary(operator, &first, &second).map_err(|r| Fault::run(expr.at, r))?;
        if let (Binary::Add, Value::Str(text)) = (operator, &value) {
            self.charge(expr, text.len())?;
        }
        Ok(value)
    }

    fn member(&mut self, expr: &Expr, base: &Child, property: &Child, optional: bool) -> Evaluated {
        let base = self.eval(base)?;
        if optional && matches!(base, Value::Nil) {
            return Err(Fault::short_circuit(expr.at));
        }
        let key = self.eval(property)?;
        operators::fetch(&base, &key).map_err(|r| Fault::run(expr.at, r))
    }

    fn slice(
        &mut self,
        expr: &Expr,
        base: &Child,
        from: Option<&Child>,
        to: Option<&Child>,
    ) -> Evaluated {
        let base = self.eval(base)?;
        let from = from.map(|bound| self.bound(bound)).transpose()?;
        let to = to.map(|bound| self.bound(bound)).transpose()?;
        let value = operators::slice(&base, from, to).map_err(|r| Fault::run(expr.at, r))?;
        self.charged(expr, value)
    }

    fn bound(&mut self, bound: &Child) -> Result<i64, Fault> {
        let value = self.eval(bound)?;
        value.as_int().ok_or_else(|| {
            Fault::run(
                bound.at,
                format!("slice bound is {}, not an integer", value.go_type()),
            )
        })
    }

    fn map(&mut self, expr: &Expr, pairs: &[(Child, Child)]) -> Evaluated {
        let mut map = BTreeMap::new();
        for (key, value) in pairs {
            let Value::Str(name) = self.eval(key)? else {
                return Err(Fault::run(key.at, "a map key must be text"));
            };
            map.insert(name.to_string(), self.eval(value)?);
        }
        self.charged(expr, Value::Map(Arc::new(map)))
    }

    fn args(&mut self, args: &[Child]) -> Result<Vec<Value>, Fault> {
        args.iter().map(|arg| self.eval(arg)).collect()
    }

    fn call(&mut self, expr: &Expr, callee: &Child, args: &[Child]) -> Evaluated {
        if let Some(name) = function_path(callee)
            && let Some(function) = self.host.function(&name)
        {
            let args = self.args(args)?;
            let params = builtins::Params::parse(function.params);
            if args.len() < params.min || params.max.is_some_and(|max| args.len() > max) {
                return Err(Fault::run(
                    expr.at,
                    format!("wrong number of arguments to call {name}"),
                ));
            }
            let value = self
                .host
                .call(&name, &args)
                .map_err(|r| Fault::run(expr.at, r))?;
            return self.charged(expr, value);
        }
        if let Node::Member {
            base,
            property,
            optional,
        } = &callee.node
            && let Node::Literal(Value::Str(method)) = &property.node
        {
            if let Node::Ident(space) = &base.node
                && self.host.is_namespace(space)
            {
                return Err(Fault::run(
                    expr.at,
                    format!("{space} has no function `{method}`"),
                ));
            }
            let base = self.eval(base)?;
            if *optional && matches!(base, Value::Nil) {
                return Err(Fault::short_circuit(expr.at));
            }
            let args = self.args(args)?;
            return builtins::call_method(&base, method, &args).map_err(|r| Fault::run(expr.at, r));
        }
        let value = self.eval(callee)?;
        Err(Fault::run(
            expr.at,
            format!("{} cannot be called", value.go_type()),
        ))
    }

    fn builtin(&mut self, expr: &Expr, name: &'static str, args: &[Child]) -> Evaluated {
        if let Some(predicate) = builtins::predicate_builtin(name) {
            return self.predicate_builtin(expr, predicate.name, args);
        }
        let args = self.args(args)?;
        for arg in &args {
            self.spend(expr, work(arg))?;
        }
        if let Some(builtin) = builtins::find(name) {
            let params = builtins::Params::parse(builtin.params);
            if args.len() < params.min || params.max.is_some_and(|max| args.len() > max) {
                return Err(Fault::run(
                    expr.at,
                    format!("wrong number of arguments to call {name}"),
                ));
            }
        }
        // Charged before the value is made: it may be huge.
        let growth = builtins::growth(name, &args).map_err(|r| Fault::run(expr.at, r))?;
        self.charge(expr, growth)?;
        let value =
            builtins::call(name, &args, self.host.now()).map_err(|r| Fault::run(expr.at, r))?;
        self.charged(expr, value)
    }
}

fn not_bool(expr: &Expr, value: &Value) -> Fault {
    Fault::run(
        expr.at,
        format!("expected a bool, found {}", value.go_type()),
    )
}

fn int(count: usize) -> Value {
    Value::Int(i64::try_from(count).unwrap_or(i64::MAX))
}
