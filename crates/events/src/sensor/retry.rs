//! When a failed action is tried again.

use std::time::Duration;

use reconcile_core::{kube_types::GoDuration, object::FieldError};
use serde_json::Value;

use crate::api::trigger::Backoff;

/// Tries when a strategy is given without a number, as upstream.
const DEFAULT_STEPS: u32 = 5;
/// First pause when none is given.
const DEFAULT_PAUSE: Duration = Duration::from_secs(1);
/// No pause is longer than an hour: a growing factor must not park a message for days.
const LONGEST: Duration = Duration::from_secs(3600);

/// A checked retry strategy.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Retry {
    /// Tries in all, at least 1.
    pub steps: u32,
    /// Pause after the first failure.
    pub pause: Duration,
    /// Each pause is this times the one before.
    pub factor: f64,
    /// Up to this part of a pause is added to it.
    pub jitter: f64,
}

impl Default for Retry {
    /// One try: what a manifest without a strategy gets.
    fn default() -> Self {
        Self {
            steps: 1,
            pause: DEFAULT_PAUSE,
            factor: 1.0,
            jitter: 0.0,
        }
    }
}

impl Retry {
    /// Checks the strategy at `path`.
    pub fn check(path: &str, backoff: &Backoff) -> Result<Self, FieldError> {
        let at = |field: &'static str| {
            move |message: String| FieldError::new(format!("{path}.{field}"), message)
        };
        let steps = match backoff.steps {
            None | Some(0) => DEFAULT_STEPS,
            Some(steps) => {
                u32::try_from(steps).map_err(|_| at("steps")("must not be negative".to_owned()))?
            }
        };
        Ok(Self {
            steps,
            pause: pause(backoff.duration.as_ref()).map_err(at("duration"))?,
            factor: number(backoff.factor.as_ref()).map_err(at("factor"))?,
            jitter: number(backoff.jitter.as_ref()).map_err(at("jitter"))?,
        })
    }

    /// The pause after try number `tried` (from 1) failed; `None` when the tries are spent. `chance` in
    /// 0..1 chooses the jitter.
    pub fn after(&self, tried: u32, chance: f64) -> Option<Duration> {
        if tried >= self.steps {
            return None;
        }
        let doublings = i32::try_from(tried.saturating_sub(1)).unwrap_or(i32::MAX);
        let seconds =
            self.pause.as_secs_f64() * self.factor.powi(doublings) * (1.0 + self.jitter * chance);
        let seconds = if seconds.is_finite() {
            seconds.clamp(0.0, LONGEST.as_secs_f64())
        } else {
            LONGEST.as_secs_f64()
        };
        Some(Duration::from_secs_f64(seconds))
    }
}

fn pause(value: Option<&Value>) -> Result<Duration, String> {
    let nanos = match value {
        None | Some(Value::Null) => return Ok(DEFAULT_PAUSE),
        Some(Value::Number(number)) => number.as_i64(),
        Some(Value::String(text)) => match text.parse::<GoDuration>() {
            Ok(duration) => Some(duration.as_nanos()),
            Err(error) => match text.parse() {
                Ok(nanos) => Some(nanos),
                Err(_) => return Err(error.to_string()),
            },
        },
        Some(_) => None,
    };
    match nanos.and_then(|nanos| u64::try_from(nanos).ok()) {
        Some(nanos) => Ok(Duration::from_nanos(nanos)),
        None => Err("must be a duration such as \"10s\", or nanoseconds".to_owned()),
    }
}

/// A number, 1 when absent.
fn number(value: Option<&Value>) -> Result<f64, String> {
    let number = match value {
        None | Some(Value::Null) => return Ok(1.0),
        Some(Value::Number(number)) => number.as_f64(),
        Some(Value::String(text)) => text.trim().parse().ok(),
        Some(_) => None,
    };
    match number {
        Some(number) if number.is_finite() && number >= 0.0 => Ok(number),
        _ => Err("must be a number that is not negative".to_owned()),
    }
}
