//! JSON text as Go's `encoding/json` writes it: sorted keys, `<`, `>` and `&` escaped.

use serde_json::Value;

/// Layout and escaping of the text.
#[derive(Debug, Clone, Copy)]
pub struct Style {
    /// Spaces per level; zero keeps everything on one line.
    pub indent: usize,
    /// Whether `<`, `>`, `&` are written as `\u003c` and so on, as Go does by default.
    pub escape_html: bool,
}

/// One line, HTML characters escaped: `json.Marshal`.
pub const COMPACT: Style = Style {
    indent: 0,
    escape_html: true,
};
/// Two spaces per level: `json.MarshalIndent(v, "", "  ")`.
pub const INDENTED: Style = Style {
    indent: 2,
    escape_html: true,
};
/// One line, nothing but the necessary escaped.
pub const RAW: Style = Style {
    indent: 0,
    escape_html: false,
};

/// Writes `value` in the given style.
pub fn to_string(value: &Value, style: Style) -> String {
    let mut out = String::new();
    write(&mut out, value, style, 0);
    out
}

fn write(out: &mut String, value: &Value, style: Style, level: usize) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(b) => out.push_str(if *b { "true" } else { "false" }),
        Value::Number(number) => out.push_str(&number_text(number)),
        Value::String(text) => write_text(out, text, style.escape_html),
        Value::Array(items) => {
            write_block(out, ('[', ']'), style, level, items, |out, item| {
                write(out, item, style, level + 1);
            });
        }
        Value::Object(map) => {
            write_block(out, ('{', '}'), style, level, map, |out, (key, item)| {
                write_text(out, key, style.escape_html);
                out.push_str(if style.indent > 0 { ": " } else { ":" });
                write(out, item, style, level + 1);
            });
        }
    }
}

fn write_block<T>(
    out: &mut String,
    brackets: (char, char),
    style: Style,
    level: usize,
    items: impl IntoIterator<Item = T>,
    mut write_item: impl FnMut(&mut String, T),
) {
    out.push(brackets.0);
    let mut any = false;
    for item in items {
        if any {
            out.push(',');
        }
        any = true;
        new_line(out, style, level + 1);
        write_item(out, item);
    }
    if any {
        new_line(out, style, level);
    }
    out.push(brackets.1);
}

fn new_line(out: &mut String, style: Style, level: usize) {
    if style.indent > 0 {
        out.push('\n');
        out.extend(std::iter::repeat_n(' ', style.indent * level));
    }
}

fn number_text(number: &serde_json::Number) -> String {
    match number.as_f64() {
        Some(value) if number.is_f64() => super::shortest(value, -6, 21).replace("e-0", "e-"),
        _ => number.to_string(),
    }
}

/// Appends `text` as a JSON string.
pub fn write_text(out: &mut String, text: &str, escape_html: bool) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '<' | '>' | '&' if escape_html => {
                super::escape(out, "\\u", 4, c);
            }
            '\u{2028}' | '\u{2029}' => super::escape(out, "\\u", 4, c),
            c if u32::from(c) < 0x20 => super::escape(out, "\\u", 4, c),
            c => out.push(c),
        }
    }
    out.push('"');
}
