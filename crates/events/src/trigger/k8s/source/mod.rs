//! Where the object of a trigger comes from.

#[cfg(feature = "git")]
mod git;
mod s3;
mod url;

use std::sync::Arc;

use reconcile_core::{
    object::FieldError,
    yaml::{Limits, documents_within},
};
use serde_json::Value;

#[cfg(feature = "git")]
use self::git::GitFile;
#[cfg(feature = "git")]
pub(crate) use self::git::GitReader;
use self::{s3::S3Object, url::WebFile};
use crate::{
    api::{
        KeySelector,
        artifact::{ArtifactSource, GitArtifact},
        trigger::Parameter,
    },
    http_client::read_answer,
    trigger::{Run, TriggerError},
};

/// Where the object of a trigger is.
pub(in crate::trigger) enum Source {
    /// Here.
    Object(Value),
    /// Somewhere else.
    Remote(Remote),
}

/// What is read when the trigger acts.
pub(in crate::trigger) enum Remote {
    S3(Box<S3Object>),
    Url(WebFile),
    #[cfg(feature = "git")]
    Git(Box<GitFile>),
    ConfigMap(KeySelector),
}

impl Source {
    /// The source at `path`, checked before.
    pub(in crate::trigger) fn of(
        path: &str,
        source: Option<&ArtifactSource>,
    ) -> Result<Self, FieldError> {
        let source = source.ok_or_else(|| FieldError::new(path, "must not be empty"))?;
        if let Some(remote) = Remote::of(path, source)? {
            return Ok(Self::Remote(remote));
        }
        Ok(Self::Object(match (&source.parsed, &source.resource) {
            (Some(parsed), _) => parsed.as_ref().clone(),
            (None, resource) => resource.clone().unwrap_or_default(),
        }))
    }
}

impl Remote {
    /// What the source at `path` names elsewhere; `None` for an object that is in the manifest. The order is upstream's.
    fn of(path: &str, source: &ArtifactSource) -> Result<Option<Self>, FieldError> {
        let remote = if let Some(s3) = &source.s3 {
            Self::S3(Box::new(S3Object::check(&format!("{path}.s3"), s3)?))
        } else if source.inline.is_some() {
            return Ok(None);
        } else if source.file.is_some() {
            return Err(FieldError::new(format!("{path}.file"), NO_FILES));
        } else if let Some(url) = &source.url {
            Self::Url(WebFile::check(&format!("{path}.url"), url)?)
        } else if let Some(git) = &source.git {
            git_file(&format!("{path}.git"), git)?
        } else if let Some(key) = &source.configmap {
            Self::ConfigMap(key.clone())
        } else {
            return Ok(None);
        };
        Ok(Some(remote))
    }

    /// The field below the source.
    fn field(&self) -> &'static str {
        match self {
            Self::S3(_) => "s3",
            Self::Url(_) => "url",
            #[cfg(feature = "git")]
            Self::Git(_) => "git",
            Self::ConfigMap(_) => "configmap",
        }
    }

    /// Where the object is, for a person.
    pub(in crate::trigger) fn note(&self) -> String {
        let place = match self {
            Self::S3(object) => object.to_string(),
            Self::Url(file) => file.to_string(),
            #[cfg(feature = "git")]
            Self::Git(file) => file.to_string(),
            Self::ConfigMap(_) => "a ConfigMap".to_owned(),
        };
        format!("the object is read from {place}")
    }

    /// The object; an error names the field below `path`.
    pub(in crate::trigger) async fn manifest(
        &self,
        path: &str,
        run: Run<'_>,
    ) -> Result<Value, TriggerError> {
        let text = match self {
            Self::S3(object) => object.read(run).await?,
            Self::Url(file) => file.read(run).await?,
            #[cfg(feature = "git")]
            Self::Git(file) => file.read(run).await?,
            Self::ConfigMap(key) => {
                let secrets = &run.executor.secrets;
                let text = secrets.config(&run.firing.sensor.namespace, key).await?;
                text.unwrap_or_default()
            }
        };
        let wrong = |error| FieldError::new(format!("{path}.{}", self.field()), error);
        parse(&text).map_err(|error| wrong(error).into())
    }
}

/// Why no file is read.
const NO_FILES: &str =
    "a Sensor has no pod whose files could be read; use configmap, url, git or s3";

#[cfg(feature = "git")]
fn git_file(path: &str, git: &GitArtifact) -> Result<Remote, FieldError> {
    Ok(Remote::Git(Box::new(GitFile::check(path, git)?)))
}

#[cfg(not(feature = "git"))]
fn git_file(path: &str, _: &GitArtifact) -> Result<Remote, FieldError> {
    let message = "this program was built without the client of git; use url, s3 or configmap";
    Err(FieldError::new(path, message))
}

/// Takes over the object of an earlier check of the same text.
pub(in crate::trigger) fn reuse(
    source: Option<&mut ArtifactSource>,
    checked: Option<&ArtifactSource>,
) {
    if let (Some(source), Some(before)) = (source, checked)
        && source.inline == before.inline
    {
        source.parsed.clone_from(&before.parsed);
    }
}

/// Checks the source at `path` and reads an inline manifest. Parameters may give what a resource lacks.
pub(in crate::trigger) fn check(
    path: &str,
    source: Option<&mut ArtifactSource>,
    parameters: &[Parameter],
) -> Result<(), FieldError> {
    let at = |field: &str, message: &str| FieldError::new(format!("{path}{field}"), message);
    let Some(source) = source else {
        return Err(at("", "must not be empty"));
    };
    if Remote::of(path, source)?.is_some() {
        return Ok(());
    }
    match (&source.inline, &source.resource) {
        (Some(_), _) if source.parsed.is_some() => Ok(()),
        (Some(text), _) => {
            let parsed = parse(text).map_err(|error| at(".inline", &error))?;
            source.parsed = Some(Arc::new(parsed));
            Ok(())
        }
        (None, Some(resource)) => {
            for field in ["apiVersion", "kind"] {
                let patched = parameters.iter().any(|parameter| parameter.dest == field);
                if !patched && !resource.get(field).is_some_and(Value::is_string) {
                    return Err(at(&format!(".resource.{field}"), "must not be empty"));
                }
            }
            Ok(())
        }
        (None, None) => Err(at("", "names no source that is supported")),
    }
}

/// Bounds of a manifest in a trigger. Aliases count as what they repeat; 20,000 nodes take milliseconds.
const LIMITS: Limits = Limits {
    bytes: 2 << 20,
    nodes: 20_000,
    text_bytes: 4 << 20,
    depth: 100,
};

/// Reads the one object of a manifest.
fn parse(text: &str) -> Result<Value, String> {
    let mut documents = documents_within(text, LIMITS).map_err(|error| error.to_string())?;
    match documents.len() {
        0 => Err("holds no object".to_owned()),
        1 => Ok(documents.swap_remove(0).value),
        count => Err(format!(
            "holds {count} documents; a trigger acts on one object"
        )),
    }
    .and_then(|value| {
        if value.is_object() {
            Ok(value)
        } else {
            Err("is not an object".to_owned())
        }
    })
}

/// The text of an answer that must have the status 200 and fit.
async fn text_of(answer: reqwest::Response) -> Result<String, String> {
    let status = answer.status();
    if status != http::StatusCode::OK {
        return Err(format!("the server answered {}", status.as_u16()));
    }
    let body = read_answer(answer, LIMITS.bytes + 1).await;
    let body = body.map_err(|error| error.to_string())?;
    if body.len() > LIMITS.bytes {
        return Err(format!("the file has more than {} bytes", LIMITS.bytes));
    }
    String::from_utf8(body).map_err(|_| "the file is not UTF-8".to_owned())
}

#[cfg(test)]
mod tests;
