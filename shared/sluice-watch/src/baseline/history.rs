//! Which days teach.

use std::collections::BTreeMap;

use chrono::{Datelike, Days, NaiveDate};
use serde::{Deserialize, Serialize};

use crate::{calendar::Calendar, numbers::median};

/// Days before the judged one that teach its level, trend and weekday.
pub const WINDOW_DAYS: u64 = 56;

/// From this many usable days on everything is judged.
pub const NEEDED_DAYS: usize = 21;

/// From this many usable days on a day without rows is judged.
pub const NEEDED_DAYS_FOR_EMPTY: usize = 14;

/// This many suspect days in a row up to the newest are the new normal.
const NEW_NORMAL_DAYS: usize = 7;

/// Days near the end of a month are counted from it.
const DAYS_FROM_END: u32 = 3;

/// What is known of a past day.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mark {
    #[default]
    Good,
    /// A monitor told it.
    Suspect,
    /// A person says that it was a fault: it never teaches.
    Fault,
    /// A person says that this is how it is now: it teaches at once.
    Expected,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Day {
    pub value: f64,
    #[serde(default)]
    pub mark: Mark,
}

/// Complete days of one series. A day that is not there was not observed; that is not a day of zero.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct History(BTreeMap<NaiveDate, Day>);

impl FromIterator<(NaiveDate, f64)> for History {
    fn from_iter<I: IntoIterator<Item = (NaiveDate, f64)>>(days: I) -> Self {
        History(days.into_iter().map(|(day, value)| (day, Day { value, mark: Mark::Good })).collect())
    }
}

impl History {
    pub fn insert(&mut self, day: NaiveDate, value: f64, mark: Mark) {
        self.0.insert(day, Day { value, mark });
    }

    /// Says what a past day was.
    pub fn mark(&mut self, day: NaiveDate, mark: Mark) {
        if let Some(known) = self.0.get_mut(&day) {
            known.mark = mark;
        }
    }

    pub fn value(&self, day: NaiveDate) -> Option<f64> {
        self.0.get(&day).map(|day| day.value)
    }

    /// All days before this one, oldest first.
    #[cfg(test)]
    pub(crate) fn before(&self, day: NaiveDate) -> impl DoubleEndedIterator<Item = (NaiveDate, Day)> {
        self.0.range(..day).map(|(day, known)| (*day, *known))
    }

    /// The days of the window that teach, in groups: good ones, and none of the calendar. Each group but the first begins with a
    /// new normal: suspect days that are enough, or a day of which a person says that this is how it is now.
    pub(crate) fn teaching(&self, judged: NaiveDate, table: &str, calendar: &Calendar) -> Vec<Vec<(NaiveDate, f64)>> {
        let from = judged - Days::new(WINDOW_DAYS);
        let days = self
            .0
            .range(from..judged)
            .filter(|(day, known)| known.mark != Mark::Fault && calendar.on(table, **day).is_none());
        let (mut groups, mut suspects, mut before) = (vec![Vec::new()], Vec::new(), Mark::Good);
        for (day, known) in days {
            match known.mark {
                Mark::Suspect => suspects.push((*day, known.value)),
                mark => {
                    suspects.clear();
                    if mark == Mark::Expected && before != mark {
                        groups.push(Vec::new());
                    }
                    if let Some(group) = groups.last_mut() {
                        group.push((*day, known.value));
                    }
                }
            }
            before = known.mark;
            if suspects.len() == NEW_NORMAL_DAYS {
                groups.push(std::mem::take(&mut suspects));
            }
        }
        groups
    }

    /// The values that teach on a scale, those before a new normal moved to it.
    pub(crate) fn levelled(
        &self,
        judged: NaiveDate,
        table: &str,
        calendar: &Calendar,
        scale: impl Fn(f64) -> f64,
    ) -> Vec<f64> {
        self.teaching(judged, table, calendar).iter().fold(Vec::new(), |mut earlier, group| {
            let values: Vec<f64> = group.iter().map(|(_, value)| scale(*value)).collect();
            let newest = &earlier[earlier.len().saturating_sub(NEW_NORMAL_DAYS)..];
            if let (Some(old), Some(new)) = (median(newest), median(&values)) {
                earlier.iter_mut().for_each(|value| *value += new - old);
            }
            earlier.extend(values);
            earlier
        })
    }

    /// How far earlier days with the judged one's place in the month stood off their neighbours of the same weekday, as
    /// differences of logarithms.
    pub(crate) fn in_earlier_months(&self, judged: NaiveDate, table: &str, calendar: &Calendar) -> Vec<f64> {
        let place = place_in_month(judged);
        let good = |day: NaiveDate| {
            let known = self.0.get(&day).filter(|known| known.mark == Mark::Good)?;
            calendar.on(table, day).is_none().then_some((known.value + 0.5).ln())
        };
        let earlier = self.0.range(..judged).map(|(day, _)| *day).filter(|day| place_in_month(*day) == place);
        let offsets = earlier.filter_map(|day| {
            let weeks = [7, 14].map(Days::new);
            let around = weeks.iter().flat_map(|weeks| [day - *weeks, day + *weeks]).filter(|near| *near < judged);
            let near: Vec<f64> = around.filter_map(good).collect();
            let middle = median(&near).filter(|_| near.len() >= 2)?;
            Some(good(day)? - middle)
        });
        offsets.collect()
    }
}

/// Where a day stands in its month: counted from the end for the last ones, else from the beginning.
fn place_in_month(day: NaiveDate) -> (bool, u32) {
    let left = u32::from(day.num_days_in_month()) - day.day();
    if left < DAYS_FROM_END { (true, left) } else { (false, day.day()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(text: &str) -> NaiveDate {
        text.parse().expect("a date")
    }

    fn taught(history: &History, judged: &str, calendar: &Calendar) -> Vec<Vec<u32>> {
        let groups = history.teaching(day(judged), "A.B.C", calendar);
        groups.iter().map(|group| group.iter().map(|(day, _)| day.day()).collect()).collect()
    }

    #[test]
    fn masked_and_calendar_days_and_the_judged_one_do_not_teach() {
        let calendar = "events: [{ name: H, kind: holiday, day: 03-03 }]";
        let calendar = Calendar::parse(calendar).expect("a calendar");
        let mut history: History = day("2026-03-01").iter_days().take(10).map(|day| (day, 5.0)).collect();
        history.mark(day("2026-03-05"), Mark::Suspect);
        history.mark(day("2026-03-06"), Mark::Fault);
        assert_eq!(taught(&history, "2026-03-08", &calendar), [[1, 2, 4, 7]]);
    }

    #[test]
    fn a_week_of_suspect_days_is_the_new_normal_and_six_are_not() {
        let mut history: History = day("2026-03-01").iter_days().take(22).map(|day| (day, 5.0)).collect();
        for at in 10..17 {
            assert_eq!(taught(&history, "2026-03-20", &Calendar::default()).len(), 1, "{at}");
            history.mark(day("2026-03-01") + Days::new(at), Mark::Suspect);
        }
        let groups = taught(&history, "2026-03-20", &Calendar::default());
        assert_eq!(groups[1], [11, 12, 13, 14, 15, 16, 17, 18, 19], "good days go on with it");
        // Of a fault that a person has confirmed no number of days is a new normal.
        history.mark(day("2026-03-12"), Mark::Fault);
        assert_eq!(taught(&history, "2026-03-20", &Calendar::default()).len(), 1);
    }

    #[test]
    fn a_day_that_a_person_expects_teaches_at_once() {
        let mut history: History = day("2026-03-01").iter_days().take(10).map(|day| (day, 5.0)).collect();
        for at in ["2026-03-07", "2026-03-08"] {
            history.insert(day(at), 9.0, Mark::Expected);
        }
        let groups = taught(&history, "2026-03-10", &Calendar::default());
        assert_eq!(groups, [vec![1, 2, 3, 4, 5, 6], vec![7, 8, 9]]);
        history.insert(day("2026-03-09"), 9.0, Mark::Good);
        let level = history.levelled(day("2026-03-10"), "A.B.C", &Calendar::default(), |value| 2.0 * value);
        assert_eq!(level, [18.0; 9]);
    }

    #[test]
    fn the_last_days_of_months_are_compared_with_one_another() {
        assert_eq!(place_in_month(day("2026-02-28")), place_in_month(day("2026-03-31")));
        assert_eq!(place_in_month(day("2026-02-28")), (true, 0));
        assert_eq!(place_in_month(day("2026-02-25")), (false, 25));
        assert_ne!(place_in_month(day("2026-02-26")), place_in_month(day("2026-02-25")));
    }
}
