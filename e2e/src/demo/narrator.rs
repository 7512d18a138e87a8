//! What a person sees: chapters, steps with times, and a timeline at the end.

use std::io::{IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

use crate::bed::Bed;
use crate::usage::Usage;

/// Prints the story as it happens.
pub(super) struct Narrator {
    begin: Instant,
    colours: bool,
    events: Vec<Event>,
}

struct Event {
    at: Duration,
    text: String,
    /// Begins a stretch whose durations belong together.
    begins: bool,
}

/// KiB as MiB.
pub(super) fn mib(kib: u64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "shown with one decimal")]
    let kib = kib as f64;
    kib / 1024.0
}

impl Narrator {
    pub(super) fn new() -> Self {
        Self {
            begin: Instant::now(),
            colours: std::io::stdout().is_terminal(),
            events: Vec::new(),
        }
    }

    fn paint(&self, code: &str, text: &str) -> String {
        if self.colours {
            format!("\u{1b}[{code}m{text}\u{1b}[0m")
        } else {
            text.to_owned()
        }
    }

    fn line(text: &str) {
        let mut out = std::io::stdout().lock();
        // Nothing sensible is left to do when the terminal is gone.
        drop(writeln!(out, "{text}"));
        drop(out.flush());
    }

    fn stamp(&self) -> String {
        self.paint(
            "2",
            &format!("{:7.1} s", self.begin.elapsed().as_secs_f64()),
        )
    }

    /// A headline.
    pub(super) fn chapter(&mut self, text: &str) {
        Self::line("");
        Self::line(&self.paint("1", text));
    }

    /// A step that has happened.
    pub(super) fn say(&self, text: &str) {
        Self::line(&format!("{}  {text}", self.stamp()));
    }

    /// A step that has happened and belongs on the timeline.
    pub(super) fn mark(&mut self, text: &str) {
        self.say(&self.paint("32", text));
        self.events.push(Event {
            at: self.begin.elapsed(),
            text: text.to_owned(),
            begins: false,
        });
    }

    /// As [`Narrator::mark`], for the cause of what follows: durations are counted from here.
    pub(super) fn begin(&mut self, text: &str) {
        self.say(&self.paint("36", text));
        self.events.push(Event {
            at: self.begin.elapsed(),
            text: text.to_owned(),
            begins: true,
        });
    }

    /// As [`Narrator::mark`], for something that was seen earlier than it is told.
    pub(super) fn mark_at(&mut self, at: Instant, text: &str) {
        let at = at.saturating_duration_since(self.begin);
        let stamp = self.paint("2", &format!("{:7.1} s", at.as_secs_f64()));
        Self::line(&format!("{stamp}  {}", self.paint("32", text)));
        self.events.push(Event {
            at,
            text: text.to_owned(),
            begins: false,
        });
    }

    /// Why the story did not go on.
    pub(super) fn failure(&self, error: &anyhow::Error) {
        Self::line("");
        Self::line(&format!(
            "{}  {}",
            self.stamp(),
            self.paint("31", &format!("did not happen: {error:#}"))
        ));
    }

    /// All marks, with the time since the cause and since the mark before.
    pub(super) fn timeline(&self) {
        Self::line("");
        Self::line(&self.paint("1", "Timeline"));
        Self::line("      at   since cause   since before");
        let mut cause = Duration::ZERO;
        let mut before = Duration::ZERO;
        for event in &self.events {
            if event.begins {
                Self::line(&format!(
                    "{:6.1} s                             {}",
                    event.at.as_secs_f64(),
                    event.text
                ));
                cause = event.at;
            } else {
                let since_cause = event.at.saturating_sub(cause).as_secs_f64();
                let since_before = event.at.saturating_sub(before).as_secs_f64();
                Self::line(&format!(
                    "{:6.1} s    {since_cause:8.2} s     {since_before:8.2} s   {}",
                    event.at.as_secs_f64(),
                    event.text
                ));
            }
            before = event.at;
        }
    }

    /// Memory and CPU of each binary.
    pub(super) fn memory(&self, rows: &[(&str, Usage)]) {
        Self::line("");
        Self::line(&self.paint("1", "Each binary now"));
        for (name, usage) in rows {
            Self::line(&format!(
                "  {name:<14} {:6.1} MiB resident ({:.1} MiB at most), {:.2} s of CPU",
                mib(usage.rss_kib),
                mib(usage.peak_rss_kib),
                usage.cpu_seconds
            ));
        }
        Self::line("");
        Self::line(&self.paint(
            "32",
            &format!("Done in {:.0} s.", self.begin.elapsed().as_secs_f64()),
        ));
    }

    /// What to try on a stage that is left running.
    pub(super) fn commands(&self, bed: &Bed, repository: &str) {
        Self::line("");
        Self::line(&self.paint("1", "Still running; Ctrl-C ends it. In another terminal:"));
        // Loopback of the story's own network namespace is reached by joining it.
        let enter = format!(
            "  nsenter --preserve-credentials -U -n -t {} bash",
            std::process::id()
        );
        Self::line(&enter);
        for (key, value) in bed.env() {
            Self::line(&format!("  export {key}={value}"));
        }
        Self::line("  kubectl -n argocd get applications.argoproj.io");
        Self::line("  kubectl -n shop get rollouts.argoproj.io,analysisruns.argoproj.io -o wide");
        Self::line("  kubectl -n shop get events --sort-by=.metadata.creationTimestamp");
        Self::line(&format!("  git clone {repository}"));
    }
}
