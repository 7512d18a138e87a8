//! The output of the demo: chapters, steps with times, and a timeline at the end.

use std::io::{IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

use crate::bed::Bed;
use crate::usage::{Usage, mib};

/// Prints the story as it happens.
pub(super) struct Narrator {
    voice: Voice,
    events: Vec<Event>,
}

/// Says one line with the time; whoever works beside the story has a copy.
#[derive(Clone, Copy)]
pub(super) struct Voice {
    begin: Instant,
    colours: bool,
}

struct Event {
    at: Duration,
    text: String,
    /// Begins a stretch whose durations belong together.
    begins: bool,
}

impl Voice {
    fn paint(self, code: &str, text: &str) -> String {
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

    fn stamp(self) -> String {
        self.paint(
            "2",
            &format!("{:7.1} s", self.begin.elapsed().as_secs_f64()),
        )
    }

    /// Prints a completed step.
    pub(super) fn say(self, text: &str) {
        Self::line(&format!("{}  {text}", self.stamp()));
    }

    /// A disturbance.
    pub(super) fn warn(self, text: &str) {
        self.say(&self.paint("33", text));
    }

    fn headline(self, text: &str) {
        Self::line("");
        Self::line(&self.paint("1", text));
    }
}

impl Narrator {
    pub(super) fn new() -> Self {
        Self {
            voice: Voice {
                begin: Instant::now(),
                colours: std::io::stdout().is_terminal(),
            },
            events: Vec::new(),
        }
    }

    /// For what happens beside the story.
    pub(super) fn voice(&self) -> Voice {
        self.voice
    }

    /// A headline.
    pub(super) fn chapter(&mut self, text: &str) {
        self.voice.headline(text);
    }

    /// Prints a completed step.
    pub(super) fn say(&self, text: &str) {
        self.voice.say(text);
    }

    /// Prints a completed step and adds it to the timeline.
    pub(super) fn mark(&mut self, text: &str) {
        self.say(&self.voice.paint("32", text));
        self.events.push(Event {
            at: self.voice.begin.elapsed(),
            text: text.to_owned(),
            begins: false,
        });
    }

    /// As [`Narrator::mark`], for the cause of what follows: durations are counted from here.
    pub(super) fn begin(&mut self, text: &str) {
        self.say(&self.voice.paint("36", text));
        self.events.push(Event {
            at: self.voice.begin.elapsed(),
            text: text.to_owned(),
            begins: true,
        });
    }

    /// As [`Narrator::mark`], for a step that was seen before it is printed.
    pub(super) fn mark_at(&mut self, at: Instant, text: &str) {
        let at = at.saturating_duration_since(self.voice.begin);
        let stamp = self
            .voice
            .paint("2", &format!("{:7.1} s", at.as_secs_f64()));
        Voice::line(&format!("{stamp}  {}", self.voice.paint("32", text)));
        self.events.push(Event {
            at,
            text: text.to_owned(),
            begins: false,
        });
    }

    /// Prints why the demo stopped.
    pub(super) fn failure(&self, error: &anyhow::Error) {
        Voice::line("");
        Voice::line(&format!(
            "{}  {}",
            self.voice.stamp(),
            self.voice.paint("31", &format!("failed: {error:#}"))
        ));
    }

    /// All marks, with the time since the cause and since the mark before.
    pub(super) fn timeline(&self) {
        self.voice.headline("Timeline");
        Voice::line("      at   since cause   since before");
        let mut cause = Duration::ZERO;
        let mut before = Duration::ZERO;
        for event in &self.events {
            if event.begins {
                Voice::line(&format!(
                    "{:6.1} s                             {}",
                    event.at.as_secs_f64(),
                    event.text
                ));
                cause = event.at;
            } else {
                let since_cause = event.at.saturating_sub(cause).as_secs_f64();
                let since_before = event.at.saturating_sub(before).as_secs_f64();
                Voice::line(&format!(
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
        self.voice.headline("Memory and CPU of the binaries");
        for (name, usage) in rows {
            Voice::line(&format!(
                "  {name:<14} {:6.1} MiB resident ({:.1} MiB peak), {:.2} s of CPU",
                mib(usage.rss_kib),
                mib(usage.peak_rss_kib),
                usage.cpu_seconds
            ));
        }
        Voice::line("");
        Voice::line(&self.voice.paint(
            "32",
            &format!("Done in {:.0} s.", self.voice.begin.elapsed().as_secs_f64()),
        ));
    }

    /// Prints commands to try while the demo keeps running.
    pub(super) fn commands(&self, bed: &Bed, repository: &str) {
        self.voice
            .headline("Still running; Ctrl-C ends it. In another terminal:");
        // Loopback of the story's own network namespace is reached by joining it.
        let enter = format!(
            "  nsenter --preserve-credentials -U -n -t {} bash",
            std::process::id()
        );
        Voice::line(&enter);
        for (key, value) in bed.env() {
            Voice::line(&format!("  export {key}={value}"));
        }
        Voice::line("  kubectl -n argocd get applications.argoproj.io");
        Voice::line("  kubectl -n shop get rollouts.argoproj.io,analysisruns.argoproj.io -o wide");
        Voice::line("  kubectl -n shop get events --sort-by=.metadata.creationTimestamp");
        Voice::line(&format!("  git clone {repository}"));
    }
}
