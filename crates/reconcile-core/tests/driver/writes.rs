//! Conflicts, and changes that come in between.

use super::*;

#[tokio::test]
async fn a_conflict_is_read_again_and_an_outage_is_retried() {
    let room = Lab::new();
    room.api
        .fail(Fault::status("patch", "configmaps", 409, "Conflict").times(1));
    room.api.put(&lamp("a", &json!({"colour": "red"})));
    room.until("red after a conflict", |room| {
        room.get("lamps", "a")["status"]["shows"] == "red"
    })
    .await;
    assert!(
        room.get("lamps", "a")["status"]["error"].is_null(),
        "a single conflict is nobody's business"
    );
    room.api
        .fail(Fault::status("patch", "configmaps", 500, "InternalError").times(3));
    room.api.put(&lamp("b", &json!({"colour": "red"})));
    room.until("red after an outage", |room| {
        room.get("lamps", "b")["status"]["shows"] == "red"
    })
    .await;
}

#[tokio::test]
async fn a_spec_change_that_hides_in_the_answer_to_a_status_write_is_not_lost() {
    let room = Lab::new();
    room.api.put(&lamp("a", &json!({"colour": "red"})));
    room.until("red", |room| {
        room.get("lamps", "a")["status"]["shows"] == "red"
    })
    .await;
    room.rest().await;
    // The status write is held up, and the spec changes just before it lands. Its answer is all that calls for another
    // pass: the watches are late.
    room.api.hold_watches("configmaps");
    room.api
        .fail(Fault::delay("patch", "lamps/status", Duration::from_millis(200)).times(1));
    room.api.edit("lamps", "room", "a", |lamp| {
        lamp["spec"]["colour"] = json!("blue");
    });
    room.until("blue", |room| {
        room.get("configmaps", "a")["data"]["colour"] == "blue"
    })
    .await;
    room.api.hold_watches("lamps");
    room.api.edit("lamps", "room", "a", |lamp| {
        lamp["spec"]["colour"] = json!("green");
    });
    room.until("green", |room| {
        room.get("lamps", "a")["status"]["shows"] == "green"
    })
    .await;
    assert_eq!(room.get("configmaps", "a")["data"]["colour"], "green");
}

#[tokio::test]
async fn guarded_patches_of_one_report_do_not_stand_in_each_others_way() {
    let room = Lab::new();
    room.api.put(&lamp("a", &json!({"colour": "gold"})));
    room.until("gold", |room| {
        room.get("lamps", "a")["status"]["shows"] == "gold"
    })
    .await;
    assert_eq!(
        room.get("lamps", "a")["metadata"]["annotations"]["worth"],
        "much"
    );
    let conflicts = room.api.requests();
    let conflicts = conflicts.iter().filter(|request| request.code == 409);
    assert_eq!(conflicts.count(), 0);
}

#[tokio::test]
async fn a_second_listener_hears_of_a_change_that_hides_in_the_answer_to_a_status_write() {
    let room = Lab::new();
    let heard = Arc::<AtomicUsize>::default();
    let ear = heard.clone();
    room.driver.roots().on_change(move |change| {
        let new = change.new.map(|root| root.spec_value());
        if new.is_some_and(|spec| spec["colour"] == "green") {
            ear.fetch_add(1, Ordering::SeqCst);
        }
    });
    room.api.put(&lamp("a", &json!({"colour": "red"})));
    room.until("red", |room| {
        room.get("lamps", "a")["status"]["shows"] == "red"
    })
    .await;
    room.rest().await;
    // Only the answer to the status write tells of green: events come too late.
    let first = Fault::delay("patch", "lamps/status", Duration::from_millis(200));
    room.api.fail(first.times(1));
    room.api.edit("lamps", "room", "a", |lamp| {
        lamp["spec"]["colour"] = json!("blue");
    });
    room.until("blue", |room| {
        room.get("configmaps", "a")["data"]["colour"] == "blue"
    })
    .await;
    room.api.hold_watches("lamps");
    room.api.edit("lamps", "room", "a", |lamp| {
        lamp["spec"]["colour"] = json!("green");
    });
    room.until("green arrives", |_| heard.load(Ordering::SeqCst) > 0)
        .await;
    room.until("green", |room| {
        room.get("lamps", "a")["status"]["shows"] == "green"
    })
    .await;
}

#[tokio::test]
async fn events_of_actions_before_a_conflict_are_not_lost() {
    let room = Lab::new();
    room.api
        .fail(Fault::delay("patch", "configmaps", Duration::ZERO).times(1));
    room.api
        .fail(Fault::status("patch", "configmaps", 409, "Conflict").times(1));
    room.api.put(&lamp("a", &json!({"colour": "glossy"})));
    room.until("glossy", |room| {
        room.get("lamps", "a")["status"]["shows"] == "glossy"
    })
    .await;
    room.operator.events.flush().await;
    assert_eq!(room.event_notes(), ["now primer", "now glossy"]);
}

#[tokio::test]
async fn a_kind_without_the_status_endpoint_is_an_error_that_the_object_shows() {
    let kind = FakeKind::new("test.example", "v1", "Lamp", "lamps").without_status();
    let room = Lab::of(kind);
    room.api.put(&lamp("a", &json!({"colour": "red"})));
    room.until("an Event that names the cause", |room| {
        let mut notes = room.event_notes().into_iter();
        notes.any(|note| {
            note.contains("lamps.test.example of this cluster has no status subresource")
        })
    })
    .await;
}
