//! The source `sftp` on the sshd of OpenSSH, and on a server that asks for a password.

mod support;

use std::{collections::BTreeSet, fs, sync::Arc, time::Duration};

use events::{bus::Bus, source::CheckedSource, worker::DataPlane};
use serde_json::{Value, json};

use support::{Nats, Sftp, plane, refusal, reported, source, until, with};

fn config(directory: &str, more: &Value) -> Value {
    let secret = |key: &str| json!({"name": "sftp", "key": key});
    with(
        json!({
            "address": secret("address"), "username": secret("user"), "sshKeySecret": secret("key"),
            "eventType": "CREATE", "pollIntervalDuration": "1s",
            "watchPathConfig": {"directory": directory, "pathRegexp": "."},
            "connectionBackoff": {"duration": "500ms", "steps": 1},
        }),
        more,
    )
}

fn entry(sftp: &Sftp, key: &str, more: &Value) -> Arc<CheckedSource> {
    let config = config(&sftp.directory(), more);
    source("sftp", &[&sftp.address(), &Sftp::user(), key], &config)
}

/// Runs the source until it has seen the directory: a file that comes, grows and goes is an event from then on.
async fn seen(
    plane: &DataPlane,
    source: &Arc<CheckedSource>,
    bus: &Arc<Bus>,
    nats: &Nats,
    sftp: &Sftp,
) {
    let before = nats.count().await;
    let text = std::cell::RefCell::new(String::new());
    until("the file is stored", || async {
        plane.ensure_source(source, bus);
        text.borrow_mut().push('x');
        if text.borrow().len() % 16 < 12 {
            sftp.write("seen", &text.borrow());
        } else {
            drop(fs::remove_file(sftp.path("shown").join("seen")));
        }
        nats.count().await > before
    })
    .await;
}

/// Names and operations of events, but for those of the file of [`seen`].
async fn stored(nats: &Nats) -> Vec<(String, u64)> {
    let payloads = nats.payloads().await;
    let events = payloads.iter().map(|payload| {
        let name = payload["name"].as_str().expect("text").to_owned();
        (name, payload["op"].as_u64().expect("a number"))
    });
    events.filter(|(name, _)| name != "seen").collect()
}

#[test]
fn ten_thousand_files_survive_the_death_of_the_source_and_of_the_server() {
    const ALL: usize = 10_000;
    let main = tokio::runtime::Runtime::new().expect("a runtime");
    let Some(nats) = main.block_on(Nats::start()) else {
        return;
    };
    let Some(mut sftp) = main.block_on(Sftp::openssh()) else {
        return;
    };
    let write = |sftp: &Sftp, numbers: std::ops::Range<usize>| {
        numbers.for_each(|n| sftp.write(&format!("order-{n}.csv"), "x"));
    };
    let source = entry(&sftp, &sftp.text("ed25519"), &json!({}));
    // The first process is gone without a word while it publishes.
    let first = tokio::runtime::Runtime::new().expect("a runtime");
    first.block_on(async {
        let (bus, plane) = (nats.bus().await, plane());
        seen(&plane, &source, &bus, &nats, &sftp).await;
        let before = nats.count().await;
        write(&sftp, 0..5000);
        until("some are stored", || async {
            nats.count().await >= before + 500
        })
        .await;
        std::mem::forget(plane);
    });
    first.shutdown_timeout(Duration::ZERO);
    main.block_on(async {
        assert!(stored(&nats).await.len() < 5000, "too fast for this test");
        // Nobody watches meanwhile.
        write(&sftp, 5000..8000);
        let (bus, plane) = (nats.bus().await, plane());
        plane.ensure_source(&source, &bus);
        until("more are stored", || async {
            stored(&nats).await.len() >= 5500
        })
        .await;
        sftp.stop().await;
        write(&sftp, 8000..ALL);
        sftp.server.up().await;
        until("all are stored", || async {
            stored(&nats).await.len() >= ALL
        })
        .await;
        let names: BTreeSet<String> = stored(&nats)
            .await
            .into_iter()
            .map(|(name, _)| name)
            .collect();
        let expected = (0..ALL).map(|n| format!("order-{n}.csv"));
        assert_eq!(names, expected.collect());
        assert_eq!(stored(&nats).await.len(), ALL, "some came twice");
        let events = nats.stored().await;
        let ids: BTreeSet<&str> = events.iter().map(|event| event.id.as_str()).collect();
        assert_eq!(ids.len(), events.len());
        plane.stop().await;
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn new_changed_and_removed_files_are_events_of_their_types() {
    let Some(nats) = Nats::start().await else {
        return;
    };
    let Some(sftp) = Sftp::openssh().await else {
        return;
    };
    let bus = nats.bus().await;
    let key = sftp.text("ed25519");
    for (kind, expected) in [
        ("CREATE", vec![("a.csv", 1), ("a.csv", 1), ("b.csv", 1)]),
        ("WRITE", vec![("a.csv", 2)]),
        ("REMOVE", vec![("a.csv", 4), ("b.csv", 4)]),
    ] {
        let plane = plane();
        for name in ["a.csv", "b.csv", "seen"] {
            drop(fs::remove_file(sftp.path("shown").join(name)));
        }
        let more = json!({
            "eventType": kind, "metadata": {"k": "v"},
            // What is remembered is of other names each time.
            "watchPathConfig": {"directory": sftp.directory(), "pathRegexp": format!("^(seen|[a-z]+[.]csv|{kind})$")},
            "filter": {"expression": "name != 'hidden.csv'"},
        });
        let source = entry(&sftp, &key, &more);
        let before = stored(&nats).await.len();
        let reached = async |count: usize| {
            until(kind, || async {
                plane.ensure_source(&source, &bus);
                stored(&nats).await.len() >= before + count
            })
            .await;
        };
        match kind {
            "CREATE" => {
                seen(&plane, &source, &bus, &nats, &sftp).await;
                fs::create_dir_all(sftp.path("shown").join("dir.csv")).expect("a folder");
                sftp.write("other.txt", "not watched");
                sftp.write("hidden.csv", "filtered");
                sftp.write("a.csv", "1");
                reached(1).await;
                sftp.write("a.csv", "22");
                reached(2).await;
                sftp.write("b.csv", "1");
                reached(3).await;
                let payload = nats.payloads().await.pop().expect("one");
                let expected = json!({"name": "b.csv", "op": 1, "metadata": {"k": "v"}});
                assert_eq!(payload, expected);
            }
            "WRITE" => {
                sftp.write("a.csv", "1");
                seen(&plane, &source, &bus, &nats, &sftp).await;
                sftp.write("b.csv", "1");
                sftp.write("a.csv", "22");
                reached(1).await;
            }
            _ => {
                sftp.write("a.csv", "1");
                sftp.write("b.csv", "1");
                seen(&plane, &source, &bus, &nats, &sftp).await;
                fs::remove_file(sftp.path("shown").join("a.csv")).expect("there");
                fs::remove_file(sftp.path("shown").join("b.csv")).expect("there");
                reached(2).await;
            }
        }
        let mut found = stored(&nats).await.split_off(before);
        found.sort();
        let expected = expected.into_iter().map(|(name, op)| (name.to_owned(), op));
        assert_eq!(found, expected.collect::<Vec<_>>(), "{kind}");
        plane.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_of_all_kinds_log_in_and_another_server_is_refused() {
    let Some(mut nats) = Nats::start().await else {
        return;
    };
    let Some(mut sftp) = Sftp::openssh().await else {
        return;
    };
    let host = sftp.text("host.pub");
    for key in ["ecdsa", "rsa", "pem", "ed25519"] {
        let (bus, plane) = (nats.bus().await, plane());
        // The key of the server may stand behind that of the user.
        let secret = format!("{}{host}", sftp.text(key));
        let source = entry(&sftp, &secret, &json!({"metadata": {"key": key}}));
        seen(&plane, &source, &bus, &nats, &sftp).await;
        plane.stop().await;
    }
    let (bus, plane) = (nats.bus().await, plane());
    let secret = format!("{}{}", sftp.text("ed25519"), sftp.text("other.pub"));
    let other = entry(&sftp, &secret, &json!({}));
    reported(&plane, &other, &bus, "which is not the known one").await;
    let secret = format!("{}{}", sftp.text("ed25519"), sftp.text("rsa.pub"));
    let rsa = entry(&sftp, &secret, &json!({}));
    reported(&plane, &rsa, &bus, "are of RSA").await;
    let stranger = entry(&sftp, &sftp.text("other"), &json!({}));
    reported(
        &plane,
        &stranger,
        &bus,
        "does not accept the key of the user",
    )
    .await;
    plane.stop().await;
    // Without a given key the first one is remembered.
    nats.lose_everything();
    nats.up().await;
    let (bus, plane) = (nats.bus().await, support::plane());
    let plain = entry(&sftp, &sftp.text("ed25519"), &json!({}));
    seen(&plane, &plain, &bus, &nats, &sftp).await;
    sftp.stop().await;
    fs::copy(sftp.path("other"), sftp.path("host")).expect("replaced");
    sftp.server.up().await;
    reported(&plane, &plain, &bus, "which is not the known one").await;
    let address = format!("{}\n{}", sftp.address(), sftp.text("other.pub"));
    let config = config(&sftp.directory(), &json!({}));
    let key = sftp.text("ed25519");
    let again = source("sftp", &[&address, &Sftp::user(), &key], &config);
    seen(&plane, &again, &bus, &nats, &sftp).await;
    plane.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_logs_in_and_a_wrong_one_is_reported_without_it() {
    let Some(nats) = Nats::start().await else {
        return;
    };
    let Some(sftp) = Sftp::with_password("s3cret-word").await else {
        return;
    };
    let (bus, plane) = (nats.bus().await, plane());
    let login = |password: &str, directory: &str| {
        let mut config = config(directory, &json!({}));
        config["password"] = config["sshKeySecret"].take();
        config
            .as_object_mut()
            .expect("an object")
            .remove("sshKeySecret");
        source("sftp", &[&sftp.address(), "worker", password], &config)
    };
    let wrong = login("s3cret-other", "/");
    reported(
        &plane,
        &wrong,
        &bus,
        "does not accept the password of the user",
    )
    .await;
    let absent = login("s3cret-word", "/absent");
    reported(&plane, &absent, &bus, "/absent: no such directory").await;
    seen(&plane, &login("s3cret-word", "/"), &bus, &nats, &sftp).await;
    plane.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_are_checked_and_what_is_no_server_is_reported() {
    for (field, value) in [
        ("eventType", json!("RENAME")),
        ("eventType", json!("")),
        ("pollIntervalDuration", json!("soon")),
        ("address", Value::Null),
        ("username", Value::Null),
    ] {
        let error = refusal("sftp", &config("/in", &json!({field: value})));
        assert!(
            error.starts_with(&format!("spec.sftp.event.{field}: ")),
            "{error}"
        );
    }
    let error = refusal("sftp", &config("in", &json!({})));
    assert!(
        error.contains("watchPathConfig.directory: must be an absolute path"),
        "{error}"
    );
    let error = refusal("sftp", &config("/in", &json!({"sshKeySecret": null})));
    assert!(
        error.contains("password or sshKeySecret must be set"),
        "{error}"
    );
    let Some(nats) = Nats::start().await else {
        return;
    };
    let Some(mut sftp) = Sftp::openssh().await else {
        return;
    };
    let (bus, plane) = (nats.bus().await, plane());
    let to = |address: &str, key: &str| {
        source(
            "sftp",
            &[address, "worker", key],
            &config("/in", &json!({})),
        )
    };
    let key = sftp.text("ed25519");
    // The bus speaks another protocol.
    let url = nats.config().urls[0].replace("nats://", "");
    reported(&plane, &to(&url, &key), &bus, "SSH").await;
    reported(
        &plane,
        &to("169.254.169.254:22", &key),
        &bus,
        "--allow-link-local",
    )
    .await;
    reported(
        &plane,
        &to("a/b", &key),
        &bus,
        "the Secret holds no HOST:PORT",
    )
    .await;
    reported(
        &plane,
        &to(&sftp.address(), "s3cret"),
        &bus,
        "sshKeySecret: holds no private key",
    )
    .await;
    let good = entry(&sftp, &key, &json!({}));
    seen(&plane, &good, &bus, &nats, &sftp).await;
    sftp.stop().await;
    reported(&plane, &good, &bus, "refused").await;
    plane.stop().await;
}
