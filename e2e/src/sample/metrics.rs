//! The metrics of one pod, in Prometheus' text form.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

/// Upper bounds of the latency histogram in seconds.
const BOUNDS: [f64; 8] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0];

/// Requests by code and the latency histogram.
#[derive(Debug, Default)]
pub(super) struct PodMetrics {
    codes: BTreeMap<u16, u64>,
    buckets: [u64; BOUNDS.len()],
    seconds: f64,
    count: u64,
    /// Errors owed: grows by the error rate with each request, an error pays one. The rate is exact without chance.
    debt: f64,
}

impl PodMetrics {
    /// Decides and counts one answer: 200, or 500 as often as `error_rate` says.
    pub(super) fn count(&mut self, error_rate: f64, took: Duration) -> u16 {
        self.debt += error_rate;
        let code = if self.debt >= 1.0 {
            self.debt -= 1.0;
            500
        } else {
            200
        };
        *self.codes.entry(code).or_default() += 1;
        let took = took.as_secs_f64();
        for (bound, bucket) in BOUNDS.iter().zip(&mut self.buckets) {
            if took <= *bound {
                *bucket += 1;
            }
        }
        self.seconds += took;
        self.count += 1;
        code
    }

    pub(super) fn render(&self, version: &str) -> String {
        let version = version.replace(['"', '\\', '\n'], "_");
        let mut text = String::from("# TYPE app_info gauge\n");
        let mut line = |args: std::fmt::Arguments<'_>| {
            // Writing to a String cannot fail.
            let _infallible = text.write_fmt(args);
            text.push('\n');
        };
        line(format_args!("app_info{{version=\"{version}\"}} 1"));
        line(format_args!("# TYPE http_requests_total counter"));
        for code in [200, 500] {
            let count = self.codes.get(&code).copied().unwrap_or(0);
            line(format_args!(
                "http_requests_total{{version=\"{version}\",code=\"{code}\",method=\"GET\"}} {count}"
            ));
        }
        let name = "http_request_duration_seconds";
        line(format_args!("# TYPE {name} histogram"));
        for (bound, count) in BOUNDS.iter().zip(self.buckets) {
            line(format_args!(
                "{name}_bucket{{version=\"{version}\",le=\"{bound}\"}} {count}"
            ));
        }
        line(format_args!(
            "{name}_bucket{{version=\"{version}\",le=\"+Inf\"}} {}",
            self.count
        ));
        line(format_args!(
            "{name}_sum{{version=\"{version}\"}} {}",
            self.seconds
        ));
        line(format_args!(
            "{name}_count{{version=\"{version}\"}} {}",
            self.count
        ));
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_of_the_answers_of_a_bad_version_are_errors() {
        let mut metrics = PodMetrics::default();
        let codes: Vec<u16> = (0..4)
            .map(|_| metrics.count(0.5, Duration::from_millis(20)))
            .collect();
        assert_eq!(codes, [200, 500, 200, 500]);
        let text = metrics.render("bad");
        assert!(
            text.contains("http_requests_total{version=\"bad\",code=\"500\",method=\"GET\"} 2")
        );
        assert!(
            text.contains("http_request_duration_seconds_bucket{version=\"bad\",le=\"0.025\"} 4")
        );
        assert!(
            text.contains("http_request_duration_seconds_bucket{version=\"bad\",le=\"0.01\"} 0")
        );
    }
}
