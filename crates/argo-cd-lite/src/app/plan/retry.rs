//! When a failed operation is tried again.

use jiff::{SignedDuration, Timestamp};
use reconcile_core::kube_types::GoDuration;

use crate::api::RetryStrategy;

/// First delay when none is given.
const FIRST: f64 = 5.0;
/// Longest delay when none is given.
const LONGEST: f64 = 180.0;
/// Factor when none is given.
const FACTOR: i64 = 2;

/// True when another retry is allowed after `done` ones; a negative limit allows any number.
pub fn allowed(retry: &RetryStrategy, done: i64) -> bool {
    retry.limit < 0 || done < retry.limit
}

/// When the retry with this number (counted from 0) is due after a try that ended at `finished`, or what
/// is wrong with the delays.
pub fn due(retry: &RetryStrategy, finished: Timestamp, number: i64) -> Result<Timestamp, String> {
    let backoff = retry.backoff.clone().unwrap_or_default();
    let first = seconds(&backoff.duration, FIRST)?;
    let longest = seconds(&backoff.max_duration, LONGEST)?;
    let factor = backoff.factor.unwrap_or(FACTOR);
    if factor < 1 {
        return Err(format!("retry factor {factor} is less than 1"));
    }
    let exponent = i32::try_from(number.clamp(0, 64)).unwrap_or(64);
    #[expect(clippy::cast_precision_loss, reason = "factors are small numbers")]
    let delay = (first * (factor as f64).powi(exponent)).min(longest);
    let delay = SignedDuration::try_from_secs_f64(delay).map_err(|error| error.to_string())?;
    finished
        .checked_add(delay)
        .map_err(|error| error.to_string())
}

fn seconds(text: &str, default: f64) -> Result<f64, String> {
    if text.is_empty() {
        return Ok(default);
    }
    GoDuration::parse_or_seconds(text)
        .map(|duration| duration.as_secs_f64().max(0.0))
        .map_err(|error| format!("retry delay {text:?}: {error}"))
}
