//! Where a column's numbers should lie. A level may wander, as rates do: judged is how far it has gone from its last week.

use chrono::NaiveDate;

use super::history::{History, NEEDED_DAYS};
use crate::{
    calendar::Calendar,
    numbers::{median, spread},
};

/// A level is reported beyond this many deviations.
const THRESHOLD: f64 = 6.0;

/// No level is trusted to stray less than this share of itself.
const LEAST_SHARE: f64 = 0.005;

/// The days that make a level.
const WEEK: usize = 7;

#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Expected {
    pub level: f64,
    pub score: f64,
    pub change_percent: f64,
}

impl Expected {
    pub fn is_unusual(&self, least_percent: f64) -> bool {
        self.score.abs() > THRESHOLD && self.change_percent.abs() > least_percent
    }
}

/// Judges a day's mean by the days before it; `Err` has the number of days when they are too few.
pub fn judge(
    history: &History,
    judged: NaiveDate,
    value: f64,
    table: &str,
    calendar: &Calendar,
) -> Result<Expected, usize> {
    let values = history.levelled(judged, table, calendar, |value| value);
    if values.len() < NEEDED_DAYS {
        return Err(values.len());
    }
    let level_of = |week: &[f64]| median(week).unwrap_or_default();
    let steps: Vec<f64> = (WEEK..values.len()).map(|at| values[at] - level_of(&values[at - WEEK..at])).collect();
    let level = level_of(&values[values.len() - WEEK..]);
    let scale = spread(&steps).max(LEAST_SHARE * level.abs()).max(f64::MIN_POSITIVE);
    let usual = median(&steps).unwrap_or_default();
    let change_percent = 100.0 * (value - level) / level.abs().max(f64::MIN_POSITIVE);
    Ok(Expected { level, score: (value - level - usual) / scale, change_percent })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_may_wander_and_not_jump() {
        let first: NaiveDate = "2026-03-01".parse().expect("a date");
        let wandering = |at: usize| 100.0 + 0.4 * at as f64 + [0.0, 0.5, -0.3, 0.2][at % 4];
        let history: History = first.iter_days().take(56).enumerate().map(|(at, day)| (day, wandering(at))).collect();
        let judged = first + chrono::Days::new(56);
        for (value, expected) in [(wandering(56), false), (wandering(56) * 1.6, true), (wandering(56) / 100.0, true)] {
            let found = judge(&history, judged, value, "A.B.C", &Calendar::default()).expect("enough days");
            assert_eq!(found.is_unusual(10.0), expected, "{value}: {found:?}");
        }
    }
}
