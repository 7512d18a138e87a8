//! The batch API: which URLs the contents have, and their download. Blocks.

use std::{
    collections::BTreeMap,
    io::{Read, Write},
    time::Duration,
};

use git_fetch::{ConnectionSettings, FetchError, configured};
use reconcile_core::egress::{EgressPolicy, redirect_target};
use reqwest::{
    Method, Url,
    blocking::{Client, RequestBuilder, Response},
    header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue},
    redirect::Policy,
};
use secrecy::ExposeSecret;
use serde::Deserialize;
use serde_json::json;
use sha2::{Digest, Sha256};

use super::{LargeFiles, Pointer};
use crate::repo::{
    Credential, GitError, Interrupt,
    error::{exceeds, remote_error, store_error},
    trust::NAMES,
};

/// Form of requests and answers.
const MEDIA_TYPE: &str = "application/vnd.git-lfs+json";
/// Bytes of an answer of the batch API.
const MAX_ANSWER: u64 = 4 * 1024 * 1024;
/// Files of one call.
const BATCH: usize = 100;
/// Time of one request; all of them together have the deadline of a fetch.
const DEADLINE: Duration = Duration::from_secs(60);
/// Redirects that are followed.
const MOST_REDIRECTS: usize = 5;
/// Headers that a server may want with a download.
const MOST_HEADERS: usize = 16;

/// A download of large files.
pub(in crate::repo) struct Download {
    /// URL of the repository.
    pub(in crate::repo) url: String,
    /// How to log in to its server.
    pub(in crate::repo) credential: Option<Credential>,
    /// Which addresses may be called.
    pub(in crate::repo) egress: EgressPolicy,
    /// Most bytes of one file.
    pub(in crate::repo) limit: u64,
}

#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    objects: Vec<Object>,
}

#[derive(Deserialize)]
struct Object {
    oid: String,
    #[serde(default)]
    actions: Actions,
    error: Option<ObjectError>,
}

#[derive(Deserialize)]
struct ObjectError {
    code: u32,
}

#[derive(Default, Deserialize)]
struct Actions {
    download: Option<Action>,
}

#[derive(Deserialize)]
struct Action {
    href: String,
    #[serde(default)]
    header: BTreeMap<String, String>,
}

impl Download {
    /// Downloads the contents of these pointers. Nothing is kept that does not have the hash of its pointer.
    pub(in crate::repo) fn run(
        &self,
        files: &LargeFiles,
        pointers: &[Pointer],
        interrupt: &Interrupt,
    ) -> Result<(), GitError> {
        if let Some(large) = pointers.iter().find(|pointer| pointer.size > self.limit) {
            tracing::debug!(bytes = large.size, "a file of Git LFS is too large");
            return Err(exceeds("bytes in a file of Git LFS", self.limit));
        }
        let home = endpoint(&self.url)?;
        let login = self.credential.as_ref().map(Credential::login);
        let connection = ConnectionSettings::of(login.transpose()?.as_ref(), &NAMES)?;
        let verify = !self.credential.as_ref().is_some_and(|one| one.insecure);
        let builder = Client::builder()
            .timeout(DEADLINE)
            // Redirects are followed here, where it is known what may go along.
            .redirect(Policy::none());
        let client = configured(builder, &connection, self.egress, verify)
            .build()
            .map_err(|error| remote_error(&error))?;
        for batch in pointers.chunks(BATCH) {
            let actions = self.actions(&client, &home, batch)?;
            for (pointer, action) in batch.iter().zip(actions) {
                let answer = self.get(&client, &home, &action)?;
                keep(files, pointer, answer, interrupt)?;
            }
        }
        Ok(())
    }

    /// Where the contents are, in the order of the pointers.
    fn actions(
        &self,
        client: &Client,
        home: &Url,
        pointers: &[Pointer],
    ) -> Result<Vec<Action>, GitError> {
        let objects: Vec<_> = (pointers.iter())
            .map(|pointer| json!({"oid": pointer.oid, "size": pointer.size}))
            .collect();
        let body = json!({
            "operation": "download", "transfers": ["basic"], "hash_algo": "sha256", "objects": objects,
        });
        let request = client
            .request(Method::POST, home.clone())
            .header(ACCEPT, MEDIA_TYPE)
            .header(CONTENT_TYPE, MEDIA_TYPE)
            .body(body.to_string());
        self.egress.check(home)?;
        let answer = send(self.logged_in(request))?;
        let mut text = Vec::new();
        let read = answer.take(MAX_ANSWER + 1).read_to_end(&mut text);
        read.map_err(|error| failed(&format!("the answer breaks off: {error}")))?;
        if text.len() as u64 > MAX_ANSWER {
            return Err(exceeds("bytes in an answer of Git LFS", MAX_ANSWER));
        }
        // The parser's message may quote what the server says.
        let answer: Answer = serde_json::from_slice(&text)
            .map_err(|_| failed("the answer is not that of a batch"))?;
        let mut found: BTreeMap<String, Object> = (answer.objects.into_iter())
            .map(|object| (object.oid.clone(), object))
            .collect();
        let mut actions = Vec::new();
        for pointer in pointers {
            let short = &pointer.oid[..12];
            let object = found.remove(&pointer.oid);
            let object =
                object.ok_or_else(|| failed(&format!("the server does not speak of {short}")))?;
            if let Some(error) = object.error {
                let code = error.code;
                return Err(failed(&format!("the server gives {code} for {short}")));
            }
            let action = object.actions.download;
            actions.push(action.ok_or_else(|| failed(&format!("{short} has no download")))?);
        }
        Ok(actions)
    }

    /// Follows the URL of a content. The login of the repository goes to its own server only, and the headers that the
    /// server asks for go to the first one only.
    fn get(&self, client: &Client, home: &Url, action: &Action) -> Result<Response, GitError> {
        let mut url: Url = (action.href.parse()).map_err(|_| failed("a download has no URL"))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(failed("a download is neither http nor https"));
        }
        let first = url.origin();
        let headers = action_headers(action)?;
        for _ in 0..=MOST_REDIRECTS {
            self.egress.check(&url)?;
            let mut request = client.get(url.clone());
            let own = url.origin() == first;
            if own {
                request = request.headers(headers.clone());
            }
            if url.origin() == home.origin() && !(own && headers.contains_key(AUTHORIZATION)) {
                request = self.logged_in(request);
            }
            let answer = request.send();
            let answer = answer.map_err(|error| remote_error(&error.without_url()))?;
            let target = redirect_target(answer.status(), &url, answer.headers())
                .map_err(|_| failed("a redirect leads nowhere"))?;
            match target {
                Some(target) => url = target,
                None => return checked(answer),
            }
        }
        Err(failed("the server redirects too often"))
    }

    fn logged_in(&self, request: RequestBuilder) -> RequestBuilder {
        let Some(credential) = &self.credential else {
            return request;
        };
        match &credential.bearer {
            Some(bearer) => request.bearer_auth(bearer.expose_secret()),
            None if credential.is_empty() => request,
            None => {
                let password = credential.password.expose_secret();
                request.basic_auth(&credential.username, Some(password))
            }
        }
    }
}

fn send(request: RequestBuilder) -> Result<Response, GitError> {
    let answer = request.send();
    checked(answer.map_err(|error| remote_error(&error.without_url()))?)
}

fn checked(answer: Response) -> Result<Response, GitError> {
    match answer.status().as_u16() {
        200..=299 => Ok(answer),
        401 | 403 => Err(failed(
            "the server refuses the credentials of the repository",
        )),
        404 => Err(failed(
            "the server has no Git LFS for the repository, or not this file",
        )),
        status => Err(failed(&format!("the server answers {status}"))),
    }
}

fn failed(what: &str) -> GitError {
    FetchError::Remote(format!("Git LFS: {what}")).into()
}

/// Where the batch API of a repository is.
fn endpoint(url: &str) -> Result<Url, GitError> {
    let trimmed = url.trim_end_matches('/');
    let base = trimmed.strip_suffix(".git").unwrap_or(trimmed);
    let parsed = Url::parse(&format!("{base}.git/info/lfs/objects/batch"));
    let parsed = parsed
        .ok()
        .filter(|url| matches!(url.scheme(), "http" | "https"));
    let mut parsed = parsed.ok_or_else(|| failed("the repository needs an http or https URL"))?;
    // The login is that of the Secret.
    let stripped = parsed
        .set_username("")
        .and_then(|()| parsed.set_password(None));
    stripped.map_err(|()| failed("the repository needs an http or https URL"))?;
    Ok(parsed)
}

fn action_headers(action: &Action) -> Result<HeaderMap, GitError> {
    let unusable = || failed("the server asks for headers that cannot be sent");
    if action.header.len() > MOST_HEADERS {
        return Err(unusable());
    }
    let mut headers = HeaderMap::new();
    for (name, value) in &action.header {
        let name = HeaderName::try_from(name).map_err(|_| unusable())?;
        let mut value = HeaderValue::try_from(value).map_err(|_| unusable())?;
        value.set_sensitive(true);
        headers.insert(name, value);
    }
    Ok(headers)
}

/// Keeps a content that has the size and the hash of its pointer.
fn keep(
    files: &LargeFiles,
    pointer: &Pointer,
    mut answer: Response,
    interrupt: &Interrupt,
) -> Result<(), GitError> {
    let place = files.place(pointer);
    let folder = place.parent().unwrap_or(&files.folder);
    std::fs::create_dir_all(folder).map_err(|error| store_error(&error))?;
    let mut file = tempfile::NamedTempFile::new_in(folder).map_err(|error| store_error(&error))?;
    let (mut hash, mut bytes) = (Sha256::new(), 0_u64);
    let mut buffer = vec![0; 64 * 1024];
    loop {
        if interrupt.load(std::sync::atomic::Ordering::Relaxed) {
            return Err(GitError::Interrupted);
        }
        let count = answer.read(&mut buffer);
        let count = count.map_err(|error| failed(&format!("a download breaks off: {error}")))?;
        if count == 0 {
            break;
        }
        bytes += count as u64;
        if bytes > pointer.size {
            return Err(failed("the server sends more than the pointer says"));
        }
        hash.update(&buffer[..count]);
        let written = file.write_all(&buffer[..count]);
        written.map_err(|error| store_error(&error))?;
    }
    if bytes != pointer.size || hex::encode(hash.finalize()) != pointer.oid {
        let short = &pointer.oid[..12];
        return Err(failed(&format!(
            "the server sends something else than {short}"
        )));
    }
    let kept = file.persist(&place);
    kept.map_err(|error| store_error(&error.error)).map(drop)
}
