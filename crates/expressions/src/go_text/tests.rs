use super::*;

#[test]
fn floats_print_as_go_prints_them() {
    for (value, text) in [
        (1.0, "1"),
        (0.1, "0.1"),
        (123_456.5, "123456.5"),
        (1e6, "1e+06"),
        (1e21, "1e+21"),
        (1.5e-5, "1.5e-05"),
        (0.0001, "0.0001"),
        (-0.0, "-0"),
        (f64::NAN, "NaN"),
        (f64::NEG_INFINITY, "-Inf"),
    ] {
        assert_eq!(float(value), text);
    }
}

#[test]
fn durations_survive_a_round_trip() {
    for text in ["1h0m0s", "1m30s", "250ms", "1.5s", "-2h0m0.5s", "3ns", "0s"] {
        assert_eq!(duration::format(duration::parse(text).unwrap()), text);
    }
    assert_eq!(duration::parse("1.5h").unwrap(), 5400 * duration::SECOND);
    for bad in [
        "",
        "1",
        "h",
        "1x",
        "1h ",
        "--1s",
        "9223372036854775808ns",
        ".",
    ] {
        assert!(duration::parse(bad).is_err(), "{bad}");
    }
}

#[test]
fn layouts_format_and_parse() {
    let time = time::parse(
        time::RFC3339,
        "2024-02-29T13:04:05Z",
        &jiff::tz::TimeZone::UTC,
    )
    .unwrap();
    for (layout, text) in [
        ("Mon Jan _2 15:04:05 2006", "Thu Feb 29 13:04:05 2024"),
        ("3:04PM", "1:04PM"),
        ("02/01/06 pm", "29/02/24 pm"),
        ("2006-01-02T15:04:05.000Z07:00", "2024-02-29T13:04:05.000Z"),
        ("-0700 MST", "+0000 UTC"),
        ("002", "060"),
    ] {
        assert_eq!(time::format(&time, layout), text);
    }
}

#[test]
fn json_is_sorted_and_escaped() {
    let value = serde_json::json!({"b": [1, 2.5], "a": "<&>", "c": {}});
    assert_eq!(
        json::to_string(&value, json::COMPACT),
        r#"{"a":"\u003c\u0026\u003e","b":[1,2.5],"c":{}}"#
    );
    assert_eq!(
        json::to_string(&value, json::INDENTED),
        "{\n  \"a\": \"\\u003c\\u0026\\u003e\",\n  \"b\": [\n    1,\n    2.5\n  ],\n  \"c\": {}\n}"
    );
}
