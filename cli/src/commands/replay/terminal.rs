//! The person at the terminal: what is under way, and whether to go on.

use std::cell::RefCell;

use indicatif::ProgressBar;
use sluice_core::Result;
use sluice_pipeline::replay::{Operator, Report, Step};

use super::render;
use crate::{confirm, progress::Progress};

pub(super) struct Terminal<'a> {
    progress: &'a Progress,
    /// Whether it was confirmed before anything was known.
    yes: bool,
    bar: RefCell<ProgressBar>,
}

impl<'a> Terminal<'a> {
    pub(super) fn new(progress: &'a Progress, yes: bool) -> Self {
        Terminal { progress, yes, bar: RefCell::new(ProgressBar::hidden()) }
    }

    pub(super) fn clear(&self) {
        self.bar.borrow().finish_and_clear();
    }
}

impl Operator for Terminal<'_> {
    fn begins(&self, step: Step) {
        self.clear();
        let text = match step {
            Step::Listing => "listing the archive",
            Step::Reading { objects } => {
                self.bar.replace(self.progress.bar(objects as u64, "objects"));
                return;
            }
            Step::Counting => "counting rows",
            Step::Filling => "filling the side table",
            Step::Comparing => "comparing",
            Step::Swapping => "swapping rows in",
            Step::Announcing => "announcing",
            Step::DeletingFiles => "deleting data files",
            Step::Dropping => "dropping the side table",
        };
        self.bar.replace(self.progress.spinner(text));
    }

    fn has_read(&self, partition: i32) {
        let bar = self.bar.borrow();
        bar.set_message(format!("of partition {partition}"));
        bar.inc(1);
    }

    fn confirms(&self, report: &Report) -> Result<bool> {
        if self.yes {
            return Ok(true);
        }
        self.clear();
        confirm::confirm(&render::text(report), &format!("change {} rows of {}?", report.changes(), report.table))
    }
}
