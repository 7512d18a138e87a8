//! How long a source waits before it connects again.

use std::time::Duration;

use reconcile_core::object::FieldError;

use crate::{api::trigger::Backoff, sensor::retry::Retry};

/// No pause is shorter, whatever a manifest says: the server is somebody's.
const SHORTEST: Duration = Duration::from_millis(100);
/// No pause is longer: an outage of a night must not keep events out for hours.
const LONGEST: Duration = Duration::from_secs(300);
/// Without `connectionBackoff`: a second that doubles up to sixteen.
const DEFAULT: Retry = Retry {
    steps: 5,
    pause: Duration::from_secs(1),
    factor: 2.0,
    jitter: 0.2,
};

/// A checked `connectionBackoff`. The pause grows for as many tries as `steps` says and then stays; a source never
/// gives up.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reconnect(Retry);

impl Default for Reconnect {
    fn default() -> Self {
        Self(DEFAULT)
    }
}

impl Reconnect {
    /// Checks the back-off at `path`.
    pub(super) fn check(path: &str, backoff: Option<&Backoff>) -> Result<Self, FieldError> {
        let checked = backoff.map(|backoff| Retry::check(path, backoff));
        Ok(checked.transpose()?.map_or_else(Self::default, Self))
    }

    /// The pause after `tried` tries in a row (from 1) failed; `chance` in 0..1 chooses the jitter.
    pub fn pause(&self, tried: u32, chance: f64) -> Duration {
        let growing = tried.min(self.0.steps);
        let endless = Retry {
            steps: u32::MAX,
            ..self.0
        };
        let pause = endless.after(growing, chance).unwrap_or(LONGEST);
        pause.clamp(SHORTEST, LONGEST)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pauses(backoff: serde_json::Value) -> Vec<u128> {
        let backoff: Option<Backoff> = serde_json::from_value(backoff).expect("a back-off");
        let reconnect = Reconnect::check("spec", backoff.as_ref()).expect("checked");
        let pauses = (1..=7).map(|tried| reconnect.pause(tried, 0.0).as_millis());
        pauses.collect()
    }

    #[test]
    fn the_pause_grows_for_so_many_steps_and_never_ends() {
        assert_eq!(
            pauses(json!(null)),
            [1000, 2000, 4000, 8000, 16_000, 16_000, 16_000]
        );
        assert_eq!(
            pauses(json!({"duration": "2s", "factor": "3", "steps": 3})),
            [2000, 6000, 18_000, 18_000, 18_000, 18_000, 18_000]
        );
        assert_eq!(pauses(json!({"duration": 0})), [100; 7]);
        assert_eq!(pauses(json!({"duration": "1h", "steps": 1})), [300_000; 7]);
        assert!(Reconnect::default().pause(1, 1.0) > Duration::from_secs(1));
    }
}
