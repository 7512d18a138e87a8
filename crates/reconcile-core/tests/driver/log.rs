//! What is logged, and how often.

use super::*;

/// Takes what this thread logs until the guard is dropped.
fn logged() -> (Log, tracing::subscriber::DefaultGuard) {
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt()
        .with_writer(log.clone())
        .with_ansi(false)
        .finish();
    (log, tracing::subscriber::set_default(subscriber))
}

/// Several passes over one object that nobody changes.
async fn pass_repeatedly(room: &Lab, name: &str) {
    for passes in 1..4 {
        room.until("another pass", |room| {
            room.passes.load(Ordering::SeqCst) >= passes
        })
        .await;
        room.rest().await;
        room.driver.queue().add(ObjectKey::new("room", name));
    }
    room.rest().await;
}

#[tokio::test]
async fn what_only_a_fix_of_the_program_helps_is_logged_once() {
    let (log, _guard) = logged();
    let kind = FakeKind::new("test.example", "v1", "Lamp", "lamps").without_status();
    let room = Lab::of(kind);
    room.api.put(&lamp("a", &json!({"colour": "red"})));
    pass_repeatedly(&room, "a").await;
    assert_eq!(log.count("only a fix of the program"), 1);
}

#[tokio::test]
async fn an_invalid_object_is_logged_once_per_reason() {
    let (log, _guard) = logged();
    let room = Lab::new();
    room.api.put(&lamp("bad", &json!({"colour": 7})));
    pass_repeatedly(&room, "bad").await;
    assert_eq!(log.count("invalid object"), 1);
    room.api.edit("lamps", "room", "bad", |lamp| {
        lamp["spec"]["colour"] = json!([]);
    });
    room.until("another reason is logged", |_| {
        log.count("invalid object") == 2
    })
    .await;
}

/// What was logged by this thread.
#[derive(Clone, Default)]
struct Log(Arc<parking_lot::Mutex<Vec<u8>>>);

impl Log {
    fn count(&self, text: &str) -> usize {
        String::from_utf8_lossy(&self.0.lock())
            .matches(text)
            .count()
    }
}

impl std::io::Write for Log {
    fn write(&mut self, line: &[u8]) -> std::io::Result<usize> {
        self.0.lock().extend_from_slice(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl tracing_subscriber::fmt::MakeWriter<'_> for Log {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}
