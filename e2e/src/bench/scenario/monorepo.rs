//! Many Applications of one repository: commits that touch one of them, and commits that touch none.

use std::time::Duration;

use anyhow::{Context as _, Result};
use serde_json::json;
use tokio::time::Instant;

use super::super::book::{Latency, Measurement, Memory};
use super::super::subject::{Subject, WEBHOOK_PORT};
use super::contents::{Contents, KEY};
use super::gitops::{
    TARGET, applications, config_map, converge, file, name, one_map_each, payload, prepare,
};
use super::{Case, Outcome, Scenario, Session};
use crate::git::Repository;

/// Applications when nothing else is asked for.
const COUNT: usize = 1000;
/// Applications for each commit of each kind: 20 commits for a thousand.
const FOR_EACH: usize = 50;
/// Longest wait for one commit.
const ONE: Duration = Duration::from_secs(30);
/// After a commit that touches nothing, so that each is seen by itself.
const PAUSE: Duration = Duration::from_secs(1);

pub(super) async fn run(session: &Session<'_>) -> Result<Vec<Measurement>> {
    let count = session.plan.count.unwrap_or(COUNT);
    let repository = one_map_each(session, count).await?;
    let port = session.bed.free_port()?;
    let env = vec![(WEBHOOK_PORT.to_owned(), port.to_string())];
    let (subject, idle) = session.subject(Scenario::Monorepo, env).await?;
    prepare(session).await?;
    let start = converge(session, &subject, applications(&repository, count)).await?;
    anyhow::ensure!(
        start.done == count,
        "{} of {count} Applications converged",
        start.done
    );
    let monorepo = Monorepo {
        session,
        subject: &subject,
        repository,
        count,
        commits: (count / FOR_EACH).max(1),
    };
    let one = monorepo.touching_one(idle).await?;
    let none = monorepo.touching_none(one.after).await?;
    Ok(vec![one, none])
}

struct Monorepo<'a> {
    session: &'a Session<'a>,
    subject: &'a Subject,
    repository: Repository,
    count: usize,
    commits: usize,
}

impl Monorepo<'_> {
    async fn touching_one(&self, idle: Memory) -> Result<Measurement> {
        let case = Case {
            id: "monorepo-one",
            title: format!(
                "{} commits, each to one of {} Applications of the repository: the ConfigMap has its value",
                self.commits, self.count
            ),
            objects: self.commits,
            own_requests: 0,
        };
        let mut contents = Contents::of(self.session.bed.client()?, TARGET).await?;
        let load = async {
            let start = Instant::now();
            let mut each = Vec::new();
            for round in 0..self.commits {
                // Applications far from each other.
                let name = name(round * self.count / self.commits);
                let value = payload(&format!("{round} of {name} "));
                let mut manifest = config_map(&name, &json!({}));
                manifest["data"][KEY] = value.clone().into();
                let files = [(&*file(&name), &*manifest.to_string())];
                let pushed = self.push(&files).await?;
                let Some(at) = contents.until(&name, &value, ONE).await? else {
                    break;
                };
                each.push(at.saturating_duration_since(pushed));
                self.subject.check().await?;
            }
            Ok(Outcome {
                done: each.len(),
                took: start.elapsed(),
                latency: Latency::of(each),
                stream: None,
            })
        };
        self.session.case(self.subject, idle, case, load).await
    }

    /// The commits change a file beside the folders.
    async fn touching_none(&self, idle: Memory) -> Result<Measurement> {
        let case = Case {
            id: "monorepo-none",
            title: format!(
                "{} commits that touch none of the {} Applications",
                self.commits, self.count
            ),
            objects: self.commits,
            own_requests: 0,
        };
        let load = async {
            let start = Instant::now();
            for round in 0..self.commits {
                self.push(&[("README.md", &format!("commit {round}\n"))])
                    .await?;
                tokio::time::sleep(PAUSE).await;
            }
            Ok(Outcome {
                done: self.commits,
                took: start.elapsed(),
                ..Outcome::default()
            })
        };
        self.session.case(self.subject, idle, case, load).await
    }

    /// Pushes a commit, and calls the webhook of the engine. When it was called.
    async fn push(&self, files: &[(&str, &str)]) -> Result<Instant> {
        let commit = self.repository.commit(files, "a change").await?;
        let url = self.repository.url.trim_end_matches(".git");
        let payload = json!({
            "ref": "refs/heads/main",
            "after": commit,
            "repository": {"html_url": url, "clone_url": self.repository.url, "default_branch": "main"},
        });
        let webhook = self
            .subject
            .webhook()
            .context("the engine has no webhook")?;
        let called = Instant::now();
        reqwest::Client::new()
            .post(webhook)
            .header("X-GitHub-Event", "push")
            .json(&payload)
            .send()
            .await?
            .error_for_status()?;
        Ok(called)
    }
}
