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
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn windows(list: &Value) -> Vec<SyncWindow> {
        serde_json::from_value(list.clone()).expect("windows")
    }

    fn time(text: &str) -> Timestamp {
        text.parse().expect("a time")
    }

    /// True when the application `shop` in namespace `prod` may sync.
    fn open(list: &Value, attempt: SyncAttempt) -> bool {
        let subject = WindowSubject {
            application: "shop",
            namespace: "prod",
            server: "https://kubernetes.default.svc",
            cluster: "",
        };
        verdict(&windows(list), subject, attempt).expect("a verdict") == WindowVerdict::Open
    }

    fn automated(now: &str) -> SyncAttempt {
        SyncAttempt {
            manual: false,
            started: None,
            now: time(now),
        }
    }

    fn manual(now: &str) -> SyncAttempt {
        SyncAttempt {
            manual: true,
            ..automated(now)
        }
    }

    #[test]
    fn deny_windows_win_and_allow_windows_must_be_open() {
        let night = json!([{"kind": "allow", "schedule": "0 22 * * *", "duration": "2h", "applications": ["*"]}]);
        assert!(open(&night, automated("2026-01-01T22:00:00Z")));
        assert!(open(&night, automated("2026-01-01T23:59:59Z")));
        assert!(!open(&night, automated("2026-01-02T00:00:00Z")));
        assert!(!open(&night, automated("2026-01-01T12:00:00Z")));
        let both = json!([
            {"kind": "allow", "schedule": "0 22 * * *", "duration": "2h", "applications": ["*"]},
            {"kind": "deny", "schedule": "0 23 * * *", "duration": "30m", "namespaces": ["prod"]},
        ]);
        assert!(open(&both, automated("2026-01-01T22:30:00Z")));
        assert!(!open(&both, automated("2026-01-01T23:10:00Z")));
        assert!(open(&both, automated("2026-01-01T23:30:00Z")));
        // Two allow windows that overlap: one that is open suffices.
        let overlap = json!([
            {"kind": "allow", "schedule": "0 1 * * *", "duration": "1h", "applications": ["shop"]},
            {"kind": "allow", "schedule": "30 1 * * *", "duration": "1h", "applications": ["shop"]},
        ]);
        assert!(open(&overlap, automated("2026-01-01T02:15:00Z")));
        assert!(!open(&overlap, automated("2026-01-01T02:30:00Z")));
    }

    #[test]
    fn selectors_are_joined_by_or_unless_and_is_asked_for() {
        let deny = |more: Value| {
            let mut window = json!({"kind": "deny", "schedule": "* * * * *", "duration": "1h"});
            let fields = window.as_object_mut().expect("an object");
            fields.extend(more.as_object().expect("an object").clone());
            json!([window])
        };
        let blocked = |more: Value| !open(&deny(more), automated("2026-01-01T12:00:30Z"));
        assert!(!blocked(json!({})), "no selector, no effect");
        assert!(blocked(json!({"applications": ["other", "sh*"]})));
        assert!(blocked(
            json!({"applications": ["other"], "namespaces": ["prod"]})
        ));
        assert!(!blocked(
            json!({"applications": ["other"], "namespaces": ["prod"], "andOperator": true})
        ));
        assert!(blocked(
            json!({"applications": ["shop"], "namespaces": ["prod"], "andOperator": true})
        ));
        assert!(blocked(
            json!({"clusters": ["https://kubernetes.default.svc"]})
        ));
        assert!(
            !blocked(json!({"clusters": ["in-cluster"]})),
            "as the spec writes it"
        );
    }

    #[test]
    fn a_person_passes_where_every_window_says_so() {
        let deny = |manual: [bool; 2]| {
            json!(manual.map(|manual| json!({
                "kind": "deny", "schedule": "* * * * *", "duration": "1h", "applications": ["*"], "manualSync": manual,
            })))
        };
        let now = "2026-01-01T12:00:30Z";
        assert!(open(&deny([true, true]), manual(now)));
        assert!(!open(&deny([true, false]), manual(now)));
        assert!(!open(&deny([true, true]), automated(now)));
        let allow = json!([{"kind": "allow", "schedule": "0 1 * * *", "duration": "1h", "applications": ["*"], "manualSync": true}]);
        assert!(open(&allow, manual(now)));
    }

    #[test]
    fn a_sync_that_began_in_time_may_end_with_overrun() {
        let window = |overrun: bool| json!([{"kind": "allow", "schedule": "0 1 * * *", "duration": "1h", "applications": ["*"], "syncOverrun": overrun}]);
        let running = SyncAttempt {
            started: Some(time("2026-01-01T01:50:00Z")),
            ..automated("2026-01-01T02:10:00Z")
        };
        assert!(open(&window(true), running));
        assert!(!open(&window(false), running));
        let late = SyncAttempt {
            started: Some(time("2026-01-01T02:05:00Z")),
            ..running
        };
        assert!(!open(&window(true), late));
    }

    #[test]
    fn time_zones_and_the_next_change() {
        let list = json!([{"kind": "allow", "schedule": "0 9 * * *", "duration": "1h", "timeZone": "Europe/Berlin", "applications": ["*"]}]);
        assert!(open(&list, automated("2026-01-01T08:30:00Z")), "winter");
        assert!(open(&list, automated("2026-07-01T07:30:00Z")), "summer");
        let subject = WindowSubject {
            application: "shop",
            namespace: "",
            server: "",
            cluster: "in-cluster",
        };
        let closed = verdict(&windows(&list), subject, automated("2026-01-01T12:00:00Z"));
        let Ok(WindowVerdict::Closed { until, reason }) = closed else {
            panic!("{closed:?}")
        };
        assert_eq!(until, Some(time("2026-01-02T08:00:00Z")));
        assert!(reason.contains("'0 9 * * *' for 1h"), "{reason}");
    }

    #[test]
    fn a_window_that_cannot_be_read_names_its_field() {
        let base = json!({"kind": "deny", "schedule": "* * * * *", "duration": "1h", "applications": ["*"]});
        for (field, value) in [
            ("kind", json!("forbid")),
            ("schedule", json!("every night")),
            ("schedule", json!("@daily")),
            ("duration", json!("long")),
            ("duration", json!("0s")),
            ("timeZone", json!("Mars/Olympus")),
            ("applications", json!(["{a"])),
        ] {
            let mut window = base.clone();
            window[field] = value;
            let error = check(&windows(&json!([base, window]))).expect_err(field);
            assert_eq!((error.index, error.field), (1, field), "{error}");
        }
    }
}
