//! A repository of the bed's Git server, and the clone from which tests commit and push.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use tokio::process::Command;

use super::ServerState;

/// Longest run of one git command; a commit of 50,000 files takes long.
const GIT: Duration = Duration::from_mins(3);
/// The hook only writes down what was pushed; the bridge, which ran the push, reads it.
const POST_RECEIVE: &str = "#!/bin/sh\ncat >> pushed\n";

/// A bare repository on the server with a clone of its own for making commits.
#[derive(Debug, Clone)]
pub struct Repository {
    /// `http://127.0.0.1:PORT/NAME.git`, for clients.
    pub url: String,
    bare: PathBuf,
    clone: PathBuf,
}

impl Repository {
    pub(super) async fn open(shared: &Arc<ServerState>, work: &Path, name: &str) -> Result<Self> {
        let bare = shared.root.join(format!("{name}.git"));
        let clone = work.join(name);
        let repository = Self {
            url: format!("{}/{name}.git", shared.url),
            bare,
            clone,
        };
        if !repository.bare.is_dir() {
            repository.create().await?;
        }
        Ok(repository)
    }

    async fn create(&self) -> Result<()> {
        tokio::fs::create_dir_all(&self.bare).await?;
        git(
            &self.bare,
            &["init", "--bare", "--quiet", "--initial-branch=main", "."],
        )
        .await?;
        for (key, value) in [
            ("http.receivepack", "true"),
            ("uploadpack.allowAnySHA1InWant", "true"),
            ("uploadpack.allowFilter", "true"),
        ] {
            git(&self.bare, &["config", key, value]).await?;
        }
        let hook = self.bare.join("hooks").join("post-receive");
        tokio::fs::create_dir_all(self.bare.join("hooks")).await?;
        tokio::fs::write(&hook, POST_RECEIVE).await?;
        let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        tokio::fs::set_permissions(&hook, executable).await?;
        tokio::fs::create_dir_all(&self.clone).await?;
        git(
            &self.clone,
            &["init", "--quiet", "--initial-branch=main", "."],
        )
        .await?;
        git(&self.clone, &["remote", "add", "origin", &self.url]).await?;
        Ok(())
    }

    /// `file://` address of the same repository, which needs no server.
    pub fn file_url(&self) -> String {
        format!("file://{}", self.bare.display())
    }

    /// Writes files into the clone without committing. A path may have folders.
    pub async fn write(&self, path: &str, text: &str) -> Result<()> {
        let file = self.clone.join(path);
        if let Some(folder) = file.parent() {
            tokio::fs::create_dir_all(folder).await?;
        }
        tokio::fs::write(&file, text)
            .await
            .with_context(|| format!("writing {path}"))
    }

    /// Reads a file of the clone.
    pub async fn read(&self, path: &str) -> Result<String> {
        tokio::fs::read_to_string(self.clone.join(path))
            .await
            .with_context(|| path.to_owned())
    }

    /// Removes a file of the clone without committing.
    pub async fn remove(&self, path: &str) -> Result<()> {
        tokio::fs::remove_file(self.clone.join(path))
            .await
            .with_context(|| path.to_owned())
    }

    /// Writes files, commits everything in the clone and pushes it over HTTP. The commit's id.
    pub async fn commit(&self, files: &[(&str, &str)], message: &str) -> Result<String> {
        for (path, text) in files {
            self.write(path, text).await?;
        }
        let commit = self.commit_only(message).await?;
        self.push().await?;
        Ok(commit)
    }

    /// Commits everything in the clone and does not push.
    pub async fn commit_only(&self, message: &str) -> Result<String> {
        self.git(&["add", "--all"]).await?;
        self.git(&["commit", "--quiet", "--allow-empty", "--message", message])
            .await?;
        Ok(self.git(&["rev-parse", "HEAD"]).await?.trim().to_owned())
    }

    /// Pushes the clone's branch and its tags.
    pub async fn push(&self) -> Result<()> {
        self.git(&["push", "--quiet", "--tags", "origin", "HEAD"])
            .await?;
        Ok(())
    }

    /// Any git command in the clone; what it printed.
    pub async fn git(&self, args: &[&str]) -> Result<String> {
        git(&self.clone, args).await
    }
}

/// Runs git in a folder, untouched by the user's configuration. What it printed.
pub(super) async fn git(dir: &Path, args: &[&str]) -> Result<String> {
    let run = Command::new("git")
        .args(args)
        .current_dir(dir)
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_TERMINAL_PROMPT", "0")
        .envs([
            ("GIT_AUTHOR_NAME", "bed"),
            ("GIT_AUTHOR_EMAIL", "bed@example.com"),
        ])
        .envs([
            ("GIT_COMMITTER_NAME", "bed"),
            ("GIT_COMMITTER_EMAIL", "bed@example.com"),
        ])
        .env_remove("GIT_DIR")
        .env_remove("GIT_WORK_TREE")
        .env_remove("GIT_INDEX_FILE")
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = tokio::time::timeout(GIT, run)
        .await
        .with_context(|| format!("git {} took longer than {GIT:?}", args.join(" ")))?
        .context("starting git")?;
    if !output.status.success() {
        bail!(
            "git {}: {}",
            args.join(" "),
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
