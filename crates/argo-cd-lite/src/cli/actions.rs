//! `actions`: what can be done with an object, and what that would change.

use std::{collections::BTreeMap, io::Write, path::Path};

use reconcile_core::clock::Clock;
use serde_json::json;

use super::{ActionsArgs, ActionsCommand, CliError, health::write_line, input};
use crate::actions::{Call, Change, list, run as run_action};

pub(super) fn run(args: &ActionsArgs, out: &mut impl Write) -> Result<(), CliError> {
    match &args.command {
        ActionsCommand::List { file, settings } => show(file, settings.as_deref(), out),
        ActionsCommand::Run {
            name,
            file,
            settings,
            params,
        } => {
            let settings = input::settings(settings.as_deref())?;
            let mut objects = input::objects(file)?;
            let (Some(read), true) = (objects.pop(), objects.is_empty()) else {
                return Err(CliError::Input {
                    file: file.display().to_string(),
                    reason: "an action runs on one object; the file holds none or several".into(),
                });
            };
            let params = parse_params(params)?;
            let call = Call {
                object: &read.object,
                params: &params,
                now: Clock::system().now(),
            };
            for change in run_action(&settings, name, &call)? {
                let line = match change {
                    Change::Patch(patch) => json!({"operation": "patch", "patch": patch}),
                    Change::PatchStatus(patch) => {
                        json!({"operation": "patch", "subresource": "status", "patch": patch})
                    }
                    Change::Create(resource) => {
                        json!({"operation": "create", "resource": resource})
                    }
                };
                write_line(out, &line)?;
            }
            Ok(())
        }
    }
}

fn show(file: &Path, settings: Option<&Path>, out: &mut impl Write) -> Result<(), CliError> {
    let settings = input::settings(settings)?;
    let now = Clock::system().now();
    for read in input::objects(file)? {
        let object = &read.object;
        for info in list(&settings, object, now)? {
            let mut line = json!(info);
            line["kind"] = object["kind"].clone();
            line["namespace"] = object["metadata"]["namespace"]
                .as_str()
                .unwrap_or_default()
                .into();
            line["object"] = object["metadata"]["name"].clone();
            write_line(out, &line)?;
        }
    }
    Ok(())
}

fn parse_params(params: &[String]) -> Result<BTreeMap<String, String>, CliError> {
    let pair = |text: &String| {
        let (name, value) = text.split_once('=').ok_or_else(|| {
            CliError::Usage(format!("parameter {text:?}: write it as NAME=VALUE"))
        })?;
        Ok((name.to_owned(), value.to_owned()))
    };
    params.iter().map(pair).collect()
}
