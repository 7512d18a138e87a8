//! Lua 5.1 scripts: health checks and actions of administrators, filters and transforms of Sensors.
//!
//! A script is a function from JSON values to one JSON value. It gets its globals, returns a value, and
//! nothing is left of it. What it cannot do:
//!
//! - reach files, processes, the environment, C modules or bytecode, whatever its libraries are
//! - run longer than [`Limits::time`] or hold more than [`Limits::memory`]; the time of one call into the
//!   string library is not bounded with [`Libraries::Open`], which is for administrators
//! - see another clock than the one it is given
//!
//! ```
//! use expressions::lua::{Limits, Libraries, Script, run};
//! use serde_json::json;
//!
//! let script = Script { source: "return {status = obj.status.phase}", libraries: Libraries::Safe };
//! let object = json!({"status": {"phase": "Healthy"}});
//! let now = jiff::Timestamp::UNIX_EPOCH;
//! let value = run(&script, &[("obj", &object)], now, &Limits::default()).unwrap();
//! assert_eq!(value, json!({"status": "Healthy"}));
//! ```

mod convert;
mod machine;
mod pattern;
mod strings;

#[cfg(test)]
mod tests;

use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;

/// A script and what it may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Script<'a> {
    /// The text.
    pub source: &'a str,
    /// The libraries in reach.
    pub libraries: Libraries,
}

/// The libraries that a script sees.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Libraries {
    /// The base functions, `table`, and `os.date` and `os.time`.
    #[default]
    Safe,
    /// `string` and `math` too.
    Open,
    /// `math`, and `string` with a budget of work for patterns and repetitions: for scripts that nobody trusts.
    Bounded,
}

/// Bounds of one run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Longest run.
    pub time: Duration,
    /// Most memory, in bytes.
    pub memory: usize,
    /// Longest source, in bytes.
    pub source: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            time: Duration::from_secs(1),
            memory: 64 << 20,
            source: 256 << 10,
        }
    }
}

/// Why a script has no value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LuaError {
    /// It is no Lua, or it failed while it ran.
    #[error("line {line}: {reason}")]
    Failed {
        /// The line, counted from 1.
        line: usize,
        /// What went wrong, in Lua's words.
        reason: String,
    },
    /// It failed at no line in particular.
    #[error("{0}")]
    Other(String),
    /// It ran too long.
    #[error("the script runs longer than {0:?}")]
    TooSlow(Duration),
    /// It holds too much.
    #[error("the script uses more than {0} bytes of memory")]
    TooBig(usize),
    /// The source is too long.
    #[error("the script has more than {0} bytes")]
    TooLong(usize),
    /// The value has no form in JSON.
    #[error("the script returns {0}")]
    NoJson(&'static str),
}

/// Runs a script with these globals. The value is that of its `return`; without one it is null.
pub fn run(
    script: &Script<'_>,
    globals: &[(&str, &Value)],
    now: Timestamp,
    limits: &Limits,
) -> Result<Value, LuaError> {
    machine::run(script, globals, now, limits)
}

/// Checks that the source is Lua, without running it.
pub fn check(source: &str) -> Result<(), LuaError> {
    machine::check(source, &Limits::default())
}

/// A table that is empty in Lua has lost whether it was a list or an object: gives every such list in `new`
/// that was an object in `old` its form back.
pub fn restore_empty_objects(new: &mut Value, old: &Value) {
    convert::restore_empty_objects(new, old, 0);
}

/// Tables that are empty in Lua are objects in `new`, except where `old` has a list at the same place.
pub fn empty_tables_as_objects(new: &mut Value, old: &Value) {
    convert::empty_tables_as_objects(new, Some(old), 0);
}
