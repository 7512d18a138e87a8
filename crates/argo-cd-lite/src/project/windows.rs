//! Sync windows of a project: when its applications may sync.
//!
//! ```text
//!  a deny window is active                      ─► no
//!  allow windows exist and none of them is open ─► no
//!  otherwise                                    ─► yes
//! ```
//!
//! A person may sync at any time when every window that blocks it has `manualSync`, and a sync that began while it was
//! allowed may end when all of them have `syncOverrun`.

use expressions::{
    cron::Schedule,
    glob::{self, Answer, GlobError},
};
use jiff::{SignedDuration, Timestamp};
use reconcile_core::kube_types::GoDuration;
use thiserror::Error;

use crate::api::SyncWindow;

/// A window that cannot be evaluated; nothing is synced while there is one.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("spec.syncWindows[{index}].{field}: {reason}")]
pub struct WindowError {
    /// Position in the list.
    pub index: usize,
    /// The field.
    pub field: &'static str,
    /// What is wrong.
    pub reason: String,
}

/// What windows look at of an application: the texts of its spec, as they are written.
#[derive(Clone, Copy, Debug)]
pub struct WindowSubject<'a> {
    /// Name.
    pub application: &'a str,
    /// Destination namespace.
    pub namespace: &'a str,
    /// Destination server.
    pub server: &'a str,
    /// Destination name.
    pub cluster: &'a str,
}

/// A sync that wants to begin or to continue.
#[derive(Clone, Copy, Debug)]
pub struct SyncAttempt {
    /// A person asked for it.
    pub manual: bool,
    /// When it began; `None` before that.
    pub started: Option<Timestamp>,
    /// The present time.
    pub now: Timestamp,
}

/// Whether the windows let a sync pass.
#[derive(Clone, Debug, PartialEq)]
pub enum WindowVerdict {
    /// They do.
    Open,
    /// They do not.
    Closed {
        /// Which window, for people.
        reason: String,
        /// When that may be different.
        until: Option<Timestamp>,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum WindowKind {
    Allow,
    Deny,
}

/// A window that concerns the application.
struct Window<'a> {
    spec: &'a SyncWindow,
    kind: WindowKind,
    schedule: Schedule,
    length: SignedDuration,
}

impl Window<'_> {
    fn is_active(&self, now: Timestamp) -> bool {
        self.last_start(now).is_some()
    }

    /// The start of the window that is open now.
    fn last_start(&self, now: Timestamp) -> Option<Timestamp> {
        let earliest = now.checked_sub(self.length).ok()?;
        self.schedule
            .next_after(earliest)
            .filter(|start| *start <= now)
    }

    /// When the window opens or closes next.
    fn next_change(&self, now: Timestamp) -> Option<Timestamp> {
        match self.last_start(now) {
            Some(start) => start.checked_add(self.length).ok(),
            None => self.schedule.next_after(now),
        }
    }
}

/// Checks the windows of a project.
pub fn check(windows: &[SyncWindow]) -> Result<(), WindowError> {
    for (index, spec) in windows.iter().enumerate() {
        parse(index, spec)?;
        let patterns = [
            ("applications", &spec.applications),
            ("namespaces", &spec.namespaces),
            ("clusters", &spec.clusters),
        ];
        for (field, patterns) in patterns {
            for pattern in patterns {
                hit(pattern, "").map_err(|error| WindowError {
                    index,
                    field,
                    reason: error.to_string(),
                })?;
            }
        }
    }
    Ok(())
}

/// Decides whether the windows let a sync pass.
pub fn verdict(
    windows: &[SyncWindow],
    subject: WindowSubject<'_>,
    attempt: SyncAttempt,
) -> Result<WindowVerdict, WindowError> {
    let mut concerned = Vec::new();
    for (index, spec) in windows.iter().enumerate() {
        if concerns(index, spec, subject)? {
            concerned.push(parse(index, spec)?);
        }
    }
    let in_the_way = closed_by(&concerned, attempt.now);
    let Some(first) = in_the_way.first() else {
        return Ok(WindowVerdict::Open);
    };
    if attempt.manual && in_the_way.iter().all(|window| window.spec.manual_sync) {
        return Ok(WindowVerdict::Open);
    }
    let overrun = in_the_way.iter().all(|window| window.spec.sync_overrun);
    if overrun
        && attempt
            .started
            .is_some_and(|started| closed_by(&concerned, started).is_empty())
    {
        return Ok(WindowVerdict::Open);
    }
    let reason = match first.kind {
        WindowKind::Deny => format!(
            "deny window '{}' for {} is active",
            first.spec.schedule, first.spec.duration
        ),
        WindowKind::Allow => format!(
            "no allow window is active; the first one is '{}' for {}",
            first.spec.schedule, first.spec.duration
        ),
    };
    let changes = concerned
        .iter()
        .filter_map(|window| window.next_change(attempt.now));
    Ok(WindowVerdict::Closed {
        reason,
        until: changes.min(),
    })
}

/// The windows that stop a sync at this time.
fn closed_by<'w>(windows: &'w [Window<'w>], now: Timestamp) -> Vec<&'w Window<'w>> {
    let of = |kind: WindowKind| windows.iter().filter(move |window| window.kind == kind);
    let deny: Vec<_> = of(WindowKind::Deny)
        .filter(|window| window.is_active(now))
        .collect();
    if !deny.is_empty() {
        return deny;
    }
    if of(WindowKind::Allow).any(|window| window.is_active(now)) {
        return Vec::new();
    }
    of(WindowKind::Allow).collect()
}

fn parse(index: usize, spec: &SyncWindow) -> Result<Window<'_>, WindowError> {
    let wrong = |field: &'static str, reason: String| WindowError {
        index,
        field,
        reason,
    };
    let kind = match spec.kind.as_str() {
        "allow" => WindowKind::Allow,
        "deny" => WindowKind::Deny,
        other => {
            return Err(wrong(
                "kind",
                format!("{other:?} is neither allow nor deny"),
            ));
        }
    };
    let schedule = Schedule::parse(&spec.schedule, &spec.time_zone).map_err(|error| {
        let field = match error {
            expressions::cron::CronError::Zone { .. } => "timeZone",
            _ => "schedule",
        };
        wrong(field, error.to_string())
    })?;
    let length: GoDuration = spec
        .duration
        .parse()
        .map_err(|error| wrong("duration", format!("{error}; write it as 30m or 8h")))?;
    if length.as_secs() <= 0 {
        return Err(wrong("duration", "must be longer than zero".to_owned()));
    }
    Ok(Window {
        spec,
        kind,
        schedule,
        length: length.to_signed(),
    })
}

/// True when the window concerns the application: any selector fits, or all of them with `andOperator`. A window without
/// selectors concerns none.
fn concerns(
    index: usize,
    spec: &SyncWindow,
    subject: WindowSubject<'_>,
) -> Result<bool, WindowError> {
    let namespaces = [subject.namespace];
    let applications = [subject.application];
    let clusters = [subject.server, subject.cluster];
    let selectors: [(&'static str, &[String], &[&str]); 3] = [
        ("applications", &spec.applications, &applications),
        ("clusters", &spec.clusters, &clusters),
        ("namespaces", &spec.namespaces, &namespaces),
    ];
    let mut fits = Vec::new();
    for (field, patterns, texts) in selectors {
        if patterns.is_empty() {
            continue;
        }
        let mut any = false;
        for pattern in patterns {
            for text in texts.iter().filter(|text| !text.is_empty()) {
                any |= hit(pattern, text).map_err(|error| WindowError {
                    index,
                    field,
                    reason: error.to_string(),
                })?;
            }
        }
        fits.push(any);
    }
    Ok(if spec.and_operator {
        !fits.is_empty() && fits.iter().all(|fit| *fit)
    } else {
        fits.contains(&true)
    })
}

fn hit(pattern: &str, text: &str) -> Result<bool, GlobError> {
    match glob::answer(pattern, text, &[]) {
        Answer::Match => Ok(true),
        Answer::NoMatch => Ok(false),
        Answer::Undecided(error) => Err(error),
    }
}

#[cfg(test)]
mod tests;
