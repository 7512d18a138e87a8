//! The plan of an Experiment on objects that were read from files.

use std::fmt::Write as _;

use jiff::Timestamp;

use super::{observe::observe, plan};
use crate::{
    api::experiment::Experiment,
    offline::explanation::{state, write_plan},
    rollout::observe::Sources,
};

/// What the controller would do with `root`, and why. The error says why it would refuse it.
pub(crate) fn explain(
    sources: &Sources,
    root: &Experiment,
    now: Timestamp,
) -> Result<String, String> {
    let observed = observe(sources, root).map_err(|error| error.to_string())?;
    let status = &observed.status;
    let mut text = String::new();
    let _ = writeln!(
        text,
        "  is:   {}",
        state(status.phase.as_str(), &status.message)
    );
    let plan::Decision {
        plan,
        status,
        events,
    } = plan::decide(&observed, now);
    let acted = plan.actions.iter().flat_map(plan::Action::events);
    write_plan(&mut text, &plan, acted.chain(events));
    let _ = writeln!(
        text,
        "  then: {}",
        state(status.phase.as_str(), &status.message)
    );
    Ok(text)
}
