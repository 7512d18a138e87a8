//! The actions that come with the binary.

mod argo;
mod cloud_native_pg;
mod fields;
mod flux;
mod icons;
mod operators;
mod switches;
mod workloads;

use serde_json::Value;

use super::{ActionError, ActionInfo, Call, Change, row::Row};

/// Applies `look` to each row of a kind until it finds something.
fn rows<T>(group: &str, kind: &str, mut look: impl FnMut(&Row) -> Option<T>) -> Option<T> {
    let fixed = [
        workloads::ROWS,
        argo::ROWS,
        cloud_native_pg::ROWS,
        operators::ROWS,
    ]
    .into_iter()
    .flatten();
    let found = fixed
        .filter(|row| row.covers(group, kind))
        .find_map(&mut look);
    found.or_else(|| {
        let (group, kinds) = flux::KINDS.iter().find(|(known, _)| *known == group)?;
        let rows = flux::rows(group, kinds);
        rows.iter()
            .filter(|row| row.covers(group, kind))
            .find_map(look)
    })
}

pub(super) fn list(group: &str, kind: &str, object: &Value) -> Vec<ActionInfo> {
    let mut infos = Vec::new();
    let all: Option<()> = rows(group, kind, |row| {
        infos.extend(row.info(object));
        None
    });
    debug_assert!(all.is_none());
    infos
}

pub(super) fn run(
    group: &str,
    kind: &str,
    name: &str,
    call: &Call<'_>,
) -> Result<Vec<Change>, ActionError> {
    let done = rows(group, kind, |row| (row.name == name).then(|| row.run(call)));
    done.unwrap_or_else(|| Err(ActionError::Disabled(name.to_owned())))
}
