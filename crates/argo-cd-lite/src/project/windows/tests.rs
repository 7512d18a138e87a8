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
    let base =
        json!({"kind": "deny", "schedule": "* * * * *", "duration": "1h", "applications": ["*"]});
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
