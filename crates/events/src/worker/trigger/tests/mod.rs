//! The task of a trigger over a bus in memory that records every write, action and answer in its order.

mod broker;
mod events;
mod in_turn;
mod process;
mod secrets;
mod sets;
mod transcript;

use serde_json::{Value, json};

use self::{
    broker::{Broker, Play},
    process::{Spec, run},
};

/// A Sensor with the dependencies `a`, `b` and `c`, and the trigger `t`.
fn spec(condition: &str, extra: Value) -> Spec {
    let dependency =
        |name: &str| json!({"name": name, "eventSourceName": "src", "eventName": name});
    let mut trigger = json!({"template": {"name": "t", "conditions": condition, "log": {}}});
    if let (Value::Object(trigger), Value::Object(extra)) = (&mut trigger, extra) {
        trigger.extend(extra);
    }
    Spec::check(&json!({
        "dependencies": [dependency("a"), dependency("b"), dependency("c")],
        "triggers": [trigger],
    }))
}
