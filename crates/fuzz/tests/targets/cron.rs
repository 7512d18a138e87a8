//! Schedules of calendar sources and sync windows.

use expressions::cron::Schedule;
use fuzz::Material;
use jiff::Timestamp;

const MATERIAL: Material = Material {
    examples: &[
        "*/5 0-6,22 1 JAN-MAR MON",
        "@every 1h30m",
        "@daily",
        "CRON_TZ=Europe/Berlin 0 2 29 2 *",
        "0 0 31 2 *",
    ],
    tokens: &[
        "*",
        "*/",
        "-",
        ",",
        "?",
        "@",
        " ",
        "@every ",
        "0",
        "99999999999",
        "L",
        "TZ=",
        "SUN",
        "1h",
        "-1",
    ],
};

#[test]
fn cron() {
    fuzz::run(MATERIAL, |text| {
        for zone in ["UTC", "Europe/Berlin", text] {
            if let Ok(schedule) = Schedule::parse(text, zone) {
                let _ = schedule.next_after(Timestamp::UNIX_EPOCH);
                let _ = schedule.previous_before(Timestamp::UNIX_EPOCH);
            }
        }
    });
}
