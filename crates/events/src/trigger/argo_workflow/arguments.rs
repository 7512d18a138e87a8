//! Options of a submission, as the `argo` command takes them. One that is not known here is refused, never
//! ignored.

use reconcile_core::object::FieldError;
use serde_json::{Value, json};

/// What the options change of a Workflow.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Arguments {
    name: Option<String>,
    generate_name: Option<String>,
    entrypoint: Option<String>,
    service_account: Option<String>,
    labels: Vec<(String, String)>,
    parameters: Vec<(String, String)>,
}

impl Arguments {
    /// Reads the list at `path`: `--name x`, `--name=x` and `-p x=y`.
    pub(super) fn parse(path: &str, args: &[String]) -> Result<Self, FieldError> {
        let mut found = Self::default();
        let mut rest = args.iter().enumerate();
        while let Some((index, option)) = rest.next() {
            let wrong = |message: String| FieldError::new(format!("{path}[{index}]"), message);
            // Written with a space in one text, as upstream's examples do.
            let split = option.split_once(['=', ' ']);
            let (option, value) = match split {
                Some((option, value)) if option.starts_with('-') => {
                    (option, value.trim().to_owned())
                }
                _ => match rest.next() {
                    Some((_, value)) => (option.as_str(), value.clone()),
                    None => return Err(wrong(format!("{option:?} has no value"))),
                },
            };
            let pair = |value: &str| match value.split_once('=') {
                Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
                _ => Err(wrong(format!("{value:?} is not NAME=VALUE"))),
            };
            match option {
                "-p" | "--parameter" => found.parameters.push(pair(&value)?),
                "-l" | "--labels" => {
                    for label in value.split(',') {
                        found.labels.push(pair(label)?);
                    }
                }
                "--name" => found.name = Some(value),
                "--generate-name" => found.generate_name = Some(value),
                "--entrypoint" => found.entrypoint = Some(value),
                "--serviceaccount" => found.service_account = Some(value),
                other => {
                    let message = format!(
                        "{other:?} is not supported; there are --parameter, --labels, --name, --generate-name, --entrypoint and --serviceaccount"
                    );
                    return Err(wrong(message));
                }
            }
        }
        Ok(found)
    }

    /// Changes a Workflow. A value that is not the object it should be is left to the API server to refuse.
    pub(super) fn apply(&self, workflow: &mut Value) {
        if !["metadata", "spec"]
            .iter()
            .all(|part| workflow[*part].is_object())
        {
            return;
        }
        if let Some(name) = &self.name {
            workflow["metadata"]["name"] = json!(name);
        }
        if let Some(prefix) = &self.generate_name {
            workflow["metadata"]["generateName"] = json!(prefix);
        }
        if let Some(entrypoint) = &self.entrypoint {
            workflow["spec"]["entrypoint"] = json!(entrypoint);
        }
        if let Some(account) = &self.service_account {
            workflow["spec"]["serviceAccountName"] = json!(account);
        }
        for (name, value) in &self.labels {
            let labels = &mut workflow["metadata"]["labels"];
            if labels.is_null() || labels.is_object() {
                labels[name.as_str()] = json!(value);
            }
        }
        if self.parameters.is_empty() {
            return;
        }
        let arguments = &mut workflow["spec"]["arguments"];
        if !arguments.is_null() && !arguments.is_object() {
            return;
        }
        if !arguments["parameters"].is_array() {
            arguments["parameters"] = json!([]);
        }
        let Some(list) = arguments["parameters"].as_array_mut() else {
            return;
        };
        for (name, value) in &self.parameters {
            match list.iter_mut().find(|known| known["name"] == name.as_str()) {
                Some(known) => *known = json!({"name": name, "value": value}),
                None => list.push(json!({"name": name, "value": value})),
            }
        }
    }
}
