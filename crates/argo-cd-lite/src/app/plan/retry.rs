//! When a failed operation is tried again.

use jiff::{SignedDuration, Timestamp};
use reconcile_core::kube_types::GoDuration;

use thiserror::Error;

use crate::api::RetryStrategy;

/// A retry strategy that gives no time for the next try.
#[derive(Debug, Error)]
pub enum RetryError {
    /// The factor makes delays shrink.
    #[error("retry.backoff.factor: {0} is less than 1")]
    Factor(i64),
    /// A delay has another form.
    #[error("retry.backoff.{field}: {text:?}: {reason}; write it as 30s or 5m")]
    Delay {
        /// The field.
        field: &'static str,
        /// Its text.
        text: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The delay leads beyond the last representable time.
    #[error("retry.backoff: the next try is too far in the future")]
    TooLate(#[from] jiff::Error),
}

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

/// When the retry with this number (counted from 0) is due after a try that ended at `finished`.
pub fn due(
    retry: &RetryStrategy,
    finished: Timestamp,
    number: i64,
) -> Result<Timestamp, RetryError> {
    let backoff = retry.backoff.clone().unwrap_or_default();
    let first = seconds("duration", &backoff.duration, FIRST)?;
    let longest = seconds("maxDuration", &backoff.max_duration, LONGEST)?;
    let factor = backoff.factor.unwrap_or(FACTOR);
    if factor < 1 {
        return Err(RetryError::Factor(factor));
    }
    let exponent = i32::try_from(number.clamp(0, 64)).unwrap_or(64);
    #[expect(clippy::cast_precision_loss, reason = "factors are small numbers")]
    let delay = (first * (factor as f64).powi(exponent)).min(longest);
    let delay = SignedDuration::try_from_secs_f64(delay)?;
    Ok(finished.checked_add(delay)?)
}

fn seconds(field: &'static str, text: &str, default: f64) -> Result<f64, RetryError> {
    if text.is_empty() {
        return Ok(default);
    }
    GoDuration::parse_or_seconds(text)
        .map(|duration| duration.as_secs_f64().max(0.0))
        .map_err(|error| RetryError::Delay {
            field,
            text: text.to_owned(),
            reason: error.to_string(),
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::RetryBackoff;

    #[test]
    fn a_delay_that_cannot_be_read_names_its_field() {
        let wrong = |backoff: RetryBackoff| {
            let retry = RetryStrategy {
                limit: 1,
                backoff: Some(backoff),
                ..RetryStrategy::default()
            };
            due(&retry, Timestamp::UNIX_EPOCH, 0)
                .expect_err("an error")
                .to_string()
        };
        let delay = wrong(RetryBackoff {
            max_duration: "soon".to_owned(),
            ..RetryBackoff::default()
        });
        assert!(
            delay.starts_with("retry.backoff.maxDuration: \"soon\": "),
            "{delay}"
        );
        let factor = wrong(RetryBackoff {
            factor: Some(0),
            ..RetryBackoff::default()
        });
        assert_eq!(factor, "retry.backoff.factor: 0 is less than 1");
    }
}
