//! The string library for scripts that nobody trusts: what searches or repeats has a budget of work.

use std::{cell::Cell, rc::Rc};

use mlua::{Function, Lua, LuaString, MultiValue, Table, Value as LuaValue};

use super::pattern::{Capture, Match, search};

/// Steps of all patterns of one run.
const WORK: u64 = 5_000_000;
/// Largest text that is repeated, in bytes.
const LONGEST: usize = 1 << 20;
/// Functions that stay as the library has them: their work is that of copying their arguments.
const KEPT: &[&str] = &[
    "byte", "char", "format", "len", "lower", "reverse", "sub", "upper",
];

fn failed(reason: impl Into<String>) -> mlua::Error {
    mlua::Error::RuntimeError(reason.into())
}

/// Replaces what searches and repeats, and takes away the rest.
pub(super) fn confine(lua: &Lua) -> mlua::Result<()> {
    let library: Table = lua.globals().raw_get("string")?;
    let names: Vec<String> = library
        .pairs::<String, LuaValue>()
        .map(|pair| pair.map(|(name, _)| name))
        .collect::<mlua::Result<_>>()?;
    for name in names.iter().filter(|name| !KEPT.contains(&name.as_str())) {
        library.raw_set(name.as_str(), LuaValue::Nil)?;
    }
    let work = Rc::new(Cell::new(WORK));
    library.raw_set("rep", lua.create_function(repeat)?)?;
    for (name, captures) in [("find", false), ("match", true)] {
        let work = work.clone();
        let function =
            lua.create_function(move |lua, arguments| find(lua, arguments, captures, &work))?;
        library.raw_set(name, function)?;
    }
    let budget = work.clone();
    library.raw_set(
        "gmatch",
        lua.create_function(move |lua, arguments| each(lua, arguments, &budget))?,
    )?;
    library.raw_set(
        "gsub",
        lua.create_function(move |lua, arguments| replace(lua, arguments, &work))?,
    )
}

fn repeat(lua: &Lua, (text, count): (LuaString, i64)) -> mlua::Result<LuaString> {
    let text = text.as_bytes().to_vec();
    let count = usize::try_from(count).unwrap_or(0);
    if text.len().saturating_mul(count) > LONGEST {
        return Err(failed("resulting string too large"));
    }
    lua.create_string(text.repeat(count))
}

fn seek(text: &[u8], pattern: &[u8], from: usize, work: &Cell<u64>) -> mlua::Result<Option<Match>> {
    let mut left = work.get();
    let found = search(text, pattern, from, &mut left);
    work.set(left);
    found.map_err(failed)
}

/// `init` of a search, counted from 0.
fn start(init: Option<i64>, length: usize) -> usize {
    let init = init.unwrap_or(1);
    let at = if init < 0 {
        length.saturating_sub(usize::try_from(init.unsigned_abs()).unwrap_or(usize::MAX))
    } else {
        usize::try_from(init)
            .unwrap_or(usize::MAX)
            .saturating_sub(1)
    };
    at.min(length)
}

fn position(at: usize) -> LuaValue {
    #[expect(
        clippy::cast_precision_loss,
        reason = "texts are far shorter than 2^52"
    )]
    LuaValue::Number(at as f64)
}

/// What a match captured, or all of it when the pattern captures nothing.
fn captures(lua: &Lua, text: &[u8], found: &Match, whole: bool) -> mlua::Result<Vec<LuaValue>> {
    let mut values = Vec::new();
    for capture in &found.captures {
        values.push(match capture {
            Capture::Bytes(start, length) => {
                LuaValue::String(lua.create_string(&text[*start..start + length])?)
            }
            Capture::Open(at) | Capture::Place(at) => position(at + 1),
        });
    }
    if values.is_empty() && whole {
        values.push(LuaValue::String(
            lua.create_string(&text[found.start..found.end])?,
        ));
    }
    Ok(values)
}

type FindArguments = (LuaString, LuaString, Option<i64>, Option<bool>);

fn find(
    lua: &Lua,
    (text, pattern, init, plain): FindArguments,
    only_captures: bool,
    work: &Cell<u64>,
) -> mlua::Result<MultiValue> {
    let (text, mut pattern) = (text.as_bytes().to_vec(), pattern.as_bytes().to_vec());
    if plain == Some(true) && !only_captures {
        pattern = pattern.iter().flat_map(|byte| escaped(*byte)).collect();
    }
    let found = seek(&text, &pattern, start(init, text.len()), work)?;
    let Some(found) = found else {
        return Ok(MultiValue::from_vec(vec![LuaValue::Nil]));
    };
    let mut values = Vec::new();
    if !only_captures {
        values.extend([position(found.start + 1), position(found.end)]);
    }
    values.extend(captures(lua, &text, &found, only_captures)?);
    Ok(MultiValue::from_vec(values))
}

/// A byte as a pattern that matches it only.
fn escaped(byte: u8) -> Vec<u8> {
    if byte.is_ascii_punctuation() {
        vec![b'%', byte]
    } else {
        vec![byte]
    }
}

fn each(
    lua: &Lua,
    (text, pattern): (LuaString, LuaString),
    work: &Rc<Cell<u64>>,
) -> mlua::Result<Function> {
    let (text, pattern) = (text.as_bytes().to_vec(), pattern.as_bytes().to_vec());
    let (next, work) = (Cell::new(0), work.clone());
    lua.create_function(move |lua, _: MultiValue| {
        if next.get() > text.len() {
            return Ok(MultiValue::from_vec(vec![LuaValue::Nil]));
        }
        let Some(found) = seek(&text, &pattern, next.get(), &work)? else {
            next.set(text.len() + 1);
            return Ok(MultiValue::from_vec(vec![LuaValue::Nil]));
        };
        // An empty match moves on.
        next.set(if found.end == found.start {
            found.end + 1
        } else {
            found.end
        });
        Ok(MultiValue::from_vec(captures(lua, &text, &found, true)?))
    })
}

type ReplaceArguments = (LuaString, LuaString, LuaValue, Option<i64>);

fn replace(
    lua: &Lua,
    (text, pattern, with, most): ReplaceArguments,
    work: &Cell<u64>,
) -> mlua::Result<(LuaString, f64)> {
    let (text, pattern) = (text.as_bytes().to_vec(), pattern.as_bytes().to_vec());
    let most = most.map_or(usize::MAX, |most| usize::try_from(most).unwrap_or(0));
    let (mut out, mut at, mut count) = (Vec::new(), 0, 0_u32);
    while usize::try_from(count).is_ok_and(|count| count < most) && at <= text.len() {
        let Some(found) = seek(&text, &pattern, at, work)? else {
            break;
        };
        out.extend_from_slice(&text[at..found.start]);
        count += 1;
        replacement(lua, &text, &found, &with, &mut out)?;
        if out.len() > LONGEST {
            return Err(failed("resulting string too large"));
        }
        at = found.end;
        if found.end == found.start {
            // An empty match moves on, past one byte that stays.
            out.extend(text.get(at));
            at += 1;
        }
        if pattern.first() == Some(&b'^') {
            break;
        }
    }
    out.extend_from_slice(text.get(at..).unwrap_or_default());
    Ok((lua.create_string(out)?, f64::from(count)))
}

/// Appends what stands for a match.
fn replacement(
    lua: &Lua,
    text: &[u8],
    found: &Match,
    with: &LuaValue,
    out: &mut Vec<u8>,
) -> mlua::Result<()> {
    let whole = &text[found.start..found.end];
    let values = captures(lua, text, found, true)?;
    let value = match with {
        LuaValue::String(template) => return expand(whole, &values, &template.as_bytes(), out),
        LuaValue::Integer(_) | LuaValue::Number(_) => with.clone(),
        LuaValue::Table(table) => table.get(values[0].clone())?,
        LuaValue::Function(function) => function.call(MultiValue::from_vec(values))?,
        _ => {
            return Err(failed(
                "bad argument #3 to 'gsub' (string/function/table expected)",
            ));
        }
    };
    match value {
        LuaValue::Nil | LuaValue::Boolean(false) => out.extend_from_slice(whole),
        LuaValue::String(text) => out.extend_from_slice(&text.as_bytes()),
        LuaValue::Integer(number) => out.extend(number.to_string().bytes()),
        LuaValue::Number(number) => out.extend(number.to_string().bytes()),
        other => {
            return Err(failed(format!(
                "invalid replacement value (a {})",
                other.type_name()
            )));
        }
    }
    Ok(())
}

/// Appends a replacement with its `%0` to `%9`.
fn expand(
    whole: &[u8],
    values: &[LuaValue],
    template: &[u8],
    out: &mut Vec<u8>,
) -> mlua::Result<()> {
    let mut bytes = template.iter();
    while let Some(byte) = bytes.next() {
        if *byte != b'%' {
            out.push(*byte);
            continue;
        }
        match bytes.next() {
            Some(b'0') => out.extend_from_slice(whole),
            Some(digit) if digit.is_ascii_digit() => match values.get(usize::from(digit - b'1')) {
                Some(LuaValue::String(text)) => out.extend_from_slice(&text.as_bytes()),
                Some(LuaValue::Number(at)) => out.extend(at.to_string().bytes()),
                _ => return Err(failed("invalid capture index in replacement string")),
            },
            Some(other) => out.push(*other),
            None => return Err(failed("invalid use of '%' in replacement string")),
        }
    }
    Ok(())
}
