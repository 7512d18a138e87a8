//! Ownership of objects.

mod eks;
mod secrets;

use std::{collections::HashSet, sync::Arc, time::Duration};

use kube::api::ApiResource;
use parking_lot::Mutex;
use reconcile_core::{clock::Clock, object::ObjectKey, operator::install_tls, testkit::FakeApi};
use serde_json::json;

use super::*;
use crate::{
    health::{Checks, Code, Health},
    settings::{ArgoSettings, SettingsHandle, TrackingMethod, TrackingSettings},
};

#[test]
fn a_tracking_id_names_application_kind_and_object() {
    let cases = [
        (
            ResourceId::new("", "ConfigMap", "ns", "n"),
            "app:/ConfigMap:ns/n",
        ),
        (
            ResourceId::new("apps", "Deployment", "ns", "web"),
            "app:apps/Deployment:ns/web",
        ),
        // Cluster-scoped objects carry the destination namespace.
        (
            ResourceId::new("", "Namespace", "", "x"),
            "app:/Namespace:dest/x",
        ),
    ];
    for (id, expected) in cases {
        let text = tracking_id("app", &id, "dest");
        assert_eq!(text, expected);
        let parsed = Tracking::parse(&text).expect("a tracking id");
        assert_eq!(parsed.instance, "app");
        assert!(parsed.describes(&id), "{text}");
    }
}

#[test]
fn names_with_colons_survive() {
    let id = ResourceId::new(
        "rbac.authorization.k8s.io",
        "ClusterRole",
        "",
        "system:admin:x",
    );
    let text = tracking_id("app", &id, "d");
    assert!(
        Tracking::parse(&text)
            .expect("a tracking id")
            .describes(&id)
    );
}

#[test]
fn a_copied_annotation_does_not_describe_the_copy() {
    let text = "app:apps/Deployment:ns/web";
    let tracking = Tracking::parse(text).expect("a tracking id");
    for copy in [
        ResourceId::new("apps", "ReplicaSet", "ns", "web"),
        ResourceId::new("apps", "Deployment", "ns", "web-2"),
        ResourceId::new("apps", "Deployment", "other", "web"),
        ResourceId::new("extensions", "Deployment", "ns", "web"),
    ] {
        assert!(!tracking.describes(&copy), "{copy}");
    }
}

#[test]
fn other_texts_are_no_tracking_ids() {
    for text in ["", "app", "app:x", "app:ConfigMap:ns/n", "app:/ConfigMap:n"] {
        assert_eq!(Tracking::parse(text), None, "{text}");
    }
}

#[test]
fn applications_of_other_namespaces_carry_theirs() {
    let own = ObjectKey::new("argocd", "a");
    let other = ObjectKey::new("team", "a");
    assert_eq!(instance_name(&own, "argocd"), "a");
    assert_eq!(instance_name(&other, "argocd"), "team_a");
    assert_eq!(instance_owner("a", "argocd"), own);
    assert_eq!(instance_owner("team_a", "argocd"), other);
}

#[test]
fn definitions_of_kinds_are_never_stamped() {
    let id = ResourceId::new("apiextensions.k8s.io", "CustomResourceDefinition", "", "x");
    let mut manifest = json!({"metadata": {"name": "x"}});
    let owner = Owner {
        instance: "app",
        namespace: "d",
        settings: &TrackingSettings::default(),
    };
    stamp(&mut manifest, owner, &id);
    assert_eq!(manifest, json!({"metadata": {"name": "x"}}));
}

#[test]
fn only_what_counts_changes_the_hash_of_a_live_object() {
    let object = |change: serde_json::Value| {
        let mut object = json!({
            "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"name": "n", "uid": "u", "resourceVersion": "1", "generation": 1},
            "spec": {"replicas": 1},
        });
        object
            .as_object_mut()
            .expect("an object")
            .extend(change.as_object().expect("an object").clone());
        let object: kube::api::DynamicObject =
            serde_json::from_value(object).expect("a dynamic object");
        let resource = ApiResource::erase::<k8s_openapi::api::apps::v1::Deployment>(&());
        Live::of(&Checks::default(), &resource, &object).hash
    };
    let plain = object(json!({}));
    assert_eq!(plain, object(json!({"status": {"replicas": 7}})));
    assert_eq!(
        plain,
        object(
            json!({"metadata": {"name": "n", "uid": "u", "resourceVersion": "9", "generation": 4}})
        )
    );
    assert_ne!(plain, object(json!({"spec": {"replicas": 2}})));
    assert_ne!(
        plain,
        object(json!({"metadata": {"name": "n", "labels": {"a": "b"}}}))
    );
}

/// An index over `api`, and the applications that it notified.
async fn index(api: &FakeApi) -> (LiveIndex, Arc<Mutex<Vec<ObjectKey>>>) {
    index_with(api, SettingsHandle::default()).await
}

async fn index_with(
    api: &FakeApi,
    settings: SettingsHandle,
) -> (LiveIndex, Arc<Mutex<Vec<ObjectKey>>>) {
    install_tls();
    let discovery = Discovery::new(api.client(), Clock::system());
    discovery.ensure().await.expect("kinds");
    let reported: Arc<Mutex<Vec<ObjectKey>>> = Arc::default();
    let changed = reported.clone();
    let index = LiveIndex::new(LiveIndexConfig {
        scope: ManagedScope::default(),
        client: api.client(),
        discovery,
        control_plane: "argocd".into(),
        settings,
        clock: Clock::system(),
        changed: Box::new(move |app| changed.lock().push(app)),
    });
    (index, reported)
}

#[tokio::test]
async fn an_object_that_two_applications_aim_at_stays_known_when_one_leaves() {
    let api = FakeApi::new();
    api.put(&json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "shared", "namespace": "ns"}}));
    let (index, reported) = index(&api).await;
    let id = ResourceId::new("", "ConfigMap", "ns", "shared");
    let kinds = HashSet::from([id.kind.clone()]);
    index.ensure(&kinds).await.expect("a list");
    let (one, two) = (
        ObjectKey::new("argocd", "one"),
        ObjectKey::new("argocd", "two"),
    );
    for app in [&one, &two] {
        index
            .follow(app, vec![id.clone()], Lookup::Read)
            .await
            .expect("reconciled");
    }
    assert_eq!(index.forget(&two), [], "somebody still followed at it");
    assert!(index.get(&id).is_some());
    reported.lock().clear();
    api.edit("configmaps", "ns", "shared", |map| {
        map["data"] = json!({"a": "b"});
    });
    let told_one = async {
        while !reported.lock().contains(&one) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let heard = tokio::time::timeout(Duration::from_secs(10), told_one).await;
    assert!(heard.is_ok(), "the one that stays hears of changes");
    assert!(!reported.lock().contains(&two));
    assert_eq!(index.forget(&one), std::slice::from_ref(&id));
    assert!(index.get(&id).is_none(), "not kept for nobody");
}

#[tokio::test]
async fn an_object_whose_deletion_was_accepted_counts_as_going_at_once() {
    let api = FakeApi::new();
    api.put(&json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "namespace": "ns",
        "annotations": {"argocd.argoproj.io/tracking-id": "app:/ConfigMap:ns/a"}}}));
    let (index, _) = index(&api).await;
    let id = ResourceId::new("", "ConfigMap", "ns", "a");
    index
        .ensure(&HashSet::from([id.kind.clone()]))
        .await
        .expect("a list");
    let uid = index.get(&id).expect("an object").uid.clone();
    assert!(index.going(&id, &uid).expect("an object").deleting);
    assert!(index.get(&id).expect("an object").deleting);
    let other = index.going(&id, "another").expect("an object");
    assert!(other.deleting, "it is only observed");
}

#[tokio::test]
async fn another_health_check_is_asked_about_objects_that_are_known_already() {
    let api = FakeApi::new();
    api.put(&json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "namespace": "ns",
        "annotations": {"argocd.argoproj.io/tracking-id": "app:/ConfigMap:ns/a"}}, "data": {"state": "good"}}));
    let settings = SettingsHandle::default();
    let (index, _) = index_with(&api, settings.clone()).await;
    let id = ResourceId::new("", "ConfigMap", "ns", "a");
    let kinds = HashSet::from([id.kind.clone()]);
    index.ensure(&kinds).await.expect("a list");
    let health = |index: &LiveIndex| index.get(&id).and_then(|live| live.health.clone());
    assert_eq!(health(&index), None);
    let data = [(
        "resource.customizations.health.ConfigMap".to_owned(),
        "return {status = 'Healthy', message = obj.data.state}".to_owned(),
    )];
    let (changed, problems) = ArgoSettings::parse(&data.into());
    assert_eq!(problems, []);
    assert!(settings.replace(changed));
    index.ensure(&kinds).await.expect("a list");
    assert_eq!(health(&index), Some(Health::new(Code::Healthy, "good")));
    assert!(settings.replace(ArgoSettings::default()));
    index.ensure(&kinds).await.expect("a list");
    assert_eq!(health(&index), None);
}

fn marks(method: TrackingMethod, installation: Option<&str>) -> TrackingSettings {
    TrackingSettings {
        method,
        installation_id: installation.map(str::to_owned),
        ..TrackingSettings::default()
    }
}

/// What a manifest carries for this instance, and whom the object then belongs to.
fn stamped(settings: &TrackingSettings, instance: &str) -> (serde_json::Value, Option<Tracking>) {
    let id = ResourceId::new("", "ConfigMap", "ns", "n");
    let mut manifest = json!({"metadata": {"name": "n"}});
    let owner = Owner {
        instance,
        namespace: "d",
        settings,
    };
    stamp(&mut manifest, owner, &id);
    let metadata = serde_json::from_value(manifest["metadata"].clone()).expect("metadata");
    (
        manifest["metadata"].clone(),
        Tracking::of(settings, &metadata),
    )
}

#[test]
fn objects_are_marked_as_the_settings_say() {
    let label = "app.kubernetes.io/instance";
    let id = ResourceId::new("", "ConfigMap", "ns", "n");
    let (metadata, tracking) = stamped(&marks(TrackingMethod::Label, None), "team_app");
    assert_eq!(metadata["labels"][label], "team_app");
    assert!(metadata.get("annotations").is_none());
    let tracking = tracking.expect("a mark");
    assert!(tracking.instance == "team_app" && tracking.describes(&id));
    let long = format!("{}-{}", "a".repeat(62), "b".repeat(20));
    let both = marks(TrackingMethod::AnnotationAndLabel, Some("one"));
    let (metadata, tracking) = stamped(&both, &long);
    assert_eq!(metadata["labels"][label], "a".repeat(62));
    assert_eq!(
        metadata["annotations"]["argocd.argoproj.io/installation-id"],
        "one"
    );
    assert_eq!(tracking.expect("a mark").instance, long);
}

#[test]
fn objects_of_another_installation_are_not_ours() {
    let (metadata, _) = stamped(&marks(TrackingMethod::Annotation, Some("one")), "app");
    let metadata = serde_json::from_value(metadata).expect("metadata");
    let of =
        |installation| Tracking::of(&marks(TrackingMethod::Annotation, installation), &metadata);
    assert!(of(Some("one")).is_some());
    assert_eq!(of(Some("two")), None);
    assert!(of(None).is_some(), "without an id the mark counts");
}

#[test]
fn a_change_of_ignored_fields_alone_is_no_update() {
    let data = [
        (
            "resource.customizations.ignoreResourceUpdates.ConfigMap",
            "jsonPointers: [/data/time]",
        ),
        (
            "resource.customizations.ignoreDifferences.all",
            "jqPathExpressions: ['.metadata.annotations[\"seen\"]']",
        ),
    ];
    let data = data.map(|(key, text)| (key.to_owned(), text.to_owned()));
    let (settings, problems) = ArgoSettings::parse(&data.clone().into());
    assert_eq!(problems, []);
    let live = |settings: &ArgoSettings, time: &str, seen: &str, other: &str| {
        let object = json!({
            "metadata": {"name": "n", "annotations": {"seen": seen}},
            "data": {"time": time, "other": other},
        });
        let object: kube::api::DynamicObject = serde_json::from_value(object).expect("an object");
        let resource = ApiResource::erase::<k8s_openapi::api::core::v1::ConfigMap>(&());
        let checks = Checks::new(Arc::new(settings.clone()), Clock::system());
        Live::of(&checks, &resource, &object)
    };
    let old = live(&settings, "1", "1", "1");
    assert!(live(&settings, "2", "1", "1").is_ignored_update_of(&old));
    assert!(live(&settings, "2", "2", "1").is_ignored_update_of(&old));
    assert!(!live(&settings, "2", "2", "2").is_ignored_update_of(&old));
    let mut on = data.to_vec();
    on.push((
        "resource.ignoreResourceUpdatesEnabled".to_owned(),
        "false".to_owned(),
    ));
    let (off, _) = ArgoSettings::parse(&on.into_iter().collect());
    let old = live(&off, "1", "1", "1");
    assert!(!live(&off, "2", "1", "1").is_ignored_update_of(&old));
}
