use proptest::prelude::*;
use serde_json::json;

use super::*;

fn render(text: &str) -> Result<String, String> {
    let data = json!({"Input": {"a": "x", "n": 1, "list": [1, 2, 3]}});
    Template::parse(text)
        .and_then(|template| template.render(&data))
        .map_err(|error| error.to_string())
}

#[test]
fn errors_are_readable() {
    assert_eq!(
        render("{{ nosuch 1 }}").unwrap_err(),
        "template failed: undefined function: nosuch"
    );
    assert_eq!(
        render("a {{ end }} b").unwrap_err(),
        "template cannot be parsed: unexpected {{end}} or {{else}}: not all of the text was read"
    );
    assert_eq!(
        render("{{ upper 5 }}").unwrap_err(),
        "template failed: execution error: upper: argument 1 of upper must be a string, not int"
    );
    assert!(
        render("{{ .Input")
            .unwrap_err()
            .starts_with("template cannot be parsed: ")
    );
}

#[test]
fn nothing_of_the_surroundings_is_offered() {
    for name in [
        "env \"HOME\"",
        "expandenv \"$HOME\"",
        "getHostByName \"x\"",
        "randAlpha 3",
        "now",
    ] {
        assert!(render(&format!("{{{{ {name} }}}}")).is_err(), "{name}");
    }
}

#[test]
fn the_clock_is_given() {
    let template = Template::parse("{{ now | date \"2006-01-02\" }} {{ ago 1709164795 }}").unwrap();
    let now = "2024-02-29T00:00:00Z".parse().unwrap();
    assert_eq!(
        template.render_at(&json!({}), now).unwrap(),
        "2024-02-29 5s"
    );
}

#[test]
fn costs_are_bounded() {
    for expensive in [
        "{{ range until 1000000000 }}{{ end }}",
        "{{ range until 1000 }}{{ range until 1000 }}x{{ end }}{{ end }}",
        "{{ repeat 1000000000 \"abc\" }}",
        "{{ $s := \"ab\" }}{{ range until 60 }}{{ $s = print $s $s }}{{ end }}{{ $s }}",
        "{{ $s := \"ab\" }}{{ range until 60 }}{{ $s = printf \"%s%s\" $s $s }}{{ end }}{{ $s }}",
        "{{ $s := \"ab\" }}{{ range until 60 }}{{ $s = printf \"%[1]s%[1]s\" $s }}{{ end }}{{ $s }}",
        "{{ $s := \"a<b\" }}{{ range until 60 }}{{ $s = html $s $s }}{{ end }}{{ $s }}",
        "{{ $s := \"ab\" }}{{ range until 60 }}{{ $s = cat $s $s }}{{ end }}{{ $s }}",
        "{{ $l := list 1 }}{{ range until 60 }}{{ $l = concat $l $l }}{{ end }}{{ $l }}",
        "{{ $l := list 1 }}{{ range until 60 }}{{ $l = list $l $l }}{{ end }}{{ $l }}",
        "{{ $l := list 1 }}{{ range until 50000 }}{{ $l = list $l }}{{ end }}{{ $l }}",
        "{{ $l := dict }}{{ range until 50000 }}{{ $l = dict \"a\" $l }}{{ end }}{{ $l }}",
        "{{ $s := \"a\" }}{{ range until 90 }}{{ $s = replace \"a\" \"aa\" $s }}{{ end }}{{ $s }}",
        "{{ $s := \"a\" }}{{ range until 90 }}{{ $s = regexReplaceAll \".*\" $s \"$0$0\" }}{{ end }}{{ $s }}",
        "{{ $s := \"a\" }}{{ range until 90000 }}{{ $s = indent 1000 $s }}{{ end }}{{ $s }}",
        "{{ printf \"%999999d\" 1 }}",
        "{{ range until 90000 }}{{ printf \"%9999d\" 1 }}{{ end }}",
        "{{ define \"t\" }}{{ template \"t\" . }}{{ end }}{{ template \"t\" . }}",
        "{{ regexMatch \"((a{1000}){1000}){1000}\" \"a\" | ternary 1 2 | upper }}",
    ] {
        assert!(render(expensive).is_err(), "{expensive}");
    }
    assert!(render(&"{{ if true }}".repeat(3_000)).is_err());
    assert!(
        render(&format!(
            "{{{{ {}1{} }}}}",
            "(".repeat(5_000),
            ")".repeat(5_000)
        ))
        .is_err()
    );
    assert!(render(&"x".repeat(MAX_LENGTH + 1)).is_err());
    assert_eq!(render("{{ printf \"%9d\" 1 }}").unwrap(), "        1");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]
    #[test]
    fn no_text_panics(text in "(\\{\\{-?|-?\\}\\}|[a-z .|$:=\"`()0-9]){0,24}") {
        let _ = render(&text);
    }

    #[test]
    fn no_call_panics(
        name in prop::sample::select(sprig::names().collect::<Vec<_>>()),
        args in prop::collection::vec(prop::sample::select(vec![
            "1", "0", "-1", "2.5", "9223372036854775807", "-9223372036854775808", "\"\"", "\"a\"", "\"é,b\"", "\"2024-01-01\"",
            "true", ".Input", ".Input.list", ".Input.n", ".nothing", "(list)", "(dict)", "(list 1 2)", "\"2006-01-02\"", "\"[\"", "\"(.)\"",
            "1e308", "\"1h\"", "(dict \"a\" 1)",
        ]), 0..4),
    ) {
        let result = render(&format!("{{{{ {name} {} }}}}", args.join(" ")));
        // The engine catches panics of functions.
        prop_assert!(!result.is_err_and(|error| error.contains("panicked")));
    }
}
