use expressions::cron::Schedule;
use jiff::Timestamp;
use serde_json::{Value as Json, json};

use crate::{Comparison, cases};

const MEANT: &[(&str, &str)] = &[];

fn moments(schedule: &Schedule, start: Timestamp) -> Json {
    let mut moments = Vec::new();
    let mut at = start;
    while moments.len() < 4 {
        let Some(next) = schedule.next_after(at) else {
            moments.push("never".to_owned());
            break;
        };
        moments.push(next.to_string());
        at = next;
    }
    json!(moments)
}

#[test]
fn schedules_meet_the_moments_of_go() {
    let mut comparison = Comparison::new(MEANT);
    for case in cases(include_str!("cron.json")) {
        let text = |name: &str| case[name].as_str().expect("text");
        let start: Timestamp = text("start").parse().expect("timestamp");
        let ours = Schedule::parse(text("schedule"), text("zone"));
        comparison.case(
            &format!("{} {} from {start}", text("schedule"), text("zone")),
            case.get("value"),
            ours.map(|schedule| moments(&schedule, start))
                .map_err(|error| error.to_string()),
        );
    }
    comparison.finish(25);
}
