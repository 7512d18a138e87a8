//! What scripts can do, and what they cannot.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{Libraries, Limits, LuaError, Script, check, restore_empty_objects, run};

fn evaluate(source: &str, obj: &Value) -> Result<Value, LuaError> {
    evaluate_with(source, obj, Libraries::Safe, &Limits::default())
}

fn evaluate_with(
    source: &str,
    obj: &Value,
    libraries: Libraries,
    limits: &Limits,
) -> Result<Value, LuaError> {
    let now: Timestamp = "2026-03-04T05:06:07Z".parse().expect("a time");
    run(&Script { source, libraries }, &[("obj", obj)], now, limits)
}

#[test]
fn values_keep_their_form() {
    let object = json!({"list": [1, 2.5, "x"], "deep": {"flag": true, "none": null}, "empty": {}});
    let mut back = evaluate("return obj", &object).expect("a value");
    assert_eq!(
        back,
        json!({"list": [1, 2.5, "x"], "deep": {"flag": true}, "empty": []})
    );
    restore_empty_objects(&mut back, &object);
    assert_eq!(back["empty"], json!({}));
    assert_eq!(evaluate("return nil", &object), Ok(Value::Null));
    assert_eq!(evaluate("local x = 1", &object), Ok(Value::Null));
}

#[test]
fn a_health_check_reads_conditions() {
    let source = r#"
        local hs = {}
        for i, c in ipairs(obj.status.conditions) do
          if c.type == "Ready" then hs.status = "Healthy"; hs.message = c.message end
        end
        return hs"#;
    let object =
        json!({"status": {"conditions": [{"type": "X"}, {"type": "Ready", "message": "m"}]}});
    assert_eq!(
        evaluate(source, &object),
        Ok(json!({"status": "Healthy", "message": "m"}))
    );
}

#[test]
fn errors_name_the_line() {
    assert_eq!(
        evaluate("\n\nreturn obj.status.phase", &json!({})),
        Err(LuaError::Failed {
            line: 3,
            reason: "attempt to index field 'status' (a nil value)".into()
        })
    );
    assert_eq!(
        evaluate("error('replicas is required', 0)", &json!({})),
        Err(LuaError::Other("replicas is required".into()))
    );
    let syntax = check("x = = 1").map_err(|error| error.to_string());
    assert!(syntax.is_err_and(|text| text.starts_with("line 1: ")));
    assert_eq!(check("return 1"), Ok(()));
}

#[test]
fn the_clock_is_stopped() {
    let date = r#"local os = require("os"); return os.date("!%Y-%m-%dT%XZ")"#;
    assert_eq!(
        evaluate(date, &json!({})),
        Ok(json!("2026-03-04T05:06:07Z"))
    );
    assert_eq!(
        evaluate("return os.time()", &json!({})),
        Ok(json!(1_772_600_767))
    );
    assert!(evaluate(r#"return os.date("%E9")"#, &json!({})).is_err());
}

#[test]
fn nothing_outside_is_in_reach() {
    for source in [
        "return io.open('/etc/passwd')",
        "return os.execute('true')",
        "return os.getenv('HOME')",
        "return loadstring('return 1')()",
        "return dofile('/etc/passwd')",
        "return require('io')",
        "return require('package')",
        "return package.loadlib('x', 'y')",
        "return coroutine.create(print)",
        "return debug.getinfo(1)",
        "return string.rep('x', 9)",
    ] {
        assert!(evaluate(source, &json!({})).is_err(), "{source}");
    }
    let open = |source| evaluate_with(source, &json!({}), Libraries::Open, &Limits::default());
    assert_eq!(open("return string.rep('x', 3)"), Ok(json!("xxx")));
    assert!(open("return io.open('/etc/passwd')").is_err());
    assert!(open("return os.execute('true')").is_err());
}

#[test]
fn time_and_memory_are_bounded() {
    let limits = Limits {
        time: Duration::from_millis(50),
        memory: 4 << 20,
        ..Limits::default()
    };
    let bounded = |source| evaluate_with(source, &json!({}), Libraries::Open, &limits);
    for endless in [
        "while true do end",
        "while true do pcall(function() while true do end end) end",
        "local function f() return xpcall(f, f) end f() while true do end",
    ] {
        assert_eq!(
            bounded(endless),
            Err(LuaError::TooSlow(limits.time)),
            "{endless}"
        );
    }
    // Memory ends these scripts, however slow the machine is.
    let limits = Limits {
        time: Duration::from_mins(2),
        ..limits
    };
    let bounded = |source| evaluate_with(source, &json!({}), Libraries::Open, &limits);
    assert_eq!(
        bounded("return string.rep('x', 2^24)"),
        Err(LuaError::TooBig(limits.memory))
    );
    assert!(bounded("local t = {} ; for i = 1, 1e9 do t[i] = {} end").is_err());
}

#[test]
fn what_is_no_json_is_an_error() {
    for source in [
        "return print",
        "return 0/0",
        "return {1, x = 2}",
        "return {[1] = 1, [5] = 5}",
        "local t = {} ; t.t = t ; return t",
    ] {
        let value = evaluate(source, &json!({}));
        assert!(matches!(value, Err(LuaError::NoJson(_))), "{source}");
    }
}

fn bounded(source: &str) -> Result<Value, LuaError> {
    let script = Script {
        source,
        libraries: Libraries::Bounded,
    };
    run(&script, &[], Timestamp::UNIX_EPOCH, &Limits::default())
}

#[test]
fn patterns_with_a_budget_answer_as_those_of_the_library() {
    let open = |source: &str| {
        let script = Script {
            source,
            libraries: Libraries::Open,
        };
        run(&script, &[], Timestamp::UNIX_EPOCH, &Limits::default())
    };
    for call in [
        r#"string.find("hello world", "o w")"#,
        r#"string.find("hello", "l+")"#,
        r#"string.find("a.b", ".", 1, true)"#,
        r#"string.find("a[b", "[", 1, true)"#,
        r#"string.find("abc", "b", -1)"#,
        r#"string.find("", "")"#,
        r#"string.match("key = value", "^(%w+)%s*=%s*(%w+)$")"#,
        r#"string.match("  trim  ", "^%s*(.-)%s*$")"#,
        r#"string.match("2026-01-02", "(%d+)-(%d+)-(%d+)")"#,
        r#"string.match("f(a(b)c)d", "%b()")"#,
        r#"string.match("THE (quick) fox", "%f[%a]%a+", 5)"#,
        r#"string.match("aXbXa", "(a)X.-X%1")"#,
        r#"string.match("abc", "()b()")"#,
        r#"string.match("x]y", "[]x]+")"#,
        r#"string.match("a-b_c", "[%w_-]+")"#,
        r#"string.match("refs/heads/main", "refs/heads/(.*)")"#,
        r#"string.match("abc", "[^a-b]")"#,
        r#"string.match("abc", "x?bc")"#,
        r#"string.match("none", "%d")"#,
        r#"string.gsub("hello world", "o", "0")"#,
        r#"string.gsub("hello", "", "-")"#,
        r#"string.gsub("abc", "%w", "%0%0", 2)"#,
        r#"string.gsub("$name is $age", "%$(%w+)", {name = "ann", age = 7})"#,
        r#"string.gsub("abc", "b", function(x) return x:upper() end)"#,
        r#"string.gsub("abc", "^a", "x")"#,
        r#"string.gsub("a,b", "(%w),(%w)", "%2,%1")"#,
        r#"("x"):rep(3)"#,
    ] {
        let source = format!("return {{{call}}}");
        // A nil in the middle makes no list; none of these has one.
        assert_eq!(bounded(&source), open(&source), "{call}");
    }
    let words = "local t = {} for k, v in string.gmatch('a=1, b=2', '(%w+)=(%w+)') do t[k] = v end return t";
    assert_eq!(bounded(words), open(words));
    for wrong in ["'[a'", "'%'", "'(a'", "'%1'"] {
        let failed = bounded(&format!("return string.match('abc', {wrong})"));
        assert!(
            matches!(failed, Err(LuaError::Failed { .. } | LuaError::Other(_))),
            "{wrong}: {failed:?}"
        );
    }
}

#[test]
fn no_call_of_the_bounded_library_takes_long() {
    for source in [
        r#"return string.find(("a"):rep(50), ("a?"):rep(50) .. ("a"):rep(50) .. "b")"#,
        r#"return string.match(("a"):rep(1000), (".-"):rep(30) .. "b")"#,
        r#"return ("x"):rep(1e9)"#,
        r#"return string.find(("a"):rep(1e6), ("a"):rep(5e5) .. "b", 1, true)"#,
        r#"return string.gsub(("a"):rep(1e6), "a", ("b"):rep(100))"#,
        "while true do end",
    ] {
        assert!(bounded(source).is_err(), "{source}");
    }
    assert_eq!(
        bounded("return string.dump == nil and os.exit == nil and io == nil"),
        Ok(true.into())
    );
}

#[test]
fn empty_tables_become_objects_where_no_list_was() {
    let old = serde_json::json!({"list": [], "map": {}});
    let mut new = serde_json::json!({"list": [], "map": [], "new": []});
    super::empty_tables_as_objects(&mut new, &old);
    assert_eq!(new, serde_json::json!({"list": [], "map": {}, "new": {}}));
}
