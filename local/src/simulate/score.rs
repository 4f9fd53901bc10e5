//! How well monitors find what was planted.

use sluice_watch::finding::{Finding, Verdict};

use super::{days::World, fault::Fault, fault::FaultKind};

/// One fault planted on one day, and what was found.
#[derive(Debug, Clone)]
pub struct Trial {
    pub fault: Fault,
    pub found: bool,
    /// Faults told of objects that had none.
    pub false_alarms: usize,
}

impl Trial {
    pub fn of(fault: Fault, findings: &[Finding], world: &World) -> Self {
        let objects = fault.objects(world);
        let breached = || findings.iter().filter(|finding| finding.breach().is_some());
        let is_affected = |finding: &&Finding| objects.contains(&finding.object.name);
        Trial {
            fault,
            found: objects.first().is_some_and(|first| breached().any(|finding| finding.object.name == *first)),
            false_alarms: breached().filter(|finding| !is_affected(finding)).count(),
        }
    }
}

/// Counts over trials and clean days.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Score {
    pub planted: usize,
    pub found: usize,
    pub false_in_trials: usize,
    pub checks: usize,
    pub false_on_clean_days: usize,
}

impl Score {
    pub fn add(&mut self, trial: &Trial) {
        self.planted += 1;
        self.found += usize::from(trial.found);
        self.false_in_trials += trial.false_alarms;
    }

    pub fn add_clean(&mut self, findings: &[Finding]) {
        let is_breached = |finding: &&Finding| matches!(finding.verdict, Verdict::Breached(_));
        self.checks += findings.len();
        self.false_on_clean_days += findings.iter().filter(is_breached).count();
    }

    pub fn recall(&self) -> f64 {
        share(self.found, self.planted)
    }

    pub fn precision(&self) -> f64 {
        share(self.found, self.found + self.false_in_trials)
    }

    pub fn false_alarm_rate(&self) -> f64 {
        1.0 - share(self.checks - self.false_on_clean_days, self.checks)
    }
}

fn share(part: usize, whole: usize) -> f64 {
    if whole == 0 { 1.0 } else { part as f64 / whole as f64 }
}

/// All planted kinds, each at this many places.
pub fn planted(places: usize) -> impl Iterator<Item = Fault> {
    FaultKind::PLANTED.into_iter().flat_map(move |(kind, size)| (0..places).map(move |at| Fault { kind, size, at }))
}
