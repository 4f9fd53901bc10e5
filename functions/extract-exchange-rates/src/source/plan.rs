//! Which days to ask for: gaps found, the newest first, within the quota.
//!
//! A day is missing when it has ended (UTC), lies in the wanted range and has no final rates. The newest missing day
//! comes first, because a dashboard looks at yesterday before it looks at last year; then the provisional rates of the
//! day under way; then the other gaps, towards the past, as far as the day's share and the month's quota go; last the days
//! that were asked for in vain before, so that they keep no other gap from its turn. The rest stays a gap and is found
//! again by the next run.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
};

use chrono::{DateTime, Days as Step, NaiveDate, Timelike, Utc};
use serde::{Deserialize, Serialize};
use sluice_core::extract::ExtractRequest;

use crate::source::client::Quota;

/// A run from this hour (UTC) on also takes the provisional rates of the day under way. Earlier ones, such as the run
/// just after midnight, would only repeat yesterday's last rates under today's date.
const PROVISIONAL_FROM_HOUR: u32 = 6;

/// How long a day without data is asked for again, from the first time in vain. The source fills in late by hours, not by
/// weeks.
const ASK_AGAIN_FOR_DAYS: i64 = 7;

/// What the schedule needs on each day that is left of the month: one final day and one provisional one. Filling old
/// gaps leaves that much of the quota alone.
const REQUESTS_PER_DAY: u64 = 2;

/// What keeps a run from asking for every gap.
pub(super) const SHARE: &str = "the day's share";
pub(super) const QUOTA: &str = "the month's quota";

/// The cursor: every day that is done, as ranges, so that it stays small however long the history is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Position {
    pub base: String,
    pub done: DaySet,
    /// Day to the day on which it was first asked for in vain.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub unavailable: BTreeMap<NaiveDate, NaiveDate>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provisional: Option<Provisional>,
    /// The currencies of the newest final day that was read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub codes: Option<Codes>,
    /// Against the daily share.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spent: Option<Spent>,
}

/// The requests of one day (UTC), as far as runs have committed them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Spent {
    pub day: NaiveDate,
    pub requests: u64,
}

impl Position {
    pub(super) fn spent_on(&self, day: NaiveDate) -> u64 {
        self.spent.filter(|spent| spent.day == day).map_or(0, |spent| spent.requests)
    }

    pub(super) fn spend(&mut self, day: NaiveDate, requests: u64) {
        self.spent = Some(Spent { day, requests: self.spent_on(day) + requests });
    }

    /// Forgets that the days of a range are done: they are read again.
    pub(super) fn forget(&mut self, from: Option<NaiveDate>, to: Option<NaiveDate>) {
        let (from, to) = (from.unwrap_or(NaiveDate::MIN), to.unwrap_or(NaiveDate::MAX));
        self.done.remove(from, to);
        self.unavailable.retain(|day, _| *day < from || *day > to);
    }
}

/// The target currencies of one day, as one text that keeps a commit readable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Codes {
    pub day: NaiveDate,
    listed: String,
}

impl Codes {
    pub(super) fn new<'a>(day: NaiveDate, codes: impl Iterator<Item = &'a str>) -> Self {
        let codes: BTreeSet<&str> = codes.filter(|code| !code.is_empty()).collect();
        Codes { day, listed: codes.into_iter().collect::<Vec<_>>().join(",") }
    }

    /// The currencies that `newer` has and this day has not, and the other way about.
    pub(super) fn changes<'a>(&'a self, newer: &'a Codes) -> (Vec<&'a str>, Vec<&'a str>) {
        let (old, new) = (self.set(), newer.set());
        (new.difference(&old).copied().collect(), old.difference(&new).copied().collect())
    }

    fn set(&self) -> BTreeSet<&str> {
        self.listed.split(',').filter(|code| !code.is_empty()).collect()
    }
}

/// The newest provisional rates that were taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Provisional {
    pub date: NaiveDate,
    pub time: DateTime<Utc>,
}

/// A set of days, kept as sorted inclusive ranges that do not touch.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct DaySet(Vec<(NaiveDate, NaiveDate)>);

impl DaySet {
    pub(super) fn contains(&self, day: NaiveDate) -> bool {
        let after = self.0.partition_point(|&(first, _)| first <= day);
        after > 0 && self.0[after - 1].1 >= day
    }

    pub(super) fn insert(&mut self, day: NaiveDate) {
        if self.contains(day) {
            return;
        }
        let at = self.0.partition_point(|&(first, _)| first < day);
        let joins_before = at > 0 && self.0[at - 1].1.succ_opt() == Some(day);
        let joins_after = at < self.0.len() && self.0[at].0.pred_opt() == Some(day);
        match (joins_before, joins_after) {
            (true, true) => {
                self.0[at - 1].1 = self.0[at].1;
                self.0.remove(at);
            }
            (true, false) => self.0[at - 1].1 = day,
            (false, true) => self.0[at].0 = day,
            (false, false) => self.0.insert(at, (day, day)),
        }
    }

    /// Takes every day of an inclusive range out.
    fn remove(&mut self, from: NaiveDate, to: NaiveDate) {
        if from > to {
            return;
        }
        let before = |&(first, last): &(NaiveDate, NaiveDate)| {
            let end = from.pred_opt().map(|day| day.min(last))?;
            (first <= end).then_some((first, end))
        };
        let behind = |&(first, last): &(NaiveDate, NaiveDate)| {
            let begin = to.succ_opt().map(|day| day.max(first))?;
            (begin <= last).then_some((begin, last))
        };
        self.0 = self.0.iter().flat_map(|range| [before(range), behind(range)]).flatten().collect();
    }
}

/// One request that a run makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ask {
    Final(NaiveDate),
    Provisional,
}

/// The requests that would close every gap, the most urgent first.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Plan {
    asks: Vec<Ask>,
    /// How many of the first asks are the schedule's own: they may use all of the quota.
    urgent: usize,
}

impl Plan {
    pub(super) fn new(position: &Position, request: &ExtractRequest, first_date: NaiveDate) -> Self {
        let today = request.time.date_naive();
        let yesterday = today - Step::new(1);
        let first = request.from.map_or(first_date, |from| from.max(first_date));
        let last = request.to.map_or(yesterday, |to| to.min(yesterday));
        let by_hand = request.from.is_some() || request.to.is_some();

        let is_hopeless = |day: &NaiveDate| {
            let since = position.unavailable.get(day).map(|first| today.signed_duration_since(*first).num_days());
            !by_hand && since.is_some_and(|days| days >= ASK_AGAIN_FOR_DAYS)
        };
        let mut days: Vec<NaiveDate> = first.iter_days().take_while(|day| *day <= last).collect();
        days.retain(|day| !position.done.contains(*day) && !is_hopeless(day));
        days.sort_by_key(|day| (*day != yesterday && position.unavailable.contains_key(day), Reverse(*day)));
        let mut asks: Vec<Ask> = days.into_iter().map(Ask::Final).collect();

        let mut urgent = usize::from(asks.first() == Some(&Ask::Final(yesterday)));
        let day_under_way_wanted = request.to.is_none_or(|to| to >= today);
        if day_under_way_wanted && request.time.hour() >= PROVISIONAL_FROM_HOUR {
            asks.insert(urgent, Ask::Provisional);
            urgent += 1;
        }
        Plan { asks, urgent }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.asks.is_empty()
    }

    /// What this run may ask when this much of the day's share is spent already. The schedule's own requests are kept back
    /// by nothing that was spent on old gaps.
    pub(super) fn within(mut self, share: u64, spent: u64, quota: Quota) -> Allowed {
        let remaining = quota.requests_remaining.unwrap_or(u64::MAX);
        let urgent = (self.urgent as u64).min(remaining).min(share);
        let by_share = (share - urgent).saturating_sub(spent);
        let by_quota = (remaining - urgent).saturating_sub(REQUESTS_PER_DAY * quota.days_remaining);
        let (allowed, bound) = if urgent == self.urgent as u64 {
            (urgent + by_share.min(by_quota), if by_share <= by_quota { SHARE } else { QUOTA })
        } else {
            (urgent, if share <= remaining { SHARE } else { QUOTA })
        };
        let allowed = usize::try_from(allowed).unwrap_or(usize::MAX).min(self.asks.len());
        let left = self.asks.split_off(allowed).len();
        Allowed { asks: self.asks, left, cut_by: (left > 0).then_some(bound) }
    }
}

/// The beginning of a plan that a run may carry out.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Allowed {
    pub asks: Vec<Ask>,
    /// How many requests are left over for later runs.
    pub left: usize,
    /// Why some are left over: [`SHARE`] or [`QUOTA`].
    pub cut_by: Option<&'static str>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(text: &str) -> NaiveDate {
        text.parse().expect("a date")
    }

    fn request(time: &str) -> ExtractRequest {
        let table = "SNOWPIPE.OPEN_EXCHANGE_RATES.EXCHANGE_RATES".parse().expect("a table");
        ExtractRequest {
            time: time.parse().expect("a time"),
            table,
            full_refresh: false,
            from: None,
            to: None,
            from_cursor: None,
            dry_run: false,
            aside: None,
        }
    }

    fn done(days: &[&str]) -> Position {
        let mut position = Position::default();
        days.iter().for_each(|text| position.done.insert(day(text)));
        position
    }

    fn finals(days: &[&str]) -> Vec<Ask> {
        days.iter().map(|text| Ask::Final(day(text))).collect()
    }

    const UNLIMITED: Quota = Quota { requests_remaining: None, days_remaining: 20 };

    #[test]
    fn days_in_any_order_become_the_fewest_ranges() {
        let set = done(&["2026-01-03", "2026-01-01", "2026-01-05", "2026-01-02", "2026-01-04", "2026-01-03"]).done;
        assert_eq!(set.0, [(day("2026-01-01"), day("2026-01-05"))]);
        let set = done(&["2026-02-01", "2025-12-31", "2026-01-31", "2026-01-01"]).done;
        assert_eq!(
            serde_json::to_string(&set).expect("json"),
            r#"[["2025-12-31","2026-01-01"],["2026-01-31","2026-02-01"]]"#
        );
        assert!(
            set.contains(day("2026-01-01")) && !set.contains(day("2026-01-02")) && !set.contains(day("2025-12-30"))
        );
    }

    #[test]
    fn a_forgotten_range_is_a_gap_again_and_nothing_else_is() {
        let month = || {
            let mut position = Position::default();
            day("2026-01-01").iter_days().take(31).for_each(|day| position.done.insert(day));
            position
        };
        for (from, to, left) in [
            (Some("2026-01-10"), Some("2026-01-12"), r#"[["2026-01-01","2026-01-09"],["2026-01-13","2026-01-31"]]"#),
            (Some("2026-01-30"), None, r#"[["2026-01-01","2026-01-29"]]"#),
            (None, Some("2026-01-01"), r#"[["2026-01-02","2026-01-31"]]"#),
            (Some("2025-01-01"), Some("2027-01-01"), "[]"),
            (Some("2026-01-20"), Some("2026-01-10"), r#"[["2026-01-01","2026-01-31"]]"#),
            (Some("2026-02-01"), Some("2026-02-10"), r#"[["2026-01-01","2026-01-31"]]"#),
        ] {
            let mut position = month();
            position.forget(from.map(day), to.map(day));
            assert_eq!(serde_json::to_string(&position.done).expect("json"), left, "{from:?} {to:?}");
        }
    }

    #[test]
    fn currencies_that_appear_and_vanish_are_named() {
        let codes = |text: &str, codes: &[&str]| Codes::new(day(text), codes.iter().copied());
        let (old, new) = (codes("2026-01-01", &["EUR", "HRK", "USD"]), codes("2026-01-02", &["EUR", "SLE", "USD"]));
        assert_eq!(old.changes(&new), (vec!["SLE"], vec!["HRK"]));
        assert_eq!(old.changes(&old), (vec![], vec![]));
    }

    #[test]
    fn gaps_are_found_and_the_newest_day_comes_first() {
        let plan = Plan::new(&done(&["2026-01-03"]), &request("2026-01-06T00:15:00Z"), day("2026-01-01"));
        assert_eq!(plan.asks, finals(&["2026-01-05", "2026-01-04", "2026-01-02", "2026-01-01"]));
    }

    #[test]
    fn the_day_under_way_is_never_final_and_provisional_only_later_in_the_day() {
        let all = done(&["2026-01-01", "2026-01-02"]);
        assert!(Plan::new(&all, &request("2026-01-03T00:15:00Z"), day("2026-01-01")).is_empty());
        let plan = Plan::new(&all, &request("2026-01-03T09:00:00Z"), day("2026-01-01"));
        assert_eq!(plan.asks, [Ask::Provisional]);
    }

    #[test]
    fn a_range_by_hand_stays_inside_what_exists_and_what_is_wanted() {
        let range = |from: &str, to: &str| {
            let request =
                ExtractRequest { from: Some(day(from)), to: Some(day(to)), ..request("2026-01-06T09:00:00Z") };
            Plan::new(&Position::default(), &request, day("2026-01-02")).asks
        };
        assert_eq!(range("2025-12-01", "2026-01-03"), finals(&["2026-01-03", "2026-01-02"]));
        let mut open_end = finals(&["2026-01-05"]);
        open_end.push(Ask::Provisional);
        assert_eq!(range("2026-01-05", "2027-01-01"), open_end);
        assert_eq!(range("2026-02-01", "2026-01-01"), []);
    }

    #[test]
    fn a_range_by_hand_asks_for_its_gaps_and_its_refresh_for_all_days() {
        let mut position = done(&["2026-01-01", "2026-01-02", "2026-01-04", "2026-01-05"]);
        let by_hand = ExtractRequest {
            from: Some(day("2026-01-02")),
            to: Some(day("2026-01-04")),
            ..request("2026-01-06T09:00:00Z")
        };
        assert_eq!(Plan::new(&position, &by_hand, day("2026-01-01")).asks, finals(&["2026-01-03"]));
        position.forget(by_hand.from, by_hand.to);
        let all = finals(&["2026-01-04", "2026-01-03", "2026-01-02"]);
        assert_eq!(Plan::new(&position, &by_hand, day("2026-01-01")).asks, all);
    }

    #[test]
    fn a_day_without_data_is_asked_again_for_a_week_and_then_only_by_hand() {
        let mut position = done(&[]);
        position.unavailable.insert(day("2026-01-01"), day("2026-01-02"));
        // An old gap, first asked for when its year was filled.
        position.unavailable.insert(day("2025-03-01"), day("2026-01-02"));
        for missing in ["2026-01-01", "2025-03-01"] {
            let asks = |time: &str, from: Option<&str>| {
                let request = ExtractRequest { from: from.map(day), to: from.map(day), ..request(time) };
                Plan::new(&position, &request, day("2025-03-01")).asks.contains(&Ask::Final(day(missing)))
            };
            assert!(asks("2026-01-08T00:15:00Z", None), "{missing}");
            assert!(!asks("2026-01-09T00:15:00Z", None), "{missing}");
            assert!(asks("2026-01-09T00:15:00Z", Some(missing)), "{missing}");
        }
    }

    #[test]
    fn days_without_an_answer_come_after_gaps_not_yet_asked_for() {
        let mut position = done(&[]);
        for vain in ["2026-01-05", "2026-01-04", "2026-01-02"] {
            position.unavailable.insert(day(vain), day("2026-01-05"));
        }
        let plan = Plan::new(&position, &request("2026-01-06T00:15:00Z"), day("2026-01-01"));
        let yesterday_first = ["2026-01-05", "2026-01-03", "2026-01-01", "2026-01-04", "2026-01-02"];
        assert_eq!((plan.asks, plan.urgent), (finals(&yesterday_first), 1));
    }

    #[test]
    fn share_and_quota_bound_a_run_and_the_schedule_precedes_old_gaps() {
        let plan = || Plan::new(&Position::default(), &request("2026-01-31T09:00:00Z"), day("2026-01-01"));
        let asked = |share: u64, remaining: Option<u64>, days: u64| {
            let quota = Quota { requests_remaining: remaining, days_remaining: days };
            let Allowed { asks, left, .. } = plan().within(share, 0, quota);
            assert_eq!(asks.len() + left, 31);
            asks
        };
        assert_eq!(asked(5, None, 20).len(), 5);
        assert_eq!(asked(100, None, 0).len(), 31);
        assert_eq!(asked(100, Some(50), 20).len(), 2 + 8);
        assert_eq!(asked(100, Some(10), 20), [Ask::Final(day("2026-01-30")), Ask::Provisional]);
        assert_eq!(asked(100, Some(1), 20), [Ask::Final(day("2026-01-30"))]);
        assert_eq!(asked(100, Some(0), 20), []);
        assert_eq!(plan().within(1, 0, UNLIMITED).asks, [Ask::Final(day("2026-01-30"))]);
    }

    #[test]
    fn requests_of_the_same_day_reduce_the_share_and_the_plan_says_so() {
        let mut position = Position::default();
        position.spend(day("2026-01-31"), 20);
        position.spend(day("2026-01-31"), 10);
        assert_eq!((position.spent_on(day("2026-01-31")), position.spent_on(day("2026-02-01"))), (30, 0));
        position.spend(day("2026-02-01"), 1);
        assert_eq!(position.spent, Some(Spent { day: day("2026-02-01"), requests: 1 }));

        let plan = || Plan::new(&Position::default(), &request("2026-01-31T09:00:00Z"), day("2026-01-01"));
        let quota = |remaining| Quota { requests_remaining: Some(remaining), days_remaining: 0 };
        for (spent, quota, asked, cut_by) in [
            (0, UNLIMITED, 31, None),
            (30, UNLIMITED, 5, Some(SHARE)),
            // The schedule's two requests come in any case.
            (35, UNLIMITED, 2, Some(SHARE)),
            (400, UNLIMITED, 2, Some(SHARE)),
            (30, quota(4), 4, Some(QUOTA)),
            (0, quota(0), 0, Some(QUOTA)),
        ] {
            let allowed = plan().within(35, spent, quota);
            assert_eq!((allowed.asks.len(), allowed.left, allowed.cut_by), (asked, 31 - asked, cut_by), "{spent}");
        }
    }

    #[test]
    fn a_position_that_counts_no_requests_yet_still_reads() {
        let old = r#"{"base":"USD","done":[["2026-01-01","2026-01-02"]],"unavailable":{"2026-01-03":"2026-01-04"}}"#;
        let position: Position = serde_json::from_str(old).expect("a position");
        assert_eq!((position.spent, serde_json::to_string(&position).expect("json").as_str()), (None, old));
    }
}
