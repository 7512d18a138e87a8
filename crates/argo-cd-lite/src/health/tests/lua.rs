//! Checks from the settings.

use kube::api::ObjectMeta;
use reconcile_core::clock::Clock;
use serde_json::{Value, json};

use super::super::{Checks, Code, Subject};
use crate::settings::ArgoSettings;

fn checks(key: &str, script: &str) -> Checks {
    let data = [(
        format!("resource.customizations.health.{key}"),
        script.to_owned(),
    )];
    let (settings, _) = ArgoSettings::parse(&data.into());
    Checks::new(settings.into(), Clock::system())
}

fn assess(checks: &Checks, group: &str, kind: &str, body: &Value) -> Option<(Code, String)> {
    let metadata = ObjectMeta {
        name: Some("x".into()),
        ..ObjectMeta::default()
    };
    let subject = Subject {
        group,
        version: "v1",
        kind,
        metadata: &metadata,
        body,
    };
    let health = checks.assess(&subject)?;
    Some((health.code, health.text().to_owned()))
}

#[test]
fn a_script_comes_before_the_built_in_rule() {
    let script = "return {status = 'Suspended', message = obj.kind .. ' ' .. obj.metadata.name .. ' ' .. obj.apiVersion}";
    let checks = checks("apps_Deployment", script);
    assert_eq!(
        assess(&checks, "apps", "Deployment", &json!({})),
        Some((Code::Suspended, "Deployment x apps/v1".into()))
    );
    assert!(!checks.is_generation_aware("apps", "Deployment"));
    let others = assess(&checks, "apps", "StatefulSet", &json!({}));
    assert_eq!(others.map(|(code, _)| code), Some(Code::Progressing));
}

#[test]
fn the_well_known_check_of_applications_works() {
    let script = "hs = {}\nhs.status = \"Progressing\"\nhs.message = \"\"\nif obj.status ~= nil then\n  if obj.status.health ~= nil then\n    hs.status = obj.status.health.status\n  end\nend\nreturn hs\n";
    let checks = checks("argoproj.io_Application", script);
    let app = |status: Value| assess(&checks, "argoproj.io", "Application", &status);
    assert_eq!(app(json!({})), Some((Code::Progressing, String::new())));
    assert_eq!(
        app(json!({"status": {"health": {"status": "Degraded"}}})),
        Some((Code::Degraded, String::new()))
    );
    assert!(checks.has_rule("argoproj.io", "Application"));
}

#[test]
fn what_goes_wrong_is_unknown_and_says_where() {
    let answer = |script: &str| {
        assess(
            &checks("example.com_Widget", script),
            "example.com",
            "Widget",
            &json!({}),
        )
    };
    assert_eq!(answer("return nil"), None);
    let invalid = Some((
        Code::Unknown,
        "Lua returned an invalid health status".to_owned(),
    ));
    assert_eq!(answer("return {}"), invalid);
    assert_eq!(answer("return {status = 'Fine'}"), invalid);
    assert_eq!(
        answer("\nreturn obj.status.phase"),
        Some((
            Code::Unknown,
            "resource.customizations.health.example.com_Widget: line 2: attempt to index field 'status' (a nil value)".into()
        ))
    );
    assert_eq!(
        answer("return 'Healthy'"),
        Some((
            Code::Unknown,
            "resource.customizations.health.example.com_Widget: the script returns no table".into()
        ))
    );
}

#[test]
fn only_the_kinds_of_a_changed_script_are_judged_again() {
    let (old, new) = (
        checks("example.com_Widget", "return {}"),
        checks("example.com_Widget", "return nil"),
    );
    assert!(!old.agree(&new, "example.com", "Widget"));
    assert!(old.agree(&new, "apps", "Deployment"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_slow_script_holds_up_no_worker() {
    let checks = checks("example.com_Widget", "while true do end");
    let busy = tokio::spawn(async move {
        assess(&checks, "example.com", "Widget", &json!({})).map(|(code, _)| code)
    });
    // The only worker runs the script; another task still gets its turn before the script is stopped.
    let (send, receive) = tokio::sync::oneshot::channel();
    let other = tokio::spawn(async move { send.send(()).is_ok() });
    assert!(receive.await.is_ok());
    assert!(other.await.is_ok_and(|sent| sent));
    assert_eq!(busy.await.ok().flatten(), Some(Code::Unknown));
}
