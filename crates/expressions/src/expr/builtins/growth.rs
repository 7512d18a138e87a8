//! How large the results of functions become whose arguments are no measure for it.

use crate::expr::value::Value;

/// Go's bound on the copies that `repeat` makes.
const MAX_REPEAT: usize = 1_000_000;

/// Elements and bytes of the result of a call, known before it is made; 0 for functions that make nothing larger
/// than what they are given.
pub(in crate::expr) fn growth(name: &str, args: &[Value]) -> Result<usize, String> {
    let text = |index: usize| args.get(index).and_then(Value::as_str).unwrap_or_default();
    Ok(match name {
        "repeat" => {
            let count = args.get(1).and_then(Value::as_int).unwrap_or_default();
            let count = usize::try_from(count).unwrap_or(0);
            if count > MAX_REPEAT {
                return Err(format!("repeat makes at most {MAX_REPEAT} copies"));
            }
            text(0).len().saturating_mul(count).max(count)
        }
        "replace" => {
            let added = pieces(text(0), text(1)).saturating_mul(text(2).len());
            text(0).len().saturating_add(added)
        }
        "split" | "splitAfter" => pieces(text(0), text(1)) + 1,
        "join" => match &args[0] {
            Value::List(items) => {
                let own: usize = items.iter().filter_map(Value::as_str).map(str::len).sum();
                own.saturating_add(items.len().saturating_mul(text(1).len()))
            }
            _ => 0,
        },
        "concat" => args.iter().map(length).sum(),
        _ => 0,
    })
}

/// How often `subject` contains `part`; the empty text is between all characters.
fn pieces(subject: &str, part: &str) -> usize {
    if part.is_empty() {
        subject.len() + 1
    } else {
        subject.matches(part).count()
    }
}

fn length(list: &Value) -> usize {
    match list {
        Value::List(items) => items.len(),
        Value::Bytes(bytes) => bytes.len(),
        _ => 0,
    }
}
