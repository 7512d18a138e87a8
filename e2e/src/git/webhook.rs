//! What a push sends: the same JSON, headers and signature as GitHub's `push` event.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::Sha256;

use super::ServerState;
use super::repository::git;

/// One delivery may take this long; then it is tried again.
const DELIVERY: Duration = Duration::from_secs(5);
/// Tries of one delivery, half a minute in all: a receiver that was killed, and may only continue when its old lease has
/// run out, gets the event too.
const TRIES: u32 = 9;
/// Longest pause between two tries; the first is a fifth of a second, and each is twice as long.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// Most commits named in one payload, as GitHub does.
const COMMITS: &str = "--max-count=2048";

/// Address that is called for pushes.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Webhook {
    /// Receives a POST.
    pub url: String,
    /// Signs the body (`X-Hub-Signature-256`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
}

/// Reads what the repository's `post-receive` hook has written down and tells every webhook.
pub(super) async fn after_push(shared: &Arc<ServerState>, repository: &str) -> Result<()> {
    let dir = shared.root.join(repository);
    let note = dir.join("pushed");
    let taken = dir.join(format!("pushed.{}", uuid::Uuid::new_v4()));
    if tokio::fs::rename(&note, &taken).await.is_err() {
        return Ok(()); // nothing was changed
    }
    let text = tokio::fs::read_to_string(&taken).await?;
    tokio::fs::remove_file(&taken).await?;
    let webhooks = shared.webhooks.read().await.clone();
    for line in text.lines() {
        let [before, after, reference] = line.split(' ').collect::<Vec<_>>()[..] else {
            continue;
        };
        if webhooks.is_empty() {
            continue;
        }
        let payload = payload(shared, repository, &dir, [before, after, reference]).await?;
        let body = serde_json::to_vec(&payload)?;
        for webhook in &webhooks {
            shared
                .deliveries
                .spawn(deliver(webhook.clone(), body.clone()));
        }
    }
    Ok(())
}

async fn payload(
    shared: &ServerState,
    repository: &str,
    dir: &Path,
    [before, after, reference]: [&str; 3],
) -> Result<Value> {
    let full_name = repository.trim_end_matches(".git");
    let name = full_name.rsplit('/').next().unwrap_or(full_name);
    let html_url = format!("{}/{full_name}", shared.url);
    let deleted = is_zero(after);
    let commits = if deleted {
        vec![]
    } else {
        commits(dir, before, after, &html_url).await?
    };
    Ok(json!({
        "ref": reference,
        "before": before,
        "after": after,
        "created": is_zero(before),
        "deleted": deleted,
        "forced": false,
        "compare": format!("{html_url}/compare/{before}...{after}"),
        "head_commit": commits.last(),
        "commits": commits,
        "repository": {
            "name": name,
            "full_name": full_name,
            "html_url": html_url,
            "url": html_url,
            "clone_url": format!("{html_url}.git"),
            "default_branch": "main",
            "private": false,
        },
        "pusher": {"name": "bed", "email": "bed@example.com"},
        "sender": {"login": "bed"},
    }))
}

fn is_zero(sha: &str) -> bool {
    sha.bytes().all(|byte| byte == b'0')
}

/// The new commits, oldest first, each with the files it touched.
async fn commits(dir: &Path, before: &str, after: &str, html_url: &str) -> Result<Vec<Value>> {
    let range = if is_zero(before) {
        after.to_owned()
    } else {
        format!("{before}..{after}")
    };
    // Fields end with US (0x1f), commits begin with RS (0x1e), files follow one per line.
    let format = "--format=%x1e%H%x1f%aI%x1f%an%x1f%ae%x1f%B%x1f";
    let log = git(
        dir,
        &[
            "log",
            "--reverse",
            "--name-status",
            "--no-renames",
            COMMITS,
            format,
            &range,
        ],
    )
    .await?;
    Ok(log
        .split('\u{1e}')
        .skip(1)
        .filter_map(|entry| {
            let [id, time, author, email, message, files] =
                entry.splitn(6, '\u{1f}').collect::<Vec<_>>()[..]
            else {
                return None;
            };
            let touched = |letter: &str| -> BTreeSet<&str> {
                files
                    .lines()
                    .filter_map(|line| line.split_once('\t'))
                    .filter_map(|(kind, path)| (kind == letter).then_some(path))
                    .collect()
            };
            Some(json!({
                "id": id,
                "timestamp": time,
                "message": message.trim_end(),
                "url": format!("{html_url}/commit/{id}"),
                "author": {"name": author, "email": email},
                "committer": {"name": author, "email": email},
                "added": touched("A"),
                "modified": touched("M"),
                "removed": touched("D"),
            }))
        })
        .collect())
}

async fn deliver(webhook: Webhook, body: Vec<u8>) {
    let id = uuid::Uuid::new_v4().to_string();
    for attempt in 0..TRIES {
        match post(&webhook, &body, &id).await {
            Ok(()) => return,
            Err(error) => tracing::warn!(url = webhook.url, attempt, "webhook: {error:#}"),
        }
        let pause = Duration::from_millis(200) * 2_u32.pow(attempt);
        tokio::time::sleep(pause.min(LONGEST_PAUSE)).await;
    }
}

async fn post(webhook: &Webhook, body: &[u8], id: &str) -> Result<()> {
    let mut request = reqwest::Client::new()
        .post(&webhook.url)
        .timeout(DELIVERY)
        .header("Content-Type", "application/json")
        .header("User-Agent", "GitHub-Hookshot/bed")
        .header("X-GitHub-Event", "push")
        .header("X-GitHub-Delivery", id);
    if let Some(secret) = &webhook.secret {
        let mut mac =
            Hmac::<Sha256>::new_from_slice(secret.as_bytes()).context("any key length is fine")?;
        mac.update(body);
        let signature = hex::encode(mac.finalize().into_bytes());
        request = request.header("X-Hub-Signature-256", format!("sha256={signature}"));
    }
    request
        .body(body.to_vec())
        .send()
        .await?
        .error_for_status()?;
    Ok(())
}
