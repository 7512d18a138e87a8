//! What EventSources of each kind cost in memory: one row for each kind.

use std::fmt::Write as _;

use super::cells;
use crate::bench::book::{Measurement, Run};

/// The table of a run.
pub(super) fn table(page: &mut String, run: &Run) {
    page.push_str(
        "A process that has a bus, and then so many EventSources of one kind that wait, each in a fresh process. What one \
         of them adds is the difference of the resident memory, divided; it holds what the first one of a kind costs, too.\n\n",
    );
    page.push_str(
        "| kind | engine | EventSources | idle RSS / PSS | with them RSS / PSS | each adds |\n|---|---|---|---|---|---|\n",
    );
    for one in &run.measurements {
        let count = if one.complete() {
            one.objects.to_string()
        } else {
            format!("**{} of {} deployed**", one.done, one.objects)
        };
        let _ = writeln!(
            page,
            "| `{}` | {} | {count} | {} | {} | {} |",
            one.title,
            one.engine,
            cells::memory(one.idle),
            cells::memory(one.after),
            added(one),
        );
    }
    page.push('\n');
}

/// KiB that one object adds.
fn added(one: &Measurement) -> String {
    if one.done == 0 {
        return String::new();
    }
    let grown = one.after.rss_kib.saturating_sub(one.idle.rss_kib);
    format!("{} KiB", grown / one.done)
}
