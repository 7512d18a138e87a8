//! What actions change.

use serde_json::json;

use super::*;

fn settings(key: &str, text: &str) -> ArgoSettings {
    let data = [(
        format!("resource.customizations.actions.{key}"),
        text.to_owned(),
    )];
    let (settings, problems) = ArgoSettings::parse(&data.into());
    assert_eq!(problems, []);
    settings
}

fn now() -> Timestamp {
    "2026-03-04T05:06:07Z".parse().expect("a time")
}

fn run_with(
    settings: &ArgoSettings,
    object: &Value,
    name: &str,
    params: &[(&str, &str)],
) -> Result<Vec<Change>, String> {
    let params = params
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    let call = Call {
        object,
        params: &params,
        now: now(),
    };
    run(settings, name, &call).map_err(|error| error.to_string())
}

fn run_built_in(object: &Value, name: &str) -> Result<Vec<Change>, String> {
    run_with(&ArgoSettings::default(), object, name, &[])
}

/// Names, those that are not possible in brackets.
fn names(settings: &ArgoSettings, object: &Value) -> Vec<String> {
    let infos = list(settings, object, now()).expect("actions");
    infos
        .into_iter()
        .map(|info| {
            if info.disabled {
                format!("({})", info.name)
            } else {
                info.name
            }
        })
        .collect()
}

#[test]
fn workloads_restart_pause_and_scale() {
    let deployment = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"},
        "spec": {"replicas": 2, "template": {"metadata": {"labels": {"a": "b"}}}}});
    let none = ArgoSettings::default();
    assert_eq!(
        names(&none, &deployment),
        ["pause", "restart", "(resume)", "scale"]
    );
    assert_eq!(
        run_built_in(&deployment, "restart"),
        Ok(vec![Change::Patch(
            json!({"spec": {"template": {"metadata": {"annotations": {
                "kubectl.kubernetes.io/restartedAt": "2026-03-04T05:06:07Z"}}}}})
        )])
    );
    assert_eq!(
        run_with(&none, &deployment, "scale", &[("replicas", "5")]),
        Ok(vec![Change::Patch(json!({"spec": {"replicas": 5}}))])
    );
    assert_eq!(
        run_built_in(&deployment, "scale"),
        Err("parameter replicas: is required".into())
    );
    for wrong in ["-1", "x", "1.5", "99999999999"] {
        assert!(run_with(&none, &deployment, "scale", &[("replicas", wrong)]).is_err());
    }
    assert_eq!(
        run_built_in(&deployment, "resume"),
        Err("action \"resume\" is not possible in the present state of the object".into())
    );
    assert_eq!(
        run_built_in(&deployment, "explode"),
        Err("Deployment has no action \"explode\"; it has pause, restart, resume, scale".into())
    );
}

#[test]
fn a_schedule_starts_a_job_now() {
    let cron = json!({"apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": "nightly", "namespace": "ns", "uid": "u"},
        "spec": {"suspend": true, "jobTemplate": {"metadata": {"labels": {"a": "b"}}, "spec": {"template": {}}}}});
    assert_eq!(
        names(&ArgoSettings::default(), &cron),
        ["create-job", "resume"]
    );
    assert_eq!(
        run_built_in(&cron, "create-job"),
        Ok(vec![Change::Create(json!({
            "apiVersion": "batch/v1", "kind": "Job",
            "metadata": {"name": "nightly-202603040506", "namespace": "ns", "labels": {"a": "b"},
                "ownerReferences": [{"apiVersion": "batch/v1", "kind": "CronJob", "name": "nightly", "uid": "u"}]},
            "spec": {"template": {}},
        }))])
    );
    let empty = json!({"apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": "x"}});
    assert_eq!(
        run_built_in(&empty, "create-job"),
        Err("the object has no spec.jobTemplate.spec".into())
    );
}

#[test]
fn a_running_job_is_terminated_and_an_ended_one_is_not() {
    let job = |conditions: Value| {
        json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "j"},
        "spec": {}, "status": {"conditions": conditions}})
    };
    let none = ArgoSettings::default();
    assert_eq!(names(&none, &job(json!([]))), ["suspend", "terminate"]);
    let ended = job(json!([{"type": "Complete", "status": "True"}]));
    assert_eq!(names(&none, &ended), [""; 0]);
    let changes = run_built_in(&job(json!([])), "terminate").expect("changes");
    let [Change::PatchStatus(patch)] = &changes[..] else {
        panic!("{changes:?}");
    };
    assert_eq!(patch["status"]["conditions"][0]["type"], "FailureTarget");
}

#[test]
fn rollouts_by_their_state() {
    let rollout = |spec: Value, status: Value| {
        json!({"apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout",
        "metadata": {"name": "r", "generation": 3}, "spec": spec, "status": status})
    };
    let steps = json!({"strategy": {"canary": {"steps": [{"setWeight": 10}, {"pause": {}}]}}});
    let paused = rollout(
        steps.clone(),
        json!({"currentPodHash": "b", "stableRS": "a", "currentStepIndex": 1, "pauseConditions": [{"reason": "CanaryPauseStep"}]}),
    );
    assert_eq!(
        names(&ArgoSettings::default(), &paused),
        [
            "abort",
            "(pause)",
            "promote-full",
            "restart",
            "resume",
            "(retry)",
            "skip-current-step"
        ]
    );
    assert_eq!(
        run_built_in(&paused, "resume"),
        Ok(vec![Change::PatchStatus(
            json!({"status": {"pauseConditions": null}})
        )])
    );
    assert_eq!(
        run_built_in(&paused, "skip-current-step"),
        Ok(vec![Change::PatchStatus(
            json!({"status": {"pauseConditions": null, "currentStepIndex": 2}})
        )])
    );
    assert_eq!(
        run_built_in(&paused, "promote-full"),
        Ok(vec![Change::PatchStatus(
            json!({"status": {"promoteFull": true}})
        )])
    );
    let aborted = rollout(
        steps.clone(),
        json!({"currentPodHash": "b", "stableRS": "a", "abort": true}),
    );
    assert_eq!(
        run_built_in(&aborted, "retry"),
        Ok(vec![Change::PatchStatus(
            json!({"status": {"abort": null}})
        )])
    );
    let done = rollout(steps, json!({"currentPodHash": "a", "stableRS": "a"}));
    assert_eq!(
        names(&ArgoSettings::default(), &done),
        [
            "(abort)",
            "(pause)",
            "(promote-full)",
            "restart",
            "(resume)",
            "(retry)",
            "(skip-current-step)"
        ]
    );
}

#[test]
fn operators_have_their_own() {
    let source = json!({"apiVersion": "source.toolkit.fluxcd.io/v1", "kind": "GitRepository", "metadata": {"name": "s"}, "spec": {"suspend": true}});
    assert_eq!(
        names(&ArgoSettings::default(), &source),
        ["(reconcile)", "resume", "(suspend)"]
    );
    let cluster = json!({"apiVersion": "postgresql.cnpg.io/v1", "kind": "Cluster", "metadata": {"name": "c"},
        "status": {"currentPrimary": "c-2", "instancesStatus": {"healthy": ["c-1", "c-2"]}}});
    let promoted = run_built_in(&cluster, "promote").expect("changes");
    let [Change::PatchStatus(patch)] = &promoted[..] else {
        panic!("{promoted:?}");
    };
    assert_eq!(patch["status"]["targetPrimary"], "c-1");
    let app = json!({"apiVersion": "argoproj.io/v1alpha1", "kind": "Application", "metadata": {"name": "a"}, "spec": {"syncPolicy": {"automated": {}}}});
    assert_eq!(
        run_built_in(&app, "toggle-auto-sync"),
        Ok(vec![Change::Patch(
            json!({"spec": {"syncPolicy": {"automated": {"enabled": false}}}})
        )])
    );
}

const CUSTOM: &str = r#"
discovery.lua: |
  actions = {}
  actions["label"] = {["displayName"] = "Label it", ["params"] = {{["name"] = "value", ["default"] = "x"}}}
  actions["copy"] = {["disabled"] = obj.data == nil}
  return actions
definitions:
- name: label
  action.lua: |
    obj.metadata.labels = {team = actionParams["value"]}
    return obj
- name: copy
  action.lua: |
    local new = {apiVersion = "v1", kind = "ConfigMap", metadata = {name = obj.metadata.name .. "-copy"}, data = obj.data}
    obj.data.copied = "true"
    return {{operation = "create", resource = new}, {operation = "patch", resource = obj}}
"#;

#[test]
fn actions_from_the_settings() {
    let settings = settings("ConfigMap", CUSTOM);
    let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "m", "annotations": {}}, "data": {"a": "b"}});
    assert_eq!(names(&settings, &map), ["copy", "label"]);
    // The empty object of before is no change.
    assert_eq!(
        run_with(&settings, &map, "label", &[("value", "web")]),
        Ok(vec![Change::Patch(
            json!({"metadata": {"labels": {"team": "web"}}})
        )])
    );
    assert_eq!(
        run_with(&settings, &map, "copy", &[]),
        Ok(vec![
            Change::Create(
                json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "m-copy"}, "data": {"a": "b", "copied": "true"}})
            ),
            Change::Patch(json!({"data": {"copied": "true"}})),
        ])
    );
}

#[test]
fn a_custom_set_replaces_the_built_in_one_unless_it_merges() {
    let text = "discovery.lua: |\n  return {restart = {disabled = true}}\ndefinitions:\n- name: restart\n  action.lua: return obj\n";
    let object = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}, "spec": {}});
    assert_eq!(
        names(&settings("apps_Deployment", text), &object),
        ["(restart)"]
    );
    let merged = format!("mergeBuiltinActions: true\n{text}");
    assert_eq!(
        names(&settings("apps_Deployment", &merged), &object),
        ["pause", "(restart)", "(resume)", "scale"]
    );
}

#[test]
fn a_script_reaches_no_other_object() {
    let text = |body: &str| {
        format!(
            "discovery.lua: return {{go = {{}}}}\ndefinitions:\n- name: go\n  action.lua: |\n    {body}\n"
        )
    };
    let object = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "m"}});
    let run_body = |body: &str| run_with(&settings("ConfigMap", &text(body)), &object, "go", &[]);
    assert_eq!(
        run_body("obj.metadata.name = 'other'; return obj"),
        Err("resource.customizations.actions.ConfigMap: action.lua of go: only the object that the action runs on can be patched".into())
    );
    assert_eq!(
        run_body("return obj.spec.x"),
        Err("resource.customizations.actions.ConfigMap: action.lua of go: line 1: attempt to index field 'spec' (a nil value)".into())
    );
    assert!(run_body("return {{operation = 'delete', resource = obj}}").is_err());
}
