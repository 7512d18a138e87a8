//! Jsonnet files: what they import, and their evaluation by a process of our own program.

mod error;
mod evaluate;

use std::{collections::BTreeMap, time::Duration};

use super::{
    MAX_MANIFEST_BYTES, RenderError,
    process::Run,
    renderer::{Job, ManifestFile},
    sandbox::Sandbox,
    tools::ProcessLimits,
};
use crate::{
    api::{JsonnetSource, JsonnetVar},
    repo::clean,
};
pub use evaluate::run;
use evaluate::{Request, Variable, candidates};

/// Files that one file imports, with those that they import.
const MAX_FILES: usize = 2000;
/// Time of an evaluation; shorter than that of the thread that waits for it.
const DEADLINE: Duration = Duration::from_secs(10);
/// Name of the file with the request.
const REQUEST: &str = "request.json";

/// The manifests of the file at `path` below the root of the tree.
pub(super) fn manifests(
    job: &Job<'_>,
    folder: &str,
    path: &str,
    content: Vec<u8>,
) -> Result<ManifestFile, RenderError> {
    let options = (job.source.directory.as_ref()).and_then(|directory| directory.jsonnet.clone());
    let options = options.unwrap_or_default();
    let request = request(job, &options, folder, path, content)?;
    let tool = job.tools.jsonnet();
    job.note_tool(tool);
    let sandbox = Sandbox::new(tool.name, job.tools.sandboxes())?;
    let text = serde_json::to_vec(&request).map_err(|error| broken(path, &error.to_string()))?;
    sandbox.write(REQUEST, &text)?;
    let root = sandbox.path("");
    let limits = ProcessLimits {
        deadline: DEADLINE,
        output: MAX_MANIFEST_BYTES,
        ..job.tools.limits().clone()
    };
    let run = Run {
        tool,
        arguments: vec!["jsonnet".into(), REQUEST.into()],
        sandbox: &sandbox,
        folder: &root,
        limits: &limits,
        secrets: &[],
        reach: None,
        interrupt: job.interrupt,
    };
    let json = run.output()?;
    Ok(ManifestFile {
        path: path.to_owned(),
        strict: true,
        content: documents(path, &json)?,
    })
}

/// An array holds an object for each item.
fn documents(path: &str, json: &[u8]) -> Result<Vec<u8>, RenderError> {
    let value: serde_json::Value =
        serde_json::from_slice(json).map_err(|error| broken(path, &error.to_string()))?;
    let serde_json::Value::Array(items) = value else {
        return Ok(json.to_vec());
    };
    let items: Vec<String> = items.iter().map(ToString::to_string).collect();
    Ok(items.join("\n---\n").into_bytes())
}

fn broken(path: &str, reason: &str) -> RenderError {
    RenderError::File {
        path: path.to_owned(),
        reason: reason.to_owned(),
    }
}

/// The file with everything that it may import.
fn request(
    job: &Job<'_>,
    options: &JsonnetSource,
    folder: &str,
    path: &str,
    content: Vec<u8>,
) -> Result<Request, RenderError> {
    let text = |path: &str, content: Vec<u8>| {
        String::from_utf8(content).map_err(|_| broken(path, "it is not UTF-8 text"))
    };
    // The folder of the source counts last.
    let mut libraries = vec![folder.to_owned()];
    for library in &options.libs {
        libraries.push(clean(&job.environment.substitute(library))?);
    }
    let mut files = BTreeMap::from([(path.to_owned(), text(path, content)?)]);
    let mut pending = vec![path.to_owned()];
    let mut bytes = 0;
    while let Some(from) = pending.pop() {
        let beside = from.rsplit_once('/').map_or("", |(folder, _)| folder);
        for import in imports(&files[&from]) {
            for place in candidates(beside, &libraries, &import) {
                if files.contains_key(&place) {
                    break;
                }
                let Some(found) = job.tree.look(&place)?.filter(|found| !found.is_folder()) else {
                    continue;
                };
                let Some(content) = job.tree.file(&found.path, MAX_MANIFEST_BYTES)? else {
                    continue;
                };
                bytes += content.len() as u64;
                if bytes > MAX_MANIFEST_BYTES || files.len() >= MAX_FILES {
                    let reason = format!(
                        "it imports more than {MAX_FILES} files or {MAX_MANIFEST_BYTES} bytes"
                    );
                    return Err(broken(path, &reason));
                }
                files.insert(place.clone(), text(&place, content)?);
                pending.push(place);
                break;
            }
        }
    }
    let variables = |list: &[JsonnetVar]| {
        let variable = |one: &JsonnetVar| Variable {
            name: one.name.clone(),
            value: job.environment.substitute(&one.value),
            code: one.code,
        };
        list.iter().map(variable).collect()
    };
    Ok(Request {
        entry: path.to_owned(),
        files,
        libraries,
        external: variables(&options.ext_vars),
        arguments: variables(&options.tlas),
    })
}

/// The paths that a file imports; a path has to be a plain string. One that is missed here is missing in the evaluation.
fn imports(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = text;
    let mut importing = false;
    while let Some(first) = rest.chars().next() {
        let end = match first {
            '#' => line(rest),
            '/' if rest.starts_with("//") => line(rest),
            '/' if rest.starts_with("/*") => rest.find("*/").map_or(rest.len(), |end| end + 2),
            '|' if rest.starts_with("|||") => block(rest),
            '"' | '\'' | '@' => {
                let (path, end) = string(rest);
                found.extend(path.filter(|_| std::mem::take(&mut importing)));
                end
            }
            c if c.is_ascii_alphabetic() || c == '_' => {
                let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
                let end = rest.find(|c| !word(c)).unwrap_or(rest.len());
                importing = matches!(&rest[..end], "import" | "importstr" | "importbin");
                end
            }
            c => {
                importing &= c.is_whitespace();
                c.len_utf8()
            }
        };
        rest = &rest[end..];
    }
    found
}

fn line(text: &str) -> usize {
    text.find('\n').unwrap_or(text.len())
}

/// The end of a text block: a line that begins with three bars.
fn block(text: &str) -> usize {
    let mut at = line(text);
    while at < text.len() {
        let rest = &text[at + 1..];
        let bars = rest.trim_start_matches([' ', '\t']);
        if bars.starts_with("|||") {
            return text.len() - bars.len() + 3;
        }
        at += 1 + line(rest);
    }
    text.len()
}

/// The value of a string, which may be a verbatim one, and its end.
fn string(text: &str) -> (Option<String>, usize) {
    let verbatim = text.starts_with('@');
    let mut letters = text.char_indices().skip(usize::from(verbatim)).peekable();
    let Some((_, quote)) = letters.next().filter(|(_, c)| matches!(c, '"' | '\'')) else {
        return (None, 1);
    };
    let mut value = String::new();
    while let Some((at, c)) = letters.next() {
        if c == '\\' && !verbatim {
            // Other escapes than that of a sign have no place in a path.
            value.extend(letters.next().map(|(_, c)| c));
        } else if c == quote {
            if !verbatim || letters.peek().is_none_or(|(_, next)| *next != quote) {
                return (Some(value), at + 1);
            }
            value.extend(letters.next().map(|(_, c)| c));
        } else {
            value.push(c);
        }
    }
    (None, text.len())
}

#[cfg(test)]
mod tests {
    use super::imports;

    #[test]
    fn imports_are_found_among_other_words() {
        let text = r#"
            // import "comment"
            # import "comment"
            /* import "comment" */
            local a = import 'a.libsonnet', text = "import 'string'";
            local b = import /* here */ "b/c.libsonnet";
            local block = |||
              import "block"
            |||;
            local important = "no", c = @'it''s';
            a + b + importstr @"d.txt" + (importbin "e") + { imported: "no" }
        "#;
        assert_eq!(
            imports(text),
            ["a.libsonnet", "b/c.libsonnet", "d.txt", "e"]
        );
        for odd in [
            "import",
            "import '",
            "|||",
            "'",
            "@",
            "import @'",
            "/*",
            "\"\\",
        ] {
            assert!(imports(odd).is_empty(), "{odd}");
        }
    }
}
