use std::time::Duration;

use proptest::prelude::*;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::{
    api::trigger::{Backoff, RateLimit},
    sensor::{
        rate_limit::{Pace, Spacing},
        retry::Retry,
    },
};

fn retry(value: Value) -> Result<Retry, String> {
    let raw: Backoff = serde_json::from_value(value).expect("a back-off");
    Retry::check("r", &raw).map_err(|error| error.to_string())
}

#[test]
fn numbers_may_be_written_as_text() {
    let expected = Retry {
        steps: 3,
        pause: Duration::from_secs(2),
        factor: 2.0,
        jitter: 0.0,
    };
    assert_eq!(
        retry(json!({"steps": 3, "duration": "2s", "factor": 2, "jitter": 0})),
        Ok(expected)
    );
    assert_eq!(
        retry(json!({"steps": 3, "duration": 2_000_000_000, "factor": "2", "jitter": "0"})),
        Ok(expected)
    );
    assert_eq!(
        retry(json!({"steps": 3, "duration": "2000000000", "factor": "2.0", "jitter": "0.0"})),
        Ok(expected)
    );
    assert_eq!(retry(json!({})).expect("defaults").steps, 5);
    assert!(
        retry(json!({"duration": "soon"}))
            .unwrap_err()
            .starts_with("r.duration: ")
    );
    assert!(
        retry(json!({"factor": "x"}))
            .unwrap_err()
            .starts_with("r.factor: ")
    );
    assert!(
        retry(json!({"steps": -1}))
            .unwrap_err()
            .starts_with("r.steps: ")
    );
    assert!(retry(json!({"duration": -1})).is_err());
}

#[test]
fn pauses_grow_by_the_factor_until_the_tries_are_spent() {
    let retry = Retry {
        steps: 4,
        pause: Duration::from_secs(1),
        factor: 2.0,
        jitter: 0.5,
    };
    let pauses: Vec<_> = (1..=4).map(|tried| retry.after(tried, 0.0)).collect();
    let seconds = |seconds| Some(Duration::from_secs(seconds));
    assert_eq!(pauses, [seconds(1), seconds(2), seconds(4), None]);
    assert_eq!(retry.after(1, 1.0), Some(Duration::from_millis(1500)));
    // Without a strategy there is one try.
    assert_eq!(Retry::default().after(1, 0.0), None);
}

#[test]
fn limits_space_actions_evenly() {
    let spacing = |unit: &str, requests: i64| {
        Spacing::check(
            "r",
            &RateLimit {
                unit: Some(unit.into()),
                requests_per_unit: requests,
            },
        )
    };
    assert_eq!(
        spacing("Second", 10),
        Ok(Some(Spacing(Duration::from_millis(100))))
    );
    assert_eq!(
        spacing("Minute", 6),
        Ok(Some(Spacing(Duration::from_secs(10))))
    );
    assert_eq!(
        spacing("Hour", 1),
        Ok(Some(Spacing(Duration::from_secs(3600))))
    );
    assert_eq!(spacing("Second", 0), Ok(None));
    assert!(spacing("Day", 1).is_err() && spacing("Second", -1).is_err());
}

#[test]
fn turns_are_spaced_also_after_a_quiet_time() {
    let start = Instant::now();
    let at = |millis: u64| start + Duration::from_millis(millis);
    let mut pace = Pace::new(Some(Spacing(Duration::from_millis(100))));
    assert_eq!(pace.take(at(0)), at(0));
    assert_eq!(pace.take(at(30)), at(100));
    assert_eq!(pace.take(at(31)), at(200));
    // No burst makes up for the quiet time.
    assert_eq!(pace.take(at(5000)), at(5000));
    assert_eq!(pace.take(at(5000)), at(5100));
    let mut free = Pace::new(None);
    assert_eq!((free.take(at(0)), free.take(at(0))), (at(0), at(0)));
}

proptest! {
    #[test]
    fn no_strategy_waits_for_ever(steps in 1_u32..50, pause in 0_u64..10_000, factor in 0.0_f64..1e6, jitter in 0.0_f64..10.0, tried in 1_u32..60, chance in 0.0_f64..1.0) {
        let retry = Retry { steps, pause: Duration::from_millis(pause), factor, jitter };
        match retry.after(tried, chance) {
            None => prop_assert!(tried >= steps),
            Some(pause) => prop_assert!(tried < steps && pause <= Duration::from_secs(3600)),
        }
    }
}
