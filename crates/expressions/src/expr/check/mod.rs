//! The compile-time type check.

mod operators;

use super::ast::{Child, Expr, Node};
use super::builtins;
use super::error::Fault;
use super::host::Host;
use super::types::Type;
use super::value::Value;
use operators::{binary, mismatch, unary};

/// A chained comparison shares nodes, so a hostile expression could be cheap to write and
/// expensive to check; this many visits are far more than any honest one needs.
const MAX_VISITS: usize = 100_000;

/// Checks the tree against what `host` declares and returns the type of the whole.
pub(super) fn check(tree: &Expr, host: &dyn Host) -> Result<Type, Fault> {
    Checker {
        host,
        variables: Vec::new(),
        subjects: Vec::new(),
        visits: 0,
    }
    .visit(tree)
}

struct Checker<'a> {
    host: &'a dyn Host,
    variables: Vec<(String, Type)>,
    /// The arrays of the enclosing predicates, and whether `#acc` exists there.
    subjects: Vec<(Type, bool)>,
    visits: usize,
}

type Checked = Result<Type, Fault>;

impl Checker<'_> {
    fn visit(&mut self, expr: &Expr) -> Checked {
        self.visits += 1;
        if self.visits > MAX_VISITS {
            return Err(Fault::compile(expr.at, "expression is too complex"));
        }
        match &expr.node {
            Node::Literal(value) => Ok(Type::of_literal(value)),
            Node::Ident(name) => self.ident(expr, name),
            Node::Pointer(name) => self.pointer(expr, name),
            Node::Unary(operator, operand) => {
                let operand = self.visit(operand)?;
                unary(expr, *operator, operand)
            }
            Node::Binary(operator, left, right) => {
                let (left, right) = (self.visit(left)?, self.visit(right)?);
                binary(expr, *operator, &left, &right)
            }
            Node::Matches { left, right, .. } => {
                let (left, right) = (self.visit(left)?, self.visit(right)?);
                let left_fits = matches!(left, Type::Str | Type::Bytes);
                if (left_fits && right == Type::Str) || left.maybe(&right, &[Type::Str]) {
                    return Ok(Type::Bool);
                }
                Err(mismatch(expr, "matches", &left, &right))
            }
            Node::Chain(inner) => self.visit(inner),
            Node::Member { base, property, .. } => self.member(expr, base, property),
            Node::Slice { base, from, to } => self.slice(expr, base, from.as_ref(), to.as_ref()),
            Node::Call { callee, args } => self.call(expr, callee, args),
            Node::Builtin { name, args } => self.builtin(expr, name, args),
            Node::Let { name, value, body } => self.declaration(expr, name, value, body),
            Node::Sequence(items) => {
                let mut last = Type::Nil;
                for item in items {
                    last = self.visit(item)?;
                }
                Ok(last)
            }
            Node::Conditional {
                condition,
                then,
                otherwise,
            } => self.conditional(condition, then, otherwise),
            Node::List(items) => self.list(items),
            Node::Map(pairs) => {
                for (key, value) in pairs {
                    self.visit(key)?;
                    self.visit(value)?;
                }
                Ok(Type::Map)
            }
        }
    }

    fn ident(&self, expr: &Expr, name: &str) -> Checked {
        if let Some((_, t)) = self.variables.iter().rev().find(|(n, _)| n == name) {
            return Ok(t.clone());
        }
        if name == "$env" {
            return Ok(Type::Unknown);
        }
        if let Some(t) = self.host.variable_type(name) {
            return Ok(t);
        }
        if self.host.function(name).is_some() || builtins::find(name).is_some() {
            return Ok(Type::Function);
        }
        Err(Fault::compile(expr.at, format!("unknown name `{name}`")))
    }

    fn pointer(&self, expr: &Expr, name: &str) -> Checked {
        let (subject, reduces) = self
            .subjects
            .last()
            .ok_or_else(|| Fault::compile(expr.at, "`#` stands outside of a predicate"))?;
        match name {
            "" => Ok(subject.element()),
            "index" => Ok(Type::Int),
            "acc" if *reduces => Ok(Type::Unknown),
            _ => Err(Fault::compile(
                expr.at,
                format!("unknown pointer `#{name}`"),
            )),
        }
    }

    fn member(&mut self, expr: &Expr, base: &Child, property: &Child) -> Checked {
        if matches!(&base.node, Node::Ident(name) if name == "$env") {
            return Ok(Type::Unknown);
        }
        let base = self.visit(base)?;
        let key = self.visit(property)?;
        let field = match &property.node {
            Node::Literal(Value::Str(name)) => name.to_string(),
            _ => key.to_string(),
        };
        match &base {
            Type::Unknown => Ok(Type::Unknown),
            Type::Nil => Err(Fault::compile(
                expr.at,
                format!("nil has no field `{field}`"),
            )),
            Type::Map if key == Type::Str || key.is_unknown() => Ok(Type::Unknown),
            Type::Groups => Ok(Type::Unknown.list()),
            Type::List(_) | Type::Bytes if key == Type::Int || key.is_unknown() => {
                Ok(base.element())
            }
            Type::List(_) | Type::Bytes => Err(Fault::compile(
                property.at,
                format!("an element of an array is selected by an integer, not by {key}"),
            )),
            Type::Time | Type::Duration | Type::Zone => Ok(Type::Function),
            _ => Err(Fault::compile(
                expr.at,
                format!("type {base} has no field `{field}`"),
            )),
        }
    }

    fn slice(
        &mut self,
        expr: &Expr,
        base: &Child,
        from: Option<&Child>,
        to: Option<&Child>,
    ) -> Checked {
        let base = self.visit(base)?;
        if base.is_unknown() {
            return Ok(base);
        }
        if base != Type::Str && !base.is_list() {
            return Err(Fault::compile(
                expr.at,
                format!("type {base} cannot be sliced"),
            ));
        }
        for bound in [from, to].into_iter().flatten() {
            let t = self.visit(bound)?;
            if t != Type::Int && !t.is_unknown() {
                return Err(Fault::compile(
                    bound.at,
                    format!("slice bound is {t}, not an integer"),
                ));
            }
        }
        Ok(base)
    }

    fn call(&mut self, expr: &Expr, callee: &Child, args: &[Child]) -> Checked {
        let mut types = Vec::with_capacity(args.len());
        for arg in args {
            types.push(self.visit(arg)?);
        }
        if let Some(name) = super::host::function_path(callee)
            && let Some(function) = self.host.function(&name)
        {
            check_arguments(expr, &name, function.params, args, &types)?;
            return Ok(function.returns);
        }
        if let Node::Member { base, property, .. } = &callee.node
            && let Node::Literal(Value::Str(method)) = &property.node
        {
            let base = self.visit(base)?;
            return match base {
                Type::Unknown => Ok(Type::Unknown),
                Type::Time | Type::Duration | Type::Zone => {
                    builtins::method_type(&base, method, types.len())
                        .map_err(|reason| Fault::compile(expr.at, reason))
                }
                _ => Err(Fault::compile(
                    expr.at,
                    format!("type {base} has no method `{method}`"),
                )),
            };
        }
        let t = self.visit(callee)?;
        if t.is_unknown() {
            return Ok(Type::Unknown);
        }
        Err(Fault::compile(
            expr.at,
            format!("type {t} cannot be called"),
        ))
    }

    fn builtin(&mut self, expr: &Expr, name: &'static str, args: &[Child]) -> Checked {
        if let Some(predicate) = builtins::predicate_builtin(name) {
            return self.predicate_builtin(predicate.name, args);
        }
        let mut types = Vec::with_capacity(args.len());
        for arg in args {
            types.push(self.visit(arg)?);
        }
        let Some(builtin) = builtins::find(name) else {
            return Err(Fault::compile(
                expr.at,
                format!("unknown function `{name}`"),
            ));
        };
        check_arguments(expr, name, builtin.params, args, &types)?;
        if name == "get" {
            return get(expr, &types[0], &types[1]);
        }
        Ok(builtins::return_type(builtin, &types))
    }

    fn predicate_builtin(&mut self, name: &str, args: &[Child]) -> Checked {
        let array = self.visit(&args[0])?;
        if !array.is_list() && !array.is_unknown() {
            return Err(Fault::compile(
                args[0].at,
                format!("{name} takes an array, not {array}"),
            ));
        }
        let mut predicate = Type::Unknown;
        if let Some(body) = args.get(1) {
            self.subjects.push((array.clone(), name == "reduce"));
            predicate = self.visit(body)?;
            self.subjects.pop();
            let wants_bool = !matches!(name, "map" | "sum" | "groupBy" | "sortBy" | "reduce");
            if wants_bool && predicate != Type::Bool && !predicate.is_unknown() {
                let reason = format!("the predicate of {name} must be a bool, not {predicate}");
                return Err(Fault::compile(body.at, reason));
            }
        }
        if let Some(extra) = args.get(2) {
            let t = self.visit(extra)?;
            if name == "sortBy" && t != Type::Str && !t.is_unknown() {
                return Err(Fault::compile(
                    extra.at,
                    format!("the order of sortBy is {t}, not text"),
                ));
            }
        }
        Ok(match name {
            "all" | "any" | "one" | "none" => Type::Bool,
            "filter" => Type::Unknown.list(),
            "map" => predicate.list(),
            "count" | "findIndex" | "findLastIndex" => Type::Int,
            "find" | "findLast" => array.element(),
            "sum" if args.len() == 1 => array.element(),
            "groupBy" => Type::Groups,
            "sortBy" => array,
            _ => predicate,
        })
    }

    fn declaration(&mut self, expr: &Expr, name: &str, value: &Child, body: &Child) -> Checked {
        let taken = self.host.variable_type(name).is_some()
            || self.host.function(name).is_some()
            || builtins::find(name).is_some()
            || builtins::predicate_builtin(name).is_some()
            || self.variables.iter().any(|(n, _)| n == name);
        if taken {
            return Err(Fault::compile(
                expr.at,
                format!("`{name}` cannot be declared again"),
            ));
        }
        let t = self.visit(value)?;
        self.variables.push((name.to_owned(), t));
        let body = self.visit(body);
        self.variables.pop();
        body
    }

    fn conditional(&mut self, condition: &Child, then: &Child, otherwise: &Child) -> Checked {
        let t = self.visit(condition)?;
        if t != Type::Bool && !t.is_unknown() {
            return Err(Fault::compile(
                condition.at,
                format!("the condition is {t}, not a bool"),
            ));
        }
        let (a, b) = (self.visit(then)?, self.visit(otherwise)?);
        Ok(match (a, b) {
            (Type::Nil, other) | (other, Type::Nil) => other,
            (a, b) if a == b => a,
            _ => Type::Unknown,
        })
    }

    fn list(&mut self, items: &[Child]) -> Checked {
        let mut element: Option<Type> = None;
        for item in items {
            let t = self.visit(item)?;
            element = Some(match element {
                None => t,
                Some(before) if before == t => t,
                Some(_) => Type::Unknown,
            });
        }
        Ok(element
            .filter(|t| *t != Type::Nil)
            .unwrap_or(Type::Unknown)
            .list())
    }
}

/// `get(base, key)` forgives a missing key, but not a base or a key of the wrong type.
fn get(expr: &Expr, base: &Type, key: &Type) -> Checked {
    let fits = match base {
        Type::Unknown | Type::Groups => true,
        Type::Map => matches!(key, Type::Str | Type::Unknown),
        list if list.is_list() => matches!(key, Type::Int | Type::Unknown),
        _ => false,
    };
    if fits {
        Ok(base.element())
    } else {
        Err(Fault::compile(
            expr.at,
            format!("get does not take {base} with a key of {key}"),
        ))
    }
}

/// Checks the number and the types of arguments against a parameter list such as `"s|n"`.
fn check_arguments(
    expr: &Expr,
    name: &str,
    params: &str,
    args: &[Child],
    types: &[Type],
) -> Result<(), Fault> {
    let params = builtins::Params::parse(params);
    if args.len() < params.min {
        return Err(Fault::compile(
            expr.at,
            format!("not enough arguments to call {name}"),
        ));
    }
    if params.max.is_some_and(|max| args.len() > max) {
        return Err(Fault::compile(
            expr.at,
            format!("too many arguments to call {name}"),
        ));
    }
    for (position, (arg, t)) in args.iter().zip(types).enumerate() {
        if !params.accepts(position, t) {
            return Err(Fault::compile(
                arg.at,
                format!("{name} does not take {t} as argument {}", position + 1),
            ));
        }
    }
    Ok(())
}
