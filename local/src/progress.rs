//! Progress that a person can follow and a log can keep: one line per phase, with its time.

use std::{
    io::IsTerminal,
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressStyle};

/// The phases of one run.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    phases: Vec<(String, Duration)>,
}

impl Progress {
    /// Runs a phase. On a terminal a spinner turns meanwhile; elsewhere a line is printed when it ends.
    pub(crate) async fn phase<T>(
        &mut self,
        name: &str,
        work: impl Future<Output = anyhow::Result<T>>,
    ) -> anyhow::Result<T> {
        let bar = if std::io::stderr().is_terminal() { ProgressBar::new_spinner() } else { ProgressBar::hidden() };
        if let Ok(style) = ProgressStyle::with_template("  {spinner} {msg} ({elapsed})") {
            bar.set_style(style);
        }
        bar.set_message(name.to_owned());
        bar.enable_steady_tick(Duration::from_millis(120));
        let start = Instant::now();
        let outcome = work.await;
        let took = start.elapsed();
        bar.finish_and_clear();
        let mark = if outcome.is_ok() { "✓" } else { "✗" };
        println!("  {mark} {name:<58} {:>6.1} s", took.as_secs_f64());
        self.phases.push((name.to_owned(), took));
        outcome
    }

    pub(crate) fn total(&self) -> Duration {
        self.phases.iter().map(|(_, took)| *took).sum()
    }
}
