//! `render`: what would be applied.

use std::io::Write;

use reconcile_core::yaml;

use super::{CliError, RenderArgs, application, source, warn};

pub(super) fn run(args: &RenderArgs, out: &mut impl Write) -> Result<(), CliError> {
    for app in application::read(&args.file, &args.source.namespace)? {
        let rendered = source::targets(&app, &args.source, args.revision.as_deref())?;
        for id in &rendered.set.repeated {
            warn(&format!(
                "warning: {id} is described more than once; the last one counts"
            ));
        }
        for remark in &rendered.set.remarks {
            warn(&format!("warning: {remark}"));
        }
        for id in &rendered.set.excluded {
            warn(&format!("warning: {id} is of a kind that is never managed"));
        }
        for unsupported in &rendered.set.unsupported {
            warn(&format!("warning: not supported yet: {unsupported}"));
        }
        for target in &rendered.set.targets {
            write!(out, "---\n{}", yaml::to_string(&target.value()))?;
        }
    }
    Ok(())
}
