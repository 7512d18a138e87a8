//! Changes of members, which make a new value.

use serde_json::{Map, Value};

use super::{JqError, Step, removal_order, remove};

/// An item may be set so far behind the end of a list; those between are null.
const MAX_GAP: usize = 1000;

/// Sets the member of `value` at `steps` to what `change` makes of it; missing parents are made.
pub(super) fn change(
    value: &mut Value,
    steps: &[Step],
    change: impl FnOnce(&Value) -> Result<Value, JqError>,
) -> Result<(), JqError> {
    let mut at = value;
    for step in steps {
        at = enter(at, step)?;
    }
    *at = change(at)?;
    Ok(())
}

fn enter<'a>(value: &'a mut Value, step: &Step) -> Result<&'a mut Value, JqError> {
    if value.is_null() {
        *value = match step {
            Step::Key(_) => Value::Object(Map::new()),
            Step::Index(_) => Value::Array(Vec::new()),
        };
    }
    match (value, step) {
        (Value::Object(fields), Step::Key(key)) => {
            Ok(fields.entry(key.clone()).or_insert(Value::Null))
        }
        (Value::Array(items), Step::Index(index)) => {
            if *index > items.len() + MAX_GAP {
                return Err(JqError::Mismatch(
                    "the number is far behind the end of the list",
                ));
            }
            if items.len() <= *index {
                items.resize(*index + 1, Value::Null);
            }
            Ok(&mut items[*index])
        }
        _ => Err(JqError::Mismatch(
            "no member of that name or number can be set",
        )),
    }
}

/// Removes the members at `places`; null is left of the value itself.
pub(super) fn remove_all(value: &mut Value, places: Vec<Vec<Step>>) {
    for place in removal_order(places) {
        if place.is_empty() {
            *value = Value::Null;
        } else {
            remove(value, &place);
        }
    }
}
