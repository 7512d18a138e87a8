//! Walks the recorded answers of the Go libraries (`*.json` beside this file, made by the program
//! in `generate/`) and compares ours with each of them.
//!
//! A difference that is meant is listed in the test of its language with the reason; a listed
//! difference that no longer exists fails too.

mod cron;
mod expr;
mod gjson;
mod glob;
mod govaluate;
mod jsonpath;
mod sprig;

use serde_json::Value as Json;

/// Cases of a language.
pub fn cases(text: &str) -> Vec<Json> {
    let record: Json = serde_json::from_str(text).expect("a record is JSON");
    record["cases"]
        .as_array()
        .expect("a record has cases")
        .clone()
}

/// Collects differences and compares them with the ones that are meant.
pub struct Comparison {
    meant: &'static [(&'static str, &'static str)],
    seen: Vec<String>,
    failures: Vec<String>,
    total: usize,
}

impl Comparison {
    /// Starts with the list of meant differences: name and reason.
    pub fn new(meant: &'static [(&'static str, &'static str)]) -> Self {
        Self {
            meant,
            seen: Vec::new(),
            failures: Vec::new(),
            total: 0,
        }
    }

    /// Compares one case. `None` stands for an error, whose text is ours to choose.
    pub fn case(&mut self, name: &str, theirs: Option<&Json>, ours: Result<Json, String>) {
        self.total += 1;
        let same = match (theirs, &ours) {
            (None, Err(_)) => true,
            (Some(theirs), Ok(ours)) => theirs == ours,
            _ => false,
        };
        if same {
            return;
        }
        if self.meant.iter().any(|(meant, _)| *meant == name) {
            self.seen.push(name.to_owned());
            return;
        }
        let theirs = theirs.map_or("an error".to_owned(), Json::to_string);
        let ours = match ours {
            Ok(value) => value.to_string(),
            Err(error) => format!("error: {error}"),
        };
        // Some answers are very long.
        self.failures.push(format!(
            "{name}\n    Go:   {theirs:.200}\n    ours: {ours:.200}"
        ));
    }

    /// Fails when anything differs that is not meant, or less than `at_least` cases were seen.
    pub fn finish(self, at_least: usize) {
        assert!(
            self.failures.is_empty(),
            "{} of {} cases differ:\n{}",
            self.failures.len(),
            self.total,
            self.failures.join("\n")
        );
        for (meant, reason) in self.meant {
            assert!(
                self.seen.iter().any(|seen| seen == meant),
                "{meant} is listed as different ({reason}) but is the same"
            );
        }
        assert!(self.total >= at_least, "only {} cases", self.total);
    }
}
