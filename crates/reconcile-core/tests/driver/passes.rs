//! When passes run, and when they end.

use super::*;

#[tokio::test]
async fn a_broken_watch_and_a_compacted_history_lose_nothing() {
    let room = Lab::new();
    room.api.put(&lamp("a", &json!({"colour": "red"})));
    room.until("red", |room| {
        room.get("lamps", "a")["status"]["shows"] == "red"
    })
    .await;
    room.api.drop_watches();
    room.api.compact();
    room.api.put(&lamp("b", &json!({"colour": "red"})));
    room.api.delete("lamps", "room", "a");
    room.until("b", |room| {
        room.get("lamps", "b")["status"]["shows"] == "red"
    })
    .await;
    room.until("a forgotten", |room| {
        room.driver
            .roots()
            .get(&ObjectKey::new("room", "a"))
            .is_none()
    })
    .await;
}

#[tokio::test]
async fn a_stop_ends_the_pass_in_flight() {
    let room = Lab::new();
    room.api
        .fail(Fault::delay("patch", "configmaps", Duration::from_millis(300)).times(1));
    room.api.put(&lamp("a", &json!({"colour": "red"})));
    room.until("a pass has begun", |room| {
        room.passes.load(Ordering::SeqCst) > 0
    })
    .await;
    room.operator.shutdown.cancel();
    let Lab { api, operator, .. } = room;
    operator.run().await.expect("nobody took the lease");
    let shown = api.get("configmaps", "room", "a").unwrap_or_default();
    assert_eq!(shown["data"]["colour"], "red", "the pass was cut off");
    assert_eq!(
        api.get("lamps", "room", "a").unwrap_or_default()["status"]["shows"],
        "red"
    );
}

#[tokio::test]
async fn nothing_is_planned_before_all_parts_are_ready() {
    let room = Lab::new();
    let ready = room.operator.readiness.register("a part that is late");
    room.api.put(&lamp("a", &json!({"colour": "red"})));
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(room.passes.load(Ordering::SeqCst), 0);
    ready.set();
    room.until("red", |room| {
        room.get("lamps", "a")["status"]["shows"] == "red"
    })
    .await;
}

#[tokio::test]
async fn a_plan_that_is_always_late_does_not_take_a_whole_core() {
    let room = Lab::new();
    room.api.put(&lamp("a", &json!({"colour": "restless"})));
    room.until("shown", |room| {
        room.get("lamps", "a")["status"]["shows"] == "restless"
    })
    .await;
    let before = room.passes.load(Ordering::SeqCst);
    tokio::time::sleep(Duration::from_millis(300)).await;
    let passes = room.passes.load(Ordering::SeqCst) - before;
    assert!((2..=31).contains(&passes), "{passes} passes in 300 ms");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn passes_over_one_object_never_overlap_even_after_the_deadline() {
    let room = Lab::new();
    room.api.put(&lamp("stuck", &json!({"colour": "red"})));
    room.until("a second try", |room| {
        room.running.begun.load(Ordering::SeqCst) > 1
    })
    .await;
    assert_eq!(room.running.most.load(Ordering::SeqCst), 1);
}
