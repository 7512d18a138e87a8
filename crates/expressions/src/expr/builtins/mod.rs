//! The functions of the language itself.

mod growth;
mod lists;
mod numbers;
mod strings;
mod times;

use jiff::Timestamp;

use super::types::Type;
use super::value::Value;
use crate::go_text;

pub(super) use growth::growth;
pub(super) use lists::{is_descending, sort_keyed};
pub(super) use times::{call_method, method_type};

/// A function that takes plain values.
pub(super) struct Builtin {
    pub(super) name: &'static str,
    /// See [`super::Function::params`].
    pub(super) params: &'static str,
    returns: Returns,
}

#[derive(Clone, Copy)]
enum Returns {
    Any,
    Bool,
    Int,
    Float,
    Text,
    Texts,
    List,
    Map,
    Time,
    Duration,
    Zone,
    /// The type of the first argument.
    Same,
    /// The element type of the first argument.
    Element,
}

/// A function whose second argument is evaluated once per element of the first.
pub(super) struct PredicateBuiltin {
    pub(super) name: &'static str,
    pub(super) min: usize,
    pub(super) max: usize,
}

const PREDICATES: &[PredicateBuiltin] = &[
    PredicateBuiltin {
        name: "all",
        min: 2,
        max: 2,
    },
    PredicateBuiltin {
        name: "none",
        min: 2,
        max: 2,
    },
    PredicateBuiltin {
        name: "any",
        min: 2,
        max: 2,
    },
    PredicateBuiltin {
        name: "one",
        min: 2,
        max: 2,
    },
    PredicateBuiltin {
        name: "filter",
        min: 2,
        max: 2,
    },
    PredicateBuiltin {
        name: "map",
        min: 2,
        max: 2,
    },
    PredicateBuiltin {
        name: "count",
        min: 1,
        max: 2,
    },
    PredicateBuiltin {
        name: "sum",
        min: 1,
        max: 2,
    },
    PredicateBuiltin {
        name: "find",
        min: 2,
        max: 2,
    },
    PredicateBuiltin {
        name: "findIndex",
        min: 2,
        max: 2,
    },
    PredicateBuiltin {
        name: "findLast",
        min: 2,
        max: 2,
    },
    PredicateBuiltin {
        name: "findLastIndex",
        min: 2,
        max: 2,
    },
    PredicateBuiltin {
        name: "groupBy",
        min: 2,
        max: 2,
    },
    PredicateBuiltin {
        name: "sortBy",
        min: 2,
        max: 3,
    },
    PredicateBuiltin {
        name: "reduce",
        min: 2,
        max: 3,
    },
];

const fn builtin(name: &'static str, params: &'static str, returns: Returns) -> Builtin {
    Builtin {
        name,
        params,
        returns,
    }
}

const BUILTINS: &[Builtin] = &[
    builtin("len", "l", Returns::Int),
    builtin("type", "?", Returns::Text),
    builtin("abs", "n", Returns::Same),
    builtin("ceil", "n", Returns::Float),
    builtin("floor", "n", Returns::Float),
    builtin("round", "n", Returns::Float),
    builtin("int", "t", Returns::Int),
    builtin("float", "t", Returns::Float),
    builtin("string", "?", Returns::Text),
    builtin("trim", "s|s", Returns::Text),
    builtin("trimPrefix", "s|s", Returns::Text),
    builtin("trimSuffix", "s|s", Returns::Text),
    builtin("upper", "s", Returns::Text),
    builtin("lower", "s", Returns::Text),
    builtin("split", "ss|i", Returns::Texts),
    builtin("splitAfter", "ss|i", Returns::Texts),
    builtin("replace", "sss|i", Returns::Text),
    builtin("repeat", "si", Returns::Text),
    builtin("join", "j|s", Returns::Text),
    builtin("indexOf", "ss", Returns::Int),
    builtin("lastIndexOf", "ss", Returns::Int),
    builtin("hasPrefix", "ss", Returns::Bool),
    builtin("hasSuffix", "ss", Returns::Bool),
    builtin("max", "g*", Returns::Any),
    builtin("min", "g*", Returns::Any),
    builtin("mean", "g*", Returns::Float),
    builtin("median", "g*", Returns::Float),
    builtin("toJSON", "?", Returns::Text),
    builtin("fromJSON", "s", Returns::Any),
    builtin("toBase64", "s", Returns::Text),
    builtin("fromBase64", "s", Returns::Text),
    builtin("now", "|?", Returns::Time),
    builtin("duration", "s", Returns::Duration),
    builtin("date", "?|?ss", Returns::Time),
    builtin("timezone", "s", Returns::Zone),
    builtin("first", "a", Returns::Element),
    builtin("last", "a", Returns::Element),
    builtin("get", "??", Returns::Any),
    builtin("take", "ai", Returns::Same),
    builtin("keys", "m", Returns::List),
    builtin("values", "m", Returns::List),
    builtin("toPairs", "m", Returns::List),
    builtin("fromPairs", "a", Returns::Map),
    builtin("reverse", "a", Returns::List),
    builtin("uniq", "a", Returns::List),
    builtin("concat", "a|a*", Returns::List),
    builtin("flatten", "a", Returns::List),
    builtin("sort", "a|s", Returns::List),
    builtin("bitand", "ii", Returns::Int),
    builtin("bitor", "ii", Returns::Int),
    builtin("bitxor", "ii", Returns::Int),
    builtin("bitnand", "ii", Returns::Int),
    builtin("bitshl", "ii", Returns::Int),
    builtin("bitshr", "ii", Returns::Int),
    builtin("bitushr", "ii", Returns::Int),
    builtin("bitnot", "i", Returns::Int),
];

pub(super) fn find(name: &str) -> Option<&'static Builtin> {
    BUILTINS.iter().find(|builtin| builtin.name == name)
}

pub(super) fn predicate_builtin(name: &str) -> Option<&'static PredicateBuiltin> {
    PREDICATES.iter().find(|builtin| builtin.name == name)
}

pub(super) fn return_type(builtin: &Builtin, args: &[Type]) -> Type {
    let first = || args.first().cloned().unwrap_or(Type::Unknown);
    match builtin.returns {
        Returns::Any => Type::Unknown,
        Returns::Bool => Type::Bool,
        Returns::Int => Type::Int,
        Returns::Float => Type::Float,
        Returns::Text => Type::Str,
        Returns::Texts => Type::Str.list(),
        Returns::List => Type::Unknown.list(),
        Returns::Map => Type::Map,
        Returns::Time => Type::Time,
        Returns::Duration => Type::Duration,
        Returns::Zone => Type::Zone,
        Returns::Same => first(),
        Returns::Element => first().element(),
    }
}

/// A parameter list, taken apart.
pub(super) struct Params {
    kinds: Vec<char>,
    pub(super) min: usize,
    pub(super) max: Option<usize>,
}

impl Params {
    pub(super) fn parse(text: &str) -> Self {
        let repeats = text.ends_with('*');
        let kinds: Vec<char> = text.chars().filter(|c| !matches!(c, '|' | '*')).collect();
        let required = text.find('|').unwrap_or(kinds.len());
        Self {
            min: required,
            max: (!repeats).then_some(kinds.len()),
            kinds,
        }
    }

    /// Whether an argument of type `t` is accepted at `position`.
    pub(super) fn accepts(&self, position: usize, t: &Type) -> bool {
        let Some(kind) = self.kinds.get(position).or(self.kinds.last()) else {
            return false;
        };
        if t.is_unknown() {
            return true;
        }
        match kind {
            's' => *t == Type::Str,
            'b' => *t == Type::Bool,
            'n' => t.is_number(),
            'f' => t.assignable(&Type::Float),
            'i' => *t == Type::Int,
            't' => t.is_number() || *t == Type::Str,
            'a' => t.is_list(),
            'j' => t.is_list() && matches!(t.element(), Type::Str | Type::Unknown),
            'm' => matches!(t, Type::Map | Type::Groups),
            'l' => t.is_list() || matches!(t, Type::Map | Type::Groups | Type::Str),
            'g' => t.is_number() || t.is_list(),
            _ => true,
        }
    }
}

type Outcome = Result<Value, String>;

/// Calls a plain builtin; the number of arguments has been checked.
pub(super) fn call(name: &str, args: &[Value], now: Option<Timestamp>) -> Outcome {
    match name {
        "type" => Ok(Value::text(args[0].kind())),
        "string" => Ok(Value::text(args[0].go_string())),
        "get" => Ok(get(&args[0], &args[1])),
        "toJSON" => args[0]
            .to_json()
            .map(|json| Value::text(go_text::json::to_string(&json, go_text::json::INDENTED)))
            .ok_or_else(|| "the value cannot be written as JSON".to_owned()),
        "fromJSON" => serde_json::from_str(text(name, args, 0)?)
            .map(|json| Value::from_json(&json))
            .map_err(|error| format!("fromJSON: {error}")),
        "toBase64" => Ok(Value::text(go_text::base64_standard(
            text(name, args, 0)?.as_bytes(),
        ))),
        "fromBase64" => {
            let bytes = go_text::base64_decode(text(name, args, 0)?)?;
            Ok(Value::text(String::from_utf8_lossy(&bytes).into_owned()))
        }
        "now" | "duration" | "date" | "timezone" => times::call(name, args, now),
        "len" | "first" | "last" | "take" | "keys" | "values" | "toPairs" | "fromPairs"
        | "reverse" | "uniq" | "concat" | "flatten" | "sort" | "join" => lists::call(name, args),
        "abs" | "ceil" | "floor" | "round" | "int" | "float" | "max" | "min" | "mean"
        | "median" => numbers::call(name, args),
        _ if name.starts_with("bit") => numbers::bits(name, args),
        _ => strings::call(name, args),
    }
}

/// `get(container, key)`: nil instead of an error for everything that is not there.
fn get(container: &Value, key: &Value) -> Value {
    super::operators::fetch(container, key).unwrap_or(Value::Nil)
}

/// Argument `index` as text.
fn text<'v>(name: &str, args: &'v [Value], index: usize) -> Result<&'v str, String> {
    args[index]
        .as_str()
        .ok_or_else(|| wrong(name, &args[index]))
}

/// Argument `index` as integer.
fn int(name: &str, args: &[Value], index: usize) -> Result<i64, String> {
    args[index]
        .as_int()
        .ok_or_else(|| wrong(name, &args[index]))
}

fn wrong(name: &str, value: &Value) -> String {
    format!("{name} does not take {}", value.go_type())
}
