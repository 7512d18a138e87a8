//! Results of very large syncs, in less space.
//!
//! The results of an operation are the memory of the engine: an object without one is still to be applied. Those of
//! more than about 11,000 objects do not fit into an Application. Then results that only say how far a plain object is
//! become one row for all objects that are equally far, which holds a short hash of each.

use std::collections::HashMap;

use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};
use sha2::{Digest, Sha256};

use super::Task;
use crate::api::{Phase, ResourceResult};

/// Kind of a row that stands for many; no object has it.
const MANY: &str = "argo-cd-lite/CompactResults";
/// Bytes of a hash. Of 50,000 objects two have the same with a probability of 1 to 100,000; the second one would wait
/// for the next sync.
const BYTES: usize = 6;

type Hash = [u8; BYTES];

fn hash(parts: [&str; 5]) -> Hash {
    let mut all = Sha256::new();
    for part in parts {
        all.update(part);
        all.update([0]);
    }
    let mut short = [0; BYTES];
    short.copy_from_slice(&all.finalize()[..BYTES]);
    short
}

/// Makes one row of all that say the same of plain objects that did not fail.
pub fn compact(rows: &mut Vec<ResourceResult>) {
    let mut groups: Vec<(String, Option<Phase>, Vec<u8>)> = Vec::new();
    rows.retain(|row| {
        let plain = row.hook_type.is_empty() && row.kind != MANY;
        if !plain || row.hook_phase.is_some_and(Phase::unsuccessful) {
            return true;
        }
        let group = groups
            .iter()
            .position(|(status, phase, _)| *status == row.status && *phase == row.hook_phase);
        let at = group.unwrap_or_else(|| {
            groups.push((row.status.clone(), row.hook_phase, Vec::new()));
            groups.len() - 1
        });
        groups[at].2.extend(hash([
            &row.group,
            &row.kind,
            &row.namespace,
            &row.name,
            &row.sync_phase,
        ]));
        false
    });
    rows.extend(
        groups
            .into_iter()
            .map(|(status, phase, hashes)| ResourceResult {
                kind: MANY.to_owned(),
                name: format!("{} objects", hashes.len() / BYTES),
                message: STANDARD_NO_PAD.encode(hashes),
                status,
                hook_phase: phase,
                ..ResourceResult::default()
            }),
    );
}

/// The results of `tasks` with a row for each object again.
pub fn expand(rows: &[ResourceResult], tasks: &[Task]) -> Vec<ResourceResult> {
    let mut known: HashMap<Hash, &ResourceResult> = HashMap::new();
    for many in rows.iter().filter(|row| row.kind == MANY) {
        let hashes = STANDARD_NO_PAD.decode(&many.message).unwrap_or_default();
        let (whole, _) = hashes.as_chunks::<BYTES>();
        known.extend(whole.iter().map(|hash| (*hash, many)));
    }
    let mut all: Vec<ResourceResult> = rows
        .iter()
        .filter(|row| row.kind != MANY)
        .cloned()
        .collect();
    if known.is_empty() {
        return all;
    }
    for task in tasks.iter().filter(|task| !task.is_hook()) {
        let id = &task.id;
        let many = known.get(&hash([
            &id.kind.group,
            &id.kind.kind,
            &id.namespace,
            &id.name,
            task.phase.word(),
        ]));
        all.extend(many.map(|many| ResourceResult {
            status: many.status.clone(),
            hook_phase: many.hook_phase,
            ..task.new_row()
        }));
    }
    all
}

#[cfg(test)]
mod tests {
    use super::{super::tests::apply_tasks, *};

    #[test]
    fn what_is_compacted_is_found_again() {
        let tasks = apply_tasks(20_000);
        let mut rows: Vec<ResourceResult> = tasks
            .iter()
            .take(15_000)
            .map(|task| ResourceResult {
                status: "Synced".to_owned(),
                hook_phase: Some(Phase::Succeeded),
                ..task.new_row()
            })
            .collect();
        rows[3].hook_phase = Some(Phase::Running);
        rows[5].hook_phase = Some(Phase::Failed);
        rows[7].hook_type = "Sync".to_owned();
        let before = rows.clone();
        compact(&mut rows);
        assert_eq!(rows.len(), 4, "a failure, a hook, two kinds of progress");
        let size = serde_json::to_string(&rows).expect("JSON").len();
        assert!(size < 15_000 * 9, "{size}");
        let mut found = expand(&rows, &tasks);
        let mut before = before;
        for rows in [&mut found, &mut before] {
            rows.sort_by(|a, b| a.name.cmp(&b.name));
        }
        assert_eq!(found, before);
        // Once more, after a write.
        compact(&mut found);
        assert_eq!(expand(&found, &tasks).len(), 15_000);
    }

    #[test]
    fn a_row_that_somebody_changed_is_no_result() {
        let row = ResourceResult {
            kind: MANY.to_owned(),
            message: "no base64!".to_owned(),
            ..ResourceResult::default()
        };
        assert!(expand(&[row], &apply_tasks(2)).is_empty());
    }
}
