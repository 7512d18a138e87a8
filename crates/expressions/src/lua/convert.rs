//! JSON values as Lua values and back.

use mlua::{Lua, Table, Value as LuaValue};
use serde_json::{Map, Number, Value};

use super::LuaError;

/// Deepest value in either direction; the JSON parser stops at 128.
const DEPTH: usize = 128;

pub(super) fn to_lua(lua: &Lua, value: &Value, depth: usize) -> mlua::Result<LuaValue> {
    if depth > DEPTH {
        return Err(mlua::Error::RuntimeError("value is nested too deep".into()));
    }
    Ok(match value {
        Value::Null => LuaValue::Nil,
        Value::Bool(flag) => LuaValue::Boolean(*flag),
        Value::Number(number) => LuaValue::Number(number.as_f64().unwrap_or_default()),
        Value::String(text) => LuaValue::String(lua.create_string(text)?),
        Value::Array(items) => {
            let table = lua.create_table_with_capacity(items.len(), 0)?;
            // A null leaves no gap, as in upstream's machine.
            for item in items.iter().filter(|item| !item.is_null()) {
                table.raw_push(to_lua(lua, item, depth + 1)?)?;
            }
            LuaValue::Table(table)
        }
        Value::Object(fields) => {
            let table = lua.create_table_with_capacity(0, fields.len())?;
            for (name, field) in fields {
                table.raw_set(name.as_str(), to_lua(lua, field, depth + 1)?)?;
            }
            LuaValue::Table(table)
        }
    })
}

pub(super) fn to_json(value: &LuaValue, depth: usize) -> Result<Value, LuaError> {
    if depth > DEPTH {
        return Err(LuaError::NoJson("a value that is nested too deep"));
    }
    match value {
        LuaValue::Nil => Ok(Value::Null),
        LuaValue::Boolean(flag) => Ok(Value::Bool(*flag)),
        LuaValue::Integer(number) => Ok(Value::from(*number)),
        LuaValue::Number(number) => number_to_json(*number),
        LuaValue::String(text) => Ok(Value::String(text.to_string_lossy())),
        LuaValue::Table(table) => table_to_json(table, depth),
        _ => Err(LuaError::NoJson("a value that is no JSON")),
    }
}

/// Whole numbers are integers, as they were before they came into Lua.
fn number_to_json(number: f64) -> Result<Value, LuaError> {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    if number.fract() == 0.0 && number.abs() <= EXACT {
        #[expect(
            clippy::cast_possible_truncation,
            reason = "whole and within the range where both agree"
        )]
        return Ok(Value::from(number as i64));
    }
    Number::from_f64(number)
        .map(Value::Number)
        .ok_or(LuaError::NoJson("a number that is not finite"))
}

/// Keys 1 to n make a list; an empty table is an empty list.
fn table_to_json(table: &Table, depth: usize) -> Result<Value, LuaError> {
    let length = table.raw_len();
    let mut items = Vec::new();
    let mut fields = Map::new();
    for pair in table.pairs::<LuaValue, LuaValue>() {
        let (key, item) = pair.map_err(|_| LuaError::NoJson("a table that cannot be read"))?;
        match key {
            LuaValue::String(name) => {
                fields.insert(name.to_string_lossy(), to_json(&item, depth + 1)?);
            }
            LuaValue::Integer(_) | LuaValue::Number(_) if fields.is_empty() => {
                items.push((key, item));
            }
            _ => return Err(LuaError::NoJson("a table that mixes names and numbers")),
        }
    }
    if !fields.is_empty() {
        if items.is_empty() {
            return Ok(Value::Object(fields));
        }
        return Err(LuaError::NoJson("a table that mixes names and numbers"));
    }
    if items.len() != length {
        return Err(LuaError::NoJson("a list with gaps"));
    }
    let mut list = Vec::with_capacity(length);
    for index in 1..=length {
        let item: LuaValue = table
            .raw_get(index)
            .map_err(|_| LuaError::NoJson("a table that cannot be read"))?;
        list.push(to_json(&item, depth + 1)?);
    }
    Ok(Value::Array(list))
}

/// An empty table is an object, unless it was a list before.
pub(super) fn empty_tables_as_objects(new: &mut Value, old: Option<&Value>, depth: usize) {
    if depth > DEPTH {
        return;
    }
    match new {
        Value::Array(items) if items.is_empty() && !old.is_some_and(Value::is_array) => {
            *new = Value::Object(Map::new());
        }
        Value::Array(items) => {
            for (index, item) in items.iter_mut().enumerate() {
                empty_tables_as_objects(item, old.and_then(|old| old.get(index)), depth + 1);
            }
        }
        Value::Object(fields) => {
            for (name, field) in fields {
                empty_tables_as_objects(field, old.and_then(|old| old.get(name)), depth + 1);
            }
        }
        _ => {}
    }
}

pub(super) fn restore_empty_objects(new: &mut Value, old: &Value, depth: usize) {
    if depth > DEPTH {
        return;
    }
    match (new, old) {
        (new @ Value::Array(_), Value::Object(_)) if new.as_array().is_some_and(Vec::is_empty) => {
            *new = Value::Object(Map::new());
        }
        (Value::Array(new), Value::Array(old)) => {
            for (new, old) in new.iter_mut().zip(old) {
                restore_empty_objects(new, old, depth + 1);
            }
        }
        (Value::Object(new), Value::Object(old)) => {
            for (name, new) in new {
                if let Some(old) = old.get(name) {
                    restore_empty_objects(new, old, depth + 1);
                }
            }
        }
        _ => {}
    }
}
