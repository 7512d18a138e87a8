//! The source `file` on folders of this machine.

mod support;

use std::{
    collections::BTreeSet, fs, io::Write, os::unix::fs::PermissionsExt, path::Path, sync::Arc,
};

use events::source::{CheckedSource, files::WatchedFolders};
use serde_json::{Value, json};

use support::{Nats, plane_watching, refusal, reported, source, until, with};

fn permitted(folder: &Path) -> WatchedFolders {
    let flag = format!("ns={}", folder.display());
    WatchedFolders::new(vec![flag.parse().expect("a folder")])
}

fn config(folder: &Path, more: &Value) -> Value {
    with(
        json!({
            "eventType": "CREATE",
            "watchPathConfig": {"directory": folder, "pathRegexp": "^order-"},
        }),
        more,
    )
}

fn entry(folder: &Path, more: &Value) -> Arc<CheckedSource> {
    source("file", &[], &config(folder, more))
}

/// Changes a file of the folder in this way.
fn change(folder: &Path, kind: &str, number: usize) {
    let file = folder.join(format!("order-{kind}-{number}"));
    fs::write(folder.join(format!("draft-{number}")), "").expect("written");
    fs::File::create(&file).expect("made");
    match kind {
        "WRITE" => {
            let mut opened = fs::File::options().append(true).open(&file);
            let written = opened.as_mut().map(|file| file.write_all(b"x"));
            written.expect("opened").expect("written");
        }
        "CHMOD" => {
            let mode = fs::Permissions::from_mode(0o600);
            fs::set_permissions(&file, mode).expect("changed");
        }
        "RENAME" => fs::rename(&file, folder.join(format!("moved-{number}"))).expect("moved"),
        "REMOVE" => fs::remove_file(&file).expect("removed"),
        _ => {}
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_type_of_change_is_an_event_of_the_files_that_are_named() {
    let Some(nats) = Nats::start().await else {
        return;
    };
    let place = tempfile::tempdir().expect("a folder");
    let folder = place.path();
    let (bus, plane) = (nats.bus().await, plane_watching(permitted(folder)));
    for (kind, op) in [
        ("CREATE", 1),
        ("WRITE", 2),
        ("REMOVE", 4),
        ("RENAME", 8),
        ("CHMOD", 16),
    ] {
        let entry = entry(folder, &json!({"eventType": kind, "metadata": {"k": "v"}}));
        plane.ensure_source(&entry, &bus);
        let of_kind = async || {
            let stored = nats.payloads().await.into_iter();
            let stored = stored.filter(|payload| payload["op"] == op);
            let names = stored.filter_map(|payload| Some(payload["name"].as_str()?.to_owned()));
            names.collect::<Vec<String>>()
        };
        let mut number = 0;
        // Nothing is seen before it watches.
        until(kind, || {
            number += 1;
            change(folder, kind, number);
            let seen = Box::pin(of_kind());
            async move { !seen.await.is_empty() }
        })
        .await;
        change(folder, kind, number + 1);
        let last = format!("order-{kind}-{}", number + 1);
        until("the last one is seen", || async {
            of_kind().await.iter().any(|name| name.ends_with(&last))
        })
        .await;
        // The other changes of the same files are no events.
        let names = of_kind().await;
        let files: BTreeSet<&String> = names.iter().collect();
        assert_eq!(files.len(), names.len(), "{names:?}");
        for payload in nats.payloads().await {
            let name = payload["name"].as_str().expect("text");
            let start = folder.join("order-").display().to_string();
            assert!(name.starts_with(&start), "{name}");
            if payload["op"] == op {
                assert!(name.contains(kind), "{payload}");
            }
            assert_eq!(payload["metadata"], json!({"k": "v"}));
        }
    }
    plane.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_is_polled_and_its_files_have_short_names() {
    let Some(nats) = Nats::start().await else {
        return;
    };
    let place = tempfile::tempdir().expect("a folder");
    let folder = place.path();
    fs::write(folder.join("order-0"), "").expect("written");
    let (bus, plane) = (nats.bus().await, plane_watching(permitted(folder)));
    let entry = entry(folder, &json!({"polling": true}));
    plane.ensure_source(&entry, &bus);
    let mut number = 0;
    until("it watches", || {
        number += 1;
        fs::write(folder.join(format!("order-{number}")), "").expect("written");
        let nats = &nats;
        async move { nats.count().await > 0 }
    })
    .await;
    let stored = nats.payloads().await;
    let name = stored[0]["name"].as_str().expect("text");
    assert!(name.starts_with("order-") && name != "order-0", "{name}");
    assert_eq!(
        (&stored[0]["op"], &stored[0]["metadata"]),
        (&json!(1), &json!(null))
    );
    plane.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_are_checked_and_a_folder_that_cannot_be_watched_is_reported() {
    let good = json!({"eventType": "CREATE", "watchPathConfig": {"directory": "/a", "path": "b"}});
    for (field, value) in [
        ("eventType", json!("CREATED")),
        ("watchPathConfig.directory", json!("a")),
        ("watchPathConfig.directory", json!("/a/../b")),
        ("watchPathConfig.path", json!("")),
        ("watchPathConfig.path", json!("/b")),
        ("watchPathConfig.pathRegexp", json!("(")),
    ] {
        let mut config = good.clone();
        match field.split_once('.') {
            None => config[field] = value,
            Some((outer, inner)) => {
                if inner == "pathRegexp" {
                    config[outer]["path"] = json!("");
                }
                config[outer][inner] = value;
            }
        }
        let error = refusal("file", &config);
        let path = format!("spec.file.event.{field}: ");
        assert!(error.starts_with(&path), "{error}");
    }
    let Some(nats) = Nats::start().await else {
        return;
    };
    let place = tempfile::tempdir().expect("a folder");
    let folder = place.path().join("inbox");
    let bus = nats.bus().await;
    // Nothing is permitted by default.
    let closed = plane_watching(WatchedFolders::default());
    let wanted = entry(&folder, &json!({}));
    reported(&closed, &wanted, &bus, "namespace ns may not watch it").await;
    closed.stop().await;
    let plane = plane_watching(permitted(place.path()));
    reported(&plane, &wanted, &bus, "mount it there").await;
    for more in [json!({}), json!({"polling": true})] {
        let wanted = entry(&folder, &more);
        fs::create_dir(&folder).expect("made");
        until("it watches", || async {
            plane.ensure_source(&wanted, &bus).interrupted.is_empty()
        })
        .await;
        fs::remove_dir(&folder).expect("removed");
        reported(&plane, &wanted, &bus, "mount it there").await;
    }
    fs::write(&folder, "").expect("written");
    reported(&plane, &wanted, &bus, "Not a directory").await;
    plane.stop().await;
}
