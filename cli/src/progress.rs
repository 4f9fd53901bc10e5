//! Progress on the terminal's error stream: never in JSON, never in a log.

use std::{io::IsTerminal, time::Duration};

use indicatif::{ProgressBar, ProgressStyle};

/// Makes bars, or hidden ones where nobody would see them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Progress {
    visible: bool,
}

impl Progress {
    pub(crate) fn new(json: bool) -> Self {
        Progress { visible: !json && std::io::stderr().is_terminal() }
    }

    /// Something turns while the work is under way.
    pub(crate) async fn spin<T>(&self, text: impl Into<String>, work: impl Future<Output = T>) -> T {
        let spinner = self.spinner(text);
        let done = work.await;
        spinner.finish_and_clear();
        done
    }

    pub(crate) fn spinner(&self, text: impl Into<String>) -> ProgressBar {
        let bar = if self.visible { ProgressBar::new_spinner() } else { ProgressBar::hidden() };
        if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} ({elapsed})") {
            bar.set_style(style);
        }
        bar.set_message(text.into());
        bar.enable_steady_tick(Duration::from_millis(120));
        bar
    }

    pub(crate) fn bar(&self, length: u64, unit: &str) -> ProgressBar {
        let bar = if self.visible { ProgressBar::new(length) } else { ProgressBar::hidden() };
        bar.set_length(length);
        let template = format!("{{bar:40}} {{pos}}/{{len}} {unit} {{msg}} ({{elapsed}}, about {{eta}} left)");
        if let Ok(style) = ProgressStyle::with_template(&template) {
            bar.set_style(style);
        }
        bar.enable_steady_tick(Duration::from_millis(250));
        bar
    }
}
