//! Templates of sensors, and the tags of analysis arguments.

use expressions::{arguments, gotemplate::Template};
use fuzz::Material;
use jiff::Timestamp;
use serde_json::json;

const MATERIAL: Material = Material {
    examples: &[
        "{{ .Input.body.name | upper | quote }}",
        "{{ range $i, $v := .Input.list }}{{ $i }}={{ $v }}{{ else }}none{{ end }}",
        "{{- if and .a (eq 1 2) -}}x{{ else if true }}y{{ end }}",
        "{{ define \"t\" }}{{ . }}{{ end }}{{ template \"t\" (dict \"a\" 1) }}",
        "{{ printf \"%05d %q\" 7 \"x\" }}",
        "{{args.name}} and {{ args.other }}",
        "{{ now | date \"2006-01-02\" }}",
    ],
    tokens: &[
        "{{",
        "}}",
        "{{-",
        "-}}",
        "(",
        ")",
        "|",
        "$",
        ":=",
        ".",
        "\"",
        "`",
        "{{ end }}",
        "{{ if true }}",
        "{{ range until 9 }}",
        "{{ else }}",
        "{{ with . }}",
        "/*",
        "*/",
        " index ",
        " printf ",
        "%[1]v",
        "%99999d",
        " list ",
        " dict ",
        " fromJson ",
        " regexReplaceAll ",
    ],
};

#[test]
fn go_template() {
    let data = json!({"Input": {"body": {"name": "x"}, "list": [1, 2.5, null]}});
    fuzz::run(MATERIAL, |text| {
        if let Ok(template) = Template::parse(text) {
            let _ = template.render_at(&data, Timestamp::UNIX_EPOCH);
        }
        let _ = arguments::substitute_args(text, |name| (name == "name").then_some("a\"b"));
    });
}
