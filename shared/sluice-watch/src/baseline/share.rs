//! Which share of a day's rows should have no value.

use chrono::NaiveDate;

use super::history::{History, NEEDED_DAYS_FOR_EMPTY};
use crate::{
    calendar::Calendar,
    numbers::{median, spread},
};

/// A share is reported beyond this many deviations.
const THRESHOLD: f64 = 4.0;

#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Expected {
    /// The usual share, from 0 to 1.
    pub share: f64,
    pub score: f64,
    /// The change in points of a hundred.
    pub change_points: f64,
}

impl Expected {
    /// Whether it is far off, and by more than noise and habit: `least_points`, and half of what is usual.
    pub fn is_unusual(&self, least_points: f64) -> bool {
        self.score > THRESHOLD && self.change_points > least_points.max(50.0 * self.share)
    }
}

/// Judges a share of one day by the days before it; `Err` has the number of days when they are too few.
pub fn judge(
    history: &History,
    judged: NaiveDate,
    nulls: u64,
    rows: u64,
    table: &str,
    calendar: &Calendar,
) -> Result<Expected, usize> {
    let angles = history.levelled(judged, table, calendar, |share| share.clamp(0.0, 1.0).sqrt().asin());
    if angles.len() < NEEDED_DAYS_FOR_EMPTY {
        return Err(angles.len());
    }
    let usual = median(&angles).unwrap_or_default();
    let rows = rows.max(1) as f64;
    let share = nulls as f64 / rows;
    // A share of n rows strays by 1 / (4 n) on this scale, whatever the share.
    let by_counting = 1.0 / (4.0 * rows);
    let deviation = spread(&angles).powi(2).max(by_counting).sqrt();
    let score = (share.sqrt().asin() - usual) / deviation;
    let usual_share = usual.sin().powi(2);
    Ok(Expected { share: usual_share, score, change_points: 100.0 * (share - usual_share) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(text: &str) -> NaiveDate {
        text.parse().expect("a date")
    }

    #[test]
    fn twenty_points_are_told_and_a_few_nulls_of_a_small_day_are_not() {
        for (usual, rows, nulls, expected) in [
            (0.0, 5_000, 1_000, true),
            (0.0, 5_000, 250, true),
            (0.0, 5_000, 10, false),
            (0.02, 200, 40, true),
            (0.02, 200, 8, false),
            (0.2, 5_000, 2_000, true),
            (0.2, 5_000, 1_100, false),
            (0.0, 20, 1, false),
        ] {
            let history: History = day("2026-03-01").iter_days().take(40).map(|day| (day, usual)).collect();
            let judged = judge(&history, day("2026-04-10"), nulls, rows, "A.B.C", &Calendar::default());
            let judged = judged.expect("enough days");
            assert_eq!(judged.is_unusual(0.5), expected, "{usual} {rows} {nulls} {judged:?}");
        }
    }
}
