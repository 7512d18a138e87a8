//! Feature flags: what a step makes of them, and when they are put back.

use jiff::SignedDuration;
use serde_json::json;

use super::{
    facts,
    planner::{Planner, after},
};
use crate::rollout::{
    flags::{FlagEdit, FlagKey, FlagState, FlagStep, Flags, Holder, PLUGIN, SavedFlag, edited},
    observed::{Canary, Step},
};

/// Pause before a flag is read again after a write.
const READ_AGAIN: SignedDuration = SignedDuration::from_millis(200);

/// Gives back the flags that a canary edited before the strategy changed.
pub(super) fn blue_green(planner: &mut Planner<'_>) {
    planner.flags.clear();
    let Some(flags) = planner.observed.flags.clone() else {
        return;
    };
    for (at, _, saved) in own(&flags) {
        planner.note(format!("flag {} gets its former definition back", at.flag));
        planner.flags.push(FlagEdit {
            at: at.clone(),
            definition: saved.before.clone(),
            saved: None,
        });
    }
}

/// The flags that the Rollout itself edited.
fn own(flags: &Flags) -> impl Iterator<Item = (&FlagKey, &FlagState, &SavedFlag)> {
    flags.iter().filter_map(|(at, state)| {
        let saved = state.saved.as_ref()?;
        (saved.holder == Holder::Own).then_some((at, state, saved))
    })
}

/// Decides what becomes of the flags. The last round of a pass counts.
pub(super) fn canary(planner: &mut Planner<'_>, canary: &Canary) {
    planner.flags.clear();
    let Some(flags) = planner.observed.flags.clone() else {
        return;
    };
    for (at, state, saved) in own(&flags) {
        let is_current = saved.hash == planner.newest_hash();
        let (definition, why) = if planner.aborted() || !is_current {
            (saved.before.clone(), "gets its former definition back")
        } else if planner.is_stable() {
            (
                state.definition.clone(),
                "keeps its definition, the update is complete",
            )
        } else {
            continue;
        };
        planner.note(format!("flag {} {why}", at.flag));
        planner.flags.push(FlagEdit {
            at: at.clone(),
            definition,
            saved: None,
        });
    }
    let is_at_rest = planner.aborted() || planner.is_stable() || planner.is_halted();
    if let Some((index, Step::FeatureFlag(step))) = facts::current_step(planner, canary)
        && !is_at_rest
        && !planner.flags.iter().any(|edit| edit.at == step.at)
    {
        edit(planner, canary, &flags, index, step);
    }
}

fn edit(planner: &mut Planner<'_>, canary: &Canary, flags: &Flags, index: i32, step: &FlagStep) {
    let Some(state) = flags.get(&step.at) else {
        return;
    };
    let before = state
        .saved
        .as_ref()
        .map_or(&state.definition, |saved| &saved.before);
    let wanted = edited(before, &until(canary, index, &step.at));
    if wanted == state.definition {
        return;
    }
    planner.note(format!(
        "flag {} is edited for {}",
        step.at.flag, step.variant
    ));
    let root = &planner.observed.root;
    let saved = SavedFlag {
        rollout: root.key().name,
        uid: root.uid().to_owned(),
        hash: planner.newest_hash(),
        before: before.clone(),
        holder: Holder::Own,
    };
    planner.flags.push(FlagEdit {
        at: step.at.clone(),
        definition: wanted,
        saved: Some(saved),
    });
}

/// The steps up to `index`, inclusive, that edit the flag.
fn until<'c>(canary: &'c Canary, index: i32, at: &FlagKey) -> Vec<&'c FlagStep> {
    let count = usize::try_from(index).unwrap_or_default() + 1;
    let steps = canary.steps.iter().take(count);
    let of_flag = steps.filter_map(|step| match step {
        Step::FeatureFlag(step) if step.at == *at => Some(&**step),
        _ => None,
    });
    of_flag.collect()
}

/// True when the flag says what the step asks for.
pub(super) fn is_set(planner: &Planner<'_>, canary: &Canary, step: &FlagStep) -> bool {
    let Some(flags) = &planner.observed.flags else {
        // Without a cluster there is nothing to wait for.
        return true;
    };
    let index = facts::current_step(planner, canary).map_or(0, |(index, _)| index);
    flags.get(&step.at).is_some_and(|state| {
        let before = state
            .saved
            .as_ref()
            .map_or(&state.definition, |saved| &saved.before);
        let is_ours = state
            .saved
            .as_ref()
            .is_none_or(|saved| saved.hash == planner.newest_hash());
        is_ours && edited(before, &until(canary, index, &step.at)) == state.definition
    })
}

/// The edits as actions, one for each ConfigMap, and the ConfigMaps with something to restore in the
/// status: a later manifest may not name them any more. Called once, after the last round.
pub(super) fn record(planner: &mut Planner<'_>) {
    let Some(flags) = &planner.observed.flags else {
        return;
    };
    let mut kept: Vec<String> = Vec::new();
    for (at, state) in flags {
        let edit = planner.flags.iter().find(|edit| edit.at == *at);
        let own = state
            .saved
            .as_ref()
            .is_some_and(|saved| saved.holder == Holder::Own);
        if (own || edit.is_some()) && !kept.contains(&at.config_map) {
            kept.push(at.config_map.clone());
        }
    }
    let statuses: Vec<_> = kept
        .iter()
        .enumerate()
        .map(|(index, name)| {
            json!({"index": index, "name": PLUGIN, "operation": "Run", "phase": "Running", "status": {"configMap": name}})
        })
        .collect();
    planner.status.canary.step_plugin_statuses = (!statuses.is_empty()).then(|| json!(statuses));
    if !planner.flags.is_empty() {
        // The next pass reads what was written before anything follows from it.
        planner.wake_at(after(planner.now, READ_AGAIN));
    }
}
