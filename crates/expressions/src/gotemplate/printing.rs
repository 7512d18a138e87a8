//! The printing functions, inside of the size budget and with Go's way to write floats.

use std::sync::{Arc, LazyLock};

use gotmpl::{FuncMap, TemplateError, Value};

use super::rewrite::SHOW;
use crate::sprig;

/// Arguments one call may have.
const MAX_ARGS: usize = 64;

/// Everything a template can call beside the engine's own functions.
pub(super) static FUNCTIONS: LazyLock<FuncMap> = LazyLock::new(|| {
    let mut functions = sprig::function_map();
    // The engine's own printing functions would double a text in each round of a loop without
    // bound.
    for name in ["print", "println", "printf", "html", "js", "urlquery"] {
        functions.insert(
            name.to_owned(),
            Arc::new(move |args: &[Value]| print(name, args).map_err(TemplateError::Exec)),
        );
    }
    functions.insert(SHOW.to_owned(), Arc::new(|args: &[Value]| Ok(shown(args))));
    functions
});

/// The value as it is printed at the end of an action.
fn shown(args: &[Value]) -> Value {
    match args.last() {
        Some(value @ (Value::Float(_) | Value::List(_) | Value::Map(_))) => {
            Value::String(sprig::go_string(value).into())
        }
        Some(other) => other.clone(),
        None => Value::Nil,
    }
}

fn print(name: &str, args: &[Value]) -> Result<Value, String> {
    if args.len() > MAX_ARGS {
        return Err(format!("{name} takes at most {MAX_ARGS} arguments"));
    }
    for arg in args {
        sprig::charge_value(arg)?;
    }
    let text = match name {
        "printf" => return printf(args),
        "println" => joined(args, Spaces::Always) + "\n",
        _ => joined(args, Spaces::UnlessText),
    };
    sprig::charge(text.len())?;
    let text = match name {
        "html" => {
            sprig::charge(text.len() * 5)?;
            gotmpl::html_escape(&text)
        }
        "js" => {
            sprig::charge(text.len() * 5)?;
            gotmpl::js_escape(&text)
        }
        "urlquery" => {
            sprig::charge(text.len() * 2)?;
            gotmpl::url_encode(&text)
        }
        _ => text,
    };
    Ok(Value::String(text.into()))
}

/// Between which values a space is set.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Spaces {
    /// Between any two, as Go's `Sprintln`.
    Always,
    /// Between two of which none is text, as `Sprint`.
    UnlessText,
}

fn joined(args: &[Value], spaces: Spaces) -> String {
    let mut out = String::new();
    for (index, arg) in args.iter().enumerate() {
        let is_text = |value: &Value| matches!(value, Value::String(_));
        if index > 0 && (spaces == Spaces::Always || !(is_text(arg) || is_text(&args[index - 1]))) {
            out.push(' ');
        }
        out.push_str(&sprig::go_string(arg));
    }
    out
}

/// Runs the engine's `printf` after its largest possible output was charged.
fn printf(args: &[Value]) -> Result<Value, String> {
    let Some(Value::String(format)) = args.first() else {
        return Err("the first argument of printf must be a string".to_owned());
    };
    let (format, mut values) = plain_verbs(format, &args[1..]);
    let size: usize = values
        .iter()
        .map(|value| sprig::go_string(value).len())
        .sum();
    sprig::charge(printf_size(&format, size)?)?;
    values.insert(0, Value::String(format.into()));
    let names: Vec<String> = (0..values.len()).map(|index| format!("a{index}")).collect();
    let call: Vec<String> = names.iter().map(|name| format!(" .{name}")).collect();
    let data = names.into_iter().map(Arc::from).zip(values).collect();
    gotmpl::Template::new("printf")
        .parse(&format!("{{{{printf{}}}}}", call.concat()))
        .and_then(|template| template.execute_to_string(&Value::Map(Arc::new(data))))
        .map(|text| Value::String(text.into()))
        .map_err(|error| error.to_string())
}

/// Turns `%v` and `%T` into `%s` with the text that Go prints; formats that pick their arguments
/// by index stay as they are.
fn plain_verbs(format: &str, args: &[Value]) -> (String, Vec<Value>) {
    let mut values = args.to_vec();
    if format.contains(['[', '*']) {
        return (format.to_owned(), values);
    }
    let mut out = String::with_capacity(format.len());
    let mut next = 0;
    let mut chars = format.chars();
    while let Some(c) = chars.next() {
        out.push(c);
        if c != '%' {
            continue;
        }
        let mut plain = true;
        for verb in chars.by_ref() {
            if matches!(verb, '+' | '#' | ' ' | '0') {
                plain = false;
            } else if verb == '%' {
                out.push(verb);
                break;
            } else if !matches!(verb, '-' | '.' | '1'..='9') {
                let text = match (verb, values.get(next)) {
                    ('v', Some(value @ (Value::Float(_) | Value::List(_) | Value::Map(_)))) => {
                        Some(sprig::go_string(value))
                    }
                    ('T', Some(value)) => Some(sprig::type_name(value).to_owned()),
                    _ => None,
                };
                match text.filter(|_| plain) {
                    Some(text) => {
                        values[next] = Value::String(text.into());
                        out.push('s');
                    }
                    None => out.push(verb),
                }
                next += 1;
                break;
            }
            out.push(verb);
        }
    }
    (out, values)
}

/// The most that a format can make of arguments of `size` bytes.
fn printf_size(format: &str, size: usize) -> Result<usize, String> {
    /// Digits of a width or precision.
    const MAX_WIDTH_DIGITS: usize = 4;
    let mut digits = 0;
    for c in format.chars() {
        digits = if c.is_ascii_digit() { digits + 1 } else { 0 };
        if digits > MAX_WIDTH_DIGITS {
            return Err("printf with such a width is not offered".to_owned());
        }
    }
    if format.contains('*') {
        return Err("printf with a width from its arguments is not offered".to_owned());
    }
    let widest = if format.contains(|c: char| c.is_ascii_digit()) {
        10_000
    } else {
        0
    };
    // An argument may be printed with escapes, and by index also several times.
    let escapes = format.contains(['q', 'x', 'X', 'U', '+', '#']);
    let longest = if escapes {
        size.saturating_mul(6)
    } else {
        size
    };
    let verbs = format.matches('%').count();
    let repeated = if format.contains('[') { verbs } else { 1 };
    Ok(format.len() + longest.saturating_mul(repeated) + verbs.saturating_mul(widest + 32))
}
