//! Schedules: which ticks an event has. Plain functions of time.

use std::collections::BTreeSet;

use expressions::cron::{CronError, Schedule};
use jiff::{SignedDuration, Timestamp, Zoned, civil::Date, tz::TimeZone};

/// Missed ticks that are not older than this are made up for: a restart or a change of leaders takes
/// less. Older ones only with `persistence.catchup`.
const RESTART: SignedDuration = SignedDuration::from_secs(60);
/// Days that may be excluded in a row before the search for the next tick gives up.
const MOST_EXCLUDED: usize = 10_000;

/// A schedule with everything checked.
#[derive(Clone, Debug, PartialEq)]
pub struct Calendar {
    /// When.
    pub rhythm: Rhythm,
    /// Days without ticks.
    pub excluded: BTreeSet<Date>,
    /// Zone of the cron fields, the excluded days and the event time.
    pub zone: TimeZone,
    /// How far back missed ticks are made up for; `None` only over a restart.
    pub catch_up: Option<SignedDuration>,
}

/// When an event happens.
#[derive(Clone, Debug, PartialEq)]
pub enum Rhythm {
    /// By cron expression.
    Cron(Cron),
    /// Every so often, counted from the last tick.
    Every(SignedDuration),
}

/// A parsed cron expression of five fields, in its zone.
#[derive(Clone)]
pub struct Cron {
    text: String,
    schedule: Schedule,
}

impl PartialEq for Cron {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl std::fmt::Debug for Cron {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}

impl Cron {
    /// Parses five fields; descriptors such as `@daily` are refused, as upstream does. `zone` is an IANA
    /// name, empty for UTC.
    pub fn parse(text: &str, zone: &str) -> Result<Self, CronError> {
        let schedule = Schedule::parse(text.trim(), zone)?;
        Ok(Self {
            text: format!("{} {zone}", text.trim()),
            schedule,
        })
    }

    /// The first tick after `at`.
    pub fn next_after(&self, at: Timestamp) -> Option<Timestamp> {
        self.schedule.next_after(at)
    }

    /// The last tick before `at`.
    pub fn previous_before(&self, at: Timestamp) -> Option<Timestamp> {
        self.schedule.previous_before(at)
    }
}

impl Calendar {
    /// The rhythm as text: ticks of another rhythm say nothing about this one.
    pub fn rhythm_text(&self) -> String {
        match &self.rhythm {
            Rhythm::Cron(cron) => {
                format!("{} {}", cron.text, self.zone.iana_name().unwrap_or("UTC"))
            }
            Rhythm::Every(interval) => format!("every {interval:#}"),
        }
    }

    /// The first tick after `last`.
    pub fn next_after(&self, last: Timestamp) -> Option<Timestamp> {
        let mut at = last;
        for _ in 0..MOST_EXCLUDED {
            at = match &self.rhythm {
                Rhythm::Cron(cron) => cron.next_after(at)?,
                Rhythm::Every(interval) => at.checked_add(*interval).ok()?,
            };
            if !self
                .excluded
                .contains(&at.to_zoned(self.zone.clone()).date())
            {
                return Some(at);
            }
        }
        None
    }

    /// The last tick that is too old to be made up for is skipped over in one step: gives the time from
    /// which ticks are looked for, given the last one.
    pub fn resume_from(&self, last: Timestamp, now: Timestamp) -> Timestamp {
        let patience = self.catch_up.unwrap_or(RESTART).max(RESTART);
        let oldest = now.saturating_sub(patience).unwrap_or(Timestamp::MIN);
        match &self.rhythm {
            Rhythm::Cron(_) => last.max(oldest),
            Rhythm::Every(interval) => {
                // Keeps the beat: whole intervals only.
                let behind = oldest.duration_since(last);
                if behind <= SignedDuration::ZERO || *interval <= SignedDuration::ZERO {
                    return last;
                }
                let whole = behind.as_nanos() / interval.as_nanos();
                let skipped = i64::try_from(whole * interval.as_nanos()).unwrap_or(0);
                last.saturating_add(SignedDuration::from_nanos(skipped))
                    .unwrap_or(last)
            }
        }
    }

    /// The tick as Go prints a time.
    pub fn event_time(&self, tick: Timestamp) -> String {
        go_time(&tick.to_zoned(self.zone.clone()))
    }
}

/// A time as Go prints it.
pub fn go_time(time: &Zoned) -> String {
    time.strftime("%Y-%m-%d %H:%M:%S%.f %z %Z").to_string()
}

/// Reads exclusion dates. Only `EXDATE:` entries count, by their day; others are ignored, as upstream does.
pub fn excluded_days(entries: &[String]) -> BTreeSet<Date> {
    entries
        .iter()
        .filter_map(|entry| entry.trim().strip_prefix("EXDATE:"))
        .flat_map(|list| list.split(','))
        .filter_map(|text| Date::strptime("%Y%m%d", text.trim().get(..8)?).ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time(text: &str) -> Timestamp {
        text.parse().expect("a time")
    }

    fn every(seconds: i64) -> Calendar {
        Calendar {
            rhythm: Rhythm::Every(SignedDuration::from_secs(seconds)),
            excluded: BTreeSet::new(),
            zone: TimeZone::UTC,
            catch_up: None,
        }
    }

    #[test]
    fn an_interval_keeps_its_beat_over_a_long_pause() {
        let calendar = every(10);
        let last = time("2026-01-01T00:00:03Z");
        let from = calendar.resume_from(last, time("2026-01-01T01:00:00Z"));
        assert_eq!(from, time("2026-01-01T00:58:53Z"));
        assert_eq!(
            calendar.next_after(from),
            Some(time("2026-01-01T00:59:03Z"))
        );
        // A short pause skips nothing.
        assert_eq!(
            calendar.resume_from(last, time("2026-01-01T00:00:40Z")),
            last
        );
    }

    #[test]
    fn missed_ticks_are_made_up_for_over_a_restart_and_further_back_with_catchup() {
        let mut calendar = every(10);
        let last = time("2026-01-01T00:00:00Z");
        let now = time("2026-01-01T01:00:00Z");
        let first = |calendar: &Calendar| calendar.next_after(calendar.resume_from(last, now));
        assert_eq!(first(&calendar), Some(time("2026-01-01T00:59:10Z")));
        calendar.catch_up = Some(SignedDuration::from_mins(30));
        assert_eq!(first(&calendar), Some(time("2026-01-01T00:30:10Z")));
        calendar.catch_up = Some(SignedDuration::MAX);
        assert_eq!(first(&calendar), Some(time("2026-01-01T00:00:10Z")));
        calendar.rhythm = Rhythm::Cron(Cron::parse("*/15 * * * *", "").expect("a schedule"));
        assert_eq!(first(&calendar), Some(time("2026-01-01T00:15:00Z")));
        calendar.catch_up = None;
        assert_eq!(first(&calendar), Some(now));
    }

    #[test]
    fn excluded_days_have_no_ticks() {
        let mut calendar = every(3600);
        calendar.excluded = excluded_days(&[
            "EXDATE:20260101T000000Z,20260102T120000Z".into(),
            "RRULE:FREQ=DAILY".into(),
        ]);
        assert_eq!(calendar.excluded.len(), 2);
        assert_eq!(
            calendar.next_after(time("2025-12-31T23:00:00Z")),
            Some(time("2026-01-03T00:00:00Z"))
        );
    }

    #[test]
    fn cron_ticks_follow_the_zone_and_descriptors_are_refused() {
        let mut calendar = every(1);
        calendar.rhythm =
            Rhythm::Cron(Cron::parse("30 9 * * 1-5", "Europe/Berlin").expect("a schedule"));
        let friday = time("2026-01-02T09:00:00Z");
        assert_eq!(
            calendar.next_after(friday),
            Some(time("2026-01-05T08:30:00Z"))
        );
        assert!(Cron::parse("@daily", "").is_err());
        assert!(Cron::parse("* * *", "").is_err());
    }

    #[test]
    fn the_event_time_is_printed_as_go_does() {
        let mut calendar = every(1);
        assert_eq!(
            calendar.event_time(time("2026-01-02T03:04:05Z")),
            "2026-01-02 03:04:05 +0000 UTC"
        );
        assert_eq!(
            calendar.event_time(time("2026-01-02T03:04:05.25Z")),
            "2026-01-02 03:04:05.25 +0000 UTC"
        );
        calendar.zone = TimeZone::get("America/New_York").expect("a zone");
        assert_eq!(
            calendar.event_time(time("2026-01-02T03:04:05Z")),
            "2026-01-01 22:04:05 -0500 EST"
        );
    }
}
