//! One machine for one run.

use std::time::Instant;

use jiff::Timestamp;
use mlua::{
    Function, HookTriggers, Lua, LuaOptions, MultiValue, StdLib, Table, Value as LuaValue, VmState,
};
use serde_json::Value;

use super::{Libraries, Limits, LuaError, Script, convert, strings};

/// Instructions between two looks at the clock.
const INSTRUCTIONS: u32 = 10_000;
/// Name of the script in Lua's messages.
const CHUNK: &str = "script";
/// What a script must not reach: the machine itself, other sources of code, and what outlives a deadline.
const FORBIDDEN: &[&str] = &[
    "collectgarbage",
    "coroutine",
    "dofile",
    "load",
    "loadfile",
    "loadstring",
    "module",
    "newproxy",
    "package",
];
const TIME_IS_UP: &str = "time is up";

pub(super) fn check(source: &str, limits: &Limits) -> Result<(), LuaError> {
    if source.len() > limits.source {
        return Err(LuaError::TooLong(limits.source));
    }
    let failed = |error| explain(&error, false, limits);
    let lua = Lua::new_with(StdLib::NONE, LuaOptions::default()).map_err(failed)?;
    let compiled = compile(&lua, source);
    compiled.map(drop).map_err(failed)
}

pub(super) fn run(
    script: &Script<'_>,
    globals: &[(&str, &Value)],
    now: Timestamp,
    limits: &Limits,
) -> Result<Value, LuaError> {
    if script.source.len() > limits.source {
        return Err(LuaError::TooLong(limits.source));
    }
    let deadline = Instant::now() + limits.time;
    let value = evaluate(script, globals, now, limits, deadline);
    let late = Instant::now() >= deadline;
    match value {
        Ok((_lua, value)) => convert::to_json(&value, 0),
        Err(error) => Err(explain(&error, late, limits)),
    }
}

/// The machine comes back with the value, because the value lives in it.
fn evaluate(
    script: &Script<'_>,
    globals: &[(&str, &Value)],
    now: Timestamp,
    limits: &Limits,
    deadline: Instant,
) -> mlua::Result<(Lua, LuaValue)> {
    let libraries = match script.libraries {
        Libraries::Safe => StdLib::TABLE | StdLib::OS,
        Libraries::Open | Libraries::Bounded => {
            StdLib::TABLE | StdLib::OS | StdLib::STRING | StdLib::MATH
        }
    };
    let lua = Lua::new_with(libraries, LuaOptions::new().catch_rust_panics(false))?;
    lua.set_memory_limit(limits.memory)?;
    confine(&lua, now, deadline)?;
    if script.libraries == Libraries::Bounded {
        strings::confine(&lua)?;
    }
    for (name, value) in globals {
        lua.globals()
            .raw_set(*name, convert::to_lua(&lua, value, 0)?)?;
    }
    let triggers = HookTriggers::new().every_nth_instruction(INSTRUCTIONS);
    lua.set_hook(triggers, move |_, _| {
        in_time(deadline).map(|()| VmState::Continue)
    })?;
    let value = compile(&lua, script.source)?.call(())?;
    Ok((lua, value))
}

fn compile(lua: &Lua, source: &str) -> mlua::Result<Function> {
    let chunk = lua.load(source).set_name(format!("={CHUNK}"));
    chunk.set_mode(mlua::chunk::ChunkMode::Text).into_function()
}

fn in_time(deadline: Instant) -> mlua::Result<()> {
    if Instant::now() < deadline {
        return Ok(());
    }
    Err(mlua::Error::RuntimeError(TIME_IS_UP.to_owned()))
}

/// Removes what is forbidden, and gives the script a clock that is stopped.
fn confine(lua: &Lua, now: Timestamp, deadline: Instant) -> mlua::Result<()> {
    let globals = lua.globals();
    for name in FORBIDDEN {
        globals.raw_set(*name, LuaValue::Nil)?;
    }
    let print = lua.create_function(|_, _: MultiValue| Ok(()))?;
    globals.raw_set("print", print)?;
    let os = clock(lua, now)?;
    globals.raw_set("os", os)?;
    let require = lua.create_function(|lua, name: String| {
        match lua.globals().raw_get::<LuaValue>(name.as_str())? {
            library @ LuaValue::Table(_) if name != "_G" && name != "obj" => Ok(library),
            _ => Err(mlua::Error::RuntimeError(format!(
                "module '{name}' not found"
            ))),
        }
    })?;
    globals.raw_set("require", require)?;
    // A script that catches the error of its own deadline would never end.
    for name in ["pcall", "xpcall"] {
        let protected: Function = globals.raw_get(name)?;
        let bounded = lua.create_function(move |_, arguments: MultiValue| {
            let results: MultiValue = protected.call(arguments)?;
            in_time(deadline)?;
            Ok(results)
        })?;
        globals.raw_set(name, bounded)?;
    }
    Ok(())
}

/// `os.date` and `os.time`, with `now` where the script names no time.
fn clock(lua: &Lua, now: Timestamp) -> mlua::Result<Table> {
    let system: Table = lua.globals().raw_get("os")?;
    let (date, time): (Function, Function) = (system.raw_get("date")?, system.raw_get("time")?);
    let os = lua.create_table()?;
    let seconds = now.as_second();
    let date = lua.create_function(move |_, (format, at): (Option<String>, Option<f64>)| {
        let format = format.unwrap_or_else(|| "%c".to_owned());
        // The library trusts the conversions that it hands to C.
        if !is_plain_date_format(&format) {
            return Err(mlua::Error::RuntimeError(format!(
                "os.date: conversion in {format:?} is not supported"
            )));
        }
        #[expect(
            clippy::cast_precision_loss,
            reason = "seconds of any real date are exact"
        )]
        let at = at.unwrap_or(seconds as f64);
        date.call::<LuaValue>((format, at))
    })?;
    os.raw_set("date", date)?;
    let time = lua.create_function(move |_, parts: Option<Table>| match parts {
        Some(parts) => time.call::<LuaValue>(parts),
        #[expect(
            clippy::cast_precision_loss,
            reason = "seconds of any real date are exact"
        )]
        None => Ok(LuaValue::Number(seconds as f64)),
    })?;
    os.raw_set("time", time)?;
    Ok(os)
}

fn is_plain_date_format(format: &str) -> bool {
    let mut letters = format.chars();
    while let Some(letter) = letters.next() {
        if letter == '%'
            && !letters
                .next()
                .is_some_and(|next| "aAbBcdDFHIjmMpSTUwWxXyYZz%".contains(next))
        {
            return false;
        }
    }
    format.len() <= 256
}

/// Lua writes `script:3: what`; a person wants the line apart.
fn explain(error: &mlua::Error, late: bool, limits: &Limits) -> LuaError {
    if late {
        return LuaError::TooSlow(limits.time);
    }
    let text = match error {
        mlua::Error::MemoryError(_) => return LuaError::TooBig(limits.memory),
        mlua::Error::RuntimeError(text) => text.clone(),
        mlua::Error::SyntaxError { message, .. } => message.clone(),
        mlua::Error::CallbackError { cause, .. } => return explain(cause, late, limits),
        other => other.to_string(),
    };
    // The rest is a trace of the machine's own frames.
    let text = text.split("\nstack traceback:").next().unwrap_or(&text);
    let located = text
        .strip_prefix(CHUNK)
        .and_then(|rest| rest.strip_prefix(':'))
        .and_then(|rest| rest.split_once(": "))
        .and_then(|(line, reason)| Some((line.parse().ok()?, reason)));
    match located {
        Some((line, reason)) => LuaError::Failed {
            line,
            reason: reason.to_owned(),
        },
        None => LuaError::Other(text.to_owned()),
    }
}
