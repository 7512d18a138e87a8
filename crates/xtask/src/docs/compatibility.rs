//! `docs/compatibility.md`: a row per field of every kind.

use std::{collections::BTreeMap, fmt::Write as _};

use reconcile_core::fields::{Field, Level};

use super::{
    levels::{FieldLevel, base, verdict},
    status,
};
use crate::{crd::Row, kinds::Kind};

const INTRODUCTION: &str = "\
# Compatibility

<!-- Written by `cargo xtask docs` from the operators' support ledgers and the tables of the kinds. -->

A row per field of the eleven kinds, under upstream's names.

| | |
|---|---|
| ✓ supported | means what it means upstream |
| ● reported | recognised and without effect; a condition on the object says so when a manifest sets it |
| ○ planned | as reported today; support is intended |

Nothing is ignored silently: a field with ● or ○, and a field that this table does not know, is named in a condition of
the object that sets it. `[]` stands for each element of a list, `{*}` for each key of a map, `.**` for everything below.
A type named in the last column has its fields listed once, under *SharedRows types*.

";

/// Note of kinds that no operator reads yet.
const NOT_READ: &str = "the kind is not acted on yet; a condition on each object says so";

/// Fields of the named types that are listed once, with their types.
type SharedRows = BTreeMap<String, Vec<(String, String)>>;

pub(super) fn page(kinds: &[Kind]) -> String {
    let mut out = String::from(INTRODUCTION);
    let mut shared = SharedRows::new();
    let mut sections = String::new();
    let _ = writeln!(
        out,
        "| kind | supported | reported | planned |\n|---|---|---|---|"
    );
    for kind in kinds {
        let rows = rows(kind, &mut shared);
        let count = |level| {
            rows.iter()
                .filter(|(_, verdict)| verdict.level == level)
                .count()
        };
        let _ = writeln!(
            out,
            "| [{}](#{}) | {} | {} | {} |",
            kind.name,
            kind.name.to_lowercase(),
            count(Level::Supported),
            count(Level::Reported),
            count(Level::Planned),
        );
        let _ = writeln!(
            sections,
            "\n## {}\n\n| field | | |\n|---|---|---|",
            kind.name
        );
        for (path, verdict) in rows {
            write_row(&mut sections, &path, verdict);
        }
    }
    out.push_str(&sections);
    let _ = writeln!(
        out,
        "\n## SharedRows types\n\nA field of these is what the table that names the type says about it."
    );
    for (name, rows) in shared {
        let _ = writeln!(out, "\n### {name}\n\n| field | type |\n|---|---|");
        for (path, kind) in rows {
            let _ = writeln!(out, "| `{path}` | {kind} |");
        }
    }
    out
}

fn write_row(out: &mut String, path: &str, verdict: FieldLevel) {
    let mark = match verdict.level {
        Level::Supported => "✓",
        Level::Reported => "●",
        Level::Planned | Level::Unknown => "○",
    };
    // A path of a shared type carries the type's name behind a blank.
    let (path, type_name) = path.split_once(' ').unwrap_or((path, ""));
    let note = match (verdict.note, type_name) {
        (note, "") => note.to_owned(),
        ("", name) => format!("*{name}*"),
        (note, name) => format!("{note}; *{name}*"),
    };
    let _ = writeln!(out, "| `{path}` | {mark} {} | {note} |", verdict.level);
}

/// All fields of a kind with their verdicts. `shared` collects types that are listed once.
fn rows(kind: &Kind, shared: &mut SharedRows) -> Vec<(String, FieldLevel)> {
    let ledger: Vec<&'static Field> = match kind.ledger() {
        Some(ledger) => ledger.fields().chain(status::fields(&kind.name)).collect(),
        None => Vec::new(),
    };
    let known = kind.ledger().is_some();
    let judge = |row: &Row| judge(row, &ledger, known);
    let all = kind.table().rows();
    let mut out = Vec::new();
    let mut at = 0;
    while at < all.len() {
        let row = &all[at];
        let length = 1 + all[at + 1..]
            .iter()
            .take_while(|other| below(other, row))
            .count();
        let leaves: Vec<&Row> = all[at..at + length]
            .iter()
            .filter(|row| !row.has_children)
            .collect();
        let own = judge(row);
        let copied = own.level == Level::Supported && row.path.starts_with("status.");
        let uniform = leaves.iter().all(|leaf| judge(leaf) == own);
        let named = is_named(row);
        if named && uniform && copied {
            // The fields are listed where users write them.
            out.push((format!("{}.**", row.path), own));
            at += length;
            continue;
        }
        if named && uniform && own.level != Level::Supported {
            out.push((format!("{}.** {}", row.path, row.kind), own));
            share(&all[at..at + length], shared);
            at += length;
            continue;
        }
        if !row.has_children {
            out.push((row.path.clone(), own));
        }
        at += 1;
    }
    out
}

/// Lists the type of the first of `rows`, with those that it names in turn.
fn share(rows: &[Row], shared: &mut SharedRows) {
    let Some((top, rest)) = rows.split_first() else {
        return;
    };
    if shared.contains_key(&top.kind) {
        return;
    }
    shared.insert(top.kind.clone(), Vec::new());
    let mut fields = Vec::new();
    let mut at = 0;
    while at < rest.len() {
        let row = &rest[at];
        let length = 1 + rest[at + 1..]
            .iter()
            .take_while(|other| below(other, row))
            .count();
        if is_named(row) {
            fields.push((short(&row.path, &top.path), format!("*{}*", row.kind)));
            share(&rest[at..at + length], shared);
            at += length;
            continue;
        }
        if !row.has_children {
            fields.push((short(&row.path, &top.path), format!("`{}`", row.kind)));
        }
        at += 1;
    }
    shared.insert(top.kind.clone(), fields);
}

/// True for a row of a named type.
fn is_named(row: &Row) -> bool {
    row.has_children && row.kind != "object"
}

fn judge(row: &Row, ledger: &[&'static Field], known: bool) -> FieldLevel {
    if !known {
        return FieldLevel {
            level: Level::Planned,
            note: NOT_READ,
        };
    }
    verdict(&row.path, ledger).unwrap_or(FieldLevel {
        level: Level::Planned,
        note: "",
    })
}

fn below(row: &Row, parent: &Row) -> bool {
    row.path
        .strip_prefix(base(&parent.path))
        .is_some_and(|rest| rest.starts_with(['.', '[']))
}

/// The path below the type it belongs to.
fn short(path: &str, parent: &str) -> String {
    path.strip_prefix(parent)
        .unwrap_or(path)
        .trim_start_matches('.')
        .to_owned()
}

/// Fields of the kinds that have no ledger.
#[cfg(all(test, feature = "operators"))]
pub(super) fn without_verdict(kinds: &[Kind]) -> Vec<String> {
    let mut missing = Vec::new();
    for kind in kinds {
        let Some(ledger) = kind.ledger() else {
            continue;
        };
        let fields: Vec<&'static Field> =
            ledger.fields().chain(status::fields(&kind.name)).collect();
        let leaves = kind
            .table()
            .rows()
            .into_iter()
            .filter(|row| !row.has_children);
        let silent = leaves.filter(|row| verdict(&row.path, &fields).is_none());
        missing.extend(silent.map(|row| format!("{} {}", kind.name, row.path)));
    }
    missing
}

/// Rows of ledgers that name no field of the kind.
#[cfg(all(test, feature = "operators"))]
pub(super) fn without_field(kinds: &[Kind]) -> Vec<String> {
    let mut stray = Vec::new();
    for kind in kinds {
        let rows = kind.table().rows();
        let Some(ledger) = kind.ledger() else {
            continue;
        };
        for field in ledger.fields().chain(status::fields(&kind.name)) {
            let path = base(field.path);
            let open = |row: &&Row| {
                row.path.ends_with(".**")
                    && path
                        .strip_prefix(base(&row.path))
                        .is_some_and(|rest| rest.starts_with(['.', '[']))
            };
            let same = |row: &&Row| {
                let full = base(&row.path);
                full == path
                    || full
                        .strip_prefix(path)
                        .is_some_and(|rest| rest.starts_with(['.', '[']))
            };
            if !rows.iter().any(|row| same(&row) || open(&row)) {
                stray.push(format!("{} {}", kind.name, field.path));
            }
        }
    }
    stray
}
