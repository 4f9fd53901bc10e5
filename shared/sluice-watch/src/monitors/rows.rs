//! How many rows there are: volume by what is usual, keys and reconciliation exactly.

use sluice_core::sources::Monitor;

use super::Context;
use crate::{
    baseline::{
        History,
        history::NEEDED_DAYS,
        volume::{self, Expected, Judged, Measure},
    },
    finding::{Kind, Verdict, Why},
    settings::TableSettings,
};

/// Rows of the newest complete day, and of days before it.
#[derive(Debug, Clone, Default)]
pub struct RowFacts {
    pub rows: u64,
    pub history: History,
}

/// A table's rows and their different keys.
#[derive(Debug, Clone, Copy)]
pub struct Keys {
    pub rows: u64,
    pub keys: u64,
}

/// Two places that must hold the same number: rows, or an amount in its smallest unit.
#[derive(Debug, Clone)]
pub struct Pair {
    pub left: &'static str,
    pub left_rows: Option<u64>,
    pub right: &'static str,
    pub right_rows: Option<u64>,
}

pub(super) fn volume(
    settings: &TableSettings,
    facts: Option<&RowFacts>,
    context: &Context<'_>,
    add: &mut impl FnMut(Monitor, Option<&str>, Verdict),
) {
    let Some(RowFacts { rows, history }) = facts else {
        add(Monitor::Volume, None, Verdict::missing(format!("the rows of {} were not counted", context.day)));
        return;
    };
    let value = *rows as f64;
    let verdict = hard_limits(settings, value).unwrap_or_else(|| {
        match volume::judge(history, context.day, value, &settings.table, context.calendar, Measure::Count) {
            Judged::Expected(expected) => learned(settings, &expected, value),
            Judged::OnlyEmpty { usual, .. } if *rows == 0 && usual >= 1.0 => drop(100.0, value, "rows on each day"),
            Judged::OnlyEmpty { days, .. } | Judged::TooYoung { days } => {
                Verdict::Degraded(Why::Learning { days, needed: NEEDED_DAYS })
            }
        }
    });
    add(Monitor::Volume, None, verdict);
}

fn hard_limits(settings: &TableSettings, value: f64) -> Option<Verdict> {
    if let Some(least) = settings.minimum_rows_per_day.filter(|least| value < *least) {
        return Some(drop(100.0 * (1.0 - value / least), value, &format!("at least {least} rows")));
    }
    let most = settings.maximum_rows_per_day.filter(|most| value > *most)?;
    let size = 100.0 * (value / most - 1.0);
    Some(Verdict::breached(Kind::VolumeRise, size, format!("{value} rows"), format!("at most {most} rows")))
}

fn learned(settings: &TableSettings, expected: &Expected, value: f64) -> Verdict {
    let change = expected.change_percent(value);
    if !expected.is_unusual() || change.abs() <= settings.volume_change_percent {
        return Verdict::Healthy;
    }
    let band = format!(
        "{:.0} to {:.0} rows (drops of {:.0} % and more are seen)",
        expected.low,
        expected.high,
        expected.sees_drop_percent()
    );
    if change < 0.0 {
        drop(-change, value, &band)
    } else {
        Verdict::breached(Kind::VolumeRise, change, format!("{value} rows"), band)
    }
}

fn drop(size: f64, value: f64, expected: &str) -> Verdict {
    Verdict::breached(Kind::VolumeDrop, size, format!("{value} rows"), expected)
}

pub(super) fn duplicates(keys: Option<&Keys>, add: &mut impl FnMut(Monitor, Option<&str>, Verdict)) {
    let verdict = match keys {
        None => Verdict::missing("keys were not counted"),
        Some(Keys { rows, keys }) if rows > keys => {
            let more = rows - keys;
            let observed = format!("{rows} rows have {keys} different keys");
            Verdict::breached(Kind::Duplicates, more as f64, observed, "one row for each key")
        }
        Some(_) => Verdict::Healthy,
    };
    add(Monitor::Duplicates, None, verdict);
}

pub(super) fn reconciliation(pairs: &[Pair], add: &mut impl FnMut(Monitor, Option<&str>, Verdict)) {
    if pairs.is_empty() {
        add(Monitor::Reconciliation, None, Verdict::missing("nothing was counted that could be compared"));
    }
    for pair in pairs {
        let part = format!("{} and {}", pair.left, pair.right);
        add(Monitor::Reconciliation, Some(&part), pair.verdict());
    }
}

impl Pair {
    fn verdict(&self) -> Verdict {
        let Pair { left, left_rows, right, right_rows } = self;
        match (left_rows, right_rows) {
            (None, _) => Verdict::missing(format!("{left} was not counted")),
            (_, None) => Verdict::missing(format!("{right} was not counted")),
            (Some(left_rows), Some(right_rows)) if left_rows != right_rows => {
                let observed = format!("{left} has {left_rows}, {right} has {right_rows}");
                Verdict::breached(Kind::RowsDiffer, left_rows.abs_diff(*right_rows) as f64, observed, "the same number")
            }
            _ => Verdict::Healthy,
        }
    }
}
