//! What a run may do unasked, and what becomes of one that met an error.

use std::{collections::BTreeSet, time::Duration};

use sluice_core::{Error, Kind, Retry};

/// How long it is until a destination is looked at again that gave no answer.
const LOOK_AGAIN: Duration = Duration::from_secs(60);

/// And after a destination's own limit that names no time: that of a day, say.
pub(super) const LIMIT_PASSES: Duration = Duration::from_secs(900);

/// What a run may do unasked.
#[derive(Debug, Clone)]
pub struct Policy {
    /// Records of one run.
    pub most_rows: u64,
    /// Changed records in a hundred that are known.
    pub most_percent: u64,
    /// Values of the model that a run can hold, with all else that it keeps of them.
    pub most_values: u64,
    /// The first records of a larger run are read back before the others are sent.
    pub canary: usize,
    /// Records between two looks at the switch and at the clock, kept in the ledger at once.
    pub part: usize,
    /// Properties that a null of the model clears.
    pub clear: BTreeSet<String>,
    /// How long a claim without an end is in force.
    pub claim: Duration,
    /// How long this run may take.
    pub time: Duration,
}

impl Policy {
    /// Why so much is not sent unasked.
    pub(super) fn objection(&self, changed: u64, known: u64, allow: bool) -> Option<String> {
        let Policy { most_rows, most_percent, canary, .. } = self;
        if allow || changed == 0 {
            return None;
        }
        let canary = *canary as u64;
        if known == 0 && changed > canary {
            return Some(format!("this is the first run, of {changed} records: look at a dry run, then allow it"));
        }
        if changed > *most_rows {
            return Some(format!("{changed} records have changed, of at most {most_rows} a run"));
        }
        let percent = changed * 100 / known.max(1);
        (changed > canary && percent > *most_percent)
            .then(|| format!("{percent} % of the known records have changed, of at most {most_percent} % a run"))
    }
}

/// When the same may come to another end.
pub(super) fn wait(error: Option<&Error>) -> Duration {
    let Some(error) = error else { return Duration::ZERO };
    match (error.retry_after(), error.kind()) {
        (Some(wait), _) => wait.clamp(LOOK_AGAIN, LIMIT_PASSES),
        (None, Kind::RateLimited) => LIMIT_PASSES,
        (None, _) => LOOK_AGAIN,
    }
}

/// Whether a run will meet the same until somebody mends it. A limit passes by itself.
pub(super) fn needs_a_person(error: &Error) -> bool {
    match error.kind() {
        Kind::RateLimited => false,
        Kind::Config | Kind::Auth | Kind::SchemaMismatch | Kind::InvalidData | Kind::Unsupported => true,
        Kind::NotFound | Kind::Conflict | Kind::Unavailable | Kind::Timeout | Kind::Internal => {
            error.retry() == Retry::Permanent
        }
    }
}
