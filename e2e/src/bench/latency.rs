//! Percentiles of durations.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Percentiles in milliseconds; the nearest value that really occurred, never an interpolation.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Latency {
    /// Half of the values are at most this.
    pub p50: f64,
    /// Nine of ten values are at most this.
    pub p90: f64,
    /// 99 of a hundred values are at most this.
    pub p99: f64,
    /// The largest value.
    pub max: f64,
}

impl Latency {
    /// The percentiles of these values. None when there are none.
    pub(crate) fn of(values: impl IntoIterator<Item = Duration>) -> Option<Self> {
        let mut sorted: Vec<Duration> = values.into_iter().collect();
        sorted.sort_unstable();
        let last = sorted.last()?;
        Some(Self {
            p50: millis(rank(&sorted, 50)),
            p90: millis(rank(&sorted, 90)),
            p99: millis(rank(&sorted, 99)),
            max: millis(*last),
        })
    }
}

/// The nearest-rank percentile.
fn rank(sorted: &[Duration], percent: usize) -> Duration {
    let position = (sorted.len() * percent).div_ceil(100).saturating_sub(1);
    sorted.get(position).copied().unwrap_or_default()
}

fn millis(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_that_occurred() {
        let latency = Latency::of((1..=200).map(Duration::from_millis)).unwrap();
        assert_eq!(
            latency,
            Latency {
                p50: 100.0,
                p90: 180.0,
                p99: 198.0,
                max: 200.0
            }
        );
    }

    #[test]
    fn few_values_are_enough_and_none_give_none() {
        let one = Latency::of([Duration::from_micros(1500)]).unwrap();
        assert_eq!(
            one,
            Latency {
                p50: 1.5,
                p90: 1.5,
                p99: 1.5,
                max: 1.5
            }
        );
        assert_eq!(Latency::of([]), None);
    }
}
