//! `health`: what the controller thinks of live objects.

use std::{io::Write, sync::Arc};

use kube::api::ObjectMeta;
use reconcile_core::clock::Clock;
use serde::Serialize;
use serde_json::Value;

use super::{CliError, HealthArgs, input, input::FileObject};
use crate::health::{Checks, Subject};

/// One line of the answer.
#[derive(Serialize)]
struct Line<'a> {
    group: &'a str,
    version: &'a str,
    kind: &'a str,
    namespace: &'a str,
    name: &'a str,
    status: Option<&'static str>,
    message: Option<String>,
}

pub(super) fn run(args: &HealthArgs, out: &mut impl Write) -> Result<(), CliError> {
    let mut settings = input::settings(args.settings.as_deref())?;
    settings.standard_conditions |= args.standard_conditions;
    let checks = Checks::new(Arc::new(settings), Clock::system());
    for read in input::objects(&args.file)? {
        assess(&checks, &read, out)?;
    }
    Ok(())
}

fn assess(checks: &Checks, read: &FileObject, out: &mut impl Write) -> Result<(), CliError> {
    let object = &read.object;
    let metadata: ObjectMeta =
        serde_json::from_value(object["metadata"].clone()).map_err(|error| CliError::Input {
            file: read.file.clone(),
            reason: format!("metadata: {error}"),
        })?;
    let api = object["apiVersion"].as_str().unwrap_or_default();
    let (group, version) = api.split_once('/').unwrap_or(("", api));
    let kind = object["kind"].as_str().unwrap_or_default();
    let health = checks.assess(&Subject {
        group,
        version,
        kind,
        metadata: &metadata,
        body: object,
    });
    let line = Line {
        group,
        version,
        kind,
        namespace: metadata.namespace.as_deref().unwrap_or_default(),
        name: metadata.name.as_deref().unwrap_or_default(),
        status: health.as_ref().map(|health| health.code.word()),
        message: health.map(|health| health.text().to_owned()),
    };
    write_line(out, &line)
}

/// Writes one line of JSON.
pub(super) fn write_line(out: &mut impl Write, line: &impl Serialize) -> Result<(), CliError> {
    let value: Value = serde_json::to_value(line).map_err(std::io::Error::from)?;
    writeln!(out, "{value}")?;
    Ok(())
}
