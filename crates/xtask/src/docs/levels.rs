//! What the ledgers say about a field that is named by a pattern.

use reconcile_core::fields::{Field, Level};

/// The verdict on one field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FieldLevel {
    pub(super) level: Level,
    pub(super) note: &'static str,
}

/// The verdict of the row that speaks for `path`: its own, or the nearest one above it. A field that
/// is coarser than the ledger's rows is supported in part.
pub(super) fn verdict(path: &str, fields: &[&'static Field]) -> Option<FieldLevel> {
    let path = base(path);
    let speaks = |field: &&&Field| {
        let own = base(field.path);
        path == own || is_below(path, own)
    };
    let nearest = fields
        .iter()
        .filter(speaks)
        .max_by_key(|field| base(field.path).len());
    if let Some(field) = nearest {
        return Some(FieldLevel {
            level: field.level,
            note: field.note,
        });
    }
    let below =
        |field: &&Field| is_below(base(field.path), path) && field.level == Level::Supported;
    fields.iter().any(below).then_some(FieldLevel {
        level: Level::Supported,
        note: "in part",
    })
}

/// The path without the mark of a subtree.
pub(super) fn base(path: &str) -> &str {
    path.strip_suffix(".**").unwrap_or(path)
}

fn is_below(path: &str, parent: &str) -> bool {
    path.strip_prefix(parent)
        .is_some_and(|rest| rest.starts_with(['.', '[']))
}
