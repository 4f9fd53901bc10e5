//! How far the data of a view reaches, and when that is too short.

use chrono::NaiveDate;

/// Data that ends longer before the page is called stale. A source that is read by day is a day behind by itself.
const STALE_AFTER_DAYS: i64 = 2;

/// How far the data of a view reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Reach {
    pub newest: Option<NaiveDate>,
}

impl Reach {
    pub(super) fn days_behind(self, today: NaiveDate) -> Option<i64> {
        self.newest.map(|newest| (today - newest).num_days().max(0))
    }

    pub(super) fn is_stale(self, today: NaiveDate) -> bool {
        self.days_behind(today).is_some_and(|days| days > STALE_AFTER_DAYS)
    }
}
